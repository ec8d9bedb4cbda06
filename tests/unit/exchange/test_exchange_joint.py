"""Documents that several sign: read strictly, complete with the last party."""

import json

import pytest
from joserfc import jws
from joserfc.jwk import OKPKey

from hiepdong.exchange import signing
from hiepdong.exchange.domain.joint import InvalidJoint, payload_bytes, read_terms, regulation_payload, unsigned

SECRET = "a secret of fifty characters, for tests and nothing else"
TYPE = "hiepdong.regulation+json"
KEYS = [signing.new_key(SECRET) for _ in range(2)]
PAYLOAD = payload_bytes(regulation_payload(key="t.qcph", version=1, digest="a" * 64, parties=["t.b", "t.a", "t.a"]))


def part(key=KEYS[0], payload=PAYLOAD, typ=TYPE):
    return signing.sign_general(payload, kid=key.kid, private_encrypted=key.private_encrypted, secret=SECRET, typ=typ)


def document(*parts, payload=PAYLOAD):
    return signing.general_json(payload, parts or [part(k) for k in KEYS])


def test_another_library_verifies_what_we_sign_and_we_what_it_signs():
    ours = document()
    found = jws.deserialize_json(
        {**ours, "signatures": [dict(s) for s in ours["signatures"]]},
        lambda member: OKPKey.import_key(next(k.public_jwk for k in KEYS if k.kid == member.headers()["kid"])),
        algorithms=["Ed25519"],
    )
    assert found.payload == PAYLOAD
    key = OKPKey.generate_key("Ed25519")
    header = {"alg": "Ed25519", "kid": key.thumbprint(), "typ": TYPE}
    theirs = jws.serialize_json([{"protected": header}], PAYLOAD, key, algorithms=["Ed25519"])
    read = signing.general_of(theirs)
    signing.verify_general(read.payload, read.parts[0], public_jwk=key.as_dict(private=False), typ=TYPE)
    assert (read.typ, read.payload) == (TYPE, PAYLOAD)


def test_each_signature_covers_the_payload_and_only_its_own_header():
    one, two = (part(k) for k in KEYS)
    read = signing.general_of(document(two))
    grown = signing.general_of(document(two, one))
    assert read.digest == grown.digest
    for p, key in zip(grown.parts, reversed(KEYS), strict=True):
        signing.verify_general(PAYLOAD, p, public_jwk=key.public_jwk, typ=TYPE)
    with pytest.raises(signing.BadSignature):
        signing.verify_general(PAYLOAD.replace(b'"version":1', b'"version":2'), one, public_jwk=KEYS[0].public_jwk, typ=TYPE)
    with pytest.raises(signing.BadSignature):
        signing.verify_general(PAYLOAD, one, public_jwk=KEYS[1].public_jwk, typ=TYPE)
    with pytest.raises(signing.BadSignature):
        signing.verify_general(PAYLOAD, one, public_jwk=KEYS[0].public_jwk, typ="hiepdong.account+json")


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d | {"header": {}},
        lambda d: {"payload": d["payload"]},
        lambda d: d | {"signatures": [s | {"header": {}} for s in d["signatures"]]},
        lambda d: d | {"signatures": d["signatures"] + d["signatures"][:1]},
        lambda d: d | {"signatures": []},
        lambda d: d | {"signatures": {}},
        lambda d: d | {"payload": d["payload"] + "="},
        lambda d: d | {"payload": d["payload"] + "."},
        lambda d: d | {"payload": 7},
        lambda d: d | {"payload": d["payload"] + "ạ"},
        lambda d: d | {"signatures": [*d["signatures"], part(KEYS[1], typ="hiepdong.account+json").as_json()][:3:2]},
        lambda d: json.dumps(d),
    ],
)
def test_a_document_that_is_not_exactly_as_the_protocol_says_is_refused(change):
    signing.general_of(document())
    with pytest.raises(signing.BadSignature):
        signing.general_of(change(document()))


def test_the_parties_of_a_regulation_are_sorted_and_stand_once():
    terms = read_terms("regulation", PAYLOAD)
    assert (terms.name, terms.parties) == ("t.qcph/1", ("t.a", "t.b"))


REGULATION = {"format": "hiepdong.regulation/1", "key": "t.qcph", "version": 1, "digest": "a" * 64, "parties": ["t.a", "t.b"]}
ACCOUNT = {
    "format": "hiepdong.account/1",
    "month": "2020-03",
    "a": "t.a",
    "b": "t.b",
    "sent": [
        {
            "from": "t.a",
            "to": "t.b",
            "first": 1,
            "last": 2,
            "dispatches": [{"sequence": 1, "digest": "b" * 64, "arrived": None, "verdict": ""}],
            "missing": [2],
        }
    ],
    "made_by": "t.b",
    "at": "2020-04-03T00:00:00Z",
}


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("regulation", {"parties": ["t.b", "t.a"]}),
        ("regulation", {"parties": ["t.a", "t.a"]}),
        ("regulation", {"parties": []}),
        ("regulation", {"parties": [1]}),
        ("regulation", {"version": True}),
        ("regulation", {"version": 0}),
        ("regulation", {"digest": "A" * 64}),
        ("regulation", {"key": "x" * 81}),
        ("regulation", {"format": "hiepdong.account/1"}),
        ("account", {"month": "2020-13"}),
        ("account", {"made_by": "t.c"}),
        ("account", {"a": "t.b"}),
        ("account", {"at": "2020-04-03"}),
        ("account", {"at": "2020-02-30T00:00:00Z"}),
        ("account", {"at": "9999-12-31T23:59:59Z"}),
        ("account", {"sent": [{}]}),
        ("account", {"sent": ACCOUNT["sent"] * 2}),
        ("account", {"sent": [ACCOUNT["sent"][0] | {"missing": [1]}]}),
        ("account", {"sent": [ACCOUNT["sent"][0] | {"missing": [3]}]}),
        ("account", {"sent": [ACCOUNT["sent"][0] | {"from": "t.b"}]}),
        ("account", {"sent": [ACCOUNT["sent"][0] | {"dispatches": [{"sequence": 1}]}]}),
    ],
)
def test_a_payload_that_says_something_else_is_refused_with_its_place(kind, payload):
    good = {"regulation": REGULATION, "account": ACCOUNT}[kind]
    read_terms(kind, json.dumps(good).encode())
    with pytest.raises(InvalidJoint):
        read_terms(kind, json.dumps(good | payload).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b'{"format": 1, "format": 1}', b"[" * 100_000])
def test_bytes_that_are_no_object_are_refused(data):
    with pytest.raises(InvalidJoint):
        read_terms("regulation", data)


def test_members_that_this_version_does_not_know_are_no_fault():
    assert read_terms("account", json.dumps(ACCOUNT | {"note": "x"}).encode()).claims["note"] == "x"


def test_a_document_is_complete_with_the_last_of_its_parties_and_not_with_a_stranger():
    assert unsigned(["a", "b"], {"a", "c"}) == ["b"]
    assert unsigned(["a", "b"], {"a", "b"}) == []
