"""Read and check a regulation file: every problem at once, each with its place, what was found, what is accepted."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from difflib import get_close_matches
from typing import Any

from .declaration import REGULATION, Field, Table, schema

__all__ = ["FAMILIES", "Problem", "Regulation", "check", "schema"]

LONGEST_FILE = 2 * 1024 * 1024
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
class Problem:
    """One thing wrong in a file: where (key path, `duty[3].deadline.day`), what was found, what is accepted."""

    file: str
    path: str
    found: str
    accepted: str

    def as_dict(self) -> dict[str, str]:
        """Return the problem as JSON facts."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.file}: {self.path}: thấy {self.found}; chấp nhận {self.accepted}"


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
    """Return the regulation and no problems, or None and every problem found."""
    if len(file_bytes) > LONGEST_FILE:
        return None, [Problem(name, "", f"{len(file_bytes)} byte", f"nhiều nhất {LONGEST_FILE} byte")]
    try:
        text = file_bytes.decode("utf-8")
    except UnicodeDecodeError as error:
        return None, [Problem(name, f"byte {error.start}", "không phải UTF-8", "tệp lưu dạng UTF-8, không BOM")]
    if text.startswith("\ufeff"):
        return None, [Problem(name, "byte 0", "BOM", "tệp lưu dạng UTF-8, không BOM")]
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return None, [Problem(name, "TOML", str(error), "cú pháp TOML 1.0; xem docs/how-to/write-a-regulation.md")]
    problems = [Problem(name, *rest) for rest in _table(data, REGULATION, "")]
    if not problems:
        problems = [Problem(name, *rest) for rest in _references(data)]
    return (None, problems) if problems else (_built(data), [])


def _shown(value: Any) -> str:
    text = value.isoformat() if isinstance(value, date) else repr(value)
    return text if len(text) <= 80 else text[:77] + "…"


def _table(value: Any, table: Table, path: str) -> Iterator[tuple[str, str, str]]:
    if not isinstance(value, dict):
        yield path, _shown(value), "một bảng"
        return
    for key in value:
        if key not in table.fields:
            near = get_close_matches(key, table.fields, n=1)
            hint = f"có phải {near[0]}? " if near else ""
            yield _join(path, key), "khóa không có trong định dạng", hint + "các khóa: " + ", ".join(table.fields)
    for key, f in table.fields.items():
        if key in value:
            yield from _field(value[key], f, _join(path, key))
        elif f.required:
            yield _join(path, key), "thiếu", f.accepted


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


_TYPES = {"text": str, "integer": int, "boolean": bool, "date": date}


def _field(value: Any, f: Field, path: str) -> Iterator[tuple[str, str, str]]:
    match f.kind:
        case "table":
            yield from _table(value, f.of or Table(""), path)
        case "list of table":
            if not isinstance(value, list):
                yield path, _shown(value), f.accepted
                return
            for i, item in enumerate(value, 1):
                yield from _table(item, f.of or Table(""), f"{path}[{i}]")
        case "table of table":
            if not isinstance(value, dict):
                yield path, _shown(value), f.accepted
                return
            for key, item in value.items():
                yield from _table(item, f.of or Table(""), _join(path, key))
        case "list of text" | "list of integer":
            if not isinstance(value, list):
                yield path, _shown(value), f.accepted
                return
            one = Field(f.kind.removeprefix("list of "), f.doc, False, f.choices, f.pattern, f.least, f.most)
            for i, item in enumerate(value, 1):
                yield from _field(item, one, f"{path}[{i}]")
        case "text or list of text":
            one = Field("text", f.doc, False, f.choices, f.pattern)
            for item in value if isinstance(value, list) else [value]:
                yield from _field(item, one, path)
        case _:
            yield from _scalar(value, f, path)


def _scalar(value: Any, f: Field, path: str) -> Iterator[tuple[str, str, str]]:
    wrong = not isinstance(value, _TYPES[f.kind]) or isinstance(value, datetime)
    wrong = wrong or (f.kind == "integer" and isinstance(value, bool))
    if not wrong and f.kind == "text":
        wrong = bool(f.choices) and value not in f.choices
        wrong = wrong or (bool(f.pattern) and not re.fullmatch(f.pattern, value))
        wrong = wrong or (f.required and not value.strip())
        if not wrong and len(value) > f.longest:
            yield path, f"{len(value)} ký tự", f"nhiều nhất {f.longest} ký tự"
            return
    if not wrong and f.kind == "integer":
        wrong = (f.least is not None and value < f.least) or (f.most is not None and value > f.most)
    if wrong:
        yield path, _shown(value), f.accepted


def _doubles(rows: list[dict[str, Any]], name: str, key: str) -> Iterator[tuple[str, str, str]]:
    seen: dict[str, int] = {}
    for i, row in enumerate(rows, 1):
        if row[key] in seen:
            yield f"{name}[{i}].{key}", _shown(row[key]), f"mỗi giá trị một lần; đã có ở {name}[{seen[row[key]]}]"
        seen.setdefault(row[key], i)


def _known(value: str, known: set[str], path: str, what: str) -> Iterator[tuple[str, str, str]]:
    if value and value not in known:
        near = get_close_matches(value, known, n=1)
        hint = f"có phải {near[0]}? " if near else ""
        yield path, _shown(value), f"{hint}{what}: {', '.join(sorted(known)) or 'chưa khai'}"


def _references(data: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Check what a single field cannot show: doubles, references, combinations."""
    for name, key in (
        ("duty", "key"),
        ("form", "key"),
        ("field", "key"),
        ("article", "clause"),
        ("party", "organisation"),
    ):
        yield from _doubles(data.get(name, []), name, key)
    until = data.get("effective_until")
    if until and until <= data["effective_from"]:
        yield "effective_until", _shown(until), f"ngày sau {data['effective_from']}"
    clauses = {a["clause"] for a in data["article"]}
    fields = {f["key"] for f in data.get("field", [])}
    forms = {f["key"] for f in data.get("form", [])}
    sides = {p["side"] for p in data["party"]}
    families = {*FAMILIES, *(f["key"] for f in data.get("period_family", []))}
    yield from _known(data.get("thresholds", {}).get("year_family", ""), families, "thresholds.year_family", "loại kỳ")
    for i, family in enumerate(data.get("period_family", []), 1):
        if family["ends"] != sorted(set(family["ends"])):
            yield f"period_family[{i}].ends", _shown(family["ends"]), "các ngày tăng dần, không lặp"
        if family.get("names") and len(family["names"]) != len(family["ends"]):
            yield (
                f"period_family[{i}].names",
                f"{len(family['names'])} tên",
                f"{len(family['ends'])} tên, mỗi kỳ một tên",
            )
    for i, form in enumerate(data.get("form", []), 1):
        yield from _form(form, fields, f"form[{i}]")
    for i, duty in enumerate(data["duty"], 1):
        path = f"duty[{i}]"
        yield from _known(duty["clause"], clauses, f"{path}.clause", "điều khoản đã khai")
        yield from _known(duty.get("field", ""), fields, f"{path}.field", "lĩnh vực đã khai")
        yield from _duty(duty, path, forms, sides, families)
    duties = {d["key"]: d for d in data["duty"]}
    for i, example in enumerate(data.get("example", []), 1):
        yield from _example(example, duties, f"example[{i}]")


def _form(form: dict[str, Any], fields: set[str], path: str) -> Iterator[tuple[str, str, str]]:
    indicators = form.get("indicator", [])
    for where, *rest in _doubles(indicators, "indicator", "key"):
        yield f"{path}.{where}", rest[0], rest[1]
    keys = {x["key"] for x in indicators}
    for j, indicator in enumerate(indicators, 1):
        yield from _known(indicator.get("field", ""), fields, f"{path}.indicator[{j}].field", "lĩnh vực đã khai")
        yield from _known(indicator.get("parts_of", ""), keys, f"{path}.indicator[{j}].parts_of", "chỉ tiêu của mẫu")
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
            date(2023, trigger["month"], trigger["day"])
        except ValueError:
            yield f"{path}.trigger.day", f"{trigger['day']}/{trigger['month']}", "một ngày có trong mọi năm"
    for where, rule in [("deadline", deadline)] + [
        (f"deadline.tiers.{k}", deadline | t) for k, t in deadline.get("tiers", {}).items()
    ]:
        yield from _deadline(rule, trigger["type"], f"{path}.{where}")
    for k in deadline.get("tiers", {}):
        yield from _known(k, set(_kinds()), f"{path}.deadline.tiers.{k}", "loại cơ quan")


def _kinds() -> list[str]:
    from .declaration import ORGANISATION_KINDS

    return ORGANISATION_KINDS


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
    yield from _known(example["duty"], set(duties), f"{path}.duty", "nghĩa vụ đã khai")
    if example["duty"] not in duties:
        return
    trigger = duties[example["duty"]]["trigger"]["type"]
    wanted = {"period": "period", "event": "event", "yearly": "on"}[trigger]
    if wanted not in example:
        yield f"{path}.{wanted}", "thiếu", f"nghĩa vụ {example['duty']} phát sinh theo {trigger}"
    if ("due" in example) == ("due_at" in example):
        yield f"{path}.due", "thiếu hoặc thừa", "đúng một trong hai: due, due_at"
    for key in ("event", "due_at"):
        if key in example:
            try:
                aware = datetime.fromisoformat(example[key]).tzinfo is not None
            except ValueError:
                aware = False
            if not aware:
                yield f"{path}.{key}", _shown(example[key]), "thời điểm có múi giờ, ví dụ 2020-03-05T09:30+07:00"


def _built(data: dict[str, Any]) -> Regulation:
    forms = []
    for form in data.get("form", []):
        indicators = [
            {
                "definition": f"{x['key']}/1",
                "group": "",
                "field": "",
                "aggregate": "sum",
                "parts_of": "",
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
        parties=tuple((p["organisation"], p["side"]) for p in data["party"]),
        fields=tuple({"clause": ""} | f for f in data.get("field", [])),
        articles=tuple({"heading": ""} | a for a in data["article"]),
        forms=tuple(forms),
        families=tuple(data.get("period_family", [])),
        duties=tuple(data["duty"]),
        thresholds=data.get("thresholds", {}),
        examples=tuple(data.get("example", [])),
    )
