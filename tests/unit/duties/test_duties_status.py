"""Status, anchoring, silence and counts: pure decisions."""

from datetime import UTC, date, datetime, timedelta

import pytest

from hiepdong.duties.domain.punctuality import Counts, count
from hiepdong.duties.domain.silence import current_silence, longest_silence, silences
from hiepdong.duties.domain.status import Facts, Status, Version, anchor_of, status_of

OPENS = datetime(2020, 3, 14, 17, tzinfo=UTC)
DUE = datetime(2020, 3, 25, 17, tzinfo=UTC)
TICK = timedelta(microseconds=1)


def on(day, hour=3):
    return datetime(2020, 3, day, hour, tzinfo=UTC)


@pytest.mark.parametrize(
    ("facts", "at", "status"),
    [
        ({}, OPENS - TICK, Status.NOT_YET_DUE),
        ({}, OPENS, Status.DUE),
        ({}, DUE - TICK, Status.DUE),
        ({}, DUE, Status.OVERDUE),  # overdue flips at the exact instant
        ({"fulfilled_at": DUE - TICK}, DUE, Status.FULFILLED),
        ({"fulfilled_at": DUE}, DUE, Status.FULFILLED_LATE),
        ({"fulfilled_at": DUE + TICK}, DUE, Status.OVERDUE),  # what is later has not happened yet
        ({"fulfilled_at": on(10)}, on(11), Status.FULFILLED),  # sent before the period ended
        ({"waived_at": on(20)}, on(20) - TICK, Status.DUE),
        ({"waived_at": on(20)}, on(30), Status.WAIVED),
        ({"waived_at": on(20), "fulfilled_at": on(21)}, on(30), Status.FULFILLED),
        ({"suspended_from": on(20)}, on(30), Status.SUSPENDED),
        ({"suspended_from": on(20), "suspended_until": on(30)}, on(30), Status.OVERDUE),
        ({"suspended_from": on(20), "suspended_until": on(22)}, on(23), Status.DUE),
        ({"suspended_from": on(20), "waived_at": on(21)}, on(22), Status.WAIVED),
    ],
)
def test_the_status_at_a_moment(facts, at, status):
    assert status_of(Facts(OPENS, DUE, **facts), at) is status


def test_overdue_begins_at_midnight_in_viet_nam_while_utc_still_has_the_day_before():
    assert status_of(Facts(OPENS, DUE), datetime(2020, 3, 25, 16, 59, 59, tzinfo=UTC)) is Status.DUE
    assert status_of(Facts(OPENS, DUE), datetime(2020, 3, 25, 17, 0, 0, tzinfo=UTC)) is Status.OVERDUE


def test_a_correction_neither_restarts_nor_backdates_the_clock():
    first = Version(1, on(20))
    assert anchor_of([Version(2, on(28), replaces=1), first]) == first


def test_after_a_return_the_next_version_is_the_anchor():
    again = Version(2, on(28))
    assert anchor_of([Version(1, on(20), returned=True), again]) == again
    replacing = Version(3, on(29), replaces=1)
    assert anchor_of([Version(1, on(20), returned=True), replacing]) == replacing


def test_a_returned_correction_leaves_the_first_version_standing():
    first = Version(1, on(20))
    assert anchor_of([first, Version(2, on(22), returned=True, replaces=1)]) == first


def test_a_withdrawal_without_replacement_opens_the_duty_again():
    assert anchor_of([Version(1, on(20), withdrawn=True)]) is None
    assert anchor_of([Version(1, on(20)), Version(2, on(22), withdrawn=True, replaces=1)]) is None


def test_a_withdrawal_with_replacement_keeps_the_first_moment():
    first = Version(1, on(20), withdrawn=True)
    assert anchor_of([first, Version(2, on(22), replaces=1)]) == first


def test_a_later_independent_version_takes_over_after_a_withdrawal():
    later = Version(2, on(27))
    assert anchor_of([Version(1, on(20), withdrawn=True), later]) == later
    assert anchor_of([]) is None


def test_silence_counts_whole_days_between_and_the_ends_of_the_window():
    found = silences([date(2020, 1, 10), date(2020, 3, 1)], first=date(2020, 1, 1), last=date(2020, 3, 31))
    assert [(s.days, s.open) for s in found] == [(50, False), (30, True), (9, False)]
    assert sum(s.days for s in found) + 2 == 91


def test_no_exchange_at_all_is_one_silence_as_long_as_the_window():
    found = longest_silence([], first=date(2020, 1, 1), last=date(2020, 12, 31))
    assert (found.days, found.open) == (366, True)


def test_the_current_silence_is_the_one_that_still_lasts():
    window = {"first": date(2020, 1, 1), "last": date(2020, 1, 31)}
    assert current_silence([date(2020, 1, 31)], **window) is None
    assert current_silence([date(2020, 1, 30), date(2020, 1, 2)], **window).days == 1
    assert longest_silence([date(2020, 1, 1)], first=date(2020, 1, 1), last=date(2020, 1, 1)) is None


def test_counts_expect_only_what_was_to_come_by_now():
    counts = count(
        [
            (Status.FULFILLED, True),
            (Status.FULFILLED_LATE, False),
            (Status.OVERDUE, False),
            (Status.OVERDUE, True),
            (Status.DUE, False),
            (Status.NOT_YET_DUE, False),
            (Status.WAIVED, False),
            (Status.SUSPENDED, False),
        ]
    )
    assert counts == Counts(expected=4, on_time=1, late=1, missing=2, nil=1, open=2, waived=1, suspended=1)
    assert (counts.received, counts.total) == (2, 8)
