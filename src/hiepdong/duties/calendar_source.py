"""Build the working-day calendar from the `holidays` package and the project's own table: the edge of the engine."""

import hashlib
import tomllib
from datetime import date, timedelta
from functools import cache
from importlib import resources
from typing import Any

import holidays

from .domain.calendar import SATURDAY, Calendar


def table() -> dict[str, Any]:
    """Return the project's own table as read from data/working-days-vn.toml."""
    return tomllib.loads((resources.files(__package__) / "data" / "working-days-vn.toml").read_text(encoding="utf-8"))


def build_calendar(ours: dict[str, Any]) -> Calendar:
    """Return the calendar of Viet Nam's state offices (Monday to Friday) with our table on top.

    Args:
        ours: the content of data/working-days-vn.toml: `known_from`, `known_until`, `[[year]]` (verified years),
            `[[off]]` and `[[work]]` (single days), `[[yearly]]` (a holiday with the years it holds).
    """
    first, last = ours["known_from"], ours["known_until"]
    years = range(first.year, last.year + 1)
    package = holidays.country_holidays("VN", years=years, language="vi")
    named: dict[date, str] = dict(package.items())
    worked = {d for d in getattr(package, "weekend_workdays", ()) if d.weekday() >= SATURDAY}
    doubtful: set[date] = set()
    for row in ours.get("yearly", ()):
        month, day = (int(part) for part in row["month_day"].split("-"))
        for on in (date(year, month, day) for year in years):
            # the day and, on a weekend, its compensatory day: the package may have either, this row decides both
            following = on + timedelta(days=7 - on.weekday()) if on.weekday() >= SATURDAY else on
            for each in {on, following}:
                if row["name"] in named.get(each, ""):
                    del named[each]
            if row["enabled"] and on.year >= row["from_year"]:
                named[on] = row["name"]
                if following != on:
                    named[following] = f"{row['name']} (nghỉ bù)"
                if not row["verified"]:
                    doubtful |= {on, following}
    for row in ours.get("off", ()):
        named[row["on"]] = row["name"]
        worked.discard(row["on"])
    for row in ours.get("work", ()):
        named.pop(row["on"], None)
        worked.add(row["on"])
    doubtful |= {row["on"] for key in ("off", "work") for row in ours.get(key, ()) if not row["verified"]}
    named = {d: n for d, n in named.items() if first <= d <= last and d not in worked}
    worked = {d for d in worked if first <= d <= last}
    verified = frozenset(row["year"] for row in ours.get("year", ()) if row["verified"])
    content = repr((first, last, sorted(named.items()), sorted(worked), sorted(verified), sorted(doubtful)))
    digest = hashlib.sha256(content.encode()).hexdigest()
    return Calendar(first, last, named, frozenset(worked), verified, frozenset(doubtful), digest)


@cache
def national_calendar() -> Calendar:
    """Return the calendar of the release; read once per process, because the table is part of the release."""
    return build_calendar(table())
