"""Two nodes upgraded apart: what this version writes is read for ever; what the next one writes waits, whole, and passes then.

`format_1.jsonl` was made once, by a node that is gone: its invitation, then its items. It is never made anew. A version that
cannot take all of it as it stands has broken the promise of format 1.
"""

import hashlib
import json
import uuid
from pathlib import Path

import pytest

from hiepdong.exchange import answering, intake, links, queries
from hiepdong.exchange.domain import envelope
from hiepdong.exchange.domain.links import read_item
from hiepdong.exchange.models import Arrival, Dispatch, LinkIncident, Peer, Receipt, SigningKey
from hiepdong.organisations.models import Organisation
from support.nodes import Node
from support.peer import SimulatedNode, claims

pytestmark = pytest.mark.django_db(transaction=True)

A, HERE = "l.huyen-uy", "t.don"
GOLDEN = Path(__file__).with_name("format_1.jsonl")
DIGEST = "9f0d046f51e668e16918f4fefd5ea8014c3779b1575dfbd94594035780dff167"


@pytest.fixture
def node(tmp_path):
    return Node("bien-phong", tmp_path).found((HERE, "border_station", "Đồn"))


@pytest.fixture
def peer(node):
    return SimulatedNode("xa", (A, "party_district", "Huyện ủy Kỳ Sơn")).link(node)


def test_the_documents_of_format_1_are_those_that_were_made_once():
    assert hashlib.sha256(GOLDEN.read_bytes()).hexdigest() == DIGEST


def test_everything_of_format_1_is_taken_by_this_version(node):
    head, *items = [json.loads(line) for line in GOLDEN.read_text("utf-8").splitlines()]
    with node:
        invitation = links.read_invitation(head["invitation"].encode())
        peer = links.accept_invitation(document=head["invitation"].encode(), actor=None, at=node.clock())
        number = links.number_with(invitation.kid, node.clock())
        links.confirm_peer(peer_id=peer.pk, number=number, actor=None, at=node.clock())
        read = [read_item(i) for i in items]
        answer = answering.take(peer_id=peer.pk, items=read, way="memory", at=node.clock())
        assert [(r["state"], r["code"]) for r in answer["results"]] == [("applied", "")] * len(items)
        assert not LinkIncident.objects.exists()
        kinds = sorted(Dispatch.objects.values_list("kind", flat=True))
        assert kinds == ["directory", "nil_report", "notice", "notice", "notice", "notice", "notice", "report", "withdrawal"]
        codes = Receipt.objects.filter(addressee__organisation__key="chuan.xa").values_list("code", flat=True)
        assert sorted(codes) == ["acknowledged", "arrived", "done", "in_work"]
        assert Organisation.objects.filter(key="chuan.xa-moi").exists()
        assert SigningKey.objects.filter(organisation__key="chuan.xa", revoked_at__isnull=False).count() == 1
        for dispatch in Dispatch.objects.all():
            assert bytes(dispatch.signed) in {i.document for i in read}
            assert queries.content_of(dispatch).id == str(dispatch.uuid)
        unknown = next(d for d in Dispatch.objects.all() if "x-tương-lai" in claims(bytes(d.signed)))
        assert queries.content_of(unknown).extra == {"x-tương-lai": {"a": [1, 2.5, None, True]}}
        assert len(Arrival.objects.get(position=items[-1]["position"]).hops) == 1


def test_a_kind_of_paper_that_the_old_node_does_not_know_waits_whole_and_passes_after_its_upgrade(node, peer, monkeypatch):
    monkeypatch.setattr(envelope, "KINDS", tuple(k for k in envelope.KINDS if k != "nil_report"))  # the version before
    new = peer.dispatch(A, [HERE], kind="nil_report", body={"form": "thang"})
    after = peer.dispatch(A, [HERE])
    assert peer.state_of(node, new, after) == [("held", "exchange.newer_kind"), ("applied", "")]
    assert peer.at(node).held_through == 2
    with node:
        assert bytes(Arrival.objects.get(state="held").document) == new
        assert intake.judge_anew(at=node.clock()) == 0  # not upgraded yet: it goes on waiting
    monkeypatch.undo()  # upgraded
    with node:
        assert intake.judge_anew(at=node.clock()) == 1
        assert sorted(Dispatch.objects.values_list("kind", flat=True)) == ["nil_report", "notice"]
        assert Receipt.objects.count() == 2
    assert peer.incidents(node) == []


def test_a_newer_format_and_a_newer_kind_of_item_wait_whole_and_hold_up_nothing(node, peer):
    next_format = peer.dispatch(A, [HERE], changes={"format": "hiepdong.dispatch/2", "recipients": "not as we know them"})
    telegram = peer.sign({"format": "hiepdong.telegram/1"}, "hiepdong.telegram+json", peer.keys[A])
    items = [
        peer.item(next_format),
        peer.item(telegram, kind="telegram"),
        peer.item(peer.sign({"format": "hiepdong.receipt/7"}, "hiepdong.receipt+json", peer.keys[A]), kind="receipt"),
        peer.item(peer.receipt(next_format, A, "forwarded"), kind="receipt"),
        peer.item(peer.dispatch(A, [HERE])),
    ]
    assert peer.state_of(node, *items) == [
        ("held", "exchange.newer_format"),
        ("held", "exchange.unknown_kind"),
        ("held", "exchange.newer_format"),
        ("held", "exchange.newer_kind"),
        ("applied", ""),
    ]
    with node:
        kept = {bytes(d) for d in Arrival.objects.filter(state="held").values_list("document", flat=True)}
        assert kept == {i["document"].encode() for i in items[:4]}
        assert set(Arrival.objects.filter(state="held").values_list("waits_for", flat=True)) == {"version"}
        assert Peer.objects.get().held_through == 5
    assert peer.incidents(node) == []


def test_unknown_members_of_receipts_and_statements_are_kept_as_signed(node, peer):
    node.send(HERE, [A], "Của đồn")
    with node:
        own = bytes(Dispatch.objects.get().signed)
    receipt = peer.receipt(own, A, **{"x": {"y": 1}})
    assert peer.state_of(node, receipt, kind="receipt") == [("applied", "")]
    with node:
        assert bytes(Receipt.objects.get().signed) == receipt
    assert uuid.UUID(claims(receipt)["dispatch"])
