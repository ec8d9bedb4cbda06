"""What was typed into a report form, and what of it is signed."""

import pytest

from hiepdong.reporting.domain.compose import completed, read_form, typed_from

DEFINITION = {
    "indicators": [
        {"key": "tuan-tra", "name": "Tuần tra", "unit": "lượt", "required": True},
        {"key": "vu-viec", "name": "Vụ việc", "unit": "vụ"},
        {"key": "doi-tuong", "name": "Đối tượng", "unit": "đối tượng"},
        {"key": "ma-tuy", "name": "Trong đó ma túy", "unit": "vụ", "parts_of": "vu-viec"},
        {"key": "xu-phat", "name": "Tiền phạt", "unit": "triệu đồng"},
    ],
    "sections": [{"key": "tinh-hinh", "name": "Tình hình", "required": True}, {"key": "kien-nghi", "name": "Kiến nghị"}],
}
FULL = {"v:tuan-tra": "12", "t:tinh-hinh": "Ổn định."}


def figure(answers, key):
    return next(f for f in answers.figures if f["indicator"] == key)


def test_zero_not_reported_and_stated_without_a_number_are_three_things():
    typed = FULL | {"v:vu-viec": "0", "s:doi-tuong": "not_reported", "s:xu-phat": "no_number", "x:xu-phat": "có xử phạt"}
    answers = read_form(DEFINITION, typed)
    assert (figure(answers, "vu-viec")["state"], figure(answers, "vu-viec")["value"]) == ("value", "0")
    assert figure(answers, "doi-tuong")["state"] == "not_reported"
    assert "value" not in figure(answers, "doi-tuong")
    assert (figure(answers, "xu-phat")["state"], figure(answers, "xu-phat")["text"]) == ("no_number", "có xử phạt")
    assert not answers.faults
    assert not answers.gaps


def test_an_empty_place_is_not_a_zero_and_is_signed_as_not_reported():
    answers = read_form(DEFINITION, FULL)
    assert [f["indicator"] for f in answers.figures] == ["tuan-tra"]
    signed = completed(DEFINITION, answers.figures)
    assert [f["state"] for f in signed] == ["value"] + ["not_reported"] * 4
    assert [f["indicator"] for f in signed] == [i["key"] for i in DEFINITION["indicators"]]


def test_what_cannot_be_read_is_kept_as_typed_and_named():
    answers = read_form(DEFINITION, FULL | {"v:vu-viec": "1.5", "p:vu-viec": "about", "c:vu-viec": "toàn huyện"})
    assert answers.faults["v:vu-viec"].code == "reporting.unreadable_figure"
    assert answers.as_typed == {"v:vu-viec": "1.5", "p:vu-viec": "about", "c:vu-viec": "toàn huyện"}
    again = typed_from({"figures": answers.figures, "sections": answers.sections}, answers.as_typed)
    assert again["v:vu-viec"] == "1.5"
    assert again["c:vu-viec"] == "toàn huyện"
    assert again["v:tuan-tra"] == "12"


def test_changing_the_state_does_not_lose_the_figure_typed_before():
    answers = read_form(DEFINITION, FULL | {"v:vu-viec": "7", "s:vu-viec": "not_reported"})
    assert answers.as_typed["v:vu-viec"] == "7"
    assert figure(answers, "vu-viec")["state"] == "not_reported"


def test_the_precision_word_may_be_chosen_or_written():
    chosen = read_form(DEFINITION, FULL | {"v:vu-viec": "40", "p:vu-viec": "over"})
    written = read_form(DEFINITION, FULL | {"v:vu-viec": "trên 40", "p:vu-viec": "exact"})
    assert figure(chosen, "vu-viec")["precision"] == figure(written, "vu-viec")["precision"] == "over"


def test_persons_may_be_fewer_than_cases():
    assert not read_form(DEFINITION, FULL | {"v:vu-viec": "5", "v:doi-tuong": "2"}).gaps


def test_parts_above_their_total_keep_the_report_from_being_sent_but_not_from_being_saved():
    answers = read_form(DEFINITION, FULL | {"v:vu-viec": "1", "v:ma-tuy": "3"})
    assert answers.gaps["v:vu-viec"].code == "reporting.parts_exceed_total"
    assert not answers.faults
    assert figure(answers, "ma-tuy")["value"] == "3"


@pytest.mark.parametrize(
    "typed",
    [{"v:vu-viec": "trên 1", "v:ma-tuy": "3"}, {"v:vu-viec": "1", "v:ma-tuy": "3", "c:ma-tuy": "cả năm"}, {"v:ma-tuy": "3"}],
)
def test_parts_are_not_held_against_a_total_that_is_vague_absent_or_of_another_scope(typed):
    assert not read_form(DEFINITION, FULL | typed).gaps


@pytest.mark.parametrize(
    ("typed", "place", "code"),
    [
        ({"t:tinh-hinh": "x"}, "v:tuan-tra", "reporting.figure_missing"),
        ({"v:tuan-tra": "1", "t:tinh-hinh": "  "}, "t:tinh-hinh", "reporting.text_missing"),
        (FULL | {"s:vu-viec": "no_number"}, "x:vu-viec", "reporting.words_missing"),
    ],
)
def test_what_the_form_demands_is_missed_by_name(typed, place, code):
    assert read_form(DEFINITION, typed).gaps[place].code == code


def test_a_text_that_is_too_long_is_kept_as_typed_and_not_cut():
    long = "á" * 20_001
    answers = read_form(DEFINITION, FULL | {"t:kien-nghi": long})
    assert answers.faults["t:kien-nghi"].facts == {"found": 20_001, "most": 20_000}
    assert answers.as_typed["t:kien-nghi"] == long
