"""Number and notation of documents: state form "Số: 05/BC-UBND", Party form "Số 05-BC/ĐU".

Sources: Decree 30/2020/NĐ-CP appendix I and III; Party guide 36-HD/VPTW (2018). Numbers below ten carry a leading zero.
"""

PARTY_KINDS = frozenset({"party_province", "party_district", "party_commune", "border_guard_party"})
TYPE_NAMES: dict[str, str] = {
    "NQ": "Nghị quyết", "QĐ": "Quyết định", "CT": "Chỉ thị", "QC": "Quy chế", "QyĐ": "Quy định", "TC": "Thông cáo",
    "TB": "Thông báo", "HD": "Hướng dẫn", "CTr": "Chương trình", "KH": "Kế hoạch", "PA": "Phương án", "ĐA": "Đề án",
    "DA": "Dự án", "BC": "Báo cáo", "BB": "Biên bản", "TTr": "Tờ trình", "HĐ": "Hợp đồng", "CĐ": "Công điện",
    "BGN": "Bản ghi nhớ", "BTT": "Bản thỏa thuận", "GUQ": "Giấy ủy quyền", "GM": "Giấy mời", "GGT": "Giấy giới thiệu",
    "GNP": "Giấy nghỉ phép", "PG": "Phiếu gửi", "PC": "Phiếu chuyển", "PB": "Phiếu báo",
}  # fmt: skip
TYPE_OF_KIND = {"report": "BC", "nil_report": "BC", "notice": "TB", "withdrawal": "TB"}


def is_party_body(kind: str) -> bool:
    """Say whether documents of this kind of organisation take the Party form (R-DOC-20)."""
    return kind in PARTY_KINDS


def notation_for(kind: str, notation: str, type_code: str, number: int) -> str:
    """Return the number line of a document of an organisation of that kind.

    >>> notation_for("border_guard_party", "ĐU", "BC", 5), notation_for("peoples_committee_commune", "UBND", "BC", 15)
    ('Số 05-BC/ĐU', 'Số: 15/BC-UBND')
    """
    if is_party_body(kind):
        return f"Số {number:02}-{type_code}/{notation}"
    return f"Số: {number:02}/{type_code}-{notation}"
