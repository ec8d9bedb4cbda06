"""Tokens of a time-stamping authority (RFC 3161). The only module of the journal that opens a socket.

The library makes the request and judges the answer; what is here is one bounded HTTP exchange and our own refusals.
What is stamped is the digest of a seal: the message is its 64 hex characters in ASCII, the hash SHA-256.
"""

import contextlib
import http.client
import re
import socket
import ssl
import threading
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    VerifierBuilder,
    decode_timestamp_response,
)
from rfc3161_client.tsp import TimeStampRequest

from hiepdong.kernel.errors import DomainError, gettext_noop

LARGEST_ANSWER = 256 * 1024  # a token with its certificates has 2 to 8 KiB
SECONDS = 20.0  # for the whole exchange
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class AuthorityFailed(DomainError):
    """The time-stamping authority gave no token."""

    code = "journal.authority_failed"
    message = gettext_noop("The time-stamping authority %(address)s gave no token: %(found)s.")
    hint = gettext_noop("Check HIEPDONG_TSA_URL and the line to it. The node goes on sealing and asks again by itself.")


class InvalidToken(DomainError):
    """A token does not fit: altered, of something else, or of an authority that is not trusted."""

    code = "journal.invalid_token"
    message = gettext_noop("The time-stamp does not hold: %(found)s.")
    hint = gettext_noop("Compare HIEPDONG_TSA_CA with the certificate that the authority publishes.")


class InvalidRoots(DomainError):
    """The certificates that are trusted for time-stamps cannot be read."""

    code = "journal.invalid_roots"
    message = gettext_noop("The certificates of the time-stamping authority cannot be read from %(path)s: %(found)s.")
    hint = gettext_noop("Set HIEPDONG_TSA_CA to a file of root certificates in PEM, as the authority publishes it.")


@dataclass(frozen=True, slots=True)
class Root:
    """A trusted certificate, DER. The verifier asks a root for its bytes and nothing else."""

    der: bytes

    def public_bytes(self, encoding: object) -> bytes:
        return self.der


@dataclass(frozen=True, slots=True)
class Token:
    """A verified answer: its bytes as received, and the moment that the authority gave (aware, UTC)."""

    response: bytes
    generated_at: datetime


def read_roots(path: str) -> tuple[Root, ...]:
    """Return the certificates of a PEM file. Raises InvalidRoots: no file, no certificate in it, or a broken one."""
    try:
        found = _PEM.findall(Path(path).read_text(encoding="ascii", errors="replace"))
        roots = tuple(Root(ssl.PEM_cert_to_DER_cert(each)) for each in found)
        # OpenSSL reads them once here, so that a broken one is told by its file and not by every token.
        for each in roots:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=each.der)
    except (OSError, ValueError) as error:
        raise InvalidRoots(path=path or "HIEPDONG_TSA_CA", found=getattr(error, "strerror", None) or str(error)) from error
    if not roots:
        raise InvalidRoots(path=path, found="no BEGIN CERTIFICATE")
    return roots


def request_token(*, address: str, digest: str, roots: tuple[Root, ...]) -> Token:
    """Ask an authority for a token over the digest of a seal, and verify the answer.

    Args:
        address: http:// or https:// address of the authority. The answer is signed, so plain http is no weakness.
        digest: 64 hex characters.
        roots: certificates that are trusted for time-stamps.

    Raises:
        AuthorityFailed: no answer, or one that is no token.
        InvalidToken: a token that does not fit the request or is signed by nobody who is trusted.
    """
    request = TimestampRequestBuilder().data(digest.encode("ascii")).hash_algorithm(HashAlgorithm.SHA256).build()
    response = _post(address, request.as_bytes())
    return read_token(response, digest=digest, roots=roots, request=request, address=address)


def read_token(
    response: bytes,
    *,
    digest: str,
    roots: tuple[Root, ...],
    request: TimeStampRequest | None = None,
    address: str = "",
) -> Token:
    """Verify the answer of an authority against the digest of a seal. `request`: its nonce must come back.

    Raises:
        AuthorityFailed: the authority refused.
        InvalidToken: see `request_token`.
    """
    try:
        answer = decode_timestamp_response(_with_sorted_certificates(response))
        if answer.status != 0:
            raise AuthorityFailed(address=address, found=" ".join(answer.status_string) or f"status {answer.status}")
        builder = VerifierBuilder.from_request(request) if request is not None else VerifierBuilder()
        for root in roots:
            builder = builder.add_root_certificate(cast(Any, root))
        builder.build().verify_message(answer, digest.encode("ascii"))
        return Token(response, answer.tst_info.gen_time)
    except DomainError:
        raise
    except Exception as error:  # not only its own: errors of the certificate parser come through (InvalidVersion, …)
        raise InvalidToken(found=str(error).rstrip(".") or type(error).__name__) from error


def _with_sorted_certificates(response: bytes) -> bytes:
    """Return an answer whose certificates stand in the order of DER, or the same bytes where that cannot be seen.

    OpenSSL, and every authority built on it, sends them in the order of the chain; the library reads DER only and would
    refuse them. They stand outside of what is signed, so their order proves nothing. What is stored stays as received.
    """
    try:
        _tag, start, end = _element(response, 0)  # TimeStampResp
        _tag, _start, status_end = _element(response, start)
        _tag, start, end = _element(response, status_end)  # ContentInfo
        _tag, _start, type_end = _element(response, start)
        _tag, start, end = _element(response, type_end)  # [0]
        _tag, at, end = _element(response, start)  # SignedData
        while at < end:
            tag, start, at = _element(response, at)
            if tag == 0xA0:  # [0] certificates
                found, place = [], start
                while place < at:
                    begin, (_tag, _start, place) = place, _element(response, place)
                    found.append(response[begin:place])
                return response[:start] + b"".join(sorted(found)) + response[at:] if place == at else response
    except IndexError:
        pass  # cut off: the library says so better
    return response


def _element(data: bytes, at: int) -> tuple[int, int, int]:
    """Return tag, start and end of the content of the DER element at an offset. Raises IndexError: it is cut off."""
    tag, size, start = data[at], data[at + 1], at + 2
    if size & 0x80:
        width = size & 0x7F
        start += width
        size = int.from_bytes(data[at + 2 : start])
    if start + size > len(data):
        raise IndexError(at)
    return tag, start, start + size


def _post(address: str, body: bytes) -> bytes:
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError as error:
        raise AuthorityFailed(address=address, found=str(error)) from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise AuthorityFailed(address=address, found="not an http:// or https:// address")
    # http.client follows no redirect: where the request goes is what the administrator wrote.
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, port, timeout=SECONDS)
    late = threading.Event()

    def stop() -> None:
        # A timeout of a socket counts each piece anew: one who sends a byte now and then would hold the worker for ever.
        late.set()
        if connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(SECONDS, stop)
    timer.daemon = True
    try:
        connection.connect()
        timer.start()
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
        connection.request("POST", target, body=body, headers=headers)
        answer = connection.getresponse()
        if answer.status != 200:
            raise AuthorityFailed(address=address, found=f"HTTP {answer.status}")
        found = b""
        while piece := answer.read1(65536):
            found += piece
            if len(found) > LARGEST_ANSWER:
                raise AuthorityFailed(address=address, found=f"more than {LARGEST_ANSWER} bytes")
        if late.is_set():
            raise AuthorityFailed(address=address, found=f"not done after {SECONDS:.0f} s")
        return found
    except (OSError, http.client.HTTPException) as error:
        told = f"not done after {SECONDS:.0f} s" if late.is_set() else str(error) or type(error).__name__
        raise AuthorityFailed(address=address, found=told) from error
    finally:
        timer.cancel()
        connection.close()
