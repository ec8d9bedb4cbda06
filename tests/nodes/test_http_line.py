"""The near end of the line over HTTPS: whoever answers may be a stranger, faulty, slow or hostile. Real sockets."""

import io
import json
import socket
import ssl
import threading
import time
import uuid
import warnings

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import override_settings

from hiepdong.exchange import http_line
from hiepdong.exchange.http_line import (
    AuthorityUnreadable,
    HttpLine,
    PeerAddressUnusable,
    PeerBusy,
    WrongCertificate,
    check_address,
    pin_of,
)
from hiepdong.exchange.models import Peer
from hiepdong.exchange.transport import PeerRefused, Unreachable
from support.line import Answer, Front, certificate
from support.nodes import Clock, Node

pytestmark = pytest.mark.django_db
GOOD = {"held_through": 3, "results": [], "wanted": []}
JSON = {"Content-Type": "application/json"}
PROBLEM = {"Content-Type": "application/problem+json"}
DIGEST = "0" * 64


@pytest.fixture
def node(tmp_path):
    with Node("bien-phong", tmp_path, clock=Clock()).found(("t.don-my-ly", "border_station", "Đồn Mỹ Lý")) as here:
        yield here


@pytest.fixture
def front():
    with Front() as here:
        yield here


def line_to(address, node, *, tls=()):
    peer = Peer(node_id=uuid.uuid4(), name="dia-phuong", address=address, tls=list(tls))
    return HttpLine(peer, clock=node.clock)


def answering(front, status, headers, body=b""):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    front.fault = lambda asked: lambda answer: answer.give(status, headers, data)


def test_one_connection_is_kept_for_a_round(front, node):
    ports = set()

    def fault(asked):
        def do(answer):
            ports.add(answer._handler.client_address[1])
            answer.give(200, JSON, json.dumps(GOOD).encode())

        return do

    front.fault = fault
    with line_to(front.address, node) as line:
        for _ in range(5):
            assert line.push([]) == GOOD
        assert line.pull(after=3, limit=10) == GOOD
    assert len(ports) == 1
    assert front.asked[-1].path == "/api/v1/exchange/items?after=3&limit=10"


def test_a_connection_that_the_other_side_closed_meanwhile_is_opened_again(front, node):
    def fault(asked):
        def do(answer):
            answer.give(200, JSON, json.dumps(GOOD).encode())
            answer.cut()

        return do

    front.fault = fault
    with line_to(front.address, node) as line:
        for _ in range(3):
            assert line.push([]) == GOOD
            time.sleep(0.05)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (JSON, b"{"),
        (JSON, b"[]"),
        (JSON, b"\xff"),
        (JSON, b'{"a": 1, "a": 2}'),
        (JSON, b'{"a": "\\ud800"}'),
        (JSON, b"[" * 200_000),
        (JSON, b'{"a": ' + b"9" * 10_000 + b"}"),
        ({"Content-Type": "text/html"}, b"<html>captive portal</html>"),
        ({**JSON, "Content-Encoding": "gzip"}, b"\x1f\x8b\x08\x00"),
        (JSON, b""),
    ],
    ids=range(10),
)
def test_an_answer_that_is_no_json_object_is_no_answer(front, node, headers, body):
    answering(front, 200, headers, body)
    with line_to(front.address, node) as line, pytest.raises(Unreachable):
        line.push([])


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000,
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 99999 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"\x00" * 1000,
        b"",
    ],
    ids=range(9),
)
def test_what_is_not_http_is_no_answer(front, node, data):
    def fault(asked):
        def do(answer):
            answer.raw(data)
            answer.cut()

        return do

    front.fault = fault
    with line_to(front.address, node) as line, pytest.raises(Unreachable):
        line.push([])


def _endless(chunked):
    def do(answer: Answer) -> None:
        kind = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 1000000000"
        answer.raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + kind + b"\r\n\r\n")
        piece = b" " * 65536
        for _ in range(2000):
            answer.raw(b"10000\r\n" + piece + b"\r\n" if chunked else piece)

    return do


@pytest.mark.parametrize("chunked", [False, True])
def test_an_answer_without_an_end_is_cut_at_its_largest_size(front, node, chunked):
    front.fault = lambda asked: _endless(chunked)
    with line_to(front.address, node) as line, pytest.raises(Unreachable, match=r"> 8388608 bytes"):
        line.push([])


def test_a_refusal_without_an_end_is_cut_sooner(front, node):
    answering(front, 409, PROBLEM, b" " * 200_000)
    with line_to(front.address, node) as line, pytest.raises(Unreachable, match=r"> 65536 bytes"):
        line.push([])


def test_a_file_without_an_end_is_cut_at_the_largest_file(front, node, monkeypatch):
    monkeypatch.setattr(http_line, "LARGEST", 1_000_000)
    front.fault = lambda asked: _endless(chunked=True)
    with line_to(front.address, node) as line, pytest.raises(Unreachable):
        list(line.fetch(DIGEST, start=0))


def test_who_accepts_and_says_nothing_is_left(front, node, monkeypatch):
    monkeypatch.setattr(http_line, "SILENCE_S", 0.2)
    front.fault = lambda asked: lambda answer: time.sleep(1)
    begun = time.monotonic()
    with line_to(front.address, node) as line, pytest.raises(Unreachable, match="timed out"):
        line.push([])
    assert time.monotonic() - begun < 1


@pytest.mark.parametrize("where", ["head", "body"])
def test_who_drips_byte_by_byte_is_left_after_the_longest_time(front, node, monkeypatch, where):
    monkeypatch.setattr(http_line, "SECONDS", 0.4)
    monkeypatch.setattr(http_line, "SLOWEST", 1_000_000)

    def drip(answer: Answer) -> None:
        answer.raw(b"HTTP/1.1 200 OK\r\n" + (b"" if where == "head" else b"Content-Length: 5000\r\n\r\n"))
        for _ in range(60):
            answer.raw(b"X")
            time.sleep(0.05)

    front.fault = lambda asked: drip
    begun = time.monotonic()
    with line_to(front.address, node) as line, pytest.raises(Unreachable):
        line.push([])
    assert time.monotonic() - begun < 2


def test_a_slow_line_that_moves_is_waited_for(front, node, monkeypatch):
    monkeypatch.setattr(http_line, "SECONDS", 0.3)
    monkeypatch.setattr(http_line, "SLOWEST", 100)

    def slow(answer: Answer) -> None:
        body = json.dumps(GOOD | {"more": "x" * 400}).encode()
        answer.raw(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        for place in range(0, len(body), 60):
            answer.raw(body[place : place + 60])
            time.sleep(0.12)

    front.fault = lambda asked: slow
    begun = time.monotonic()
    with line_to(front.address, node) as line:
        assert line.push([])["held_through"] == 3
    assert time.monotonic() - begun > 0.6


def test_a_redirect_is_not_followed(front, node):
    with Front() as elsewhere:
        answering(elsewhere, 200, JSON, GOOD)
        answering(front, 302, {"Location": elsewhere.address + "/api/v1/exchange/items"})
        with line_to(front.address, node) as line, pytest.raises(Unreachable, match="HTTP 302"):
            line.push([])
        assert elsewhere.asked == []


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7), ("99999999", 86400), ("-5", None), ("Fri, 31 Dec 1999 23:59:59 GMT", None), ("", None)]
)
def test_who_asks_to_wait_is_waited_for(front, node, status, header, seconds):
    answering(front, status, {**PROBLEM, "Retry-After": header}, {"code": "api.unavailable", "detail": "Bận."})
    with line_to(front.address, node) as line, pytest.raises(PeerBusy) as caught:
        line.push([])
    assert caught.value.retry_after_s == seconds
    with line_to(front.address, node) as line, pytest.raises(PeerBusy):
        list(line.fetch(DIGEST, start=0))


@pytest.mark.parametrize(
    ("status", "headers", "body", "code"),
    [
        (409, PROBLEM, {"code": "exchange.not_linked", "detail": "Chưa liên kết."}, "exchange.not_linked"),
        (401, PROBLEM, {"code": "api.not_authenticated"}, "api.not_authenticated"),
        (500, PROBLEM, {"code": "api.failed"}, "api.failed"),
        (502, {"Content-Type": "text/html"}, b"<html>", None),
        (404, {"Content-Type": "text/html"}, b"<html>", None),
        (409, PROBLEM, {"code": "<script>"}, None),
        (409, PROBLEM, {"code": 5}, None),
        (409, PROBLEM, b"{", None),
    ],
    ids=range(8),
)
def test_a_refusal_of_a_node_carries_its_code_and_anything_else_is_no_answer(front, node, status, headers, body, code):
    answering(front, status, headers, body)
    with line_to(front.address, node) as line, pytest.raises(PeerRefused if code else Unreachable) as caught:
        line.push([])
    if code:
        assert caught.value.facts["code"] == code
    with line_to(front.address, node) as line:
        answering(front, 404, PROBLEM)
        with pytest.raises(PeerRefused) as caught:
            line.offered(DIGEST)
    assert caught.value.facts["code"] == "kernel.not_found"


@pytest.mark.parametrize("header", ["", "-1", "1.5", "1" * 30, "x"])
def test_an_offset_that_is_no_number_is_no_answer(front, node, header):
    answering(front, 200, {"Upload-Offset": header})
    with line_to(front.address, node) as line, pytest.raises(Unreachable):
        line.offered(DIGEST)


def test_a_file_is_read_from_where_it_was_left_whatever_the_other_side_makes_of_the_range(front, node, monkeypatch):
    monkeypatch.setattr(http_line, "PIECE", 1000)
    data = bytes(range(250)) * 20
    for status, headers, body in [
        (206, {"Content-Range": f"bytes 1234-{len(data) - 1}/{len(data)}"}, data[1234:]),
        (200, {}, data),
    ]:
        answering(front, status, headers, body)
        with line_to(front.address, node) as line:
            assert b"".join(line.fetch(DIGEST, start=1234)) == data[1234:]
    for headers in ({"Content-Range": "bytes 7-9/10"}, {}):
        answering(front, 206, headers, data)
        with line_to(front.address, node) as line, pytest.raises(Unreachable):
            list(line.fetch(DIGEST, start=1234))


def test_a_file_given_up_in_the_middle_is_not_taken_for_the_next_answer(front, node, monkeypatch):
    monkeypatch.setattr(http_line, "PIECE", 1000)

    def fault(asked):
        if asked.step == "fetch":
            return lambda answer: answer.give(200, {}, json.dumps(GOOD).encode() * 100_000)
        return lambda answer: answer.give(200, JSON, json.dumps({**GOOD, "held_through": 9}).encode())

    front.fault = fault
    with line_to(front.address, node) as line:
        pieces = line.fetch(DIGEST, start=0)
        next(pieces)
        assert line.push([])["held_through"] == 9
        pieces.close()
        assert line.push([])["held_through"] == 9


def test_nobody_listening_is_said_so(node):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with line_to(f"http://127.0.0.1:{port}", node) as line, pytest.raises(Unreachable, match="refused"):
        line.push([])


# --- addresses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("https://nut.example", ("https", "nut.example", 443, "")),
        ("https://nut.example:8443/hd/", ("https", "nut.example", 8443, "/hd")),
        ("https://[2001:db8::1]", ("https", "2001:db8::1", 443, "")),
        ("http://127.0.0.1:8000", ("http", "127.0.0.1", 8000, "")),
        ("http://localhost", ("http", "localhost", 80, "")),
        ("http://[::1]:1", ("http", "::1", 1, "")),
    ],
)
def test_addresses_that_may_be_spoken_to(address, found):
    assert check_address(address, name="x") == found


@pytest.mark.parametrize(
    "address",
    [
        "",
        "nut.example",
        "http://nut.example",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example",
        "http://127.0.0.2",
        "http://127.0.0.1@evil.example",
        "https://user:secret@nut.example",
        "https://nut.example/?a",
        "https://nut.example/#a",
        "https://nut.example:0",
        "https://nut.example:99999",
        "https://nut.example:x",
        "https://[::1",
        "https://nut example",
        "https://nut.example/a\r\nX: y",
        "file:///etc/passwd",
        "ftp://nut.example",
        "https://",
    ],
)
def test_addresses_that_may_not(address):
    with pytest.raises(PeerAddressUnusable):
        check_address(address, name="x")


# --- certificates ------------------------------------------------------------------------------------------------------


@pytest.fixture
def secure(tmp_path):
    """Give `serve(certificate)`: a front server with that certificate that answers well."""
    opened = []

    def serve(shown):
        front = Front(certificate=shown)
        answering(front, 200, JSON, GOOD)
        opened.append(front)
        return front

    yield serve
    for front in opened:
        front.close()


def test_one_of_several_pinned_certificates_is_enough(node, tmp_path, secure):
    old, new = certificate(tmp_path, "cu"), certificate(tmp_path, "moi")
    for shown in (old, new):
        with line_to(secure(shown).address, node, tls=[old.pin, new.pin.upper()]) as line:
            assert line.push([]) == GOOD


def test_another_certificate_than_the_pinned_one_is_told_nothing(node, tmp_path, secure):
    front = secure(certificate(tmp_path, "la"))
    with line_to(front.address, node, tls=["1" * 64]) as line, pytest.raises(WrongCertificate):
        line.push([])
    assert front.asked == []


def test_a_pin_is_not_made_up_for_by_an_authority_that_is_trusted(node, tmp_path, secure):
    authority = certificate(tmp_path, "goc")
    front = secure(certificate(tmp_path, "nut", by=authority))
    with override_settings(HIEPDONG_PEER_CA=str(authority.authority_path)):
        with line_to(front.address, node, tls=["1" * 64]) as line, pytest.raises(WrongCertificate):
            line.push([])
        with line_to(front.address, node) as line:
            assert line.push([]) == GOOD


def test_a_pinned_certificate_that_has_expired_still_holds_so_that_a_wrong_clock_cuts_no_line(node, tmp_path, secure):
    shown = certificate(tmp_path, "het-han", expired=True)
    with line_to(secure(shown).address, node, tls=[shown.pin]) as line:
        assert line.push([]) == GOOD


@pytest.mark.parametrize("wrong", ["expired", "host", "authority", "self-signed"])
def test_under_an_authority_an_expired_foreign_or_unknown_certificate_is_refused(node, tmp_path, secure, wrong):
    authority, other = certificate(tmp_path, "goc"), certificate(tmp_path, "goc-khac")
    by = {"authority": other, "self-signed": None}.get(wrong, authority)
    shown = certificate(
        tmp_path, "nut", by=by, expired=wrong == "expired", host="nut.example" if wrong == "host" else "127.0.0.1"
    )
    front = secure(shown)
    trusted = override_settings(HIEPDONG_PEER_CA=str(authority.authority_path))
    with trusted, line_to(front.address, node) as line, pytest.raises(WrongCertificate):
        line.push([])
    assert front.asked == []


def test_without_a_pin_and_an_authority_the_system_decides(node, tmp_path, secure):
    front = secure(certificate(tmp_path, "nut"))
    with line_to(front.address, node) as line, pytest.raises(WrongCertificate):
        line.push([])
    assert front.asked == []


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_an_authority_that_cannot_be_read_is_said_so_and_not_passed_over(node, tmp_path, content):
    path = tmp_path / "goc.crt"
    if content is not None:
        path.write_bytes(content)
    with override_settings(HIEPDONG_PEER_CA=str(path)), pytest.raises(AuthorityUnreadable):
        line_to("https://127.0.0.1:1", node).push([])


def test_an_old_protocol_is_refused(node, tmp_path):
    shown = certificate(tmp_path, "nut")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
    context.load_cert_chain(shown.path)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer():
            taken, _ = listening.accept()
            try:
                context.wrap_socket(taken, server_side=True).close()
            except OSError:
                taken.close()

        threading.Thread(target=answer, daemon=True).start()
        port = listening.getsockname()[1]
        with line_to(f"https://127.0.0.1:{port}", node, tls=[shown.pin]) as line, pytest.raises(Unreachable):
            line.push([])


def test_an_administrator_gets_the_pin_of_their_own_front_server(tmp_path, secure):
    shown = certificate(tmp_path, "nut", expired=True)
    assert pin_of("127.0.0.1", secure(shown).port) == shown.pin
    with Front() as plain, pytest.raises(Unreachable):
        pin_of("127.0.0.1", plain.port)


def test_the_pin_of_a_place_is_shown_by_a_command(tmp_path, secure):
    shown = certificate(tmp_path, "nut")
    place = f"127.0.0.1:{secure(shown).port}"
    call_command("link", "pin", place, stdout=(out := io.StringIO()))
    assert shown.pin in out.getvalue()
    assert " ".join(shown.pin[i : i + 8] for i in range(0, 64, 8)) in out.getvalue()
    call_command("link", "pin", place, "--json", stdout=(out := io.StringIO()))
    assert json.loads(out.getvalue()) == {"host": "127.0.0.1", "port": int(place[10:]), "sha256": shown.pin}


@pytest.mark.parametrize("text", ["", "a:b", "nut.example/x", "me@nut.example", "nut.example:0", "nut.example:70000", "[::1"])
def test_what_is_no_place_is_a_wrong_call(text):
    with pytest.raises(CommandError) as refusal:
        call_command("link", "pin", text)
    assert refusal.value.returncode == 2


def test_nobody_at_the_place_is_a_refusal():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(CommandError) as refusal:
        call_command("link", "pin", f"127.0.0.1:{port}")
    assert refusal.value.returncode == 1
