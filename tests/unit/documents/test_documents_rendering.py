"""Papers in the Party and the state form: measured in the files themselves."""

import io
import json
import re
import zipfile
from datetime import date
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfReader

from hiepdong.documents.domain.layout import Band, Column, Document, Heading, PageBreak, Paragraph, Points, Table, printable
from hiepdong.documents.domain.notation import notation_for
from hiepdong.documents.domain.profiles import PARTY, PROFILES, STATE, blank_number, place_and_date, profile_for
from hiepdong.documents.rendering import render_docx, render_pdf

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
TWIPS_PER_MM = 1440 / 25.4
HOSTILE = '#sys.inputs *đậm* $x$ <b> @ref \\ " ` ~ =1+1 [a](b) //c /*d*/ {{e}} & < > \x00\x08\ud800￾'


def paper(profile="party", **changes):
    values = {
        "profile": profile,
        "superior": "Tỉnh ủy Nghệ An",
        "issuer": "Đảng ủy Bộ đội Biên phòng tỉnh",
        "number_line": "Số 05-BC/ĐU",
        "place_and_date": place_and_date("Nghệ An", date(2020, 12, 8)),
        "type_name": "Báo cáo",
        "subject": "kết quả phối hợp",
        "blocks": (
            Heading("I. Tình hình"),
            Paragraph("Nội dung."),
            Points(("một", "hai")),
            Table((Column("TT"), Column("Cơ quan", 3)), (("1", "Đồn Biên phòng Một"),), caption="Biểu 1"),
        ),
        "annexes": (Heading("Phụ lục 1"),),
        "recipients": ("Tỉnh ủy", "Lưu"),
        "authority": "Đảng ủy",
    }
    return Document(**(values | changes))


def parts(data):
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        return {name: package.read(name) for name in package.namelist()}


def body(data):
    return ElementTree.fromstring(parts(data)["word/document.xml"])


def pdf_pages(data):
    return [page.extract_text() for page in PdfReader(io.BytesIO(data)).pages]


def text_of(tree):
    return "\n".join("".join(t.text or "" for t in p.iter(f"{W}t")) for p in tree.iter(f"{W}p"))


def runs(tree):
    """Return {text: (half points, bold, italic)} of every run with a size."""
    found = {}
    for run in tree.iter(f"{W}r"):
        text = "".join(t.text or "" for t in run.iter(f"{W}t"))
        look = run.find(f"{W}rPr")
        if text and look is not None and look.find(f"{W}sz") is not None:
            size = int(look.find(f"{W}sz").get(f"{W}val"))
            found[text] = (size / 2, look.find(f"{W}b") is not None, look.find(f"{W}i") is not None)
    return found


@pytest.mark.parametrize("profile", ["party", "state"])
def test_the_page_is_a4_with_the_margins_of_the_form(profile):
    section = body(render_docx(paper(profile))).find(f".//{W}sectPr")
    size, margins = section.find(f"{W}pgSz"), section.find(f"{W}pgMar")
    measured = {k: round(int(margins.get(f"{W}{k}")) / TWIPS_PER_MM) for k in ("top", "bottom", "left", "right")}
    assert [round(int(size.get(f"{W}{k}")) / TWIPS_PER_MM) for k in ("w", "h")] == [210, 297]
    assert measured == {"top": 20, "bottom": 20, "left": 30, "right": 15}


def test_a_party_paper_carries_the_party_heading_and_no_national_motto():
    text = text_of(body(render_docx(paper("party"))))
    assert "ĐẢNG CỘNG SẢN VIỆT NAM" in text
    assert "CỘNG HÒA XÃ HỘI CHỦ NGHĨA" not in text
    assert "\n*\n" in text
    assert "T/M ĐẢNG ỦY" in text


def test_a_state_paper_carries_the_national_name_and_motto_and_no_party_heading():
    text = text_of(body(render_docx(paper("state", authority="Ủy ban nhân dân"))))
    assert "CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM\nĐộc lập - Tự do - Hạnh phúc" in text
    assert "ĐẢNG CỘNG SẢN" not in text
    assert "TM. ỦY BAN NHÂN DÂN" in text


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        (
            "party",
            {
                "ĐẢNG CỘNG SẢN VIỆT NAM": (15, True, False),
                "TỈNH ỦY NGHỆ AN": (14, False, False),
                "ĐẢNG ỦY BỘ ĐỘI BIÊN PHÒNG TỈNH": (14, True, False),
                "BÁO CÁO": (16, True, False),
                "Nghệ An, ngày 08 tháng 12 năm 2020": (14, False, True),
            },
        ),
        (
            "state",
            {
                "CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM": (12, True, False),
                "Độc lập - Tự do - Hạnh phúc": (13, True, False),
                "TỈNH ỦY NGHỆ AN": (12, False, False),
                "BÁO CÁO": (14, True, False),
                "Nghệ An, ngày 08 tháng 12 năm 2020": (14, False, True),
                "Nơi nhận:": (12, True, True),
                "- Lưu": (11, False, False),
            },
        ),
    ],
)
def test_each_part_has_the_size_and_weight_of_the_form(profile, expected):
    found = runs(body(render_docx(paper(profile))))
    assert {k: found[k] for k in expected} == expected


def test_the_body_is_times_new_roman_14_justified_with_a_first_line_indent():
    styles = ElementTree.fromstring(parts(render_docx(paper()))["word/styles.xml"])
    style = next(s for s in styles.iter(f"{W}style") if s.find(f"{W}name").get(f"{W}val") == "Body Text")
    assert style.find(f".//{W}rFonts").get(f"{W}ascii") == "Times New Roman"
    assert style.find(f".//{W}sz").get(f"{W}val") == "28"
    assert style.find(f".//{W}jc").get(f"{W}val") == "both"
    assert round(int(style.find(f".//{W}ind").get(f"{W}firstLine")) / TWIPS_PER_MM) == 10


def test_the_page_number_stands_centred_at_the_top_and_not_on_the_first_page():
    files = parts(render_docx(paper()))
    section = ElementTree.fromstring(files["word/document.xml"]).find(f".//{W}sectPr")
    assert section.find(f"{W}titlePg") is not None
    headers = [ElementTree.fromstring(data) for name, data in files.items() if re.match(r"word/header\d*\.xml", name)]
    numbered = [h for h in headers if any("PAGE" in (i.text or "") for i in h.iter(f"{W}instrText"))]
    assert len(numbered) == 1
    assert numbered[0].find(f".//{W}jc").get(f"{W}val") == "center"


def test_a_table_repeats_its_header_and_splits_no_row():
    rows = tuple((str(i), f"Đồn {i}") for i in range(200))
    table = body(render_docx(paper(blocks=(Table((Column("TT"), Column("Cơ quan", 3)), rows),)))).findall(f".//{W}tbl")[1]
    first, *others = table.findall(f"{W}tr")
    assert first.find(f".//{W}tblHeader") is not None
    assert len(others) == 200
    assert all(row.find(f".//{W}cantSplit") is not None for row in others)


def test_the_annexes_follow_the_signature_on_a_page_of_their_own():
    tree = body(render_docx(paper()))
    text = text_of(tree)
    assert text.index("T/M ĐẢNG ỦY") < text.index("Phụ lục 1")
    assert any(b.get(f"{W}type") == "page" for b in tree.iter(f"{W}br"))


@pytest.mark.parametrize("render", [render_docx, render_pdf])
@pytest.mark.parametrize("profile", ["party", "state"])
def test_the_same_document_gives_the_same_bytes(render, profile):
    assert render(paper(profile)) == render(paper(profile))


def test_hostile_text_stays_text():
    document = paper(
        subject=HOSTILE,
        issuer=HOSTILE,
        blocks=(
            Paragraph(HOSTILE),
            Heading(HOSTILE),
            Points((HOSTILE,)),
            Table((Column(HOSTILE),), ((HOSTILE,),)),
            PageBreak(),
        ),
        recipients=(HOSTILE,),
        footnote=HOSTILE,
    )
    assert text_of(body(render_docx(document))).count(printable(HOSTILE)) >= 5
    assert render_pdf(document).startswith(b"%PDF-")


@given(st.text(max_size=80))
@settings(max_examples=25, deadline=None)
def test_no_text_breaks_a_paper(text):
    document = paper(subject=text, blocks=(Paragraph(text), Table((Column("A"),), ((text,),))))
    ElementTree.fromstring(parts(render_docx(document))["word/document.xml"])
    assert render_pdf(document).startswith(b"%PDF-")


def test_a_pdf_embeds_its_fonts_and_names_no_author():
    data = render_pdf(paper())
    assert b"Tinos" in data
    assert b"/FontFile" in data
    assert b"/Author" not in data


def test_a_docx_names_no_author():
    core = parts(render_docx(paper()))["docProps/core.xml"].decode()
    assert "<dc:creator></dc:creator>" in core or "<dc:creator/>" in core
    assert "python-docx" not in core


def test_numbers_take_the_form_of_their_side():
    assert notation_for("border_guard_party", "ĐU", "BC", 5) == "Số 05-BC/ĐU"
    assert notation_for("peoples_committee_commune", "UBND", "BC", 15) == "Số: 15/BC-UBND"
    assert blank_number(PARTY, "ĐU", "BC").startswith("Số ")
    assert blank_number(STATE, "UBND", "BC").endswith("/BC-UBND")


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("border_guard_party", "party"),
        ("party_district", "party"),
        ("peoples_committee_district", "state"),
        ("border_guard_command", "state"),
    ],
)
def test_the_form_follows_the_body_that_issues(kind, key):
    assert profile_for(kind).key == key


@pytest.mark.parametrize(
    ("on", "text"),
    [
        (date(2021, 1, 5), "Nghệ An, ngày 05 tháng 01 năm 2021"),
        (date(2020, 2, 10), "Nghệ An, ngày 10 tháng 02 năm 2020"),
        (date(2020, 3, 9), "Nghệ An, ngày 09 tháng 3 năm 2020"),
        (date(2020, 12, 31), "Nghệ An, ngày 31 tháng 12 năm 2020"),
    ],
)
def test_days_below_ten_and_the_first_two_months_carry_a_zero(on, text):
    assert place_and_date("Nghệ An", on) == text


def test_the_measures_lie_inside_the_ranges_of_the_decree():
    assert 20 <= STATE.top <= 25
    assert 20 <= STATE.bottom <= 25
    assert 30 <= STATE.left <= 35
    assert 15 <= STATE.right <= 20
    assert 13 <= STATE.body_size <= 14
    assert 14 <= PARTY.body_size <= 15
    assert json.dumps(sorted(PROFILES)) == '["party", "state"]'


def test_a_row_with_too_few_cells_is_refused():
    with pytest.raises(ValueError, match="as many cells"):
        Table((Column("A"), Column("B")), (("1",),))


ORDER = {  # of ECMA-376: Word calls a file damaged whose elements stand in another order
    "pPr": "pStyle keepNext keepLines pageBreakBefore framePr widowControl numPr suppressLineNumbers pBdr shd tabs "
    "suppressAutoHyphens kinsoku wordWrap overflowPunct topLinePunct autoSpaceDE autoSpaceDN bidi adjustRightInd snapToGrid "
    "spacing ind contextualSpacing mirrorIndents suppressOverlap jc textDirection textAlignment textboxTightWrap outlineLvl "
    "divId cnfStyle rPr sectPr pPrChange",
    "tblPr": "tblStyle tblpPr tblOverlap bidiVisual tblStyleRowBandSize tblStyleColBandSize tblW jc tblCellSpacing tblInd "
    "tblBorders shd tblLayout tblCellMar tblLook tblCaption tblDescription tblPrChange",
    "rPr": "rStyle rFonts b bCs i iCs caps smallCaps strike dstrike outline shadow emboss imprint noProof snapToGrid vanish "
    "webHidden color spacing w kern position sz szCs highlight u effect bdr shd fitText vertAlign rtl cs em lang "
    "eastAsianLayout specVanish oMath",
    "tcPr": "cnfStyle tcW gridSpan hMerge vMerge tcBorders shd noWrap tcMar textDirection tcFitText vAlign hideMark",
}
BANDED = Table(
    (Column("TT"), Column("Cơ quan", 3)),
    (Band("Tuyến biển"), ("1", "Đồn Một"), ("", "Cộng")),
    caption="Biểu",
    note="Ghi chú",
    total=True,
)


@pytest.mark.parametrize("profile", ["party", "state"])
def test_every_part_of_a_docx_stands_in_the_order_that_word_demands(profile):
    files = parts(render_docx(paper(profile, blocks=(BANDED, Paragraph("x", align="center")), banner="DỰ THẢO", footnote="y")))
    checked = 0
    for name in ("word/document.xml", "word/styles.xml"):
        for element in ElementTree.fromstring(files[name]).iter():
            order = ORDER.get(element.tag.removeprefix(W), "").split()
            if order and element.tag.startswith(W):
                places = [order.index(child.tag.removeprefix(W)) for child in element]
                assert places == sorted(places), (name, [c.tag for c in element])
                checked += 1
    assert checked > 50


def grid_of(table):
    return [round(int(c.get(f"{W}w")) / TWIPS_PER_MM) for c in table.iter(f"{W}gridCol")]


@pytest.mark.parametrize(("profile", "sides"), [("party", [79, 86]), ("state", [69, 96])])
def test_the_heading_fits_one_line_because_the_two_sides_have_the_widths_of_the_form(profile, sides):
    table = body(render_docx(paper(profile))).find(f".//{W}tbl")
    assert grid_of(table) == sides
    cells = [round(int(w.get(f"{W}w")) / TWIPS_PER_MM) for w in table.iter(f"{W}tcW")]
    assert cells == sides


def rules(data):
    """Return the lengths in millimetres of the rules of a heading: the room of the cell less both insets."""
    found = []
    for cell in body(data).find(f".//{W}tbl").iter(f"{W}tc"):
        room = int(cell.find(f".//{W}tcW").get(f"{W}w")) / TWIPS_PER_MM - 3.8
        for paragraph in cell.iter(f"{W}p"):
            if paragraph.find(f".//{W}pBdr") is not None:
                indent = paragraph.find(f".//{W}ind")
                found.append(round(room - sum(int(indent.get(f"{W}{side}")) for side in ("left", "right")) / TWIPS_PER_MM))
    return found


def test_the_rule_under_the_heading_is_as_long_as_the_heading_and_no_underlined_text():
    party, state = render_docx(paper("party")), render_docx(paper("state", issuer="Bộ Chỉ huy Một"))
    assert rules(party) == [73]  # a star stands under the issuing body
    own, national = rules(state)
    assert national == 56
    width = len("BỘ CHỈ HUY MỘT") * 0.6 * 12 * 25.4 / 72
    assert width / 3 <= own <= width / 2
    head = body(state).find(f".//{W}tbl")
    assert not list(head.iter(f"{W}u"))


@pytest.mark.parametrize("render", [render_docx, render_pdf])
def test_what_is_a_draft_or_made_up_says_so_on_every_page(render):
    long = tuple(Paragraph("Nội dung. " * 200) for _ in range(12))
    data = render(paper(blocks=long, banner="DỮ LIỆU MINH HỌA"))
    if render is render_pdf:
        pages = pdf_pages(data)
        assert len(pages) > 3
        assert all("MINH HỌA" in page for page in pages)
    else:
        feet = [text_of(ElementTree.fromstring(d)) for name, d in parts(data).items() if re.match(r"word/footer\d*\.xml", name)]
        assert feet.count("DỮ LIỆU MINH HỌA") == 2  # of the first page and of the others


def test_the_signature_stays_with_the_last_lines_of_the_body():
    tree = body(render_docx(paper(blocks=(Paragraph("Một."), Paragraph("Hai.")), footnote="Cách kiểm tra")))
    kept = {text_of(p): p.find(f".//{W}keepNext") is not None for p in tree.iter(f"{W}p")}
    assert kept["Hai."]
    assert kept["T/M ĐẢNG ỦY"]
    assert not kept["Một."]
    for n in range(20, 45):  # wherever the page ends, its last page holds a line of the body too
        pages = pdf_pages(render_pdf(paper(blocks=tuple(Paragraph(f"Dòng {i}.") for i in range(n)), annexes=())))
        (signed,) = [p for p in pages if "T/M ĐẢNG ỦY" in p]
        assert f"Dòng {n - 1}." in signed


def test_a_band_of_a_table_runs_across_all_columns_and_stays_with_its_rows():
    table = body(render_docx(paper(blocks=(BANDED,)))).findall(f".//{W}tbl")[1]
    band = table.findall(f"{W}tr")[1]
    (cell,) = band.findall(f"{W}tc")
    assert cell.find(f".//{W}gridSpan").get(f"{W}val") == "2"
    assert cell.find(f".//{W}keepNext") is not None
    assert "Tuyến biển" in pdf_pages(render_pdf(paper(blocks=(BANDED,))))[0]


def test_no_single_word_stands_alone_in_the_last_line_of_a_subject():
    text = text_of(body(render_docx(paper(subject="kết quả phối hợp tỉnh Nghệ An"))))
    assert "tỉnh Nghệ\u00a0An" in text
