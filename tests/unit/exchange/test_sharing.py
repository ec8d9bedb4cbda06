"""Who gets what: only ever narrower, never wider, and for each left out a reason."""

from hypothesis import given
from hypothesis import strategies as st

from hiepdong.exchange.domain.sharing import Narrowing, share

bodies = st.integers(1, 8)
homes = st.dictionaries(bodies, st.one_of(st.just(0), st.just(5), st.none()), min_size=8, max_size=8)


def test_without_a_narrowing_everyone_named_gets_it():
    assert share(sender=1, recipients=[2, 3], homes={2: 0, 3: 5}, bound=None).allowed == (2, 3)


def test_who_leaves_the_node_unbound_is_left_out_and_who_lives_here_is_not():
    found = share(sender=1, recipients=[2, 3, 4, 5], homes={2: 0, 3: 5, 4: 5, 5: None}, bound={(1, 3)})
    assert found.allowed == (2, 3)
    assert found.narrowed == ((4, Narrowing.NOT_BOUND), (5, Narrowing.NOT_BOUND))


def test_the_receiver_judges_those_who_live_there_only():
    found = share(sender=1, recipients=[2, 3], homes={2: 0, 3: 5}, bound=frozenset(), judged_here=True)
    assert found.allowed == (3,)


def test_a_pair_is_bound_one_way_as_named_not_the_other():
    assert share(sender=1, recipients=[3], homes={3: 5}, bound={(3, 1)}).allowed == ()


@given(
    recipients=st.lists(bodies, unique=True), homes=homes, bound=st.frozensets(st.tuples(bodies, bodies)), here=st.booleans()
)
def test_everyone_named_is_either_allowed_or_left_out_with_a_reason_and_nobody_else(recipients, homes, bound, here):
    found = share(sender=1, recipients=recipients, homes=homes, bound=bound, judged_here=here)
    left_out = [pk for pk, _ in found.narrowed]
    assert sorted([*found.allowed, *left_out]) == sorted(recipients)
    wider = share(sender=1, recipients=recipients, homes=homes, bound=bound | {(1, 2)}, judged_here=here)
    assert set(found.allowed) <= set(wider.allowed)
