"""The sheet that goes with a bundle: measured in the file itself, its code read as a telephone reads it."""

import dataclasses
import hashlib
import io
import re
from datetime import UTC, datetime

import pytest
import segno
import zxingcpp
from django.utils.translation import override
from pypdf import PdfReader

from hiepdong.documents.rendering import pdf
from hiepdong.exchange.cover_sheet import BundleFacts, Issuer, qr_svg, render_cover_sheet, sheet_of
from support.pictures import grey_of

DIGEST = hashlib.sha256(b"goi").hexdigest()
FACTS = BundleFacts(
    sender="Nút Bộ đội Biên phòng tỉnh Nghệ An",
    receiver="Nút Ủy ban nhân dân huyện Kỳ Sơn",
    made_at=datetime(2020, 3, 19, 20, 4, tzinfo=UTC),
    bundle_id="3f2b8c1e-8d0a-4d5b-9a4e-1c2d3e4f5a6b",
    file_name="nghe-an_ky-son_18-640_1-2.zip.age",
    size=21_599_207,
    digest=DIGEST,
    items=623,
    first=18,
    last=640,
    kinds={"dispatch": 410, "receipt": 205, "key": 2, "checkpoint": 4, "witness": 1, "greeting": 1},
    files=12,
    files_size=3_456_789,
    held_through=512,
    part=1,
    parts=2,
    encrypted=True,
)
ISSUER = Issuer("Đồn Biên phòng Nậm Cắn", "border_station", "Bộ đội Biên phòng tỉnh Nghệ An", "ĐBP", "Kỳ Sơn")


def pages(facts=FACTS, issuer=ISSUER):
    return [" ".join(p.extract_text().split()) for p in PdfReader(io.BytesIO(render_cover_sheet(facts, issuer=issuer))).pages]


def rows(**changes):
    return dict(sheet_of(dataclasses.replace(FACTS, **changes)).rows)


def test_the_sheet_says_what_the_bundle_is():
    (page,) = pages()
    for text in (
        "ĐỒN BIÊN PHÒNG NẬM CẮN",
        "CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM",
        "Kỳ Sơn, ngày 20 tháng 3 năm 2020",
        "PHIẾU GỬI GÓI DỮ LIỆU",
        "Phần 1/2",
        "Kính gửi: Nút Ủy ban nhân dân huyện Kỳ Sơn",
        "03:04 ngày 20/03/2020 (giờ Việt Nam)",
        "623 mục: 410 văn bản, 205 biên nhận",
        "từ 18 đến 640",
        "12 tệp, 3.456.789 byte (≈ 3,3 MB)",
        "21.599.207 byte (≈ 20,6 MB)",
        "nghe-an_ky-son_18-640_1-2.zip.age",
        "Họ và tên",
        "Ký tên",
    ):
        assert text in page, text


def test_the_digest_stands_in_groups_of_four_that_give_it_back():
    (page,) = pages()
    assert " ".join(re.findall("....", DIGEST)) in page
    assert "".join(sheet_of(FACTS).digest) == DIGEST


def test_a_telephone_reads_the_digest_from_the_printed_page(monkeypatch):
    compiled = pdf.typst.compile
    monkeypatch.setattr(pdf.typst, "compile", lambda *a, **k: compiled(*a, **k | {"format": "png", "ppi": 110.0}))
    width, height, grey = grey_of(render_cover_sheet(FACTS, issuer=ISSUER))
    (found,) = zxingcpp.read_barcodes(memoryview(grey).cast("B", shape=[height, width]))
    assert (found.format, found.text) == (zxingcpp.BarcodeFormat.QRCode, f"sha256:{DIGEST}")


def test_the_code_is_drawn_module_by_module():
    svg = qr_svg("sha256:abc")
    drawn = {(int(x) + i, int(y)) for x, y, run in re.findall(r"M(\d+) (\d+)h(\d+)", svg) for i in range(int(run))}
    matrix = list(segno.make("sha256:abc", error="q", micro=False, boost_error=False).matrix_iter(border=4))
    assert drawn == {(x, y) for y, row in enumerate(matrix) for x, dark in enumerate(row) if dark}
    assert f'viewBox="0 0 {len(matrix)} {len(matrix)}"' in svg


def test_the_same_bundle_gives_the_same_sheet():
    assert render_cover_sheet(FACTS, issuer=ISSUER) == render_cover_sheet(FACTS, issuer=ISSUER)


def test_the_sheet_is_vietnamese_whatever_language_is_active():
    with override("en"):
        assert sheet_of(FACTS).title == "Phiếu gửi gói dữ liệu"


def test_an_empty_bundle_says_so():
    said = rows(items=0, first=0, last=0, kinds={}, files=0, held_through=0, encrypted=False, parts=1)
    assert said["Nội dung"] == "0 mục"
    assert said["Số thứ tự trên liên kết"] == said["Tài liệu kèm theo"] == "không có"
    assert said["Đã nhận từ phía bên kia"] == "chưa nhận mục nào"
    assert said["Bảo vệ"] == "có chữ ký số, không mã hóa"
    assert sheet_of(dataclasses.replace(FACTS, parts=1)).subtitle == ""


def test_kinds_that_this_version_does_not_know_are_counted():
    assert rows()["Nội dung"].endswith("1 loại khác")
    assert rows(kinds={})["Nội dung"] == "623 mục"


@pytest.mark.parametrize(("size", "shown"), [(900, "900 byte"), (2048, "2.048 byte (≈ 2 KB)"), (3 * 2**30, "(≈ 3 GB)")])
def test_a_size_is_told_exactly_and_in_a_measure_that_people_know(size, shown):
    assert rows(size=size)["Dung lượng tệp"].endswith(shown)


def test_long_names_still_fit_on_one_page():
    long = "Nút của Bộ Chỉ huy Bộ đội Biên phòng tỉnh và Ủy ban nhân dân các huyện, thị xã, thành phố trực thuộc tỉnh"
    facts = dataclasses.replace(
        FACTS, sender=long, receiver=long, file_name="x" * 40 + "-" + "y" * 60 + ".zip.age", made_up=True
    )
    assert len(pages(facts, dataclasses.replace(ISSUER, name=long, superior=long))) == 1


def test_made_up_data_are_marked_at_the_top_and_at_the_foot():
    (page,) = pages(dataclasses.replace(FACTS, made_up=True))
    assert page.count("DỮ LIỆU MINH HỌA") == 2
    assert "MINH HỌA" not in pages()[0]


def test_no_text_is_read_as_markup():
    hostile = '#sys.inputs *đậm* $x$ <b> @ref \\ " ` //c {{e}} \x00'
    (page,) = pages(dataclasses.replace(FACTS, sender=hostile))
    assert "#sys.inputs *đậm* $x$ <b> @ref" in page


def test_a_party_body_writes_in_its_own_form():
    (page,) = pages(issuer=Issuer("Đảng ủy Bộ đội Biên phòng tỉnh", "border_guard_party", "Tỉnh ủy Nghệ An", "ĐU", "Nghệ An"))
    assert "ĐẢNG CỘNG SẢN VIỆT NAM" in page
    assert "-PG/ĐU" in page
