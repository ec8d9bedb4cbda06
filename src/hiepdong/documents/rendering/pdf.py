"""PDF by Typst. Data goes in as JSON: no text of a document is ever read as markup."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typst
from django.conf import settings

from hiepdong.documents.domain.layout import (
    Band,
    Block,
    Document,
    Heading,
    PageBreak,
    Paragraph,
    Points,
    Table,
    printable,
    unbroken_end,
)
from hiepdong.documents.domain.profiles import PROFILES, rule_under
from hiepdong.kernel.errors import DomainError, gettext_noop

FONT_FOLDER = "@expo-google-fonts/tinos"
TEMPLATE = Path(__file__).with_name("paper.typ")


class FontsMissing(DomainError):
    """The fonts of the papers are not installed on this node."""

    code = "documents.fonts_missing"
    message = gettext_noop("The fonts for PDF files are not in %(folder)s.")
    hint = gettext_noop("Run bin/setup on this node, or set HIEPDONG_ASSETS to the folder that holds node_modules.")


def render_pdf(document: Document) -> bytes:
    """Return the document as PDF with embedded fonts, tagged for screen readers.

    Raises:
        FontsMissing: the font files are not there.
    """
    parts = {"blocks": [_block(b) for b in document.blocks], "annexes": [_block(b) for b in document.annexes]}
    data = asdict(document) | parts | {"look": _look(document), "subject_lines": unbroken_end(document.subject)}
    return typeset(TEMPLATE, data)


def typeset(template: Path, data: dict[str, Any]) -> bytes:
    """Return what a Typst template makes of the data, as PDF.

    The template reads the data from `sys.inputs.data` as JSON; the font of the papers is there.

    Raises:
        FontsMissing: the font files are not there.
    """
    folder = Path(settings.HIEPDONG_ASSETS) / FONT_FOLDER
    if not any(folder.rglob("*.ttf")):
        raise FontsMissing(folder=str(folder))
    return bytes(
        typst.compile(
            template,
            format="pdf",
            font_paths=[folder],
            ignore_system_fonts=True,
            sys_inputs={"data": json.dumps(_clean(data), ensure_ascii=False)},
        )
    )


def _look(document: Document) -> dict[str, Any]:
    look = PROFILES[document.profile]
    room = look.width - look.left - look.right
    rules = {
        "issuer_rule": rule_under(document.issuer.upper(), look.issuer_size, room * look.left_share),
        "subject_rule": rule_under(document.subject, look.subject_size, room),
    }
    return asdict(look) | rules


def _block(block: Block) -> dict[str, Any]:
    match block:
        case Heading(text, level):
            return {"kind": "heading", "text": text, "level": level}
        case Paragraph():
            lines = [line for line in block.text.split("\n") if line.strip()]
            return {"kind": "text", "lines": lines, "bold": block.bold, "italic": block.italic, "align": block.align}
        case Points(items, numbered):
            return {"kind": "points", "items": items, "numbered": numbered}
        case Table():
            return {
                "kind": "table",
                "columns": [asdict(c) for c in block.columns],
                "rows": [{"band": r.text} if isinstance(r, Band) else {"cells": r} for r in block.rows],
                "caption": block.caption,
                "note": block.note,
                "total": block.total,
            }
        case PageBreak():
            return {"kind": "break"}


def _clean(value: Any) -> Any:
    """Return the data without control characters, texts composed (NFC)."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {k: _clean(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(v) for v in value]
    return value
