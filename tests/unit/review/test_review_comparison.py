"""Figures counted differently are not compared."""

from decimal import Decimal

import pytest

from hiepdong.review.domain.comparison import Known, Refusal, compare

NOW = Known(Decimal(110), "tổ", "groups/2")


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        (Known(Decimal(84), "tổ", "groups/1"), Refusal.DEFINITION),
        (Known(Decimal(84), "tập thể", "groups/2"), Refusal.UNIT),
        (Known(Decimal(84), "tổ", "groups/2", "tuyến biển"), Refusal.SCOPE),
        (Known(None, "tổ", "groups/2"), Refusal.NUMBER),
    ],
)
def test_what_is_counted_differently_is_refused_with_the_reason(before, reason):
    found = compare(NOW, before)
    assert (found.refused, found.difference, found.percent) == (reason, None, None)


def test_a_difference_is_now_minus_before():
    found = compare(NOW, Known(Decimal(100), "tổ", "groups/2"))
    assert (found.difference, found.percent, found.rough) == (Decimal(10), Decimal("10.0"), False)


def test_nothing_is_divided_by_a_zero_of_the_year_before():
    found = compare(NOW, Known(Decimal(0), "tổ", "groups/2"))
    assert (found.difference, found.percent) == (Decimal(110), None)


def test_a_difference_of_a_rough_figure_is_rough():
    assert compare(NOW, Known(Decimal(100), "tổ", "groups/2", exact=False)).rough
