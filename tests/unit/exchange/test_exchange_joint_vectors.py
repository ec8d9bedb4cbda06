"""The node reads documents that several sign as the other verifiers do: the vectors of tests/vectors."""

import json
from pathlib import Path

import pytest

from hiepdong.exchange import signing
from hiepdong.exchange.domain.joint import InvalidJoint, read_terms

FOLDER = Path(__file__).parents[2] / "vectors"
INDEX = json.loads((FOLDER / "index.json").read_text())
KEYS = {signing.thumbprint_of(k["jwk"]): (k["owner"], k["jwk"]) for k in json.loads((FOLDER / "keys.json").read_text())["keys"]}
KIND = {v: k for k, v in signing.JOINT_TYPES.items()}
OURS = [v for v in INDEX["vectors"] if v["name"].startswith(("regulation-", "account-")) and v["files"][0].endswith(".json")]


def judged(data):
    """Return who has signed; raise what the node raises for a document that is false in itself."""
    general = signing.general_of(json.loads(data, object_pairs_hook=signing.each_once))
    terms = read_terms(KIND[general.typ], general.payload)
    signed = set()
    for part in general.parts:
        owner, jwk = KEYS[part.kid]
        signing.verify_general(general.payload, part, public_jwk=jwk, typ=general.typ)
        if owner not in terms.parties:
            raise InvalidJoint(path="signatures", found=owner, accepted="a party")
        signed.add(owner)
    return signed, set(terms.parties)


def test_there_are_vectors_of_both_kinds():
    assert {v["verdict"] for v in OURS} >= {"good", "false", "missing"}
    assert len(OURS) >= 10


@pytest.mark.parametrize("vector", OURS, ids=[v["name"] for v in OURS])
def test_a_document_is_good_incomplete_or_false_as_its_vector_says(vector):
    data = (FOLDER / vector["files"][0]).read_bytes()
    if vector["verdict"] == "false" and vector["why"] != "account_differs":  # that one differs from other documents only
        with pytest.raises((signing.BadSignature, InvalidJoint, ValueError)):
            judged(data)
        return
    signed, parties = judged(data)
    assert (signed == parties) is (vector["why"] != "party_missing")
