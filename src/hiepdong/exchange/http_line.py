"""The line to another node over HTTPS (docs/reference/protocol.md, section 8). The only module that opens a socket to a peer.

Whatever answers at the other end is taken for hostile until its certificate fits, and for faulty after that: every answer
has a largest size and a longest time, no redirect is followed, nothing is unpacked, no proxy of the environment is used.

The certificate must be one of the peer's pinned ones; else signed by the private authority of the setting HIEPDONG_PEER_CA;
else by one that the system trusts. A pin decides alone, also about a certificate that has expired: a node whose clock is
wrong keeps its line.
"""

import contextlib
import hashlib
import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from http.client import HTTPException
from typing import Any
from urllib.parse import urlencode, urlsplit

import urllib3
from django.conf import settings
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from hiepdong.documents.services import LARGEST
from hiepdong.kernel.errors import DomainError, gettext_noop

from .domain.envelope import each_once
from .files import PIECE
from .models import Peer
from .signed_request import Signer
from .transport import PeerRefused, Unreachable

BASE = "/api/v1/exchange/"
LARGEST_ANSWER = 8 * 1024 * 1024
LARGEST_PROBLEM = 64 * 1024
CONNECT_S = 15.0
SILENCE_S = 60.0  # without a byte
SECONDS = 90.0  # for a request and its answer, and besides what the slowest line needs for their bytes
SLOWEST = 2048  # bytes a second: a line over a poor radio link
LONGEST_WAIT_S = 24 * 3600
INVITATIONS = BASE + "invitations/"
LARGEST_INVITATION = 4 * 1024 * 1024
INVITATION_S = 30.0
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
CODE = re.compile(r"[a-z_]{1,40}(\.[a-z_]{1,40}){1,2}")
PIN = re.compile(r"[0-9a-f]{64}")


class PeerAddressUnusable(DomainError):
    """The address of a peer is not one that may be spoken to."""

    code = "exchange.peer_address_unusable"
    message = gettext_noop("The address %(address)s of the node %(name)s cannot be used.")
    hint = gettext_noop("It begins with https:// and has no password, question mark or #; http:// only on this very machine.")


class WrongCertificate(Unreachable):
    """Somebody answers at the peer's address, and not with its certificate. Nothing was said to them."""

    code = "exchange.wrong_certificate"
    message = gettext_noop("What answers at the address of the node %(name)s does not show its certificate: %(found)s.")
    hint = gettext_noop(
        "Ask its administrator by telephone whether the certificate was changed; they send the new one as a change of "
        "their node. If not, somebody stands in the line."
    )


class InvitationAddressUnusable(DomainError):
    """What was typed is no secret address of an invitation."""

    code = "exchange.invitation_address_unusable"
    message = gettext_noop("%(address)s is no address of an invitation.")
    hint = gettext_noop("Type it as the other administrator gave it: https://…/api/v1/exchange/invitations/ and 26 characters.")


class InvitationNotThere(DomainError):
    """Nothing, or nothing any more, is given at that address."""

    code = "exchange.invitation_not_there"
    message = gettext_noop("At %(name)s there is no invitation under this address, or no longer.")
    hint = gettext_noop("Compare it letter by letter; else ask the other administrator for a new one, or for the file.")


class PeerBusy(Unreachable):
    """The other node asks to come back later."""

    code = "exchange.peer_busy"
    message = gettext_noop("The node %(name)s asks to wait: %(why)s.")
    hint = gettext_noop("It is asked again by itself; nothing is lost.")


class AuthorityUnreadable(DomainError):
    """The certificates of the private authority cannot be read."""

    code = "exchange.authority_unreadable"
    message = gettext_noop("The certificates of the authority for other nodes cannot be read from %(path)s: %(found)s.")
    hint = gettext_noop("Set HIEPDONG_PEER_CA to a file of root certificates in PEM, or leave it empty.")


def check_address(address: str, *, name: str) -> tuple[str, str, int, str]:
    """Return scheme, host, port and path of a peer's address.

    Raises:
        PeerAddressUnusable: neither https nor http on loopback, or with a user, a query, a fragment.
    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise PeerAddressUnusable(address=address[:200], name=name) from error
    local = parts.scheme == "http" and host in LOOPBACK
    rest = parts.username or parts.password or parts.query or parts.fragment or "#" in address or "?" in address
    plain = re.fullmatch(r"[A-Za-z0-9.:-]{1,253}", host) and re.fullmatch(r"[A-Za-z0-9/._~-]*", parts.path)
    if not host or rest or not plain or not (parts.scheme == "https" or local) or port == 0:
        raise PeerAddressUnusable(address=address[:200], name=name)
    return parts.scheme, host, port or (443 if parts.scheme == "https" else 80), parts.path.rstrip("/")


def _context(pins: Sequence[str]) -> ssl.SSLContext:
    if pins:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # the pin is compared instead, in `_connect`
        return context
    if not settings.HIEPDONG_PEER_CA:
        return ssl.create_default_context()
    try:
        return ssl.create_default_context(cafile=settings.HIEPDONG_PEER_CA)
    except (OSError, ssl.SSLError) as error:
        raise AuthorityUnreadable(path=settings.HIEPDONG_PEER_CA, found=_short(error)) from error


def pin_of(host: str, port: int = 443) -> str:
    """Return the pin (SHA-256 of the DER, hex) of the certificate that answers there, whoever signed it.

    For an administrator who asks their own front server; compared by telephone it says more than any authority.

    Raises:
        Unreachable.
    """
    context = _context(["0" * 64])
    connection = HTTPSConnection(
        host, port, timeout=CONNECT_S, ssl_context=context, cert_reqs="CERT_NONE", assert_hostname=False
    )
    try:
        connection.connect()
        return _certificate_of(connection)
    except (HTTPError, HTTPException, OSError, ValueError) as error:
        raise Unreachable(name=f"{host}:{port}", why=_short(error)) from error
    finally:
        connection.close()


def invitation_at(address: str) -> bytes:
    """Return what is given at a secret address of an invitation (protocol, section 8), at most LARGEST_INVITATION bytes.

    The certificate is not looked at, for no pin of that node is known yet: what comes is a signed invitation or nothing, and
    nobody trusts it before the pair number was compared. Nothing of this node is told: no signature, no cookie. Only addresses
    of this form are asked, so that nobody can have this node fetch something else.

    Raises:
        InvitationAddressUnusable, InvitationNotThere, Unreachable.
    """
    try:
        scheme, host, port, path = check_address(address, name="")
    except PeerAddressUnusable as error:
        raise InvitationAddressUnusable(address=address[:200]) from error
    if scheme != "https" or not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*" + re.escape(INVITATIONS) + r"[A-Za-z0-9]{26}", path):
        raise InvitationAddressUnusable(address=address[:200])
    if {".", ".."} & set(path.split("/")):
        raise InvitationAddressUnusable(address=address[:200])
    connection = HTTPSConnection(
        host, port, timeout=CONNECT_S, ssl_context=_context(["0" * 64]), cert_reqs="CERT_NONE", assert_hostname=False
    )

    def cut() -> None:
        if connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(2)

    name = f"{host}:{port}"
    headers = {"Accept": "application/jose", "Accept-Encoding": "identity", "User-Agent": "hiepdong"}
    with _Patience(cut, 0, seconds=INVITATION_S) as patience:
        try:
            connection.connect()
            connection.request("GET", path, headers=headers, preload_content=False, decode_content=False)
            answer = connection.getresponse()
            if answer.status in {404, 410}:
                raise InvitationNotThere(name=name)
            if answer.status != 200:
                raise Unreachable(name=name, why=f"HTTP {answer.status}")
            found = bytearray()
            while piece := answer.read1(64 * 1024):
                found += piece
                if len(found) > LARGEST_INVITATION:
                    raise Unreachable(name=name, why=f"> {LARGEST_INVITATION} bytes")
            if patience.out:
                raise TimeoutError(f"> {INVITATION_S:.0f} s")
            return bytes(found)
        except (HTTPError, HTTPException, OSError, ValueError) as error:
            raise Unreachable(name=name, why=f"> {INVITATION_S:.0f} s" if patience.out else _short(error)) from error
        finally:
            connection.close()


def _certificate_of(connection: HTTPConnection) -> str:
    der = connection.sock.getpeercert(binary_form=True) if isinstance(connection.sock, ssl.SSLSocket) else None
    return hashlib.sha256(der or b"").hexdigest()


def _short(error: BaseException) -> str:
    """Return the reason inside an error of the library, without addresses of objects."""
    inner: Any = getattr(error, "reason", None) or error
    text = inner.strerror if isinstance(inner, OSError) and inner.strerror else str(inner)
    return re.sub(r"<[^>]*>|HTTPS?Connection\([^)]*\):? ?", "", text).strip(" :")[:160] or type(error).__name__


class _Patience:
    """Cuts a connection when a request takes longer than its bytes need on the slowest line, however few drip in."""

    def __init__(self, cut: Callable[[], None], size: int, *, seconds: float | None = None) -> None:
        self._cut, self._until = cut, time.monotonic() + (SECONDS if seconds is None else seconds) + size / SLOWEST
        self._over = threading.Event()
        self.out = False

    def more(self, size: int) -> None:
        """Allow the time that so many bytes may take."""
        self._until += size / SLOWEST

    def __enter__(self) -> "_Patience":
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def _watch(self) -> None:
        while not self._over.wait(max(0.05, self._until - time.monotonic())):
            if time.monotonic() >= self._until:
                self.out = True
                self._cut()
                return


class HttpLine:
    """A `transport.Transport` to one peer: one connection, kept for a round. Use it as a context manager, or `close` it."""

    way = "https"

    def __init__(self, peer: Peer, *, clock: Callable[[], datetime]) -> None:
        self._peer, self._name, self._clock = peer, peer.name, clock
        self._signer: Signer | None = None
        self._connection: HTTPConnection | None = None
        self._reading: object = None  # the answer that is being read

    def _prepare(self) -> Signer:
        """Read address, pins and key with the first request, so that what is wrong with them is a failed round like others."""
        if self._signer is None:
            self._scheme, self._host, self._port, self._path = check_address(self._peer.address, name=self._name)
            tls = self._peer.tls if self._scheme == "https" else []
            self._pins = [str(p).lower() for p in tls if PIN.fullmatch(str(p).lower())]
            self._context = _context(self._pins) if self._scheme == "https" else None
            self._signer = Signer(to=self._peer, at=self._clock())
        return self._signer

    def __enter__(self) -> "HttpLine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    # --- the steps of a round ----------------------------------------------------------------------------------------------

    def hello(self, said: Mapping[str, Any]) -> Mapping[str, Any]:
        """Greet; returns the greeting of the other side."""
        return self._ask("POST", "hello", said)

    def push(self, items: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """Give items; returns held_through, results, wanted."""
        return self._ask("POST", "items", {"items": list(items)})

    def pull(self, *, after: int, limit: int) -> Mapping[str, Any]:
        """Ask for items after a position; returns items, sent_through, wanted."""
        return self._ask("GET", "items?" + urlencode({"after": after, "limit": limit}))

    def held(self, through: int) -> Mapping[str, Any]:
        """Say up to where everything of the other side is held here."""
        return self._ask("POST", "held", {"held_through": through})

    def echo(self, *, after: int, limit: int) -> Mapping[str, Any]:
        """Ask for our own items that the other side holds, after a position of ours."""
        return self._ask("GET", "echo?" + urlencode({"after": after, "limit": limit}))

    def fetch(self, digest: str, *, start: int) -> Iterator[bytes]:
        """Yield the bytes of a file of the other side, from a byte on, in pieces."""
        with self._answer("GET", f"files/{digest}", headers={"Range": f"bytes={start}-"}) as (answer, patience):
            begins = 0
            if answer.status == 206:
                found = re.match(r"bytes (\d{1,15})-", answer.headers.get("Content-Range", ""))
                begins = int(found[1]) if found else -1
            if begins not in {0, start}:
                raise Unreachable(name=self._name, why="Content-Range")
            skip, came, gathered = start - begins, 0, bytearray()
            while piece := self._read(answer, patience):
                came += len(piece)
                if came > LARGEST:
                    raise Unreachable(name=self._name, why=f"> {LARGEST} bytes")
                patience.more(len(piece))
                gathered += piece[skip:]
                skip = max(0, skip - len(piece))
                if len(gathered) >= PIECE:
                    yield bytes(gathered)
                    gathered.clear()
            if gathered:
                yield bytes(gathered)

    def offered(self, digest: str) -> int:
        """Return how many bytes of a file of ours the other side has."""
        with self._answer("HEAD", f"files/{digest}") as (answer, _patience):
            return self._count(answer.headers.get("Upload-Offset", ""), "Upload-Offset")

    def put(self, digest: str, piece: bytes, *, start: int, size: int) -> int:
        """Give a piece of a file; returns how many bytes the other side has now."""
        headers = {
            "Content-Range": f"bytes {start}-{start + len(piece) - 1}/{size}",
            "Content-Type": "application/octet-stream",
        }
        with self._answer("PUT", f"files/{digest}", body=piece, headers=headers) as (answer, patience):
            return self._count(str(self._json(answer, patience, LARGEST_PROBLEM).get("have")), "have")

    def _count(self, text: str, name: str) -> int:
        if not re.fullmatch(r"[0-9]{1,15}", text):
            raise Unreachable(name=self._name, why=f"{name}: {text[:40]}")
        return int(text)

    # --- one request -------------------------------------------------------------------------------------------------------

    def _ask(self, method: str, what: str, said: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        body = b"" if said is None else json.dumps(said, ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json"} if body else {}
        with self._answer(method, what, body=body, headers=headers) as (answer, patience):
            return self._json(answer, patience, LARGEST_ANSWER)

    @contextlib.contextmanager
    def _answer(
        self, method: str, what: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Iterator[tuple[urllib3.BaseHTTPResponse, _Patience]]:
        """Send one request and give its answer if it is a good one; whatever goes wrong closes the connection."""
        path = BASE + what
        signed = self._prepare().sign(method=method, path=path, body=body, at=self._clock())
        sent = {
            "Authorization": f"Hiepdong {signed}",
            "Accept": "application/json, application/problem+json, application/octet-stream",
            "Accept-Encoding": "identity",
            "User-Agent": "hiepdong",
            **(headers or {}),
        }
        if self._reading is not None:  # given up in the middle: what is left of it is in the way
            self.close()
        self._reading = mine = object()
        whole = False
        with _Patience(self._cut, len(body)) as patience:
            try:
                connection = self._connected()
                connection.request(
                    method, self._path + path, body=body or None, headers=sent, preload_content=False, decode_content=False
                )
                answer = connection.getresponse()
                if not 200 <= answer.status < 300:
                    self._refused(answer, patience, method)
                yield answer, patience
                # What was not read to its end would be taken for the beginning of the next answer.
                whole = not answer.read1(1)
            except (HTTPError, HTTPException, OSError, ValueError) as error:
                why = f"> {SECONDS:.0f} s" if patience.out else _short(error)
                if isinstance(error, ssl.SSLCertVerificationError):
                    raise WrongCertificate(name=self._name, found=error.verify_message) from error
                raise Unreachable(name=self._name, why=why) from error
            finally:
                if self._reading is mine:
                    self._reading = None
                    if not whole:
                        self.close()

    def _cut(self) -> None:
        connection = self._connection
        sock = connection.sock if connection is not None else None
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(2)

    def _connected(self) -> HTTPConnection:
        if self._connection is not None and self._connection.is_connected:
            return self._connection
        self.close()
        if self._context is None:
            self._connection = HTTPConnection(self._host, self._port, timeout=CONNECT_S)
        else:
            self._connection = HTTPSConnection(
                self._host,
                self._port,
                timeout=CONNECT_S,
                ssl_context=self._context,
                cert_reqs="CERT_NONE" if self._pins else "CERT_REQUIRED",
                assert_hostname=False if self._pins else None,
            )
        self._connection.connect()
        if self._pins:
            found = _certificate_of(self._connection)
            if found not in self._pins:
                raise WrongCertificate(name=self._name, found=found)
        self._connection.timeout = SILENCE_S  # from now on; the library sets it again for each request
        return self._connection

    def _read(self, answer: urllib3.BaseHTTPResponse, patience: _Patience) -> bytes:
        """Return what has come, at most 64 KiB, or nothing at the end."""
        piece = answer.read1(64 * 1024)
        if not piece and patience.out:
            raise TimeoutError(f"> {SECONDS:.0f} s")
        return piece

    def _body(self, answer: urllib3.BaseHTTPResponse, patience: _Patience, most: int) -> bytes:
        found = bytearray()
        while piece := self._read(answer, patience):
            found += piece
            patience.more(len(piece))
            if len(found) > most:
                raise Unreachable(name=self._name, why=f"> {most} bytes")
        return bytes(found)

    def _json(self, answer: urllib3.BaseHTTPResponse, patience: _Patience, most: int) -> Mapping[str, Any]:
        body = self._body(answer, patience, most)
        try:
            found = json.loads(body.decode("utf-8"), object_pairs_hook=each_once)
            json.dumps(found, ensure_ascii=False).encode()  # refuses half a character
        except (ValueError, RecursionError) as error:
            raise Unreachable(name=self._name, why="JSON") from error
        if not isinstance(found, dict):
            raise Unreachable(name=self._name, why="JSON")
        return found

    def _refused(self, answer: urllib3.BaseHTTPResponse, patience: _Patience, method: str) -> None:
        """Raise what a status other than 2xx means."""
        status = answer.status
        told = answer.headers.get("Content-Type", "").startswith("application/problem+json")
        code, detail, why = "", "", f"HTTP {status}"
        if told and method == "HEAD":  # it has no body to tell the code in
            code = {401: "api.not_authenticated", 404: "kernel.not_found"}.get(status, "")
        elif told:
            said = self._json(answer, patience, LARGEST_PROBLEM)
            code, detail = str(said.get("code", "")), _one_line(str(said.get("detail", "")))
        if status in {429, 503}:
            busy = PeerBusy(name=self._name, why=detail or why)
            busy.retry_after_s = _seconds(answer.headers.get("Retry-After", ""))
            raise busy
        if CODE.fullmatch(code):
            raise PeerRefused(name=self._name, code=code, detail=detail)
        raise Unreachable(name=self._name, why=why)


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)[:200]


def _seconds(text: str) -> int | None:
    """Return Retry-After in seconds; a moment of the other clock is not trusted, and nothing asks for more than a day."""
    return min(int(text), LONGEST_WAIT_S) if re.fullmatch(r"[0-9]{1,9}", text) else None
