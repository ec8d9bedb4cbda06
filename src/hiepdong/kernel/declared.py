"""Files of declared shape: one declaration feeds the checker, the JSON Schema and the reference page.

A declaration is data: tables of fields, each with its kind, what is accepted and what it means. A file is TOML, UTF-8, at most
2 MiB. Every problem is found at once, each with file, key path, what was found and what is accepted. The words are Vietnamese
because the files are: their keys are read by programs, their problems by the officers who write them.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from difflib import get_close_matches
from itertools import islice
from typing import Any

KEY = r"[a-z0-9][a-z0-9.-]{0,79}"
LONGEST_FILE = 2 * 1024 * 1024
MOST_PROBLEMS = 500
FIRST_YEAR, LAST_YEAR = 1900, 2199
_PART = r"""(?:[\w-]+|"[^"\n]*"|'[^'\n]*')"""
_TOO_DEEP = re.compile(
    rf"(?:^|[\[{{,])[ \t]*{_PART}(?:[ \t]*\.[ \t]*{_PART}){{32}}", re.MULTILINE
)  # tomllib takes hours on these
_UNPRINTABLE = re.compile(  # PostgreSQL keeps no NUL; of the others a page shows nothing, or text in another order
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]"
)

Found = tuple[str, str, str]  # key path, what was found, what is accepted


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
class Field:
    """One key of a table.

    `kind`: "text", "integer", "boolean", "date", "table", "list of text", "list of integer", "list of table",
    "table of table", "text or list of text". `default` says in words what holds when the key is absent.
    """

    kind: str
    doc: str
    required: bool = False
    choices: tuple[str, ...] = ()
    pattern: str = ""
    least: int | None = None
    most: int | None = None
    of: "Table | None" = None
    longest: int = 20_000
    default: str = ""
    example: str = ""

    @property
    def accepted(self) -> str:
        """What is accepted, in words for a person."""
        if self.choices:
            return ("danh sách gồm: " if self.kind.startswith("list") else "một trong: ") + ", ".join(self.choices)
        words = {
            "text": "chuỗi ký tự trong dấu nháy",
            "integer": "số nguyên",
            "boolean": "true hoặc false",
            "date": "ngày không có nháy, dạng 2020-12-18",
            "table": "một bảng [..]",
            "list of text": 'danh sách ["…", "…"]',
            "list of integer": "danh sách số nguyên [-3, 1]",
            "list of table": "các bảng [[..]]",
            "table of table": "các bảng con [..]",
            "text or list of text": 'chuỗi "…" hoặc danh sách ["…"]',
        }[self.kind]
        if self.pattern:
            words += f", theo mẫu {self.pattern}"
        if self.least is not None or self.most is not None:
            words += f", từ {self.least if self.least is not None else '…'} đến {self.most if self.most is not None else '…'}"
        return words


@dataclass(frozen=True, slots=True)
class Table:
    """The keys a table may have."""

    doc: str
    fields: Mapping[str, Field] = field(default_factory=dict)


# --- reading -----------------------------------------------------------------------------------------------------------


def read(file_bytes: bytes, name: str, table: Table, *, help_page: str) -> tuple[dict[str, Any], list[Problem]]:
    """Return the file's values and no problems, or an empty table and every problem found (at most 500 are listed).

    Whatever the bytes are, this returns: nothing that a file holds can make it raise.
    """
    data, problems = parsed(file_bytes, name, help_page=help_page)
    problems = problems or listed(name, check_table(data, table, ""))
    return ({}, problems) if problems else (data, [])


def parsed(file_bytes: bytes, name: str, *, help_page: str) -> tuple[dict[str, Any], list[Problem]]:
    """Return what the TOML says, unchecked, and no problems; or an empty table and the one problem that stops the reading."""
    if len(file_bytes) > LONGEST_FILE:
        return {}, [Problem(name, "", f"{len(file_bytes)} byte", f"nhiều nhất {LONGEST_FILE} byte")]
    try:
        text = file_bytes.decode("utf-8")
    except UnicodeDecodeError as error:
        return {}, [Problem(name, f"byte {error.start}", "không phải UTF-8", "tệp lưu dạng UTF-8, không BOM")]
    if text.startswith("\ufeff"):
        return {}, [Problem(name, "byte 0", "BOM", "tệp lưu dạng UTF-8, không BOM")]
    if _TOO_DEEP.search(text):
        return {}, [Problem(name, "TOML", "khóa có hơn 32 phần", f"cú pháp TOML 1.0; xem {help_page}")]
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError, OverflowError) as error:  # too deep, or a number of thousands of digits, too
        found = "lồng quá sâu" if isinstance(error, RecursionError) else str(error)[:300]
        return {}, [Problem(name, "TOML", found, f"cú pháp TOML 1.0; xem {help_page}")]
    return data, []


def sound(data: Mapping[str, Any], table: Table) -> dict[str, Any]:
    """Return what of a file has the declared shape, so that the rest of it can be checked in the same run.

    Unknown keys are left out; a row of `[[…]]` with any other problem becomes an empty table, so that rows keep their numbers.
    """
    found: dict[str, Any] = {}
    for key, f in table.fields.items():
        value = data.get(key)
        if f.kind == "list of table" and isinstance(value, list):
            found[key] = [_sound_row(row, f.of or Table("")) for row in value]
        elif key in data and not any(_field(value, f, key)):
            found[key] = value
    return found


def _sound_row(row: Any, table: Table) -> dict[str, Any]:
    known = {k: v for k, v in row.items() if k in table.fields} if isinstance(row, dict) else {}
    return {} if any(check_table(known, table, "")) else known


def listed(name: str, found: Iterator[Found]) -> list[Problem]:
    """Return the problems of a file, at most 500 of them and then one line that says so."""
    problems = [Problem(name, *one) for one in islice(found, MOST_PROBLEMS + 1)]
    if len(problems) > MOST_PROBLEMS:
        problems[MOST_PROBLEMS:] = [Problem(name, "", "còn nhiều vấn đề khác", "sửa các vấn đề trên rồi kiểm tra lại")]
    return problems


def shown(value: Any) -> str:
    """Return a value as a problem shows it: short, whatever it is."""
    if isinstance(value, dict):
        return "một bảng"
    if isinstance(value, list):
        return f"danh sách {len(value)} phần tử"
    if isinstance(value, int) and value.bit_length() > 200:
        return "số quá lớn"
    text = value.isoformat() if isinstance(value, date) else repr(value)
    return text if len(text) <= 80 else text[:77] + "…"


def near(value: str, known: Iterator[str] | list[str] | set[str] | Mapping[str, Any]) -> str:
    """Return "có phải …? " when a known word resembles the value."""
    found = get_close_matches(value, known, n=1) if len(value) <= 80 else []
    return f"có phải {found[0]}? " if found else ""


def join(path: str, key: str) -> str:
    """Return the key path one level deeper."""
    key = key if len(key) <= 80 else key[:77] + "…"
    return f"{path}.{key}" if path else key


def check_table(value: Any, table: Table, path: str) -> Iterator[Found]:
    """Yield every problem of one table against its declaration."""
    if not isinstance(value, dict):
        yield path, shown(value), "một bảng"
        return
    for key in value:
        if key not in table.fields:
            accepted = near(key, table.fields) + "các khóa: " + ", ".join(table.fields)
            yield join(path, key), "khóa không có trong định dạng", accepted
    for key, f in table.fields.items():
        if key in value:
            yield from _field(value[key], f, join(path, key))
        elif f.required:
            yield join(path, key), "thiếu", f.accepted


_TYPES = {"text": str, "integer": int, "boolean": bool, "date": date}


def _field(value: Any, f: Field, path: str) -> Iterator[Found]:
    match f.kind:
        case "table":
            yield from check_table(value, f.of or Table(""), path)
        case "list of table":
            if not isinstance(value, list):
                yield path, shown(value), f.accepted
                return
            if f.required and not value:
                yield path, "trống", "ít nhất một bảng [[..]]"
            for i, item in enumerate(value, 1):
                yield from check_table(item, f.of or Table(""), f"{path}[{i}]")
        case "table of table":
            if not isinstance(value, dict):
                yield path, shown(value), f.accepted
                return
            for key, item in value.items():
                yield from check_table(item, f.of or Table(""), join(path, key))
        case "list of text" | "list of integer":
            if not isinstance(value, list):
                yield path, shown(value), f.accepted
                return
            one = Field(f.kind.removeprefix("list of "), f.doc, False, f.choices, f.pattern, f.least, f.most)
            for i, item in enumerate(value, 1):
                yield from _scalar(item, one, f"{path}[{i}]")
        case "text or list of text":
            one = Field("text", f.doc, False, f.choices, f.pattern)
            for item in value if isinstance(value, list) else [value]:
                yield from _scalar(item, one, path)
        case _:
            yield from _scalar(value, f, path)


def _scalar(value: Any, f: Field, path: str) -> Iterator[Found]:
    wrong = not isinstance(value, _TYPES[f.kind]) or isinstance(value, datetime)
    wrong = wrong or (f.kind == "integer" and isinstance(value, bool))
    if not wrong and f.kind == "text":
        if len(value) > f.longest:
            yield path, f"{len(value)} ký tự", f"nhiều nhất {f.longest} ký tự"
            return
        if _UNPRINTABLE.search(value):
            yield path, shown(value), "chữ đọc được, không có ký tự điều khiển hay ký tự ẩn"
            return
        wrong = bool(f.choices) and value not in f.choices
        wrong = wrong or (bool(f.pattern) and not re.fullmatch(f.pattern, value))
        wrong = wrong or (f.required and not value.strip())
    if not wrong and f.kind == "integer":
        wrong = (f.least is not None and value < f.least) or (f.most is not None and value > f.most)
    if not wrong and f.kind == "date" and not FIRST_YEAR <= value.year <= LAST_YEAR:
        yield path, shown(value), f"ngày từ năm {FIRST_YEAR} đến năm {LAST_YEAR}"
    elif wrong:
        hint = near(value, list(f.choices)) if isinstance(value, str) and f.choices else ""
        yield path, shown(value), hint + f.accepted


def doubles(rows: list[dict[str, Any]], name: str, key: str) -> Iterator[Found]:
    """Yield each row whose value of the key stood in a row before; rows without the key are passed over."""
    seen: dict[str, int] = {}
    for i, row in enumerate(rows, 1):
        if key not in row:
            continue
        if row[key] in seen:
            yield f"{name}[{i}].{key}", shown(row[key]), f"mỗi giá trị một lần; đã có ở {name}[{seen[row[key]]}]"
        seen.setdefault(row[key], i)


# --- the JSON Schema, for editors ---------------------------------------------------------------------------------------


def schema_of(table: Table) -> dict[str, object]:
    """Return the JSON Schema (2020-12) of a table."""
    properties = {name: _schema_of_field(f) for name, f in table.fields.items()}
    required = [name for name, f in table.fields.items() if f.required]
    found: dict[str, object] = {
        "type": "object",
        "description": table.doc,
        "properties": properties,
        "additionalProperties": False,
    }
    return found | ({"required": required} if required else {})


def _schema_of_field(f: Field) -> dict[str, object]:
    text: dict[str, object] = {"type": "string"}
    if f.choices:
        text["enum"] = list(f.choices)
    elif f.pattern:
        text["pattern"] = f"^{f.pattern}$"
    if f.kind == "text" and not f.choices:
        text["maxLength"] = f.longest
    number: dict[str, object] = {"type": "integer"}
    if f.least is not None:
        number["minimum"] = f.least
    if f.most is not None:
        number["maximum"] = f.most
    inner = schema_of(f.of) if f.of else {}
    rows: dict[str, object] = {"type": "array", "items": inner}
    shapes: dict[str, dict[str, object]] = {
        "text": text,
        "integer": number,
        "boolean": {"type": "boolean"},
        "date": {"type": "string", "format": "date"},
        "table": inner,
        "list of text": {"type": "array", "items": text},
        "list of integer": {"type": "array", "items": number},
        "list of table": rows | ({"minItems": 1} if f.required else {}),
        "table of table": {"type": "object", "additionalProperties": inner},
        "text or list of text": {"anyOf": [text, {"type": "array", "items": text}]},
    }
    return {"description": f.doc} | shapes[f.kind]


def schema(table: Table, title: str) -> dict[str, object]:
    """Return the JSON Schema of a whole file."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title} | schema_of(table)


# --- the reference page -------------------------------------------------------------------------------------------------


def reference(table: Table, name: str) -> str:
    """Return the tables of a reference page in Markdown: every key with its accepted form, default, meaning and example."""
    return "\n".join(_reference(table, name, set()))


def _reference(table: Table, name: str, told: set[int]) -> Iterator[str]:
    yield f"### `{name}`\n\n{table.doc}\n"
    yield "| Khóa | Bắt buộc | Chấp nhận | Mặc định | Nghĩa | Ví dụ |\n|---|---|---|---|---|---|"
    inner: list[tuple[str, Table]] = []
    for key, f in table.fields.items():
        if f.of is not None:
            form = f"`[[{_below(name, key)}]]`" if f.kind == "list of table" else f"`[{_below(name, key)}]`"
            if f.kind == "table of table":
                form = f"`[{_below(name, key)}.<khóa>]`"
            if id(f.of) not in told:
                told.add(id(f.of))
                inner.append((form.strip("`"), f.of))
            accepted = f"bảng {form}"
        else:
            accepted = f.accepted if not f.choices else f"{f.accepted.split(':')[0]}: " + ", ".join(f"`{c}`" for c in f.choices)
            if f.pattern and not f.choices:
                accepted = f"{Field(f.kind, '').accepted}, theo mẫu `{f.pattern}`"
        accepted += f"; nhiều nhất {f.longest} ký tự" if f.kind == "text" and f.longest < 20_000 else ""
        cells = [f"`{key}`", "có" if f.required else "", accepted, f.default, f.doc, f"`{f.example}`" if f.example else ""]
        yield "| " + " | ".join(c.replace("|", "\\|").replace("\n", " ") for c in cells) + " |"
    yield ""
    for title, below in inner:
        yield from _reference(below, title, told)


def _below(name: str, key: str) -> str:
    inside = name.strip("[]")
    return key if name.startswith("(") else f"{inside}.{key}"
