"""Secrecy marks are recognised however they are spelled; ordinary words are not mistaken for them."""

import unicodedata

import pytest

from hiepdong.exchange.domain.classified import (
    ClassifiedContent,
    bears_secrecy_mark,
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


@pytest.mark.parametrize("name", ["TOI_MAT_ke-hoach.pdf", "tuyet-mat.docx", "Tối mật.pdf", "KH TUYET MAT.xlsx", "(MẬT) a.pdf"])
def test_a_file_name_bears_a_mark_with_and_without_vietnamese_letters(name):
    assert file_name_bears_mark(name)


@pytest.mark.parametrize("name", ["mat-ong.pdf", "tomatoes.pdf", "MAT_TRAN_TO_QUOC.pdf"])
def test_an_ordinary_file_name_bears_none(name):
    assert not file_name_bears_mark(name)


def test_the_refusal_carries_nothing_of_the_text():
    with pytest.raises(ClassifiedContent) as refusal:
        refuse_classified("bình thường", "TỐI MẬT: toạ độ")
    assert not refusal.value.facts
    assert "toạ độ" not in str(refusal.value)
