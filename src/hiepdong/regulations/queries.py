"""Reading regulations. Seats of a party, of a body above or below one, and node administrators may read them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db.models import Prefetch, Q, QuerySet

from hiepdong.accounts.domain.permissions import Action
from hiepdong.accounts.models import Seat
from hiepdong.accounts.queries import visible_organisation_ids
from hiepdong.documents.models import File
from hiepdong.documents.services import is_on_disk, read_file
from hiepdong.exchange import joint
from hiepdong.exchange.models import JointDocument
from hiepdong.kernel.errors import NotFound
from hiepdong.kernel.validity import Validity
from hiepdong.organisations import queries as organisations

from .domain.format import check
from .domain.overlap import Asked, asked_twice, returning
from .models import Article, DutyRule, Form, Instrument, Party


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


def bound_among(pairs: Collection[tuple[int, int]], on: date) -> frozenset[tuple[int, int]]:
    """Return which pairs (sender, recipient) of organisations a regulation in force on the local day binds.

    It binds its parties with each other, and with those to whom one of its rules sends copies.
    """
    ids = {pk for pair in pairs for pk in pair}
    in_force = Q(instrument__effective_from__lte=on)
    in_force &= Q(instrument__effective_until__isnull=True) | Q(instrument__effective_until__gt=on)
    parties: dict[int, set[int]] = {}
    for organisation, instrument in Party.objects.filter(in_force, organisation__in=ids).values_list(
        "organisation", "instrument"
    ):
        parties.setdefault(organisation, set()).add(instrument)
    instruments = set().union(*parties.values()) if parties else set()
    copied = _copied_by(instruments)
    return frozenset(
        (sender, recipient)
        for sender, recipient in pairs
        if parties.get(sender, set()) & (parties.get(recipient, set()) | copied.get(recipient, set()))
    )


def _copied_by(instruments: Collection[int]) -> dict[int, set[int]]:
    """Return, for organisations that rules of some instruments name for a copy, of which."""
    named: dict[str, set[int]] = {}
    for instrument, spec in DutyRule.objects.filter(instrument__in=instruments).values_list("instrument", "spec"):
        for copy in spec.get("copies", []):
            if copy.get("organisation"):
                named.setdefault(copy["organisation"], set()).add(instrument)
    if not named:
        return {}
    return {o.pk: named[key] for key, o in organisations.organisations_by_keys(named).items()}


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


def names_of(instrument: Instrument) -> dict[str, str]:
    """Return the names of the bodies that the rules of a version name by key, in one query."""
    keys = set()
    for rule in instrument.rules.all():
        for selector in (rule.spec["debtor"], rule.spec["creditor"], *rule.spec.get("copies", ())):
            keys |= {selector["organisation"]} if "organisation" in selector else set()
    return {key: o.name for key, o in organisations.organisations_by_keys(keys).items()}


def family_of(seat: Seat, instrument: Instrument) -> dict[str, list[Instrument]]:
    """Return the regulation above a version and those that derive from it (the newest version of each), as far as readable."""
    above = {instrument.parent_id} if instrument.parent_id else set()
    related = _readable(seat).filter(Q(pk__in=above) | Q(parent__key=instrument.key)).order_by("title", "-version")
    newest: dict[str, Instrument] = {}
    for one in related:
        newest.setdefault(one.key, one)
    return {
        "parents": [i for i in newest.values() if i.pk in above],
        "children": [i for i in newest.values() if i.pk not in above],
    }


def asked_twice_with(instrument: Instrument, seat: Seat | None = None) -> list[tuple[DutyRule, DutyRule]]:
    """Return (rule of the version, other rule) where both ask the same pair for the same thing and the same periods.

    The other rule stands in the same version or in another regulation whose time in force overlaps; with a seat, only in
    regulations that it may read. Selectors are resolved by party and kind; relations such as the same territory are not, so
    two rules named here *may* meet. The number of queries does not grow with the rules.
    """
    base = Instrument.objects.all() if seat is None else _readable(seat)
    others = base.exclude(key=instrument.key).values_list("pk", flat=True)
    ids = [instrument.pk, *others]
    rules = DutyRule.objects.filter(instrument__in=ids).select_related("instrument").defer("instrument__file_bytes")
    parties: dict[int, list[tuple[str, str, str]]] = {}
    rows = Party.objects.filter(instrument__in=ids).values_list(
        "instrument_id", "organisation__key", "organisation__kind", "side"
    )
    for pk, key, kind, side in rows:
        parties.setdefault(pk, []).append((key, kind, side))
    asked, by_place = [], {}
    for rule in rules.order_by("instrument__key", "id"):
        of = rule.instrument
        if returns := returning(rule.spec["trigger"]):
            by_place[of.key, of.version, rule.key] = rule
            debtors, creditors = (_chosen(rule.spec[side], parties.get(of.pk, [])) for side in ("debtor", "creditor"))
            valid = Validity(of.effective_from, of.effective_until)
            asked.append(Asked(of.key, of.version, valid, rule.key, rule.title, rule.content, returns, debtors, creditors))
    found = []
    for a, b in asked_twice(asked):
        if instrument.key in {a.instrument, b.instrument}:
            first, second = (a, b) if a.instrument == instrument.key else (b, a)
            pair = (by_place[x.instrument, x.version, x.rule] for x in (first, second))
            found.append((next(pair), next(pair)))
    return found


def _chosen(selector: dict[str, Any], parties: list[tuple[str, str, str]]) -> frozenset[str | int]:
    """Return the keys of the bodies that a selector may choose: a body by key, or parties by kind and side."""
    if "organisation" in selector:
        return frozenset({selector["organisation"]})
    kinds = selector.get("kind", ())
    kinds = {kinds} if isinstance(kinds, str) else set(kinds)
    side = selector.get("side")
    return frozenset(key for key, kind, stands in parties if (not kinds or kind in kinds) and (not side or stands == side))


# --- proposed, signed ------------------------------------------------------------------------------------------------------


LARGEST_TEXT = 4 * 1024 * 1024  # bytes of a file that another node proposed and that is read whenever its page is opened


@dataclass(frozen=True, slots=True)
class Proposal:
    """A text laid before its parties: who has signed, who has not, what keeps it from being in force here."""

    document: JointDocument
    title: str
    signatories: list[joint.Signatory]
    loaded: Instrument | None  # the version that it has become here

    @property
    def digest(self) -> str:
        """Its name in addresses."""
        return self.document.digest

    @property
    def signed(self) -> int:
        """How many parties have signed."""
        return sum(s.at is not None for s in self.signatories)

    @property
    def waits_for(self) -> list[str]:
        """The names of those that have not signed."""
        return [s.organisation.name if s.organisation else s.key for s in self.signatories if s.at is None]


def title_of(document: JointDocument) -> str:
    """Return the title that stands in the file, or the key while the file is not here or cannot be read."""
    digest = joint.terms_of(document).claims["digest"]
    loaded = Instrument.objects.filter(digest=digest).values_list("title", flat=True).first()
    if loaded is not None:
        return loaded
    file = File.objects.filter(digest=digest, kept=True, size__lte=LARGEST_TEXT).first()
    if file is None or not is_on_disk(file):
        return document.name
    regulation, _problems = check(read_file(file), file.name)
    return regulation.title if regulation is not None else document.name


def _proposal(document: JointDocument) -> Proposal:
    loaded = Instrument.objects.filter(digest=joint.terms_of(document).claims["digest"]).defer("file_bytes").first()
    return Proposal(document, title_of(document), joint.signatories(document), loaded)


def proposals_for(seat: Seat) -> list[Proposal]:
    """Return the texts that the seat may read and that are not in force here, newest first."""
    loaded = set(Instrument.objects.values_list("digest", flat=True))
    found = []
    for document in joint.documents(kind="regulation"):
        if joint.terms_of(document).claims["digest"] in loaded:
            continue
        try:
            found.append(_proposal(joint.joint_for(seat, document.digest)))
        except NotFound:
            continue
    return found


def proposal_for(seat: Seat, digest: str) -> Proposal:
    """Return one text laid before its parties.

    Raises:
        NotFound: there is none, or the seat may not read it.
    """
    document = joint.joint_for(seat, digest)
    if document.kind != "regulation":
        raise NotFound
    return _proposal(document)


def proposal_of(instrument: Instrument) -> Proposal | None:
    """Return the signatures under which a version came into force; None where an administrator loaded it by himself."""
    name = f"{instrument.key}/{instrument.version}"
    for document in joint.documents(kind="regulation", name=name):
        if joint.terms_of(document).claims["digest"] == instrument.digest:
            return Proposal(document, instrument.title, joint.signatories(document), instrument)
    return None


def may_sign(seat: Seat, proposal: Proposal) -> bool:
    """Say whether the seat may sign it: a signer of a party at home here that has not signed."""
    mine = next((s for s in proposal.signatories if s.key == seat.organisation.key), None)
    return seat.may(Action.SEND) and mine is not None and mine.at_home and mine.at is None
