"""Recognise marks of state secrets, so that such content is refused and not kept.

A mark is a stamp: the level in capitals standing alone (a line, brackets, a cell), or named as the degree of secrecy, or
one of the fixed phrases of the secret-document regime. Ordinary words are not marks: "mật ong", "bí mật", "mật độ",
"bảo mật", "MẬT ONG RỪNG". Spacing, zero-width characters, other normal forms and look-alike letters do not hide a mark.

Sources: Law 117/2025/QH15 art. 5 (in force 2026-03-01); stamps of Decree 26/2020/NĐ-CP. See domain notes on R-SEC-01…05.
"""

import re
import unicodedata

from hiepdong.kernel.errors import DomainError, gettext_noop


class ClassifiedContent(DomainError):
    """The text carries a secrecy mark. Nothing of it may be stored, not even in the journal."""

    code = "exchange.classified_content"
    message = gettext_noop("This carries a secrecy mark; it is refused and nothing of it is kept.")
    hint = gettext_noop(
        "Send it by the paper channel or the cipher channel as the law on state secrets requires; "
        "here you may only note that something went by a separate channel."
    )


_HIDDEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]"
)
_ALIKE = str.maketrans("АВЕКМНОРСТУХΑΒΕΗΙΚΜΝΟΡΤΥΧІЈЅ", "ABEKMHOPCTYXABEHIKMNOPTYXIJS")
_SPACE = r"[\s._\-·]*"


def _spaced(word: str) -> str:
    return _SPACE.join(re.escape(c) for c in word)


_LEVELS = "|".join(f"{_spaced(a)}{_SPACE}{_spaced('MẬT')}" for a in ("TUYỆT", "TỐI"))
_MARKS = (
    re.compile(rf"(?<!\w)(?:{_LEVELS})(?!\w)"),  # TUYỆT MẬT, TỐI MẬT in capitals, anywhere
    re.compile(rf"(?m)^[\s\[\(«“\"'*|>#-]*{_spaced('MẬT')}[\s\]\)»”\"'*|<.:!-]*$"),  # MẬT alone on its line
    re.compile(rf"[\[\(|]\s*{_spaced('MẬT')}\s*[\]\)|]"),  # (MẬT), [MẬT], | MẬT |
    re.compile(r"(?i)(?:độ|mức độ|cấp độ|dấu)\s+mật\s*[:=]\s*(?:tuyệt\s+mật|tối\s+mật|mật)(?!\w)"),
    re.compile(r"(?i)đóng\s+dấu\s+(?:chỉ\s+)?(?:mức\s+)?(?:độ\s+)?mật(?!\w)"),
    re.compile(r"(?i)tài\s+liệu\s+thu\s+hồi"),
    re.compile(r"(?i)chỉ\s+người\s+có\s+tên\s+mới\s+được\s+bóc\s+bì"),
)
_FILE_MARKS = re.compile(rf"(?<![^\W_])(?:{_LEVELS}|(?:TUYET|TOI)[\s._\-]*MAT)(?![^\W_])", re.IGNORECASE)


def bears_secrecy_mark(text: str) -> bool:
    """Say whether the text bears a secrecy mark.

    >>> bears_secrecy_mark("TỐI MẬT\\nKế hoạch"), bears_secrecy_mark("Thu 20 lít mật ong; giữ bí mật")
    (True, False)
    """
    plain = _HIDDEN.sub("", unicodedata.normalize("NFC", unicodedata.normalize("NFKC", text))).translate(_ALIKE)
    plain = unicodedata.normalize("NFC", plain)
    return any(mark.search(plain) for mark in _MARKS)


def file_name_bears_mark(name: str) -> bool:
    """Say whether a file name bears a mark; names are often written without marks: "TOI_MAT_ke-hoach.pdf"."""
    plain = _HIDDEN.sub("", unicodedata.normalize("NFC", name)).translate(_ALIKE)
    return bears_secrecy_mark(plain) or bool(_FILE_MARKS.search(plain))


def refuse_classified(*texts: str) -> None:
    """Raise `ClassifiedContent` if one of the texts bears a mark; the error carries nothing of the text."""
    if any(bears_secrecy_mark(text) for text in texts):
        raise ClassifiedContent
