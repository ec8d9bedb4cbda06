"""What is said of the journal's time, and when an authority is asked."""

from datetime import UTC, datetime, timedelta

import pytest

from hiepdong.journal.domain.trust import TrustState, stamp_is_due, trust_state

AT = datetime(2020, 3, 20, 3, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("stamp", "witness", "oldest", "state"),
    [
        (AT, None, None, TrustState.WITNESSED),
        (None, AT, None, TrustState.WITNESSED),
        (None, None, None, TrustState.WAITING),
        (None, None, AT - DAY, TrustState.WAITING),
        (AT - 30 * DAY, AT - 30 * DAY, AT - 14 * DAY, TrustState.WAITING),
        (AT - 30 * DAY, AT - 30 * DAY, AT - 14 * DAY - timedelta(seconds=1), TrustState.BEYOND_GRACE),
        (None, None, AT - 15 * DAY, TrustState.BEYOND_GRACE),
        (None, None, AT + 400 * DAY, TrustState.WAITING),
    ],
    ids=[
        "all stamped",
        "all witnessed",
        "nothing sealed yet",
        "one day old",
        "exactly the grace",
        "a second beyond",
        "never witnessed",
        "the clock went back",
    ],
)
def test_the_state_follows_from_the_oldest_seal_that_nobody_vouches_for(stamp, witness, oldest, state):
    assert state == trust_state(
        last_stamp_at=stamp, last_witness_at=witness, oldest_unwitnessed_at=oldest, grace=14 * DAY, at=AT
    )


def due(**changes):
    facts = {
        "newest_seal": 5,
        "stamped_seal": 4,
        "last_stamp_at": AT - HOUR,
        "failures": 0,
        "last_failure_at": None,
        "every": HOUR,
        "at": AT,
    }
    return stamp_is_due(**facts | changes)


def test_a_new_seal_is_stamped_when_the_time_since_the_last_stamp_is_over():
    assert due()
    assert due(stamped_seal=0, last_stamp_at=None), "the first one ever"
    assert not due(last_stamp_at=AT - HOUR + timedelta(seconds=1))


def test_a_seal_that_has_a_stamp_never_gets_another():
    assert not due(stamped_seal=5, last_stamp_at=AT - 400 * DAY)
    assert not due(newest_seal=0, stamped_seal=0, last_stamp_at=None), "and nothing is asked when nothing is sealed"


@pytest.mark.parametrize(("failures", "minutes"), [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (8, 60), (10_000, 60)], ids=str)
def test_the_pause_after_failures_doubles_up_to_the_usual_time(failures, minutes):
    pause = timedelta(minutes=minutes)
    facts = {"failures": failures, "last_stamp_at": None, "stamped_seal": 0}
    assert not due(**facts, last_failure_at=AT - pause + timedelta(seconds=1))
    assert due(**facts, last_failure_at=AT - pause)


def test_a_clock_that_was_years_ahead_does_not_keep_the_authority_from_being_asked():
    assert due(last_stamp_at=AT + 3000 * DAY)
    assert due(last_stamp_at=None, failures=9, last_failure_at=AT + 3000 * DAY)
