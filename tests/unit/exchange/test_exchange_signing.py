"""Signatures: what is accepted, and every known way to pass off other bytes as signed."""

import base64
import hashlib
import hmac
import json

import pytest

from hiepdong.exchange import signing

SECRET = "the secret of this node"
PAYLOAD = '{"subject":"Báo cáo"}'.encode()
TYPE = signing.DISPATCH_TYPE


@pytest.fixture(scope="module")
def key():
    return signing.new_key(SECRET)


@pytest.fixture(scope="module")
def other():
    return signing.new_key(SECRET)


@pytest.fixture(scope="module")
def signed(key):
    return signing.sign(PAYLOAD, kid=key.kid, private_encrypted=key.private_encrypted, secret=SECRET, typ=TYPE)


def b64(data):
    return base64.urlsafe_b64encode(data if isinstance(data, bytes) else json.dumps(data).encode()).rstrip(b"=")


def verify(signed, key, *, kid=None, typ=TYPE):
    return signing.verify(signed, public_jwk=key.public_jwk, kid=kid or key.kid, typ=typ)


def test_what_was_signed_verifies_and_gives_back_the_same_bytes(signed, key):
    assert verify(signed, key) == PAYLOAD
    assert signing.payload_of(signed) == PAYLOAD


def test_the_header_names_algorithm_key_and_type(signed, key):
    header = json.loads(base64.urlsafe_b64decode(signed.split(b".")[0] + b"=="))
    assert header == {"alg": "Ed25519", "kid": key.kid, "typ": "hiepdong.dispatch+json"}


def test_the_same_paper_signed_twice_gives_the_same_bytes(signed, key):
    again = signing.sign(PAYLOAD, kid=key.kid, private_encrypted=key.private_encrypted, secret=SECRET, typ=TYPE)
    assert again == signed


def test_other_content_under_the_same_signature_is_refused(signed, key):
    head, _, tail = signed.split(b".")
    with pytest.raises(signing.BadSignature):
        verify(b".".join([head, b64('{"subject":"Báo cáo khác"}'.encode()), tail]), key)


def test_another_organisations_key_is_refused_even_under_the_right_name(signed, key, other):
    with pytest.raises(signing.BadSignature):
        verify(signed, other, kid=key.kid)
    forged = signing.sign(PAYLOAD, kid=other.kid, private_encrypted=other.private_encrypted, secret=SECRET, typ=TYPE)
    head = b64({"alg": "Ed25519", "kid": key.kid, "typ": TYPE})
    with pytest.raises(signing.BadSignature):
        verify(b".".join([head, *forged.split(b".")[1:]]), key)


def test_a_key_is_found_by_its_own_name_only(signed, key, other):
    with pytest.raises(signing.BadSignature):
        verify(signed, key, kid=other.kid)


@pytest.mark.parametrize("alg", ["none", "None", "", "HS256", "EdDSA", "ES256", "RS256"])
def test_the_header_may_not_choose_another_algorithm(signed, key, alg):
    """The confusion attacks: no signature at all, or an HMAC made with the public key as the shared secret."""
    head, body = b64({"alg": alg, "kid": key.kid, "typ": TYPE}), signed.split(b".")[1]
    public = base64.urlsafe_b64decode(key.public_jwk["x"] + "==")
    for secret in (public, json.dumps(key.public_jwk).encode()):
        tail = b64(hmac.new(secret, head + b"." + body, hashlib.sha256).digest())
        for forged in (tail, b"", signed.split(b".")[2]):
            with pytest.raises(signing.BadSignature):
                verify(b".".join([head, body, forged]), key)


def test_a_key_smuggled_into_the_header_is_not_trusted(key, other):
    forged = signing.sign(PAYLOAD, kid=other.kid, private_encrypted=other.private_encrypted, secret=SECRET, typ=TYPE)
    head = b64({"alg": "Ed25519", "kid": key.kid, "typ": TYPE, "jwk": other.public_jwk})
    with pytest.raises(signing.BadSignature):
        verify(b".".join([head, *forged.split(b".")[1:]]), key)


def test_a_receipt_cannot_be_passed_off_as_a_dispatch(key):
    receipt = signing.sign(
        PAYLOAD, kid=key.kid, private_encrypted=key.private_encrypted, secret=SECRET, typ=signing.RECEIPT_TYPE
    )
    assert verify(receipt, key, typ=signing.RECEIPT_TYPE) == PAYLOAD
    with pytest.raises(signing.BadSignature):
        verify(receipt, key)


@pytest.mark.parametrize("junk", [b"", b".", b"..", b"...", b"a.b.c", b"\xff.\xff.\xff", b"e30.e30.", b"{}", b"x" * 9999])
def test_junk_is_refused_in_our_own_words_and_never_crashes(key, junk):
    with pytest.raises(signing.BadSignature):
        verify(junk, key)


def test_a_second_spelling_of_the_same_bytes_is_refused(signed, key):
    """base64url leaves spare bits in the last letter; another letter there means the same signature, other bytes."""
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = letters.index(signed[-1:])
    spellings = [signed[:-1] + bytes([letters[last ^ bit]]) for bit in range(1, 16)] + [signed + b"=", signed + b"\n"]
    for spelling in spellings:
        with pytest.raises(signing.BadSignature):
            verify(spelling, key)


def test_the_private_key_is_not_readable_without_the_secret_of_the_node(key):
    sealed = base64.b64decode(key.private_encrypted)
    assert b'"d"' not in sealed
    assert "d" not in key.public_jwk
    with pytest.raises(signing.KeyUnreadable):
        signing.sign(PAYLOAD, kid=key.kid, private_encrypted=key.private_encrypted, secret="another secret", typ=TYPE)


def test_an_encrypted_key_moved_to_another_name_does_not_open(key, other):
    with pytest.raises(signing.KeyUnreadable):
        signing.sign(PAYLOAD, kid=other.kid, private_encrypted=key.private_encrypted, secret=SECRET, typ=TYPE)


def test_a_damaged_encrypted_key_is_refused_in_words():
    for damaged in ("", "AAAA", "không phải base64"):
        with pytest.raises(signing.KeyUnreadable):
            signing.sign(PAYLOAD, kid="k", private_encrypted=damaged, secret=SECRET, typ=TYPE)


def test_the_digest_is_the_sha_256_of_the_signed_bytes(signed):
    assert signing.digest_of(signed) == hashlib.sha256(signed).hexdigest()
