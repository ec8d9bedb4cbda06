"""Reading regulations. Seats of a party, of a body above or below one, and node administrators may read them."""

from datetime import date
from typing import Any

from django.db.models import Prefetch, Q, QuerySet

from hiepdong.accounts.domain.permissions import Action
from hiepdong.accounts.models import Seat
from hiepdong.accounts.queries import visible_organisation_ids
from hiepdong.kernel.errors import NotFound
from hiepdong.organisations import queries as organisations

from .models import Article, DutyRule, Form, Instrument


def versions_of(key: str) -> list[Instrument]:
    """Return every version of an instrument, oldest first; for services, no gate."""
    return list(Instrument.objects.filter(key=key).order_by("version"))


def rules_in_force(key: str, on: date) -> list[DutyRule]:
    """Return the duty rules of the version in force on the local day; none when no version is."""
    with_bytes_deferred = DutyRule.objects.filter(holding_effective(on), instrument__key=key)
    return list(with_bytes_deferred.select_related("instrument", "form").defer("instrument__file_bytes").order_by("id"))


def holding_effective(on: date) -> Q:
    """Return the condition that the rule's instrument is in force on the day."""
    return Q(instrument__effective_from__lte=on) & (
        Q(instrument__effective_until__isnull=True) | Q(instrument__effective_until__gt=on)
    )


def sides_of(instrument: Instrument) -> dict[str, set[int]]:
    """Return the organisation ids of each side."""
    sides: dict[str, set[int]] = {}
    for organisation, side in instrument.parties.values_list("organisation_id", "side"):
        sides.setdefault(side, set()).add(organisation)
    return sides


def _readable(seat: Seat) -> QuerySet[Instrument]:
    found = Instrument.objects.defer("file_bytes").select_related("issuer")
    if seat.may(Action.MANAGE_NODE):
        return found
    ids = visible_organisation_ids(seat) | organisations.ancestor_ids(seat.organisation_id)
    return found.filter(Q(parties__organisation__in=ids) | Q(issuer__in=ids)).distinct()


def instruments_for(seat: Seat, *, on: date | None = None) -> QuerySet[Instrument]:
    """Return the instruments the seat may read, the newest version first; `on` keeps those in force on the day."""
    found = _readable(seat)
    if on is not None:
        found = found.filter(holding_on_effective(on))
    return found.order_by("title", "-version")


def holding_on_effective(on: date) -> Q:
    """Return the condition that an instrument is in force on the day."""
    return Q(effective_from__lte=on) & (Q(effective_until__isnull=True) | Q(effective_until__gt=on))


def instrument_for(seat: Seat, key: str, *, version: int | None = None, on: date | None = None) -> Instrument:
    """Return one version with its parties, articles, rules and forms; the newest unless a version or day is given.

    Raises:
        NotFound: there is none, or the seat may not read it.
    """
    found = _readable(seat).filter(key=key)
    if version is not None:
        found = found.filter(version=version)
    elif on is not None:
        found = found.filter(holding_on_effective(on))
    instrument = (
        found.prefetch_related(
            "parties__organisation",
            Prefetch("articles", Article.objects.order_by("position")),
            Prefetch("rules", DutyRule.objects.select_related("form").order_by("id")),
            Prefetch("forms", Form.objects.order_by("id")),
        )
        .order_by("-version")
        .first()
    )
    if instrument is None:
        raise NotFound
    return instrument


def rule_for(seat: Seat, key: str, rule_key: str, *, version: int | None = None) -> DutyRule:
    """Return one duty rule of the newest (or a given) version.

    Raises:
        NotFound: there is none, or the seat may not read it.
    """
    instrument = instrument_for(seat, key, version=version)
    found = next((r for r in instrument.rules.all() if r.key == rule_key), None)
    if found is None:
        raise NotFound
    return found


def clause_text(rule: DutyRule) -> Article | None:
    """Return the article or clause behind a rule."""
    return Article.objects.filter(instrument_id=rule.instrument_id, clause=rule.clause).first()


def file_of(seat: Seat, key: str, version: int) -> tuple[str, bytes]:
    """Return the name and the bytes of a version as loaded.

    Raises:
        NotFound: there is none, or the seat may not read it.
    """
    instrument = _readable(seat).filter(key=key, version=version).first()
    if instrument is None:
        raise NotFound
    return f"{key}-{version}.toml", bytes(Instrument.objects.values_list("file_bytes", flat=True).get(pk=instrument.pk))


def differences(old: Instrument, new: Instrument) -> dict[str, list[str]]:
    """Return the keys of the rules that a newer version added, removed and changed."""
    before = {r.key: (r.title, r.clause, r.spec) for r in old.rules.all()}
    after = {r.key: (r.title, r.clause, r.spec) for r in new.rules.all()}
    return {
        "added": sorted(after.keys() - before.keys()),
        "removed": sorted(before.keys() - after.keys()),
        "changed": sorted(k for k in before.keys() & after.keys() if before[k] != after[k]),
    }


def search_articles(seat: Seat, text: str, *, limit: int = 20) -> list[dict[str, Any]]:
    """Return articles whose text holds the words, marks ignored; regulations are few, so they are read in Python."""
    from hiepdong.kernel.text import fold

    words = fold(text)
    found: list[dict[str, Any]] = []
    for article in Article.objects.filter(instrument__in=_readable(seat)).select_related("instrument"):
        if words in fold(f"{article.heading} {article.text}"):
            found.append({"article": article, "instrument": article.instrument})
            if len(found) == limit:
                break
    return found


def instrument_keys() -> list[str]:
    """Return the keys of all instruments of the node; for the worker, no gate."""
    return sorted(set(Instrument.objects.values_list("key", flat=True)))
