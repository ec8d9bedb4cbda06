"""What a peer tells back in pieces: in any order, overlapping, twice; it is whole exactly when nothing is missing."""

from hypothesis import given
from hypothesis import strategies as st

from hiepdong.exchange.domain.parts import Load, plan_parts
from hiepdong.exchange.domain.told_back import ToldBack, told_back_from

RANGES = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12)), max_size=12)


@given(begin=st.integers(0, 10), ranges=RANGES, last=st.integers(0, 40))
def test_ranges_in_any_order_are_known_as_the_positions_in_them(begin, ranges, last):
    told, known = ToldBack(begin), set(range(begin + 1))
    for after, length in ranges:
        told = told_back_from(told.with_range(after, after + length, last).as_json(), confirmed=99)
        known |= set(range(after + 1, after + length + 1))
    through = next(p for p in range(100) if p not in known) - 1
    assert told.through == through
    beyond = {p for first, end in told.beyond for p in range(first, end + 1)}
    assert beyond == {p for p in known if p > through}
    assert all(first <= end for first, end in told.beyond)
    assert all(b[0] > a[1] + 1 for a, b in zip(told.beyond, told.beyond[1:], strict=False))
    assert told.is_whole == (bool(ranges) and through >= last)


def test_nothing_is_whole_before_the_peer_has_said_what_it_holds():
    assert not ToldBack(5).is_whole
    assert not ToldBack(5).with_range(5, 9).is_whole
    assert ToldBack(5).with_range(5, 9).with_range(9, 9, 9).is_whole
    assert not ToldBack(5).with_range(5, 8, 8).with_range(8, 8, 9).is_whole  # it said once that it holds more


@given(
    echo=st.lists(st.integers(1, 60), unique=True, max_size=20),
    own=st.lists(st.integers(1, 60), unique=True, max_size=20),
    most=st.integers(1, 7),
)
def test_an_echo_lies_before_all_else_in_order_and_each_item_in_one_part(echo, own, most):
    loads = [Load(p, 10, echo=True) for p in sorted(echo)] + [Load(p, 10) for p in sorted(own)]
    parts = list(plan_parts(loads, most_items=most))
    assert all(p.items + p.echo_items <= most for p in parts)
    told, left = [], sorted(echo)
    for part in parts:
        taken, left = left[: part.echo_items], left[part.echo_items :]
        assert part.echo_last == (taken[-1] if taken else 0)
        told += taken
    assert (told, left) == (sorted(echo), [])
    assert sum(p.items for p in parts) == len(own)
    bearing = [bool(p.echo_items) for p in parts]
    assert bearing == sorted(bearing, reverse=True)
