"""One suite over every transport: in memory, over HTTP, over HTTPS with a pinned certificate to a node in its own process.

The three pairs of nodes live as long as this module; every test leaves them equal and able to go on.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import pytest

from hiepdong.documents.services import keep_file, path_of
from hiepdong.exchange import courier, files, links
from hiepdong.exchange.http_line import HttpLine
from hiepdong.exchange.models import Arrival, Dispatch, LinkIncident, Peer
from hiepdong.exchange.transport import PeerRefused, Unreachable
from support import line as lines
from support.line import Front, certificate, served
from support.nodes import Clock, MemoryLine, Node, link

pytestmark = pytest.mark.django_db(transaction=True)
WAYS = ("memory", "http", "https")
STEPS = ("hello", "push", "pull", "held")


class Way:
    """Two linked nodes with a line from the first to the second. `faults[step]`: "before", "after" or "twice"."""

    def __init__(self, name: str, guard: Node, local: Node, front: Front | None) -> None:
        self.name = name
        self.guard, self.local, self.front = guard, local, front
        self.faults: dict[str, str] = {}
        self.seen: list[str] = []
        if front:
            front.fault = self._fault

    def _fault(self, asked: lines.Asked) -> Any:
        self.seen.append(f"{asked.step} {asked.headers.get('Content-Range') or asked.headers.get('Range') or ''}".strip())
        kinds = {"before": lines.cut_before, "after": lines.cut_after, "half": lines.half, "twice": lines.twice}
        return kinds.get(self.faults.get(asked.step, ""))

    def round(self) -> courier.Round:
        peer = self.guard.peer(self.local)
        if self.front is None:
            return self.guard.round(self.local, FaultyMemory(self))
        with self.guard:
            Peer.objects.filter(pk=peer.pk).update(address=self.front.address)
            peer.refresh_from_db()
            with HttpLine(peer, clock=self.guard.clock) as line:
                return self.guard.round(self.local, line)

    def settle(self) -> None:
        """Let what is left over cross, and say that both sides are equal."""
        self.faults.clear()
        for _ in range(2):
            self.round()
        assert self.guard.state() == self.local.state()
        for node in (self.guard, self.local):
            with node:
                assert not Arrival.objects.exclude(state="applied").exists(), list(
                    Arrival.objects.values("kind", "state", "code")
                )
                assert not LinkIncident.objects.exists(), list(LinkIncident.objects.values("code", "facts"))

    def write(self, subject: str) -> None:
        self.guard.send("t.don-my-ly", ["t.huyen-uy"], f"{self.name} {subject}, gửi đi")
        self.local.send("t.huyen-uy", ["t.don-my-ly"], f"{self.name} {subject}, gửi về")

    def copies(self, subject: str) -> list[int]:
        found = []
        for node in (self.guard, self.local):
            with node:
                found.append(Dispatch.objects.filter(subject__startswith=f"{self.name} {subject}, ").count())
        return found


class FaultyMemory(MemoryLine):
    """The line in memory with the faults of a `Way`."""

    def __init__(self, way: Way) -> None:
        super().__init__(way.guard, way.local)
        self.way_of = way

    def _ask(self, step: str, work: Callable[[Any], Any]) -> Any:
        fault = self.way_of.faults.get(step, "")
        self.way_of.seen.append(step)
        if fault == "before":
            raise Unreachable(name="", why="cut")
        if fault == "twice":
            super()._ask(step, work)
        answer = super()._ask(step, work)
        if fault in {"after", "half"}:
            raise Unreachable(name="", why="cut")
        return answer


def _pair(folder: Any, word: str) -> tuple[Node, Node]:
    """Two linked nodes; a node in a process of its own reads the present clock, so theirs is the present too."""
    clock = Clock(datetime.now(UTC).replace(microsecond=0))
    guard = Node(f"bien-phong-{word}", folder, clock=clock).found(
        ("t.dang-uy-bdbp", "border_guard_party", "Đảng ủy BĐBP tỉnh"), ("t.don-my-ly", "border_station", "Đồn Biên phòng Mỹ Lý")
    )
    local = Node(f"dia-phuong-{word}", folder, clock=clock).found(("t.huyen-uy", "party_district", "Huyện ủy Kỳ Sơn"))
    link(guard, local)
    return guard, local


@pytest.fixture(scope="module")
def pairs(tmp_path_factory, django_db_setup, django_db_blocker) -> Iterator[dict[str, Way]]:
    folder = tmp_path_factory.mktemp("transports")
    with django_db_blocker.unblock(), ExitStack() as stack:
        memory, line = _pair(folder, "gan"), _pair(folder, "xa")
        address = stack.enter_context(served(line[1]))
        shown = certificate(folder, "nut-dia-phuong")
        plain, secure = stack.enter_context(Front(address)), stack.enter_context(Front(address, certificate=shown))
        peer = line[0].peer(line[1])
        with line[0]:
            Peer.objects.filter(pk=peer.pk).update(tls=["0" * 64, shown.pin])
        ways = Way("memory", *memory, None), Way("http", *line, plain), Way("https", *line, secure)
        yield {w.name: w for w in ways}


@pytest.fixture(params=WAYS)
def way(request, pairs) -> Way:
    chosen = pairs[request.param]
    chosen.faults.clear()
    chosen.seen.clear()
    return chosen


def test_papers_and_receipts_cross_both_ways_in_one_round(way):
    way.write("Một vòng")
    done = way.round()
    assert done.sent >= 1
    assert done.taken >= 1
    assert way.copies("Một vòng") == [2, 2]
    way.settle()


@pytest.mark.parametrize("where", ["before", "after", "half"])
def test_a_cut_at_any_step_loses_nothing_and_doubles_nothing(way, where):
    for step in STEPS:
        subject = f"Đứt {where} {step}"
        way.write(subject)
        way.faults = {step: where}
        with pytest.raises(Unreachable):
            way.round()
        way.faults = {}
        way.round()
        assert way.copies(subject) == [2, 2], step
    way.settle()


def test_requests_that_arrive_twice_change_nothing_the_second_time(way):
    way.write("Hai lần")
    way.faults = dict.fromkeys((*STEPS, "fetch", "offered"), "twice")
    way.round()
    assert way.copies("Hai lần") == [2, 2]
    way.settle()


def _file(node: Node, size: int, salt: bytes) -> tuple[str, Any]:
    data = hashlib.sha256(salt).digest() * (size // 32)
    with node:
        return hashlib.sha256(data).hexdigest(), keep_file(
            data=data, name="so-lieu.bin", media_type="application/octet-stream", at=node.clock()
        )


def test_files_cross_both_ways_and_go_on_where_a_cut_left_them(way, monkeypatch):
    monkeypatch.setattr(files, "PIECE", 256 * 1024)
    out, out_file = _file(way.guard, 1024 * 1024, f"out {way.name}".encode())
    back, back_file = _file(way.local, 1024 * 1024, f"back {way.name}".encode())
    way.guard.send("t.don-my-ly", ["t.huyen-uy"], "Tệp, gửi đi", files=[("so-lieu.bin", out_file)])
    way.local.send("t.huyen-uy", ["t.don-my-ly"], "Tệp, gửi về", files=[("so-lieu.bin", back_file)])
    way.faults = {"fetch": "before"}
    with pytest.raises(Unreachable):
        way.round()
    way.faults = {"put": "after"}
    with pytest.raises(Unreachable):
        way.round()
    way.settle()
    for node, digest in ((way.local, out), (way.guard, back)):
        with node:
            assert hashlib.sha256(path_of(digest).read_bytes()).hexdigest() == digest
    if way.front:
        starts = [s.split()[2].split("-")[0] for s in way.seen if s.startswith("put")]
        assert starts == ["0", str(256 * 1024), str(512 * 1024), str(768 * 1024)], "each piece went once"


def test_more_papers_than_one_request_takes_cross_in_several(way, monkeypatch):
    monkeypatch.setattr(courier, "AT_ONCE", 5)
    for n in range(12):
        way.write(f"Nhiều {n}")
    way.seen.clear()
    way.round()
    assert sum(s.startswith("push") for s in way.seen) >= 3
    assert sum(s.startswith("pull") for s in way.seen) >= 3
    assert way.copies("Nhiều 11") == [2, 2]
    way.settle()


def test_a_link_that_the_other_side_paused_moves_nothing_until_it_is_taken_up_again(way):
    way.write("Tạm dừng")
    other = way.local.peer(way.guard)
    with way.local:
        links.set_state(peer_id=other.pk, state="paused", actor=None, at=way.local.clock())
    try:
        with pytest.raises(PeerRefused):
            way.round()
        assert way.copies("Tạm dừng") == [1, 1]
    finally:
        with way.local:
            links.set_state(peer_id=other.pk, state="linked", actor=None, at=way.local.clock())
    way.round()
    assert way.copies("Tạm dừng") == [2, 2]
    way.settle()


def test_a_failed_round_is_noted_with_its_pause_and_a_good_one_clears_it(way):
    way.faults = {"hello": "before"}
    with pytest.raises(Unreachable):
        way.round()
    failed = way.guard.peer(way.local)
    assert (failed.failures, failed.last_error.split(":")[0]) == (1, "exchange.unreachable")
    assert failed.next_try_at is not None
    way.settle()
    assert way.guard.peer(way.local).failures == 0


def test_what_came_over_the_line_is_marked_with_the_way_it_came(way):
    way.write("Dấu")
    way.settle()
    with way.guard:
        assert set(Arrival.objects.values_list("way", flat=True)) == {"memory" if way.front is None else "https"}
