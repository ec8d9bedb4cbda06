"""The sheet of paper that goes with a bundle: what it is, its digest to compare, and who handed it to whom.

The digest stands in groups of four, to be read out, and as a QR code, to be scanned; both say the same. The sheet is laid out
as a dispatch note (phiếu gửi, code PG) of Decree 30/2020/NĐ-CP.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import segno
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, override, pgettext

from hiepdong.documents.domain.layout import unbroken_end
from hiepdong.documents.domain.profiles import blank_number, place_and_date, profile_for, rule_under
from hiepdong.documents.rendering import typeset
from hiepdong.kernel.moments import VIET_NAM, local_day
from hiepdong.shell.templatetags.hiepdong import number

from .domain.links import ItemKind

TEMPLATE = Path(__file__).with_name("cover_sheet.typ")
MEASURES = ((1024**3, "GB"), (1024**2, "MB"), (1024, "KB"))


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who sends the bundle and puts its seal on the sheet: names as in its papers, its kind decides on their form."""

    name: str
    kind: str
    superior: str = ""
    notation: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True)
class BundleFacts:
    """What a cover sheet says of one finished file.

    `sender` and `receiver` are names of nodes; `made_at` is aware; sizes are bytes; `digest` is the SHA-256 of the file that
    is carried (of the encrypted one, if it is), hex; `kinds` counts the items by kind; `first` is 0 when there are none.
    """

    sender: str
    receiver: str
    made_at: datetime
    bundle_id: str
    file_name: str
    size: int
    digest: str
    items: int
    first: int
    last: int
    kinds: Mapping[str, int] = field(default_factory=dict)
    files: int = 0
    files_size: int = 0
    held_through: int = 0
    part: int = 1
    parts: int = 1
    encrypted: bool = False
    made_up: bool = False
    asks: bool = False  # the sender was restored and asks for its own items
    echo: int | None = None  # how many own items it brings back to the receiver, which was restored


@dataclass(frozen=True, slots=True)
class CoverSheet:
    """The sheet as text, for paper and for a page: `rows` are label and value; `qr` is what the code says."""

    title: str
    subtitle: str
    addressee: str
    rows: tuple[tuple[str, str], ...]
    digest_label: str
    digest: tuple[str, ...]
    qr: str
    check: str
    matches: str
    differs: str
    register: tuple[str, ...]
    hands: tuple[str, ...]
    hand_rows: tuple[str, ...]
    note: str
    banner: str


def sheet_of(facts: BundleFacts) -> CoverSheet:
    """Return the sheet in Vietnamese, whatever language is active."""
    with override("vi"):
        return CoverSheet(
            title=_("Dispatch note for a data bundle"),
            subtitle=_("Part %(part)s/%(parts)s") % {"part": facts.part, "parts": facts.parts} if facts.parts > 1 else "",
            addressee=facts.receiver,
            rows=tuple(_rows(facts)),
            digest_label=_("Check number (SHA-256) of the file"),
            digest=tuple(facts.digest[i : i + 4] for i in range(0, len(facts.digest), 4)),
            qr=f"sha256:{facts.digest}",
            check=_(
                "The recipient computes the check number of the file anew, or has the program show it, and compares it with "
                "this one or with the QR code. If one sign differs, do not import the bundle and tell the sender at once."
            ),
            matches=pgettext("cover sheet", "matches"),
            differs=pgettext("cover sheet", "does not match"),
            register=(_("Result of the comparison:"), _("Number in the register of arrivals:"), _("Mark of the stick:")),
            hands=(_("Handed over by"), _("Carried by"), _("Received by")),
            hand_rows=(_("Full name"), _("Position, unit"), _("Hour, date"), pgettext("on paper", "Signature")),
            note=_("Two copies: the recipient signs both, keeps one and sends the other back to the sender."),
            banner=_("MADE-UP DATA, FOR DEMONSTRATION ONLY") if facts.made_up else "",
        )


def _rows(facts: BundleFacts) -> list[tuple[str, str]]:
    made_at = facts.made_at.astimezone(VIET_NAM)
    sealed = _("encrypted; only the receiving node can open it") if facts.encrypted else _("signed, not encrypted")
    return [
        (_("Sending node"), facts.sender),
        (_("Receiving node"), facts.receiver),
        (
            pgettext("cover sheet", "Made at"),
            _("%(clock)s on %(day)s (Viet Nam time)") % {"clock": f"{made_at:%H:%M}", "day": f"{made_at:%d/%m/%Y}"},
        ),
        (pgettext("cover sheet", "Contents"), contents(facts.items, facts.kinds) + _after_restore(facts)),
        (
            _("Order numbers on the link"),
            _("from %(first)s to %(last)s") % {"first": number(facts.first), "last": number(facts.last)}
            if facts.items
            else pgettext("cover sheet", "none"),
        ),
        (_("Files that go with it"), _files(facts)),
        (_("Received from the other side"), _received(facts)),
        (_("Name of the file"), facts.file_name),
        (_("Size of the file"), _("%(count)s bytes") % {"count": number(facts.size)} + _about(facts.size)),
        (_("Protection"), sealed),
        (_("Code of the bundle"), facts.bundle_id),
    ]


def _after_restore(facts: BundleFacts) -> str:
    """Return what a bundle does for a node that was restored from a backup; "" for all others."""
    if facts.asks:
        return "; " + _("asks the receiving node for own items of the sending node after a restore")
    if facts.echo is not None:
        return "; " + _("brings back %(count)s own items of the receiving node after its restore") % {
            "count": number(facts.echo)
        }
    return ""


def contents(items: int, kinds: Mapping[str, int]) -> str:
    """Return what is in a bundle, in the language that is active: how many items, of which kinds."""
    names = {
        ItemKind.DISPATCH: lambda n: ngettext("%(count)s dispatch", "%(count)s dispatches", n),
        ItemKind.RECEIPT: lambda n: ngettext("%(count)s receipt", "%(count)s receipts", n),
        ItemKind.KEY: lambda n: ngettext("%(count)s statement about a key", "%(count)s statements about keys", n),
        ItemKind.CHECKPOINT: lambda n: ngettext("%(count)s journal checkpoint", "%(count)s journal checkpoints", n),
        ItemKind.WITNESS: lambda n: ngettext("%(count)s witness statement", "%(count)s witness statements", n),
    }
    counts = {kind: kinds.get(kind.value, 0) for kind in names}
    parts = [names[kind](n) % {"count": number(n)} for kind, n in counts.items() if n]
    other = items - sum(counts.values())
    if parts and other > 0:
        parts.append(_("%(count)s of another kind") % {"count": number(other)})
    total = ngettext("%(count)s item", "%(count)s items", items) % {"count": number(items)}
    return f"{total}: {', '.join(parts)}" if parts else total


def _files(facts: BundleFacts) -> str:
    if not facts.files:
        return pgettext("cover sheet", "none")
    count = ngettext("%(count)s file", "%(count)s files", facts.files) % {"count": number(facts.files)}
    return f"{count}, " + _("%(count)s bytes") % {"count": number(facts.files_size)} + _about(facts.files_size)


def _received(facts: BundleFacts) -> str:
    if not facts.held_through:
        return _("nothing yet")
    return _("everything up to number %(last)s") % {"last": number(facts.held_through)}


def _about(size: int) -> str:
    """Return a size in a measure that people know, in brackets; nothing for a small one."""
    for unit, name in MEASURES:
        if size >= unit:
            return f" (≈ {number(round(size / unit, 1))} {name})"
    return ""


def qr_svg(text: str) -> str:
    """Return a QR code as an SVG picture, one unit a module, quiet zone included; a quarter of it may be smudged."""
    code = segno.make(text, error="q", micro=False, boost_error=False)
    width = code.symbol_size(border=4)[0]
    runs = []
    for y, row in enumerate(map(bytes, code.matrix_iter(border=4))):
        x = 0
        while x < width:
            start, dark = x, row[x]
            while x < width and row[x] == dark:
                x += 1
            if dark:
                runs.append(f"M{start} {y}h{x - start}v1h-{x - start}z")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {width}" width="{width}" height="{width}" '
        f'shape-rendering="crispEdges"><path fill="#000" d="{"".join(runs)}"/></svg>'
    )


def render_cover_sheet(facts: BundleFacts, *, issuer: Issuer) -> bytes:
    """Return the cover sheet of a bundle, one page A4, as PDF.

    Raises:
        FontsMissing: see `documents.rendering`.
    """
    look = profile_for(issuer.kind)
    room = look.width - look.left - look.right
    sheet = sheet_of(facts)
    data: dict[str, Any] = asdict(sheet) | {
        "look": asdict(look),
        "superior": unbroken_end(issuer.superior),
        "issuer": unbroken_end(issuer.name),
        "issuer_rule": rule_under(issuer.name.upper(), look.issuer_size, room * look.left_share),
        "title_rule": rule_under(sheet.title.upper(), look.type_size, room),
        "number_line": blank_number(look, issuer.notation, "PG"),
        "place_and_date": place_and_date(issuer.place, local_day(facts.made_at)),
        "qr_svg": qr_svg(sheet.qr),
    }
    return typeset(TEMPLATE, data)
