"""Read and check a file of organisations: every problem at once."""

import re
import tomllib
from dataclasses import asdict, dataclass
from datetime import date, datetime
from difflib import get_close_matches
from typing import Any

KEY = re.compile(r"[a-z0-9][a-z0-9.-]{0,79}")
FORMAT = "hiepdong.organisations/1"
TEXTS = ("key", "kind", "name", "short_name", "notation", "place", "founding_instrument", "source", "superior")
KNOWN = {*TEXTS, "valid_from", "valid_until", "verified", "territory", "predecessors", "act"}
DEFAULTS = {"valid_from", "valid_until", "source", "verified", "place"}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong: file, key path, what was found, what is accepted."""

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
class Body:
    """One organisation of the file. `territory` holds unit codes ("commune:16816", "district:417", "province:40")."""

    key: str
    kind: str
    name: str
    valid_from: date
    source: str
    short_name: str = ""
    notation: str = ""
    place: str = ""
    founding_instrument: str = ""
    superior: str = ""
    valid_until: date | None = None
    verified: bool = False
    territory: tuple[str, ...] = ()
    predecessors: tuple[str, ...] = ()
    act: str = ""


def check(file_bytes: bytes, name: str, kinds: list[str]) -> tuple[list[Body], list[Problem]]:
    """Return the bodies of the file, or every problem found. `kinds` are the accepted kinds of organisation."""
    try:
        data = tomllib.loads(file_bytes.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return [], [Problem(name, "TOML", str(error), "tệp TOML 1.0, lưu dạng UTF-8")]
    problems: list[Problem] = []

    def bad(path: str, found: object, accepted: str) -> None:
        shown = found if isinstance(found, str) else repr(found)
        problems.append(Problem(name, path, shown, accepted))

    if data.get("format") != FORMAT:
        bad("format", data.get("format", "thiếu"), FORMAT)
    for key in data:
        if key not in {"format", "defaults", "organisation"}:
            bad(key, "khóa không có trong định dạng", "format, [defaults], [[organisation]]")
    rows = data.get("organisation", [])
    if not isinstance(rows, list) or not rows:
        bad("organisation", "thiếu", "ít nhất một [[organisation]]")
        return [], problems
    defaults = data.get("defaults", {})
    for key in set(defaults) - DEFAULTS:
        bad(f"defaults.{key}", "khóa không có trong định dạng", ", ".join(sorted(DEFAULTS)))
    seen: dict[str, int] = {}
    bodies = []
    for i, raw in enumerate(rows, 1):
        path = f"organisation[{i}]"
        row: dict[str, Any] = {k: v for k, v in defaults.items() if k in DEFAULTS} | raw
        before = len(problems)
        for key in raw:
            if key not in KNOWN:
                near = get_close_matches(key, KNOWN, n=1)
                bad(
                    f"{path}.{key}",
                    "khóa không có trong định dạng",
                    f"có phải {near[0]}?" if near else ", ".join(sorted(KNOWN)),
                )
        for key in ("key", "kind", "name", "source"):
            if not isinstance(row.get(key), str) or not row[key].strip():
                bad(f"{path}.{key}", row.get(key, "thiếu"), "chuỗi ký tự trong dấu nháy")
        for key in ("valid_from", "valid_until"):
            value = row.get(key)
            if (value is None and key == "valid_from") or (
                value is not None and (not isinstance(value, date) or isinstance(value, datetime))
            ):
                bad(f"{path}.{key}", "thiếu" if value is None else value, "ngày không có nháy, dạng 2020-12-18")
        for key in TEXTS[3:]:
            if not isinstance(row.get(key, ""), str):
                bad(f"{path}.{key}", row[key], "chuỗi ký tự trong dấu nháy")
        if not isinstance(row.get("verified", False), bool):
            bad(f"{path}.verified", row["verified"], "true hoặc false")
        for key in ("territory", "predecessors"):
            value = row.get(key, [])
            if not isinstance(value, list) or not all(isinstance(x, str) for x in value):
                bad(f"{path}.{key}", value, 'danh sách ["…", "…"]')
        for code in row.get("territory", []) if isinstance(row.get("territory", []), list) else []:
            if isinstance(code, str) and not re.fullmatch(r"(province|district|commune):\d{2,5}", code):
                bad(f"{path}.territory", code, '"commune:16816", "district:417" hoặc "province:40"')
        if len(problems) > before:
            continue
        if not KEY.fullmatch(row["key"]):
            bad(f"{path}.key", row["key"], "chữ thường không dấu, số, dấu chấm và gạch ngang")
        if row["kind"] not in kinds:
            near = get_close_matches(row["kind"], kinds, n=1)
            bad(f"{path}.kind", row["kind"], (f"có phải {near[0]}? " if near else "") + ", ".join(kinds))
        if row.get("valid_until") and row["valid_until"] <= row["valid_from"]:
            bad(f"{path}.valid_until", row["valid_until"].isoformat(), f"ngày sau {row['valid_from'].isoformat()}")
        if row["key"] in seen:
            bad(f"{path}.key", row["key"], f"mỗi khóa một lần; đã có ở organisation[{seen[row['key']]}]")
        seen[row["key"]] = i
        row["territory"] = tuple(row.get("territory", ()))
        row["predecessors"] = tuple(row.get("predecessors", ()))
        bodies.append(Body(**row))
    return ([], problems) if problems else (bodies, [])
