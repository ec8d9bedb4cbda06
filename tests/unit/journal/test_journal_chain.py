"""The chain over the journal: exactly what is hashed, and how a break is named."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hiepdong.journal.domain.chain import (
    SENTENCES,
    BreakKind,
    EntryFacts,
    Known,
    SealFacts,
    Unreadable,
    Walk,
    canonical,
    entry_digest,
    seal_digest,
)

AT = datetime(2020, 3, 20, 3, tzinfo=UTC)


def entry(number, **changes):
    facts = {
        "id": number,
        "code": "exchange.dispatch.sent",
        "at": AT + timedelta(minutes=number),
        "subject_kind": "exchange.Dispatch",
        "subject_id": str(number),
        "subject_name": "Số: 05/BC-ĐBP",
        "actor_kind": "seat",
        "actor_id": "3",
        "actor_name": "Đồn trưởng",
        "organisation_id": 7,
        "facts": {"sequence": number},
        "seal": None,
    }
    return EntryFacts(**facts | changes)


def sealed(*groups):
    """Seal entries (given by their ids, one list a seal); return seals and entries in the order of ids."""
    seals, entries, previous, total = [], [], "", 0
    for number, ids in enumerate(groups, 1):
        rows = [entry(i, seal=number) for i in sorted(ids)]
        lines = b"".join(map(entry_digest, rows))
        digest = seal_digest(number=number, previous_digest=previous, lines=lines)
        total += len(rows)
        seals.append(SealFacts(number, digest, previous, len(rows), total, min(ids), max(ids), lines))
        entries += rows
        previous = digest
    return seals, sorted(entries, key=lambda e: e.id)


def found(seals, entries, **options):
    return [(b.kind, b.seal, b.entry) for b in Walk(seals, entries, **options).breaks()]


PRINTED = [
    "2e32dbc76b2027bf4753154d30f0744c2a9976ddd2f24a49ce6d377970f32dde",
    "decdf3db3b1f4f98c39a409f9c3ce61ece44f13c8ea45221122845d7b8390b16",
    "d907159cbcc85c4cff4484d9af8c77202ce0ce11b3d4711fbb1fe188c34cc509",
]


def test_the_digests_are_those_that_the_protocol_page_prints():
    """protocol.md, section 10, carries this example; a stranger compares with it."""
    first = EntryFacts(
        id=1,
        code="exchange.dispatch.sent",
        at=datetime(2020, 3, 20, 10, 0, 0, 250000, tzinfo=timezone(timedelta(hours=7))),
        subject_kind="exchange.Dispatch",
        subject_id="41",
        subject_name="Số: 05/BC-ĐBP",
        actor_kind="seat",
        actor_id="3",
        actor_name="Đồn trưởng",
        organisation_id=7,
        facts={"to": ["nghe-an.ky-son"], "number": 5},
        seal=1,
    )
    second = replace(
        first,
        id=2,
        code="duties.duty.discharged",
        at=AT,
        actor_kind="system",
        actor_id="",
        actor_name="",
        organisation_id=None,
        facts={},
    )
    assert canonical(first).decode() == (
        '{"actor_id":"3","actor_kind":"seat","actor_name":"Đồn trưởng","at":"2020-03-20T03:00:00.250000Z",'
        '"code":"exchange.dispatch.sent","facts":{"number":5,"to":["nghe-an.ky-son"]},"id":1,"organisation_id":7,'
        '"subject_id":"41","subject_kind":"exchange.Dispatch","subject_name":"Số: 05/BC-ĐBP"}'
    )
    page = (Path(__file__).parents[3] / "docs/reference/protocol.md").read_text(encoding="utf-8")
    for printed in (canonical(first).decode(), canonical(second).decode(), *PRINTED):
        assert printed in page
    lines = entry_digest(first) + entry_digest(second)
    # Made from the page alone, without the functions under test.
    by_hand = hashlib.sha256(
        b"hiepdong.seal/1\n1\n\n" + b"".join(hashlib.sha256(canonical(e)).hexdigest().encode() + b"\n" for e in (first, second))
    ).hexdigest()
    digest = seal_digest(number=1, previous_digest="", lines=lines)
    assert digest == by_hand
    assert [entry_digest(first).hex(), entry_digest(second).hex(), digest] == PRINTED


def test_whole_chains_have_no_breaks_also_where_a_smaller_id_was_sealed_later():
    seals, entries = sealed([1, 2, 4], [3, 5], [6])
    walk = Walk(seals, [*entries, entry(7)])
    assert list(walk.breaks()) == []
    assert (walk.seals, walk.entries, walk.unsealed) == (3, 6, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"code": "exchange.dispatch.returned"},
        {"at": AT - timedelta(microseconds=1)},
        {"subject_kind": "duties.Duty"},
        {"subject_id": "99"},
        {"subject_name": "Số: 05/BC-ĐBP "},
        {"actor_kind": "system"},
        {"actor_id": "4"},
        {"actor_name": ""},
        {"organisation_id": None},
        {"facts": {"sequence": "5"}},
        {"facts": {}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_change_of_any_member_names_the_entry(change):
    seals, entries = sealed([1, 2], [3, 4, 5], [6])
    entries[4] = replace(entries[4], **change)
    assert found(seals, entries) == [(BreakKind.ENTRY_ALTERED, 2, 5)]


def test_a_removed_entry_is_named_by_its_neighbours():
    seals, entries = sealed([1, 2, 3], [4, 5])
    del entries[1]
    (found_one,) = Walk(seals, entries).breaks()
    assert (found_one.kind, found_one.seal, found_one.after, found_one.before) == (BreakKind.ENTRY_REMOVED, 1, 1, 3)


def test_all_entries_of_a_seal_removed_are_as_many_breaks():
    seals, entries = sealed([1], [2, 3], [4])
    assert found(seals, [entries[0], entries[3]]) == [(BreakKind.ENTRY_REMOVED, 2, None)] * 2


def test_an_entry_that_was_put_in_is_named():
    seals, entries = sealed([1, 2, 4], [5])
    assert found(seals, [*entries[:2], entry(3, seal=1), *entries[2:]]) == [(BreakKind.ENTRY_ADDED, 1, 3)]
    assert found(seals, [*entries, entry(9, seal=1)]) == [(BreakKind.ENTRY_ADDED, 1, 9)], "behind the end of its seal"


def test_two_entries_that_changed_places_are_both_named():
    seals, entries = sealed([1, 2, 3])
    entries[0], entries[1] = replace(entries[1], id=1), replace(entries[0], id=2)
    assert found(seals, entries) == [(BreakKind.ENTRY_ALTERED, 1, 1), (BreakKind.ENTRY_ALTERED, 1, 2)]


def test_an_entry_moved_to_another_seal_is_missed_in_the_one_and_too_many_in_the_other():
    seals, entries = sealed([1, 2], [3, 4])
    entries[1] = replace(entries[1], seal=2)
    assert sorted(found(seals, entries)) == [
        (BreakKind.ENTRY_ADDED, 2, 2),
        (BreakKind.ENTRY_REMOVED, 1, None),
    ]


def test_an_entry_that_lost_its_seal_is_missed():
    seals, entries = sealed([1, 2, 3])
    entries[1] = replace(entries[1], seal=None)
    assert found(seals, entries) == [(BreakKind.ENTRY_REMOVED, 1, None)]


def test_a_damaged_row_is_named_once():
    seals, entries = sealed([1, 2, 3])
    assert found(seals, [entries[0], Unreadable(2, 1), entries[2]]) == [(BreakKind.ENTRY_UNREADABLE, 1, 2)]
    entries[1] = replace(entries[1], at="yesterday")
    assert found(seals, entries) == [(BreakKind.ENTRY_UNREADABLE, 1, 2)]


@pytest.mark.parametrize(
    "change",
    [{"digest": "0" * 64}, {"entries": 3}, {"total": 9}, {"lines": bytes(64)}, {"lines": b""}, {"first_entry": 2}],
    ids=lambda change: next(iter(change)),
)
def test_a_seal_that_was_altered_is_named_and_no_other(change):
    seals, entries = sealed([1], [3, 4], [5])
    seals[1] = replace(seals[1], **change)
    assert found(seals, entries) == [(BreakKind.SEAL_ALTERED, 2, None)]


def test_a_seal_made_anew_over_altered_entries_does_not_carry_the_one_after_it():
    seals, entries = sealed([1], [2, 3], [4])
    entries[1] = replace(entries[1], actor_name="another")
    lines = entry_digest(entries[1]) + entry_digest(entries[2])
    digest = seal_digest(number=2, previous_digest=seals[0].digest, lines=lines)
    seals[1] = replace(seals[1], lines=lines, digest=digest)
    assert found(seals, entries) == [(BreakKind.SEAL_UNLINKED, 3, None)]


def test_a_missing_seal_is_told_once_not_for_each_of_its_entries():
    seals, entries = sealed([1], [2, 3, 4], [5])
    assert found([seals[0], seals[2]], entries) == [(BreakKind.SEAL_MISSING, 2, None)]
    assert found(seals[1:], entries) == [(BreakKind.SEAL_MISSING, 1, None)]


def test_a_last_seal_that_was_deleted_is_told_by_its_entries():
    seals, entries = sealed([1], [2, 3])
    assert found(seals[:1], entries) == [(BreakKind.SEAL_UNKNOWN, 2, 2)]


def test_a_journal_without_its_end_looks_whole_until_a_witness_is_asked():
    seals, entries = sealed([1], [2, 3], [4])
    known = Known(3, seals[2].digest, "the other node", total=4)
    assert found(seals[:2], entries[:3]) == []
    assert found(seals[:2], entries[:3], known=[known]) == [(BreakKind.END_MISSING, 3, None)]
    assert found([], [], known=[known]) == [(BreakKind.END_MISSING, 3, None)]
    assert found(seals, entries, known=[known]) == []


def test_a_journal_that_was_rewritten_as_a_whole_differs_from_what_a_witness_holds():
    seals, entries = sealed([1], [2, 3])
    assert found(seals, entries, known=[Known(2, "0" * 64, "w")]) == [(BreakKind.WITNESS_DIFFERS, 2, None)]
    assert found(seals, entries, known=[Known(2, seals[1].digest, "w", total=9)]) == [(BreakKind.WITNESS_DIFFERS, 2, None)]


def test_a_check_may_begin_in_the_middle():
    seals, entries = sealed([1, 4], [2, 3], [5])
    entries[1] = replace(entries[1], code="x")
    assert found(seals[2:], entries, first=3) == []
    assert found(seals[1:], entries, first=2) == [(BreakKind.ENTRY_ALTERED, 2, 2)]


def test_what_was_sealed_while_the_check_ran_is_no_break():
    seals, entries = sealed([1], [2])
    assert found(seals[:1], entries, newest=lambda: 2) == []
    assert found(seals[:1], entries, newest=lambda: 1) == [(BreakKind.SEAL_UNKNOWN, 2, 2)]


def test_every_kind_of_break_has_a_sentence_that_its_facts_fill():
    from hiepdong.journal.domain.chain import Break

    assert set(SENTENCES) == set(BreakKind)
    for kind in BreakKind:
        assert "%(" not in SENTENCES[kind] % Break(kind, 3).facts


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), json_values, max_size=4))
def test_whatever_json_holds_has_one_digest_which_survives_being_stored(facts):
    """Numbers beyond 2^53 and half surrogates have no canonical form; they must be sealed all the same."""
    stored = json.loads(json.dumps(facts))
    assert entry_digest(entry(1, facts=facts)) == entry_digest(entry(1, facts=stored))


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.data())
def test_any_one_change_to_any_chain_is_found(plan, data):
    groups = {}
    for place, group in enumerate(plan, 1):
        groups.setdefault(group, []).append(place)
    seals, entries = sealed(*groups.values())
    assert found(seals, entries) == []
    place = data.draw(st.integers(0, len(entries) - 1))
    match data.draw(st.sampled_from(["alter", "remove", "move", "unseal", "double"])):
        case "alter":
            entries[place] = replace(entries[place], subject_id="?")
        case "remove":
            del entries[place]
        case "move":
            entries[place] = replace(entries[place], seal=entries[place].seal + 1)
        case "unseal":
            entries[place] = replace(entries[place], seal=None)
        case "double":
            entries.append(replace(entries[place], id=entries[-1].id + 1))
    assert found(seals, entries)
