"""Whatever the day, a family that tiles has exactly one period for it, and the greater periods are made of the lesser."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hiepdong.duties.domain.periods import (
    FAMILIES,
    custom_family,
    next_period,
    period_containing,
    period_labelled,
    periods_between,
)

DAY = timedelta(days=1)
DAYS = st.dates(date(1990, 1, 1), date(2090, 12, 31))
TILING = sorted(k for k, f in FAMILIES.items() if f.tiles)


@given(day=DAYS, key=st.sampled_from(TILING))
def test_no_gap_and_no_overlap(day, key):
    family = FAMILIES[key]
    period = period_containing(family, day)
    assert period.first <= day <= period.last
    after = next_period(family, period)
    assert after.first == period.last + DAY
    assert period_containing(family, period.last) == period
    assert period_containing(family, after.first) == after
    assert period_labelled(family, period.label) == period


@given(year=st.integers(1990, 2090), prefix=st.sampled_from(["", "r-rep-"]))
def test_three_months_make_a_quarter_two_quarters_a_half_two_halves_a_year(year, prefix):
    whole = period_labelled(FAMILIES[f"{prefix}year"], str(year))
    for parts, wholes, number in (("month", "quarter", 3), ("quarter", "half", 2), ("half", "year", 2)):
        small = periods_between(FAMILIES[prefix + parts], whole.first, whole.last)
        great = periods_between(FAMILIES[prefix + wholes], whole.first, whole.last)
        assert len(small) == number * len(great)
        for i, period in enumerate(great):
            own = small[i * number : (i + 1) * number]
            assert (own[0].first, own[-1].last) == (period.first, period.last)
            assert sum(p.days for p in own) == period.days
    nine = period_labelled(FAMILIES[f"{prefix}nine-months"], f"{year}-9M")
    quarters = periods_between(FAMILIES[f"{prefix}quarter"], whole.first, whole.last)
    assert (nine.first, nine.last) == (quarters[0].first, quarters[2].last)


@given(cuts=st.lists(st.dates(date(2023, 1, 1), date(2023, 12, 31)), min_size=1, max_size=12, unique=True), day=DAYS)
def test_any_custom_family_tiles(cuts, day):
    family = custom_family("x", [f"{d:%m-%d}" for d in sorted(cuts)])
    period = period_containing(family, day)
    assert next_period(family, period).first == period.last + DAY


@pytest.mark.parametrize("year", [1996, 2000, 2020, 2021, 2100])
def test_months_of_28_to_31_days_add_up_to_the_year(year):
    for key in ("month", "r-rep-month", "month-25"):
        months = periods_between(FAMILIES[key], date(year, 1, 1), date(year, 12, 31))
        assert len(months) == 12
        assert sum(p.days for p in months) == (months[-1].last - months[0].first).days + 1
