"""How papers of the Party and of the state look, as data with its sources.

STATE: Decree 30/2020/NĐ-CP, appendix I. PARTY: guide 36-HD/VPTW of 3 April 2018. A third form, of Party organisations in
the army, exists; its text was not found, so they take the PARTY form. Sizes are points, lengths millimetres. Where the
decree gives a range, the value chosen lies inside it. `unverified` names what no source that was read confirms.
"""

from dataclasses import dataclass
from datetime import date

from .notation import is_party_body


@dataclass(frozen=True, slots=True)
class Profile:
    """The measures of one form of papers."""

    key: str
    source: str
    heading: tuple[str, ...]  # lines at the top right, the last one underlined in its whole length
    heading_sizes: tuple[float, ...]
    heading_rule: float  # length of the rule: the width of that line in the font of the form, at its size, bold
    superior_size: float
    issuer_size: float
    number_size: float
    place_size: float
    type_size: float
    subject_size: float
    body_size: float
    signer_size: float
    recipients_label_size: float
    recipients_size: float
    page_number_size: float
    authority_mark: str  # before the authority: "T/M", "TM."
    recipients_label_bold_italic: bool
    left_share: float  # of the width, for the issuing body; the heading beside it must fit its lines
    star: bool  # a line with * under the issuing body instead of a rule
    top: float = 20
    bottom: float = 20
    left: float = 30
    right: float = 15
    first_line: float = 10  # indent of a paragraph's first line
    paragraph_gap: float = 6  # points
    line: float = 1.15  # times single
    width: float = 210
    height: float = 297
    font: str = "Times New Roman"
    unverified: tuple[str, ...] = ()


STATE = Profile(
    key="state",
    source="Nghị định 30/2020/NĐ-CP, Phụ lục I",
    heading=("CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM", "Độc lập - Tự do - Hạnh phúc"),
    heading_sizes=(12, 13),
    heading_rule=56,
    superior_size=12,
    issuer_size=12,
    number_size=13,
    place_size=14,
    type_size=14,
    subject_size=14,
    body_size=14,
    signer_size=14,
    recipients_label_size=12,
    recipients_size=11,
    page_number_size=13,
    authority_mark="TM.",
    recipients_label_bold_italic=True,
    left_share=0.42,
    star=False,
    unverified=("first_line", "paragraph_gap", "line", "recipients_label_size"),
)
PARTY = Profile(
    key="party",
    source="Hướng dẫn 36-HD/VPTW ngày 03/4/2018",
    heading=("ĐẢNG CỘNG SẢN VIỆT NAM",),
    heading_sizes=(15,),
    heading_rule=73,
    superior_size=14,
    issuer_size=14,
    number_size=14,
    place_size=14,
    type_size=16,
    subject_size=15,
    body_size=14,
    signer_size=14,
    recipients_label_size=14,
    recipients_size=12,
    page_number_size=14,
    authority_mark="T/M",
    recipients_label_bold_italic=False,
    left_share=0.48,
    star=True,
    unverified=("first_line", "paragraph_gap", "line", "recipients_label_size", "recipients_size", "page_number_size"),
)
PROFILES = {p.key: p for p in (STATE, PARTY)}


def profile_for(kind: str) -> Profile:
    """Return the form of the papers of a kind of organisation (R-DOC-20)."""
    return PARTY if is_party_body(kind) else STATE


def place_and_date(place: str, on: date | None) -> str:
    """Return "Nghệ An, ngày 05 tháng 01 năm 2021": days below 10 and the months 1 and 2 carry a zero; blank without a day.

    >>> place_and_date("Nghệ An", date(2020, 12, 8))
    'Nghệ An, ngày 08 tháng 12 năm 2020'
    """
    if on is None:
        return f"{place}, ngày      tháng      năm"
    month = f"{on.month:02}" if on.month < 3 else str(on.month)
    return f"{place}, ngày {on.day:02} tháng {month} năm {on.year}"


def blank_number(profile: Profile, notation: str, type_code: str) -> str:
    """Return the number line with the place of the number left blank, for the clerk's hand."""
    return f"Số        -{type_code}/{notation}" if profile.key == "party" else f"Số:        /{type_code}-{notation}"


EM = 25.4 / 72  # millimetres of a point


def rule_under(text: str, size: float, room: float) -> float:
    """Return the length (mm) of the short rule under a bold line: two fifths of the line, which the decree puts at 1/3 to 1/2.

    The width of a letter is an average of the font: 0.6 of its size for capitals, 0.45 for others.
    """
    letter = 0.6 if text.isupper() else 0.45
    return round(0.4 * min(room, len(text) * letter * size * EM), 1)
