"""Period families: the vectors of Decree 09/2019/NĐ-CP art. 12 and the labels that duty references are made of."""

from datetime import date

import pytest

from hiepdong.duties.domain.periods import (
    FAMILIES,
    BadFamily,
    UnknownFamily,
    custom_family,
    family_named,
    next_period,
    period_containing,
    period_labelled,
    periods_between,
    previous_period,
)


@pytest.mark.parametrize(
    ("family", "label", "first", "last"),
    [
        ("r-rep-month", "2020-03", date(2020, 2, 15), date(2020, 3, 14)),  # R-REP-01
        ("r-rep-month", "2020-01", date(2019, 12, 15), date(2020, 1, 14)),
        ("r-rep-quarter", "2020-Q1", date(2019, 12, 15), date(2020, 3, 14)),  # R-REP-02
        ("r-rep-quarter", "2020-Q2", date(2020, 3, 15), date(2020, 6, 14)),
        ("r-rep-quarter", "2020-Q3", date(2020, 6, 15), date(2020, 9, 14)),
        ("r-rep-quarter", "2020-Q4", date(2020, 9, 15), date(2020, 12, 14)),
        ("r-rep-half", "2020-H1", date(2019, 12, 15), date(2020, 6, 14)),  # R-REP-03a
        ("r-rep-half", "2020-H2", date(2020, 6, 15), date(2020, 12, 14)),  # R-REP-03b
        ("r-rep-year", "2020", date(2019, 12, 15), date(2020, 12, 14)),  # R-REP-04
        ("r-rep-nine-months", "2023-9M", date(2022, 12, 15), date(2023, 9, 14)),  # R-REP-05, provincial only
        ("nine-months", "2020-9M", date(2020, 1, 1), date(2020, 9, 30)),
        ("month", "2020-02", date(2020, 2, 1), date(2020, 2, 29)),
        ("month", "2021-02", date(2021, 2, 1), date(2021, 2, 28)),
        ("quarter", "2020-Q1", date(2020, 1, 1), date(2020, 3, 31)),
        ("half", "2020-H2", date(2020, 7, 1), date(2020, 12, 31)),
        ("year", "2020", date(2020, 1, 1), date(2020, 12, 31)),
        ("week", "2020-W07", date(2020, 2, 10), date(2020, 2, 16)),
        ("week", "2020-W53", date(2020, 12, 28), date(2021, 1, 3)),
        ("month-25", "2020-12", date(2020, 11, 26), date(2020, 12, 31)),  # the December exception
        ("month-25", "2021-01", date(2021, 1, 1), date(2021, 1, 25)),  # so January starts on the 1st
        ("month-25", "2021-03", date(2021, 2, 26), date(2021, 3, 25)),
    ],
)
def test_a_label_names_these_days_and_no_others(family, label, first, last):
    period = period_labelled(FAMILIES[family], label)
    assert (period.first, period.last) == (first, last)
    assert period_containing(FAMILIES[family], first) == period
    assert period_containing(FAMILIES[family], last) == period


def test_the_fifteenth_belongs_to_the_next_month_and_the_fourteenth_does_not():
    family = FAMILIES["r-rep-month"]
    assert period_containing(family, date(2020, 3, 14)).label == "2020-03"
    assert period_containing(family, date(2020, 3, 15)).label == "2020-04"
    assert period_containing(family, date(2020, 12, 15)).label == "2021-01"


def test_nine_months_do_not_tile_and_say_so():
    family = FAMILIES["r-rep-nine-months"]
    assert not family.tiles
    assert period_containing(family, date(2020, 10, 1)) is None
    assert period_containing(family, date(2020, 9, 14)).label == "2020-9M"


def test_both_spellings_of_nine_months_are_one_family():
    assert family_named("nine_months") is FAMILIES["nine-months"]


@pytest.mark.parametrize("label", ["0000-01", "0001-01", "0001-W01", "9999-12", "9999-W52", "9999", "२०२६-02", "२०२६-W01"])
def test_a_year_at_the_edge_of_time_gives_nothing_and_does_not_crash(label):
    assert all(period_labelled(f, label) is None for f in FAMILIES.values())


@pytest.mark.parametrize("label", ["2020-13", "2020-Q5", "2020-W54", "2021-W53", "x", "", "2020-3"])
def test_a_label_that_names_nothing_gives_nothing(label):
    assert all(period_labelled(f, label) is None for f in FAMILIES.values())


def test_a_custom_family_is_cut_where_the_regulation_says():
    family = custom_family("hai-ky", ["05-20", "11-20"], ["K1", "K2"])
    assert [(p.label, p.first, p.last) for p in periods_between(family, date(2020, 1, 1), date(2020, 12, 31))] == [
        ("2020-K1", date(2019, 11, 21), date(2020, 5, 20)),
        ("2020-K2", date(2020, 5, 21), date(2020, 11, 20)),
    ]


def test_a_custom_cut_on_the_31st_means_the_last_day_of_february_too():
    family = custom_family("x", ["02-31", "12-31"])
    assert [p.last for p in periods_between(family, date(2020, 1, 1), date(2021, 12, 31))] == [
        date(2020, 2, 29),
        date(2020, 12, 31),
        date(2021, 2, 28),
        date(2021, 12, 31),
    ]


@pytest.mark.parametrize(
    ("ends", "names"),
    [
        ([], []),
        (["3-14"], []),
        (["13-01"], []),
        (["06-14", "03-14"], []),
        (["03-14", "03-14"], []),
        (["03-14"], ["a", "b"]),
        (["03-14", "12-14"], ["K", "K"]),
        (["03-14"], ["{y}"]),
        (["03-14"], [""]),
    ],
)
def test_a_custom_family_that_cannot_tile_is_refused(ends, names):
    with pytest.raises(BadFamily) as refused:
        custom_family("x", ends, names)
    assert refused.value.facts["family"] == "x"


def test_an_unknown_family_is_refused_with_the_known_ones():
    with pytest.raises(UnknownFamily) as refused:
        family_named("thang")
    assert "r-rep-month" in refused.value.facts["known"]


@pytest.mark.parametrize("key", sorted(FAMILIES))
def test_next_and_previous_undo_each_other(key):
    period = period_containing(FAMILIES[key], date(2020, 3, 3))
    assert previous_period(FAMILIES[key], next_period(FAMILIES[key], period)) == period
