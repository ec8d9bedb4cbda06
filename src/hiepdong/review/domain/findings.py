"""Findings of a review: what the records show, from thresholds that stand in the regulation.

A finding names the clauses, the bodies, the periods and the records; it grades and ranks nobody. Four kinds:

- `exchange_not_regular`: for at least `silence_days` nothing passed between two bodies although something fell due in
  that time, at least `missing_count` things in all. A silence of both sides, each owing the other, is told first; a
  silence in one direction is told here only where the same debtor is not already named towards the same creditor by
  `reporting_not_kept`. One period left out is no silence: it stands on the board and in the counts.
- `reporting_not_kept`: a debtor owed the same thing to the same creditor period after period and left out at least
  `missing_count`, or sent at least `late_count` late. What fell into a silence of both directions is not counted again.
- `incident_notice_not_timely`: the same for duties that an event starts.
- `not_acknowledged`: at least `unacknowledged_count` dispatches lay longer than `unacknowledged_days` without an answer.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

EXCHANGE, REPORTING, INCIDENTS, UNANSWERED = (
    "exchange_not_regular",
    "reporting_not_kept",
    "incident_notice_not_timely",
    "not_acknowledged",
)
KINDS = (EXCHANGE, REPORTING, INCIDENTS, UNANSWERED)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From when on the records make a finding; they stand in the regulation's file under [thresholds]."""

    silence_days: int = 60
    missing_count: int = 2
    late_count: int = 3
    unacknowledged_days: int = 10
    unacknowledged_count: int = 3

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "Thresholds":
        """Return the thresholds of a regulation, with the defaults for what it leaves out."""
        return cls(**{k: int(given[k]) for k in cls.__dataclass_fields__ if k in given})


@dataclass(frozen=True, slots=True)
class Trouble:
    """One duty that was late or missing at the moment of the review. Bodies are organisation keys, days are local."""

    reference: str
    rule: str
    title: str
    clause: str
    debtor: str
    creditor: str
    label: str  # of the period or occasion
    first: date  # of the period, inclusive
    last: date  # inclusive
    due_on: date  # the last day on which it was on time
    missing: bool  # else late
    event: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """What one debtor owed one creditor under one rule: numbers of duties."""

    debtor: str
    creditor: str
    rule: str
    expected: int
    on_time: int
    late: int
    missing: int


@dataclass(frozen=True, slots=True)
class Quiet:
    """Nothing was sent from `sender` to `recipient` after the day `after` and before the day `until`."""

    sender: str
    recipient: str
    after: date
    until: date
    days: int
    open: bool  # it still lasted at the end of the window


@dataclass(frozen=True, slots=True)
class Unanswered:
    """One dispatch that lay without an answer."""

    dispatch: str  # uuid
    notation: str
    sender: str
    recipient: str
    arrived_on: date
    days: int


@dataclass(frozen=True, slots=True)
class Finding:
    """One shortcoming as the records show it. `facts` is JSON: what its sentences and tables are made of."""

    key: str  # the same in every rebuild: "<kind>:<body>[:<body>]"
    kind: str
    clauses: tuple[str, ...]
    bodies: tuple[str, ...]
    first: date  # of the periods or the silence
    last: date
    duties: tuple[str, ...] = ()  # references
    dispatches: tuple[str, ...] = ()  # uuids
    facts: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as JSON: days as ISO text."""
        many = {k: list(getattr(self, k)) for k in ("clauses", "bodies", "duties", "dispatches")}
        return asdict(self) | many | {"first": self.first.isoformat(), "last": self.last.isoformat()}


def find(
    *,
    thresholds: Thresholds,
    pairs: Iterable[tuple[str, str]],
    lines: Iterable[Line],
    troubles: Iterable[Trouble],
    silences: Iterable[Quiet],
    unanswered: Iterable[Unanswered] = (),
) -> list[Finding]:
    """Return the findings, by kind, the weightiest first.

    Args:
        pairs: (first, second), the Border Guard's side first.
        silences: gaps of at least `thresholds.silence_days`, per direction, only where something was owed.
    """
    by_way: dict[tuple[str, str], list[Trouble]] = defaultdict(list)
    for trouble in troubles:
        by_way[trouble.debtor, trouble.creditor].append(trouble)
    quiet: dict[tuple[str, str], list[Quiet]] = defaultdict(list)
    for gap in silences:
        if gap.days >= thresholds.silence_days and _within(by_way[gap.sender, gap.recipient], gap):
            quiet[gap.sender, gap.recipient].append(gap)
    both = {pair: gaps for pair in pairs if (gaps := _both(quiet, by_way, pair, thresholds.silence_days))}
    excused = {t.reference for pair, gaps in both.items() for g in gaps for way in _ways(pair) for t in _within(by_way[way], g)}
    lines = list(lines)
    reporting = _not_kept(thresholds, lines, by_way, excused, quiet, event=False)
    told = {(f.bodies[0], creditor) for f in reporting for creditor in f.bodies[1:]}
    exchange = []
    for pair in pairs:
        one_way = [g for way in _ways(pair) if way not in told for g in quiet.get(way, ())]
        if pair in both or one_way:
            found = _exchange(pair, both.get(pair, []), one_way, by_way)
            if len(found.duties) >= thresholds.missing_count:
                exchange.append(found)
    exchange.sort(key=lambda f: (-f.facts["days"], f.key))
    incidents = _not_kept(thresholds, lines, by_way, set(), quiet, event=True)
    return [*exchange, *reporting, *incidents, *_unanswered(thresholds, unanswered)]


def _ways(pair: tuple[str, str]) -> tuple[tuple[str, str], tuple[str, str]]:
    return pair, (pair[1], pair[0])


def _within(troubles: Iterable[Trouble], gap: Quiet) -> list[Trouble]:
    """Return what fell due while nothing was sent."""
    return [t for t in troubles if gap.after < t.due_on < gap.until]


def _both(
    quiet: Mapping[tuple[str, str], list[Quiet]],
    by_way: Mapping[tuple[str, str], list[Trouble]],
    pair: tuple[str, str],
    least: int,
) -> list[Quiet]:
    """Return the times, of at least so many days, in which both sides owed the other something and neither sent."""
    found = []
    there, back = _ways(pair)
    for a in quiet.get(there, ()):
        for b in quiet.get(back, ()):
            after, until = max(a.after, b.after), min(a.until, b.until)
            gap = Quiet(*pair, after, until, (until - after).days - 1, a.open and b.open)
            if gap.days >= least and all(_within(by_way.get(way, ()), gap) for way in (there, back)):
                found.append(gap)
    return sorted(found, key=lambda g: g.after)


def _exchange(
    pair: tuple[str, str], both: list[Quiet], one_way: list[Quiet], by_way: Mapping[tuple[str, str], list[Trouble]]
) -> Finding:
    covered = {(g.after, g.until) for g in both}
    single = [g for g in one_way if not any(a <= g.after and g.until <= u for a, u in covered)]
    single = [g for g in single if not _mostly(g, both)]
    owed = [t for g in both for way in _ways(pair) for t in _within(by_way.get(way, ()), g)]
    owed += [t for g in single for t in _within(by_way.get((g.sender, g.recipient), ()), g)]
    owed = sorted({t.reference: t for t in owed}.values(), key=lambda t: (t.due_on, t.reference))
    gaps = [_gap(g, both=True) for g in both] + [_gap(g, both=False) for g in single]
    return Finding(
        key=f"{EXCHANGE}:{pair[0]}:{pair[1]}",
        kind=EXCHANGE,
        clauses=_clauses(owed),
        bodies=pair,
        first=min(g.after for g in [*both, *single]),
        last=max(g.until for g in [*both, *single]),
        duties=tuple(t.reference for t in owed),
        facts={
            "gaps": gaps,
            "days": max(g["days"] for g in gaps),
            "two_way": bool(both),
            "owed": [_owed(t) for t in owed],
        },
    )


def _mostly(gap: Quiet, both: list[Quiet]) -> bool:
    """Say whether a one-way silence is little more than a two-way one that is told already."""
    inside = sum(max(0, (min(gap.until, g.until) - max(gap.after, g.after)).days - 1) for g in both)
    return 2 * inside >= gap.days


def _gap(gap: Quiet, *, both: bool) -> dict[str, Any]:
    return {
        "sender": gap.sender,
        "recipient": gap.recipient,
        "both": both,
        "after": gap.after.isoformat(),
        "until": gap.until.isoformat(),
        "days": gap.days,
        "open": gap.open,
    }


def _owed(trouble: Trouble) -> dict[str, Any]:
    return {
        "debtor": trouble.debtor,
        "creditor": trouble.creditor,
        "title": trouble.title,
        "clause": trouble.clause,
        "label": trouble.label,
        "missing": trouble.missing,
    }


def _clauses(troubles: Iterable[Trouble]) -> tuple[str, ...]:
    return tuple(sorted({t.clause for t in troubles if t.clause}, key=clause_order))


def clause_order(clause: str) -> tuple[tuple[int, str], ...]:
    """Return a key that puts clause 5.2 before 5.10 and 15."""
    return tuple((int(part) if part.isdigit() else 0, part) for part in clause.split("."))


def _not_kept(
    thresholds: Thresholds,
    lines: Iterable[Line],
    by_way: Mapping[tuple[str, str], list[Trouble]],
    excused: set[str],
    quiet: Mapping[tuple[str, str], list[Quiet]],
    *,
    event: bool,
) -> list[Finding]:
    by_debtor: dict[str, list[tuple[Line, list[Trouble], list[Trouble]]]] = defaultdict(list)
    for line in lines:
        mine = [t for t in by_way.get((line.debtor, line.creditor), ()) if t.rule == line.rule and t.event == event]
        mine = [t for t in mine if t.reference not in excused]
        missing, late = [t for t in mine if t.missing], [t for t in mine if not t.missing]
        if len(missing) >= thresholds.missing_count or len(late) >= thresholds.late_count:
            by_debtor[line.debtor].append((line, missing, late))
    kind = INCIDENTS if event else REPORTING
    found = []
    for debtor, rows in by_debtor.items():
        told = [t for _line, missing, late in rows for t in (*missing, *late)]
        longest = max((g.days for line, _, _ in rows for g in quiet.get((debtor, line.creditor), ())), default=0)
        found.append(
            Finding(
                key=f"{kind}:{debtor}",
                kind=kind,
                clauses=_clauses(told),
                bodies=(debtor, *sorted({line.creditor for line, _, _ in rows})),
                first=min(t.first for t in told),
                last=max(t.last for t in told),
                duties=tuple(t.reference for t in sorted(told, key=lambda t: (t.due_on, t.reference))),
                facts={
                    "lines": [_line(*row) for row in rows],
                    "expected": sum(line.expected for line, _, _ in rows),
                    "missing": sum(len(missing) for _, missing, _ in rows),
                    "late": sum(len(late) for _, _, late in rows),
                    "silence": longest,
                },
            )
        )
    return sorted(found, key=lambda f: (-f.facts["missing"], -f.facts["late"], f.key))


def _line(line: Line, missing: list[Trouble], late: list[Trouble]) -> dict[str, Any]:
    one = (missing or late)[0]
    return {
        "creditor": line.creditor,
        "rule": line.rule,
        "title": one.title,
        "clause": one.clause,
        "expected": line.expected,
        "on_time": line.on_time,
        "missing": [t.label for t in sorted(missing, key=lambda t: t.due_on)],
        "late": [t.label for t in sorted(late, key=lambda t: t.due_on)],
    }


def _unanswered(thresholds: Thresholds, given: Iterable[Unanswered]) -> list[Finding]:
    by_recipient: dict[str, list[Unanswered]] = defaultdict(list)
    for one in given:
        if one.days > thresholds.unacknowledged_days:
            by_recipient[one.recipient].append(one)
    found = []
    for recipient, rows in by_recipient.items():
        if len(rows) < thresholds.unacknowledged_count:
            continue
        found.append(
            Finding(
                key=f"{UNANSWERED}:{recipient}",
                kind=UNANSWERED,
                clauses=(),
                bodies=(recipient, *sorted({r.sender for r in rows})),
                first=min(r.arrived_on for r in rows),
                last=max(r.arrived_on for r in rows),
                dispatches=tuple(r.dispatch for r in sorted(rows, key=lambda r: (r.arrived_on, r.dispatch))),
                facts={
                    "count": len(rows),
                    "longest": max(r.days for r in rows),
                    "limit": thresholds.unacknowledged_days,
                },
            )
        )
    return sorted(found, key=lambda f: (-f.facts["count"], f.key))
