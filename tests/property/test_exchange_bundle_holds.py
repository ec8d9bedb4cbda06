"""Whatever happens to the bytes of a bundle on its way: it is refused, or gives exactly what was put in."""

import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hiepdong.exchange.bundle_file import open_bundle, write_bundle
from hiepdong.exchange.bundle_refusals import BundleRefused
from hiepdong.exchange.domain.parts import Load, plan_parts
from support.bags import NotSigned, item, sha256, sign, statement, verify

SCAN = bytes(range(64))
ITEMS = [item(i) for i in range(1, 4)]


def taken(raw):
    """Return what a reader takes of these bytes, or None if the bundle is refused."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "goi.zip"
        path.write_bytes(raw)
        try:
            with open_bundle(path, verify=verify) as bundle:
                return bundle.statement, list(bundle.items()), {d: b"".join(bundle.file(d)) for d in bundle.files}
        except (BundleRefused, NotSigned):
            return None


def made():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "goi.zip"
        write_bundle(path, statement=statement(), items=ITEMS, files=[(sha256(SCAN), lambda: io.BytesIO(SCAN))], sign=sign)
        return path.read_bytes()


WHOLE = made()
AS_MADE = taken(WHOLE)
INDEX = st.integers(0, len(WHOLE) - 1)


def test_the_bundle_is_good_to_begin_with():
    assert AS_MADE is not None
    assert AS_MADE[1] == ITEMS


@given(st.integers(0, len(WHOLE) - 1))
def test_a_cut_bundle_is_never_accepted(length):
    assert taken(WHOLE[:length]) is None


@given(INDEX, st.integers(1, 255))
def test_a_flipped_byte_is_never_taken_for_something_else(at, bits):
    found = taken(WHOLE[:at] + bytes([WHOLE[at] ^ bits]) + WHOLE[at + 1 :])
    assert found is None or found == AS_MADE


def test_a_flipped_byte_before_the_directory_is_refused_but_for_the_version_of_the_packer():
    directory = WHOLE.index(b"PK\x01\x02")  # every third byte: all of them would take some seconds
    accepted = [at for at in range(0, directory, 3) if taken(WHOLE[:at] + bytes([WHOLE[at] ^ 1]) + WHOLE[at + 1 :])]
    starts = [at for at in range(len(WHOLE)) if WHOLE.startswith(b"PK\x03\x04", at)]
    assert set(accepted) <= {at + i for at in starts for i in (4, 5)}


@given(INDEX, INDEX, INDEX)
def test_pieces_that_changed_places_are_never_taken_for_something_else(a, b, c):
    a, b, c = sorted((a, b, c))
    found = taken(WHOLE[:a] + WHOLE[b:c] + WHOLE[a:b] + WHOLE[c:])
    assert found is None or found == AS_MADE


@given(INDEX, st.binary(min_size=1, max_size=60))
def test_bytes_put_in_or_added_are_never_accepted(at, more):
    assert taken(WHOLE[:at] + more + WHOLE[at:]) is None
    assert taken(WHOLE + more) is None


LOADS = st.lists(
    st.tuples(st.integers(1, 50), st.lists(st.tuples(st.sampled_from("abcdef"), st.just(7)), max_size=3, unique=True)),
    max_size=30,
)


@given(LOADS, st.lists(st.sampled_from("defghi"), max_size=6), st.integers(1, 8), st.integers(1, 120), st.integers(1, 4))
def test_parts_hold_everything_once_in_order_and_within_bounds(loads, loose, most_items, most_bytes, most_files):
    listed = [Load(i, size, tuple(files)) for i, (size, files) in enumerate(loads, 11)]
    parts = list(
        plan_parts(listed, loose=[(d, 7) for d in loose], most_items=most_items, most_bytes=most_bytes, most_files=most_files)
    )
    spans = [range(p.first, p.last + 1) for p in parts if p.items]
    assert [i for span in spans for i in span] == [load.position for load in listed]
    carried = [d for p in parts for d in p.files]
    assert sorted(carried) == sorted({d for load in listed for d, _ in load.files} | set(loose))
    for part in parts:
        assert part.items <= most_items
        assert part.bytes <= most_bytes or part.items + (not part.items) * len(part.files) == 1
        assert len(part.files) <= most_files or part.items == 1
    assert sum(p.bytes for p in parts) == sum(load.bytes for load in listed) + 7 * len(carried)
    assert len(parts) == 1 or all(p.items or p.files for p in parts)


@pytest.mark.parametrize("loads", [[], [Load(7, 10)]])
def test_there_is_always_a_part_that_says_what_is_held(loads):
    assert len(list(plan_parts(loads))) == 1
