"""The arithmetic that verify.py does itself where `cryptography` is not installed."""

import hashlib

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from hiepdong_verify import verify

# RFC 8032, section 7.1: public key, message, signature. The long one is TEST SHA(abc)'s neighbour by its digest.
RFC_8032 = {
    "TEST 1": (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    "TEST 2": (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    "TEST 3": (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
    "TEST SHA(abc)": (
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        hashlib.sha512(b"abc").hexdigest(),
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
    ),
}


def by_library(public, message, signature):
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


@pytest.mark.parametrize("name", RFC_8032)
def test_the_vectors_of_rfc_8032_are_good_and_any_other_message_is_not(name):
    public, message, signature = (bytes.fromhex(x) for x in RFC_8032[name])
    assert verify.slow_ed25519(public, message, signature)
    assert not verify.slow_ed25519(public, message + b"x", signature)
    assert not verify.slow_ed25519(public, message, signature[:-1])


@settings(max_examples=40, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=80), st.integers(0, 511), st.integers(0, 255))
def test_it_says_the_same_as_the_library_also_of_flipped_bits(seed, message, bit, key_bit):
    key = Ed25519PrivateKey.from_private_bytes(seed)
    public, signature = key.public_key().public_bytes_raw(), key.sign(message)
    assert verify.slow_ed25519(public, message, signature)
    flipped = bytearray(signature)
    flipped[bit // 8] ^= 1 << bit % 8
    assert verify.slow_ed25519(public, message, bytes(flipped)) == by_library(public, message, bytes(flipped)) is False
    other = bytearray(public)
    other[key_bit // 8] ^= 1 << key_bit % 8
    assert not verify.slow_ed25519(bytes(other), message, signature)


def test_the_second_number_of_a_signature_must_be_below_the_order():
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    signature = key.sign(b"x")
    larger = int.from_bytes(signature[32:], "little") + verify.L
    again = signature[:32] + larger.to_bytes(32, "little")
    assert not verify.slow_ed25519(key.public_key().public_bytes_raw(), b"x", again)
    assert not by_library(key.public_key().public_bytes_raw(), b"x", again)


SMALL = [
    "00" * 32,
    "01" + "00" * 31,
    "ec" + "ff" * 30 + "7f",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "ee" + "ff" * 30 + "7f",  # 1 in a second encoding
    "02" + "00" * 31,  # no point
]


@pytest.mark.parametrize("public", SMALL)
def test_a_key_that_proves_nothing_is_refused(public):
    with pytest.raises(verify.Refused) as refused:
        verify.check_public(bytes.fromhex(public))
    assert refused.value.code == "key_bad"


def test_a_real_key_is_taken():
    verify.check_public(Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw())
