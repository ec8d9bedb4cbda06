"""Recognise marks of state secrets, so that such content is refused and not kept.

A mark is a stamp: a level standing alone (a line, brackets, a cell), a level in capitals, a level named as the degree of
secrecy, or one of the fixed phrases of the secret-document regime. Ordinary words are not marks: "mật ong", "bí mật",
"mật độ", "bảo mật", "MẬT ONG RỪNG". Spacing, other normal forms, look-alike letters and missing marks hide nothing.

Sources: Law 117/2025/QH15 art. 5 (in force 2026-03-01); stamps of Decree 26/2020/NĐ-CP. See domain notes on R-SEC-01…05.
"""

import html
import io
import re
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from itertools import pairwise

from hiepdong.kernel.errors import DomainError, gettext_noop
from hiepdong.kernel.text import fold


class ClassifiedContent(DomainError):
    """The text carries a secrecy mark. Nothing of it may be stored, not even in the journal."""

    code = "exchange.classified_content"
    message = gettext_noop("This carries a secrecy mark; it is refused and nothing of it is kept.")
    hint = gettext_noop(
        "Send it by the paper channel or the cipher channel as the law on state secrets requires; "
        "here you may only note that something went by a separate channel."
    )


# --- one plain form of every spelling ------------------------------------------------------------------------------------

_OF_VIETNAMESE = "\u0300\u0301\u0302\u0303\u0306\u0309\u031b\u0323"
_FILLERS = "\u115f\u1160\u2800"  # letters and signs without a shape
_BREAKS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
_ALIKE = dict(
    zip(
        "АВЕКМНОРСТУХІЈЅаеорсухіјѕмт" "ΑΒΕΗΙΚΜΝΟΡΤΥΧαοι" "ᴀᴅᴇɪᴍᴏᴛᴜʏı" "ꓮꓓꓰꓲꓟꓳꓔꓴꓬ" "ᎪᎠᎬᏆᎷᎢ",
        "ABEKMHOPCTYXIJSaeopcyxijsmt" "ABEHIKMNOPTYXaoi" "ADEIMOTUYi" "ADEIMOTUY" "ADEIMT",
        strict=True,
    )
)  # fmt: skip


class _Plain(dict[int, int | str | None]):
    """What becomes of a character: nothing of what has no shape, one letter for all that look like it."""

    def __missing__(self, code: int) -> int | str | None:
        char, kind = chr(code), unicodedata.category(chr(code))
        found: int | str | None = _ALIKE.get(char, code)
        if char in _BREAKS:
            found = "\n"
        elif kind == "Zs" or char == "\t":
            found = " "
        elif kind in {"Cc", "Cf", "Cn"} or char in _FILLERS or (kind[0] == "M" and char not in _OF_VIETNAMESE):
            found = None
        self[code] = found
        return found


_PLAIN = _Plain()


# What people mostly type, and what has one spelling only: it is its own plain form.
_USUAL = re.compile(
    "[ -~\\n\u2013\u2014\u201c\u201d\u2018\u2019"
    "àáảãạăằắẳẵặâầấẩẫậèéẻẽẹêềếểễệìíỉĩịòóỏõọôồốổỗộơờớởỡợùúủũụưừứửữựỳýỷỹỵđ"
    "ÀÁẢÃẠĂẰẮẲẴẶÂẦẤẨẪẬÈÉẺẼẸÊỀẾỂỄỆÌÍỈĨỊÒÓỎÕỌÔỒỐỔỖỘƠỜỚỞỠỢÙÚỦŨỤƯỪỨỬỮỰỲÝỶỸỴĐ]*"
)


def _plain(text: str) -> str:
    if _USUAL.fullmatch(text):
        return text
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKD", text).translate(_PLAIN))


# --- marks -----------------------------------------------------------------------------------------------------------------


def _spaced(word: str) -> str:
    return r"[\W_]{0,9}".join(word.replace(" ", ""))


_HIGH = {"tuyệt mật", "tối mật"}
_PAPER = r"(?:tai lieu|van ban|cong van|ho so|ban|do|muc do|cap do|dau)"
_ANYWHERE = (
    re.compile(rf"(?<!\w)(?:{_spaced('TUYỆT MẬT')}|{_spaced('TỐI MẬT')})(?!\w)"),  # the high levels in capitals
    re.compile(r"(?<!\w)TUYET[\W_]{0,9}MAT(?!\w)"),
    re.compile(r"(?i)(?<!\w)(?:độ|dấu)\s{1,9}mật[\s:=|–-]{0,9}(?:tuyệt|tối)\s{1,9}mật(?!\w)"),
    re.compile(r"(?i)(?<!\w)(?:độ|dấu)\s{1,9}mật\s{0,9}[:=|–-]\s{0,9}mật(?!\w)"),
    re.compile(r"(?i)đóng\s{1,9}dấu\s{1,9}(?:chỉ\s{1,9})?(?:mức\s{1,9})?(?:độ\s{1,9})?mật(?!\w)"),
    re.compile(r"(?i)tài\s{1,9}liệu\s{1,9}thu\s{1,9}hồi(?!\w)(?!\s{1,9}(?:được|từ|tại|của))"),
    re.compile(r"(?i)chỉ\s{1,9}người\s{1,9}có\s{1,9}tên\s{1,9}mới\s{1,9}được\s{1,9}bóc\s{1,9}bì"),
)
_FOLDED = (
    re.compile(r"\b(?:do|dau) mat ?[:=|] ?(?:(?:tuyet|toi) )?mat\b(?! ong)"),
    re.compile(r"\bchi nguoi co ten moi duoc boc bi\b"),
)
_STANDING = re.compile(rf"(?:{_PAPER} ){{0,2}}(?:mat )?(?:tuyet|toi) mat")
_LETTERS = re.compile(r"[^\W_]+")
_NO_LETTERS = bytes(code for code in range(128) if not chr(code).isalnum())
_CELL = re.compile(r"[()\[\]{}«»|]")
_CUT = re.compile(r"\s+[-–—/*]\s+|[:*_#~]+|[-–—/*]{2,}")
_BEFORE = {"bí", "bảo", "cơ", "ong", "túi", "sỏi", "mía", "nuôi", "gấu", "thân", "đường", "giải", "chè", "dịch", "lấy"}
_AFTER = {"ong", "mã", "độ", "mía", "danh", "khẩu", "thiết", "thư", "vụ", "lệnh", "đàm", "phục", "báo", "ước", "gấu", "ngọt"}


LONGEST_LINE = 200_000  # no text that people write; a file may hold one


def _stands_alone(piece: str, *, stamp: bool) -> bool:
    """Say whether a line or a cell is nothing but a level; `stamp` accepts the lowest level also in small letters."""
    if len(piece) > 200 and len(piece.strip()) > 200:
        return False
    letters = "".join(re.findall(r"[^\W_]+", piece))
    if not 3 <= len(letters) <= 40:
        return False
    low = letters.lower()
    if low == "mật":
        return stamp or letters[0] == "M"
    if letters in {"MAT", "MÂT", "MẠT"} or low in {"tuyệtmật", "tốimật", "tuyetmat", "toimat"}:
        return True
    words = " ".join(w for w in re.split(r"[\W_]+", piece.lower()) if w)
    plain = fold(words)
    if _STANDING.fullmatch(plain):
        return True
    return words.endswith(" mật") and re.fullmatch(rf"(?:{_PAPER} ){{1,2}}mat", plain) is not None and piece == piece.upper()


def _stamped(line: str) -> bool:
    """Say whether one line bears a stamp."""
    if len(line) > LONGEST_LINE or "m" not in line.lower():
        return False
    if _stands_alone(line, stamp=False):
        return True
    if any(_stands_alone(cell, stamp=True) for cell in _CELL.split(line)[1:-1]):
        return True
    if not ("MẬT" in line or "MAT" in line):
        return False
    pieces = [piece for piece in _CUT.split(line) if piece.strip()]
    if len(pieces) > 1 and any(piece.strip(" .,!") in {"MẬT", "TOI MAT", "TUYET MAT"} for piece in pieces):
        return True
    words = re.findall(r"\w+|[^\w\s]", line)
    return any(
        word == "MẬT"
        and not _shouted(words[i - 1 : i])
        and not _shouted(words[i + 1 : i + 2])
        and not (i and words[i - 1].lower() in _BEFORE)
        and not (i + 1 < len(words) and words[i + 1].lower() in _AFTER)
        for i, word in enumerate(words)
    )


def _shouted(words: list[str]) -> bool:
    return any(word.isupper() or word == "," for word in words)


def _letters_of(folded: str) -> str:
    if folded.isascii():
        return folded.encode().translate(None, _NO_LETTERS).decode()
    return "".join(_LETTERS.findall(folded))


def bears_secrecy_mark(text: str) -> bool:
    """Say whether the text bears a secrecy mark.

    >>> bears_secrecy_mark("TỐI MẬT\\nKế hoạch"), bears_secrecy_mark("Thu 20 lít mật ong; giữ bí mật")
    (True, False)
    """
    plain = _plain(text)
    folded = fold(plain)
    # Every mark holds one of these words; most texts hold none, and then nothing needs to be looked for any closer.
    letters = _letters_of(folded)
    if not ("mat" in letters or "thuhoi" in letters or "bocbi" in letters):
        return False
    if any(mark.search(plain) for mark in _ANYWHERE):
        return True
    if any(mark.search(folded) for mark in _FOLDED):
        return True
    return any(_stamped(line) for line in plain.split("\n"))


def file_name_bears_mark(name: str) -> bool:
    """Say whether a file name bears a mark; names are often written without marks: "TOI_MAT_ke-hoach.pdf"."""
    plain = _plain(name).replace("\n", " ")
    stem, dot, ending = plain.rpartition(".")
    stem = stem if dot and stem.strip() and len(ending) <= 5 else plain
    if bears_secrecy_mark(stem):
        return True
    words = [w for w in re.split(r"[\W_]+", stem) if w]
    low, bare = [w.lower() for w in words], [fold(w) for w in words]
    if any(pair in {("tuyet", "mat"), ("toi", "mat")} for pair in pairwise(bare)):
        return True
    if any(fold(cell) == "mat" for cell in re.findall(r"[(\[{]\s*(\w+)\s*[)\]}]", stem)):
        return True
    if len(words) == 1:
        return low == ["mật"] or words == ["MAT"]
    first = words[:1] == ["MẬT"] and low[1] not in _AFTER
    return first or (low[-1:] == ["mật"] and low[-2] not in _BEFORE)


# --- inside files ----------------------------------------------------------------------------------------------------------

MOST_READ = 8 * 1024 * 1024  # bytes looked at in one file, unpacked: the stamp stands at the beginning
_NEW_LINE = re.compile(
    rb"</(?:w:p|a:p|text:p|text:h|w:tc|table:table-cell|si|c|row|p|div|td|li|tr|h\d)\s*>|<(?:w:)?br\b[^<>]*>", re.IGNORECASE
)
_TAG = re.compile(rb"<[^<>]*>")


def file_bears_mark(name: str, data: bytes) -> bool:
    """Say whether a file bears a mark: in its name, in a text, in an office document (DOCX, XLSX, PPTX, ODF) or in a ZIP.

    Pictures, scans, PDF and encrypted files cannot be read here.
    """
    if file_name_bears_mark(name):
        return True
    if data[:4] == b"PK\x03\x04":
        return any(
            file_name_bears_mark(inner) or any(bears_secrecy_mark(text) for text in _texts_in(inner, inside))
            for inner, inside in _unpacked(data, deep=2, left=[MOST_READ])
        )
    return any(bears_secrecy_mark(text) for text in _texts_in(name, data[:MOST_READ]))


def _unpacked(data: bytes, *, deep: int, left: list[int]) -> Iterator[tuple[str, bytes]]:
    """Yield what a ZIP holds, and what the ZIPs in it hold, until `left` bytes were unpacked in all."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as box:
            for member in box.infolist():
                inside = b""
                if left[0] > 0 and not member.is_dir() and not member.flag_bits & 1:
                    with box.open(member) as opened:
                        inside = opened.read(left[0])
                    left[0] -= len(inside)
                yield member.filename.rsplit("/", 1)[-1], inside
                if deep > 1 and inside[:4] == b"PK\x03\x04":
                    yield from _unpacked(inside, deep=deep - 1, left=left)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, OSError, ValueError):
        return  # it opens nowhere, or nobody can look inside without its password


def _texts_in(name: str, data: bytes) -> Iterator[str]:
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        yield data.decode("utf-16", errors="replace")
    elif data[:5] != b"%PDF-" and b"\x00" not in data[:4096]:
        is_markup = data.lstrip()[:1] == b"<" or name.lower().endswith((".xml", ".htm", ".html"))
        if is_markup:
            yield html.unescape(_TAG.sub(b"", _NEW_LINE.sub(b"\n", data)).decode("utf-8", errors="replace"))
        else:
            yield data.decode("utf-8", errors="replace")


def refuse_classified(*texts: str) -> None:
    """Raise `ClassifiedContent` if one of the texts bears a mark; the error carries nothing of the text."""
    if any(bears_secrecy_mark(text) for text in texts):
        raise ClassifiedContent
