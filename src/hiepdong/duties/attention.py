"""What must jump out while it lasts: pairs in which exchange fell silent, and bodies that report late or not at all.

The board, the desk and their links rest on the same lists. Nothing is graded: what is counted is what was owed and not
sent, from the thresholds that stand in the regulation. The number of queries does not grow with pairs or dispatches.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.db.models.lookups import IsNull

from hiepdong.accounts import queries as accounts
from hiepdong.accounts.models import Seat
from hiepdong.exchange.models import Addressee
from hiepdong.kernel.moments import at_local, local_day
from hiepdong.organisations import queries as organisations
from hiepdong.organisations.models import Organisation

from .domain.silence import Silence, silences
from .domain.status import Status
from .models import Duty, Pair
from .queries import days_of_exchange, status_q, way_counts

DAY = timedelta(days=1)
WAYS = (("first", "second"), ("second", "first"))
DEFAULTS = {"silence_days": 60, "missing_count": 2, "late_count": 3}


@dataclass(frozen=True, slots=True)
class SilentPair:
    """A pair in which neither side sent anything for so long, though something fell due meanwhile and was not kept."""

    pair: Pair
    longest: Silence
    silences: list[Silence]  # all of them
    missed: int  # duties of both sides that fell due inside them and were late or are missing


@dataclass(frozen=True, slots=True)
class WeakBody:
    """A body that left out or sent late, to one partner, at least as often as the threshold says, silences apart.

    The numbers are those of everything it owed in the window under the regulation, so that the lists behind them agree.
    """

    body: Organisation
    expected: int
    late: int
    missing: int


@dataclass(frozen=True, slots=True)
class Attention:
    """Both lists, the longest silence and the most missing first; `silence_days` is the threshold used."""

    instrument_key: str
    first: date  # inclusive
    last: date  # inclusive
    silence_days: int
    silent: list[SilentPair] = field(default_factory=list)
    weak: list[WeakBody] = field(default_factory=list)
    weak_pair_ids: list[int] = field(default_factory=list)
    ways: dict[tuple[int, int], dict[str, int]] = field(default_factory=dict)  # (pair, debtor): counts, for the board

    @property
    def silent_pair_ids(self) -> list[int]:
        """The silent pairs, the longest silence first."""
        return [s.pair.pk for s in self.silent]


def attention(
    seat: Seat, instrument_key: str, year: int, at: datetime, *, thresholds: Mapping[str, Any] | None = None, own: bool = False
) -> Attention:
    """Return what jumps out of a reporting year, among the pairs the seat may see.

    Args:
        year: calendar year; it ends at the local day of `at` when that is earlier.
        thresholds: of the regulation (`silence_days`, `missing_count`, `late_count`); what is left out has a default.
        own: only pairs in which the seat's own organisation is a side.
    """
    limits = DEFAULTS | {k: int(v) for k, v in (thresholds or {}).items() if k in DEFAULTS}
    first, last = date(year, 1, 1), min(date(year, 12, 31), local_day(at))
    found = Attention(instrument_key, first, last, limits["silence_days"])
    ids = {seat.organisation_id} if own else accounts.visible_organisation_ids(seat)
    if last < first or not seat_reads(seat):
        return found
    pairs = Pair.objects.filter(Q(first__in=ids) | Q(second__in=ids), instrument_key=instrument_key)
    ways = _counted(pairs, first, at)
    bad_of: dict[int, int] = defaultdict(int)
    for (pk, _), way in ways.items():
        bad_of[pk] += way["missing"] + way["late"]
    candidates = pairs.filter(pk__in=[pk for pk, number in bad_of.items() if number >= limits["missing_count"]])
    gaps = _gaps(candidates, first, last, at, limits["silence_days"])
    bad = _bad_in(gaps, at)
    silent: list[SilentPair] = []
    excused: dict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0])
    shown = Pair.objects.select_related("first", "second").in_bulk([pk for pk, _ in gaps])
    for pk, quiet in gaps:
        inside = [(d, missing) for d, due, missing in bad.get(pk, ()) if any(s.after < due < s.until for s in quiet)]
        if len(inside) < limits["missing_count"] or _told_as_weak(pk, {d for d, _ in inside}, ways, limits):
            continue
        for debtor, missing in inside:
            excused[pk, debtor][0 if missing else 1] += 1
        silent.append(SilentPair(shown[pk], max(quiet, key=lambda s: s.days), quiet, len(inside)))
    found.silent.extend(sorted(silent, key=lambda s: (-s.longest.days, s.pair.first.name_sort, s.pair.second.name_sort)))
    _weak(found, ways, excused, limits)
    found.ways.update(ways)
    return found


def months_of(silent: SilentPair, year: int) -> frozenset[int]:
    """Return the months of the year whose fifteenth lies in one of the pair's silences: where the board marks them."""
    middles = [date(year, month, 15) for month in range(1, 13)]
    return frozenset(m.month for m in middles if any(s.after < m < s.until for s in silent.silences))


def seat_reads(seat: Seat) -> bool:
    """Say whether the seat may see any body's papers."""
    return bool(accounts.visible_organisation_ids(seat))


def _gaps(pairs: QuerySet[Pair], first: date, last: date, at: datetime, least: int) -> list[tuple[int, list[Silence]]]:
    """Return per pair the silences of both directions together of at least so many days; two queries."""
    quiet = _with_an_empty_stretch(pairs, first, last, at, least // 2)
    sides = {pk: (a, b) for pk, a, b in quiet.values_list("pk", "first_id", "second_id")}
    if not sides:
        return []
    sent = days_of_exchange(set(sides.values()), first, last, at)
    found = []
    for pk, (a, b) in sides.items():
        days = sent.get((a, b), set()) | sent.get((b, a), set())
        gaps = [s for s in silences(days, first=first, last=last) if s.days >= least]
        if gaps:
            found.append((pk, gaps))
    return found


def _sent(sender: str, recipient: str) -> QuerySet[Addressee]:
    """Return what one side of the pair outside sent the other, withdrawals apart; all of it stands in one index."""
    return Addressee.objects.filter(sender_id_copy=OuterRef(sender), organisation=OuterRef(recipient), apart=False)


def _with_an_empty_stretch(pairs: QuerySet[Pair], first: date, last: date, at: datetime, days: int) -> QuerySet[Pair]:
    """Return the pairs in which neither side sent anything in at least one stretch of a grid of so many days.

    A silence of twice as many days covers a whole stretch wherever it begins, so no longer silence is lost; most pairs
    are, each after a few steps in the index.
    """
    if not 5 <= days <= (last - first).days:
        return pairs
    empty = Q()
    for begins in (first + n * DAY for n in range(0, (last - first).days - days + 2, days)):
        inside = {"sent_at__gte": at_local(begins), "sent_at__lt": at_local(begins + days * DAY), "sent_at__lte": at}
        # a look-up of one row, not EXISTS: PostgreSQL would rather read the whole table for a small node than look so often
        ways = [Subquery(_sent(sender, recipient).filter(**inside).values("sent_at")[:1]) for sender, recipient in WAYS]
        empty |= Q(IsNull(ways[0], True)) & Q(IsNull(ways[1], True))
    return pairs.filter(empty)


def _bad_in(gaps: Collection[tuple[int, list[Silence]]], at: datetime) -> dict[int, list[tuple[int, date, bool]]]:
    """Return per pair the duties that fell due in its silences and were not kept: (debtor, last day on time, missing)."""
    if not gaps:
        return {}
    starts, stops = min(s.after for _, found in gaps for s in found), max(s.until for _, found in gaps for s in found)
    bad = status_q(Status.OVERDUE, at) | status_q(Status.FULFILLED_LATE, at)
    rows = Duty.objects.filter(
        bad, pair__in=[pk for pk, _ in gaps], due_at__gt=at_local(starts), due_at__lte=at_local(stops + DAY)
    )
    found: dict[int, list[tuple[int, date, bool]]] = defaultdict(list)
    for pair, debtor, due_at, fulfilled_at in rows.values_list("pair_id", "debtor_id", "due_at", "fulfilled_at"):
        missing = fulfilled_at is None or fulfilled_at > at
        found[pair].append((debtor, local_day(due_at - timedelta(microseconds=1)), missing))
    return found


def _counted(pairs: QuerySet[Pair], first: date, at: datetime) -> dict[tuple[int, int], dict[str, int]]:
    """Return the counts of every way (pair, debtor) over the whole year of `first`; reads only the board's index."""
    rows = Duty.objects.filter(pair__in=pairs.values("pk"), period_to__gte=first, period_to__lte=date(first.year, 12, 31))
    counted: Iterable[Any] = rows.values("pair_id", "debtor_id").annotate(**way_counts(at)).order_by()
    return {(row.pop("pair_id"), row.pop("debtor_id")): row for row in counted}


def _told_as_weak(
    pair: int, debtors: set[int], ways: Mapping[tuple[int, int], Mapping[str, int]], limits: Mapping[str, int]
) -> bool:
    """Say whether in the silence one side alone owed, and that side is named as a body anyway: the review tells it so too."""
    if len(debtors) != 1:
        return False
    return _often(ways[pair, next(iter(debtors))], limits)


def _often(way: Mapping[str, int], limits: Mapping[str, int], gone: int = 0, slow: int = 0) -> bool:
    """Say whether a way was left out or late as often as a limit says, less what is told elsewhere (`gone`, `slow`)."""
    return way["missing"] - gone >= limits["missing_count"] or way["late"] - slow >= limits["late_count"]


def _weak(
    found: Attention,
    ways: Mapping[tuple[int, int], Mapping[str, int]],
    excused: Mapping[tuple[int, int], list[int]],
    limits: Mapping[str, int],
) -> None:
    sums: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
    weak: dict[int, set[int]] = defaultdict(set)
    for (pair, debtor), row in ways.items():
        total = sums[debtor]
        total[0] += row["missing"] + row["late"] + row["on_time"]
        total[1] += row["late"]
        total[2] += row["missing"]
        gone, slow = excused.get((pair, debtor), (0, 0))
        if _often(row, limits, gone, slow):
            weak[debtor].add(pair)
    bodies = organisations.organisations_by_ids(list(weak))
    listed = [WeakBody(bodies[pk], *sums[pk]) for pk in weak]
    found.weak.extend(sorted(listed, key=lambda w: (-w.missing, -w.late, w.body.name_sort)))
    found.weak_pair_ids.extend(pk for w in found.weak for pk in sorted(weak[w.body.pk]))
