"""Reading duties. A duty is visible to a seat when its debtor or its creditor is in what the seat may see.

Every duty returned has `status` (a `domain.status.Status` at the moment asked) and its rule, instrument, pair, debtor
and creditor loaded; its explanation is loaded only by `duty_for`.
"""

import re
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import Case, CharField, Count, F, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Cast, Substr
from django.utils.translation import gettext

from hiepdong.accounts import queries as accounts
from hiepdong.accounts.models import Seat
from hiepdong.exchange.domain.dispatch import MADE_UP
from hiepdong.exchange.models import Addressee, Dispatch, Draft, Kind
from hiepdong.journal.queries import entries_about
from hiepdong.kernel.errors import NotFound, gettext_noop
from hiepdong.kernel.moments import VIET_NAM, at_local, local_day
from hiepdong.kernel.text import fold
from hiepdong.organisations import queries as organisations
from hiepdong.organisations.models import Organisation
from hiepdong.regulations.models import DutyRule, Instrument
from hiepdong.shell.pages import page_of
from hiepdong.shell.templatetags.hiepdong import occasion

from .domain.occasions import families_of
from .domain.periods import Family
from .domain.punctuality import Counts, count
from .domain.reminders import reminder_days
from .domain.silence import Silence
from .domain.silence import silences as gaps_in
from .domain.status import Facts, Status, status_of
from .models import Duty, Pair

DAY = timedelta(days=1)
PAGE = 50
EXPECTED = "expected"  # as a filter: on time, late and missing together
BOARD_PAGE = 30
OPEN = {Status.NOT_YET_DUE, Status.DUE, Status.OVERDUE}  # what can still be called to mind
RELATED = ("rule", "rule__instrument", "rule__form", "pair", "debtor", "creditor", "fulfilled_by")
HEAVY = ("explanation", "rule__instrument__file_bytes", "rule__form__definition", "fulfilled_by__signed")

STATUS_NAMES = {
    Status.NOT_YET_DUE: gettext_noop("not yet due"),
    Status.DUE: gettext_noop("to do"),
    Status.FULFILLED: gettext_noop("on time"),
    Status.FULFILLED_LATE: gettext_noop("fulfilled late"),
    Status.OVERDUE: gettext_noop("overdue"),
    Status.WAIVED: gettext_noop("waived"),
    Status.SUSPENDED: gettext_noop("suspended"),
}


# --- the gate and the status as conditions ---------------------------------------------------------------------------


def visible_q(seat: Seat) -> Q:
    """Return the condition "a party of the duty is in what the seat may see"."""
    ids = accounts.visible_organisation_ids(seat)
    return Q(debtor__in=ids) | Q(creditor__in=ids)


def _own_q(seat: Seat) -> Q:
    """Return what `visible_q` comes to for duties of the seat's own organisation: all of them, or none if it reads nothing."""
    return Q() if seat.organisation_id in accounts.visible_organisation_ids(seat) else Q(pk__in=())


def _visible_pairs_q(seat: Seat) -> Q:
    """Return the same condition by the pairs: debtor and creditor are its two sides.

    Pairs are few and duties are many: who sees every pair (a province) is not asked of every duty, and the others have one
    list to look up in the index instead of two to put together.
    """
    ids = accounts.visible_organisation_ids(seat)
    seen = set(Pair.objects.filter(Q(first__in=ids) | Q(second__in=ids)).values_list("pk", flat=True))
    return Q() if seen and len(seen) == Pair.objects.count() else Q(pair__in=seen)


def status_q(status: Status, at: datetime) -> Q:
    """Return `domain.status.status_of(...) == status` as a condition; a property test holds the two together."""
    fulfilled = Q(fulfilled_at__lte=at)
    if status is Status.FULFILLED:
        return fulfilled & Q(fulfilled_at__lt=F("due_at"))
    if status is Status.FULFILLED_LATE:
        return fulfilled & Q(fulfilled_at__gte=F("due_at"))
    open_ = Q(fulfilled_at__isnull=True) | Q(fulfilled_at__gt=at)
    if status is Status.WAIVED:
        return open_ & Q(waived_at__lte=at)
    open_ &= Q(waived_at__isnull=True) | Q(waived_at__gt=at)
    if status is Status.SUSPENDED:
        return open_ & Q(suspended_from__lte=at) & (Q(suspended_until__isnull=True) | Q(suspended_until__gt=at))
    open_ &= Q(suspended_from__isnull=True) | Q(suspended_from__gt=at) | Q(suspended_until__lte=at)
    if status is Status.NOT_YET_DUE:
        return open_ & Q(opens_at__gt=at)
    return open_ & Q(opens_at__lte=at) & (Q(due_at__gt=at) if status is Status.DUE else Q(due_at__lte=at))


def status_case(at: datetime) -> Case:
    """Return the status as a column: the database then hands over one word and not six moments per duty."""
    rest = [s for s in Status if s is not Status.OVERDUE]
    cases = [When(status_q(status, at), then=Value(status.value)) for status in rest]
    return Case(*cases, default=Value(Status.OVERDUE.value), output_field=CharField())


def _with_status(duties: Iterable[Duty], at: datetime) -> list[Duty]:
    found = list(duties)
    for duty in found:
        duty.status = duty.status_at(at)  # type: ignore[attr-defined]
        duty.status_name = gettext(STATUS_NAMES[duty.status])  # type: ignore[attr-defined]
        duty.reminded_today = duty.status in OPEN and local_day(at) in reminders_of(duty)  # type: ignore[attr-defined]
    return found


def _shown() -> QuerySet[Duty]:
    return Duty.objects.select_related(*RELATED).defer(*HEAVY)


# --- the desk --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Desk:
    """Open duties of one organisation, soonest first, each list cut at the limit; `counts` are of all, uncut."""

    overdue: list[Duty]
    due: list[Duty]
    upcoming: list[Duty]
    counts: dict[str, int] = field(default_factory=dict)


def owed_by(seat: Seat, at: datetime, limit: int = 10) -> Desk:
    """Return what the seat's own organisation owes: overdue, to do, coming next."""
    return _desk(seat, Q(debtor=seat.organisation_id), at, limit)


def awaited_by(seat: Seat, at: datetime, limit: int = 10) -> Desk:
    """Return what the seat's own organisation waits for: overdue, to come, coming next."""
    return _desk(seat, Q(creditor=seat.organisation_id), at, limit)


def _desk(seat: Seat, side: Q, at: datetime, limit: int) -> Desk:
    mine = side & _own_q(seat)
    conditions = {s: status_q(s, at) for s in (Status.OVERDUE, Status.DUE, Status.NOT_YET_DUE)}
    lists = [
        _with_status(_shown().filter(mine, condition).order_by("due_at", "id")[:limit], at) for condition in conditions.values()
    ]
    open_ = Q(fulfilled_at__isnull=True) | Q(fulfilled_at__gt=at)  # in every condition; said here, the few are found by index
    counts = Duty.objects.filter(mine, open_).aggregate(**{s.value: Count("id", filter=c) for s, c in conditions.items()})
    return Desk(lists[0], lists[1], lists[2], counts)


def recent(seat: Seat, at: datetime, limit: int = 10) -> list[Duty]:
    """Return the duties of the seat's own organisation, owed or awaited, fulfilled most recently."""
    found: dict[int, Duty] = {}
    for side in ("debtor", "creditor"):
        mine = _shown().filter(_own_q(seat), **{side: seat.organisation_id}, fulfilled_at__lte=at)
        found |= {d.pk: d for d in mine.order_by("-fulfilled_at")[:limit]}
    ordered = sorted(found.values(), key=lambda d: (d.fulfilled_at, d.pk), reverse=True)
    return _with_status(ordered[:limit], at)


# --- one duty --------------------------------------------------------------------------------------------------------


def duty_for(seat: Seat | None, reference: str | int, *, at: datetime | None = None, for_update: bool = False) -> Duty:
    """Return one duty by its reference or its number: the one gate. No seat means the system itself.

    Raises:
        NotFound: it does not exist, or the seat may not see it.
    """
    duties = Duty.objects.select_related(*RELATED).defer(*HEAVY[1:])
    if for_update:
        duties = duties.select_for_update(of=("self",))
    if seat is not None:
        duties = duties.filter(visible_q(seat))
    text = str(reference)
    numbered = text.isascii() and text.isdigit() and len(text) < 19
    duty = duties.filter(pk=int(text)).first() if numbered else duties.filter(reference=text).first()
    if duty is None:
        raise NotFound
    if at is not None:
        _with_status([duty], at)
    return duty


def duties_by_reference(seat: Seat | None, references: Sequence[str], at: datetime) -> list[Duty]:
    """Return the visible duties among the references, in the order of the references."""
    found = _shown().filter(reference__in=references)
    if seat is not None:
        found = found.filter(visible_q(seat))
    place = {reference: i for i, reference in enumerate(references)}
    return sorted(_with_status(found, at), key=lambda d: place[d.reference])


@dataclass(frozen=True, slots=True)
class HistoryItem:
    """One fact of a duty's life: `kind` is made, opened, due, reminder, version, withdrawal, returned, waiver, suspension,
    or a journal code; `dispatch` is set where one is behind it."""

    at: datetime
    kind: str
    text: str
    actor: str = ""
    reason: str = ""
    dispatch: Any = None


def duty_history(seat: Seat, duty: Duty, at: datetime) -> list[HistoryItem]:
    """Return the facts of the duty up to the moment, oldest first. The caller has passed `duty_for`."""
    items = [
        HistoryItem(duty.made_at, "made", gettext("The duty was made from the regulation.")),
        HistoryItem(duty.opens_at, "opened", gettext("The period ended; the duty may be fulfilled.")),
        HistoryItem(duty.due_at, "due", gettext("From here on it is late.")),
    ]
    ladder = reminders_of(duty)
    for number, on in enumerate(ladder, 1):
        begins = at_local(on)
        if duty.status_at(begins) in OPEN:
            text = gettext("Reminder %(number)s of %(all)s.") % {"number": number, "all": len(ladder)}
            items.append(HistoryItem(begins, "reminder", text))
    for link in duty.links.select_related("dispatch__sender").defer("dispatch__signed").order_by("sent_at", "id"):
        text = gettext("Dispatch sent.") if link.part == "version" else gettext("Dispatch withdrawn.")
        items.append(HistoryItem(link.sent_at, link.part, text, link.dispatch.sender.name, dispatch=link.dispatch))
        if link.returned_at is not None:
            text = gettext("Dispatch returned.")
            items.append(HistoryItem(link.returned_at, "returned", text, duty.creditor.name, dispatch=link.dispatch))
    for e in duty.exemptions.select_related("decided_by__person", "decided_by__organisation").order_by("id"):
        text = gettext("The duty was waived.") if e.kind == "waiver" else gettext("The duty was suspended.")
        items.append(HistoryItem(e.decided_at, e.kind, text, e.decided_by.journal_name, e.reason))
    texts = {
        "duties.duty.discharged": gettext("The duty was fulfilled."),
        "duties.duty.reopened": gettext("The duty was opened again."),
    }
    items += [HistoryItem(e.at, e.code, texts[e.code]) for e in entries_about(duty) if e.code in texts]
    return sorted((i for i in items if i.at <= at), key=lambda i: i.at)


@dataclass(frozen=True, slots=True)
class ShownStep:
    """One step of the explanation in the reader's language; `skipped` are (day, name)."""

    number: int
    text: str
    clause: str
    result: str
    skipped: list[tuple[date, str]]


def explanation_of(duty: Duty) -> list[ShownStep]:
    """Return why the duty is due then, step by step."""
    return shown_steps(duty.explanation)


def shown_steps(steps: Iterable[Mapping[str, Any]]) -> list[ShownStep]:
    """Return stored steps as sentences: dates as 06/03/2026, instants as 17:00 06/03/2026 in Viet Nam."""
    return [
        ShownStep(
            number,
            gettext(step["message"]) % {k: occasion(v) if k == "label" else shown_value(v) for k, v in step["facts"].items()},
            step["clause"],
            shown_value(step["result"]),
            [(date.fromisoformat(d["on"]), gettext(d["name"])) for d in step["skipped"]],
        )
        for number, step in enumerate(steps, 1)
    ]


def shown_value(value: Any) -> Any:
    """Return an ISO date or instant as people write it; anything else unchanged."""
    if not isinstance(value, str) or not re.match(r"\d{4}-\d\d-\d\d", value):
        return value
    try:
        if len(value) == len("2026-03-06"):
            return f"{date.fromisoformat(value):%d/%m/%Y}"
        return f"{datetime.fromisoformat(value).astimezone(VIET_NAM):%H:%M %d/%m/%Y}"
    except ValueError:
        return value


# --- lists -----------------------------------------------------------------------------------------------------------

SORTS = {
    "due": ("due_at", "id"),
    "-due": ("-due_at", "-id"),
    "debtor": ("debtor__name_sort", "due_at", "id"),
    "creditor": ("creditor__name_sort", "due_at", "id"),
    "period": ("period_to", "due_at", "id"),
}


@dataclass(frozen=True, slots=True)
class Filters:
    """What a list of duties is narrowed to; empty means everything. `direction` is owed, awaited or empty."""

    instrument_key: str = ""
    rule_key: str = ""
    pair_id: int | None = None
    debtor_id: int | None = None
    creditor_id: int | None = None
    status: str = ""
    direction: str = ""
    first: date | None = None  # last day of the period, inclusive
    last: date | None = None  # inclusive
    ids: tuple[int, ...] = ()
    text: str = ""  # in the names of the two bodies, without marks
    sort: str = "due"


def duty_rows(seat: Seat, filters: Filters, at: datetime) -> QuerySet[Duty]:
    """Return the visible duties that meet the filters, in their order, without status; for pages and exports."""
    found = _shown().filter(_visible_pairs_q(seat))
    exact = {
        "rule__instrument__key": filters.instrument_key,
        "rule__key": filters.rule_key,
        "pair": filters.pair_id,
        "debtor": filters.debtor_id,
        "creditor": filters.creditor_id,
        "period_to__gte": filters.first,
        "period_to__lte": filters.last,
        "id__in": filters.ids,
    }
    found = found.filter(**{k: v for k, v in exact.items() if v})
    if filters.direction in {"owed", "awaited"}:
        found = found.filter(**{"debtor" if filters.direction == "owed" else "creditor": seat.organisation_id})
    if filters.status == EXPECTED:
        found = found.filter(Q(fulfilled_at__lte=at) | status_q(Status.OVERDUE, at))
    elif filters.status in set(Status):
        found = found.filter(status_q(Status(filters.status), at))
    if filters.text:
        part = fold(filters.text)
        found = found.filter(Q(debtor__name_folded__contains=part) | Q(creditor__name_folded__contains=part))
    return found.order_by(*SORTS.get(filters.sort, SORTS["due"]))


def duties_for(seat: Seat, filters: Filters, page: int | str | None, at: datetime) -> Page:
    """Return one page (50) of the visible duties that meet the filters, with status."""
    shown = page_of(duty_rows(seat, filters, at), page, PAGE)
    shown.object_list = _with_status(shown.object_list, at)
    return shown


def duties_with_status(seat: Seat, filters: Filters, at: datetime) -> Iterable[Duty]:
    """Yield every duty that meets the filters, with status; for a file, read in pieces."""
    for duty in duty_rows(seat, filters, at).iterator(chunk_size=500):
        yield from _with_status([duty], at)


def calendar_entries(seat: Seat, first: date, last: date, at: datetime) -> list[Duty]:
    """Return the duties of the seat's own organisation whose last day on time lies in the days, both inclusive.

    Waived duties are left out. `due_at` is exclusive, so a duty due on 6 March has due_at 7 March 00:00 local.
    """
    own = Q(debtor=seat.organisation_id) | Q(creditor=seat.organisation_id)
    window = Q(due_at__gt=at_local(first), due_at__lte=at_local(last + DAY))
    found = _shown().filter(own, window, _own_q(seat)).exclude(waived_at__lte=at)
    return _with_status(found.order_by("due_at", "id"), at)


# --- the regularity board --------------------------------------------------------------------------------------------

SHAPES = ("missing", "late", "open", "on_time", "exempt", "empty")
SHAPE_NAMES = {
    "missing": gettext_noop("missing"),
    "late": gettext_noop("late"),
    "open": gettext_noop("still open"),
    "on_time": gettext_noop("on time"),
    "exempt": gettext_noop("waived or suspended"),
    "empty": gettext_noop("nothing owed"),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One pair, one direction, one month: `shape` is the worst thing in it (order of SHAPES)."""

    month: int
    debtor_id: int
    shape: str
    counts: Counts
    first: date  # of the calendar month, for the link to its duties
    last: date

    @property
    def shape_name(self) -> str:
        """The shape in the reader's language."""
        return gettext(SHAPE_NAMES[self.shape])


@dataclass(frozen=True, slots=True)
class Direction:
    """One direction of a pair: twelve cells and the counts of the year."""

    debtor: Organisation
    creditor: Organisation
    cells: list[Cell]
    counts: Counts
    longest_silence: Silence | None
    current_silence: Silence | None
    sent: int  # days on which something was sent in this direction


@dataclass(frozen=True, slots=True)
class BoardRow:
    """One pair: the Border Guard's side first; `longest_silence` is the one in both directions together."""

    pair: Pair
    directions: list[Direction]
    counts: Counts
    longest_silence: Silence | None
    current_silence: Silence | None


@dataclass(frozen=True, slots=True)
class Board:
    """One page of the board. `totals` is over every pair the seat sees, not only those of the page."""

    instrument_key: str
    year: int
    months: list[date]
    rows: list[BoardRow]
    page: Page
    totals: dict[str, int]
    sort: str
    only: str


def board(
    seat: Seat,
    instrument_key: str,
    year: int,
    at: datetime,
    page: int | str | None = 1,
    *,
    sort: str = "trouble",
    only: str = "",
    picked: Mapping[str, Sequence[int]] | None = None,
    ways: Mapping[tuple[int, int], Mapping[str, int]] | None = None,
) -> Board:
    """Return one page (at most 30 pairs) of who sent what to whom in a reporting year.

    A duty stands in the column of the month in which its period ends. Six queries, whatever the number of pairs.

    Args:
        sort: "trouble" (missing, then late, first), "first" or "second" (by name).
        only: "missing", "late" or "trouble" keeps only such pairs; empty keeps all.
        picked: lists of pair ids by name; as `sort` a name puts its pairs first, in its order, before the others by trouble,
            as `only` it keeps nothing else.
        ways: counts per (pair, debtor) of the same year and moment, where the caller has them already.
    """
    ids = accounts.visible_organisation_ids(seat)
    # plain tuples: of a thousand pairs only those of the page become objects
    names = {
        pk: (first, second)
        for pk, first, second in Pair.objects.filter(Q(first__in=ids) | Q(second__in=ids), instrument_key=instrument_key)
        .order_by("first__name_sort", "second__name_sort", "id")
        .values_list("id", "first__name_sort", "second__name_sort")
    }
    first, last = date(year, 1, 1), date(year, 12, 31)
    sums = _with_open(ways, names) if ways is not None else _sums(instrument_key, names, first, last, at)
    ordered = [pk for pk in names if pk in sums]
    if sort == "second":
        ordered.sort(key=lambda pk: names[pk][::-1])
    elif sort != "first":
        sort = sort if sort in (picked or {}) else "trouble"
        places = {pk: i for i, pk in enumerate((picked or {}).get(sort, ()))}
        ordered.sort(key=lambda pk: (places.get(pk, len(places)), -sums[pk]["missing"], -sums[pk]["late"]))
    if only in {"missing", "late"}:
        ordered = [pk for pk in ordered if sums[pk][only]]
    elif only == "trouble":
        ordered = [pk for pk in ordered if sums[pk]["missing"] or sums[pk]["late"]]
    elif picked and only in picked:
        ordered = [pk for pk in ordered if pk in set(picked[only])]
    shown = Paginator(ordered, BOARD_PAGE).get_page(page)
    totals = {k: sum(s[k] for s in sums.values()) for k in ("missing", "late", "on_time", "open")}
    pairs = Pair.objects.select_related("first", "second").in_bulk(list(shown.object_list))
    rows = _board_rows([pairs[pk] for pk in shown.object_list], first, last, at)
    totals["pairs"] = len(sums)
    months = [date(year, m, 1) for m in range(1, 13)]
    return Board(instrument_key, year, months, rows, shown, totals, sort, only)


def way_counts(at: datetime) -> dict[str, Count]:
    """Return the aggregates of one way of a pair: missing, late, on_time, exempt, all."""
    wanted = {
        "missing": Status.OVERDUE,
        "late": Status.FULFILLED_LATE,
        "on_time": Status.FULFILLED,
    }
    counts = {name: Count("pair", filter=status_q(s, at)) for name, s in wanted.items()}
    # what remains is open, less the rare exempt ones: the first condition is cheap and nearly always false
    touched = Q(waived_at__isnull=False) | Q(suspended_from__isnull=False)
    exempt = touched & (status_q(Status.WAIVED, at) | status_q(Status.SUSPENDED, at))
    return counts | {"exempt": Count("pair", filter=exempt), "all": Count("pair")}


def _sums(instrument_key: str, pairs: Collection[int], first: date, last: date, at: datetime) -> dict[int, dict[str, int]]:
    """Return the counts of each pair; one aggregate that reads only the board's index."""
    found = Duty.objects.filter(pair__instrument_key=instrument_key, period_to__gte=first, period_to__lte=last)
    rows: Iterable[Any] = found.values("pair_id").annotate(**way_counts(at)).order_by()
    return _with_open({(row.pop("pair_id"), 0): row for row in rows}, pairs)


def _with_open(ways: Mapping[tuple[int, int], Mapping[str, int]], pairs: Collection[int]) -> dict[int, dict[str, int]]:
    """Return the sums of the ways per pair, with what is still open."""
    found: dict[int, dict[str, int]] = {}
    for (pair, _debtor), row in ways.items():
        sums = found.setdefault(pair, dict.fromkeys(row, 0))
        for name, number in row.items():
            sums[name] += number
    for row in found.values():
        row["open"] = row["all"] - row["missing"] - row["late"] - row["on_time"] - row["exempt"]
    return {pk: row for pk, row in found.items() if pk in pairs}


def _month_end(first: date) -> date:
    return date(first.year + first.month // 12, first.month % 12 + 1, 1) - DAY


def _shape(counts: Counts) -> str:
    if counts.missing:
        return "missing"
    if counts.late:
        return "late"
    if counts.open:
        return "open"
    if counts.on_time:
        return "on_time"
    return "exempt" if counts.total else "empty"


def _board_rows(pairs: list[Pair], first: date, last: date, at: datetime) -> list[BoardRow]:
    found: dict[tuple[int, int], dict[int, list[tuple[Status, bool]]]] = defaultdict(lambda: defaultdict(list))
    rows = Duty.objects.filter(pair__in=pairs, period_to__gte=first, period_to__lte=last)
    columns = rows.values_list("pair_id", "debtor_id", "period_to", "nil", status_case(at))
    for pair_id, debtor_id, ends, nil, status in columns:
        found[pair_id, debtor_id][ends.month].append((Status(status), nil))
    until = min(last, local_day(at))
    sent = days_of_exchange({(p.first_id, p.second_id) for p in pairs}, first, until) if until >= first else {}
    result = []
    for pair in pairs:
        directions, all_statuses, all_days = [], [], set()
        for debtor, creditor in ((pair.first, pair.second), (pair.second, pair.first)):
            by_month = found.get((pair.pk, debtor.pk), {})
            cells = []
            for month in range(1, 13):
                counts = count(by_month.get(month, ()))
                begins = date(first.year, month, 1)
                cells.append(Cell(month, debtor.pk, _shape(counts), counts, begins, _month_end(begins)))
            statuses = [s for month in by_month.values() for s in month]
            days = sent.get((debtor.pk, creditor.pk), set())
            longest, current = _longest_and_current(days, first, until)
            directions.append(Direction(debtor, creditor, cells, count(statuses), longest, current, len(days)))
            all_statuses += statuses
            all_days |= days
        longest, current = _longest_and_current(all_days, first, until)
        result.append(BoardRow(pair, directions, count(all_statuses), longest, current))
    return result


def _longest_and_current(days: Iterable[date], first: date, last: date) -> tuple[Silence | None, Silence | None]:
    if last < first:
        return None, None
    gaps = gaps_in(days, first=first, last=last)
    return (gaps[0] if gaps else None), next((g for g in gaps if g.open), None)


FEW_PAIRS = 100
# "2020-03-16 03" in UTC: a board reads thousands of moments and wants their days only
HOUR = Substr(Cast("sent_at", CharField()), 1, 13)


def days_of_exchange(
    pairs: set[tuple[int, int]], first: date, last: date, as_of: datetime | None = None
) -> dict[tuple[int, int], set[date]]:
    """Return per (sender, recipient), both directions, the local days on which something but a withdrawal was sent."""
    firsts, seconds = {a for a, _ in pairs}, {b for _, b in pairs}
    between = Q(sender_id_copy__in=firsts, organisation__in=seconds)
    between |= Q(sender_id_copy__in=seconds, organisation__in=firsts)
    if len(pairs) <= FEW_PAIRS:  # each by the index of its ways, nothing else is read
        between = Q(pk__in=())
        for a, b in sorted(pairs | {(b, a) for a, b in pairs}):
            between |= Q(sender_id_copy=a, organisation=b)
    rows = Addressee.objects.filter(between, sent_at__gte=at_local(first), sent_at__lt=at_local(last + DAY))
    if as_of is not None:
        rows = rows.filter(sent_at__lte=as_of)
    rows = rows.filter(apart=False)
    found: dict[tuple[int, int], set[date]] = defaultdict(set)
    day_of: dict[str, date] = {}  # by the hour: many were sent in the same one
    for sender, recipient, hour in rows.values_list("sender_id_copy", "organisation_id", HOUR):
        on = day_of.get(hour)
        if on is None:
            on = day_of[hour] = local_day(datetime.fromisoformat(f"{hour}:00+00:00"))
        found[sender, recipient].add(on)
    return found


def board_years(seat: Seat, instrument_key: str) -> list[int]:
    """Return the years in which the instrument has duties, newest first; none if the seat sees no pair of it."""
    ids = accounts.visible_organisation_ids(seat)
    if not Pair.objects.filter(Q(first__in=ids) | Q(second__in=ids), instrument_key=instrument_key).exists():
        return []
    of_rule = Duty.objects.filter(rule=OuterRef("pk")).values("period_to")  # first and last by the index, per rule
    ends = DutyRule.objects.filter(instrument__key=instrument_key).values_list(
        Subquery(of_rule.order_by("period_to")[:1]), Subquery(of_rule.order_by("-period_to")[:1])
    )
    years = {year for a, b in ends if a and b for year in range(a.year, b.year + 1)}
    return sorted(years, reverse=True)


def own_families(version: Instrument) -> dict[str, Family]:
    """Return the period families that a version of an instrument declares itself, by key."""
    kept = version.periods
    tables = (
        [{"key": key, **table} for key, table in kept.items() if isinstance(table, dict)] if isinstance(kept, dict) else kept
    )
    return families_of(tables or ())


# --- for the review --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PunctualityRow:
    """Counts of one group and the duties behind each number; what the group does not tell apart is None."""

    debtor_id: int | None
    creditor_id: int | None
    rule_key: str | None
    month: date | None
    counts: Counts
    duty_ids: dict[str, list[int]]  # by status value


GROUPS = ("debtor", "creditor", "rule", "month")


def punctuality(
    instrument_key: str,
    *,
    first: date,
    last: date,
    at: datetime,
    by: Sequence[str] = ("debtor", "creditor", "rule"),
    pair_with: int | None = None,
) -> list[PunctualityRow]:
    """Return expected, received, on time, late, missing and nil per group, for periods that end in the window.

    No gate: for the review and for figures, whose own pages have one. One query.

    Args:
        first, last: local days, inclusive, of the period's last day.
        at: the moment of the statuses.
        by: any of "debtor", "creditor", "rule", "month" (first day of the month in which the period ends).
        pair_with: only duties of which this organisation is debtor or creditor.
    """
    unknown = set(by) - set(GROUPS)
    if unknown:
        raise ValueError(f"by: {sorted(unknown)} not in {GROUPS}")
    rows = Duty.objects.filter(pair__instrument_key=instrument_key, period_to__gte=first, period_to__lte=last)
    if pair_with is not None:
        rows = rows.filter(Q(debtor=pair_with) | Q(creditor=pair_with))
    groups: dict[tuple[Any, ...], list[tuple[Status, bool, int]]] = defaultdict(list)
    found = rows.order_by("debtor__name_sort", "creditor__name_sort", "rule__key", "period_to", "id")
    values = found.values_list("id", "debtor_id", "creditor_id", "rule__key", "period_to", "nil", status_case(at))
    for pk, debtor, creditor, rule, ends, nil, status in values.iterator(chunk_size=5000):
        parts = {"debtor": debtor, "creditor": creditor, "rule": rule, "month": ends.replace(day=1)}
        key = tuple(parts[g] if g in by else None for g in GROUPS)
        groups[key].append((Status(status), nil, pk))
    result = []
    for (debtor, creditor, rule, month), duties in groups.items():
        ids: dict[str, list[int]] = defaultdict(list)
        for status, _, pk in duties:
            ids[status.value].append(pk)
        counts = count((status, nil) for status, nil, _ in duties)
        result.append(PunctualityRow(debtor, creditor, rule, month, counts, dict(ids)))
    return result


@dataclass(frozen=True, slots=True)
class PairSilence:
    """One direction of a pair (both None: the two directions together): gaps from the threshold on, longest first."""

    pair_id: int
    sender_id: int | None
    recipient_id: int | None
    gaps: list[Silence]
    longest: Silence | None
    current: Silence | None
    days_of_exchange: int


def silences(instrument_key: str, *, first: date, last: date, as_of: datetime, threshold_days: int = 1) -> list[PairSilence]:
    """Return the silences of every pair of the instrument, per direction and together; no gate, for the review.

    Only directions in which something was owed in the window are judged: nobody is silent who owes nothing. The window
    ends at the earlier of `last` and the local day of `as_of`. Three queries.
    """
    until = min(last, local_day(as_of))
    if until < first:
        return []
    owed = set(
        Duty.objects.filter(pair__instrument_key=instrument_key, period_to__gte=first, period_to__lte=last)
        .values_list("pair_id", "debtor_id", "creditor_id")
        .distinct()
        .order_by()
    )
    sent = days_of_exchange({(d, c) for _, d, c in owed}, first, until, as_of)
    together: dict[int, set[date]] = defaultdict(set)
    for pair_id, debtor, creditor in owed:
        together[pair_id] |= sent.get((debtor, creditor), set()) | sent.get((creditor, debtor), set())
    window = (first, until)
    result = [
        _pair_silence(pair_id, (debtor, creditor), sent.get((debtor, creditor), set()), window, threshold_days)
        for pair_id, debtor, creditor in sorted(owed)
    ]
    return result + [
        _pair_silence(pair_id, (None, None), days, window, threshold_days) for pair_id, days in sorted(together.items())
    ]


def _pair_silence(
    pair_id: int, way: tuple[int | None, int | None], days: set[date], window: tuple[date, date], threshold: int
) -> PairSilence:
    found = gaps_in(days, first=window[0], last=window[1])
    current = next((g for g in found if g.open), None)
    over = [g for g in found if g.days >= threshold]
    return PairSilence(pair_id, *way, over, found[0] if found else None, current, len(days))


@dataclass(frozen=True, slots=True)
class DuplicateRequest:
    """The same bodies owe a report of the same period under several instruments: the duties that ask it."""

    debtor_id: int
    creditor_id: int
    period_from: date
    period_to: date
    duties: list[Duty]


def duplicate_requests(seat: Seat, *, first: date, last: date, at: datetime) -> list[DuplicateRequest]:
    """Return reports that two regulations ask of the same debtor for the same creditor and the same period."""
    window = Q(period_to__gte=first, period_to__lte=last, rule__content="report") & visible_q(seat)
    keys = ("debtor_id", "creditor_id", "period_from", "period_to")
    groups = (
        Duty.objects.filter(window)
        .values(*keys)
        .annotate(instruments=Count("pair__instrument_key", distinct=True))
        .filter(instruments__gt=1)
        .order_by("period_to", "debtor_id", "creditor_id")
    )
    wanted: dict[tuple[Any, ...], list[Duty]] = {tuple(g[k] for k in keys): [] for g in groups}
    if not wanted:
        return []
    narrowed = Q(debtor__in={k[0] for k in wanted}, creditor__in={k[1] for k in wanted})
    for duty in _with_status(_shown().filter(window & narrowed).order_by("rule__instrument__key", "rule__key"), at):
        key = (duty.debtor_id, duty.creditor_id, duty.period_from, duty.period_to)
        if key in wanted:
            wanted[key].append(duty)
    return [DuplicateRequest(d, c, begins, ends, duties) for (d, c, begins, ends), duties in wanted.items()]


def may_decide(seat: Seat, duty: Duty, right: str) -> bool:
    """Say whether the rule lets the seat's organisation decide; `right` is "may_waive" or "may_suspend".

    The rule names "creditor", "debtor" or "superior" (of the debtor, on the last day of the period).
    """
    named = set(duty.rule.spec.get(right, ()))
    mine = seat.organisation_id
    if ("creditor" in named and mine == duty.creditor_id) or ("debtor" in named and mine == duty.debtor_id):
        return True
    if "superior" not in named:
        return False
    return (duty.debtor_id, mine) in organisations.superior_pairs([duty.debtor_id], duty.period_to)


def reminders_of(duty: Duty) -> list[date]:
    """Return the local days on which the rule calls the duty to mind while it is open."""
    return reminder_days(duty.rule.spec.get("reminders", ()), last_day=last_local_day(duty))


def last_local_day(duty: Duty) -> date:
    """Return the local day on which the duty is on time for the last time (`due_at` itself is too late)."""
    return local_day(duty.due_at - timedelta(microseconds=1))


def own_record(seat: Seat, at: datetime, *, days: int = 183) -> Counts:
    """Return the counts of what the seat's own organisation owed in the half year before the moment."""
    columns = ("opens_at", "due_at", "fulfilled_at", "waived_at", "suspended_from", "suspended_until")
    rows = Duty.objects.filter(debtor=seat.organisation_id, due_at__lte=at, due_at__gt=at - timedelta(days=days))
    return count((status_of(Facts(*facts), at), nil) for nil, *facts in rows.values_list("nil", *columns))


def require_debtor(seat: Seat, duty: Duty) -> None:
    """Refuse everyone but the duty's debtor, as if the duty were not there.

    Raises:
        NotFound: the seat's organisation does not owe it.
    """
    if duty.debtor_id != seat.organisation_id:
        raise NotFound


def first_content(duty: Duty) -> dict[str, Any]:
    """Return the content with which a draft for the duty begins: recipients, subject, what it answers, the form."""
    copies = organisations.organisations_by_ids(duty.copies)
    kind = "report" if duty.rule.content == "report" else "notice"
    body: dict[str, Any] = {"text": ""}
    if duty.rule.form is not None:
        body["form"] = {
            "instrument": duty.rule.instrument.key,
            "version": duty.rule.instrument.version,
            "key": duty.rule.form.key,
            "period_from": duty.period_from.isoformat(),
            "period_to": duty.period_to.isoformat(),
            "figures": [],
            "sections": [],
        }
    return {
        "kind": kind,
        "subject": f"{duty.rule.title} ({duty.occasion})",
        "urgency": "ordinary",
        "recipients": [
            {"organisation": duty.creditor.key, "role": "to"},
            *({"organisation": o.key, "role": "copy"} for o in copies.values()),
        ],
        "answers": [duty.reference],
        "body": body,
    }


def open_between(debtor_id: int, creditor_id: int, *, period_to: date, at: datetime) -> list[Duty]:
    """Return what the one still owes the other for a period that ends on the day; no gate, for services."""
    found = _shown().filter(debtor=debtor_id, creditor=creditor_id, period_to=period_to, waived_at__isnull=True)
    return list(found.filter(Q(fulfilled_at__isnull=True) | Q(fulfilled_at__gt=at)).order_by("due_at", "id"))


def draft_exists(seat: Seat, draft_id: uuid.UUID) -> bool:
    """Say whether the seat's organisation already has that draft open."""
    return Draft.objects.filter(pk=draft_id, organisation_id=seat.organisation_id).exists()


def troubles(instrument_key: str, *, first: date, last: date, at: datetime) -> list[dict[str, Any]]:
    """Return the duties that are late or missing at the moment, for periods that end in the window; no gate, one query.

    Each is a dict: reference, rule, title, clause, event, debtor, creditor (ids), occasion, period_from, period_to, due_at,
    missing.
    """
    bad = status_q(Status.OVERDUE, at) | status_q(Status.FULFILLED_LATE, at)
    rows = Duty.objects.filter(bad, pair__instrument_key=instrument_key, period_to__gte=first, period_to__lte=last)
    rules: dict[int, dict[str, Any]] = {}
    for rule in DutyRule.objects.filter(instrument__key=instrument_key):
        event = rule.spec["trigger"]["type"] == "event"
        rules[rule.pk] = {"rule": rule.key, "title": rule.title, "clause": rule.clause, "event": event}
    columns = ("reference", "debtor_id", "creditor_id", "occasion", "period_from", "period_to", "due_at")
    names = [c.removesuffix("_id") for c in columns]
    found = []
    for *facts, rule_id, fulfilled in rows.order_by("due_at", "id").values_list(*columns, "rule_id", "fulfilled_at"):
        found.append(rules[rule_id] | dict(zip(names, facts, strict=True)) | {"missing": fulfilled is None or fulfilled > at})
    return found


def unanswered(instrument_key: str, *, first: date, last: date, as_of: datetime, days: int) -> list[Addressee]:
    """Return the dispatches of the instrument that lay more than so many days without an answer; no gate, for the review.

    Counted are dispatches that speak to a duty, at the duty's creditor, sent from `first` to `last` and not returned.
    Answered after the limit counts too. Two queries.
    """
    linked = (
        Duty.objects.filter(pair__instrument_key=instrument_key, period_to__gte=first, period_to__lte=last)
        .filter(fulfilled_at__lte=as_of - days * DAY)
        .values("fulfilled_by_id")
    )
    open_ = Q(acknowledged_at__isnull=True) | Q(acknowledged_at__gt=F("arrived_at") + days * DAY)
    found = Addressee.objects.filter(
        open_,
        role="to",
        dispatch_id__in=linked,
        arrived_at__lte=as_of - days * DAY,
        returned_at__isnull=True,
    )
    return list(
        found.select_related("dispatch", "dispatch__sender", "organisation")
        .defer("dispatch__signed")
        .order_by("arrived_at", "id")
    )


def pairs_of(instrument_key: str) -> list[Pair]:
    """Return every pair of the instrument with its two organisations, by name; no gate, for the review."""
    found = Pair.objects.filter(instrument_key=instrument_key).select_related("first", "second")
    return list(found.order_by("first__name_sort", "second__name_sort", "id"))


def volume(instrument_key: str, *, first: date, last: date, as_of: datetime) -> dict[str, int]:
    """Return how many dispatches the bodies of the instrument's pairs sent each other in the local days, by kind."""
    ids = set(Pair.objects.filter(instrument_key=instrument_key).values_list("first_id", flat=True))
    ids |= set(Pair.objects.filter(instrument_key=instrument_key).values_list("second_id", flat=True))
    sent = Dispatch.objects.filter(sender__in=ids, sent_at__gte=at_local(first), sent_at__lt=at_local(last + DAY))
    sent = sent.filter(sent_at__lte=as_of)
    found: dict[str, int] = dict.fromkeys(Kind.values, 0)
    for kind, number in sent.order_by().values_list("kind").annotate(number=Count("id")):
        found[kind] = number
    found["all"] = sum(found.values())
    found["made_up"] = int(sent.filter(subject__startswith=MADE_UP).exists())
    return found
