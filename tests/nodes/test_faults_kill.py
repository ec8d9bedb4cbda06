"""kill -9 at every step of sending, receiving, answering, applying what was staged, gathering files, a whole round.

After each kill the node is opened anew and the same is tried again: the end is that of a run that nobody disturbed. Operations
of other parts (import and export of bundles, backup) are added at the end of this file in the same way. All points, one by one:
HIEPDONG_TEST_KILLS=all.
"""

import hashlib
import os
import shutil
import tempfile
import uuid
from pathlib import Path

import pytest
from django.db import connection  # noqa: F401 - the condition of the skip

from hiepdong.documents.models import File, Series
from hiepdong.documents.services import keep_file, path_of
from hiepdong.exchange import answering, courier, files, intake, links, services
from hiepdong.exchange.domain.links import read_item
from hiepdong.exchange.models import Arrival, Bundle, Dispatch, LinkIncident, Parcel, Peer, Receipt
from hiepdong.journal.models import Entry
from hiepdong.web.services import react
from support.crash import sweep
from support.nodes import Node
from support.peer import SimulatedNode, claims, digest

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'sqlite'", reason="the node is on SQLite in every run; once is enough"),
]

A, HERE, ALSO = "l.huyen-uy", "t.don", "t.dang-uy"
EVERY = os.environ.get("HIEPDONG_TEST_KILLS") == "all"  # else the longest operations are killed at every second point


@pytest.fixture
def folder():
    found = Path(tempfile.mkdtemp(prefix="hiepdong-kill-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
    yield found
    shutil.rmtree(found, ignore_errors=True)


@pytest.fixture
def node(folder):
    made = Node("bien-phong", folder, vendor="sqlite", durable=True)
    made.found((HERE, "border_station", "Đồn"), (ALSO, "border_guard_party", "Đảng ủy"))
    with made:
        links.make_invitation(actor=None, at=made.clock())  # everybody has a key: else each run would draw another one
    yield made
    made.close()


@pytest.fixture
def peer(node):
    return SimulatedNode("xa", (A, "party_district", "Huyện ủy Kỳ Sơn")).link(node)


def observe():
    """Return everything that must be the same, however often the process died."""
    kept = sorted(File.objects.filter(kept=True).values_list("digest", flat=True))
    return {
        "papers": sorted(
            Dispatch.objects.values_list("uuid", "digest", "register_number", "replaces__uuid", "withdraws__uuid")
        ),
        "receipts": sorted(Receipt.objects.values_list("digest", "code")),
        "parcels": sorted(Parcel.objects.values_list("peer", "position", "kind", "digest")),
        "arrivals": sorted(Arrival.objects.values_list("position", "state", "code", "digest")),
        "marks": list(Peer.objects.values_list("sent_through", "confirmed_through", "held_through")),
        "numbers": sorted(Series.objects.values_list("organisation", "register", "year", "last_number")),
        "journal": sorted(Entry.objects.exclude(code="exchange.key.made").values_list("code", "subject_id")),
        "reactions": Entry.objects.filter(reacted_at=None).count(),
        "incidents": list(LinkIncident.objects.values_list("code", flat=True)),
        "files": [(d, hashlib.sha256(path_of(d).read_bytes()).hexdigest() == d) for d in kept],
    }


def killed(node, operation, *, least, step=1):
    kills = sweep(node, operation, observe, step=1 if EVERY else step)
    assert kills >= least, f"only {kills} points were found"
    with node:
        assert not LinkIncident.objects.exists()


def test_kill_at_every_step_of_sending_a_draft_with_a_file(node, peer):
    with node:
        actor, at = node.seat(HERE), node.clock()
        file = keep_file(data=b"abc", name="a.txt", media_type="text/plain", at=at)
        content = {
            "kind": "notice",
            "subject": "Báo cáo",
            "recipients": [{"organisation": A}, {"organisation": ALSO, "role": "copy"}],
            "body": {"text": "Nội dung"},
            "attachments": [{"name": "a.txt", "digest": file.digest, "size": 3, "media_type": "text/plain"}],
        }
        draft = services.save_draft(draft_id=None, content=content, actor=actor, at=at)
        react(at=at)

    def send():
        services.send_draft(draft_id=draft.pk, actor=actor, at=at)

    killed(node, send, least=25)
    with node:
        assert Dispatch.objects.count() == Parcel.objects.count() == 1


def test_kill_at_every_step_of_receiving(node, peer):
    node.send(HERE, [A], "Của đồn")
    with node:
        own = bytes(Dispatch.objects.get().signed)
    one, two = peer.dispatch(A, [HERE, ALSO]), peer.dispatch(A, [HERE])
    replaced = peer.dispatch(A, [HERE], replaces=claims(one)["id"])
    items = [
        peer.item(one),
        peer.item(peer.receipt(own, A), kind="receipt"),
        peer.item(replaced),
        peer.item(two),
        peer.item(peer.checkpoint(1, "x", 3), kind="checkpoint"),
        peer.item(peer.receipt(own, A, "acknowledged"), kind="receipt"),
    ]
    read = [read_item(i) for i in items]
    pk, at = peer.at(node).pk, node.clock()

    killed(node, lambda: answering.take(peer_id=pk, items=read, way="memory", at=at), least=50)
    with node:
        assert Dispatch.objects.count() == 4
        assert Receipt.objects.count() == 6


def test_kill_at_every_step_of_answering(node, peer):
    document = peer.dispatch(A, [HERE])
    peer.give(node, document)
    with node:
        actor, at = node.seat(HERE), node.clock()
    number = uuid.UUID(claims(document)["id"])

    def answer():
        services.acknowledge(dispatch_uuid=number, actor=actor, at=at)
        services.report_progress(dispatch_uuid=number, code="done", actor=actor, at=at)

    killed(node, answer, least=25)


def test_kill_at_every_step_of_applying_what_was_staged(node, peer):
    first = peer.dispatch(A, [HERE])
    documents = [first, *(peer.dispatch(A, [HERE], replaces=claims(first)["id"]) for _ in range(4))]
    with node:
        at = node.clock()
        bundle = Bundle.objects.create(
            uuid=uuid.uuid4(), peer=peer.at(node), outgoing=False, name="x.zip", digest="0" * 64, size=1, first=1, last=5,
            items=5, files=0, made_at=at, at=at, staged_at=at,
        )  # fmt: skip
        Arrival.objects.bulk_create(
            Arrival(peer=peer.at(node), position=i, kind="dispatch", digest=digest(d), way="bundle", state="staged", document=d,
                    bundle=bundle, received_at=at)
            for i, d in enumerate(documents, 1)
        )  # fmt: skip

    def apply():
        while intake.settle_staged(bundle_id=bundle.pk, at=at, limit=2):
            pass

    killed(node, apply, least=40, step=2)
    with node:
        assert Dispatch.objects.count() == 5


def test_kill_at_every_step_of_gathering_a_file(node, peer):
    data = os.urandom(3000)
    name = hashlib.sha256(data).hexdigest()
    attached = [{"name": "a.bin", "digest": name, "size": len(data), "media_type": "application/octet-stream"}]
    peer.give(node, peer.dispatch(A, [HERE], attachments=attached))
    at = node.clock()

    def gather():
        file, giver = File.objects.get(digest=name), Peer.objects.get()
        while not file.kept:
            have = files.gathered(file, giver)
            files.gather(file, giver, piece=data[have : have + 1000], start=have, at=at)
            file.refresh_from_db()

    killed(node, gather, least=20)
    with node:
        assert path_of(name).read_bytes() == data
        assert not list(path_of(name).parent.glob("*.part"))


def test_kill_at_every_step_of_a_round(node, peer):
    node.send(HERE, [A], "Của đồn")
    item = peer.item(peer.dispatch(A, [HERE]))
    clock = node.clock

    def do_round():
        line = peer.line(
            hello=peer.greeting(at="2020-03-16T03:00:00Z"),
            pull=lambda after: {"items": [item] if after < 1 else [], "sent_through": 1},
        )
        for _ in range(2):  # what the first round took is answered in the second
            courier.run(peer_id=Peer.objects.get().pk, transport=line, clock=lambda: clock.at)

    killed(node, do_round, least=30, step=2)
