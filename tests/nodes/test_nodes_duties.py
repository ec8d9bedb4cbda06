"""What arrives from another node does what a paper of this node does: duties, returns, corrections."""

from datetime import date

import pytest

from hiepdong.duties.models import Duty
from hiepdong.duties.services import make_duties
from hiepdong.exchange import services
from hiepdong.exchange.models import Addressee, Dispatch
from hiepdong.web.services import react
from support.make import KEY, MADE_AT, notice, regulation
from support.nodes import two_nodes

pytestmark = pytest.mark.django_db(transaction=True)
REFERENCE = f"{KEY}/thang/t.don-my-ly/t.huyen-uy/2020-03"


def bound(*nodes):
    for node in nodes:
        with node:
            sides = [(node.body("t.don-my-ly"), "border_guard"), (node.body("t.huyen-uy"), "locality")]
            regulation(sides[0][0], sides)
            make_duties(instrument_key=KEY, until=date(2020, 5, 14), actor=None, at=MADE_AT)


def fulfilled(*nodes):
    found = []
    for node in nodes:
        with node:
            found.append(Duty.objects.get(reference=REFERENCE).fulfilled_at is not None)
    return found


def test_a_report_fulfils_its_duty_on_both_nodes_and_a_return_opens_it_again_on_both(tmp_path):
    guard, local = two_nodes(tmp_path)
    bound(guard, local)
    sent = guard.send("t.don-my-ly", ["t.huyen-uy"], answers=[REFERENCE])
    assert fulfilled(guard, local) == [True, False]
    guard.round(local)
    assert fulfilled(guard, local) == [True, True]
    with local:
        services.return_dispatch(dispatch_uuid=sent, reason="Thiếu số liệu", actor=local.seat("t.huyen-uy"), at=local.clock())
        react(at=local.clock())
    assert fulfilled(guard, local) == [True, False]
    guard.round(local)
    assert fulfilled(guard, local) == [False, False]
    with guard:
        assert Addressee.objects.get().return_reason == "Thiếu số liệu"
        again = notice(
            guard.body("t.don-my-ly"), [guard.body("t.huyen-uy")], answers=[REFERENCE], replaces=Dispatch.objects.get()
        )
        services.send(item=again, actor=guard.seat("t.don-my-ly"), at=guard.clock())
        react(at=guard.clock())
    guard.round(local)
    assert fulfilled(guard, local) == [True, True]
