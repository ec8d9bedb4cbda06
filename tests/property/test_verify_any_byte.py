"""No byte of a signed document can be changed unnoticed, and nothing that is given to the verifier makes it fall over."""

from hypothesis import given, settings
from hypothesis import strategies as st

from hiepdong_verify import verify
from support import vectors

DISPATCH = vectors.signed(vectors.dispatch(), "station")
RECEIPT = vectors.signed(vectors.receipt(DISPATCH), "commune")
BUNDLE = (vectors.FOLDER / "bundle-good.zip").read_bytes()
FOLDER = (vectors.FOLDER / "folder-sealed-before-revocation.zip").read_bytes()
KEYS = [vectors.FOLDER / "keys.json"]


def verdict(folder, name, data):
    path = folder / name
    path.write_bytes(data)
    return verify.check([path], keys=KEYS).verdict


@settings(max_examples=150, deadline=None)
@given(document=st.sampled_from([DISPATCH, RECEIPT]), data=st.data())
def test_any_changed_byte_of_a_signed_document_is_noticed(tmp_path_factory, document, data):
    at = data.draw(st.integers(0, len(document) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda b: b != document[at]))
    folder = tmp_path_factory.getbasetemp()
    assert verdict(folder, "good.jws", document) == "good"
    assert verdict(folder, "changed.jws", document[:at] + bytes([other]) + document[at + 1 :]) != "good"


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_a_document_cut_or_grown_anywhere_is_noticed(tmp_path_factory, data):
    at = data.draw(st.integers(0, len(DISPATCH) - 1))
    more = data.draw(st.binary(min_size=1, max_size=4))
    folder = tmp_path_factory.getbasetemp()
    assert verdict(folder, "cut.jws", DISPATCH[:at]) != "good"
    assert verdict(folder, "grown.jws", DISPATCH[:at] + more + DISPATCH[at:]) != "good"


@settings(max_examples=100, deadline=None)
@given(whole=st.sampled_from([BUNDLE, FOLDER]), data=st.data())
def test_a_zip_with_changed_bytes_gets_an_answer_and_keeps_no_changed_content(tmp_path_factory, whole, data):
    at = data.draw(st.integers(0, len(whole) - 1))
    other = data.draw(st.binary(min_size=1, max_size=3))
    changed = whole[:at] + other + whole[at + len(other) :]
    path = tmp_path_factory.getbasetemp() / "changed.zip"
    path.write_bytes(changed)
    if verify.check([path], keys=KEYS).verdict == "good":
        original = tmp_path_factory.getbasetemp() / "whole.zip"
        original.write_bytes(whole)
        assert contents(path) == contents(original)  # what changed is a date of packing, or the name of the outer folder


def contents(path):
    with verify.open_zip(path) as archive:
        return {name: archive.read(name) for name in archive.names}


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["x.jws", "x.json", "x.zip", "x.bin"]))
def test_whatever_is_given_gets_an_answer_that_is_not_good(tmp_path_factory, data, name):
    assert verdict(tmp_path_factory.getbasetemp(), name, data) != "good"
