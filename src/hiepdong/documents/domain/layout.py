"""What a paper says and in which order, without how it looks; profiles and renderers add the looks.

All text is plain: nothing in it is markup, whatever characters it holds.
"""

import unicodedata
from dataclasses import dataclass, field
from typing import Literal

Align = Literal["left", "center", "right", "justify"]


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading inside the body; level 1 is a part, 2 a section, 3 a paragraph's title."""

    text: str
    level: int = 1


@dataclass(frozen=True, slots=True)
class Paragraph:
    """One paragraph of the body; a line break inside it starts a new one."""

    text: str
    bold: bool = False
    italic: bool = False
    align: Align = "justify"


@dataclass(frozen=True, slots=True)
class Points:
    """A list: "- " before each, or 1., 2., 3."""

    items: tuple[str, ...]
    numbered: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; `share` of the width is relative to the other columns."""

    title: str
    share: float = 1.0
    align: Align = "left"


@dataclass(frozen=True, slots=True)
class Band:
    """A row of a table that runs across all columns: the title of the rows below it."""

    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose header repeats on every page; `total` makes the last row bold. A band stays with the row below it."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...] | Band, ...]
    caption: str = ""
    note: str = ""
    total: bool = False

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows if not isinstance(row, Band)):
            raise ValueError("a row has not as many cells as the table has columns")


@dataclass(frozen=True, slots=True)
class PageBreak:
    """What follows begins on a new page: an annex."""


Block = Heading | Paragraph | Points | Table | PageBreak


@dataclass(frozen=True, slots=True)
class Document:
    """A paper with type name: report, notice, plan.

    `number_line` and `place_and_date` are finished text ("Số 05-BC/ĐU", "Nghệ An, ngày 05 tháng 01 năm 2021"). No name
    of a signer is printed: the place above the seal stays free.
    """

    profile: str  # key of a `profiles.Profile`
    superior: str
    issuer: str
    number_line: str
    place_and_date: str
    type_name: str  # "Báo cáo"
    subject: str
    blocks: tuple[Block, ...]
    annexes: tuple[Block, ...] = ()  # after the signature, on a new page
    addressees: tuple[str, ...] = ()  # after "Kính gửi"
    recipients: tuple[str, ...] = ()  # after "Nơi nhận"
    authority: str = ""  # for whom it is signed: "Đảng ủy"
    signer_title: str = ""
    banner: str = ""  # above everything and at the foot of every page: "DỰ THẢO", "DỮ LIỆU MINH HỌA"
    footnote: str = ""  # small, at the very end: how to verify
    keywords: tuple[str, ...] = field(default=())


_UNPRINTABLE = {"Cc", "Cs", "Cn"}  # control characters, halves of surrogate pairs, what no font has
_FORBIDDEN = {"\ufffe", "\uffff"}


def printable(text: str) -> str:
    """Return the text composed (NFC) and without characters that no file format takes; line breaks and tabs stay."""
    composed = unicodedata.normalize("NFC", text)
    return "".join(c for c in composed if c in "\n\t" or (unicodedata.category(c) not in _UNPRINTABLE and c not in _FORBIDDEN))


def unbroken_end(text: str) -> str:
    """Return a title whose last two words stay on one line, so that no single word stands alone in the last line."""
    head, _space, last = text.rstrip().rpartition(" ")
    return f"{head}\u00a0{last}" if head else text
