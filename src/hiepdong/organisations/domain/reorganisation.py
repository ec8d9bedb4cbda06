"""Read and check a reorganisation file: what becomes of units and bodies on one day, by one act."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from hiepdong.kernel.declared import KEY, Field, Found, Problem, Table, doubles, listed, read, shown

from .format import BODY, UNIT, Body, body_of, check_rows

FORMAT = "hiepdong.reorganisation/1"
HELP = "docs/reference/reorganisation-format.md"

_SOURCE = {
    "source": Field("text", "nguồn của dòng này", longest=300, default="source của tệp"),
    "verified": Field("boolean", "đã thấy nguồn nói đúng như vậy", default="verified của tệp"),
}
REORGANISATION = Table(
    "Một tệp là một lần sắp xếp: một ngày, một văn bản. Nạp lại không đổi gì; không sửa gì của những ngày trước.",
    {
        "format": Field("text", "luôn là hiepdong.reorganisation/1", required=True, choices=(FORMAT,)),
        "key": Field("text", "khóa của lần sắp xếp", True, pattern=KEY, longest=80, example="nghe-an.sap-xep-2025"),
        "title": Field("text", "tên gọi", True, longest=300),
        "effective_on": Field("date", "ngày đầu tiên theo đơn vị, cơ quan mới", True, example="2025-07-01"),
        "act": Field("text", "văn bản quyết định", True, longest=300, example="NQ 1678/NQ-UBTVQH15"),
        "source": Field("text", "nguồn chung", True, longest=300),
        "verified": Field("boolean", "đã thấy nguồn nói đúng như vậy, trừ dòng ghi khác", True),
        "unit": Field(
            "list of table",
            "đơn vị hành chính có từ ngày đó, và những đơn vị làm nên nó",
            of=Table(
                "Một đơn vị từ ngày đó. Nút đã biết thì chỉ đối chiếu; chưa biết thì lập mới, đơn vị cũ thôi từ ngày đó.",
                {
                    "code": Field("text", "cấp và mã mới", True, pattern=UNIT, example="commune:16744"),
                    "kind": Field("text", "loại: xã, phường, đặc khu, tỉnh…; cần khi lập mới", longest=30, example="xã"),
                    "name": Field("text", "tên, không kèm loại; cần khi lập mới", longest=100, example="Thông Thụ"),
                    "parent": Field("text", "đơn vị cấp trên; cần khi lập mới, trừ tỉnh", pattern=UNIT, example="province:40"),
                    "from": Field("list of text", "các đơn vị cũ nhập nguyên vẹn", pattern=UNIT, example='["commune:16741"]'),
                    "parts_of": Field("list of text", "các đơn vị cũ chỉ nhập một phần", pattern=UNIT),
                    "flags": Field("list of text", "vùng", choices=("land_border", "coastal"), example='["land_border"]'),
                    **_SOURCE,
                },
            ),
        ),
        "organisation": Field(
            "list of table",
            "cơ quan lập mới từ ngày đó",
            of=Table(
                "Một cơ quan mới; các khóa như ở tệp cơ quan, không có valid_from (luôn là effective_on).",
                {k: f for k, f in BODY.items() if k not in {"valid_from", "valid_until", "source", "verified"}} | _SOURCE,
            ),
        ),
        "change": Field(
            "list of table",
            "cơ quan vẫn còn nhưng đổi cấp trên hoặc địa bàn",
            of=Table(
                "Một cơ quan đổi từ ngày đó.",
                {
                    "organisation": Field("text", "khóa của cơ quan", True, pattern=KEY),
                    "superior": Field("text", "cấp trên mới", pattern=KEY),
                    "predecessors": Field("list of text", "khóa các cơ quan mà cơ quan này nhận việc", pattern=KEY),
                    "territory": Field("list of text", "toàn bộ địa bàn từ ngày đó", pattern=UNIT),
                    "follow": Field(
                        "boolean",
                        "địa bàn theo các đơn vị nhập nguyên vẹn; phần bị chia thì người quyết định",
                        default="false",
                    ),
                    **_SOURCE,
                },
            ),
        ),
        "end": Field(
            "list of table",
            "cơ quan thôi hoạt động từ ngày đó",
            of=Table(
                "Một nhóm cơ quan thôi hoạt động.",
                {"organisations": Field("list of text", "khóa các cơ quan", True, pattern=KEY), **_SOURCE},
            ),
        ),
        "decision": Field(
            "list of table",
            "việc nguồn không nói, người phải quyết định",
            of=Table(
                "Một câu hỏi.",
                {
                    "question": Field("text", "câu hỏi", True, longest=1000),
                    "about": Field("list of text", "khóa các cơ quan liên quan", pattern=KEY),
                },
            ),
        ),
    },
)


@dataclass(frozen=True, slots=True)
class Change:
    """A body that stays, with a new superior or a new territory. `territory` None leaves it as it is."""

    organisation: str
    superior: str
    predecessors: tuple[str, ...]
    territory: tuple[str, ...] | None
    follow: bool
    source: str
    verified: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """A file without problems."""

    key: str
    title: str
    effective_on: date
    act: str
    units: tuple[dict[str, Any], ...]  # rows of [[unit]] with source and verified filled in
    bodies: tuple[Body, ...]
    changes: tuple[Change, ...]
    ends: tuple[tuple[str, str], ...]  # (organisation key, path in the file)
    decisions: tuple[dict[str, Any], ...]


def check(file_bytes: bytes, name: str) -> tuple[Plan | None, list[Problem]]:
    """Return the plan, or None and every problem found. Nothing that a file holds makes it raise."""
    data, problems = read(file_bytes, name, REORGANISATION, help_page=HELP)
    problems = problems or listed(name, _references(data))
    return (None, problems) if problems else (_built(data), [])


def _references(data: dict[str, Any]) -> Iterator[Found]:
    if not any(data.get(k) for k in ("unit", "organisation", "change", "end")):
        yield "", "không có gì thay đổi", "ít nhất một [[unit]], [[organisation]], [[change]] hoặc [[end]]"
    yield from doubles(data.get("unit", []), "unit", "code")
    yield from doubles(data.get("change", []), "change", "organisation")
    yield from check_rows(data.get("organisation", []), needs=())
    whole: dict[str, str] = {}
    for i, row in enumerate(data.get("unit", []), 1):
        for j, code in enumerate(row.get("from", []), 1):
            path = f"unit[{i}].from[{j}]"
            if code in whole:
                yield path, shown(code), f"một đơn vị chỉ nhập nguyên vẹn một lần; đã có ở {whole[code]}; nếu chia thì parts_of"
            whole.setdefault(code, path)
    for i, row in enumerate(data.get("unit", []), 1):
        for j, code in enumerate(row.get("parts_of", []), 1):
            if code in whole:
                yield f"unit[{i}].parts_of[{j}]", shown(code), f"đơn vị không nhập nguyên vẹn ở {whole[code]}"
    for i, row in enumerate(data.get("change", []), 1):
        if not {"superior", "predecessors", "territory", "follow"} & row.keys():
            yield f"change[{i}]", "không có gì thay đổi", "ít nhất một trong: superior, predecessors, territory, follow"
        if "territory" in row and row.get("follow"):
            yield f"change[{i}].follow", "true", "chỉ một trong hai: territory, follow"
        if row["organisation"] in {row.get("superior"), *row.get("predecessors", ())}:
            yield f"change[{i}].organisation", shown(row["organisation"]), "cơ quan khác, không phải chính nó"
    ended: dict[str, str] = {}
    for i, row in enumerate(data.get("end", []), 1):
        for j, key in enumerate(row["organisations"], 1):
            path = f"end[{i}].organisations[{j}]"
            if key in ended:
                yield path, shown(key), f"mỗi cơ quan một lần; đã có ở {ended[key]}"
            ended.setdefault(key, path)
    for name, key in (("organisation", "key"), ("change", "organisation")):
        for i, row in enumerate(data.get(name, []), 1):
            if row[key] in ended:
                yield f"{name}[{i}].{key}", shown(row[key]), f"cơ quan không thôi hoạt động ở {ended[row[key]]}"


def _built(data: dict[str, Any]) -> Plan:
    common = {"source": data["source"], "verified": data["verified"]}
    on = data["effective_on"]
    changes = [common | row for row in data.get("change", [])]
    return Plan(
        key=data["key"],
        title=data["title"],
        effective_on=on,
        act=data["act"],
        units=tuple(common | row for row in data.get("unit", [])),
        bodies=tuple(body_of(common | {"act": data["act"]} | row | {"valid_from": on}) for row in data.get("organisation", [])),
        changes=tuple(
            Change(
                organisation=row["organisation"],
                superior=row.get("superior", ""),
                predecessors=tuple(row.get("predecessors", ())),
                territory=tuple(row["territory"]) if "territory" in row else None,
                follow=row.get("follow", False),
                source=row["source"],
                verified=row["verified"],
            )
            for row in changes
        ),
        ends=tuple(
            (key, f"end[{i}].organisations[{j}]")
            for i, row in enumerate(data.get("end", []), 1)
            for j, key in enumerate(row["organisations"], 1)
        ),
        decisions=tuple(data.get("decision", [])),
    )
