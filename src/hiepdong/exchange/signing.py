"""Signing and verifying: JWS compact, alg Ed25519 (RFC 8037, RFC 9864). The only module that imports joserfc, cryptography.

A private key is stored encrypted (AES-256-GCM) under a key derived (HKDF-SHA-256) from the node's secret.
"""

import base64
import hashlib
import json
import os
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from hiepdong.kernel.errors import DomainError, gettext_noop

ALGORITHM = "Ed25519"
DISPATCH_TYPE = "hiepdong.dispatch+json"
RECEIPT_TYPE = "hiepdong.receipt+json"


class BadSignature(DomainError):
    """The bytes are not what was signed, or not by this key."""

    code = "exchange.bad_signature"
    message = gettext_noop("The signature does not fit: %(what)s.")
    hint = gettext_noop("Do not act on this paper; ask the sender to send it again, and tell your administrator.")


class KeyUnreadable(DomainError):
    """The private key cannot be decrypted with this node's secret."""

    code = "exchange.key_unreadable"
    message = gettext_noop("The signing key of this organisation cannot be opened with the secret of this node.")
    hint = gettext_noop("Restore the file secret-key of the node from the backup.")


@dataclass(frozen=True, slots=True)
class NewKey:
    """A fresh key: thumbprint, public half, private half encrypted."""

    kid: str
    public_jwk: dict[str, Any]
    private_encrypted: str


@lru_cache(maxsize=4)
def _wrapping_key(secret: str) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt=None, info=b"hiepdong signing keys v1").derive(secret.encode())


def new_key(secret: str) -> NewKey:
    """Make an Ed25519 key; `secret` is the node's secret."""
    key = OKPKey.generate_key("Ed25519")
    kid = key.thumbprint()
    nonce = os.urandom(12)
    private = json.dumps(key.as_dict(private=True)).encode()
    sealed = nonce + AESGCM(_wrapping_key(secret)).encrypt(nonce, private, kid.encode())
    return NewKey(kid, key.as_dict(private=False), base64.b64encode(sealed).decode())


@lru_cache(maxsize=512)
def _open(kid: str, private_encrypted: str, secret: str) -> OKPKey:
    try:
        sealed = base64.b64decode(private_encrypted)
        private = AESGCM(_wrapping_key(secret)).decrypt(sealed[:12], sealed[12:], kid.encode())
        return OKPKey.import_key(json.loads(private))
    except (InvalidTag, ValueError) as error:
        raise KeyUnreadable from error


def sign(payload: bytes, *, kid: str, private_encrypted: str, secret: str, typ: str) -> bytes:
    """Return the JWS in compact serialisation."""
    key = _open(kid, private_encrypted, secret)
    header = {"alg": ALGORITHM, "kid": kid, "typ": typ}
    return jws.serialize_compact(header, payload, key, algorithms=[ALGORITHM]).encode()


def verify(signed: bytes, *, public_jwk: dict[str, Any], kid: str, typ: str) -> bytes:
    """Return the payload if the signature, the algorithm, the key and the type fit.

    Raises:
        BadSignature: says what does not fit.
    """
    try:
        key = OKPKey.import_key(public_jwk)
        found = jws.deserialize_compact(signed, key, algorithms=[ALGORITHM])
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise BadSignature(what=type(error).__name__) from error
    header = found.headers()
    if header.get("kid") != kid or header.get("typ") != typ:
        raise BadSignature(what="kid, typ")
    if jws_canonical(signed) != signed:
        raise BadSignature(what="base64url")
    return bytes(found.payload or b"")


def jws_canonical(signed: bytes) -> bytes:
    """Return the one canonical base64url form of the three parts; a changed padding bit is a changed byte."""
    parts = []
    for part in signed.split(b"."):
        raw = base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
        parts.append(base64.urlsafe_b64encode(raw).rstrip(b"="))
    return b".".join(parts)


def payload_of(signed: bytes) -> bytes:
    """Return the payload without verifying; only for bytes this node verified when it stored them."""
    part = signed.split(b".")[1]
    return base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))


def digest_of(signed: bytes) -> str:
    """Return the SHA-256 of the signed bytes, hex."""
    return hashlib.sha256(signed).hexdigest()
