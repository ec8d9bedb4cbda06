"""Secrecy marks are recognised however they are spelled; ordinary words are not mistaken for them."""

import io
import time
import unicodedata
import zipfile

import pytest

from hiepdong.exchange.domain.classified import (
    ClassifiedContent,
    bears_secrecy_mark,
    file_bears_mark,
    file_name_bears_mark,
    refuse_classified,
)

MARKED = [
    "TUYỆT MẬT",
    "TỐI MẬT",
    "MẬT",
    "Kế hoạch tuần tra\nMẬT\nNăm 2020",
    "(MẬT)",
    "[MẬT]",
    "| MẬT |",
    "«MẬT»",
    "M Ậ T",
    "T Ố I  M Ậ T",
    "TỐI-MẬT",
    "TỐI\u200bMẬT",
    "T\u00adỐI MẬT",
    "TỐI\u00a0MẬT",
    "ТỐI МẬТ",  # Cyrillic look-alikes
    "Độ mật: Mật",
    "độ mật: tối mật",
    "Mức độ mật = tuyệt mật",
    "Văn bản đóng dấu mật",
    "Đóng dấu chỉ mức độ mật",
    "Tài liệu thu hồi sau hội nghị",
    "CHỈ NGƯỜI CÓ TÊN MỚI ĐƯỢC BÓC BÌ",
    # a stamp that stands alone, in any letters, with and without its marks
    "Tối mật",
    "tuyệt mật!",
    "Mật",
    "TUYET MAT",
    "TOI MAT",
    "MAT",
    "TỐI MÂT",
    "Tài liệu Tối mật",
    "TÀI LIỆU MẬT",
    "Kế hoạch tuần tra (mật)",
    "Báo cáo [Tối mật] quý II",
    "(MAT)",
    # before or behind a subject
    "MẬT - Kế hoạch tuần tra",
    "MẬT: Kế hoạch tuần tra",
    "Kế hoạch tuần tra – MẬT",
    "Kế hoạch MẬT về tuần tra",
    "Độ mật Tối mật",
    "Do mat: Toi mat",
    # hidden by spelling
    "T*Ố*I M*Ậ*T",
    "T|Ố|I|M|Ậ|T",
    "T̲Ố̲I̲ M̲Ậ̲T̲",
    "T\U000e0061ỐI MẬT",
    "T\x07ỐI MẬT",
    "TỐI\u3164MẬT",
    "𝐓Ố𝐈 𝐌Ậ𝐓",
    "ＴỐＩ ＭẬＴ",
    "ᴛỐI ᴍẬᴛ",
    "тối мật",
    "Kế hoạch\rMẬT\rNăm 2020",
    "Kế hoạch\u2028MẬT\u2028Năm 2020",
    "Kế hoạch\x0bMẬT\x0cNăm 2020",
]
PLAIN = [
    "",
    "mật ong",
    "Thu 20 lít mật ong; giữ bí mật",
    "MẬT ONG RỪNG",
    "Bảo mật thông tin",
    "mật độ dân số",
    "Mật mã",
    "bí mật nhà nước",
    "Tuyên truyền Luật Bảo vệ bí mật nhà nước",
    "xã Mật Sơn",
    "Hòm thư bí mật",
    "tình hình tối mật thiết",
    "TUYỆT ĐỐI",
    "tài liệu thu thập",
    "Bảo đảm bí mật, an toàn trong phối hợp",
    "Phong trào bảo vệ bí mật nhà nước có bước chuyển biến, tuyên truyền 3 mức độ: Tuyệt mật, Tối mật, Mật",
    "tài liệu thu hồi được tại hiện trường",
    "mật\nsáp ong",
    "gạo; mật; sữa",
    "| Nuôi ong lấy mật | 20 hộ |",
    "BẢO ĐẢM BÍ MẬT",
    "GẠO, MẬT, SỮA",
    "HỖ TRỢ NUÔI ONG LẤY MẬT",
    "mặt trận Tổ quốc; mất tích; mắt",
    "Mất",
    "Tôi mất giấy tờ",
    "08:30 họp giao ban - mật thư",
]


@pytest.mark.parametrize("text", MARKED)
def test_a_mark_is_seen_in_every_spelling(text):
    assert bears_secrecy_mark(text)
    assert bears_secrecy_mark(unicodedata.normalize("NFD", text))
    assert bears_secrecy_mark(f"Kính gửi\n{text}\nNơi nhận")


@pytest.mark.parametrize("text", PLAIN)
def test_an_ordinary_word_is_no_mark(text):
    assert not bears_secrecy_mark(text)
    assert not bears_secrecy_mark(unicodedata.normalize("NFD", text))


MARKED_FILES = [
    "TOI_MAT_ke-hoach.pdf",
    "tuyet-mat.docx",
    "Tối mật.pdf",
    "KH TUYET MAT.xlsx",
    "(MẬT) a.pdf",
    "MẬT.pdf",
    "mật.doc",
]
MARKED_FILES += [
    "MẬT_ke hoach.pdf",
    "ke-hoach_MẬT.pdf",
    "[MAT] kế hoạch.docx",
    "Kế hoạch tuần tra mật.pdf",
    "MAT.pdf",
    "МẬТ.pdf",
]


@pytest.mark.parametrize("name", MARKED_FILES)
def test_a_file_name_bears_a_mark_with_and_without_vietnamese_letters(name):
    assert file_name_bears_mark(name)


@pytest.mark.parametrize(
    "name",
    [
        "mat-ong.pdf",
        "tomatoes.pdf",
        "MAT_TRAN_TO_QUOC.pdf",
        "LE_RA_MAT.pdf",
        "bao-mat.pdf",
        "MẬT ONG.jpg",
        "bảo mật.docx",
        "nuôi ong mật.pdf",
    ],
)
def test_an_ordinary_file_name_bears_none(name):
    assert not file_name_bears_mark(name)


@pytest.mark.parametrize("noise", ["\n", " ", "m\n", "M ", "MẬT, ", "độ mật ", "(", "T._-", "tài  liệu ", "<", "- ", "mật|"])
def test_no_text_however_odd_holds_the_node_up(noise):
    text = noise * (100_000 // len(noise))
    began = time.perf_counter()
    bears_secrecy_mark(text)
    assert time.perf_counter() - began < 3, "it takes some hundredths; squares of the length take minutes"


# --- inside files ----------------------------------------------------------------------------------------------------------


def packed(**members):
    box = io.BytesIO()
    with zipfile.ZipFile(box, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in members.items():
            out.writestr(name.replace("__", "/").replace("_xml", ".xml"), data)
    return box.getvalue()


def word(*runs):
    text = "".join(f"<w:r><w:t>{r}</w:t></w:r>" for r in runs)
    return packed(word__document_xml=f"<?xml version='1.0'?><w:document><w:p>{text}</w:p><w:p>Kế hoạch</w:p></w:document>")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("ke-hoach.txt", "TỐI MẬT\nKế hoạch".encode()),
        ("ke-hoach.txt", "TỐI MẬT\nKế hoạch".encode("utf-16")),
        ("ke-hoach.csv", "Số;Nội dung\r\n(MẬT);x".encode()),
        ("ke-hoach.html", "<p>T&#7888;I <b>M</b>ẬT</p>".encode()),
        ("ke-hoach.docx", word("TỐI MẬT")),
        ("ke-hoach.docx", word("TỐI", " M", "ẬT")),
        ("ke-hoach.docx", word("MẬT")),
        ("ke-hoach.docx", packed(word__document_xml="<w:p/>", word__header1_xml="<w:hdr><w:p><w:t>MẬT</w:t></w:p></w:hdr>")),
        ("so-lieu.xlsx", packed(xl__sharedStrings_xml="<sst><si><t>Số</t></si><si><t>TUYỆT MẬT</t></si></sst>")),
        ("gui.zip", packed(TOI_MAT=b"\x00\x01")),
        ("gui.zip", packed(trong=word("TỐI MẬT"))),
    ],
)
def test_a_mark_inside_a_file_is_seen(name, data):
    assert file_bears_mark(name, data)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("ke-hoach.docx", word("Bảo đảm bí mật", ", nuôi ong lấy mật")),
        ("anh.jpg", b"\xff\xd8\xff\x00" + "TỐI MẬT".encode()),
        ("hong.docx", b"PK\x03\x04 broken"),
        ("cut.docx", word("Kế hoạch")[:-30]),
        ("rong.txt", b""),
        ("a.pdf", b"%PDF-1.7"),
    ],
)
def test_an_ordinary_or_unreadable_file_bears_none_and_breaks_nothing(name, data):
    assert not file_bears_mark(name, data)


def test_a_file_that_unpacks_to_gigabytes_is_looked_at_only_in_part():
    bomb = packed(a_xml=b"a " * (60 * 1024 * 1024 // 2))
    began = time.perf_counter()
    assert not file_bears_mark("bom.zip", packed(a_zip=bomb, b_zip=bomb, c_zip=bomb, d_zip=bomb))
    assert time.perf_counter() - began < 30


def test_the_refusal_carries_nothing_of_the_text():
    with pytest.raises(ClassifiedContent) as refusal:
        refuse_classified("bình thường", "TỐI MẬT: toạ độ")
    assert not refusal.value.facts
    assert "toạ độ" not in str(refusal.value)
