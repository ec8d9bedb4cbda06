"""Two and three nodes under everything at once; after healing both sides of each link hold the same, each item once.

A state machine chooses what people and faults do: papers, replacements, withdrawals, answers, rounds that are cut before or
after any step, requests that come twice or backwards, a node put back to an older copy, clocks that jump by years, paused
links, new keys. Then the lines are good again, and everything must be equal.

HIEPDONG_TEST_MACHINE=long lets it run for minutes.
"""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from django.db import connection
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from hiepdong.exchange import intake, links, services
from hiepdong.exchange.models import Addressee, Arrival, Dispatch, LinkIncident, Parcel, Peer, Receipt
from hiepdong.exchange.models import Node as ThisNode
from hiepdong.exchange.transport import PeerRefused, Unreachable
from support.make import notice
from support.nodes import MemoryLine, Node, link

pytestmark = pytest.mark.django_db(transaction=True)

LONG = os.environ.get("HIEPDONG_TEST_MACHINE") == "long"
STEPS = ("hello", "echo", "push", "pull", "held")
# What may stand on a link although nobody lied: a node that was put back says so, and so do the numbers it had given out.
AFTER_RESTORE = {"exchange.peer_restored", "exchange.restored_from_backup", "exchange.own_key_lost"}


class BadLine(MemoryLine):
    """Some requests come twice, some backwards."""

    def __init__(self, near, far, *, twice=False, backwards=False, **cuts):
        super().__init__(near, far, **cuts)
        self.twice, self.backwards = twice, backwards

    def push(self, items):
        sent = list(reversed(items)) if self.backwards else items
        answer = super().push(sent)
        return super().push(sent) if self.twice else answer


class Machine(RuleBasedStateMachine):
    relayed = False

    @initialize()
    def make(self):
        self.folder = Path(tempfile.mkdtemp(prefix="hiepdong-machine-"))
        self.nodes = [
            Node("mot", self.folder, vendor="sqlite").found(("a.don", "border_station", "Đồn"), ("a.to", "other", "Tổ")),
            Node("hai", self.folder).found(("b.huyen", "party_district", "Huyện ủy")),
        ]
        if self.relayed:
            self.nodes.append(Node("ba", self.folder, vendor="sqlite").found(("c.xa", "peoples_committee_commune", "Xã")))
        link(*self.nodes)
        self.lines = [(0, 1)]
        if self.relayed:
            self.lines.append((2, 1))
            for near, far in ((0, 2), (2, 0)):
                with self.nodes[near]:
                    relay = Peer.objects.get(name="hai")
                    Peer.objects.filter(pk=relay.pk).update(may_relay=True)
                    Peer.objects.filter(name=self.nodes[far].name).update(via=relay)
            with self.nodes[1]:
                Peer.objects.update(may_relay=True)
        self.bodies = {0: ["a.don", "a.to"], 1: ["b.huyen"], 2: ["c.xa"]}
        self.sent: dict[int, list[str]] = {0: [], 1: [], 2: []}
        self.copies: dict[int, Path] = {}
        self.restored = self.rotated = False
        self.everything: dict[str, str] = {}

    def teardown(self):
        if hasattr(self, "folder"):
            try:
                self.heal()
            finally:
                for node in self.nodes:
                    node.close()
                shutil.rmtree(self.folder, ignore_errors=True)

    # --- people ------------------------------------------------------------------------------------------------------------

    def _others(self, i):
        return [b for j, bodies in self.bodies.items() if j != i and j < len(self.nodes) for b in bodies]

    def _send(self, i, sender, to, **more):
        node = self.nodes[i]
        with node:
            at = node.clock()
            item = notice(node.body(sender), [node.body(k) for k in to], f"Văn bản {len(self.everything)}", sent_at=at, **more)
            try:
                sent = services.send(item=item, actor=node.seat(sender), at=at)
            except links.NodeRecovering:
                return
            self.sent[i].append(str(sent.uuid))
            self.everything[str(sent.uuid)] = sent.digest

    def _a_node(self, data):
        return data.draw(st.integers(0, len(self.nodes) - 1))

    @rule(data=st.data())
    def send(self, data):
        i = self._a_node(data)
        to = data.draw(st.lists(st.sampled_from(self._others(i)), min_size=1, max_size=3, unique=True))
        self._send(i, data.draw(st.sampled_from(self.bodies[i])), to)

    @rule(data=st.data())
    def replace(self, data):
        i = self._a_node(data)
        with self.nodes[i]:
            own = list(
                Dispatch.objects.filter(uuid__in=self.sent[i])
                .exclude(kind="withdrawal")
                .select_related("sender")
                .order_by("id")
            )
        if own:
            old = data.draw(st.sampled_from(own))
            to = data.draw(st.lists(st.sampled_from(self._others(i)), min_size=1, max_size=3, unique=True))
            self._send(i, old.sender.key, to, replaces=old)

    @rule(data=st.data())
    def withdraw(self, data):
        i = self._a_node(data)
        node = self.nodes[i]
        with node:
            own = list(Dispatch.objects.filter(uuid__in=self.sent[i], kind="notice").select_related("sender").order_by("id"))
            if own:
                old = data.draw(st.sampled_from(own))
                try:
                    made = services.withdraw(
                        dispatch_uuid=old.uuid, reason="Nhầm", actor=node.seat(old.sender.key), at=node.clock()
                    )
                    self.everything[str(made.uuid)] = made.digest
                except links.NodeRecovering:
                    pass

    @rule(data=st.data(), code=st.sampled_from(["acknowledged", "returned", "in_work", "done"]))
    def answer(self, data, code):
        i = self._a_node(data)
        node = self.nodes[i]
        with node:
            here = Addressee.objects.filter(organisation__key__in=self.bodies[i], arrived_at__isnull=False)
            here = list(here.exclude(dispatch__sender__key__in=self.bodies[i]).select_related("dispatch", "organisation"))
            if not here:
                return
            a = data.draw(st.sampled_from(sorted(here, key=lambda a: a.dispatch.digest)))
            actor, at = node.seat(a.organisation.key), node.clock()
            try:
                if code == "acknowledged":
                    services.acknowledge(dispatch_uuid=a.dispatch.uuid, actor=actor, at=at)
                elif code == "returned":
                    services.return_dispatch(dispatch_uuid=a.dispatch.uuid, reason="Thiếu", actor=actor, at=at)
                else:
                    services.report_progress(dispatch_uuid=a.dispatch.uuid, code=code, actor=actor, at=at)
            except (services.AlreadyAnswered, links.NodeRecovering):
                pass

    @rule(data=st.data())
    def rotate(self, data):
        i = self._a_node(data)
        with self.nodes[i]:
            if ThisNode.objects.get().state == "recovering":
                return
            body = self.nodes[i].body(data.draw(st.sampled_from(self.bodies[i])))
            links.rotate_key(organisation=body, actor=None, at=self.nodes[i].clock())
        self.rotated = True

    # --- lines -------------------------------------------------------------------------------------------------------------

    def _round(self, near, far, **faults):
        try:
            self.nodes[near].round(self.nodes[far], BadLine(self.nodes[near], self.nodes[far], **faults))
        except (Unreachable, PeerRefused, intake.NotLinked):
            return False
        return True

    @rule(
        data=st.data(), turned=st.booleans(), twice=st.booleans(), backwards=st.booleans(),
        step=st.sampled_from((*STEPS, None)), when=st.sampled_from(["before", "after"]),
    )  # fmt: skip
    def round(self, data, turned, twice, backwards, step, when):
        near, far = data.draw(st.sampled_from(self.lines))
        if turned:
            near, far = far, near

        def cut(name):
            if name == step:
                raise Unreachable(name="x", why="cut")

        self._round(near, far, twice=twice, backwards=backwards, **{when: cut})

    @rule(data=st.data())
    def pause_or_take_up(self, data):
        near, far = data.draw(st.sampled_from(self.lines))
        node, peer = self.nodes[near], self.nodes[near].peer(self.nodes[far])
        with node:
            state = "linked" if peer.state == "paused" else "paused"
            links.set_state(peer_id=peer.pk, state=state, actor=None, at=node.clock())

    # --- machines ------------------------------------------------------------------------------------------------------------

    @rule(data=st.data(), years=st.integers(-2, 2), seconds=st.integers(-10_000, 10_000))
    def clock_jumps(self, data, years, seconds):
        node = self.nodes[self._a_node(data)]
        moved = node.clock.at.year + years
        if 2012 <= moved <= 2022:
            node.clock.at = node.clock.at.replace(year=moved, day=min(node.clock.at.day, 28))
        node.clock.pass_(seconds=seconds)

    @precondition(lambda self: not self.relayed)
    @rule()
    def back_up(self):
        self.copies[0] = self.nodes[0].copy_database(self.folder / "copy")

    @precondition(lambda self: not self.relayed and self.copies)
    @rule()
    def restore(self):
        node = self.nodes[0]
        with node:
            known = {str(u) for u in Dispatch.objects.filter(uuid__in=self.everything).values_list("uuid", flat=True)}
        node.put_back(self.copies[0])
        with node:
            links.mark_restored(at=node.clock())
            kept = {str(u) for u in Dispatch.objects.filter(uuid__in=known).values_list("uuid", flat=True)}
        with self.nodes[1]:
            there = {str(u) for u in Dispatch.objects.filter(uuid__in=known).values_list("uuid", flat=True)}
            there |= {str(s) for s in Arrival.objects.exclude(subject="").values_list("subject", flat=True)}
        for lost in set(self.everything) & (known - kept - there):
            del self.everything[lost]  # nobody else ever had it: that is what a backup cannot give back
        self.sent[0] = [u for u in self.sent[0] if u in self.everything]
        self.restored = True

    # --- what must hold ------------------------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_doubled(self):
        for node in getattr(self, "nodes", ()):
            with node:
                for peer in Peer.objects.all():
                    assert peer.confirmed_through <= peer.sent_through
                    positions = list(
                        Arrival.objects.filter(peer=peer, position__lte=peer.held_through).values_list("position", flat=True)
                    )
                    assert len(positions) == len(set(positions)) == peer.held_through

    def heal(self):
        if not hasattr(self, "lines"):
            return
        for near, far in self.lines:
            for one, other in ((near, far), (far, near)):
                peer = self.nodes[one].peer(self.nodes[other])
                with self.nodes[one]:
                    if peer.state == "paused":
                        links.set_state(peer_id=peer.pk, state="linked", actor=None, at=self.nodes[one].clock())
        before = None
        for _ in range(30):
            for near, far in self.lines:
                assert self._round(near, far)
                assert self._round(far, near)
            for node in self.nodes:
                self._compare_keys(node)
            now = [self._marks(node) for node in self.nodes]
            if now == before:
                break
            before = now
        else:
            raise AssertionError("the nodes do not come to rest")
        self.check()

    def _compare_keys(self, node):
        with node:
            for row in Arrival.objects.filter(state="held", code="exchange.key_needs_comparison").order_by("id"):
                row.refresh_from_db()
                if row.state == "held":
                    intake.release(arrival_id=row.pk, actor=None, at=node.clock())

    def _marks(self, node):
        with node:
            marks = Peer.objects.order_by("pk").values_list("sent_through", "confirmed_through", "held_through")
            return list(marks), Arrival.objects.exclude(state="applied").count(), Receipt.objects.count()

    def check(self):
        everywhere = {}
        for i, node in enumerate(self.nodes):
            with node:
                assert ThisNode.objects.get().state == "normal"
                codes = set(LinkIncident.objects.values_list("code", flat=True))
                assert codes <= (AFTER_RESTORE if self.restored else set()), list(LinkIncident.objects.values("code", "facts"))
                left = list(Arrival.objects.exclude(state="applied").values("kind", "state", "code", "facts"))
                assert not left, left
                for peer in Peer.objects.filter(via__isnull=True):
                    positions = list(Parcel.objects.filter(peer=peer).order_by("position").values_list("position", flat=True))
                    assert positions == list(range(1, peer.sent_through + 1))
                    assert peer.confirmed_through == peer.sent_through
                for a in Addressee.objects.filter(organisation__key__in=self.bodies[i], dispatch__sender__residence__peer=None):
                    assert a.arrived_at
                for d in Dispatch.objects.prefetch_related("addressees__receipts", "addressees__organisation"):
                    everywhere.setdefault(str(d.uuid), {})[i] = (
                        d.digest,
                        {(a.organisation.key, r.code, r.digest) for a in d.addressees.all() for r in a.receipts.all()},
                        {a.organisation.key for a in d.addressees.all()},
                        d.sender.key,
                    )
        assert set(self.everything) <= set(everywhere)
        for number, found in everywhere.items():
            assert len({digest for digest, *_ in found.values()}) == 1
            _, _, to, sender = next(iter(found.values()))
            home = self._home(sender)
            for key in to:
                there = self._home(key)
                assert there in found, f"{number} never came to {key}"
                at_sender = {r for r in found[home][1] if r[0] == key}
                assert at_sender == {r for r in found[there][1] if r[0] == key}, f"receipts of {key} for {number}"
                assert "arrived" in {code for _, code, _ in at_sender}
        self.check_chains()

    def check_chains(self):
        for i, node in enumerate(self.nodes):
            with node:
                chains = {}
                rows = Addressee.objects.filter(dispatch__sender__key__in=self.bodies[i]).select_related("dispatch")
                for a in rows.order_by("sequence"):
                    chains.setdefault((a.sender_id_copy, a.organisation_id), []).append(a)
                for chain in chains.values():
                    assert [a.sequence for a in chain] == list(range(1, len(chain) + 1))
                    assert [a.previous_digest for a in chain] == ["", *(a.dispatch.digest for a in chain[:-1])]

    def _home(self, key):
        return next(i for i, bodies in self.bodies.items() if key in bodies)


class RelayMachine(Machine):
    relayed = True


def profile(examples, steps):
    return settings(
        max_examples=examples * 6 if LONG else examples if connection.vendor == "sqlite" else examples // 4,
        stateful_step_count=steps * (2 if LONG else 1),
        deadline=None,
        derandomize=not LONG,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate,),  # what fails is printed as it ran; to shorten it takes minutes
    )


def test_two_nodes_are_equal_after_healing():
    run_state_machine_as_test(Machine, settings=profile(25, 25))


def test_three_nodes_are_equal_after_healing_one_between_the_others():
    run_state_machine_as_test(RelayMachine, settings=profile(12, 20))
