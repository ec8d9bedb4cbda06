"""DOCX by python-docx, with real styles, so that an office can go on writing in it."""

import io
import zipfile
from typing import Any

import docx
from docx.enum.section import WD_ORIENT
from docx.enum.style import WD_STYLE_TYPE
from docx.enum.table import WD_CELL_VERTICAL_ALIGNMENT, WD_TABLE_ALIGNMENT
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Mm, Pt, RGBColor

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
from hiepdong.documents.domain.profiles import PROFILES, Profile, rule_under

ALIGN = {
    "left": WD_ALIGN_PARAGRAPH.LEFT,
    "center": WD_ALIGN_PARAGRAPH.CENTER,
    "right": WD_ALIGN_PARAGRAPH.RIGHT,
    "justify": WD_ALIGN_PARAGRAPH.JUSTIFY,
}
EPOCH = (1980, 1, 1, 0, 0, 0)  # of every part of the file: the same document gives the same bytes
BODY, POINT, CELL = "Body Text", "List Bullet", "Table Text"
# What stands behind the borders of a paragraph here: Word calls a file damaged whose parts are in another order.
AFTER_BORDERS = ("w:shd", "w:tabs", "w:spacing", "w:ind", "w:contextualSpacing", "w:jc", "w:outlineLvl", "w:rPr", "w:sectPr")
TABLE_MARGIN = 68  # twentieths of a point, left and right in the cell of a table with lines: 1,2 mm
CELL_MARGINS = 3.8  # mm, left and right of a cell together, as Word sets them


def render_docx(document: Document) -> bytes:
    """Return the document as DOCX in the font the form asks for, A4, page numbers from the second page on."""
    look = PROFILES[document.profile]
    made = docx.Document()
    _properties(made, document)
    _page(made, look, document.banner)
    _styles(made, look)
    _head(made, document, look)
    for block in document.blocks:
        _block(made, block, look)
    _tail(made, document, look)
    if document.annexes:
        made.add_page_break()
        for block in document.annexes:
            _block(made, block, look)
    return _pinned(made)


def _properties(made: Any, document: Document) -> None:
    core = made.core_properties
    core.title = printable(f"{document.type_name} {document.subject}")[:255]
    core.author = core.last_modified_by = core.comments = ""
    core.language = "vi-VN"
    core.keywords = ", ".join(document.keywords)[:255]
    moment = core.created.__class__(2000, 1, 1)
    core.created = core.modified = moment
    core.revision = 1


def _page(made: Any, look: Profile, banner: str) -> None:
    section = made.sections[0]
    section.orientation = WD_ORIENT.PORTRAIT
    section.page_width, section.page_height = Mm(look.width), Mm(look.height)
    section.top_margin, section.bottom_margin = Mm(look.top), Mm(look.bottom)
    section.left_margin, section.right_margin = Mm(look.left), Mm(look.right)
    section.header_distance = Mm(10)
    section.different_first_page_header_footer = True
    number = section.header.paragraphs[0]
    number.alignment = WD_ALIGN_PARAGRAPH.CENTER
    run = number.add_run()
    run.font.size = Pt(look.page_number_size)
    for kind, text in (("begin", None), (None, "PAGE"), ("end", None)):
        if kind:
            part = OxmlElement("w:fldChar")
            part.set(qn("w:fldCharType"), kind)
        else:
            part = OxmlElement("w:instrText")
            part.set(qn("xml:space"), "preserve")
            part.text = text
        run._r.append(part)
    if banner:
        section.footer_distance = Mm(8)
        for foot in (section.footer, section.first_page_footer):
            mark = foot.paragraphs[0]
            mark.alignment = WD_ALIGN_PARAGRAPH.CENTER
            run = mark.add_run(printable(banner))
            run.bold, run.font.size = True, Pt(9)


def _font(style: Any, look: Profile, size: float, *, bold: bool = False, italic: bool = False) -> None:
    style.font.name, style.font.size = look.font, Pt(size)
    style.font.bold, style.font.italic = bold, italic
    style.font.color.rgb = RGBColor(0, 0, 0)
    properties = style.element.get_or_add_rPr()
    fonts = properties.find(qn("w:rFonts"))
    for name in ("ascii", "hAnsi", "cs", "eastAsia"):
        fonts.set(qn(f"w:{name}"), look.font)
    for name in ("asciiTheme", "hAnsiTheme", "eastAsiaTheme", "cstheme"):
        fonts.attrib.pop(qn(f"w:{name}"), None)
    language = properties.find(qn("w:lang"))
    if language is None:
        language = OxmlElement("w:lang")
        properties.append(language)
    language.set(qn("w:val"), "vi-VN")
    language.set(qn("w:eastAsia"), "vi-VN")


def _styles(made: Any, look: Profile) -> None:
    styles = made.styles
    _font(styles["Normal"], look, look.body_size)
    styles["Normal"].paragraph_format.space_after = Pt(0)
    body = styles[BODY]
    _font(body, look, look.body_size)
    body.paragraph_format.first_line_indent = Mm(look.first_line)
    body.paragraph_format.alignment = WD_ALIGN_PARAGRAPH.JUSTIFY
    _spacing(body, look)
    point = styles[POINT]
    _font(point, look, look.body_size)
    point.paragraph_format.alignment = WD_ALIGN_PARAGRAPH.JUSTIFY
    _spacing(point, look)
    for level in (1, 2, 3):
        heading = styles[f"Heading {level}"]
        _font(heading, look, look.body_size, bold=True, italic=level == 3)
        heading.paragraph_format.space_before = Pt(look.paragraph_gap + 4)
        heading.paragraph_format.space_after = Pt(look.paragraph_gap)
        heading.paragraph_format.keep_with_next = True
    cell = styles.add_style(CELL, WD_STYLE_TYPE.PARAGRAPH)
    _font(cell, look, look.body_size - 3)
    cell.paragraph_format.space_before = cell.paragraph_format.space_after = Pt(1)


def _spacing(style: Any, look: Profile) -> None:
    style.paragraph_format.space_after = Pt(look.paragraph_gap)
    style.paragraph_format.line_spacing = look.line


def _line(cell: Any, text: str, size: float, *, first: bool = False, **looks: Any) -> Any:
    """Add one centred line to a cell and return its paragraph."""
    paragraph = cell.paragraphs[0] if first else cell.add_paragraph()
    paragraph.alignment = looks.pop("align", WD_ALIGN_PARAGRAPH.CENTER)
    run = paragraph.add_run(printable(text))
    run.font.size = Pt(size)
    run.bold, run.italic, run.underline = looks.get("bold"), looks.get("italic"), looks.get("underline")
    return paragraph


def _rule(paragraph: Any, *, length: float, room: float) -> None:
    """Make a low paragraph out of one that holds a line so many millimetres long, in the middle of the room it has."""
    inset = max(0.0, (room - length) / 2)
    paragraph.paragraph_format.left_indent = paragraph.paragraph_format.right_indent = Mm(inset)
    paragraph.paragraph_format.line_spacing, paragraph.paragraph_format.space_before = Pt(4), Pt(3)
    borders = OxmlElement("w:pBdr")
    line = OxmlElement("w:top")
    for name, value in (("val", "single"), ("sz", "6"), ("space", "1"), ("color", "000000")):
        line.set(qn(f"w:{name}"), value)
    borders.append(line)
    paragraph._p.get_or_add_pPr().insert_element_before(borders, *AFTER_BORDERS)


def _grid(made: Any, widths: tuple[float, ...]) -> Any:
    """Add a table without lines that only places things side by side; widths in millimetres."""
    table = made.add_table(rows=1, cols=len(widths))
    table.alignment = WD_TABLE_ALIGNMENT.CENTER
    table.autofit = False
    for column, cell, width in zip(table.columns, table.rows[0].cells, widths, strict=True):
        column.width = cell.width = Mm(width)
    return table.rows[0].cells


def _head(made: Any, document: Document, look: Profile) -> None:
    if document.banner:
        banner = made.add_paragraph()
        banner.alignment = WD_ALIGN_PARAGRAPH.CENTER
        run = banner.add_run(printable(document.banner))
        run.bold, run.font.size = True, Pt(11)
        banner.paragraph_format.space_after = Pt(10)
    room = look.width - look.left - look.right
    sides = (room * look.left_share, room * (1 - look.left_share))
    left, right = _grid(made, sides)
    first = True
    if document.superior:
        _line(left, document.superior.upper(), look.superior_size, first=True)
        first = False
    _line(left, document.issuer.upper(), look.issuer_size, first=first, bold=True)
    if look.star:
        _line(left, "*", look.issuer_size)
    else:
        length = rule_under(document.issuer.upper(), look.issuer_size, sides[0])
        _rule(_line(left, "", 4), length=length, room=sides[0] - CELL_MARGINS)
    _line(left, document.number_line, look.number_size)
    for i, text in enumerate(look.heading):
        _line(right, text, look.heading_sizes[i], first=i == 0, bold=True)
    _rule(_line(right, "", 4), length=look.heading_rule, room=sides[1] - CELL_MARGINS)
    place = _line(right, document.place_and_date, look.place_size, italic=True)
    place.paragraph_format.space_before = Pt(6)
    for text, size, gap in (
        (document.type_name.upper(), look.type_size, 12),
        (unbroken_end(document.subject), look.subject_size, 0),
    ):
        paragraph = made.add_paragraph()
        paragraph.alignment = WD_ALIGN_PARAGRAPH.CENTER
        paragraph.paragraph_format.space_before = Pt(gap)
        run = paragraph.add_run(printable(text))
        run.bold, run.font.size = True, Pt(size)
    under = made.add_paragraph("-----" if look.star else "")
    under.alignment = WD_ALIGN_PARAGRAPH.CENTER
    under.paragraph_format.space_after = Pt(look.paragraph_gap)
    if not look.star:
        _rule(under, length=rule_under(document.subject, look.subject_size, room), room=room)
    if document.addressees:
        one = len(document.addressees) == 1
        lines = document.addressees if one else [f"- {a}" for a in document.addressees]
        for i, text in enumerate(lines):
            paragraph = made.add_paragraph(printable(("Kính gửi: " if i == 0 else "") + text))
            paragraph.paragraph_format.left_indent = Mm(25)


def _block(made: Any, block: Block, look: Profile) -> None:
    match block:
        case Heading(text, level):
            made.add_paragraph(printable(text), style=f"Heading {level}")
        case Paragraph():
            for text in printable(block.text).split("\n"):
                if not text.strip():
                    continue
                paragraph = made.add_paragraph(style=BODY)
                if block.align != "justify":
                    paragraph.alignment = ALIGN[block.align]
                    paragraph.paragraph_format.first_line_indent = Mm(0)
                run = paragraph.add_run(text)
                run.bold, run.italic = block.bold or None, block.italic or None
        case Points(items, numbered):
            for i, text in enumerate(items, 1):
                mark = f"{i}. " if numbered else "- "
                made.add_paragraph(mark + printable(text), style=BODY)
        case Table():
            _table(made, block, look)
        case PageBreak():
            made.add_page_break()


def _table(made: Any, block: Table, look: Profile) -> None:
    if block.caption:
        caption = made.add_paragraph()
        caption.paragraph_format.keep_with_next = True
        caption.paragraph_format.space_before, caption.paragraph_format.space_after = Pt(6), Pt(4)
        run = caption.add_run(printable(block.caption))
        run.bold, run.font.size = True, Pt(look.body_size - 1)
    table = made.add_table(rows=1, cols=len(block.columns), style="Table Grid")
    table.alignment = WD_TABLE_ALIGNMENT.CENTER
    table.autofit = False
    margins = OxmlElement("w:tblCellMar")
    for side in ("left", "right"):
        margin = OxmlElement(f"w:{side}")
        margin.set(qn("w:w"), str(TABLE_MARGIN))
        margin.set(qn("w:type"), "dxa")
        margins.append(margin)
    table._tbl.tblPr.insert_element_before(margins, "w:tblLook", "w:tblCaption", "w:tblDescription")
    room, shares = look.width - look.left - look.right, sum(c.share for c in block.columns)
    widths = [Mm(room * c.share / shares) for c in block.columns]
    for column, width in zip(table.columns, widths, strict=True):
        column.width = width
    repeat = OxmlElement("w:tblHeader")
    repeat.set(qn("w:val"), "true")
    table.rows[0]._tr.get_or_add_trPr().append(repeat)
    for cell, column, width in zip(table.rows[0].cells, block.columns, widths, strict=True):
        _cell(cell, column.title, "center", bold=True, width=width)
    for n, row in enumerate(block.rows):
        added = table.add_row()
        whole = OxmlElement("w:cantSplit")
        added._tr.get_or_add_trPr().append(whole)
        if isinstance(row, Band):
            across = added.cells[0].merge(added.cells[-1])
            _cell(across, row.text, "left", bold=True, width=Mm(room))
            across.paragraphs[0].paragraph_format.keep_with_next = True
            continue
        last = block.total and n == len(block.rows) - 1
        for cell, text, column, width in zip(added.cells, row, block.columns, widths, strict=True):
            _cell(cell, text, column.align, bold=last, width=width)
    if block.note:
        note = made.add_paragraph(style=CELL)
        note.add_run(printable(block.note)).italic = True


def _cell(cell: Any, text: str, align: str, *, bold: bool, width: Any) -> None:
    cell.width = width
    cell.vertical_alignment = WD_CELL_VERTICAL_ALIGNMENT.CENTER
    paragraph = cell.paragraphs[0]
    paragraph.style = CELL
    paragraph.alignment = ALIGN[align]
    run = paragraph.add_run(printable(text))
    run.bold = bold or None


def _tail(made: Any, document: Document, look: Profile) -> None:
    """Add recipients, signature and how to verify: never split, never on a page without the last lines of the body."""
    for paragraph in (made.paragraphs[-1], made.add_paragraph()):
        paragraph.paragraph_format.keep_with_next = True
    room = look.width - look.left - look.right
    left, right = _grid(made, (room * 0.45, room * 0.55))
    if document.recipients:
        strong = look.recipients_label_bold_italic
        label = {"bold": strong, "italic": strong, "underline": not strong}
        _line(left, "Nơi nhận:", look.recipients_label_size, first=True, align=WD_ALIGN_PARAGRAPH.LEFT, **label)
        for text in document.recipients:
            _line(left, f"- {text}", look.recipients_size, align=WD_ALIGN_PARAGRAPH.LEFT)
    signed = [f"{look.authority_mark} {document.authority.upper()}"] if document.authority else []
    signed += [document.signer_title.upper()] if document.signer_title else []
    for i, text in enumerate(signed):
        _line(right, text, look.signer_size, first=i == 0, bold=True)
    for _ in range(4):
        _line(right, "", look.signer_size)
    for paragraph in (*left.paragraphs, *right.paragraphs):
        paragraph.paragraph_format.keep_with_next = bool(document.footnote)
    whole = OxmlElement("w:cantSplit")
    made.tables[-1].rows[0]._tr.get_or_add_trPr().append(whole)
    if document.footnote:
        note = made.add_paragraph()
        run = note.add_run(printable(document.footnote))
        run.font.size = Pt(9)


def _pinned(made: Any) -> bytes:
    """Return the package with every part's time pinned."""
    raw, out = io.BytesIO(), io.BytesIO()
    made.save(raw)
    with zipfile.ZipFile(raw) as before, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as after:
        for part in before.infolist():
            entry = zipfile.ZipInfo(part.filename, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            after.writestr(entry, before.read(part))
    return out.getvalue()
