"""Linking by a secret address: over a real line, with what may be at its other end; and the far end that gives it."""

import io
import json
import time
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from hiepdong.exchange import http_line, invitation_address, links
from hiepdong.exchange.models import InvitationAddress, Peer
from hiepdong.exchange.transport import Unreachable
from hiepdong.journal.models import Entry
from hiepdong.kernel.errors import NotAllowed, NotFound
from support.line import Front, certificate, served
from support.machine import forget_rates, is_problem
from support.make import entered
from support.nodes import Clock, Node

pytestmark = pytest.mark.django_db(transaction=True)
STATION, DISTRICT = "t.don-my-ly", "t.huyen-uy"
JOSE = {"Content-Type": "application/jose"}
TOKEN = "a" * 26


@pytest.fixture
def guard(tmp_path):
    return Node("bien-phong", tmp_path, clock=Clock(timezone.now())).found((STATION, "border_station", "Đồn"))


@pytest.fixture
def local(tmp_path):
    return Node("dia-phuong", tmp_path, clock=Clock(timezone.now())).found((DISTRICT, "party_district", "Huyện ủy"))


@contextmanager
def front(tmp_path, fault=None, backend=""):
    """A front server with a certificate of its own, at its address."""
    there = Front(backend, certificate=certificate(tmp_path, "nut", expired=True))
    there.fault = fault
    try:
        yield there, f"https://127.0.0.1:{there.port}"
    finally:
        there.close()


def gives(status, headers, body=b""):
    return lambda asked: lambda answer: answer.give(status, headers, body)


def offered(node, address="https://nut.example"):
    with node:
        links.set_node(address=address, actor=None, at=node.clock())
        return invitation_address.offer(actor=None, at=node.clock())


def ask(node, token, **headers):
    with node:
        return Client(headers=headers).get(f"{http_line.INVITATIONS}{token}")


# --- over a line -----------------------------------------------------------------------------------------------------------


def test_two_nodes_link_by_an_address_that_one_reads_out(guard, local, tmp_path):
    with served(guard, HIEPDONG_HOSTS="127.0.0.1") as backend, front(tmp_path, backend=backend) as (there, base):
        address = offered(guard, base)
        with local:
            call_command("link", "accept", "--address", f"  {address} ", "--json", stdout=(out := io.StringIO()))
        said = json.loads(out.getvalue())
        with local, pytest.raises(CommandError) as refusal:
            call_command("link", "accept", "--address", address[:-1] + ("2" if address[-1] != "2" else "3"))
        assert refusal.value.returncode == 1
        assert [a.path for a in there.asked][:1] == [address.removeprefix(base)]
        assert not {"authorization", "cookie", "referer"} & {k.lower() for a in there.asked for k in a.headers}
    with guard:
        links.accept_invitation(document=_of(local), actor=None, at=guard.clock())
        assert links.number_with(links.read_invitation(_of(local)).kid, guard.clock()) == said["number"]
        assert InvitationAddress.objects.get().fetches_left == 2
        assert Entry.objects.filter(code="exchange.invitation_address.fetched").count() == 1
    with local:
        peer = Peer.objects.get()
        assert peer.state == "invited", "nothing is taken before the number was compared"
        links.confirm_peer(peer_id=peer.pk, number=said["number"], actor=None, at=local.clock())


def _of(node):
    with node:
        return links.make_invitation(actor=None, at=node.clock())


def test_another_key_in_the_line_shows_in_the_number(guard, local, tmp_path):
    liar = Node("ke-gian", tmp_path, clock=Clock(timezone.now())).found((STATION, "border_station", "Đồn"))
    with front(tmp_path, gives(200, JOSE, _of(liar))) as (_there, base), local:
        peer = invitation_address.accept(address=f"{base}{http_line.INVITATIONS}{TOKEN}", actor=None, at=local.clock())
        with guard:
            mine = links.number_with(links.read_invitation(_of(local)).kid, guard.clock())
        with pytest.raises(links.PairNumberDiffers):
            links.confirm_peer(peer_id=peer.pk, number=mine, actor=None, at=local.clock())


@pytest.mark.parametrize(
    ("status", "headers", "body", "error"),
    [
        (302, {"Location": "https://127.0.0.1/x"}, b"", Unreachable),
        (404, {}, b"", http_line.InvitationNotThere),
        (500, {}, b"x", Unreachable),
        (206, JOSE, b"x", Unreachable),
        (200, JOSE, b"x" * 100, links.InvitationUnusable),
        (200, JOSE, b"", links.InvitationUnusable),
        (200, JOSE | {"Content-Encoding": "gzip"}, b"\x1f\x8b", links.InvitationUnusable),
        (200, JOSE, b"x" * (http_line.LARGEST_INVITATION + 1), Unreachable),
    ],
)
def test_whatever_else_answers_is_refused_and_nothing_is_kept(local, tmp_path, status, headers, body, error):
    with front(tmp_path, gives(status, headers, body)) as (there, base), local:
        with pytest.raises(error):
            invitation_address.accept(address=f"{base}{http_line.INVITATIONS}{TOKEN}", actor=None, at=local.clock())
        assert len(there.asked) == 1
        assert not Peer.objects.exists()


def test_who_drips_byte_by_byte_is_left_after_the_longest_time(local, tmp_path, monkeypatch):
    monkeypatch.setattr(http_line, "INVITATION_S", 0.5)

    def drip(asked):
        def do(answer):
            answer.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            for _ in range(200):
                answer.raw(b"x")
                time.sleep(0.05)

        return do

    with front(tmp_path, drip) as (_there, base), local:
        before = time.monotonic()
        with pytest.raises(Unreachable):
            http_line.invitation_at(f"{base}{http_line.INVITATIONS}{TOKEN}")
        assert time.monotonic() - before < 5


@pytest.mark.parametrize(
    "address",
    [
        "",
        "x",
        "http://127.0.0.1:1/api/v1/exchange/invitations/" + TOKEN,
        "https://nut.example/",
        "https://nut.example/api/v1/exchange/invitations/",
        "https://nut.example/api/v1/exchange/invitations/" + TOKEN + "/x",
        "https://nut.example/api/v1/exchange/invitations/" + TOKEN + "?x=1",
        "https://nut.example/../api/v1/exchange/invitations/" + TOKEN,
        "https://me:x@nut.example/api/v1/exchange/invitations/" + TOKEN,
        "https://nut.example/admin?x=/api/v1/exchange/invitations/" + TOKEN,
        "https://nut.example/a\r\nHost: b/api/v1/exchange/invitations/" + TOKEN,
        "file:///api/v1/exchange/invitations/" + TOKEN,
    ],
)
def test_only_an_address_of_an_invitation_is_asked(local, address):
    with local, pytest.raises(http_line.InvitationAddressUnusable):
        invitation_address.accept(address=address, actor=None, at=local.clock())


@pytest.mark.parametrize("role", ["viewer", "clerk", "signer", "organisation_administrator"])
def test_nobody_but_who_runs_the_node_makes_it_fetch_anything(local, tmp_path, role):
    with front(tmp_path, gives(200, JOSE, b"x")) as (there, base), local:
        address = f"{base}{http_line.INVITATIONS}{TOKEN}"
        with pytest.raises(NotAllowed):
            invitation_address.accept(address=address, actor=local.seat(DISTRICT, role), at=local.clock())
        asked = {"do": "accept", "address": address}
        assert entered(local.seat(DISTRICT, role)).post(reverse("exchange:link_new"), asked).status_code == 403
        assert there.asked == []


# --- the far end -----------------------------------------------------------------------------------------------------------


def test_an_address_gives_three_times_and_keeps_only_a_digest(guard):
    address = offered(guard)
    token = address.rpartition("/")[2]
    with guard:
        assert token not in str(InvitationAddress.objects.values().get())
        assert not Entry.objects.filter(facts__icontains=token).exists()
    found = [ask(guard, t) for t in (token, token.upper(), token)]
    assert [a.status_code for a in found] == [200, 200, 200]
    assert {a.headers["Content-Type"] for a in found} == {"application/jose"}
    assert {a.headers["Cache-Control"] for a in found} == {"no-store"}
    with guard:
        assert links.read_invitation(found[0].content).node_id == links.this_node().node_id
    is_problem(ask(guard, token), 404, "kernel.not_found")


def test_an_unknown_an_expired_and_an_ended_address_are_answered_alike(guard):
    forget_rates()
    tokens = [offered(guard).rpartition("/")[2] for _ in range(2)]
    with guard:
        first = InvitationAddress.objects.order_by("id").first()
        invitation_address.end(address_id=first.pk, actor=None, at=guard.clock())
        invitation_address.end(address_id=first.pk, actor=None, at=guard.clock())
        InvitationAddress.objects.exclude(pk=first.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
        assert not invitation_address.open_addresses(at=timezone.now()).exists()
        with pytest.raises(NotFound):
            invitation_address.end(address_id=0, actor=None, at=guard.clock())
    answers = [ask(guard, t) for t in (*tokens, TOKEN, "x", "đ")]
    assert len({(a.status_code, a.content) for a in answers}) == 1
    is_problem(answers[0], 404, "kernel.not_found")
    forget_rates()


def test_who_tries_addresses_is_slowed_down(guard):
    forget_rates()
    codes = [ask(guard, TOKEN).status_code for _ in range(25)]
    assert set(codes[:20]) == {404}
    assert codes[-1] == 429
    address = offered(guard)
    assert ask(guard, address.rpartition("/")[2]).status_code == 200, "who knows one is not locked out by others"
    with guard:
        is_problem(Client().delete(f"{http_line.INVITATIONS}{TOKEN}"), 405, "api.method_not_allowed")
    forget_rates()


def test_a_node_that_nobody_can_reach_gives_no_address(guard):
    with guard:
        with pytest.raises(invitation_address.NoAddress):
            invitation_address.offer(actor=None, at=guard.clock())
        assert not InvitationAddress.objects.exists()


def test_an_address_is_made_shown_once_and_ended_on_the_page(guard):
    offered(guard)
    with guard:
        browser = entered(guard.seat(STATION, "node_administrator"))
        shown = browser.post(reverse("exchange:link_new"), {"do": "address"}, follow=True).content.decode()
        assert shown.count('value="https://nut.example/api/v1/exchange/invitations/') == 1
        again = browser.get(reverse("exchange:link_new")).content.decode()
        assert 'value="https://nut.example' not in again
        assert again.count(reverse("exchange:address_end", args=[1])) == 1
        for each in InvitationAddress.objects.all():
            browser.post(reverse("exchange:address_end", args=[each.pk]))
        assert not invitation_address.open_addresses(at=timezone.now()).exists()
        wrong = browser.post(reverse("exchange:link_new"), {"do": "accept", "address": "https://nut.example/x"})
        assert wrong.status_code == 422
        assert 'value="https://nut.example/x"' in wrong.content.decode()


def test_addresses_are_made_listed_and_ended_by_command(guard):
    offered(guard)
    with guard:
        call_command("link", "invite", "--address", "--json", stdout=(out := io.StringIO()))
        assert json.loads(out.getvalue())["address"].startswith("https://nut.example/api/v1/exchange/invitations/")
        call_command("link", "addresses", "--json", stdout=(out := io.StringIO()))
        listed = json.loads(out.getvalue())
        assert [a["left"] for a in listed] == [3, 3]
        call_command("link", "addresses", "--end", str(listed[0]["id"]), "--json", stdout=(out := io.StringIO()))
        assert [a["id"] for a in json.loads(out.getvalue())] == [listed[1]["id"]]
        for wrong in (["link", "accept"], ["link", "accept", "x.jws", "--address", "https://x"]):
            with pytest.raises(CommandError) as refusal:
                call_command(*wrong)
            assert refusal.value.returncode == 2
