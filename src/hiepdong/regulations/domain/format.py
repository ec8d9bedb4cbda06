"""Read and check a regulation file: every problem at once, each with its place, what was found, what is accepted."""

import re
from calendar import monthrange
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from hiepdong.kernel.declared import (
    FIRST_YEAR,
    LAST_YEAR,
    MOST_PROBLEMS,
    Problem,
    check_table,
    doubles,
    listed,
    near,
    parsed,
    shown,
    sound,
)

from .declaration import ORGANISATION_KINDS, REGULATION, schema

__all__ = ["FAMILIES", "Problem", "Regulation", "check", "examine", "schema"]

COMMON_YEAR = 2023  # no leap year
FAMILIES = [
    "week",
    "month",
    "quarter",
    "half",
    "nine-months",
    "year",
    "r-rep-month",
    "r-rep-quarter",
    "r-rep-half",
    "r-rep-year",
    "r-rep-nine-months",
    "month-25",
]


@dataclass(frozen=True, slots=True)
class Regulation:
    """A file without problems, as plain values."""

    key: str
    version: int
    number: str
    title: str
    signed_on: date | None
    effective_from: date
    effective_until: date | None
    parent: str
    issuer: str
    source: str
    verified: bool
    parties: tuple[tuple[str, str], ...]  # (organisation key, side)
    fields: tuple[dict[str, str], ...]
    articles: tuple[dict[str, str], ...]
    forms: tuple[dict[str, Any], ...]
    families: tuple[dict[str, Any], ...]
    duties: tuple[dict[str, Any], ...]
    thresholds: dict[str, Any] = field(default_factory=dict)
    examples: tuple[dict[str, Any], ...] = ()


def check(file_bytes: bytes, name: str = "quy-che.toml") -> tuple[Regulation | None, list[Problem]]:
    """Return the regulation and no problems, or None and every problem found. Nothing that a file holds makes it raise."""
    understood, problems = examine(file_bytes, name)
    return (None, problems) if problems else (understood, [])


def examine(file_bytes: bytes, name: str) -> tuple[Regulation | None, list[Problem]]:
    """Return what of a file can be counted, and every problem of its shape and its references.

    With problems the regulation is good for nothing but the worked examples: duties and families that cannot be counted are
    empty tables in their places, and None stands for a file of which too little was understood.
    """
    data, problems = parsed(file_bytes, name, help_page="docs/how-to/write-a-regulation.md")
    if problems:
        return None, problems
    problems = listed(name, check_table(data, REGULATION, ""))
    if not problems:
        problems = listed(name, _references(data, {}))
        return _built(_countable(data, problems)), problems
    left = sound(data, REGULATION)
    if len(problems) > MOST_PROBLEMS or not {"effective_from", "party", "article", "duty"} <= left.keys():
        return None, problems
    lost = {table: _lost(data[table], left[table], key) for table, key in KEYS.items() if table in left}
    problems += listed(name, _references(left, lost))
    return _built(UNREAD | _countable(left, problems)), problems


KEYS = {"duty": "key", "form": "key", "field": "key", "article": "clause", "party": "side", "period_family": "key"}
UNREAD = {"key": "", "version": 0, "title": "", "issuer": "", "source": "", "verified": False}


def _lost(rows: list[Any], left: list[dict[str, Any]], key: str) -> set[str]:
    """Return the keys of the rows that were not understood: naming one of them is no second problem."""
    gone = [row for row, sound_row in zip(rows, left, strict=True) if not sound_row and isinstance(row, dict)]
    return {row[key] for row in gone if isinstance(row.get(key), str)}


def _countable(data: dict[str, Any], problems: list[Problem]) -> dict[str, Any]:
    """Return the data with an empty table for every row that the engine could not run."""
    wrong = tuple(p.path for p in problems if p.path.startswith(("period_family[", "example[")) or _OF_THE_ENGINE.match(p.path))
    if not wrong:
        return data
    rows: dict[str, list[dict[str, Any]]] = {}
    for table in ("period_family", "duty", "example"):
        numbered = enumerate(data.get(table, []), 1)
        rows[table] = [{} if any(p.startswith(f"{table}[{i}]") for p in wrong) else row for i, row in numbered]
    families = {*FAMILIES, *(f["key"] for f in rows["period_family"] if f)}
    rows["duty"] = [d if d and d["trigger"].get("family", "week") in families else {} for d in rows["duty"]]
    return data | rows


_OF_THE_ENGINE = re.compile(r"duty\[\d+\]\.(key|trigger|deadline)\b")


def _known(value: str, known: set[str], path: str, what: str) -> Iterator[tuple[str, str, str]]:
    if value and value not in known:
        yield path, shown(value), f"{near(value, known)}{what}: {', '.join(sorted(known)) or 'chưa khai'}"


def _references(data: dict[str, Any], lost: Mapping[str, set[str]]) -> Iterator[tuple[str, str, str]]:
    """Check what a single field cannot show: doubles, references, combinations. Empty rows are those not understood."""
    for name, key in (
        ("duty", "key"),
        ("form", "key"),
        ("field", "key"),
        ("article", "clause"),
        ("party", "organisation"),
        ("period_family", "key"),
    ):
        yield from doubles(data.get(name, []), name, key)
    until = data.get("effective_until")
    if until and until <= data["effective_from"]:
        yield "effective_until", shown(until), f"ngày sau {data['effective_from']}"
    known = {table: {row[key] for row in data.get(table, []) if row} | lost.get(table, set()) for table, key in KEYS.items()}
    families = {*FAMILIES, *known["period_family"]}
    yield from _known(data.get("thresholds", {}).get("year_family", ""), families, "thresholds.year_family", "loại kỳ")
    for path, family in _rows(data, "period_family"):
        yield from _family(family, path)
    for path, form in _rows(data, "form"):
        yield from _form(form, known["field"], path)
    for path, duty in _rows(data, "duty"):
        yield from _known(duty["clause"], known["article"], f"{path}.clause", "điều khoản đã khai")
        yield from _known(duty.get("field", ""), known["field"], f"{path}.field", "lĩnh vực đã khai")
        yield from _duty(duty, path, known["form"], known["party"], families)
    duties = {d["key"]: d for d in data["duty"] if d}
    for path, example in _rows(data, "example"):
        yield from _known(example["duty"], known["duty"], f"{path}.duty", "nghĩa vụ đã khai")
        if example["duty"] in duties:
            yield from _example(example, duties, path)


def _rows(data: Mapping[str, Any], name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for i, row in enumerate(data.get(name, []), 1):
        if row:
            yield f"{name}[{i}]", row


def _family(family: dict[str, Any], path: str) -> Iterator[tuple[str, str, str]]:
    if family["key"] in FAMILIES:
        yield f"{path}.key", shown(family["key"]), "khóa khác với các loại kỳ có sẵn"
    days = [(int(month), int(day)) for month, _, day in (end.partition("-") for end in family["ends"])]
    ends = [(month, min(day, monthrange(COMMON_YEAR, month)[1])) for month, day in days]
    if not ends or ends != sorted(set(ends)):
        yield f"{path}.ends", ", ".join(family["ends"])[:80] or "trống", "ít nhất một ngày, tăng dần, không lặp"
    names = family.get("names", [])
    if names and (len(names) != len(ends) or len(set(names)) < len(names)):
        yield f"{path}.names", ", ".join(names)[:80], f"{len(ends)} tên khác nhau, mỗi kỳ một tên"


def _form(form: dict[str, Any], fields: set[str], path: str) -> Iterator[tuple[str, str, str]]:
    indicators = form.get("indicator", [])
    for where, *rest in (*doubles(indicators, "indicator", "key"), *doubles(form.get("section", []), "section", "key")):
        yield f"{path}.{where}", rest[0], rest[1]
    keys = {x["key"] for x in indicators}
    for j, indicator in enumerate(indicators, 1):
        yield from _known(indicator.get("field", ""), fields, f"{path}.indicator[{j}].field", "lĩnh vực đã khai")
        others = keys - {indicator["key"]}
        yield from _known(indicator.get("parts_of", ""), others, f"{path}.indicator[{j}].parts_of", "chỉ tiêu khác của mẫu")
        first = indicator.get("paired_with", "")  # the first of a/b or a/b/c, itself behind no other
        heads = {x["key"] for x in indicators if not x.get("paired_with")} - {indicator["key"]}
        yield from _known(first, heads, f"{path}.indicator[{j}].paired_with", "chỉ tiêu khác của mẫu, đứng đầu cặp")
    if not indicators and not form.get("section"):
        yield path, "mẫu trống", "ít nhất một [[form.indicator]] hoặc [[form.section]]"


def _duty(
    duty: dict[str, Any], path: str, forms: set[str], sides: set[str], families: set[str]
) -> Iterator[tuple[str, str, str]]:
    selectors = [("debtor", duty["debtor"]), ("creditor", duty["creditor"])]
    selectors += [(f"copies[{j}]", s) for j, s in enumerate(duty.get("copies", []), 1)]
    for name, selector in selectors:
        if not {"organisation", "kind", "side"} & selector.keys():
            yield f"{path}.{name}", "trống", "ít nhất một trong: organisation, kind, side"
        yield from _known(selector.get("side", ""), sides, f"{path}.{name}.side", "bên đã khai ở [[party]]")
    if "relation" in duty["debtor"]:
        yield f"{path}.debtor.relation", duty["debtor"]["relation"], "chỉ dùng ở creditor và copies"
    content, trigger, deadline = duty["content"], duty["trigger"], duty["deadline"]
    yield from _known(content.get("form", ""), forms, f"{path}.content.form", "mẫu đã khai ở [[form]]")
    if content["type"] == "report" and not content.get("form"):
        yield f"{path}.content.form", "thiếu", "báo cáo phải có mẫu"
    needs = {"period": ("family",), "event": ("event", "moment"), "yearly": ("month", "day")}[trigger["type"]]
    for key in needs:
        if key not in trigger:
            yield f"{path}.trigger.{key}", "thiếu", f"bắt buộc khi type = {trigger['type']}"
    yield from _known(trigger.get("family", ""), families, f"{path}.trigger.family", "loại kỳ")
    if trigger["type"] == "yearly" and {"month", "day"} <= trigger.keys():
        try:
            date(COMMON_YEAR, trigger["month"], trigger["day"])
        except ValueError:
            yield f"{path}.trigger.day", f"{trigger['day']}/{trigger['month']}", "một ngày có trong mọi năm"
    for where, rule in [("deadline", deadline)] + [
        (f"deadline.tiers.{k}", deadline | t) for k, t in deadline.get("tiers", {}).items()
    ]:
        yield from _deadline(rule, trigger["type"], f"{path}.{where}")
    for k in deadline.get("tiers", {}):
        yield from _known(k, set(ORGANISATION_KINDS), f"{path}.deadline.tiers.{k}", "loại cơ quan")


def _deadline(rule: dict[str, Any], trigger: str, path: str) -> Iterator[tuple[str, str, str]]:
    kind = rule["type"]
    if kind.startswith("day_of") and "day" not in rule:
        yield f"{path}.day", "thiếu", "ngày trong tháng, 1 đến 31"
    if kind.startswith("day_of") and trigger == "event":
        yield f"{path}.type", kind, "sự việc thì tính hạn bằng after"
    if kind == "date" and trigger == "event":
        yield f"{path}.type", kind, "sự việc thì tính hạn bằng after"
    if kind == "after":
        for key in ("amount", "unit"):
            if key not in rule:
                yield f"{path}.{key}", "thiếu", f"bắt buộc khi type = {kind}"
        if rule.get("unit") in {"working_days", "weeks"} and rule.get("amount") == 0:
            yield f"{path}.amount", "0", "ít nhất 1"


def _example(example: dict[str, Any], duties: dict[str, Any], path: str) -> Iterator[tuple[str, str, str]]:
    trigger = duties[example["duty"]]["trigger"]["type"]
    wanted = {"period": "period", "event": "event", "yearly": "on"}[trigger]
    if wanted not in example:
        yield f"{path}.{wanted}", "thiếu", f"nghĩa vụ {example['duty']} phát sinh theo {trigger}"
    if ("due" in example) == ("due_at" in example):
        yield f"{path}.due", "thiếu hoặc thừa", "đúng một trong hai: due, due_at"
    for key in ("event", "due_at"):
        if key in example:
            try:
                moment = datetime.fromisoformat(example[key])
                good = moment.tzinfo is not None and FIRST_YEAR < moment.year < LAST_YEAR
            except ValueError:
                good = False
            if not good:
                yield f"{path}.{key}", shown(example[key]), "thời điểm có múi giờ, ví dụ 2020-03-05T09:30+07:00"


def _built(data: dict[str, Any]) -> Regulation:
    forms = []
    for form in filter(None, data.get("form", [])):
        indicators = [
            {
                "definition": f"{x['key']}/1",
                "group": "",
                "field": "",
                "aggregate": "sum",
                "parts_of": "",
                "paired_with": "",
                "required": False,
            }
            | x
            for x in form.get("indicator", [])
        ]
        sections = [{"required": False} | s for s in form.get("section", [])]
        forms.append({"key": form["key"], "title": form["title"], "indicators": indicators, "sections": sections})
    return Regulation(
        key=data["key"],
        version=data["version"],
        number=data.get("number", ""),
        title=data["title"],
        signed_on=data.get("signed_on"),
        effective_from=data["effective_from"],
        effective_until=data.get("effective_until"),
        parent=data.get("parent", ""),
        issuer=data["issuer"],
        source=data["source"],
        verified=data["verified"],
        parties=tuple((p["organisation"], p["side"]) for p in data["party"] if p),
        fields=tuple({"clause": ""} | f for f in data.get("field", [])),
        articles=tuple({"heading": ""} | a for a in data["article"]),
        forms=tuple(forms),
        families=tuple(data.get("period_family", [])),
        duties=tuple(data["duty"]),
        thresholds=data.get("thresholds", {}),
        examples=tuple(data.get("example", [])),
    )
