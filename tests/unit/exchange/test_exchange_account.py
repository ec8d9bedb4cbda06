"""Statements of account: what stands in one, and every way in which two can differ."""

from datetime import UTC, datetime

import pytest

from hiepdong.exchange.domain.account import (
    MOST_LISTED,
    AccountTooLong,
    Difference,
    Known,
    NoMonth,
    bounds_of,
    differences,
    gaps_between,
    is_nil,
    month_before,
    statement,
    way_of,
)
from hiepdong.exchange.domain.joint import payload_bytes, read_terms

AT = datetime(2020, 4, 3, tzinfo=UTC)
MARCH = datetime(2020, 3, 20, tzinfo=UTC)
LATER = datetime(2020, 4, 5, tzinfo=UTC)


def known(sequence, digest="", arrived=MARCH, verdict="", verdict_at=None):
    return Known(sequence, digest or f"{sequence:064x}", arrived, verdict, verdict_at)


def account(*rows, missing=(), back=(), made_by="a"):
    ways = [
        way_of(sender="a", recipient="b", known=rows, missing=missing, as_of=AT),
        way_of(sender="b", recipient="a", known=back, missing=(), as_of=AT),
    ]
    return statement(month="2020-03", pair=("b", "a"), ways=ways, made_by=made_by, at=AT)


def codes(ours, theirs):
    return [(d.sequence, d.code) for d in differences(ours, theirs)]


def test_both_sides_make_the_same_bytes_when_they_know_the_same():
    one = account(known(2), known(1), back=[known(1)])
    other = account(known(1), known(2), back=[known(1)])
    assert payload_bytes(one) == payload_bytes(other)
    assert read_terms("account", payload_bytes(one)).name == "2020-03/a/b"


def test_what_was_answered_after_the_moment_of_the_statement_is_not_said():
    late = account(known(1, arrived=LATER), known(2, verdict="acknowledged", verdict_at=LATER))
    early = account(known(1, arrived=None), known(2))
    assert late == early


def test_a_month_without_anything_is_a_nil_statement():
    nil = account()
    assert is_nil(nil)
    assert (nil["sent"][0]["first"], nil["sent"][0]["last"]) == (0, 0)
    assert not is_nil(account(known(1)))
    assert read_terms("account", payload_bytes(nil)).parties == ("a", "b")


@pytest.mark.parametrize(
    ("ours", "theirs", "code"),
    [
        (account(known(1), known(2)), account(known(1)), (2, "only_ours")),
        (account(known(1)), account(known(1), known(2)), (2, "only_theirs")),
        (account(known(1), known(3), missing=[2]), account(known(1), known(2), known(3)), (2, "missing_here")),
        (account(known(1), known(2), known(3)), account(known(1), known(3), missing=[2]), (2, "missing_there")),
        (account(known(3), missing=[2]), account(known(3)), (2, "missing_here")),
        (account(known(3)), account(known(3), missing=[2]), (2, "missing_there")),
        (account(known(1, "e" * 64)), account(known(1)), (1, "digest")),
        (account(known(1, arrived=None)), account(known(1)), (1, "arrived")),
        (account(known(1)), account(known(1, arrived=datetime(2020, 3, 21, tzinfo=UTC))), (1, "arrived")),
        (account(known(1, verdict="returned", verdict_at=MARCH)), account(known(1)), (1, "verdict")),
        (
            account(known(1, verdict="returned", verdict_at=MARCH)),
            account(known(1, verdict="acknowledged", verdict_at=MARCH)),
            (1, "verdict"),
        ),
    ],
)
def test_every_difference_is_listed_by_its_number_and_the_other_side_sees_its_mirror(ours, theirs, code):
    assert codes(ours, theirs) == [code]
    mirror = {"only_ours": "only_theirs", "missing_here": "missing_there"}
    mirror |= {v: k for k, v in mirror.items()}
    assert codes(theirs, ours) == [(code[0], mirror.get(code[1], code[1]))]
    assert codes(ours, ours) == codes(theirs, theirs) == []


def test_what_both_say_is_missing_is_no_difference_between_them():
    assert codes(account(known(3), missing=[2]), account(known(3), missing=[2])) == []


def test_one_number_can_differ_in_both_receipts():
    ours = account(known(1, verdict="returned", verdict_at=MARCH))
    assert codes(ours, account(known(1, arrived=None))) == [(1, "arrived"), (1, "verdict")]
    assert differences(ours, account(known(1, arrived=None)))[1] == Difference("a", "b", 1, "verdict", "returned", "")


def test_who_made_it_and_when_is_no_difference():
    assert codes(account(known(1), made_by="a"), account(known(1), made_by="b") | {"at": "2020-04-09T00:00:00Z"}) == []


def test_the_gaps_of_a_sequence_are_named_and_a_number_from_nowhere_does_not_fill_the_memory():
    assert gaps_between(0, [1, 2, 5], sender="a", recipient="b") == [3, 4]
    assert gaps_between(5, [], sender="a", recipient="b") == []
    with pytest.raises(AccountTooLong):
        gaps_between(0, [2**31 - 1], sender="a", recipient="b")
    with pytest.raises(AccountTooLong):
        way_of(sender="a", recipient="b", known=[known(i) for i in range(1, MOST_LISTED + 2)], missing=(), as_of=AT)


def test_a_month_is_a_local_one():
    first, after = bounds_of("2020-12")
    assert (first.isoformat(), after.isoformat()) == ("2020-11-30T17:00:00+00:00", "2020-12-31T17:00:00+00:00")
    assert month_before(datetime(2020, 12, 31, 17, tzinfo=UTC)) == "2020-12"
    assert month_before(datetime(2020, 12, 31, 16, 59, tzinfo=UTC)) == "2020-11"
    for wrong in ("2020-3", "2020-13", "march", "", "2020-03-01"):
        with pytest.raises(NoMonth):
            bounds_of(wrong)
