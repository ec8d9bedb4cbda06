"""Vietnamese text: one normal form, a search key without marks, a sort key in dictionary order."""

import re
import unicodedata

_LETTERS = "aăâbcdđeêfghijklmnoôơpqrstuưvwxyz"
# One sign a letter, out of those that every collation of every database sorts alike: 0–9 before a–z. 0 ends the letters,
# 1 is a space, 2 begins a digit (20 … 29) or stands for anything else (2z).
_ORDER = dict(zip(_LETTERS, "3456789abcdefghijklmnopqrstuvwxyz", strict=True))
_TONES = {"": "0", "\u0300": "1", "\u0309": "2", "\u0303": "3", "\u0301": "4", "\u0323": "5"}
_SHAPES = {("a", "\u0306"): "ă", ("a", "\u0302"): "â", ("e", "\u0302"): "ê", ("o", "\u0302"): "ô", ("o", "\u031b"): "ơ"}
_SHAPES |= {("u", "\u031b"): "ư"}


# ASCII and marks that stand over or under a letter; all of the block but U+034F, which is none.
_MARKED = re.compile("[\x00-\x7f\u0300-\u034e\u0350-\u036f]*")


def nfc(text: str) -> str:
    """Return the text in normal form C; every text is stored so."""
    return unicodedata.normalize("NFC", text)


def fold(text: str) -> str:
    """Return the text in lower case without any mark, đ as d, runs of white space as one space.

    >>> fold("Đồn Biên phòng  Nậm Cắn")
    'don bien phong nam can'
    """
    bare = unicodedata.normalize("NFD", text.replace("Đ", "D").replace("đ", "d"))
    if not bare.isascii():
        if _MARKED.fullmatch(bare):
            bare = bare.encode("ascii", "ignore").decode("ascii")  # the usual text: nothing but marks is beyond ASCII
        else:
            bare = "".join(c for c in bare if not unicodedata.combining(c))
    return " ".join(bare.lower().split())


def whole_number(text: str | None) -> int | None:
    """Return the number that a field of an address holds, or None: only ASCII digits, at most what a database can hold.

    >>> whole_number("12"), whole_number("²"), whole_number("-1"), whole_number("9" * 20)
    (12, None, None, None)
    """
    return int(text) if text and len(text) < 19 and text.isascii() and text.isdigit() else None


def sort_key(text: str) -> str:
    """Return a key of 0–9 and a–z that sorts as a Vietnamese dictionary does: a ă â b c d đ …; tones only break ties.

    Tone order: level, grave, hook, tilde, acute, dot below.

    >>> sorted(["Ơn", "Đà", "Ăn", "On", "Dân", "Ấn", "Âm", "An", "Đồn"], key=sort_key)
    ['An', 'Ăn', 'Âm', 'Ấn', 'Dân', 'Đà', 'Đồn', 'On', 'Ơn']
    """
    letters: list[str] = []
    tones: list[str] = []
    for char in unicodedata.normalize("NFD", nfc(text).lower()):
        if char in _TONES and letters:
            tones[-1] = _TONES[char]
        elif letters and (letters[-1], char) in _SHAPES:
            letters[-1] = _SHAPES[letters[-1], char]
        elif not unicodedata.combining(char):
            letters.append(char)
            tones.append("0")
    return "".join(_ORDER.get(c) or _other(c) for c in letters) + "0" + "".join(tones)


def _other(char: str) -> str:
    if char.isspace():
        return "1"
    return "2" + char if char.isascii() and char.isdigit() else "2z"
