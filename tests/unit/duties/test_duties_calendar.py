"""The working-day calendar: every vector of the published days off, and what is not verified says so."""

from datetime import date

import pytest

from hiepdong.duties.calendar_source import build_calendar, national_calendar, table
from hiepdong.duties.domain.calendar import Calendar, CalendarTooShort, DayOff, calendar_of


@pytest.fixture(scope="module")
def vn():
    return national_calendar()


@pytest.mark.parametrize(
    ("after", "working"),
    [
        (date(2026, 2, 13), date(2026, 2, 23)),
        (date(2026, 4, 30), date(2026, 5, 4)),
        (date(2026, 11, 23), date(2026, 11, 25)),
        (date(2026, 1, 1), date(2026, 1, 5)),  # 2 January is swapped off
        (date(2026, 1, 9), date(2026, 1, 10)),  # and this Saturday is worked
        (date(2026, 8, 21), date(2026, 8, 22)),
        (date(2026, 8, 28), date(2026, 9, 3)),
        (date(2026, 4, 24), date(2026, 4, 28)),  # Hùng Kings on Sunday: Monday is given for it
        (date(2023, 9, 1), date(2023, 9, 5)),  # 2 September 2023 was a Saturday: Monday 4 was off
    ],
)
def test_the_next_working_day_after(vn, after, working):
    assert vn.add_working_days(after, 1) == working


@pytest.mark.parametrize(
    ("cut_off", "first", "second", "twenty_fifth_off"),
    [
        (date(2026, 1, 14), date(2026, 1, 15), date(2026, 1, 16), True),
        (date(2026, 2, 14), date(2026, 2, 23), date(2026, 2, 24), False),
        (date(2026, 3, 14), date(2026, 3, 16), date(2026, 3, 17), False),
        (date(2026, 4, 14), date(2026, 4, 15), date(2026, 4, 16), True),
        (date(2026, 5, 14), date(2026, 5, 15), date(2026, 5, 18), False),
        (date(2026, 6, 14), date(2026, 6, 15), date(2026, 6, 16), False),
        (date(2026, 8, 14), date(2026, 8, 17), date(2026, 8, 18), False),
        (date(2026, 11, 14), date(2026, 11, 16), date(2026, 11, 17), False),
        (date(2026, 12, 14), date(2026, 12, 15), date(2026, 12, 16), False),
    ],
)
def test_the_worked_vectors_of_2026(vn, cut_off, first, second, twenty_fifth_off):
    assert vn.add_working_days(cut_off, 1) == first
    assert vn.add_working_days(cut_off, 2) == second
    assert vn.is_working(cut_off.replace(day=25)) is not twenty_fifth_off


@pytest.mark.parametrize(
    ("new_year", "not_new_year"),
    [(date(2007, 2, 17), date(2007, 2, 22)), (date(2030, 2, 2), date(2030, 2, 7)), (date(2026, 2, 17), date(2026, 2, 23))],
)
def test_tet_follows_the_vietnamese_lunar_calendar_not_the_chinese(vn, new_year, not_new_year):
    assert vn.named[new_year] == "Tết Nguyên Đán"
    assert vn.is_working(not_new_year)


def test_a_day_off_has_its_vietnamese_name_and_a_working_day_has_none(vn):
    assert vn.name_of(date(2026, 2, 17)) == "Tết Nguyên Đán"
    assert vn.name_of(date(2026, 1, 2)) == "Nghỉ hoán đổi dịp Tết Dương lịch"
    assert vn.name_of(date(2026, 2, 21)) == "Thứ Bảy"
    assert vn.name_of(date(2026, 2, 22)) == "Chủ nhật"
    assert vn.name_of(date(2026, 2, 23)) == ""
    assert [d.on.day for d in vn.days_off(date(2026, 2, 13), date(2026, 2, 23))] == list(range(14, 23))


def test_24_november_can_be_switched_off_in_the_table_and_is_a_day_in_doubt(vn):
    assert not vn.is_working(date(2026, 11, 24))
    assert not vn.is_verified(date(2026, 11, 24), date(2026, 11, 24))
    assert vn.is_working(date(2025, 11, 24))
    assert vn.name_of(date(2030, 11, 25)) == "Ngày Văn hóa Việt Nam (nghỉ bù)"
    off = table()
    off["yearly"] = [row | {"enabled": False} for row in off["yearly"]]
    without = build_calendar(off)
    assert without.is_working(date(2026, 11, 24))
    assert without.is_working(date(2030, 11, 25))
    assert without.digest != vn.digest


def test_every_row_of_the_table_has_a_source_and_says_whether_it_is_verified():
    ours = table()
    rows = [row for key in ("year", "off", "work", "yearly") for row in ours[key]]
    assert rows
    assert all(row["source"] and isinstance(row["verified"], bool) for row in rows)


def test_tet_2020_is_the_seven_days_that_were_announced(vn):
    assert vn.add_working_days(date(2020, 1, 22), 1) == date(2020, 1, 30)
    assert vn.is_verified(date(2020, 1, 1), date(2020, 12, 31))


def test_a_year_that_nobody_verified_is_in_doubt(vn):
    assert vn.is_verified(date(2026, 1, 1), date(2026, 11, 23))
    assert not vn.is_verified(date(2027, 1, 1), date(2027, 1, 1))
    assert not vn.is_verified(date(2026, 12, 31), date(2027, 1, 1))


def test_a_count_that_leaves_the_calendar_is_refused_never_guessed():
    small = calendar_of([], first=date(2026, 1, 1), last=date(2026, 1, 31))
    for outside in (date(2025, 12, 31), date(2026, 2, 1)):
        with pytest.raises(CalendarTooShort) as refused:
            small.is_working(outside)
        assert refused.value.facts["needed"] == outside.isoformat()
    with pytest.raises(CalendarTooShort):
        small.add_working_days(date(2026, 1, 30), 1)
    with pytest.raises(CalendarTooShort):
        calendar_of([], first=date(2026, 1, 3), last=date(2026, 1, 31)).at_or_before(date(2026, 1, 4))


def test_the_end_of_a_day_is_midnight_in_viet_nam_not_in_utc(vn):
    assert vn.end_of(date(2026, 3, 6)).isoformat() == "2026-03-06T17:00:00+00:00"
    assert vn.end_of(date(2026, 3, 6)) is vn.end_of(date(2026, 3, 6))


def test_a_worked_saturday_counts_and_a_named_weekend_does_not():
    calendar = Calendar(date(2026, 1, 1), date(2026, 1, 31), {date(2026, 1, 17): "Ngày lễ"}, frozenset({date(2026, 1, 10)}))
    assert calendar.is_working(date(2026, 1, 10))
    assert calendar.days_off(date(2026, 1, 17), date(2026, 1, 17)) == (DayOff(date(2026, 1, 17), "Ngày lễ"),)
    assert calendar.working_days_between(date(2026, 1, 9), date(2026, 1, 12)) == 2
