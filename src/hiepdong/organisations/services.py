"""Loading organisations from a file: all or nothing, again harmlessly, never rewriting history."""

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q

from hiepdong.journal.services import record
from hiepdong.kernel.errors import DomainError, gettext_noop
from hiepdong.kernel.text import fold, nfc, sort_key
from hiepdong.territories import queries as territories
from hiepdong.territories import services as territories_services
from hiepdong.territories.models import Succession, Unit

from .domain.format import Body, Problem, check
from .domain.reorganisation import Change, Plan
from .domain.reorganisation import check as check_reorganisation
from .models import Organisation, OrganisationSuccession, Reorganisation, Responsibility, Superior


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
    created = _create(fresh)
    known |= {o.key: o for o in created}
    _relations(fresh, known)
    counts = {"added": len(fresh), "known": len(bodies) - len(fresh)}
    if created:
        record("organisations.file.loaded", subject=created[0], actor=actor, at=at, name=name, facts=counts)
    return counts


def _create(bodies: list[Body]) -> list[Organisation]:
    return Organisation.objects.bulk_create(
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
        for b in bodies
    )


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
    Superior.objects.bulk_create(superiors, ignore_conflicts=True)
    Responsibility.objects.bulk_create(responsibilities, ignore_conflicts=True)
    OrganisationSuccession.objects.bulk_create(successions, ignore_conflicts=True)


# --- reorganisations ----------------------------------------------------------------------------------------------------

Decision = dict[str, Any]
"""What a person must decide: {"code", "organisation" (key or ""), "name", "message" (English msgid), "facts"}."""

Survey = Callable[[Collection[int], date, datetime], Sequence[Decision]]
"""Asks a higher app what still holds to bodies (by id) that end on a day, as known at a moment."""


@dataclass
class _Work:
    """What the loading of one reorganisation has found so far."""

    plan: Plan
    bodies: dict[str, Organisation]  # every body the file names, by key
    problems: list[Problem] = field(default_factory=list)
    units: list[dict[str, Any]] = field(default_factory=list)
    founded: list[dict[str, Any]] = field(default_factory=list)
    ended: list[dict[str, Any]] = field(default_factory=list)
    changed: list[dict[str, Any]] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)

    @property
    def on(self) -> date:
        return self.plan.effective_on

    def decide(self, code: str, message: str, organisation: Organisation | None = None, **facts: Any) -> None:
        key, name = (organisation.key, organisation.name) if organisation else ("", "")
        facts = {"name": name} | facts
        self.decisions.append({"code": code, "organisation": key, "name": name, "message": message, "facts": facts})


@transaction.atomic
def load_reorganisation(
    *, file_bytes: bytes, name: str, actor: Any, at: datetime, surveys: Sequence[Survey] = ()
) -> tuple[Reorganisation, bool]:
    """Load what becomes of units and bodies on one day, as dated facts with the act; rewrite nothing before that day.

    Rows are added, and rows that were open are closed on the day; no row is deleted and no closed row is touched. The same
    bytes again change nothing. For a preview call it and roll the transaction back. Returns the reorganisation with its report
    and whether it was loaded now.

    Raises:
        InvalidFile: with every problem; nothing was changed.
    """
    digest = hashlib.sha256(file_bytes).hexdigest()
    same = Reorganisation.objects.filter(digest=digest).first()
    if same is not None:
        return same, False
    plan, problems = check_reorganisation(file_bytes, name)
    if plan is None:
        raise InvalidFile(name=name, problems=problems)
    if Reorganisation.objects.filter(key=plan.key).exists():
        accepted = "khóa mới: tệp đã nạp với khóa này có nội dung khác; ghi phần bổ sung vào tệp riêng"
        raise InvalidFile(name=name, problems=[Problem(name, "key", repr(plan.key), accepted)])
    keys = {*_keys(list(plan.bodies)), *(k for k, _ in plan.ends)}
    keys |= {k for c in plan.changes for k in (c.organisation, c.superior, *c.predecessors) if k} | {
        k for d in plan.decisions for k in d.get("about", ())
    }
    work = _Work(plan, {o.key: o for o in Organisation.objects.filter(key__in=keys)})
    _units(work, name, actor, at)
    _misfits(work, name)
    if work.problems:
        raise InvalidFile(name=name, problems=work.problems)
    _found(work)
    for change in plan.changes:
        _change(work, change)
    _end(work)
    _open_questions(work, surveys, at)
    made = Reorganisation.objects.create(
        key=plan.key,
        title=nfc(plan.title),
        effective_on=plan.effective_on,
        digest=digest,
        loaded_at=at,
        report=_report(work),
    )
    counts = made.report["counts"]
    record("organisations.reorganisation.loaded", subject=made, actor=actor, at=at, name=made.title, facts=counts)
    return made, True


def _units(work: _Work, name: str, actor: Any, at: datetime) -> None:
    rows = work.plan.units
    try:
        changed = territories_services.load_unit_changes(rows=rows, on=work.on, actor=actor, at=at) if rows else []
    except territories_services.UnitsDisagree as error:
        work.problems += [Problem(name, *one) for one in error.found]
        return
    before = work.on - timedelta(days=1)
    for unit, made, successions in changed:
        own = [s for s in successions if s.effective_on == work.on]
        flags = territories.flags_on({unit.pk: work.on} | {s.predecessor_id: before for s in own})
        work.units.append(
            {
                "code": unit.code,
                "level": unit.level,
                "name": unit.full_name,
                "made": made,
                "flags": flags.get(unit.pk, []),
                "from": [
                    {
                        "code": s.predecessor.code,
                        "level": s.predecessor.level,
                        "name": s.predecessor.full_name,
                        "parent": s.predecessor.parent.full_name if s.predecessor.parent else "",
                        "share": s.share,
                        "flags": flags.get(s.predecessor_id, []),
                    }
                    for s in own
                ],
            }
        )


def _misfits(work: _Work, name: str) -> None:
    """Find what the file says about bodies that the node knows otherwise."""
    plan, on = work.plan, work.on
    day = on.isoformat()
    will_be = {*work.bodies, *(b.key for b in plan.bodies)}
    if not work.problems:  # new units must be known before codes can be judged
        work.problems += _unknown_references(list(plan.bodies), will_be, name)
    for i, body in enumerate(plan.bodies, 1):
        known = work.bodies.get(body.key)
        if known is None:
            continue
        for key, has, says in (("kind", known.kind, body.kind), ("name", known.name, nfc(body.name))):
            if has != says:
                work.problems.append(Problem(name, f"organisation[{i}].{key}", repr(says), f"{has!r}, như đã nạp"))
        if known.valid_from != on:
            accepted = f"khóa mới; cơ quan {known.name} đã có từ {known.valid_from.isoformat()}"
            work.problems.append(Problem(name, f"organisation[{i}].key", repr(body.key), accepted))
    for key, path in plan.ends:
        ending = work.bodies.get(key)
        if ending is None:
            work.problems.append(Problem(name, path, repr(key), "khóa của cơ quan đã nạp"))
        elif ending.valid_from >= on or (ending.valid_until is not None and ending.valid_until != on):
            lived = f"{ending.valid_from.isoformat()} – {ending.valid_until.isoformat() if ending.valid_until else ''}"
            work.problems.append(Problem(name, path, f"{key}: {lived}", f"cơ quan còn hoạt động đến {day}"))
    ended = {key for key, _ in plan.ends}
    for i, change in enumerate(plan.changes, 1):
        body_known = work.bodies.get(change.organisation)
        path = f"change[{i}].organisation"
        if body_known is None:
            if change.organisation not in will_be:
                work.problems.append(Problem(name, path, repr(change.organisation), "khóa của cơ quan đã nạp"))
        elif body_known.valid_from > on or (body_known.valid_until is not None and body_known.valid_until <= on):
            work.problems.append(Problem(name, path, repr(change.organisation), f"cơ quan còn hoạt động ngày {day}"))
        for j, key in enumerate(change.predecessors, 1):
            if key not in work.bodies:
                work.problems.append(Problem(name, f"change[{i}].predecessors[{j}]", repr(key), "khóa của cơ quan đã nạp"))
        if change.superior and (change.superior not in will_be or change.superior in ended):
            accepted = f"khóa của cơ quan còn hoạt động ngày {day}"
            work.problems.append(Problem(name, f"change[{i}].superior", repr(change.superior), accepted))
        if change.territory and not work.problems:
            units = territories.units_by_code([t.partition(":")[2] for t in change.territory], on)
            for j, t in enumerate(change.territory, 1):
                if tuple(t.split(":")) not in units:
                    accepted = f"mã đơn vị hành chính có vào ngày {day}"
                    work.problems.append(Problem(name, f"change[{i}].territory[{j}]", repr(t), accepted))
    for i, decision in enumerate(plan.decisions, 1):
        for j, key in enumerate(decision.get("about", ()), 1):
            if key not in will_be:
                work.problems.append(Problem(name, f"decision[{i}].about[{j}]", repr(key), "khóa của cơ quan đã nạp"))


def _found(work: _Work) -> None:
    fresh = [b for b in work.plan.bodies if b.key not in work.bodies]
    work.bodies |= {o.key: o for o in _create(fresh)}
    _relations(list(work.plan.bodies), work.bodies)
    for b in work.plan.bodies:
        body = work.bodies[b.key]
        work.founded.append(
            {
                **_named(body),
                "kind": body.kind,
                "made": b in fresh,
                "verified": b.verified,
                "predecessors": [_named(work.bodies[k]) for k in b.predecessors],
            }
        )


def _named(body: Organisation) -> dict[str, Any]:
    return {"key": body.key, "name": body.name}


def _end(work: _Work) -> None:
    on = work.on
    bodies = [work.bodies[key] for key, _ in work.plan.ends]
    ids = [b.pk for b in bodies]
    made = {b.pk for b in bodies if b.valid_until is None}
    Organisation.objects.filter(pk__in=made).update(valid_until=on)
    for rows in (
        Superior.objects.filter(organisation__in=ids),
        Superior.objects.filter(superior__in=ids),
        Responsibility.objects.filter(organisation__in=ids),
    ):
        rows.filter(valid_until__isnull=True, valid_from__lt=on).update(valid_until=on)
    heirs: dict[int, list[OrganisationSuccession]] = {}
    for s in OrganisationSuccession.objects.filter(predecessor__in=ids).select_related("successor"):
        heirs.setdefault(s.predecessor_id, []).append(s)
    for body in bodies:
        successors = sorted((s.successor for s in heirs.get(body.pk, ())), key=lambda o: o.name_sort)
        work.ended.append(
            {**_named(body), "kind": body.kind, "made": body.pk in made, "successors": [*map(_named, successors)]}
        )


def _change(work: _Work, change: Change) -> None:
    body, on = work.bodies[change.organisation], work.on
    facts = {"source": nfc(change.source), "verified": change.verified}
    told: dict[str, Any] = {**_named(body), "verified": change.verified}
    predecessors = [work.bodies[key] for key in change.predecessors]
    for before in predecessors:
        OrganisationSuccession.objects.get_or_create(
            predecessor=before,
            successor=body,
            defaults={"effective_on": on, "act": nfc(work.plan.act), **facts},
        )
    if predecessors:
        told["predecessors"] = [*map(_named, predecessors)]
    if change.superior:
        superior = work.bodies[change.superior]
        held = Superior.objects.filter(organisation=body, valid_from__lt=on).exclude(superior=superior)
        told["superior_before"] = [s.superior.name for s in _until(held, on).select_related("superior").order_by("superior")]
        held.filter(valid_until__isnull=True).update(valid_until=on)
        if not Superior.objects.filter(territories.holding_on(on), organisation=body, superior=superior).exists():
            Superior.objects.create(organisation=body, superior=superior, valid_from=on, **facts)
        told["superior"] = superior.name
    if change.territory is not None or change.follow:
        rows = _until(Responsibility.objects.filter(organisation=body, valid_from__lt=on), on)
        held_units = [r.unit for r in rows.select_related("unit").order_by("unit__name_sort")]
        if change.territory is not None:
            units = territories.units_by_code([t.partition(":")[2] for t in change.territory], on)
            wanted = [units[t.partition(":")[0], t.partition(":")[2]] for t in change.territory]
        else:
            wanted = _followed(work, body, held_units)
        keep = {u.pk for u in wanted}
        rows.filter(valid_until__isnull=True).exclude(unit__in=keep).update(valid_until=on)
        for unit in wanted:
            if not Responsibility.objects.filter(territories.holding_on(on), organisation=body, unit=unit).exists():
                Responsibility.objects.create(organisation=body, unit=unit, valid_from=on, **facts)
        told["territory_before"] = [u.full_name for u in held_units]
        told["territory"] = [u.full_name for u in sorted(wanted, key=lambda u: u.name_sort)]
    work.changed.append(told)


def _until(rows: Any, on: date) -> Any:
    """Return the rows that held on the day before: open, or closed on the day."""
    return rows.filter(territories.holding_on(on - timedelta(days=1)))


def _followed(work: _Work, body: Organisation, held: list[Unit]) -> list[Unit]:
    """Return the units into which the held ones went whole; what was divided is a question for a person."""
    wanted: dict[int, Unit] = {}
    for unit in held:
        if unit.valid_until is None or unit.valid_until > work.on:
            wanted[unit.pk] = unit
            continue
        heirs = [s for s in territories.heirs_of(unit) if s.effective_on == work.on]
        whole = [s.successor for s in heirs if s.share == Succession.Share.WHOLE]
        wanted |= {u.pk: u for u in whole}
        if not whole:
            today = territories.units_in(territories.in_units_of([unit.pk], work.on))
            parts = ", ".join(u.full_name for u in today)
            message = gettext_noop("%(unit)s was divided or dissolved; which of %(parts)s does %(name)s answer for?")
            work.decide("territory_divided", message, body, unit=unit.full_name, parts=parts or "–")
    return list(wanted.values())


def _open_questions(work: _Work, surveys: Sequence[Survey], at: datetime) -> None:
    """Collect what the node cannot decide: the file's own questions, what the facts leave open, what holds to ended bodies."""
    on = work.on
    for decision in work.plan.decisions:
        about = [work.bodies[k].name for k in decision.get("about", ())]
        question = nfc(decision["question"])
        message = gettext_noop("%(question)s (%(about)s)") if about else gettext_noop("%(question)s")
        work.decide("question", message, question=question, about=", ".join(about))
    for row in work.ended:
        body = work.bodies[row["key"]]
        if not row["successors"]:
            work.decide("no_successor", gettext_noop("%(name)s ends without a successor: who keeps its papers?"), body)
        elif len(row["successors"]) > 1:
            message = gettext_noop("%(name)s has %(count)s successors: who takes over which unfinished work?")
            work.decide("several_successors", message, body, count=len(row["successors"]))
    ended = [work.bodies[row["key"]].pk for row in work.ended]
    orphans = Organisation.objects.filter(territories.holding_on(on), superiors__superior__in=ended)
    for body in orphans.distinct().order_by("name_sort"):
        if not Superior.objects.filter(territories.holding_on(on), organisation=body).exists():
            message = gettext_noop("The superior of %(name)s ends: under whom does it stand?")
            work.decide("superior_ended", message, body)
    for r in _lost_territory(work):
        message = gettext_noop("%(unit)s is gone; for which unit does %(name)s answer now?")
        work.decide("territory_ended", message, r.organisation, unit=r.unit.full_name)
    _shared(work)
    for survey in surveys:
        work.decisions += survey(ended, on, at)
    unverified = sum(not row["verified"] for row in (*work.founded, *work.changed))
    if unverified:
        message = gettext_noop("%(count)s facts of the file were not seen in a source: have them confirmed.")
        work.decide("unverified", message, count=unverified)


def _lost_territory(work: _Work) -> list[Responsibility]:
    """Return what bodies near the file answered for and is gone; where only the row is new and the land the same, follow it."""
    on = work.on
    named = [o.pk for o in work.bodies.values()]
    near = Q(organisation__in=named) | Q(organisation__superiors__superior__in=named)
    near |= Q(organisation__subordinates__organisation__in=named)
    rows = Responsibility.objects.filter(
        territories.holding_on(on), territories.holding_on(on, "organisation__"), near, unit__valid_until=on
    )
    lost = []
    for r in rows.distinct().select_related("organisation", "unit").order_by("organisation__name_sort", "unit__name_sort"):
        heirs = territories.heirs_of(r.unit)
        if len(heirs) == 1 and len(territories.forebears_of(heirs[0].successor)) == 1:
            Responsibility.objects.filter(pk=r.pk).update(valid_until=on)
            Responsibility.objects.get_or_create(
                organisation=r.organisation,
                unit=heirs[0].successor,
                valid_from=on,
                defaults={"source": r.source, "verified": r.verified},
            )
        else:
            lost.append(r)
    return lost


def _shared(work: _Work) -> None:
    """Ask who leads where two bodies of one kind answer for one unit, as stations do whose communes were joined."""
    touched = [*(c.organisation for c in work.plan.changes), *(b.key for b in work.plan.bodies)]
    ids = {work.bodies[k].pk for k in touched}
    rows = Responsibility.objects.filter(territories.holding_on(work.on), territories.holding_on(work.on, "organisation__"))
    groups: dict[tuple[int, str], list[Responsibility]] = {}
    for r in rows.select_related("organisation", "unit").order_by("unit__name_sort", "organisation__name_sort"):
        groups.setdefault((r.unit_id, r.organisation.kind), []).append(r)
    for together in groups.values():
        if len(together) > 1 and any(r.organisation_id in ids for r in together):
            names = ", ".join(r.organisation.name for r in together)
            message = gettext_noop("%(unit)s: %(names)s all answer for it; which of them leads, and who reports to whom?")
            work.decide("territory_shared", message, unit=together[0].unit.full_name, names=names)


def _report(work: _Work) -> dict[str, Any]:
    touched = {row["key"] for rows in (work.founded, work.ended, work.changed) for row in rows}
    ids = [work.bodies[row["key"]].pk for row in work.ended]
    near = Organisation.objects.filter(territories.holding_on(work.on), territories.holding_on(work.on - timedelta(days=1)))
    stays = near.filter(subordinates__organisation__in=ids) | near.filter(superiors__superior__in=ids)
    old_units = {(p["level"], p["code"], p["name"], p["parent"]): p for u in work.units for p in u["from"]}
    counts = {
        "units_before": len(old_units),
        "units_after": len(work.units),
        "founded": len(work.founded),
        "ended": len(work.ended),
        "changed": len(work.changed),
        "decisions": len(work.decisions),
    }
    for flag in ("land_border", "coastal"):
        counts[f"{flag}_before"] = sum(flag in p["flags"] for p in old_units.values())
        counts[f"{flag}_after"] = sum(flag in u["flags"] for u in work.units)
    return {
        "act": nfc(work.plan.act),
        "counts": counts,
        "units": work.units,
        "founded": work.founded,
        "ended": work.ended,
        "changed": work.changed,
        "stays": [_named(o) for o in stays.exclude(key__in=touched).distinct().order_by("name_sort")],
        "decisions": work.decisions,
    }
