"""A node restored from an old backup, and no line at all: sticks alone bring back what it lost, and no number is used twice."""

import itertools
import shutil

import bagit
import pytest

from hiepdong.documents.models import File, Series
from hiepdong.documents.services import keep_file, path_of
from hiepdong.exchange import bundles, links, recovery, services, signing, stick
from hiepdong.exchange.bundle_file import open_bundle, write_bundle
from hiepdong.exchange.bundle_refusals import BundleBadStatement, BundleMissingFile, BundleWrongCount
from hiepdong.exchange.models import Addressee, Arrival, Bundle, Dispatch, LinkIncident, Node, Parcel, Peer, Receipt, SigningKey
from hiepdong.web.services import react
from support.bags import bag, entries, item, lines, put, sign, statement, verify, zipped
from support.nodes import Node as ANode
from support.nodes import two_nodes
from support.peer import SimulatedNode

pytestmark = pytest.mark.django_db(transaction=True)

STATION, DISTRICT = "t.don-my-ly", "t.huyen-uy"


@pytest.fixture
def nodes(tmp_path):
    return two_nodes(tmp_path)


@pytest.fixture
def usb(tmp_path):
    """Return a function that makes a fresh folder for each stick."""
    number = itertools.count(1)

    def fresh():
        folder = tmp_path / f"usb-{next(number)}"
        folder.mkdir()
        return folder

    return fresh


def export(node, other, folder, **more):
    peer = node.peer(other)
    with node:
        given = {"encrypt": True, "actor": None, "at": node.clock()} | more
        return bundles.export(peer_id=peer.pk, folder=folder, **given)


def take(node, *written):
    with node:
        done = [bundles.take(path=w.path, actor=None, at=node.clock()) for w in written]
        react(at=node.clock())
        return done


def carry(near, far, usb, **more):
    """Carry what one node writes to the other."""
    return take(far, *export(near, far, usb(), **({"empty": True} | more)))


def equal(guard, local, usb, *, times=3):
    for _ in range(times):
        carry(guard, local, usb)
        carry(local, guard, usb)


def restore(node, copy):
    node.put_back(copy)
    with node:
        links.mark_restored(at=node.clock())


def codes(node):
    with node:
        return sorted(set(LinkIncident.objects.values_list("code", flat=True)))


def numbers(node):
    with node:
        return sorted(Dispatch.objects.filter(sender__residence__peer=None).values_list("register_number", flat=True))


def whole(*nodes):
    """Hold that both sides hold the same, that no place is empty, and that no sequence has a hole or a double."""
    first, *others = [n.state() for n in nodes]
    assert all(o == first for o in others)
    for node in nodes:
        with node:
            assert Node.objects.get().state == "normal"
            peer = Peer.objects.get()
            positions = sorted(Parcel.objects.filter(peer=peer).values_list("position", flat=True))
            assert positions == list(range(1, peer.sent_through + 1))
            chains = {}
            for a in Addressee.objects.order_by("sequence"):
                chains.setdefault((a.sender_id_copy, a.organisation_id), []).append(a.sequence)
            assert all(s == list(range(1, len(s) + 1)) for s in chains.values())


def test_two_sticks_bring_back_what_was_sent_after_the_backup_and_no_number_is_used_twice(nodes, usb, tmp_path):
    guard, local = nodes
    guard.send(STATION, [DISTRICT], "Trước sao lưu")
    equal(guard, local, usb)
    copy = guard.copy_database(tmp_path / "copy")
    for n in range(3):
        guard.send(STATION, [DISTRICT], f"Sau sao lưu {n}")
    uuid = local.send(DISTRICT, [STATION], "Của huyện")
    equal(guard, local, usb)
    with guard:
        services.acknowledge(dispatch_uuid=uuid, actor=guard.seat(STATION), at=guard.clock())
    equal(guard, local, usb)
    before = local.state()
    restore(guard, copy)
    with guard, pytest.raises(links.NodeRecovering):
        guard.send(STATION, [DISTRICT], "Quá sớm")

    (asking,) = export(guard, local, usb())  # nothing waits, and yet there is something to carry: the question
    assert (asking.asks, asking.row.items, asking.echo) == (True, 0, None)
    (taken,) = take(local, asking)
    assert (taken.told, taken.recovering) == (None, False)
    (answer,) = export(local, guard, usb())
    assert answer.echo >= 4
    (back,) = take(guard, answer)
    assert (back.told.items, back.told.whole, back.told.over) == (answer.echo, True, True)
    assert back.told.back >= 4

    assert len(guard.state()) == 5
    guard.send(STATION, [DISTRICT], "Sau phục hồi")
    equal(guard, local, usb)
    whole(guard, local)
    assert before.items() <= local.state().items()
    assert numbers(guard) == [1, 2, 3, 4, 5]
    assert codes(local) == ["exchange.peer_restored"]
    assert codes(guard) == []
    take(local, asking)  # again, long after
    with local:
        assert Peer.objects.get().echo_after is None
        with pytest.raises(bundles.NothingToCarry):
            bundles.export(peer_id=Peer.objects.get().pk, folder=usb(), encrypt=True, actor=None, at=local.clock())


def test_the_same_stick_there_and_back_does_it_all(nodes, usb, tmp_path):
    guard, local = nodes
    folder = usb()

    def sync(node):
        with node:
            done = stick.sync(folder=folder, actor=None, at=node.clock(), cover=False)
            react(at=node.clock())
        assert (done.refused, done.not_written) == ([], [])
        return done

    copy = guard.copy_database(tmp_path / "copy")
    guard.send(STATION, [DISTRICT], "Bị mất")
    for node in (guard, local, guard):
        sync(node)
    restore(guard, copy)
    for node in (guard, local, guard):
        sync(node)
    with guard:
        assert Node.objects.get().state == "normal"
    guard.send(STATION, [DISTRICT], "Sau phục hồi")
    for node in (guard, local, guard, local):
        sync(node)
    whole(guard, local)
    assert numbers(guard) == [1, 2]
    for node in (guard, local):
        with node:
            assert not Bundle.objects.filter(outgoing=False, taken_at=None).exists()
    assert sync(guard).taken == []


def test_parts_of_the_answer_come_in_any_order_and_twice_and_a_lost_one_is_asked_for_again(nodes, usb, tmp_path):
    guard, local = nodes
    copy = guard.copy_database(tmp_path / "copy")
    for n in range(6):
        guard.send(STATION, [DISTRICT], f"Báo cáo {n}")
    equal(guard, local, usb)
    restore(guard, copy)
    carry(guard, local, usb)
    parts = export(local, guard, usb(), most_items=2)
    bearing = [p for p in parts if p.echo]
    assert len(bearing) >= 3
    (last,) = take(guard, bearing[-1])
    assert (last.told.counted, last.told.whole, last.recovering) == (True, False, True)
    (first, again) = take(guard, bearing[0], bearing[0])
    assert (first.told.back, again.told.back, again.told.whole) == (bearing[0].echo, 0, False)
    with guard:
        assert Node.objects.get().state == "recovering"
        assert recovery.told_back(Peer.objects.get()).through == bearing[0].echo

    # the parts between are lost: the next stick asks after what is known without a hole, and the answer is harmless again
    carry(guard, local, usb)
    (rest,) = [p for p in export(local, guard, usb()) if p.echo]
    (back,) = take(guard, rest)
    assert (back.told.whole, back.told.over) == (True, True)
    (late,) = take(guard, bearing[1])
    assert late.told is None
    guard.send(STATION, [DISTRICT], "Sau phục hồi")
    equal(guard, local, usb)
    whole(guard, local)
    assert numbers(guard) == [1, 2, 3, 4, 5, 6, 7]
    assert codes(guard) == []


def test_a_part_whose_key_stands_in_an_earlier_one_waits_for_it_and_accuses_nobody(nodes, usb, tmp_path):
    guard, local = nodes
    copy = guard.copy_database(tmp_path / "copy")
    with guard:
        lost = links.rotate_key(organisation=guard.body(STATION), actor=None, at=guard.clock())
    guard.send(STATION, [DISTRICT], "Ký bằng khóa mới")
    equal(guard, local, usb)
    restore(guard, copy)
    carry(guard, local, usb)
    parts = [p for p in export(local, guard, usb(), most_items=1) if p.echo]
    later = [done for done in take(guard, *reversed(parts[1:])) if not done.told.counted]
    assert later, "what bears the lost key cannot be judged yet"
    assert codes(guard) == []
    take(guard, parts[0])
    for done in take(guard, *parts[1:]):
        assert done.told is None or done.told.counted
    with guard:
        assert Node.objects.get().state == "normal"
        assert not SigningKey.objects.get(kid=lost.kid).private_encrypted
    assert codes(guard) == ["exchange.own_key_lost"]
    assert len(guard.state()) == 1


def statement_of(node, written):
    with node, bundles._plain(written.path) as (plain, _), open_bundle(plain, verify=signing.claims_of) as found:
        return found.statement, sorted({n.split("/")[1] for n in found.statement["payload"]})


def test_a_bundle_between_nodes_that_were_not_restored_is_what_it_was_before(nodes, usb, tmp_path):
    guard, local = nodes
    guard.send(STATION, [DISTRICT], "Một")
    before = {"format", "id", "from", "to", "incarnation", "made_at", "first", "last", "items", "held_through", "payload"}
    before |= {"wanted", "part", "parts", "missing", "sent_through"}
    (ordinary,) = export(guard, local, usb())
    assert set(statement_of(local, ordinary)[0]) == before
    with guard:
        links.mark_restored(at=guard.clock())
    (asking,) = export(guard, local, usb())
    assert set(statement_of(local, asking)[0]) == before | {"echo_after"}  # a member that an older reader passes over
    local.send(DISTRICT, [STATION], "Của huyện")
    (unasked,) = export(local, guard, usb())
    assert set(statement_of(guard, unasked)[0]) == before  # nobody asked here: a file that an older reader refuses stays away
    take(local, ordinary, asking)
    (answer,) = export(local, guard, usb())
    said, folders = statement_of(guard, answer)
    assert set(said) == before | {"echo"}
    assert folders == ["echo", "items"]
    take(guard, answer)
    (after,) = export(guard, local, usb(), empty=True)
    assert set(statement_of(local, after)[0]) == before


def test_a_stick_of_before_the_question_or_of_an_earlier_restore_ends_nothing(nodes, usb, tmp_path):
    guard, local = nodes
    copy = guard.copy_database(tmp_path / "copy")
    guard.send(STATION, [DISTRICT], "Một")
    equal(guard, local, usb)
    restore(guard, copy)
    unasked = export(local, guard, usb(), empty=True)  # a peer that hears nothing, as behind a diode
    take(guard, *unasked)
    with guard:
        assert Node.objects.get().state == "recovering"
    carry(guard, local, usb)
    first = export(local, guard, usb())
    take(guard, *first)
    guard.send(STATION, [DISTRICT], "Hai, sau lần phục hồi đầu")
    equal(guard, local, usb)
    restore(guard, copy)  # once more, and the answer of the first time comes along again
    (done,) = take(guard, *first)
    assert (done.told.back >= 1, done.told.counted, done.recovering) == (True, False, True)
    carry(guard, local, usb)
    carry(local, guard, usb)
    equal(guard, local, usb)
    whole(guard, local)
    assert numbers(guard) == [1, 2]


@pytest.mark.parametrize(("address", "failures"), [("", 0), ("https://xa.invalid", 3)])
def test_a_node_that_nobody_told_finds_out_by_the_stick_and_recovers(nodes, usb, tmp_path, address, failures):
    guard, local = nodes
    guard.send(STATION, [DISTRICT], "Một")
    equal(guard, local, usb)
    copy = guard.copy_database(tmp_path / "copy")
    guard.send(STATION, [DISTRICT], "Hai, bị mất")
    equal(guard, local, usb)
    guard.put_back(copy)
    with guard:
        Peer.objects.update(address=address, failures=failures)  # a line that reaches nobody is none
    carry(local, guard, usb)
    with guard:
        assert Node.objects.get().state == "recovering"
    assert codes(guard) == ["exchange.restored_from_backup"]
    equal(guard, local, usb)
    guard.send(STATION, [DISTRICT], "Ba")
    equal(guard, local, usb)
    whole(guard, local)
    assert numbers(guard) == [1, 2, 3]


def test_the_files_of_lost_papers_come_with_them(nodes, usb, tmp_path):
    guard, local = nodes
    copy = guard.copy_database(tmp_path / "copy")
    with guard:
        file = keep_file(data=b"noi dung", name="a.txt", media_type="text/plain", at=guard.clock())
    guard.send(STATION, [DISTRICT], "Có tệp", files=[("a.txt", file)])
    equal(guard, local, usb)
    restore(guard, copy)
    with guard:
        path_of(file.digest).unlink()
    carry(guard, local, usb)
    (back,) = carry(local, guard, usb)
    assert back.files_in == 1
    with guard:
        assert path_of(file.digest).read_bytes() == b"noi dung"
        assert File.objects.get().kept


def test_what_was_lost_on_the_way_and_by_the_restore_leaves_no_place_that_is_waited_for_for_ever(nodes, usb, tmp_path):
    guard, local = nodes
    copy = guard.copy_database(tmp_path / "copy")
    for n in range(6):
        guard.send(STATION, [DISTRICT], f"Báo cáo {n}")
    parts = export(guard, local, usb(), most_items=2)
    take(local, parts[0], parts[2])  # the one between never came, and the restore takes it from here too
    restore(guard, copy)
    carry(guard, local, usb)
    (back,) = carry(local, guard, usb)
    assert (back.told.items, back.told.over) == (4, True)
    assert codes(guard) == ["exchange.places_lost"]
    guard.send(STATION, [DISTRICT], "Sau phục hồi")
    equal(guard, local, usb)
    assert guard.state() == local.state()
    with guard:
        peer = Peer.objects.get()
        assert (peer.confirmed_through, Series.objects.get(organisation__key=STATION).last_number) == (peer.sent_through, 7)
    with local:
        assert Peer.objects.get().held_through == Arrival.objects.count()
        assert not LinkIncident.objects.exclude(code="exchange.peer_restored").exists()
        assert not Arrival.objects.exclude(state="applied").exists()


def test_what_the_backup_still_has_and_the_peer_never_got_is_carried_again(nodes, usb, tmp_path):
    guard, local = nodes
    for n in range(6):
        guard.send(STATION, [DISTRICT], f"Báo cáo {n}")
    copy = guard.copy_database(tmp_path / "copy")
    parts = export(guard, local, usb(), most_items=2)
    take(local, parts[0], parts[2])
    restore(guard, copy)
    carry(guard, local, usb)
    carry(local, guard, usb)
    equal(guard, local, usb)
    whole(guard, local)
    with local:
        assert Dispatch.objects.count() == 6
        assert Receipt.objects.filter(code="arrived").count() == 6
    assert codes(guard) == []


def test_a_peer_that_lies_on_a_stick_plants_nothing_and_ends_nothing(tmp_path):
    node = ANode("bien-phong", tmp_path).found((STATION, "border_station", "Đồn"))
    peer = SimulatedNode("la", (DISTRICT, "party_district", "Huyện ủy")).link(node)
    node.send(STATION, [DISTRICT], "Một")
    with node:
        links.mark_restored(at=node.clock())
        own = peer.item(bytes(Dispatch.objects.get().signed), position=1)
    forged = peer.forged_echo(DISTRICT, STATION)

    def taken(*echo, **more):
        path = peer.bundle(node, tmp_path / "la.zip", echo=echo, **more)
        with node:
            return bundles.take(path=path, actor=None, at=node.clock()).told

    told = taken(own, *forged)
    assert (told.items, told.back, told.counted, told.whole) == (6, 0, False, False)
    assert peer.incidents(node) == ["exchange.echo_false"] * 5
    assert not taken(own, told={"incarnation": "another"}).counted
    assert not taken(own, told={"through": 1}).whole, "it says itself that it holds more"
    with node:
        assert Node.objects.get().state == "recovering"
        assert Dispatch.objects.count() == Parcel.objects.count() == 1
        assert not Receipt.objects.exists()
        assert SigningKey.objects.filter(organisation__key=STATION).count() == 1
    told = taken(told={"after": 1})
    assert (told.whole, told.over) == (True, True)  # that it holds no more is its word, signed
    node.send(STATION, [DISTRICT], "Hai")


@pytest.mark.parametrize(
    ("path", "echo", "told"),
    [
        ("echo.through", [], {"after": 3, "through": 2}),
        ("echo.through", [], {"after": 3, "through": 9, "last": 8}),
        ("echo.after", [], {"after": -1}),
        ("echo.last", [], {"last": True}),
        ("echo.incarnation", [], {"incarnation": None}),
        ("echo", [3], {"after": 3}),
        ("echo", [3, 10], {}),
    ],
)
def test_an_echo_that_contradicts_its_statement_is_refused_whole(tmp_path, path, echo, told):
    items = [item(p) for p in echo]
    said = {"incarnation": "1", "after": 0, "through": 9, "last": 9, "items": len(items)} | told
    data = {"data/echo/00001.jsonl": lines(items)} if items else {}
    raw = zipped(entries(bag(data, counted={"items": 0, "first": 0, "last": 0}, echo=said)))
    with pytest.raises(BundleBadStatement) as refused, open_bundle(put(tmp_path, raw), verify=verify):
        pass
    assert refused.value.facts["path"] == path


def test_an_echo_of_more_or_fewer_items_than_said_or_without_a_word_of_it_is_refused_whole(tmp_path):
    data = {"data/echo/00001.jsonl": lines([item(2), item(4)])}
    said = {"incarnation": "1", "after": 0, "through": 9, "last": 9}
    none = {"items": 0, "first": 0, "last": 0}
    for count in (1, 3):
        raw = zipped(entries(bag(data, counted=none, echo=said | {"items": count})))
        with pytest.raises(BundleWrongCount), open_bundle(put(tmp_path, raw), verify=verify):
            pass
    with pytest.raises(BundleBadStatement), open_bundle(put(tmp_path, zipped(entries(bag(data, counted=none)))), verify=verify):
        pass
    second = {"data/echo/00002.jsonl": data["data/echo/00001.jsonl"]}
    raw = zipped(entries(bag(second, counted=none, echo=said | {"items": 2})))
    with pytest.raises(BundleMissingFile), open_bundle(put(tmp_path, raw), verify=verify):
        pass


@pytest.mark.filterwarnings("ignore:'count' is passed as positional:DeprecationWarning")  # bagit's own
def test_a_bundle_with_an_echo_is_read_as_it_was_written_and_the_tool_of_the_library_of_congress_accepts_it(tmp_path):
    path = tmp_path / "goi.zip"
    echo = [item(p) for p in (*range(3, 1203), 1300)]  # more than one file holds
    said = statement(echo={"incarnation": "1", "after": 2, "through": 1400, "last": 1400})
    write_bundle(path, statement=said, items=[item(18)], files=[], echo=echo, sign=sign)
    with open_bundle(path, verify=verify) as found:
        assert list(found.echo()) == echo
        assert found.statement["echo"] == said["echo"] | {"items": 1201}
        assert [i["position"] for i in found.items()] == [18]
        listed = {"data/items/00001.jsonl", "data/echo/00001.jsonl", "data/echo/00002.jsonl"}
        assert set(found.statement["payload"]) == listed
    shutil.unpack_archive(path, tmp_path / "out")
    bagit.Bag(str(tmp_path / "out" / "goi")).validate()


def test_two_nodes_that_were_both_restored_tell_each_other(nodes, usb, tmp_path):
    guard, local = nodes
    if local.vendor != "sqlite":
        pytest.skip("the other node's database is no file")
    older = guard.copy_database(tmp_path / "older")
    guard.send(STATION, [DISTRICT], "Của đồn")
    equal(guard, local, usb)
    newer = local.copy_database(tmp_path / "newer")
    local.send(DISTRICT, [STATION], "Của huyện, mất ở cả hai nơi")
    equal(guard, local, usb)
    restore(guard, older)
    restore(local, newer)
    for _ in range(2):
        carry(guard, local, usb)
        carry(local, guard, usb)
    guard.send(STATION, [DISTRICT], "Sau phục hồi")
    local.send(DISTRICT, [STATION], "Sau phục hồi")
    equal(guard, local, usb)
    whole(guard, local)
    assert numbers(guard) == [1, 2]
    with local:
        assert set(Dispatch.objects.values_list("subject", flat=True)) == {"Của đồn", "Sau phục hồi"}
