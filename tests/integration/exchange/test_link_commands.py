"""The commands of a node's operator: node, link, key. Exit code 0: done; 1: refused, with the reason; 2: wrong call."""

import base64
import hashlib
import json
import uuid
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from hiepdong.exchange import links
from hiepdong.exchange.models import Arrival, LinkIncident, Peer, Residence, SigningKey
from hiepdong.journal.models import Entry
from support.strangers import Stranger, at_home

pytestmark = pytest.mark.django_db


def run(*arguments):
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def facts(*arguments):
    return json.loads(run(*arguments, "--json"))


def refused(*arguments):
    with pytest.raises(CommandError) as error:
        run(*arguments)
    return error.value


@pytest.fixture
def now():
    return timezone.now().replace(microsecond=0)


@pytest.fixture
def founded(world, now):
    at_home(world.station, world.district, at=now)
    return world


@pytest.fixture
def far(now):
    return Stranger({"x.huyen": "Huyện ủy Xa"}, at=now)


def test_a_node_is_founded_once_with_the_bodies_named_and_all_below_them(world):
    found = facts("node", "found", "--name", "Nút biên phòng", "--speaker", world.province.key, "--under", world.province.key)
    assert found["speaker"] == world.province.key
    assert {o["key"] for o in found["organisations"]} == {world.province.key, world.station.key}
    assert found["keys"] == [links.node_key(timezone.now()).kid]
    assert refused("node", "found", "--name", "Lại", "--speaker", world.station.key).returncode == 1
    assert "Nút biên phòng" in run("node", "show")


def test_a_node_is_not_founded_on_what_is_not_known_or_under_an_address_that_nobody_can_use(world):
    assert "khong.co" in str(refused("node", "found", "--name", "N", "--speaker", "khong.co"))
    for address in ("ftp://x", "http://xa.example", "https://"):
        error = refused("node", "found", "--name", "N", "--speaker", world.station.key, "--address", address)
        assert error.returncode == 1, address
    assert refused("node", "show").returncode == 1
    assert not Residence.objects.exists()


def test_name_address_and_speaker_change_and_the_identity_stays(founded):
    before = facts("node", "show")
    after = facts("node", "set", "--name", "Nút mới", "--address", "https://bp.example/", "--speaker", founded.district.key)
    assert (after["name"], after["address"], after["speaker"]) == ("Nút mới", "https://bp.example", founded.district.key)
    assert (after["node"], after["keys"]) == (before["node"], before["keys"])
    assert facts("node", "set", "--address", "")["address"] == ""
    assert refused("node", "set").returncode == 2
    assert refused("node", "set", "--speaker", founded.outsider.key).returncode == 1  # it does not live here


def test_a_body_is_taken_home_and_released(founded):
    assert founded.outsider.key in {
        o["key"] for o in facts("node", "take", "--organisation", founded.outsider.key)["organisations"]
    }
    left = facts("node", "release", founded.outsider.key)
    assert founded.outsider.key not in {o["key"] for o in left["organisations"]}
    assert refused("node", "take").returncode == 2


def test_two_nodes_are_linked_by_commands_and_a_false_number_links_nothing(founded, far, tmp_path):
    written = tmp_path / "moi.jws"
    assert facts("link", "invite", "--out", str(written))["file"] == str(written)
    assert links.read_invitation(written.read_bytes()).name == "Nút biên phòng"
    theirs = tmp_path / "ho.jws"
    theirs.write_bytes(far.invitation() + b"\n")
    read = facts("link", "accept", str(theirs))
    assert read["state"] == "invited"
    assert read["organisations"] == ["x.huyen"]
    assert refused("link", "confirm", str(read["peer"]), *["00000"] * 6).returncode == 1
    assert Peer.objects.get().state == "invited"
    assert facts("link", "confirm", str(read["peer"]), *read["number"].split())["state"] == "linked"
    assert [row["name"] for row in facts("link", "list")] == [far.name]


def test_what_is_no_invitation_is_refused_and_a_file_that_is_not_there_is_a_wrong_call(founded, tmp_path):
    junk = tmp_path / "rac.jws"
    junk.write_bytes(b"\xff\x00 rac")
    assert refused("link", "accept", str(junk)).returncode == 1
    assert refused("link", "accept", str(tmp_path / "khong")).returncode == 2


def test_a_node_is_named_by_number_name_or_the_beginning_of_its_id(founded, far):
    peer = far.link()
    for name in (str(peer.pk), far.name, str(peer.node_id)[:8]):
        assert facts("link", "pause", name)["state"] == "paused"
        assert facts("link", "resume", name)["state"] == "linked"
    assert refused("link", "pause", "Nút nào").returncode == 1
    assert facts("link", "end", str(peer.pk))["state"] == "ended"
    assert refused("link", "resume", str(peer.pk)).returncode == 1


def test_showing_a_disturbed_link_ends_with_one_so_that_a_script_notices(founded, far, now):
    peer = far.link()
    Peer.objects.update(heard_at=now)
    assert facts("link", "show", str(peer.pk))["standing"] == "still"
    Peer.objects.update(heard_at=now - timedelta(days=4))
    with pytest.raises(SystemExit) as ended:
        run("link", "show", str(peer.pk))
    assert ended.value.code == 1


def test_what_is_held_is_listed_released_and_dismissed(founded, far):
    peer = far.link()
    far.position = 1
    far.gives(peer, *(far.paper("x.huyen", [founded.station.key], replaces=str(uuid.uuid4())) for _ in "ab"))
    first, second = facts("link", "held")
    assert first["code"] == "exchange.earlier_missing"
    assert "Huyện ủy Xa" in run("link", "held", str(peer.pk))
    assert facts("link", "release", str(first["id"]))["state"] == "applied"
    assert refused("link", "release", str(first["id"])).returncode == 1
    assert refused("link", "dismiss", str(second["id"]), "--reason", " ").returncode == 1
    assert facts("link", "dismiss", str(second["id"]), "--reason", "Nhầm nút")["state"] == "refused"
    assert [i["facts"]["reason"] for i in facts("link", "held", "--refused")] == ["Nhầm nút"]
    assert Arrival.objects.filter(forced_by="hiepdong").count() == 2


def test_an_incident_is_listed_and_noted_as_seen(founded, far, now):
    peer = far.link()
    links.note_incident(peer=peer, code="exchange.altered", facts={"dispatch": "d"}, at=now)
    (incident,) = facts("link", "incidents")
    assert (incident["code"], incident["seen_at"]) == ("exchange.altered", None)
    assert facts("link", "seen", str(incident["id"]))["seen_at"]
    assert LinkIncident.objects.get().seen_by == "hiepdong"
    assert Entry.objects.filter(code="exchange.incident.seen").exists()


def test_a_pinned_certificate_is_given_as_a_file_or_as_its_digest(founded, far, tmp_path):
    peer = far.link()
    der = b"\x30\x03\x02\x01\x05"
    pem = tmp_path / "may.pem"
    pem.write_text(f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(der).decode()}\n-----END CERTIFICATE-----\n")
    wanted = hashlib.sha256(der).hexdigest()
    assert facts("node", "pin", str(peer.pk), "--certificate", str(pem))["tls"] == [wanted]
    assert facts("node", "pin", str(peer.pk), "--sha256", wanted.upper())["tls"] == [wanted]
    assert refused("node", "pin", str(peer.pk), "--sha256", "abc").returncode == 1
    pem.write_text("no certificate")
    assert refused("node", "pin", str(peer.pk), "--certificate", str(pem)).returncode == 1
    assert facts("node", "pin", str(peer.pk))["tls"] == []


def test_keys_are_listed_renewed_and_revoked_with_a_reason(founded, far, now):
    far.link()
    assert facts("key", "list") == []
    first = facts("key", "rotate", founded.station.key)
    second = facts("key", "rotate", founded.station.key)
    assert [k["kid"] for k in facts("key", "list")] == [second["kid"]]
    assert {k["kid"] for k in facts("key", "list", "--all")} >= {first["kid"], second["kid"]}
    SigningKey.objects.filter(kid=second["kid"]).update(valid_until=now + timedelta(days=6))
    assert facts("key", "list")[0]["warning_days"] == 7
    assert refused("key", "revoke", "--reason", "", "--", second["kid"]).returncode == 1
    after = json.loads(run("key", "revoke", "--json", "--reason", "Mất máy tính", "--", second["kid"]))
    assert after["kid"] not in {first["kid"], second["kid"]}
    assert SigningKey.objects.get(kid=second["kid"]).revoked_because == "Mất máy tính"
    assert refused("key", "revoke", "khong-co", "--reason", "x").returncode == 1
    assert refused("key", "rotate", "x.huyen").returncode == 1
