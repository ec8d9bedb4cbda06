"""The far end of the line: only a linked node's own, whole, present request is answered; files in pieces."""

import hashlib
import json

import pytest

from hiepdong.documents.services import keep_file, path_of
from hiepdong.exchange import intake, links
from hiepdong.exchange.answering import greeting
from hiepdong.exchange.models import Arrival, Dispatch
from hiepdong.exchange.outbox import items_after
from support.machine import is_problem, signed
from support.nodes import Node, two_nodes

pytestmark = pytest.mark.django_db(transaction=True)
BASE = "/api/v1/exchange/"
DATA = bytes(range(256)) * 1000
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def pair(tmp_path):
    return two_nodes(tmp_path)


def hello_of(near: Node, far: Node) -> bytes:
    peer = near.peer(far)
    with near:
        return json.dumps(greeting(peer, at=near.clock())).encode()


def items_of(near: Node, far: Node) -> bytes:
    peer = near.peer(far)
    with near:
        return json.dumps({"items": [i.as_json() for i in items_after(peer, 0, limit=500)]}).encode()


def with_file(near: Node, sender: str, to: str) -> None:
    with near:
        file = keep_file(data=DATA, name="so-lieu.bin", media_type="application/octet-stream", at=near.clock())
    near.send(sender, [to], "Kèm tệp", files=[("so-lieu.bin", file)])


def test_a_linked_node_is_greeted_in_kind(pair):
    guard, local = pair
    answer = signed(guard, local, "POST", BASE + "hello", hello_of(guard, local))
    assert answer.status_code == 200
    said = json.loads(answer.content)
    assert said["protocol"] == [1]
    with local:
        assert said["node"] == str(links.this_node().node_id)


@pytest.mark.parametrize(
    "signs",
    [
        {"method": "GET"},
        {"path": BASE + "held"},
        {"path": BASE + "hello?a=1"},
        {"body": b"{}"},
        {"body": b""},
    ],
    ids=str,
)
def test_a_signature_over_another_request_opens_nothing(pair, signs):
    guard, local = pair
    is_problem(signed(guard, local, "POST", BASE + "hello", hello_of(guard, local), signs=signs), 401, "api.not_authenticated")


def test_a_request_to_another_node_is_not_good_here(pair, tmp_path):
    guard, local = pair
    third = Node("thu-ba", tmp_path).found(("t.tinh", "party_district", "Huyện ủy Ba"))
    from support.nodes import link

    link(guard, third)
    answer = signed(guard, local, "POST", BASE + "hello", hello_of(guard, local), signs={"to": third})
    is_problem(answer, 401, "api.not_authenticated")


def test_a_stranger_and_a_node_whose_link_is_not_open_get_the_same_answer(pair, tmp_path):
    guard, local = pair
    stranger = Node("la", tmp_path).found(("t.tinh", "party_district", "Huyện ủy Ba"))
    with local:
        invitation = links.make_invitation(actor=None, at=local.clock())
    with stranger:
        links.accept_invitation(document=invitation, actor=None, at=stranger.clock())
    answers = [signed(stranger, local, "GET", BASE + "items")]
    for state in ("paused", "ended"):
        peer = local.peer(guard)
        with local:
            links.set_state(peer_id=peer.pk, state=state, actor=None, at=local.clock())
        answers.append(signed(guard, local, "GET", BASE + "items"))
    for answer in answers:
        is_problem(answer, 401, "api.not_authenticated")
    assert len({a.content for a in answers}) == 1


def test_a_node_that_stands_alone_answers_nobody(pair, small_world, client):
    document = "Hiepdong eyJhbGciOiJFZDI1NTE5Iiwia2lkIjoiYSIsInR5cCI6ImEifQ.e30.AAAA"
    is_problem(client.get(BASE + "items", headers={"Authorization": document}), 401, "api.not_authenticated")


@pytest.mark.parametrize(
    "header", ["", "Hiepdong", "Hiepdong ", "Hiepdong a.b.c", "Hiepdong é.b.c", "Bearer a", "Hiepdong " + "a" * 5000]
)
def test_a_header_that_is_no_signature_opens_nothing(pair, client, header):
    _, local = pair
    with local:
        is_problem(client.get(BASE + "items", headers={"Authorization": header}), 401, "api.not_authenticated")


def test_a_request_is_not_refused_for_its_moment(pair):
    guard, local = pair
    guard.clock.pass_(days=5000)
    assert signed(guard, local, "GET", BASE + "items").status_code == 200


def test_items_are_taken_once_and_answered_with_receipts_however_often_they_come(pair):
    guard, local = pair
    guard.send("t.don-my-ly", ["t.huyen-uy"], "Báo cáo")
    body = items_of(guard, local)
    first = signed(guard, local, "POST", BASE + "items", body)
    again = signed(guard, local, "POST", BASE + "items", body)
    assert first.status_code == again.status_code == 200
    assert first.content == again.content
    said = json.loads(first.content)
    assert [r["state"] for r in said["results"]] == ["applied"] * len(said["results"])
    assert any(r["receipts"] for r in said["results"])
    with local:
        assert Dispatch.objects.count() == 1
        assert set(Arrival.objects.values_list("way", flat=True)) == {"https"}


def test_more_than_500_items_and_what_is_no_item_are_refused_whole(pair):
    guard, local = pair
    guard.send("t.don-my-ly", ["t.huyen-uy"], "Báo cáo")
    item = json.loads(items_of(guard, local))["items"][0]
    many = json.dumps({"items": [item] * 501}).encode()
    is_problem(signed(guard, local, "POST", BASE + "items", many), 422, "api.invalid")
    for wrong in ({"position": 0}, {"position": "1"}, {"position": 1 << 62}, {"kind": "A"}, {"document": "a"}, {"hops": "a"}):
        body = json.dumps({"items": [item, item | wrong]}).encode()
        said = is_problem(signed(guard, local, "POST", BASE + "items", body), 422, "api.invalid")
        assert said["errors"][0]["path"].startswith("items.1." + next(iter(wrong)))
    with local:
        assert not Arrival.objects.exists()


def test_members_that_this_version_does_not_know_are_let_through(pair):
    guard, local = pair
    guard.send("t.don-my-ly", ["t.huyen-uy"], "Báo cáo")
    said = json.loads(items_of(guard, local))
    said["items"][0]["colour"] = said["later"] = "red"
    assert signed(guard, local, "POST", BASE + "items", json.dumps(said).encode()).status_code == 200


def test_a_node_that_holds_too_much_asks_to_come_back(pair, monkeypatch):
    guard, local = pair
    guard.send("t.don-my-ly", ["t.huyen-uy"], "Báo cáo")
    monkeypatch.setattr(intake, "MOST_HELD", 0)
    answer = signed(guard, local, "POST", BASE + "items", items_of(guard, local))
    is_problem(answer, 503, "exchange.too_much_held")
    assert int(answer.headers["Retry-After"]) > 0


def test_a_file_is_given_whole_or_from_a_byte_on_and_only_to_whom_its_paper_goes(pair):
    guard, local = pair
    with_file(local, "t.huyen-uy", "t.don-my-ly")
    path = BASE + "files/" + DIGEST
    whole = signed(guard, local, "GET", path)
    assert (whole.status_code, whole.whole) == (200, DATA)
    piece = signed(guard, local, "GET", path, Range="bytes=1000-1009", Accept_Encoding="gzip")
    assert (piece.status_code, piece.whole) == (206, DATA[1000:1010])
    assert piece.headers["Content-Range"] == f"bytes 1000-1009/{len(DATA)}"
    assert "Content-Encoding" not in piece.headers
    rest = signed(guard, local, "GET", path, Range="bytes=255999-")
    assert (rest.status_code, rest.whole) == (206, DATA[-1:])
    is_problem(signed(guard, local, "GET", path, Range=f"bytes={len(DATA)}-"), 416, "api.range_unusable")
    is_problem(signed(guard, local, "GET", BASE + "files/" + "0" * 64), 404, "kernel.not_found")
    with local:
        other = keep_file(data=b"not for you", name="x", media_type="text/plain", at=local.clock())
    absent = signed(guard, local, "GET", BASE + "files/" + "0" * 64)
    assert signed(guard, local, "GET", BASE + "files/" + other.digest).content == absent.content


def test_a_file_comes_in_pieces_and_the_next_one_begins_where_the_last_one_ended(pair):
    guard, local = pair
    with_file(guard, "t.don-my-ly", "t.huyen-uy")
    answer = signed(guard, local, "POST", BASE + "items", items_of(guard, local))
    assert json.loads(answer.content)["wanted"] == [DIGEST]
    path = BASE + "files/" + DIGEST

    def put(first: int, piece: bytes, size: int = len(DATA)) -> object:
        said = {"Content_Range": f"bytes {first}-{first + len(piece) - 1}/{size}", "Content_Type": "application/octet-stream"}
        return signed(guard, local, "PUT", path, piece, **said)

    def here() -> str:
        return signed(guard, local, "HEAD", path).headers["Upload-Offset"]

    assert here() == "0"
    assert json.loads(put(0, DATA[:100_000]).content) == {"have": 100_000}
    assert here() == "100000"
    assert is_problem(put(0, DATA[:10]), 409, "exchange.piece_unusable")["have"] == 100_000
    is_problem(put(100_000, DATA[100_000:], len(DATA) + 1), 409, "exchange.piece_unusable")
    wrong = {"Content_Range": "bytes 100000-100009/256000", "Content_Type": "application/octet-stream"}
    is_problem(signed(guard, local, "PUT", path, b"abc", **wrong), 422, "api.invalid")
    is_problem(signed(guard, local, "PUT", path, b"abc"), 422, "api.invalid")
    assert json.loads(put(100_000, DATA[100_000:]).content) == {"have": len(DATA)}
    with local:
        assert path_of(DIGEST).read_bytes() == DATA
    assert here() == str(len(DATA))


def test_bytes_that_are_not_those_that_were_signed_are_thrown_away(pair):
    guard, local = pair
    with_file(guard, "t.don-my-ly", "t.huyen-uy")
    signed(guard, local, "POST", BASE + "items", items_of(guard, local))
    path = BASE + "files/" + DIGEST
    said = {"Content_Range": f"bytes 0-{len(DATA) - 1}/{len(DATA)}", "Content_Type": "application/octet-stream"}
    is_problem(signed(guard, local, "PUT", path, b"x" * len(DATA), **said), 409, "exchange.file_wrong")
    assert signed(guard, local, "HEAD", path).headers["Upload-Offset"] == "0"
    is_problem(signed(guard, local, "PUT", BASE + "files/" + "0" * 64, b"x" * len(DATA), **said), 404, "kernel.not_found")
    absent = signed(guard, local, "HEAD", BASE + "files/" + "0" * 64)
    assert (absent.status_code, absent.content) == (404, b"")


def test_what_a_restored_node_lost_is_echoed_to_it_alone(pair):
    guard, local = pair
    guard.send("t.don-my-ly", ["t.huyen-uy"], "Báo cáo")
    signed(guard, local, "POST", BASE + "items", items_of(guard, local))
    said = json.loads(signed(guard, local, "GET", BASE + "echo?after=0").content)
    assert [i["kind"] for i in said["items"]].count("dispatch") == 1
    assert said["held_through"] == len(said["items"])
    assert json.loads(signed(guard, local, "GET", BASE + "echo?after=1000").content)["items"] == []


def test_the_word_of_a_node_that_pulls_moves_the_mark(pair):
    guard, local = pair
    local.send("t.huyen-uy", ["t.don-my-ly"], "Thông báo")
    given = json.loads(signed(guard, local, "GET", BASE + "items?after=0&limit=500").content)
    body = json.dumps({"held_through": given["sent_through"]}).encode()
    assert json.loads(signed(guard, local, "POST", BASE + "held", body).content) == {"confirmed_through": given["sent_through"]}
    assert local.peer(guard).confirmed_through == given["sent_through"]
