"""Running a regulation file's worked examples through the engine, and its rules through a trial year."""

from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from hiepdong.kernel.errors import DomainError
from hiepdong.kernel.moments import VIET_NAM
from hiepdong.regulations.domain.format import Problem, Regulation

from .calendar import Calendar, CalendarTooShort
from .deadline import BadDeadline, DeadlineRule, DueMoment, due_moment, read_deadline
from .occasions import families_of, occasion_labelled, occasions
from .periods import Family

TRIAL_YEAR = timedelta(days=366)


def run_examples(regulation: Regulation, calendar: Calendar, name: str = "") -> list[Problem]:
    """Return every problem that only the engine can see; duties, families and examples that are empty tables are passed over.

    Every rule is read and counted through the year after the regulation takes effect: a rule that cannot be counted,
    or that would be due before its period has ended, is a problem. Then every `[[example]]` is computed and compared.
    """
    problems: list[Problem] = []
    try:
        own = families_of(filter(None, regulation.families))
    except DomainError as error:
        return [Problem(name, "period_family", _in_words(error), "01-31, 03-14, 12-14")]
    rules: dict[str, tuple[Mapping[str, Any], DeadlineRule]] = {}
    for i, duty in enumerate(regulation.duties, 1):
        path = f"duty[{i}]"
        if not duty:
            continue
        try:
            rule = read_deadline(duty["deadline"], clause=duty["clause"], path=f"{path}.deadline")
        except BadDeadline as error:
            problems.append(Problem(name, str(error.facts["path"]), str(error.facts["found"]), error.accepted))
            continue
        rules[duty["key"]] = (duty["trigger"], rule)
        for found, accepted in _trial(duty["trigger"], rule, own, regulation.effective_from, calendar):
            problems.append(Problem(name, f"{path}.deadline", found, accepted))
    for i, example in enumerate(regulation.examples, 1):
        if example and example["duty"] in rules:
            for where, found, accepted in _compared(example, *rules[example["duty"]], own, calendar):
                problems.append(Problem(name, f"example[{i}].{where}", found, accepted))
    return problems


def _trial(
    trigger: Mapping[str, Any], rule: DeadlineRule, own: Mapping[str, Family], first: date, calendar: Calendar
) -> Iterator[tuple[str, str]]:
    for occasion in occasions(trigger, own, first, first + TRIAL_YEAR):
        for tier in ("", *rule.tiers):
            try:
                due = due_moment(rule, calendar=calendar, cut_off=occasion.last, tier=tier, explain=False)
            except DomainError as error:
                yield f"{occasion.label}: {_in_words(error)}", f"năm {calendar.first.year} đến năm {calendar.last.year}"
                return
            if trigger["type"] == "period" and due.last_day <= occasion.last:
                yield f"{occasion.label}: hạn {due.last_day}", f"hạn sau ngày cuối kỳ {occasion.last}"
                return


def _compared(
    example: Mapping[str, Any],
    trigger: Mapping[str, Any],
    rule: DeadlineRule,
    own: Mapping[str, Family],
    calendar: Calendar,
) -> Iterator[tuple[str, str, str]]:
    tier = str(example.get("debtor_kind", ""))
    try:
        if "event" in example:
            due = due_moment(rule, calendar=calendar, event_at=datetime.fromisoformat(example["event"]), tier=tier)
        else:
            label = example["period"] if "period" in example else example["on"].isoformat()
            occasion = occasion_labelled(trigger, own, label)
            if occasion is None:
                known = occasions(trigger, own, date(2020, 1, 1), date(2020, 12, 31))
                yield "period", repr(label), ", ".join(o.label for o in known[:12])
                return
            due = due_moment(rule, calendar=calendar, cut_off=occasion.last, tier=tier, label=label, first=occasion.first)
    except DomainError as error:
        yield "duty", _in_words(error), f"năm {calendar.first.year} đến năm {calendar.last.year}"
        return
    if "due" in example and example["due"] != due.last_day:
        yield "due", example["due"].isoformat(), f"{due.last_day.isoformat()} ({_said(due)})"
    if "due_at" in example and datetime.fromisoformat(example["due_at"]) != due.due_at:
        computed = due.due_at.astimezone(VIET_NAM).isoformat(timespec="minutes")
        yield "due_at", example["due_at"], f"{computed} ({_said(due)})"


def _in_words(error: DomainError) -> str:
    """Return a refusal of the engine in the language of the file's problems."""
    if isinstance(error, CalendarTooShort):
        return f"phải đếm đến {error.facts['needed']}, ngoài lịch ngày làm việc"
    return str(error)


def _said(due: DueMoment) -> str:
    """Return how the engine came to its result, short: the results of the steps and the days skipped by name."""
    parts = []
    for step in due.steps[:-1]:
        skipped = ", ".join(f"{d.on:%d/%m} {d.name}" for d in step.skipped)
        parts.append(step.result[:10] + (f" [{skipped}]" if skipped else ""))
    return " → ".join(parts)
