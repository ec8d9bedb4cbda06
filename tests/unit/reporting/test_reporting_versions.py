"""Which of several versions of a report counts."""

from datetime import UTC, datetime

import pytest

from hiepdong.reporting.domain.versions import Version, counting


def version(key, day, replaces=None, *, returned=False, withdrawn=False):
    return Version(key, datetime(2020, 3, day, tzinfo=UTC), replaces, returned=returned, withdrawn=withdrawn)


@pytest.mark.parametrize(
    ("versions", "counts"),
    [
        ([], None),
        ([version(1, 1)], 1),
        ([version(1, 1, returned=True)], None),
        ([version(1, 1, withdrawn=True)], None),
        ([version(1, 1), version(2, 2, 1)], 2),
        ([version(1, 1), version(2, 2, 1), version(3, 3, 2)], 3),
        ([version(1, 1), version(2, 2, 1), version(3, 3, 1)], 3),  # replaced twice
        ([version(1, 1), version(2, 2, 1), version(3, 3, 1, returned=True)], 2),
        ([version(1, 1), version(2, 2, 1, returned=True)], 1),  # the one before it stays
        ([version(1, 1, returned=True), version(2, 2, 1)], 2),
        ([version(1, 1), version(2, 2, 1, withdrawn=True)], None),  # it takes the replaced one with it
        ([version(1, 1), version(2, 2, 1, withdrawn=True), version(3, 3, 2)], 3),
        ([version(1, 1), version(2, 2)], 2),  # told twice, without a word about the first
        ([version(1, 1), version(2, 2, withdrawn=True)], 1),
        ([version(1, 1), version(2, 1)], 2),  # in the same second
        ([version(1, 2, 2), version(2, 1, 1)], 1),  # a ring is no endless walk
        ([version(1, 1, 99)], 1),  # what it replaces is not here
    ],
)
def test_an_occasion_is_counted_once_and_by_the_version_that_stands(versions, counts):
    assert counting(versions) == counts
    assert counting(reversed(versions)) == counts
