"""An invitation as a picture: the whole of it as a QR code where it fits, else only where to ask and which key to expect."""

from dataclasses import dataclass

import segno

MOST_IN_CODE = 1_800  # bytes; a denser code is no longer read from a screen by an ordinary telephone


@dataclass(frozen=True, slots=True)
class Picture:
    """An SVG of one unit a module, quiet zone included, and whether it holds the whole invitation."""

    svg: str
    is_whole: bool


def picture_of(document: bytes, *, address: str, kid: str) -> Picture:
    """Return the code of an invitation; of one that is too long, of the node's address and its key's fingerprint."""
    whole = len(document) <= MOST_IN_CODE
    text = document.decode("ascii") if whole else f"hiepdong-node:{kid}" + (f"@{address}" if address else "")
    code = segno.make(text, error="l" if whole else "m", micro=False, boost_error=False)
    return Picture(code.svg_inline(scale=1, border=4, svgclass="hd-qr", lineclass=None, omitsize=True), whole)
