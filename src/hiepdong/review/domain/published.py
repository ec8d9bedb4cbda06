"""The file of published facts of a review: what a conference stated, each with its source ("hiepdong.published/1", TOML).

format = "hiepdong.published/1"
regulation = "nghe-an.qcph-2020"
year = 2020

[conference]                      # optional
host = "Thị xã Hoàng Mai"
held_on = 2020-12-18

[[limitation]]                    # also [[task]], [[proposal]] (with addressee), [[directive]]
text = "…"
source = "where it was read"
verified = true                   # false, the default: the original was not read

[[figure]]                        # a published figure, set beside the computed one
indicator = "to-duong-bien"
definition = "to-duong-bien/2020" # figures are compared only where this agrees
year = 2020
value = 84                        # or "3959.5"
unit = "tổ"
precision = "exact"               # about, over, nearly
scope = "5/2020"
source = "…"
"""

import tomllib
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from hiepdong.kernel.text import nfc

FORMAT = "hiepdong.published/1"
LARGEST = 1_000_000  # bytes
KINDS = ("limitation", "task", "proposal", "directive")
PRECISIONS = ("exact", "about", "over", "nearly")
TOP = {"format", "regulation", "year", "conference", "figure", *KINDS}


@dataclass(frozen=True, slots=True)
class Published:
    """What the file says; items are rows of `Item`, figures rows of `PublishedFigure`."""

    regulation: str
    year: int
    host: str = ""
    held_on: date | None = None
    items: list[dict[str, Any]] = field(default_factory=list)
    figures: list[dict[str, Any]] = field(default_factory=list)


def read_published(file_bytes: bytes) -> tuple[Published | None, list[str]]:
    """Return what the file says, or every problem at once: place, what was found, what is accepted."""
    if len(file_bytes) > LARGEST:
        return None, [f"{len(file_bytes)} bytes; at most {LARGEST}"]
    try:
        data = tomllib.loads(nfc(file_bytes.decode("utf-8")))
    except UnicodeDecodeError as error:
        return None, [f"byte {error.start}: not UTF-8"]
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        return None, [f"not TOML: {error}"]
    problems: list[str] = []
    if data.get("format") != FORMAT:
        problems.append(f"format: {data.get('format')!r}; accepted: {FORMAT!r}")
    problems += [f"{key}: not known; accepted: {', '.join(sorted(TOP))}" for key in data if key not in TOP]
    regulation = _text(data, "regulation", "regulation", problems)
    year = data.get("year")
    if not isinstance(year, int) or isinstance(year, bool) or not 1945 <= year <= 2200:
        problems.append(f"year: {year!r}; accepted: a year such as 2020")
    conference = data.get("conference", {})
    if not isinstance(conference, dict):
        problems.append(f"conference: {conference!r}; accepted: a table")
        conference = {}
    held_on = conference.get("held_on")
    if held_on is not None and type(held_on) is not date:
        problems.append(f"conference.held_on: {held_on!r}; accepted: a day such as 2020-12-18")
    host = _text(conference, "host", "conference.host", problems, needed=False)
    items = [_item(kind, i, row, problems) for kind in KINDS for i, row in _tables(data, kind, problems)]
    figures = [_figure(i, row, problems) for i, row in _tables(data, "figure", problems)]
    if problems:
        return None, problems
    return Published(regulation, int(year or 0), host, held_on, items, figures), []


def _tables(data: dict[str, Any], key: str, problems: list[str]) -> list[tuple[int, dict[str, Any]]]:
    rows = data.get(key, [])
    if not isinstance(rows, list) or not all(isinstance(r, dict) for r in rows):
        problems.append(f"{key}: {rows!r}; accepted: [[{key}]] tables")
        return []
    return list(enumerate(rows))


def _text(table: dict[str, Any], key: str, place: str, problems: list[str], *, needed: bool = True) -> str:
    value = table.get(key, "")
    if not isinstance(value, str):
        problems.append(f"{place}: {value!r}; accepted: text")
        return ""
    if needed and not value.strip():
        problems.append(f"{place}: missing; accepted: text")
    return value.strip()


def _item(kind: str, index: int, row: dict[str, Any], problems: list[str]) -> dict[str, Any]:
    place = f"{kind}[{index}]"
    accepted = {"text", "source", "verified", "addressee"}
    problems += [f"{place}.{key}: not known; accepted: {', '.join(sorted(accepted))}" for key in row if key not in accepted]
    verified = row.get("verified", False)
    if not isinstance(verified, bool):
        problems.append(f"{place}.verified: {verified!r}; accepted: true or false")
    return {
        "kind": kind,
        "text": _text(row, "text", f"{place}.text", problems),
        "source": _text(row, "source", f"{place}.source", problems)[:500],
        "addressee": _text(row, "addressee", f"{place}.addressee", problems, needed=kind == "proposal")[:200],
        "verified": bool(verified),
    }


def _figure(index: int, row: dict[str, Any], problems: list[str]) -> dict[str, Any]:
    place = f"figure[{index}]"
    found: dict[str, Any] = {
        k: _text(row, k, f"{place}.{k}", problems, needed=k != "scope")
        for k in ("indicator", "definition", "unit", "source", "scope")
    }
    year, precision, verified = row.get("year"), row.get("precision", "exact"), row.get("verified", False)
    if not isinstance(year, int) or isinstance(year, bool) or not 1945 <= year <= 2200:
        problems.append(f"{place}.year: {year!r}; accepted: a year such as 2019")
    if precision not in PRECISIONS:
        problems.append(f"{place}.precision: {precision!r}; accepted: {', '.join(PRECISIONS)}")
    if not isinstance(verified, bool):
        problems.append(f"{place}.verified: {verified!r}; accepted: true or false")
    try:
        value = Decimal(str(row.get("value")))
        if not value.is_finite() or isinstance(row.get("value"), bool) or abs(value) >= 10**15:
            raise InvalidOperation
    except InvalidOperation:
        problems.append(f'{place}.value: {row.get("value")!r}; accepted: a number, as 84 or "3959.5"')
        value = Decimal(0)
    return found | {"year": year, "value": value, "precision": precision, "verified": verified}
