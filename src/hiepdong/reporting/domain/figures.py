"""Figures as Vietnamese offices write them: read into value, precision and unit word; written back.

Accepted: 1.570 · 468,281 · 12 tỷ 305 triệu · trên 25,27 tỉ · gần 3.000 · khoảng 40 · 0. A dot groups thousands, a comma
begins decimals. Zero is a figure; an empty field is none. Never guessed: "1.5" (is it 1,5 or 1.500?) is refused.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from hiepdong.kernel.errors import DomainError, gettext_noop

PRECISIONS = {"exact": "", "about": "khoảng", "over": "trên", "nearly": "gần"}
_WORDS = {
    "khoảng": "about", "chừng": "about", "độ": "about", "ước": "about", "trên": "over", "hơn": "over", "quá": "over",
    "gần": "nearly", "xấp xỉ": "about",
}  # fmt: skip
_SCALES = {
    "nghìn": Decimal(1_000), "ngàn": Decimal(1_000), "triệu": Decimal(1_000_000), "tỷ": Decimal(1_000_000_000),
    "tỉ": Decimal(1_000_000_000),
}  # fmt: skip
_NUMBER = r"(?:\d{1,3}(?:\.\d{3})+|\d+)(?:,\d+)?"
_PART = re.compile(rf"({_NUMBER})\s*(nghìn|ngàn|triệu|tỷ|tỉ)?", re.IGNORECASE)


class UnreadableFigure(DomainError):
    """A figure cannot be read for certain."""

    code = "reporting.unreadable_figure"
    message = gettext_noop("The figure %(found)s cannot be read.")
    hint = gettext_noop("Write for example: 1.570 or 468,281 or 12 tỷ 305 triệu or trên 25,27 tỷ or 0.")


class SeveralFigures(DomainError):
    """One place holds several figures."""

    code = "reporting.several_figures"
    message = gettext_noop("There are several figures in %(found)s, but this place takes one.")
    hint = gettext_noop("Write each figure in its own place, cases and persons apart.")


class AnotherUnit(DomainError):
    """The unit written is not the one that is counted here."""

    code = "reporting.another_unit"
    message = gettext_noop("%(found)s is written in %(written)s, but here %(unit)s is counted.")
    hint = gettext_noop("Convert the figure, or leave the unit out.")


class FigureTooLong(DomainError):
    """More digits than can be kept."""

    code = "reporting.figure_too_long"
    message = gettext_noop("The figure %(found)s has too many digits.")
    hint = gettext_noop("At most 16 digits before the comma and 4 behind it are kept.")


@dataclass(frozen=True, slots=True)
class Read:
    """A figure as read: the value, its precision word, what stood behind it (the unit as written).

    `scaled` says that a word of magnitude (nghìn, triệu, tỷ) stood in it and is already in the value.
    """

    value: Decimal
    precision: str
    unit: str
    scaled: bool = False


def read_figure(text: str) -> Read:
    """Return the figure that the text states.

    Raises:
        UnreadableFigure: nothing, several or doubtful figures.

    >>> read_figure("trên 25,27 tỉ").value, read_figure("12 tỷ 305 triệu").value, read_figure("1.570 lượt").unit
    (Decimal('25270000000.00'), Decimal('12305000000'), 'lượt')
    """
    rest = " ".join(text.strip().split())
    precision = "exact"
    for word, code in _WORDS.items():
        if rest.lower().startswith(word + " "):
            precision, rest = code, rest[len(word) + 1 :]
            break
    value, seen, smallest = Decimal(0), False, None
    while found := _PART.match(rest):
        number, scale = found[1], (found[2] or "").lower()
        tail = rest[found.end() :]
        if tail[:1] in {".", ","} or re.match(r"\d", tail):
            raise UnreadableFigure(found=text[:60])
        factor = _SCALES.get(scale, Decimal(1))
        if smallest is not None and (factor >= smallest or not scale):
            raise UnreadableFigure(found=text[:60])
        value += Decimal(number.replace(".", "").replace(",", ".")) * factor
        seen, smallest, rest = True, factor, tail.lstrip()
        if not scale:
            break
    if not seen or re.search(r"\d", rest) or rest.startswith(("-", "/")):
        raise UnreadableFigure(found=text[:60])
    return Read(value, precision, rest.strip(" .;,"), scaled=smallest is not None and smallest >= 1_000)


_BETWEEN = re.compile(r"\s*(?:[;/\n]|,(?!\d)|\bvà\b|\bvới\b)\s*")


def read_figures(text: str) -> list[Read]:
    """Return every figure of a short statement, in order, each with its unit.

    Raises:
        UnreadableFigure: one of its parts is not a figure.

    >>> [(str(f.value), f.unit) for f in read_figures("153 vụ, 346 đối tượng")]
    [('153', 'vụ'), ('346', 'đối tượng')]
    >>> [(str(f.value), f.unit) for f in read_figures("23 tổ/137 người")]
    [('23', 'tổ'), ('137', 'người')]
    """
    parts = [part for part in _BETWEEN.split(text.strip()) if part]
    if not parts:
        raise UnreadableFigure(found=text[:60])
    return [read_figure(part) for part in parts]


def read_in_unit(text: str, unit: str) -> Read:
    """Return the one figure that the text states, counted in the unit of the place it was typed into.

    "12 tỷ 305 triệu" typed where "triệu đồng" is counted is 12305. A unit that is written out must be the same one.

    Raises:
        UnreadableFigure, SeveralFigures, AnotherUnit, FigureTooLong.

    >>> read_in_unit("12 tỷ 305 triệu đồng", "triệu đồng").value, read_in_unit("570", "triệu đồng").value
    (Decimal('12305'), Decimal('570'))
    """
    try:
        found = read_figure(text)
    except UnreadableFigure as error:
        try:
            several = len(read_figures(text)) > 1
        except UnreadableFigure:
            several = False
        if several:
            raise SeveralFigures(found=text.strip()[:60]) from error
        raise
    scale, base = _split(unit)
    written = found.unit.casefold()
    if written not in {"", unit.casefold(), base.casefold()}:
        raise AnotherUnit(found=text.strip()[:60], written=found.unit, unit=unit)
    value = found.value
    if found.scaled or (scale != 1 and written == base.casefold() != ""):
        value = value / scale
    if abs(value) >= Decimal(10) ** 16 or value != round(value, 4):
        raise FigureTooLong(found=text.strip()[:60])
    return Read(value.normalize() + 0 if value else Decimal(0), found.precision, unit, found.scaled)


def _split(unit: str) -> tuple[Decimal, str]:
    """Return the magnitude that a unit begins with, and the unit without it: "triệu đồng" is (1000000, "đồng")."""
    first, _, rest = unit.partition(" ")
    factor = _SCALES.get(first.lower())
    return (factor, rest) if factor and rest else (Decimal(1), unit)


def shown(value: Decimal, precision: str = "exact") -> str:
    """Return a value in Vietnamese form with its precision word: "trên 25.270", "468,281".

    >>> shown(Decimal("1570")), shown(Decimal("468.281")), shown(Decimal("3000"), "nearly")
    ('1.570', '468,281', 'gần 3.000')
    """
    sign = "-" if value < 0 else ""
    whole, _, decimals = format(abs(value).normalize(), "f").partition(".")
    grouped = f"{int(whole):,}".replace(",", ".")
    number = sign + grouped + (f",{decimals}" if decimals else "")
    word = PRECISIONS.get(precision, "")
    return f"{word} {number}" if word else number


def precision_of_sum(told: Iterable[str]) -> str:
    """Return what a sum may claim of which figures of these precisions are parts.

    >>> precision_of_sum(["exact", "over"]), precision_of_sum(["nearly", "over"]), precision_of_sum([])
    ('over', 'about', 'exact')
    """
    loose = set(told) - {"exact"}
    return "exact" if not loose else loose.pop() if len(loose) == 1 else "about"


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Parts that do not make their total."""

    total: str
    stated: Decimal
    parts: Decimal


def disagreements(values: dict[str, Decimal], parts_of: dict[str, str]) -> list[Disagreement]:
    """Return totals smaller than the sum of their stated parts. Only where both stand; cases and persons never.

    A part list need not be complete, so a total may be larger than its parts, never smaller.
    """
    sums: dict[str, Decimal] = {}
    for part, total in parts_of.items():
        if total and part in values and total in values:
            sums[total] = sums.get(total, Decimal(0)) + values[part]
    return [Disagreement(t, values[t], s) for t, s in sums.items() if s > values[t]]
