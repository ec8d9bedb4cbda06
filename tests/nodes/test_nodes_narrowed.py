"""What nobody here might get waits for a regulation that binds its sender, and is taken by itself when one is in force."""

import pytest
from django.core.management import call_command

from hiepdong.exchange.models import Addressee, Arrival, Receipt
from hiepdong.regulations import services
from hiepdong.regulations.models import Instrument
from hiepdong.web.management.commands import work
from hiepdong.web.services import react
from nodes.test_nodes_joint import propose, sign
from support.joint import regulation_text
from support.nodes import two_nodes

pytestmark = pytest.mark.django_db(transaction=True)
STATION, OTHER, DISTRICT = "t.don-my-ly", "t.dang-uy-bdbp", "t.huyen-uy"


@pytest.fixture
def nodes(tmp_path, settings):
    guard, local = two_nodes(tmp_path)
    guard.send(STATION, [DISTRICT], "Của bên bị ràng buộc")
    guard.send(OTHER, [DISTRICT], "Của bên không bị ràng buộc")
    settings.HIEPDONG_SHARE_ONLY_BOUND = True
    guard.round(local)
    assert held(local) == [OTHER, STATION]
    return guard, local


def held(node):
    with node:
        rows = Arrival.objects.filter(state="held", code="exchange.nothing_to_share")
        return sorted(w.removeprefix("regulation:") for w in rows.values_list("waits_for", flat=True))


def agree(guard, local, text):
    digest = propose(local, text)
    sign(local, digest, DISTRICT)
    guard.round(local)
    sign(guard, digest, STATION)
    guard.round(local)
    with local:
        react(at=local.clock())  # what came into force in the round is a fact of its own
        assert Instrument.objects.count() == 1


def work_once(node, monkeypatch):
    monkeypatch.setattr(work.timezone, "now", node.clock)
    with node:
        call_command("work", "--once", verbosity=0)
    monkeypatch.undo()


def test_it_is_taken_when_the_last_signature_brings_the_regulation_into_force(nodes):
    guard, local = nodes
    agree(guard, local, regulation_text())
    assert held(local) == [OTHER]
    with local:
        assert [
            a.organisation.key for a in Addressee.objects.filter(dispatch__sender__key=STATION, dispatch__kind="notice")
        ] == [DISTRICT]
    guard.round(local)
    with guard:
        assert Receipt.objects.filter(addressee__dispatch__subject="Của bên bị ràng buộc", code="arrived").exists()


def test_a_regulation_that_does_not_bind_its_sender_changes_nothing(nodes):
    _guard, local = nodes
    with local:
        text = regulation_text(parties=((DISTRICT, "border_guard"), ("t.ubnd-xa", "locality")))
        services.load_instrument(file_bytes=text, name="r.toml", actor=None, at=local.clock())
        react(at=local.clock())
    assert held(local) == [OTHER, STATION]


def test_it_is_taken_on_the_day_on_which_a_regulation_that_was_loaded_before_comes_into_force(nodes, monkeypatch):
    guard, local = nodes
    start = local.clock()
    monkeypatch.setattr(guard, "clock", local.clock)
    day = start.replace(month=start.month + 1).date()
    agree(guard, local, regulation_text(effective_from=day.isoformat()))
    assert held(local) == [OTHER, STATION]
    work_once(local, monkeypatch)
    assert held(local) == [OTHER, STATION]
    local.clock.pass_(days=32)
    work_once(local, monkeypatch)
    assert held(local) == [OTHER]
