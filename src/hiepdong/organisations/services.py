"""Loading organisations from a file: all or nothing, again harmlessly, never rewriting history."""

from datetime import date, datetime
from typing import Any

from django.db import transaction

from hiepdong.journal.services import record
from hiepdong.kernel.errors import DomainError, gettext_noop
from hiepdong.kernel.text import fold, nfc, sort_key
from hiepdong.territories import queries as territories
from hiepdong.territories.models import Unit

from .domain.format import Body, Problem, check
from .models import Organisation, OrganisationSuccession, Responsibility, Superior


class InvalidFile(DomainError):
    """The file has problems; nothing was loaded."""

    code = "organisations.invalid_file"
    message = gettext_noop("%(name)s was not loaded: %(count)s problems.")
    hint = gettext_noop("Correct what is listed and load the file again; nothing was changed.")

    def __init__(self, *, name: str, problems: list[Problem]) -> None:
        super().__init__(name=name, count=len(problems))
        self.problems = problems


@transaction.atomic
def load_organisations(*, file_bytes: bytes, name: str, actor: Any, at: datetime) -> dict[str, int]:
    """Load the bodies of a file; bodies already known by key are left as they are, missing rows are added.

    Returns the number of bodies added and of those already there.

    Raises:
        InvalidFile: with every problem; nothing was changed.
    """
    bodies, problems = check(file_bytes, name)
    if problems:
        raise InvalidFile(name=name, problems=problems)
    known = {o.key: o for o in Organisation.objects.filter(key__in=_keys(bodies))}
    fresh = [b for b in bodies if b.key not in known]
    problems = _unknown_references(bodies, {*known, *(b.key for b in bodies)}, name)
    if problems:
        raise InvalidFile(name=name, problems=problems)
    created = Organisation.objects.bulk_create(
        Organisation(
            key=b.key,
            kind=b.kind,
            name=nfc(b.name),
            short_name=nfc(b.short_name),
            notation=nfc(b.notation),
            place=nfc(b.place),
            valid_from=b.valid_from,
            valid_until=b.valid_until,
            founding_instrument=nfc(b.founding_instrument),
            source=nfc(b.source),
            verified=b.verified,
            name_folded=fold(b.name),
            name_sort=sort_key(b.name),
        )
        for b in fresh
    )
    known |= {o.key: o for o in created}
    _relations(fresh, known)
    counts = {"added": len(fresh), "known": len(bodies) - len(fresh)}
    if created:
        record("organisations.file.loaded", subject=created[0], actor=actor, at=at, name=name, facts=counts)
    return counts


def _keys(bodies: list[Body]) -> set[str]:
    return {k for b in bodies for k in (b.key, b.superior, *b.predecessors) if k}


def _unknown_references(bodies: list[Body], known: set[str], name: str) -> list[Problem]:
    found = []
    units = _units_of(bodies)
    for i, b in enumerate(bodies, 1):
        for place, key in (("superior", b.superior), *((f"predecessors[{j}]", k) for j, k in enumerate(b.predecessors, 1))):
            if key and key not in known:
                path = f"organisation[{i}].{place}"
                found.append(Problem(name, path, repr(key), "khóa có trong tệp này hoặc đã nạp trước"))
        for j, t in enumerate(b.territory, 1):
            if (b.valid_from, t) not in units:
                accepted = f"mã đơn vị hành chính có vào ngày {b.valid_from.isoformat()}"
                found.append(Problem(name, f"organisation[{i}].territory[{j}]", repr(t), accepted))
    return found


def _units_of(bodies: list[Body]) -> dict[tuple[date, str], Unit]:
    """Return the units that the bodies answer for, by first day and code, with one query per first day."""
    codes: dict[date, set[str]] = {}
    for b in bodies:
        codes.setdefault(b.valid_from, set()).update(t.partition(":")[2] for t in b.territory)
    found = {}
    for on, wanted in codes.items():
        for (level, code), unit in territories.units_by_code(wanted, on).items():
            found[on, f"{level}:{code}"] = unit
    return found


def _relations(bodies: list[Body], known: dict[str, Organisation]) -> None:
    superiors, responsibilities, successions = [], [], []
    units = _units_of(bodies)
    for b in bodies:
        own = known[b.key]
        dates = {"valid_from": b.valid_from, "valid_until": b.valid_until, "source": b.source, "verified": b.verified}
        if b.superior:
            superiors.append(Superior(organisation=own, superior=known[b.superior], **dates))
        responsibilities += [Responsibility(organisation=own, unit=units[b.valid_from, t], **dates) for t in b.territory]
        for key in b.predecessors:
            successions.append(
                OrganisationSuccession(
                    predecessor=known[key],
                    successor=own,
                    effective_on=b.valid_from,
                    act=b.act or b.founding_instrument or b.source,
                    source=b.source,
                    verified=b.verified,
                )
            )
    Superior.objects.bulk_create(superiors)
    Responsibility.objects.bulk_create(responsibilities)
    OrganisationSuccession.objects.bulk_create(successions, ignore_conflicts=True)
