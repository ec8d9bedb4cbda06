"""The sentences of a review: figures as published reviews print them, findings short, neutral and complete."""

import pytest

from hiepdong.review import wording

FIGURE = {
    "indicator": "tuan-tra",
    "name": "Tuần tra, kiểm soát",
    "unit": "lượt",
    "aggregate": "sum",
    "value": "2329",
    "precision": "exact",
    "parts_of": "",
    "paired_with": "",
    "reports": 12,
    "not_reported": 0,
    "without_number": 0,
    "before": None,
}
PEOPLE = FIGURE | {"indicator": "nguoi", "name": "Người tham gia", "unit": "lượt người", "value": "15453"}
PEOPLE |= {"paired_with": "tuan-tra", "precision": "over"}
DRUGS = FIGURE | {"indicator": "dem", "name": "Trong đó: tuần tra đêm", "value": "97", "parts_of": "tuan-tra"}
MARKERS = FIGURE | {"indicator": "moc", "name": "Cột mốc được kiểm tra", "unit": "lượt mốc", "value": "1425.5"}


def field(*figures):
    return {"key": "f", "name": "Lĩnh vực", "figures": list(figures)}


def test_pairs_are_printed_with_a_stroke_and_parts_in_brackets():
    assert wording.field_text(field(FIGURE, PEOPLE, DRUGS, MARKERS)) == (
        "Tuần tra, kiểm soát: 2.329 lượt/trên 15.453 lượt người (trong đó tuần tra đêm: 97 lượt); "
        "cột mốc được kiểm tra: 1.425,5 lượt mốc."
    )


def test_three_that_belong_together_are_printed_as_a_triple():
    third = PEOPLE | {"indicator": "tau", "unit": "phương tiện", "value": "7", "precision": "exact"}
    assert "2.329 lượt/trên 15.453 lượt người/7 phương tiện" in wording.field_text(field(FIGURE, PEOPLE, third))


@pytest.mark.parametrize("lost", [{"value": None}, {"paired_with": "unknown"}])
def test_a_figure_whose_partner_is_missing_is_still_told(lost):
    first, second = (FIGURE | lost, PEOPLE) if "value" in lost else (FIGURE, PEOPLE | lost)
    assert "gười tham gia: trên 15.453 lượt người" in wording.field_text(field(first, second))


@pytest.mark.parametrize(("precision", "word"), [("over", "trên "), ("nearly", "gần "), ("about", "khoảng "), ("exact", "")])
def test_the_precision_word_of_a_figure_is_kept(precision, word):
    assert wording.figure_value(FIGURE | {"precision": precision}) == f"{word}2.329 lượt"
    published = {"year": 2019, "value": "300", "unit": "tàu", "precision": precision, "scope": "toàn tỉnh", "same_count": True}
    assert f"{word}300 tàu (toàn tỉnh)" in wording.published_words(published)
    before = {"year": 2019, "value": "300", "unit": "tàu", "precision": precision, "refused": "definition"}
    assert f"{word}300 tàu (" in wording.comparison_words(FIGURE | {"before": before})


def test_a_rough_difference_is_told_as_rough_and_an_exact_one_is_not():
    before = {"year": 2019, "value": "2000", "unit": "lượt", "precision": "over", "difference": "329", "percent": "16.5"}
    assert wording.comparison_words(FIGURE | {"before": before | {"rough": True}}).endswith("tăng khoảng 329, 16,5%")
    assert wording.comparison_words(FIGURE | {"before": before | {"rough": False}}).endswith("tăng 329, 16,5%")
    assert wording.comparison_words(FIGURE | {"before": before | {"difference": "-1", "rough": False}}).endswith(
        "giảm 1, 16,5%"
    )


def test_the_year_before_stands_in_the_sentence_only_where_it_may_be_compared():
    before = {"year": 2019, "value": "2000", "unit": "lượt", "precision": "exact", "difference": "329", "percent": None}
    assert "2.000 lượt, tăng 329" in wording.field_text(field(FIGURE | {"before": before}))
    refused = {"year": 2019, "value": "2000", "unit": "tổ", "precision": "exact", "refused": "unit"}
    assert "2.000" not in wording.field_text(field(FIGURE | {"before": refused}))


def test_what_may_not_be_added_and_what_was_not_reported_are_told_apart_from_zero():
    rate = FIGURE | {"aggregate": "none", "value": None, "reports": 3}
    assert wording.figure_value(FIGURE | {"value": "0"}) == "0 lượt"
    with wording.override("vi"):
        assert wording.figure_value(rate) == "không cộng gộp"
        assert wording.figure_value(FIGURE | {"value": None, "reports": 0}) == "chưa có số liệu"
    text = wording.field_text(field(FIGURE, MARKERS | {"value": None, "reports": 0}))
    assert text.endswith("Số chỉ tiêu chưa có số liệu: 1.")


def test_months_and_quarters_of_a_year_are_drawn_together_and_none_is_left_out():
    labels = [f"2020-{m:02}" for m in range(1, 11)] + ["2020-Q1", "2020-Q3", "2019-12"]
    with wording.override("vi"):
        assert wording.listed(labels) == "tháng 1, 2, 3, 4, 5, 6, 7, 8, 9, 10/2020; tháng 12/2019; quý I, III/2020"
        assert wording.listed(["2020", "2020-H1"]) == "năm 2020; 6 tháng đầu năm 2020"


BODIES = {k: {"name": k.upper(), "short": "", "kind": kind} for k, kind in (("a", "border_station"), ("b", "party_district"))}
FACTS = {"bodies": BODIES}


def exchange(*missing):
    owed = [{"missing": m} for m in missing]
    gap = {"sender": "a", "recipient": "b", "after": "2020-02-19", "until": "2020-07-15", "days": 146, "both": True}
    finding = {"kind": "exchange_not_regular", "bodies": ["a", "b"], "clauses": ["5.2", "15.1"]}
    return wording.finding_text(FACTS, finding | {"facts": {"gaps": [gap], "owed": owed}})


def test_a_silence_names_bodies_days_and_clauses_and_no_zero():
    text = exchange(True, True)
    assert text.startswith("Giữa A và B: từ ngày 20/02/2020 đến ngày 14/07/2020 (146 ngày) không bên nào gửi")
    assert text.endswith("có 2 nội dung đến hạn (Điều 5.2, 15.1), đều chưa thực hiện.")
    assert exchange(False, False).endswith("đều thực hiện chậm.")
    assert exchange(True, False, True).endswith(": 2 chưa thực hiện, 1 thực hiện chậm.")
    assert " 0 " not in exchange(True, True) + exchange(False, False)


def test_reports_not_kept_add_up_to_what_was_expected():
    line = {
        "creditor": "b",
        "clause": "5.2",
        "expected": 12,
        "on_time": 5,
        "missing": ["2020-01", "2020-03"],
        "late": ["2020-04"],
    }
    finding = {"kind": "reporting_not_kept", "bodies": ["a", "b"], "facts": {"lines": [line]}}
    assert wording.finding_text(FACTS, finding) == (
        "A: trong 12 kỳ đến hạn gửi B (Điều 5.2), thiếu 2 kỳ (tháng 1, 3/2020), chậm 1 kỳ (tháng 4/2020), "
        "4 kỳ khác nằm trong thời gian gián đoạn đã nêu."
    )


def test_what_lay_unanswered_names_senders_and_days():
    finding = {"kind": "not_acknowledged", "bodies": ["a", "b"], "first": "2020-01-15", "last": "2020-11-15"}
    text = wording.finding_text(FACTS, finding | {"facts": {"count": 7, "longest": 337, "limit": 10}})
    assert text == (
        "A: 7 văn bản của B (đến từ ngày 15/01/2020 đến ngày 15/11/2020) chưa được xác nhận trong vòng 10 ngày, "
        "lâu nhất 337 ngày."
    )


def test_both_directions_are_counted_between_the_sides_only():
    ways = [
        {"debtor": "a", "creditor": "b", "expected": 10, "on_time": 9},
        {"debtor": "b", "creditor": "a", "expected": 4, "on_time": 1},
        {"debtor": "a", "creditor": "c", "expected": 100, "on_time": 100},
    ]
    facts = {"bodies": BODIES | {"c": {"name": "C", "kind": "border_guard_command"}}, "pairs": [{"ways": ways}]}
    counts = {"expected": 114, "on_time": 110, "late": 0, "missing": 4}
    volume = {"all": 1, "report": 1, "nil_report": 0, "notice": 0}
    text = wording.section_text(
        facts | {"counts": counts, "volume": volume, "findings": [], "thresholds": {"silence_days": 60}}, "exchange"
    )
    assert "Chiều Bộ đội Biên phòng gửi địa phương: 9/10 nội dung đúng hạn (90%)" in text
    assert "chiều địa phương gửi Bộ đội Biên phòng: 1/4 (25%)" in text
