"""The reminder ladder."""

from datetime import date

from hiepdong.duties.domain.reminders import reminder_days


def test_reminders_count_from_the_last_day_on_time_and_cross_months_and_years():
    assert reminder_days([-3, 0, 1], last_day=date(2020, 3, 1)) == [date(2020, 2, 27), date(2020, 3, 1), date(2020, 3, 2)]
    assert reminder_days([1], last_day=date(2020, 12, 31)) == [date(2021, 1, 1)]


def test_a_ladder_in_any_order_reminds_once_a_day_and_an_empty_one_never():
    assert reminder_days([5, -1, 5], last_day=date(2020, 3, 17)) == [date(2020, 3, 16), date(2020, 3, 22)]
    assert reminder_days([], last_day=date(2020, 3, 17)) == []
