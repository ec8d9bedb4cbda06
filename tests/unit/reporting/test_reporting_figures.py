"""Figures as Vietnamese offices write them."""

from decimal import Decimal

import pytest

from hiepdong.reporting.domain.figures import (
    AnotherUnit,
    FigureTooLong,
    SeveralFigures,
    UnreadableFigure,
    disagreements,
    read_figure,
    read_figures,
    read_in_unit,
    shown,
)


@pytest.mark.parametrize(
    ("text", "value", "precision", "unit"),
    [
        ("1.570", "1570", "exact", ""),
        ("1.570 lượt", "1570", "exact", "lượt"),
        ("468,281", "468.281", "exact", ""),
        ("468,281 km", "468.281", "exact", "km"),
        ("12 tỷ 305 triệu", "12305000000", "exact", ""),
        ("12 tỉ 305 triệu đồng", "12305000000", "exact", "đồng"),
        ("trên 25,27 tỉ", "25270000000", "over", ""),
        ("hơn 1.000 lượt người", "1000", "over", "lượt người"),
        ("gần 3.000", "3000", "nearly", ""),
        ("khoảng 40", "40", "about", ""),
        ("Khoảng  40   hộ", "40", "about", "hộ"),
        ("0", "0", "exact", ""),
        ("0 vụ", "0", "exact", "vụ"),
        ("1570", "1570", "exact", ""),
        ("5 nghìn", "5000", "exact", ""),
    ],
)
def test_a_figure_is_read_as_it_is_written(text, value, precision, unit):
    found = read_figure(text)
    assert (found.value, found.precision, found.unit) == (Decimal(value), precision, unit)


@pytest.mark.parametrize("text", ["1.5", "1.57", "1,2,3", "-3", "", "   ", "nhiều", "12 triệu 3 tỷ", "5-7", "1 570", "1.5700"])
def test_a_doubtful_figure_is_refused_and_never_guessed(text):
    with pytest.raises(UnreadableFigure) as refused:
        read_figure(text)
    assert "1.570" in refused.value.hint


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("153 vụ, 346 đối tượng", [("153", "vụ"), ("346", "đối tượng")]),
        ("23 tổ/137 người", [("23", "tổ"), ("137", "người")]),
        ("61 tổ với 2.915 hộ", [("61", "tổ"), ("2915", "hộ")]),
        ("468,281 km", [("468.281", "km")]),
    ],
)
def test_a_statement_of_two_figures_is_read_as_two(text, expected):
    assert [(str(f.value), f.unit) for f in read_figures(text)] == expected


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("570", "triệu đồng", "570"),
        ("12 tỷ 305 triệu", "triệu đồng", "12305"),
        ("12 tỷ 305 triệu đồng", "triệu đồng", "12305"),
        ("12.000.000 đồng", "triệu đồng", "12"),
        ("570 triệu đồng", "triệu đồng", "570"),
        ("2 triệu lượt", "lượt", "2000000"),
        ("0", "vụ", "0"),
        ("7 VỤ", "vụ", "7"),
    ],
)
def test_money_typed_in_words_of_magnitude_lands_in_the_unit_that_is_counted(text, unit, value):
    found = read_in_unit(text, unit)
    assert (found.value, found.unit) == (Decimal(value), unit)


def test_two_figures_in_one_place_are_refused_with_their_own_reason():
    with pytest.raises(SeveralFigures):
        read_in_unit("153 vụ, 346 đối tượng", "vụ")


def test_a_figure_in_another_unit_is_refused_instead_of_being_counted():
    with pytest.raises(AnotherUnit) as refused:
        read_in_unit("5 kg", "gam")
    assert refused.value.facts == {"found": "5 kg", "written": "kg", "unit": "gam"}


@pytest.mark.parametrize("text", ["0,12345", "12345678901234567"])
def test_a_figure_with_more_digits_than_are_kept_is_refused_instead_of_being_rounded(text):
    with pytest.raises(FigureTooLong):
        read_in_unit(text, "tấn")


@pytest.mark.parametrize("text", ["1.570", "468,281", "gần 3.000", "trên 25.270", "0", "khoảng 40"])
def test_what_is_shown_reads_back_the_same(text):
    found = read_figure(text)
    assert shown(found.value, found.precision) == text


def test_parts_may_be_less_than_their_total_but_not_more():
    parts_of = {"ma-tuy": "vu-viec", "buon-lau": "vu-viec"}
    assert disagreements({"vu-viec": Decimal(5), "ma-tuy": Decimal(2), "buon-lau": Decimal(2)}, parts_of) == []
    (found,) = disagreements({"vu-viec": Decimal(3), "ma-tuy": Decimal(2), "buon-lau": Decimal(2)}, parts_of)
    assert (found.total, found.stated, found.parts) == ("vu-viec", Decimal(3), Decimal(4))


def test_parts_are_compared_only_where_the_total_stands_too():
    assert disagreements({"ma-tuy": Decimal(9)}, {"ma-tuy": "vu-viec"}) == []
