"""Writing duties: making them from rules, discharging them by dispatches, waiving and suspending them.

Everything may be done twice: a duty is made once per `reference`, and what a dispatch does to a duty is computed anew
from all dispatches linked to it.
"""

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext

from hiepdong.accounts import queries as accounts
from hiepdong.accounts.domain.permissions import Action
from hiepdong.accounts.models import Seat
from hiepdong.exchange import services as exchange
from hiepdong.exchange.domain.classified import refuse_classified
from hiepdong.exchange.models import Addressee, Dispatch, Kind
from hiepdong.journal.models import Entry
from hiepdong.journal.services import record
from hiepdong.kernel.errors import DomainError, NotFound, gettext_noop
from hiepdong.kernel.moments import at_local, local_day
from hiepdong.kernel.validity import Validity
from hiepdong.organisations import queries as organisations
from hiepdong.organisations.models import Organisation
from hiepdong.regulations.models import DutyRule, Instrument

from . import queries
from .calendar_source import national_calendar
from .domain.calendar import Calendar
from .domain.deadline import DueMoment, due_moment, read_deadline
from .domain.occasions import Occasion, occasions
from .domain.selection import Body, in_order, paired, selected
from .domain.status import Status, Version, anchor_of
from .models import Duty, Exemption, Link, Pair


class NoSuchInstrument(DomainError):
    """No version of the instrument is loaded."""

    code = "duties.no_such_instrument"
    message = gettext_noop("No regulation with the key %(key)s is loaded.")
    hint = gettext_noop("Load its file first: hiepdong regulation load FILE.")


class NotAnEventRule(DomainError):
    """The rule does not exist in the version in force, or is not triggered by events."""

    code = "duties.not_an_event_rule"
    message = gettext_noop("%(rule)s is not a duty that an event starts, on %(on)s.")
    hint = gettext_noop("Choose a duty of the regulation in force whose trigger is an event.")


class NobodyConcerned(DomainError):
    """The event starts no duty of this debtor."""

    code = "duties.nobody_concerned"
    message = gettext_noop("Under %(rule)s this organisation owes nothing to anybody on %(on)s.")
    hint = gettext_noop("Check who is bound by the duty and whose territory the event lies in.")


class NotForYouToDecide(DomainError):
    """The rule does not let this organisation waive or suspend."""

    code = "duties.not_for_you_to_decide"
    message = gettext_noop("Under clause %(clause)s your organisation may not decide this.")
    hint = gettext_noop("Ask the organisation that the regulation names for it.")


class NotOpen(DomainError):
    """The duty is no longer open."""

    code = "duties.not_open"
    message = gettext_noop("This duty is no longer open.")
    hint = gettext_noop("Only a duty that was not fulfilled and not waived can be waived or suspended.")


class ReasonMissing(DomainError):
    """A decision needs its reason."""

    code = "duties.reason_missing"
    message = gettext_noop("Write the reason of the decision.")
    hint = gettext_noop("The reason is kept with the duty and shown to both sides.")


class SuspensionEnds(DomainError):
    """The suspension would end before it begins."""

    code = "duties.suspension_ends"
    message = gettext_noop("The suspension must end after it begins.")
    hint = gettext_noop("Choose a later day, or leave the end open.")


# --- making ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Made:
    """What one run made: new duties, those that were there, provisional ones among the new, and rules for nobody.

    `renewed` and `dropped` count duties ahead, not open yet, that were made before something changed: an amendment, the days
    off, the bodies.
    """

    made: int
    present: int
    provisional: int
    without_parties: tuple[str, ...]  # keys of rules whose selectors found no pair in any occasion
    renewed: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class _Due:
    """The due moment of one rule, tier and occasion, computed once and shared by all its duties."""

    due: DueMoment
    explanation: list[dict[str, Any]]


@transaction.atomic
def make_duties(*, instrument_key: str, until: date, actor: Seat | None, at: datetime, since: date | None = None) -> Made:
    """Make every duty of the instrument whose period or day ends from `since` to `until`, both local and inclusive.

    The rules are those of the version in force on the last day of the period, so old periods keep the old rules; the
    bodies and their relations are those of that day. Running it again adds only what is missing. The number of queries
    grows with rules and occasions, never with duties.

    Duties are made far ahead, so a rule, the days off or the bodies may change before one opens. Until it opens, nobody could
    fulfil it: it is made anew under what holds now, or dropped where nobody owes it any more. From then on it is never changed.

    Raises:
        NoSuchInstrument: nothing is loaded under that key.
        CalendarTooShort: a due moment leaves the working-day calendar.
    """
    versions = list(Instrument.objects.filter(key=instrument_key).defer("file_bytes").order_by("version"))
    if not versions:
        raise NoSuchInstrument(key=instrument_key)
    calendar = national_calendar()
    relations = _Relations()
    first = max(since or versions[0].effective_from, min(v.effective_from for v in versions))
    made = present = provisional = renewed = 0
    idle: list[str] = []
    ahead = _not_open_yet(instrument_key, first, until, at)
    for version in versions:
        bodies = _bodies_of(version)
        own = queries.own_families(version)
        for rule in version.rules.order_by("key"):
            wanted: list[Duty] = []
            pairs: list[tuple[Body, Body]] = []
            for occasion in occasions(rule.spec["trigger"], own, first, until):
                if version_in_force(versions, occasion.last) is not version:
                    continue
                found = paired(rule.spec, bodies, occasion.last, relations.table)
                copies = _copies(rule, found, bodies, occasion.last, relations)
                dues: dict[str, _Due] = {}
                for debtor, creditor in found:
                    if debtor.kind not in dues:
                        dues[debtor.kind] = _due_of(rule, occasion, debtor.kind, calendar)
                    duty = _duty(
                        rule=rule,
                        instrument_key=instrument_key,
                        debtor=debtor,
                        creditor=creditor,
                        occasion=occasion,
                        due=dues[debtor.kind],
                        calendar=calendar,
                        at=at,
                    )
                    duty.copies = copies.get(debtor.id, [])
                    wanted.append(duty)
                    pairs.append((debtor, creditor))
            if not wanted:
                if rule.spec["trigger"]["type"] != "event" and occasions(rule.spec["trigger"], own, first, until):
                    idle.append(rule.key)
                continue
            new = _store(instrument_key, rule, wanted, pairs)
            made += len(new)
            present += len(wanted) - len(new)
            provisional += sum(d.provisional for d in new)
            renewed += _renew(wanted, ahead)
    Duty.objects.filter(pk__in=[d.pk for d in ahead.values()]).delete()  # what nobody owes any more
    if made or renewed or ahead:
        facts = {"made": made, "present": present, "provisional": provisional, "until": until.isoformat()}
        facts |= {"renewed": renewed, "dropped": len(ahead)} if renewed or ahead else {}
        record("duties.duty.made", subject=versions[-1], actor=actor, at=at, name=versions[-1].title, facts=facts)
    return Made(made, present, provisional, tuple(sorted(set(idle))), renewed, len(ahead))


def _not_open_yet(instrument_key: str, first: date, until: date, at: datetime) -> dict[str, Duty]:
    """Return by reference the duties that are there, may not be fulfilled yet, and to which nothing was sent or decided."""
    found = Duty.objects.filter(rule__instrument__key=instrument_key, period_to__range=(first, until), opens_at__gt=at)
    found = found.filter(fulfilled_at=None, waived_at=None, suspended_from=None, links=None, exemptions=None)
    found = found.exclude(occasion__startswith="event:").select_for_update(of=("self",))
    return {d.reference: d for d in found.only("reference", "rule_id", "calendar_digest", "copies")}


_OF_THE_RULE = ("rule", "copies", "period_from", "period_to", "opens_at", "due_at", "provisional", "explanation")


def _renew(wanted: list[Duty], ahead: dict[str, Duty]) -> int:
    """Bring duties ahead up to what holds now, take those still owed out of `ahead`, and return how many were changed."""
    changed = []
    for duty in wanted:
        before = ahead.pop(duty.reference, None)
        now = (duty.rule_id, duty.calendar_digest, duty.copies)
        if before is not None and (before.rule_id, before.calendar_digest, before.copies) != now:
            duty.pk = before.pk
            changed.append(duty)
    Duty.objects.bulk_update(changed, [*_OF_THE_RULE, "calendar_digest", "made_at"], batch_size=500)
    return len(changed)


def version_in_force(versions: Collection[Instrument], on: date) -> Instrument | None:
    """Return the latest version that is in force on the local day, or None."""
    holding = [v for v in versions if Validity(v.effective_from, v.effective_until).holds_on(on)]
    return max(holding, key=lambda v: v.version, default=None)


def rules_for_nobody(version: Instrument, on: date) -> list[DutyRule]:
    """Return the rules of a version whose selectors choose no pair of bodies on the day; mostly a slip in the file."""
    bodies, relations = _bodies_of(version), _Relations()
    return [r for r in version.rules.order_by("id") if not paired(r.spec, bodies, on, relations.table)]


class _Relations:
    """Relations between bodies, asked once per day and set of bodies."""

    def __init__(self) -> None:
        self.known: dict[tuple[Any, ...], set[tuple[int, int]]] = {}
        self.table = {
            name: self._remembering(name, ask)
            for name, ask in (
                ("same_territory", organisations.same_territory_pairs),
                ("superior", lambda d, c, on: organisations.superior_pairs(d, on)),
                ("subordinate", lambda d, c, on: {(b, a) for a, b in organisations.superior_pairs(c, on)}),
            )
        }

    def _remembering(self, name: str, ask: Any) -> Any:
        def asked(debtors: Collection[int], creditors: Collection[int], on: date) -> set[tuple[int, int]]:
            key = (name, frozenset(debtors), frozenset(creditors), on)
            if key not in self.known:
                self.known[key] = ask(debtors, creditors, on)
            return self.known[key]

        return asked


def _bodies_of(version: Instrument) -> list[Body]:
    """Return the parties, and every body that a rule names by key, as they are known to the node."""
    sides = dict(version.parties.values_list("organisation_id", "side"))
    keys = set()
    for spec in version.rules.values_list("spec", flat=True):
        for selector in (spec["debtor"], spec["creditor"], *spec.get("copies", ())):
            keys |= {selector["organisation"]} if selector.get("organisation") else set()
    found = Organisation.objects.filter(Q(pk__in=sides) | Q(key__in=keys))
    return [Body(o.pk, o.key, o.kind, sides.get(o.pk, ""), Validity(o.valid_from, o.valid_until)) for o in found]


def _copies(
    rule: DutyRule, found: list[tuple[Body, Body]], bodies: list[Body], on: date, relations: _Relations
) -> dict[int, list[int]]:
    """Return the ids of the organisations that receive a copy, per debtor."""
    result: dict[int, set[int]] = {}
    debtors = {d.id for d, _ in found}
    for selector in rule.spec.get("copies", ()):
        others = selected(selector, bodies, on)
        relation = relations.table.get(selector.get("relation", "any"))
        allowed = relation(sorted(debtors), [o.id for o in others], on) if relation else None
        for debtor in debtors:
            chosen = {o.id for o in others if o.id != debtor and (allowed is None or (debtor, o.id) in allowed)}
            result.setdefault(debtor, set()).update(chosen)
    return {debtor: sorted(ids) for debtor, ids in result.items()}


def _due_of(rule: DutyRule, occasion: Occasion, tier: str, calendar: Calendar) -> _Due:
    deadline = read_deadline(rule.spec["deadline"], clause=rule.clause)
    due = due_moment(deadline, calendar=calendar, cut_off=occasion.last, tier=tier, label=occasion.label, first=occasion.first)
    return _Due(due, [step.as_dict() for step in due.steps])


def _duty(
    *,
    rule: DutyRule,
    instrument_key: str,
    debtor: Body,
    creditor: Body,
    occasion: Occasion,
    due: _Due,
    calendar: Calendar,
    at: datetime,
) -> Duty:
    return Duty(
        rule=rule,
        debtor_id=debtor.id,
        creditor_id=creditor.id,
        reference=f"{instrument_key}/{rule.key}/{debtor.key}/{creditor.key}/{occasion.label}",
        occasion=occasion.label,
        period_from=occasion.first,
        period_to=occasion.last,
        opens_at=min(at_local(occasion.opens_on), due.due.due_at),
        due_at=due.due.due_at,
        provisional=due.due.provisional,
        explanation=due.explanation,
        calendar_digest=calendar.digest,
        made_at=at,
    )


def _store(instrument_key: str, rule: DutyRule, duties: list[Duty], pairs: list[tuple[Body, Body]]) -> list[Duty]:
    """Store the duties whose reference is not there yet and return them; pairs are made as needed."""
    first, last = min(d.period_to for d in duties), max(d.period_to for d in duties)
    same = Duty.objects.filter(rule__key=rule.key, rule__instrument__key=instrument_key)
    present = set(same.filter(period_to__gte=first, period_to__lte=last).values_list("reference", flat=True))
    new = [(d, in_order(*p)) for d, p in zip(duties, pairs, strict=True) if d.reference not in present]
    if not new:
        return []
    known = {(p.first_id, p.second_id): p for p in Pair.objects.filter(instrument_key=instrument_key)}
    missing = {(a.id, b.id) for _, (a, b) in new if (a.id, b.id) not in known and (b.id, a.id) not in known}
    if missing:
        rows = [Pair(instrument_key=instrument_key, first_id=a, second_id=b) for a, b in sorted(missing)]
        Pair.objects.bulk_create(rows, ignore_conflicts=True)
        known = {(p.first_id, p.second_id): p for p in Pair.objects.filter(instrument_key=instrument_key)}
    for duty, (a, b) in new:
        duty.pair = known.get((a.id, b.id)) or known[b.id, a.id]
    made = [d for d, _ in new]
    Duty.objects.bulk_create(made, batch_size=1000, ignore_conflicts=True)
    return made


@transaction.atomic
def open_event_duty(
    *,
    instrument_key: str,
    rule_key: str,
    debtor_key: str,
    event_at: datetime,
    actor: Seat | None,
    at: datetime,
    event_id: uuid.UUID | None = None,
) -> list[Duty]:
    """Open the duties that an event starts for one debtor, one per creditor, counted from `event_at`.

    `event_at` is the moment the rule counts from (happened, found or received); when it was entered is `at`, another
    fact. The same `event_id` opens nothing twice; it is derived from rule, debtor and moment where none is given.

    Raises:
        NoSuchInstrument, NotAnEventRule, NobodyConcerned: nothing is opened.
        NotAllowed: the seat may not draft, or speaks for neither the debtor nor a creditor.
    """
    if event_at.tzinfo is None:
        raise ValueError("event_at must be aware")
    versions = list(Instrument.objects.filter(key=instrument_key).defer("file_bytes"))
    if not versions:
        raise NoSuchInstrument(key=instrument_key)
    on = local_day(event_at)
    version = version_in_force(versions, on)
    rule = version.rules.filter(key=rule_key).first() if version else None
    if version is None or rule is None or rule.spec["trigger"]["type"] != "event":
        raise NotAnEventRule(rule=rule_key, on=f"{on:%d/%m/%Y}")
    bodies = _bodies_of(version)
    relations = _Relations()
    found = [p for p in paired(rule.spec, bodies, on, relations.table) if p[0].key == debtor_key]
    if not found:
        raise NobodyConcerned(rule=rule.title, on=f"{on:%d/%m/%Y}")
    if actor is not None:
        accounts.require(actor, Action.DRAFT)
        if actor.organisation_id not in {b.id for pair in found for b in pair}:
            raise NotFound
    label_id = event_id or uuid.uuid5(
        uuid.NAMESPACE_URL, f"{instrument_key}/{rule_key}/{debtor_key}/{event_at.astimezone(UTC).isoformat()}"
    )
    calendar = national_calendar()
    deadline = read_deadline(rule.spec["deadline"], clause=rule.clause)
    due = due_moment(deadline, calendar=calendar, event_at=event_at, tier=found[0][0].kind)
    shared = _Due(due, [step.as_dict() for step in due.steps])
    occasion = Occasion(f"event:{label_id}", on, on, on)
    copies = _copies(rule, found, bodies, on, relations)
    duties = []
    for debtor, creditor in found:
        duty = _duty(
            rule=rule,
            instrument_key=instrument_key,
            debtor=debtor,
            creditor=creditor,
            occasion=occasion,
            due=shared,
            calendar=calendar,
            at=at,
        )
        duty.opens_at, duty.copies = event_at, copies.get(debtor.id, [])
        duties.append(duty)
    new = _store(instrument_key, rule, duties, found)
    if new:
        facts = {"made": len(new), "event_at": event_at.isoformat(), "occasion": occasion.label}
        record("duties.duty.made", subject=version, actor=actor, at=at, name=rule.title, facts=facts)
    return list(Duty.objects.filter(reference__in=[d.reference for d in duties]).order_by("reference"))


# --- reactions to dispatches -----------------------------------------------------------------------------------------


@transaction.atomic
def discharge_by_dispatch(entry: Entry, at: datetime) -> None:
    """React to `exchange.dispatch.sent`: link the dispatch to the duties it answers and compute who is fulfilled.

    A dispatch speaks to a duty only when its sender is the debtor and the creditor is among its addressees. A
    replacement speaks also to the duties of what it replaces; a withdrawal to those of what it withdraws.
    """
    dispatch = Dispatch.objects.select_related("replaces").defer("signed").filter(pk=entry.subject_id).first()
    if dispatch is None:
        return
    verdicts = dict(Addressee.objects.filter(dispatch=dispatch).values_list("organisation_id", "returned_at"))
    is_withdrawal = dispatch.kind == Kind.WITHDRAWAL
    target = dispatch.replaces_id
    about = Q(reference__in=dispatch.answers)
    if is_withdrawal:
        taken = Dispatch.objects.filter(uuid=entry.facts.get("withdraws"), sender=dispatch.sender_id)
        target = taken.values_list("pk", flat=True).first()
        about = Q(links__dispatch=target, links__dispatch__isnull=False)
    elif target is not None:
        about |= Q(links__dispatch=target)
    ids = Duty.objects.filter(about, debtor=dispatch.sender_id).values_list("pk", flat=True)
    # locked in the order of their numbers, so that two reactions never wait for each other
    duties = list(Duty.objects.select_for_update().filter(pk__in=set(ids)).order_by("pk"))
    concerned = [d for d in duties if d.creditor_id in verdicts]
    links = [
        Link(
            duty=duty,
            dispatch=dispatch,
            part=Link.Part.WITHDRAWAL if is_withdrawal else Link.Part.VERSION,
            takes_back_id=target if is_withdrawal else None,
            sent_at=dispatch.sent_at,
            returned_at=verdicts[duty.creditor_id],
        )
        for duty in concerned
    ]
    Link.objects.bulk_create(links, ignore_conflicts=True)
    _anchor(concerned, at)


@transaction.atomic
def reopen_by_return(entry: Entry, at: datetime) -> None:
    """React to `exchange.dispatch.returned`: a version returned by the creditor does not count.

    The entry's subject is the dispatch, or the addressee who returned it.
    """
    returned = Addressee.objects.filter(returned_at__isnull=False)
    if entry.subject_kind.endswith("Addressee"):
        returned = returned.filter(pk=entry.subject_id)
    else:
        returned = returned.filter(dispatch_id=int(entry.subject_id))
    verdicts = {a.organisation_id: a for a in returned}
    if not verdicts:
        return
    dispatch_id = next(iter(verdicts.values())).dispatch_id
    links = Link.objects.filter(dispatch=dispatch_id, duty__creditor__in=verdicts)
    duties = list(Duty.objects.select_for_update().filter(pk__in=links.values("duty")).order_by("pk"))
    creditors = {d.pk: d.creditor_id for d in duties}
    for link in links:
        link.returned_at = verdicts[creditors[link.duty_id]].returned_at
        link.save(update_fields=["returned_at"])
    _anchor(duties, at)


def _anchor(duties: list[Duty], at: datetime) -> None:
    """Compute anew, from every linked dispatch, by which version each duty is fulfilled; write only what changed."""
    if not duties:
        return
    links = Link.objects.filter(duty__in=duties).select_related("dispatch", "duty__rule").defer("dispatch__signed")
    by_duty: dict[int, list[Link]] = {}
    for link in links:
        by_duty.setdefault(link.duty_id, []).append(link)
    for duty in duties:
        mine = by_duty.get(duty.pk, [])
        taken_back = {x.takes_back_id for x in mine if x.part == Link.Part.WITHDRAWAL}
        versions = [
            Version(
                key=x.dispatch_id,
                sent_at=x.sent_at,
                nil=x.dispatch.kind == Kind.NIL_REPORT,
                returned=x.returned_at is not None,
                withdrawn=x.dispatch_id in taken_back,
                replaces=x.dispatch.replaces_id,
            )
            for x in mine
            if x.part == Link.Part.VERSION
            and (x.dispatch.kind != Kind.NIL_REPORT or x.duty.rule.spec["content"].get("nil_allowed", False))
        ]
        anchor = anchor_of(versions)
        before = (duty.fulfilled_at, duty.fulfilled_by_id, duty.nil)
        was_open = duty.fulfilled_at is None
        duty.fulfilled_at = anchor.sent_at if anchor else None
        duty.fulfilled_by_id = anchor.key if anchor else None
        duty.nil = anchor is not None and anchor.nil
        if before == (duty.fulfilled_at, duty.fulfilled_by_id, duty.nil):
            continue
        duty.save(update_fields=["fulfilled_at", "fulfilled_by", "nil"])
        facts = {"fulfilled_at": anchor.sent_at.isoformat(), "dispatch": anchor.key} if anchor else {}
        code = "duties.duty.discharged" if anchor else "duties.duty.reopened"
        if anchor is not None or not was_open:
            record(code, subject=duty, actor=None, at=at, name=duty.reference, facts=facts)


# --- decisions -------------------------------------------------------------------------------------------------------


@transaction.atomic
def waive_duty(*, duty_id: int | str, actor: Seat, at: datetime, reason: str) -> Duty:
    """Waive an open duty, by whom the rule allows, with a reason. Waiving again changes nothing."""
    duty = _decided_on(duty_id, actor, "may_waive", reason)
    if duty.waived_at is not None:
        return duty
    if duty.fulfilled_at is not None:
        raise NotOpen
    duty.waived_at = at
    duty.save(update_fields=["waived_at"])
    _decide(duty, kind=Exemption.Kind.WAIVER, actor=actor, at=at, ends_at=None, reason=reason)
    return duty


@transaction.atomic
def suspend_duty(*, duty_id: int | str, actor: Seat, at: datetime, reason: str, until: datetime | None = None) -> Duty:
    """Suspend an open duty from now until `until` (exclusive; None: until further notice), with a reason.

    Doing the same again changes nothing. A suspension does not move the due moment: when it ends, the duty is what it
    was, and only a waiver takes it away.
    """
    duty = _decided_on(duty_id, actor, "may_suspend", reason)
    if until is not None and until <= at:
        raise SuspensionEnds
    if duty.status_at(at) is Status.SUSPENDED and duty.suspended_until == until:
        return duty
    if duty.fulfilled_at is not None or duty.waived_at is not None:
        raise NotOpen
    duty.suspended_from, duty.suspended_until = at, until
    duty.save(update_fields=["suspended_from", "suspended_until"])
    _decide(duty, kind=Exemption.Kind.SUSPENSION, actor=actor, at=at, ends_at=until, reason=reason)
    return duty


def _decided_on(duty_id: int | str, actor: Seat, right: str, reason: str) -> Duty:
    duty = queries.duty_for(actor, duty_id, for_update=True)
    accounts.require(actor, Action.WAIVE)
    if not queries.may_decide(actor, duty, right):
        raise NotForYouToDecide(clause=duty.rule.clause)
    if not reason.strip():
        raise ReasonMissing
    refuse_classified(reason)
    return duty


def _decide(duty: Duty, *, kind: Exemption.Kind, actor: Seat, at: datetime, ends_at: datetime | None, reason: str) -> None:
    Exemption.objects.create(
        duty=duty, kind=kind, decided_by=actor, decided_at=at, starts_at=at, ends_at=ends_at, reason=reason.strip()
    )
    code = "duties.duty.waived" if kind is Exemption.Kind.WAIVER else "duties.duty.suspended"
    record(code, subject=duty, actor=actor, at=at, name=duty.reference, facts={"reason": reason.strip()[:300]})


class NilNotAllowed(DomainError):
    """The rule asks for more than "no change"."""

    code = "duties.nil_not_allowed"
    message = gettext_noop("The regulation does not allow a nil report here.")
    hint = gettext_noop("Write the report or notice that the clause asks for.")


@transaction.atomic
def send_nil(*, duty_id: int | str, actor: Seat, at: datetime) -> Dispatch:
    """Sign and send "no change" for an open duty of the actor's organisation; sent already, it is not sent again.

    Raises:
        NotFound: the duty is another body's. NilNotAllowed: the rule asks for more.
    """
    duty = queries.duty_for(actor, duty_id, at=at, for_update=True)
    queries.require_debtor(actor, duty)
    if not duty.rule.spec["content"].get("nil_allowed"):
        raise NilNotAllowed
    earlier = Dispatch.objects.filter(duty_links__duty=duty, duty_links__returned_at__isnull=True).first()
    if earlier is not None:
        return earlier
    earlier = Dispatch.objects.filter(sender=actor.organisation_id, kind=Kind.NIL_REPORT, answers=[duty.reference]).first()
    if earlier is not None and not earlier.addressees.filter(returned_at__isnull=False).exists():
        return earlier
    content = queries.first_content(duty)
    known = organisations.organisations_by_ids([duty.creditor_id, *duty.copies])
    item = exchange.Outgoing(
        kind=Kind.NIL_REPORT,
        sender=duty.debtor,
        to=[known[duty.creditor_id]],
        copies=[known[i] for i in duty.copies],
        subject=f"{content['subject']}: {gettext('no change')}",
        sent_at=at,
        body={"text": gettext("No change since the period before.")},
        answers=[duty.reference],
    )
    return exchange.send(item=item, actor=actor, at=at)
