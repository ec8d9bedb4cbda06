"""Real lines for tests: a node served by its own process, and a front server before it that can behave badly.

`served(node)`      the node as `hiepdong serve` answers it, in a process of its own
`Front(backend)`    a small HTTP server in threads, with a certificate or without; it passes on, or does what `fault` says
"""

import contextlib
import hashlib
import http.client
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.conf import settings

from support.nodes import Node

STEPS = {
    ("POST", "hello"): "hello",
    ("POST", "items"): "push",
    ("GET", "items"): "pull",
    ("POST", "held"): "held",
    ("GET", "echo"): "echo",
    ("GET", "files"): "fetch",
    ("HEAD", "files"): "offered",
    ("PUT", "files"): "put",
}


# --- certificates ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Certificate:
    """A certificate with its key, as PEM files; `pin` is the SHA-256 of its DER."""

    path: Path
    pin: str
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def authority_path(self) -> Path:
        return self.path.with_suffix(".crt")


def certificate(
    folder: Path, name: str, *, host: str = "127.0.0.1", by: Certificate | None = None, expired: bool = False
) -> Certificate:
    """Make a certificate for a host, signed by itself or by an authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    first, last = (
        (now - timedelta(days=30), now - timedelta(days=1)) if expired else (now - timedelta(days=1), now + timedelta(days=30))
    )
    try:
        names: list[x509.GeneralName] = [x509.IPAddress(ip_address(host))]
    except ValueError:
        names = [x509.DNSName(host)]
    signer = by.key if by else key
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(first)
        .not_valid_after(last)
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(_usage(signs=by is None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / f"{name}.pem"
    path.write_bytes(private + pem)
    path.with_suffix(".crt").write_bytes(pem)
    der = made.public_bytes(serialization.Encoding.DER)
    return Certificate(path, hashlib.sha256(der).hexdigest(), made, key)


def _usage(*, signs: bool) -> x509.KeyUsage:
    names = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign")
    off = dict.fromkeys((*names, "encipher_only", "decipher_only"), False)
    return x509.KeyUsage(digital_signature=True, key_cert_sign=signs, **off)


# --- a node in a process of its own ------------------------------------------------------------------------------------


def _database_url(node: Node) -> str:
    if node.vendor == "sqlite":
        return f"sqlite:///{node.database}"
    parts = urlsplit(settings.HIEPDONG_DATABASE_URL)
    return parts._replace(path=f"/{node.database}").geturl()


@contextlib.contextmanager
def served(node: Node, **more: str) -> Iterator[str]:
    """Serve a node by `hiepdong serve`; gives its address. It reads the present clock."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    clean = {k: v for k, v in os.environ.items() if not k.startswith("HIEPDONG_") and k != "DJANGO_SETTINGS_MODULE"}
    env = clean | {
        "HIEPDONG_DATA": str(node.folder),
        "HIEPDONG_DATABASE_URL": _database_url(node),
        "HIEPDONG_SECRET_KEY": node.settings["SECRET_KEY"],
        "HIEPDONG_HTTPS": "0",
        **more,
    }
    command = [str(Path(sys.executable).parent / "hiepdong"), "serve", "--port", str(port), "--workers", "1"]
    log = node.folder / "serve.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=env, stdout=out, stderr=out)
    try:
        for _ in range(600):
            if process.poll() is not None:
                raise AssertionError(log.read_text())
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


# --- a front server that can behave badly ------------------------------------------------------------------------------


@dataclass
class Asked:
    """One request as it came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def step(self) -> str:
        return STEPS.get((self.method, self.path.partition("/exchange/")[2].partition("?")[0].partition("/")[0]), "")


class Answer:
    """What a fault may do with one request: pass it on, answer something else, cut the line."""

    def __init__(self, handler: "_Handler", asked: Asked) -> None:
        self._handler, self.asked = handler, asked

    def passed_on(self) -> tuple[int, list[tuple[str, str]], bytes]:
        """Ask the node; returns status, header lines, body."""
        backend = self._handler.server.backend
        connection = http.client.HTTPConnection(backend, timeout=60)
        try:
            asked = self.asked
            connection.request(asked.method, asked.path, asked.body or None, {**asked.headers, "Host": "127.0.0.1"})
            got = connection.getresponse()
            lines = [(k, v) for k, v in got.getheaders() if k.lower() not in {"connection", "date", "server", "keep-alive"}]
            return got.status, lines, got.read()
        finally:
            connection.close()

    def give(self, status: int, headers: dict[str, str] | list[tuple[str, str]], body: bytes = b"") -> None:
        """Answer, whole."""
        lines = list(headers.items()) if isinstance(headers, dict) else headers
        self._handler.send_response(status)
        for name, value in lines:
            self._handler.send_header(name, value)
        if not any(k.lower() == "content-length" for k, _ in lines):
            self._handler.send_header("Content-Length", str(len(body)))
        self._handler.end_headers()
        if self.asked.method != "HEAD":
            self._handler.wfile.write(body)

    def raw(self, data: bytes) -> None:
        """Write bytes as they are."""
        self._handler.wfile.write(data)
        self._handler.wfile.flush()

    def cut(self) -> None:
        """Cut the line."""
        self._handler.close_connection = True
        with contextlib.suppress(OSError):
            self._handler.connection.shutdown(socket.SHUT_RDWR)


Fault = Callable[[Answer], None]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _do(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        asked = Asked(self.command, self.path, dict(self.headers.items()), self.rfile.read(length))
        self.server.asked.append(asked)
        answer = Answer(self, asked)
        fault = self.server.fault(asked) if self.server.fault else None
        try:
            if fault is None:
                answer.give(*answer.passed_on())
            else:
                fault(answer)
        except OSError:  # the other side went away: what a test of impatience wants
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_HEAD = _do  # noqa: N815


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing of handshakes that failed: that is what is tested."""


class Front:
    """A front server; `fault(asked)` gives what to do instead of passing on, or None."""

    def __init__(self, backend: str = "", *, certificate: Certificate | None = None) -> None:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.backend = urlsplit(backend).netloc  # type: ignore[attr-defined]
        self._server.asked = self.asked = []  # type: ignore[attr-defined]
        self.fault = None
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.path)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self._server.server_address[1]
        self.address = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def fault(self) -> Callable[[Asked], Fault | None] | None:
        return self._server.fault  # type: ignore[no-any-return, attr-defined]

    @fault.setter
    def fault(self, fault: Callable[[Asked], Fault | None] | None) -> None:
        self._server.fault = fault  # type: ignore[attr-defined]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> "Front":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# --- faults ------------------------------------------------------------------------------------------------------------


def cut_before(answer: Answer) -> None:
    answer.cut()


def cut_after(answer: Answer) -> None:
    answer.passed_on()
    answer.cut()


def half(answer: Answer) -> None:
    status, lines, body = answer.passed_on()
    lines = [(k, v) for k, v in lines if k.lower() != "content-length"]
    answer.give(status, [*lines, ("Content-Length", str(len(body)))], body[: len(body) // 2])
    answer.cut()


def twice(answer: Answer) -> None:
    answer.passed_on()
    answer.give(*answer.passed_on())
