"""The deadline engine against the bare limit: one million due moments of a mixed regulation, in one run.

    .venv/bin/python bench/engine.py [--number 1000000] [--out build/bench/engine.json]

The mixed regulation: working days after the cut-off, a fixed day moved off days off, plain days with an earliest
working day, hours from an event. Each due moment has its own start (a day of 2010–2035 or an instant), so nothing can be
remembered between them. The limit is `numpy.busday_offset` on the same starts and the same days off: one whole array
per rule, which gives dates only (no instant, no zone, no doubt, no clause, no steps). A second limit calls it once per
start, as a duty would. Memory is the greatest resident growth while streaming 100,000 and 1,000,000 results.
"""

import argparse
import gc
import json
import platform
import random
import resource
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from hiepdong.duties.calendar_source import national_calendar
from hiepdong.duties.domain.deadline import DeadlineRule, due_moment, read_deadline

FIRST, DAYS = date(2010, 1, 1), 9400
RULES = {
    "2 working days after": {"type": "after", "amount": 2, "unit": "working_days"},
    "10 working days after": {"type": "after", "amount": 10, "unit": "working_days"},
    "day 25, next working day": {"type": "day_of_period_end_month", "day": 25, "on_day_off": "next"},
    "5 days after, earliest 1 working day": {"type": "after", "amount": 5, "unit": "days", "earliest_working_days": 1},
    "6 hours after the event": {"type": "after", "amount": 6, "unit": "hours"},
}
CALENDAR = national_calendar()


def work(number: int) -> Iterator[tuple[DeadlineRule, dict[str, Any]]]:
    """Yield (rule, start) one by one, the rules in turn; the same for every run."""
    chance = random.Random(20201218)
    rules = [read_deadline(spec, clause="5.2") for spec in RULES.values()]
    events = [rule.common.counts_hours for rule in rules]
    noon = datetime(2010, 1, 1, 5, tzinfo=UTC)
    for i in range(number):
        which = i % len(rules)
        offset = chance.randrange(DAYS)
        if events[which]:
            yield rules[which], {"event_at": noon + timedelta(days=offset, seconds=i % 40_000)}
        else:
            yield rules[which], {"cut_off": FIRST + timedelta(days=offset)}


def cost_of_loop(number: int) -> float:
    """Seconds of making the starts themselves, taken off every other figure."""
    begin = time.perf_counter()
    for _rule, _start in work(number):
        pass
    return time.perf_counter() - begin


def cost_of_engine(number: int, *, explain: bool) -> float:
    """Seconds of `number` due moments, streamed."""
    begin = time.perf_counter()
    for rule, start in work(number):
        due_moment(rule, calendar=CALENDAR, explain=explain, **start)
    return time.perf_counter() - begin


def limits(number: int) -> tuple[float, float, int]:
    """Seconds of numpy per whole array and per single call on the day-based starts, and how many those are."""
    mask = "1111100"
    off = np.array(sorted(d for d in CALENDAR.named if d.weekday() < 5), dtype="datetime64[D]")
    calendar = np.busdaycalendar(weekmask=mask, holidays=off)
    starts = [s["cut_off"] for _r, s in work(number) if "cut_off" in s]
    array = np.array(starts, dtype="datetime64[D]")
    begin = time.perf_counter()
    np.busday_offset(np.busday_offset(array, 0, "preceding", busdaycal=calendar), 2, "preceding", busdaycal=calendar)
    whole = time.perf_counter() - begin
    some = array[:100_000]
    begin = time.perf_counter()
    for day in some:
        np.busday_offset(day, 2, "preceding", busdaycal=calendar)
    single = (time.perf_counter() - begin) * len(array) / len(some)
    return whole, single, len(array)


def agreement(number: int = 20_000) -> int:
    """Return how many of the engine's working-day results differ from numpy's, where no Saturday is worked."""
    off = np.array(sorted(d for d in CALENDAR.named if d.weekday() < 5), dtype="datetime64[D]")
    calendar = np.busdaycalendar(weekmask="1111100", holidays=off)
    rule = read_deadline(RULES["2 working days after"])
    different = 0
    for i in range(number):
        start = FIRST + timedelta(days=i % DAYS)
        last = due_moment(rule, calendar=CALENDAR, cut_off=start, explain=False).last_day
        if any(start <= d <= last for d in CALENDAR.working):
            continue
        limit = np.busday_offset(np.datetime64(start), 0, "preceding", busdaycal=calendar)
        different += np.busday_offset(limit, 2, "preceding", busdaycal=calendar).astype(object) != last
    return different


def resident_kib() -> int:
    """Return the greatest resident size so far, in KiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // 1024 if sys.platform == "darwin" else peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--number", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path, default=Path("build/bench/engine.json"))
    asked = parser.parse_args()
    number = asked.number
    cost_of_engine(20_000, explain=True)  # everything is imported and warm, days of the calendar included
    gc.collect()
    base = resident_kib()
    cost_of_engine(number // 10, explain=True)
    tenth = resident_kib() - base
    cost_of_engine(number, explain=False)
    loop = cost_of_loop(number)
    plain = cost_of_engine(number, explain=False) - loop
    told = cost_of_engine(number, explain=True) - loop
    whole_memory = resident_kib() - base
    whole, single, days = limits(number)
    micro = 1e6
    result = {
        "number": number,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "engine_us": plain / number * micro,
        "engine_explained_us": told / number * micro,
        "numpy_array_us": whole / days * micro,
        "numpy_single_us": single / days * micro,
        "ratio_to_numpy_array": (plain / number) / (whole / days),
        "ratio_to_numpy_single": (plain / number) / (single / days),
        "ratio_explained_to_plain": told / plain,
        "memory_growth_kib_at_a_tenth": tenth,
        "memory_growth_kib_at_all": whole_memory,
        "differences_from_numpy": agreement(),
    }
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"{number:,} due moments of {len(RULES)} rules, one core, CPython {result['python']}, numpy {result['numpy']}\n")
    print("| Work | µs per due moment | against numpy, whole array | against numpy, one call each |")
    print("|---|---:|---:|---:|")
    array_us, single_us = result["numpy_array_us"], result["numpy_single_us"]
    rows = (
        ("engine, due moment", result["engine_us"]),
        ("engine, with explanation", result["engine_explained_us"]),
        ("numpy.busday_offset, whole array (dates only)", array_us),
        ("numpy.busday_offset, one call each (dates only)", single_us),
    )
    for name, cost in rows:
        print(f"| {name} | {cost:.3f} | {cost / array_us:.1f} × | {cost / single_us:.2f} × |")
    print(f"\nMemory grown while streaming: {tenth:,} KiB at {number // 10:,}, {whole_memory:,} KiB at {number:,}.")
    print(f"Results that differ from numpy's: {result['differences_from_numpy']}.")


if __name__ == "__main__":
    main()
