"""Signing and verifying: JWS compact, alg Ed25519 (RFC 8037, RFC 9864). The only module that imports joserfc, cryptography.

A private key is stored encrypted (AES-256-GCM) under a key derived (HKDF-SHA-256) from the node's secret.
"""

import base64
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyrage
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from pyrage import x25519

from hiepdong.kernel.errors import DomainError, gettext_noop

from .domain.envelope import each_once
from .domain.links import LARGEST_DOCUMENT

ALGORITHM = "Ed25519"
DISPATCH_TYPE = "hiepdong.dispatch+json"
RECEIPT_TYPE = "hiepdong.receipt+json"
KEY_TYPE = "hiepdong.key+json"
INVITATION_TYPE = "hiepdong.invitation+json"
CHECKPOINT_TYPE = "hiepdong.checkpoint+json"
WITNESS_TYPE = "hiepdong.witness+json"
HOP_TYPE = "hiepdong.hop+json"
REQUEST_TYPE = "hiepdong.request+json"
BUNDLE_TYPE = "hiepdong.bundle+json"
DUTIES_TYPE = "hiepdong.duties+json"
JOINT_TYPES = {"regulation": "hiepdong.regulation+json", "account": "hiepdong.account+json"}


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


class DocumentTooLarge(DomainError):
    """More than one signed document may be."""

    code = "exchange.document_too_large"
    message = gettext_noop("Signed, the paper has %(size)s bytes; at most %(most)s can be carried.")
    hint = gettext_noop("Shorten the text, or lay a part of it beside the paper as a file.")


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


def seal(text: str, *, name: str, secret: str) -> str:
    """Encrypt a short private text under the node's secret, bound to its name."""
    nonce = os.urandom(12)
    return base64.b64encode(nonce + AESGCM(_wrapping_key(secret)).encrypt(nonce, text.encode(), name.encode())).decode()


def unseal(sealed: str, *, name: str, secret: str) -> str:
    """Return what `seal` closed.

    Raises:
        KeyUnreadable: another secret or another name.
    """
    try:
        raw = base64.b64decode(sealed)
        return AESGCM(_wrapping_key(secret)).decrypt(raw[:12], raw[12:], name.encode()).decode()
    except (InvalidTag, ValueError) as error:
        raise KeyUnreadable from error


def new_age_identity(secret: str) -> tuple[str, str]:
    """Return a fresh age recipient (age1…) and its identity, sealed under the node's secret for `unseal(name=recipient)`."""
    identity, recipient = new_stream_key()
    return recipient, seal(identity, name=recipient, secret=secret)


@lru_cache(maxsize=512)
def _open(kid: str, private_encrypted: str, secret: str) -> OKPKey:
    try:
        sealed = base64.b64decode(private_encrypted)
        private = AESGCM(_wrapping_key(secret)).decrypt(sealed[:12], sealed[12:], kid.encode())
        return OKPKey.import_key(json.loads(private))
    except (InvalidTag, ValueError) as error:
        raise KeyUnreadable from error


class _Registry(jws.JWSRegistry):
    max_payload_length = LARGEST_DOCUMENT  # the library's own limit, 128,000 bytes, is less than a long report


_REGISTRY = _Registry(algorithms=[ALGORITHM])


def sign(payload: bytes, *, kid: str, private_encrypted: str, secret: str, typ: str) -> bytes:
    """Return the JWS in compact serialisation.

    Raises:
        DocumentTooLarge: no node would take it.
    """
    key = _open(kid, private_encrypted, secret)
    header = {"alg": ALGORITHM, "kid": kid, "typ": typ}
    signed = jws.serialize_compact(header, payload, key, registry=_REGISTRY).encode()
    if len(signed) > LARGEST_DOCUMENT:
        raise DocumentTooLarge(size=len(signed), most=LARGEST_DOCUMENT)
    return signed


def verify(signed: bytes, *, public_jwk: dict[str, Any], kid: str, typ: str) -> bytes:
    """Return the payload if the signature, the algorithm, the key and the type fit.

    Raises:
        BadSignature: says what does not fit.
    """
    return opened(signed).verified(public_jwk=public_jwk, kid=kid, typ=typ)


@dataclass(frozen=True, slots=True)
class Opened:
    """A JWS in compact form taken apart, each part decoded once: judging a document asks several times. Nothing is verified."""

    header: Mapping[str, str]
    payload: bytes
    covered: bytes
    signature: bytes

    def verified(self, *, public_jwk: Mapping[str, Any], kid: str, typ: str) -> bytes:
        """Return the payload as `verify` does.

        Raises:
            BadSignature.
        """
        if self.header["kid"] != kid or self.header["typ"] != typ:
            raise BadSignature(what="kid, typ")
        if len(self.covered) + 1 + (len(self.signature) * 4 + 2) // 3 > LARGEST_DOCUMENT:
            raise BadSignature(what="size")
        # The header is as `header_of` allows, and nothing else: what is left of RFC 7515 is the signature over the first two
        # parts. The library would read and copy all of it once more, for twice the time of the signature itself.
        try:
            _public(kid, public_jwk["x"]).verify(self.signature, self.covered)
        except (InvalidSignature, JoseError, ValueError, TypeError, KeyError) as error:
            raise BadSignature(what="signature" if isinstance(error, InvalidSignature) else type(error).__name__) from error
        return self.payload

    def claims(self) -> dict[str, Any]:
        """Return the payload as `claims_of` does.

        Raises:
            BadSignature.
        """
        return _claims_in(self.payload)


@lru_cache(maxsize=2048)
def _public(kid: str, x: str) -> Ed25519PublicKey:
    key = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": x})
    public = key.public_key
    if key.thumbprint() != kid or _proves_nothing(x) or not isinstance(public, Ed25519PublicKey):
        raise BadSignature(what="kid")
    return public


# y of the points of small order, little endian: one signature of such a key fits many contents (protocol.md, section 1).
_SMALL_ORDER = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
}


def _proves_nothing(x: str) -> bool:
    y = int.from_bytes(_raw(x.encode("ascii")), "little") & ((1 << 255) - 1)
    return y >= 2**255 - 19 or y.to_bytes(32, "little").hex() in _SMALL_ORDER


def public_half(jwk: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of an Ed25519 JWK that make its public half, and nothing else.

    Raises:
        KeyError: one is missing.
    """
    return {name: jwk[name] for name in ("crv", "kty", "x")}


def thumbprint_of(public_jwk: Mapping[str, Any]) -> str:
    """Return the RFC 7638 thumbprint of an Ed25519 public key.

    Raises:
        BadSignature: it is no such key, or holds more than the public half.
    """
    if set(public_jwk) - {"kty", "crv", "x", "kid"} or public_jwk.get("kty") != "OKP" or public_jwk.get("crv") != "Ed25519":
        raise BadSignature(what="jwk")
    try:
        if _proves_nothing(public_jwk["x"]):
            raise BadSignature(what="jwk")
        return str(OKPKey.import_key({k: public_jwk[k] for k in ("kty", "crv", "x")}).thumbprint())
    except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadSignature(what="jwk") from error


def header_of(signed: bytes) -> dict[str, str]:
    """Return the header of a JWS in compact form, unverified but strict: exactly alg (Ed25519), kid and typ.

    Raises:
        BadSignature: says what is not so; nothing is guessed.
    """
    return dict(opened(signed).header)


@lru_cache(maxsize=4)  # some ask several times in a row
def opened(signed: bytes) -> Opened:
    """Take a JWS in compact form apart; strict as `header_of`.

    Raises:
        BadSignature: says what is not so.
    """
    try:
        parts = [_raw(part) for part in signed.split(b".")]
        if len(parts) != 3 or b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts) != signed:
            raise BadSignature(what="base64url")
        header = _header(parts[0])
    except (ValueError, UnicodeDecodeError, RecursionError) as error:
        raise BadSignature(what="header") from error
    return Opened(header, parts[1], signed.rpartition(b".")[0], parts[2])


@lru_cache(maxsize=512)
def _header(part: bytes) -> Mapping[str, str]:
    header = json.loads(part.decode("utf-8"), object_pairs_hook=each_once)
    if not isinstance(header, dict) or not all(isinstance(v, str) for v in header.values()):
        raise BadSignature(what="header")
    if header.get("alg") != ALGORITHM:
        raise BadSignature(what=f"alg {str(header.get('alg'))[:20]}")
    if set(header) != {"alg", "kid", "typ"}:
        raise BadSignature(what="header")
    return header


def claims_of(signed: bytes) -> dict[str, Any]:
    """Return the payload as JSON, unverified: to find out whose key is to be asked.

    Raises:
        BadSignature: it is no JSON object, or a member stands in it twice.
    """
    try:
        payload = payload_of(signed)
    except (ValueError, IndexError) as error:
        raise BadSignature(what="payload") from error
    return _claims_in(payload)


def _claims_in(payload: bytes) -> dict[str, Any]:
    try:
        # Decoded here: of bytes json.loads would also take UTF-16 or a byte order mark, which other readers refuse.
        found = json.loads(payload.decode("utf-8"), object_pairs_hook=each_once, parse_constant=_no_number)
    except (ValueError, UnicodeDecodeError, RecursionError) as error:
        raise BadSignature(what="payload") from error
    if not isinstance(found, dict):
        raise BadSignature(what="payload")
    return found


def _no_number(word: str) -> None:
    raise ValueError(word)


def _raw(part: bytes) -> bytes:
    return base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))


def payload_of(signed: bytes) -> bytes:
    """Return the payload without verifying; only for bytes this node verified when it stored them."""
    return _raw(signed.split(b".")[1])


def digest_of(signed: bytes) -> str:
    """Return the SHA-256 of the signed bytes, hex."""
    return hashlib.sha256(signed).hexdigest()


# --- documents that several sign: JWS, general JSON serialisation (RFC 7515, 7.2.1) ------------------------------------


@dataclass(frozen=True, slots=True)
class Part:
    """One signature of a document that several sign: both members as they stand there, and whose key it names."""

    protected: str
    signature: str
    kid: str

    def as_json(self) -> dict[str, str]:
        """Return it as it stands in the document."""
        return {"protected": self.protected, "signature": self.signature}


@dataclass(frozen=True, slots=True)
class General:
    """A document that several sign: its payload, its type, and the signatures, none of them checked yet."""

    payload: bytes
    typ: str
    parts: tuple[Part, ...]

    @property
    def digest(self) -> str:
        """The SHA-256 of the payload, hex: the signatures may still grow."""
        return digest_of(self.payload)


MOST_PARTS = 1000


def general_of(data: Any) -> General:
    """Read such a document from its JSON, strictly: exactly the members of the protocol, one type, no key twice.

    Raises:
        BadSignature: says what is not so. No signature is checked here.
    """
    if not isinstance(data, Mapping) or set(data) != {"payload", "signatures"}:
        raise BadSignature(what="payload, signatures")
    payload, listed = data["payload"], data["signatures"]
    if not isinstance(payload, str) or not isinstance(listed, list) or not 0 < len(listed) <= MOST_PARTS:
        raise BadSignature(what="payload, signatures")
    parts, types = [], set()
    for row in listed:
        if not isinstance(row, Mapping) or set(row) != {"protected", "signature"}:
            raise BadSignature(what="protected, signature")
        protected, signature = row["protected"], row["signature"]
        if not isinstance(protected, str) or not isinstance(signature, str) or "." in protected + payload + signature:
            raise BadSignature(what="protected, signature")
        header = header_of(_compact(protected, payload, signature))
        parts.append(Part(protected, signature, header["kid"]))
        types.add(header["typ"])
    if len(types) != 1 or len({p.kid for p in parts}) != len(parts):
        raise BadSignature(what="kid, typ")
    return General(_raw(payload.encode("ascii")), types.pop(), tuple(parts))


def _compact(protected: str, payload: str, signature: str) -> bytes:
    try:
        return f"{protected}.{payload}.{signature}".encode("ascii")
    except UnicodeEncodeError as error:
        raise BadSignature(what="base64url") from error


def _encoded(payload: bytes) -> str:
    return base64.urlsafe_b64encode(payload).rstrip(b"=").decode("ascii")


def sign_general(payload: bytes, *, kid: str, private_encrypted: str, secret: str, typ: str) -> Part:
    """Return one more signature over the payload; it covers its own header and the payload, not the other signatures."""
    signed = sign(payload, kid=kid, private_encrypted=private_encrypted, secret=secret, typ=typ)
    protected, _, signature = signed.decode("ascii").split(".")
    return Part(protected, signature, kid)


def verify_general(payload: bytes, part: Part, *, public_jwk: dict[str, Any], typ: str) -> None:
    """Check one signature as that of a document in compact serialisation is checked.

    Raises:
        BadSignature: says what does not fit.
    """
    document = _compact(part.protected, _encoded(payload), part.signature)
    verify(document, public_jwk=public_jwk, kid=part.kid, typ=typ)


def general_json(payload: bytes, parts: Iterable[Part]) -> dict[str, Any]:
    """Return the document as JSON, with the signatures that are there."""
    return {"payload": _encoded(payload), "signatures": [p.as_json() for p in parts]}


# --- files encrypted with age (age-encryption.org/v1) ----------------------------------------------------------------


class NotOpened(DomainError):
    """The encrypted file is for another key, or this is not its passphrase."""

    code = "exchange.not_opened"
    message = gettext_noop("The file cannot be opened with this passphrase or key.")
    hint = gettext_noop("Take the passphrase or the key of the day when it was made; or its first lines were altered.")


class SealBroken(DomainError):
    """The encrypted bytes end early or are not those that were written."""

    code = "exchange.seal_broken"
    message = gettext_noop("The encrypted file is cut off or was altered.")
    hint = gettext_noop("Take another copy of it; nothing of this one is used.")


class NoRecipient(DomainError):
    """What was given is no age key."""

    code = "exchange.no_recipient"
    message = gettext_noop("This is no key of the form %(form)s.")
    hint = gettext_noop("Copy the key whole: one word in one line, without spaces.")


class _Side:
    """One side of a stream as pyrage wants it; keeps the error of our own side, which pyrage would replace by its own."""

    def __init__(self, side: Any) -> None:
        self._side = side
        self.error: BaseException | None = None

    def _do(self, work: Any, *given: Any) -> Any:
        try:
            return work(*given)
        except BaseException as error:
            self.error = error
            raise

    def read(self, size: int = -1) -> bytes:
        return self._do(self._side.read, size)

    def write(self, data: bytes) -> int:
        self._do(self._side.write, data)
        return len(data)

    def flush(self) -> None:
        """Nothing is held back here; the caller flushes its own file."""


def new_stream_key() -> tuple[str, str]:
    """Return a fresh X25519 pair: the identity (AGE-SECRET-KEY-1…), which opens, and the recipient (age1…), which closes."""
    identity = x25519.Identity.generate()
    return str(identity), str(identity.to_public())


def encrypt_stream(source: Any, target: Any, *, recipient: str) -> None:
    """Read `source` to its end and write it encrypted to `target`, in memory of some pieces of 64 KiB.

    An error of reading or writing is raised as it is.

    Raises:
        NoRecipient: `recipient` is no age1….
    """
    try:
        to = x25519.Recipient.from_str(recipient.strip())
    except pyrage.RecipientError as error:
        raise NoRecipient(form="age1…") from error
    reader, writer = _Side(source), _Side(target)
    try:
        pyrage.encrypt_io(reader, writer, [to])
    except Exception as error:
        raise reader.error or writer.error or error from error


def decrypt_stream(source: Any, target: Any, *, identity: str) -> None:
    """Write to `target` what `source` holds; every piece is genuine, but only a return says that nothing is missing.

    Raises:
        NoRecipient: `identity` is no AGE-SECRET-KEY-1….
        NotOpened, SealBroken: as they say.
    """
    try:
        own = x25519.Identity.from_str(identity.strip())
    except pyrage.IdentityError as error:
        raise NoRecipient(form="AGE-SECRET-KEY-1…") from error
    reader, writer = _Side(source), _Side(target)
    try:
        pyrage.decrypt_io(reader, writer, [own])
    except Exception as error:
        if mine := reader.error or writer.error:
            raise mine from error
        raise _refusal(error) from error


def _refusal(error: Exception) -> DomainError:
    wrong = ("No matching keys", "Decryption failed")
    return NotOpened() if isinstance(error, pyrage.DecryptError) and str(error).startswith(wrong) else SealBroken()


def encrypt_with_passphrase(data: bytes, passphrase: str) -> bytes:
    """Return a few bytes encrypted under a passphrase (scrypt, about a second), as lines of text.

    The library does this only in memory: for a long file, close it to a fresh key and close that key with this.
    """
    return bytes(pyrage.passphrase.encrypt(data, passphrase, armored=True))


def decrypt_with_passphrase(data: bytes, passphrase: str) -> bytes:
    """Return what `encrypt_with_passphrase` closed.

    Raises:
        NotOpened, SealBroken: as they say.
    """
    try:
        return bytes(pyrage.passphrase.decrypt(data, passphrase))
    except pyrage.DecryptError as error:
        raise _refusal(error) from error
