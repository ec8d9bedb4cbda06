"""Build the working-day calendar from the `holidays` package and the project's own table; the edge of the engine."""

import hashlib
import tomllib
from datetime import date
from functools import lru_cache
from importlib import resources
from typing import Any

import holidays

from .domain.calendar import SATURDAY, Calendar


def table() -> dict[str, Any]:
    """Return the project's own table as read from data/working-days-vn.toml."""
    return tomllib.loads((resources.files(__package__) / "data" / "working-days-vn.toml").read_text(encoding="utf-8"))


@lru_cache(maxsize=1)
def national_calendar() -> Calendar:
    """Return the calendar of Viet Nam's state offices, Monday to Friday, with our table on top.

    Known from `known_from` to `known_until`; verified until `decided_until` of the table. Read once per process: the
    table is part of the release.
    """
    ours = table()
    first, last = ours["known_from"], ours["known_until"]
    named: dict[date, str] = {}
    source = holidays.country_holidays("VN", years=range(first.year, last.year + 1), language="vi")
    named.update(dict(source.items()))
    for year in range(first.year, last.year + 1):
        for row in ours.get("off", ()):
            if "on" in row and row["on"].year == year:
                named[row["on"]] = row["name"]
            elif "month_day" in row and year >= row["from_year"]:
                named[date.fromisoformat(f"{year}-{row['month_day']}")] = row["name"]
    worked = {row["on"] for row in ours.get("work", ())}
    worked |= {d for d in getattr(source, "weekend_workdays", set()) if d.weekday() >= SATURDAY}
    for row in ours.get("not_off", ()):
        named.pop(row["on"], None)
    named = {d: n for d, n in named.items() if first <= d <= last and d not in worked}
    content = repr((first, last, ours["decided_until"], sorted(named.items()), sorted(worked)))
    return Calendar(
        first,
        last,
        ours["decided_until"],
        named,
        frozenset(worked),
        hashlib.sha256(content.encode()).hexdigest(),
    )
