"""Read and check a file of organisations: every problem at once."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from hiepdong.kernel.declared import KEY, Field, Found, Problem, Table, doubles, listed, read, shown

from .kinds import ORGANISATION_KINDS

__all__ = ["BODY", "FORMAT", "ORGANISATIONS", "UNIT", "Body", "Problem", "body_of", "check"]

FORMAT = "hiepdong.organisations/1"
UNIT = r"(province:\d{2}|district:\d{3}|commune:\d{5})"
HELP = "docs/reference/organisation-format.md"


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


# Lengths are those of the columns of `organisations.models`; keys are shorter, for two of them stand in a duty's reference.
BODY: dict[str, Field] = {
    "key": Field(
        "text", "khóa, không đổi, dùng trong quy chế và công văn", True, pattern=KEY, longest=70, example="quang-tri.don-a"
    ),
    "kind": Field("text", "loại cơ quan", True, tuple(ORGANISATION_KINDS), longest=30, example="border_station"),
    "name": Field("text", "tên đầy đủ", True, longest=200, example="Đồn Biên phòng A"),
    "short_name": Field("text", "tên gọn trên màn hình", longest=80, default="tên đầy đủ", example="Đồn A"),
    "notation": Field("text", "ký hiệu sau dấu gạch chéo của số văn bản", longest=30, example="ĐBP"),
    "place": Field("text", "địa danh đứng trước ngày tháng của văn bản", longest=80, example="Quảng Trị"),
    "superior": Field("text", "khóa của cơ quan cấp trên, trong tệp này hoặc đã nạp", pattern=KEY, longest=80),
    "territory": Field(
        "list of text", "đơn vị hành chính phụ trách, mã có vào ngày valid_from", pattern=UNIT, example='["commune:16816"]'
    ),
    "valid_from": Field("date", "ngày thành lập, hoặc ngày quy ước nếu chưa rõ (ghi vào source)", example="2025-07-01"),
    "valid_until": Field("date", "ngày không còn nữa (không tính ngày này)", default="vẫn còn"),
    "founding_instrument": Field("text", "văn bản thành lập", longest=300),
    "predecessors": Field("list of text", "khóa các cơ quan mà cơ quan này tiếp nối từ ngày valid_from", pattern=KEY),
    "act": Field("text", "văn bản về việc tiếp nối", longest=300, default="founding_instrument, rồi source"),
    "source": Field("text", "nguồn: trang, văn bản đã thấy; hoặc MEMORY, INFER", longest=300),
    "verified": Field("boolean", "đã thấy nguồn nói đúng như vậy", default="false"),
}
DEFAULTS = Table(
    "Giá trị cho mọi [[organisation]] không tự ghi.",
    {k: BODY[k] for k in ("valid_from", "valid_until", "place", "source", "verified")},
)
ORGANISATIONS = Table(
    "Một tệp cơ quan. Nạp lại không đổi gì: cơ quan đã có (theo khóa) giữ nguyên.",
    {
        "format": Field("text", "luôn là hiepdong.organisations/1", required=True, choices=(FORMAT,)),
        "defaults": Field("table", "giá trị chung", of=DEFAULTS),
        "organisation": Field("list of table", "các cơ quan", required=True, of=Table("Một cơ quan.", BODY)),
    },
)


def check(file_bytes: bytes, name: str) -> tuple[list[Body], list[Problem]]:
    """Return the bodies of the file, or every problem found. Nothing that a file holds makes it raise."""
    data, problems = read(file_bytes, name, ORGANISATIONS, help_page=HELP)
    if problems:
        return [], problems
    defaults = data.get("defaults", {})
    rows = [defaults | row for row in data["organisation"]]
    problems = listed(name, check_rows(rows, needs=("valid_from", "source")))
    return ([], problems) if problems else ([body_of(row) for row in rows], [])


def check_rows(rows: list[dict[str, Any]], *, needs: tuple[str, ...]) -> Iterator[Found]:
    """Yield what single fields cannot show: keys twice, dates in the wrong order, what `defaults` should have given."""
    yield from doubles(rows, "organisation", "key")
    for i, row in enumerate(rows, 1):
        path = f"organisation[{i}]"
        for key in needs:
            if key not in row:
                yield f"{path}.{key}", "thiếu", f"{BODY[key].accepted}; hoặc ghi ở [defaults]"
        first, until = row.get("valid_from"), row.get("valid_until")
        if first and until and until <= first:
            yield f"{path}.valid_until", shown(until), f"ngày sau {first.isoformat()}"
        for key in ("territory", "predecessors"):
            if len(set(row.get(key, ()))) < len(row.get(key, ())):
                yield f"{path}.{key}", shown(row[key]), "mỗi giá trị một lần"
        if row["key"] in {row.get("superior"), *row.get("predecessors", ())}:
            yield f"{path}.key", shown(row["key"]), "cơ quan khác, không phải chính nó"


def body_of(row: dict[str, Any]) -> Body:
    """Return a checked row as a body."""
    lists = {k: tuple(row.get(k, ())) for k in ("territory", "predecessors")}
    return Body(**(row | lists))
