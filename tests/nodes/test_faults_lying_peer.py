"""A linked node that lies: what it sends is refused or held, told on the link, and costs the honest papers nothing."""

import base64
import json

import pytest

from hiepdong.documents.models import File
from hiepdong.exchange import courier, intake, links, recovery, signing
from hiepdong.exchange.domain.links import InvalidItem
from hiepdong.exchange.models import Arrival, Dispatch, LinkIncident, Node, Parcel, Peer, Receipt
from hiepdong.exchange.transport import PeerRefused
from hiepdong.organisations.models import Organisation
from support.nodes import Node as ANode
from support.peer import SimulatedNode, claims, digest, part, with_payload

pytestmark = pytest.mark.django_db(transaction=True)

A, B, HERE, ALSO = "l.huyen-uy", "l.xa", "t.don", "t.dang-uy"
BODIES = ((A, "party_district", "Huyện ủy Kỳ Sơn"), (B, "peoples_committee_commune", "UBND xã Mỹ Lý"))


@pytest.fixture
def node(tmp_path):
    return ANode("bien-phong", tmp_path).found((HERE, "border_station", "Đồn"), (ALSO, "border_guard_party", "Đảng ủy"))


@pytest.fixture
def peer(node):
    return SimulatedNode("la", *BODIES).link(node)


def papers(node):
    with node:
        return sorted(Dispatch.objects.exclude(sender__residence__peer=None).values_list("subject", flat=True))


def test_an_honest_paper_is_applied_once_with_one_receipt(node, peer):
    document = peer.dispatch(A, [HERE])
    first = peer.give(node, document)
    assert [r["state"] for r in first["results"]] == ["applied"]
    assert first["held_through"] == 1
    receipt = claims(first["results"][0]["receipts"][0].encode())
    assert (receipt["code"], receipt["digest"]) == ("arrived", digest(document))


def test_a_sender_that_saw_no_answer_gets_the_identical_receipt_for_the_same_bytes(node, peer):
    item = peer.item(peer.dispatch(A, [HERE]))
    first, again = peer.give(node, item), peer.give(node, item)
    elsewhere = peer.give(node, item | {"position": 2})
    receipts = [answer["results"][0]["receipts"] for answer in (first, again, elsewhere)]
    assert receipts[0] == receipts[1] == receipts[2] != []
    assert papers(node) == ["Thông báo 1"]
    with node:
        assert Receipt.objects.count() == 1
        assert Parcel.objects.filter(kind="receipt").count() == 1
    assert peer.incidents(node) == []


def test_an_attempt_that_failed_is_no_duplicate_of_the_corrected_one(node, peer):
    good = peer.dispatch(A, [HERE])
    bad = with_payload(good, canonical_of(good, subject="Khác"))
    assert peer.state_of(node, bad, good) == [("refused", "exchange.bad_signature"), ("applied", "")]
    assert papers(node) == ["Thông báo 1"]


def canonical_of(document, **changes):
    return json.dumps(claims(document) | changes, ensure_ascii=False).encode()


def jws(header, payload, signature=b"\0" * 64):
    return b".".join([part(json.dumps(header).encode()), part(payload), part(signature)])


def test_the_unsigned_the_wrong_key_and_other_algorithms_are_refused_recorded_and_shown(node, peer):
    good = peer.dispatch(A, [HERE])
    payload, kid = canonical_of(good), peer.keys[A].kid
    header = {"alg": "Ed25519", "kid": kid, "typ": signing.DISPATCH_TYPE}
    documents = [
        jws(header, payload),  # unsigned
        jws(header | {"alg": "none"}, payload),
        jws(header | {"alg": "HS256"}, payload),
        jws(header | {"crit": ["exp"]}, payload),
        peer.dispatch(A, [HERE], key=peer.keys[B]),  # the key of another organisation
        peer.sign(canonical_of(good), signing.DISPATCH_TYPE, peer.key),  # the node's own key signs no papers
        peer.sign(canonical_of(good), signing.RECEIPT_TYPE, peer.keys[A]),  # signed, but as a receipt
        good + b"A",
    ]
    codes = [code for _, code in peer.state_of(node, *documents)]
    bad = "exchange.bad_signature"
    assert codes == [bad, bad, bad, bad, "exchange.wrong_key", "exchange.unknown_key", bad, bad]
    assert papers(node) == []
    assert peer.incidents(node) == [bad, bad, bad, bad, "exchange.wrong_key", bad, bad]
    with node:
        assert all(bytes(a.document) for a in Arrival.objects.all()), "kept as evidence"


def test_one_flipped_bit_anywhere_in_a_paper_is_refused(node, peer):
    document = peer.dispatch(A, [HERE])
    flipped = []
    for place in range(5, len(document) - 1, len(document) // 40):
        changed = bytearray(document)
        changed[place] = ord("A") if changed[place] != ord("A") else ord("B")
        if changed[place] != ord(".") and document[place] != ord("."):
            flipped.append(bytes(changed))
    states = {state for state, _ in peer.state_of(node, *flipped)}
    assert states <= {"refused", "held"}  # held: the flip made it another key's, which is not here
    assert papers(node) == []
    assert peer.state_of(node, document) == [("applied", "")]


def test_a_foreign_paper_that_a_peer_altered_is_refused_and_reported(node, peer):
    third = SimulatedNode("ba", ("c.huyen-uy", "party_district", "Huyện ủy Tương Dương")).link(node)
    genuine = third.dispatch("c.huyen-uy", [HERE])
    altered = with_payload(genuine, canonical_of(genuine, sent_at="2020-03-16T09:00:00Z"))
    assert peer.state_of(node, altered, genuine) == [
        ("refused", "exchange.bad_signature"),
        ("refused", "exchange.foreign_sender"),
    ]
    assert peer.incidents(node) == ["exchange.bad_signature", "exchange.foreign_sender"]
    assert third.state_of(node, genuine) == [("applied", "")]


def test_our_own_papers_given_back_change_nothing(node, peer):
    node.send(HERE, [A], "Của đồn")
    with node:
        own = bytes(Dispatch.objects.get().signed)
    assert peer.state_of(node, own) == [("refused", "exchange.foreign_sender")]
    with node:
        assert Dispatch.objects.count() == 1
        assert Receipt.objects.count() == 0


def test_a_paper_for_nobody_here_is_refused_and_reported(node, peer):
    other = SimulatedNode("ba", ("c.x", "other", "Nơi khác")).link(node)
    assert peer.state_of(node, peer.dispatch(A, ["c.x"])) == [("refused", "exchange.wrong_recipient")]
    assert peer.incidents(node) == ["exchange.wrong_recipient"]
    assert other.incidents(node) == []
    assert peer.state_of(node, peer.dispatch(A, ["khong.co"])) == [("held", "exchange.unknown_organisation")]


def test_the_same_id_with_other_bytes_is_an_incident_and_changes_nothing(node, peer):
    first = peer.dispatch(A, [HERE])
    second = peer.dispatch(A, [HERE], changes={"id": claims(first)["id"], "subject": "Khác"})
    assert peer.state_of(node, first, second) == [("applied", ""), ("refused", "exchange.altered")]
    assert papers(node) == ["Thông báo 1"]
    assert peer.incidents(node) == ["exchange.altered"]


def test_a_number_given_twice_is_an_incident_whether_it_comes_together_or_later(node, peer):
    first = peer.dispatch(A, [HERE])
    same_sequence = peer.dispatch(A, [HERE], changes={"recipients": claims(first)["recipients"]})
    same_register = peer.dispatch(A, [ALSO], changes={"register": claims(first)["register"]})
    assert [c for _, c in peer.state_of(node, first, same_sequence)] == ["", "exchange.sequence_conflict"]
    assert peer.state_of(node, same_register) == [("refused", "exchange.sequence_conflict")]
    assert papers(node) == ["Thông báo 1"]
    assert peer.incidents(node) == ["exchange.sequence_conflict"] * 2


def test_a_sender_that_names_another_paper_as_the_one_before_is_told_and_its_paper_kept(node, peer):
    one, two = peer.dispatch(A, [HERE]), peer.content(A, [HERE])
    two["recipients"][0]["previous"] = "0" * 64
    three = peer.sign(json.dumps(two, ensure_ascii=False).encode(), signing.DISPATCH_TYPE, peer.keys[A])
    assert peer.state_of(node, one, three) == [("applied", ""), ("applied", "")]
    assert peer.incidents(node) == ["exchange.chain_broken"]
    later, before = SimulatedNode("hai", ("h.a", "other", "Hai")).link(node), None
    before = later.dispatch("h.a", [HERE])
    after = later.dispatch("h.a", [HERE], changes={"recipients": [
        {"organisation": HERE, "role": "to", "sequence": 2, "previous": "1" * 64}
    ]})  # fmt: skip
    assert later.state_of(node, after) == [("applied", "")]
    assert later.incidents(node) == []
    assert later.state_of(node, before) == [("applied", "")]
    assert later.incidents(node) == ["exchange.chain_broken"]


def test_far_apart_sequences_of_a_hostile_sender_do_not_read_everything_between(node, peer):
    first = peer.dispatch(A, [HERE])
    far = peer.dispatch(A, [HERE], changes={"recipients": [
        {"organisation": HERE, "role": "to", "sequence": 2**31 - 1, "previous": "1" * 64}
    ]})  # fmt: skip
    assert peer.state_of(node, first, far) == [("applied", ""), ("applied", "")]
    with node:
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        peer.numbers[A] = 100
        items = [peer.item(peer.dispatch(A, [HERE], changes={"recipients": [
            {"organisation": HERE, "role": "to", "sequence": s, "previous": "1" * 64}
        ]})) for s in (50, 2**31 - 50)]  # fmt: skip
        with CaptureQueriesContext(
            connection,
        ) as asked:
            peer.give(node, *items)
        read = [
            q["sql"] for q in asked if "exchange_addressee" in q["sql"] and '"sequence"' in q["sql"] and "SELECT" in q["sql"]
        ]
        assert read
        assert not any('"sequence" >=' in sql for sql in read)


def test_a_position_used_again_for_other_bytes_is_an_incident_and_the_first_stays(node, peer):
    first = peer.item(peer.dispatch(A, [HERE]), position=1)
    second = peer.item(peer.dispatch(A, [HERE]), position=1)
    assert peer.state_of(node, first) == [("applied", "")]
    assert peer.state_of(node, second) == [("refused", "exchange.position_reused")]
    assert peer.incidents(node) == ["exchange.position_reused"]
    assert papers(node) == ["Thông báo 1"]


def test_a_paper_that_replaces_or_withdraws_one_of_another_sender_is_refused(node, peer):
    first = peer.dispatch(A, [HERE])
    uuid = claims(first)["id"]
    replace = peer.dispatch(B, [HERE], replaces=uuid)
    withdraw = peer.dispatch(B, [HERE], kind="withdrawal", withdraws=uuid, reason="Sai")
    states = peer.state_of(node, first, replace, withdraw)
    assert states == [("applied", ""), ("refused", "exchange.foreign_record"), ("refused", "exchange.foreign_record")]
    assert peer.incidents(node) == ["exchange.foreign_record"] * 2


def test_papers_with_a_secrecy_mark_are_forgotten_whoever_signed_them(node, peer):
    mark = "TỐI MẬT"
    marked = [
        peer.dispatch(A, [HERE], subject=mark),
        peer.dispatch(A, [HERE], body={"text": mark}),
        peer.dispatch(A, [HERE], key=signing.new_key(peer_secret()), body={"text": mark}),  # an unknown key: it would be held
        peer.dispatch(A, ["khong.co"], body={"a": [{"b": mark}]}),
        peer.dispatch(A, [HERE], attachments=[
            {"name": f"{mark}.pdf", "digest": "0" * 64, "size": 1, "media_type": "application/pdf"}
        ]),
    ]  # fmt: skip
    states = peer.state_of(node, *marked)
    assert states == [("refused", "exchange.classified_content")] * 5
    with node:
        assert not any(Arrival.objects.values_list("document", flat=True))
        assert mark.encode() not in base64_texts(node)
    assert peer.incidents(node) == ["exchange.classified_content"] * 5


def peer_secret():
    from support.peer import SECRET

    return SECRET


def base64_texts(node):
    documents = [bytes(d) for d in Arrival.objects.exclude(document=None).values_list("document", flat=True)]
    documents += [bytes(d) for d in Parcel.objects.exclude(document=None).values_list("document", flat=True)]
    return b"".join(base64.urlsafe_b64decode(d.split(b".")[1] + b"==") for d in documents)


HOSTILE = {
    "a member twice": lambda p: p.replace(b'"subject":', b'"subject":"x","subject":'),
    "a member twice, deep": lambda p: p.replace(b'"text":', b'"text":"x","te\\u0078t":'),
    "no JSON": lambda p: b"{",
    "a list": lambda p: b"[]",
    "deep": lambda p: p.replace(b'"body":{', b'"body":{"d":' + b"[" * 100_000 + b"]" * 100_000 + b","),
    "NUL": lambda p: p.replace(b'"subject":"', b'"subject":"a\\u0000'),
    "NUL in a name": lambda p: p.replace(b'"body":{', b'"body":{"\\u0000":1,'),
    "half a pair": lambda p: p.replace(b'"text":"', b'"text":"\\ud800'),
    "NaN": lambda p: p.replace(b'"body":{', b'"body":{"n":NaN,'),
    "a huge number": lambda p: p.replace(b'"body":{', b'"body":{"n":' + b"9" * 5000 + b","),
    "no recipients": lambda p: p.replace(b'"recipients":[', b'"recipients":null,"r":['),
    "a sequence that is none": lambda p: p.replace(b'"sequence":1', b'"sequence":1.0'),
    "a sequence in words": lambda p: p.replace(b'"sequence":1', b'"sequence":"1"'),
    "a negative sequence": lambda p: p.replace(b'"sequence":1', b'"sequence":-1'),
    "a sequence of true": lambda p: p.replace(b'"sequence":1', b'"sequence":true'),
    "an enormous sequence": lambda p: p.replace(b'"sequence":1', b'"sequence":' + b"9" * 40),
    "no moment": lambda p: p.replace(b'"sent_at":"', b'"sent_at":"x'),
    "a moment before all": lambda p: p.replace(b'"sent_at":"2020', b'"sent_at":"0001'),
    "a moment beyond all": lambda p: p.replace(b'"sent_at":"2020-03-16T', b'"sent_at":"9999-12-31T'),
    "an event without a zone": lambda p: p.replace(b'"event_at":null', b'"event_at":"2020-03-16T03:00:00"'),
    "an event beyond all": lambda p: p.replace(b'"event_at":null', b'"event_at":"9999-12-31T23:59:59-14:00"'),
    "an id that is none": lambda p: p.replace(b'"id":"', b'"id":"x'),
    "a long id": lambda p: p.replace(b'"id":"', b'"id":"' + b"x" * 5000),
    "replaces nothing that could be": lambda p: p.replace(b'"replaces":null', b'"replaces":"khong-phai"'),
    "a long notation": lambda p: p.replace(b'"notation":"', b'"notation":"' + b"x" * 5000),
    "a long subject": lambda p: p.replace(b'"subject":"', b'"subject":"' + b"x" * 5000),
    "another format": lambda p: p.replace(b"hiepdong.dispatch/1", b"khac.dispatch/2"),
    "a body that is none": lambda p: p.replace(b'"body":{"text":"N', b'"body":[],"b":{"text":"N'),
    "an attachment that is none": lambda p: p.replace(b'"attachments":[]', b'"attachments":[7]'),
    "a thousand recipients": lambda p: p.replace(b'"recipients":[', b'"recipients":[' + b'{"organisation":"x"},' * 1000),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_paper_is_refused_alone_and_the_papers_beside_it_pass(node, peer, name):
    before, after = peer.dispatch(A, [HERE]), peer.dispatch(B, [HERE])
    hostile = peer.dispatch(A, [ALSO], raw=HOSTILE[name])  # by itself it would pass: the first in its sequence
    states = peer.state_of(node, before, hostile, after)
    assert states[0] == states[2] == ("applied", "")
    assert states[1][0] == "refused"
    assert states[1][1] in {"exchange.invalid_content", "exchange.bad_signature"}
    assert papers(node) == ["Thông báo 1", "Thông báo 1"]
    assert peer.at(node).held_through == 3


def test_an_item_that_makes_the_program_fail_is_held_alone_and_told(node, peer, monkeypatch):
    before, bad, after = peer.dispatch(A, [HERE]), peer.dispatch(B, [HERE]), peer.dispatch(A, [HERE])
    real = intake.check_rows

    def fails(content):
        if content.sender == B:
            raise AttributeError("a fault of the program")
        real(content)

    monkeypatch.setattr(intake, "check_rows", fails)
    states = peer.state_of(node, before, bad, after)
    assert states == [("applied", ""), ("held", "exchange.not_understood"), ("applied", "")]
    assert peer.incidents(node) == ["exchange.not_understood"]
    assert peer.at(node).held_through == 3
    with node:
        row = Arrival.objects.get(state="held")
        with pytest.raises(intake.NotUnderstood):
            intake.release(arrival_id=row.pk, actor=None, at=node.clock())
    monkeypatch.setattr(intake, "check_rows", real)  # the next version can
    with node:
        assert intake.judge_anew(at=node.clock()) == 1
    assert len(papers(node)) == 3


def test_a_full_disk_or_a_lost_connection_is_no_fault_of_the_item(node, peer, monkeypatch):
    from django.db import OperationalError

    def full(*_, **__):
        raise OperationalError("database or disk is full")

    item = peer.item(peer.dispatch(A, [HERE]))
    monkeypatch.setattr(intake, "check_rows", full)
    with pytest.raises(OperationalError):
        peer.give(node, item)
    monkeypatch.undo()
    assert peer.arrivals(node) == []
    assert peer.state_of(node, item) == [("applied", "")]
    assert peer.incidents(node) == []


def test_a_paper_of_a_million_words_passes_on_every_database(node, peer):
    words = " ".join(f"{'chu' * 200}{i}" for i in range(4000))
    assert peer.state_of(node, peer.dispatch(A, [HERE], body={"form": "x", "long": words})) == [("applied", "")]


def test_receipts_of_a_hostile_peer_change_nothing(node, peer):
    node.send(HERE, [A], "Của đồn")
    with node:
        own = bytes(Dispatch.objects.get().signed)
    arrived = peer.receipt(own, A)
    cases = [
        (peer.receipt(own, A, digest="0" * 64), "exchange.receipt_of_other_bytes"),
        (peer.receipt(own, B), "exchange.not_addressed"),
        (peer.receipt(own, HERE, key=peer.keys[A]), "exchange.wrong_key"),
        (peer.receipt(own, A, "returned"), "exchange.invalid_content"),
        (peer.receipt(own, A, at="2020-03-16T03:00:00"), "exchange.invalid_content"),
        (peer.receipt(own, A, at="9999-12-31T23:00:00-14:00"), "exchange.invalid_content"),
        (peer.receipt(own, A, dispatch="khong-phai"), "exchange.invalid_content"),
        (peer.receipt(own, A, reason="TỐI MẬT"), "exchange.classified_content"),
        (arrived, ""),
        (arrived, ""),
        (peer.receipt(own, A), "exchange.receipt_changed"),
        (peer.receipt(own, A, "acknowledged"), ""),
        (peer.receipt(own, A, "returned", reason="Thôi"), "exchange.receipt_contradicts"),
    ]
    assert [code for _, code in peer.state_of(node, *(d for d, _ in cases), kind="receipt")] == [c for _, c in cases]
    with node:
        assert sorted(Receipt.objects.values_list("code", flat=True)) == ["acknowledged", "arrived"]


def test_a_receipt_that_overtakes_its_paper_waits_and_is_applied_when_the_paper_comes(node, peer):
    third = SimulatedNode("ba", ("c.x", "other", "Nơi thứ ba")).link(node)
    document = peer.dispatch(A, [HERE, "c.x"])
    assert third.state_of(node, third.receipt(document, "c.x"), kind="receipt") == [("held", "exchange.dispatch_missing")]
    assert peer.state_of(node, document) == [("applied", "")]
    assert third.arrivals(node) == [(1, "applied", "")]
    with node:
        assert sorted(Receipt.objects.values_list("addressee__organisation__key", flat=True)) == ["c.x", HERE]


def test_a_directory_that_steals_an_organisation_changes_nothing(node, peer):
    stolen = peer.directory()
    stolen["organisations"][0] |= {"key": HERE, "name": "Đồn giả"}
    document = peer.dispatch(A, [HERE], kind="directory", body={"directory": stolen})
    of_another = peer.dispatch(B, [HERE], kind="directory", body={"directory": peer.directory()})
    assert peer.state_of(node, document, of_another) == [("applied", ""), ("applied", "")]
    assert peer.incidents(node) == ["exchange.claimed_twice", "exchange.foreign_directory"]
    with node:
        body = Organisation.objects.get(key=HERE)
        assert body.name == "Đồn"
        assert links.is_at_home(body.pk)


NO_DIRECTORIES = [
    [],
    {"organisations": "x"},
    {"organisations": [1]},
    {"keys": [{"owner": A, "jwk": []}]},
    {"keys": [{"owner": A, "jwk": {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43}, "valid_from": 7}]},
]


@pytest.mark.parametrize("directory", NO_DIRECTORIES)
def test_a_directory_that_is_none_is_told_and_the_paper_stays(node, peer, directory):
    document = peer.dispatch(A, [HERE], kind="directory", body={"directory": directory})
    assert peer.state_of(node, document, peer.dispatch(A, [HERE])) == [("applied", ""), ("applied", "")]
    assert len(peer.incidents(node)) == 1


def test_a_checkpoint_that_contradicts_an_earlier_one_is_an_incident_and_not_witnessed(node, peer):
    good = peer.checkpoint(1, "một", 10)
    other = peer.checkpoint(1, "khác", 10)
    fewer = peer.checkpoint(2, "hai", 5)
    peer.give(node, good, other, fewer, kind="checkpoint")
    assert peer.incidents(node) == ["exchange.journal_contradicts"] * 2
    with node:
        assert Parcel.objects.filter(kind="witness").count() == 1


def test_a_checkpoint_and_papers_in_one_request_get_places_without_a_double(node, peer, monkeypatch):
    monkeypatch.setattr(intake, "UNFORESEEN", ())  # one by one they would get them in any case
    one = peer.item(peer.dispatch(A, [HERE]))
    two = peer.item(peer.checkpoint(1, "một", 10), kind="checkpoint")
    three = peer.item(peer.dispatch(A, [HERE]))
    assert peer.state_of(node, one, two, three) == [("applied", "")] * 3
    with node:
        assert list(Parcel.objects.order_by("position").values_list("position", flat=True)) == [1, 2, 3]
        assert Peer.objects.get().sent_through == 3


def test_a_key_statement_for_an_organisation_of_another_is_refused(node, peer):
    third = SimulatedNode("ba", ("c.x", "other", "Nơi thứ ba")).link(node)
    _, statement = peer.new_key("c.x", by=peer.key, replaces=third.keys["c.x"].kid)
    _, ours = peer.new_key(HERE, by=peer.key, replaces="")
    _, broken = peer.new_key(A, by=peer.keys[A], replaces=peer.keys[B].kid)
    _, without = peer.new_key(A, by=peer.keys[B], replaces=peer.keys[A].kid)
    codes = [code for _, code in peer.state_of(node, statement, ours, broken, without, kind="key")]
    assert codes == [
        "exchange.foreign_key",
        "exchange.foreign_key",
        "exchange.key_without_continuity",
        "exchange.wrong_key",
    ]
    assert peer.incidents(node) == codes


def test_statements_that_say_nonsense_hold_up_nobody(node, peer):
    fresh = signing.new_key(peer_secret())
    more = {"jwk": peer.public(fresh), "replaces": peer.keys[A].kid}
    documents = [
        peer.statement(A, "add", fresh.kid, by=peer.keys[A], **more),  # no moment
        peer.statement(A, "add", fresh.kid, by=peer.keys[A], **more, valid_from="2020-03-16T00:00:00"),
        peer.statement(A, "add", fresh.kid, by=peer.keys[A], **more | {"jwk": []}, valid_from="2020-03-16T00:00:00Z"),
        peer.statement(A, "add", "x" * 5000, by=peer.keys[A], **more, valid_from="2020-03-16T00:00:00Z"),
        peer.statement(A, "burn", fresh.kid, by=peer.keys[A]),
    ]
    states = peer.state_of(node, *documents, kind="key")
    assert [s for s, _ in states] == ["refused"] * 4 + ["held"]
    assert peer.state_of(node, peer.dispatch(A, [HERE])) == [("applied", "")]


def test_a_key_compromised_mid_queue_spoils_only_what_came_after_its_revocation(node, peer):
    old = peer.keys[A]
    before = peer.dispatch(A, [HERE])
    revocation = peer.statement(A, "revoke", old.kid, by=peer.key, reason="Mất máy")
    fresh, vouched = peer.new_key(A, by=peer.key, replaces=old.kid)
    forged = peer.dispatch(A, [HERE])
    peer.keys[A] = fresh
    chain = peer.chains[A, HERE]
    after = peer.dispatch(A, [HERE])
    assert peer.state_of(node, before) == [("applied", "")]
    assert peer.state_of(node, revocation, vouched, kind="key") == [
        ("applied", ""),
        ("held", "exchange.key_needs_comparison"),
    ]
    assert peer.state_of(node, forged, after) == [("refused", "exchange.key_revoked"), ("held", "exchange.unknown_key")]
    assert chain
    with node:
        row = Arrival.objects.get(code="exchange.key_needs_comparison")
        intake.release(arrival_id=row.pk, actor=None, at=node.clock())
    assert papers(node) == ["Thông báo 1", "Thông báo 3"]
    with node:
        assert Dispatch.objects.get(subject="Thông báo 1").key.revoked_at  # and its signature stays good


def test_a_paper_larger_than_a_node_takes_is_not_signed(node):
    with pytest.raises(signing.DocumentTooLarge):
        node.send(HERE, [ALSO], body={"long": "x" * 4 * 1024 * 1024})


def test_a_flood_of_waiting_items_is_stopped_and_what_waits_is_kept(node, peer, monkeypatch):
    monkeypatch.setattr(intake, "MOST_HELD", 20)
    waiting = [peer.dispatch(A, [HERE], replaces=str(uuid_of(i))) for i in range(20)]
    items = [peer.item(d, position=100 + i) for i, d in enumerate(waiting)]
    assert {s for s, _ in peer.state_of(node, *items)} == {"held"}
    with pytest.raises(intake.TooMuchHeld):
        peer.give(node, peer.item(peer.dispatch(A, [HERE]), position=1))
    with node:
        assert Arrival.objects.filter(state="held").count() == 20


def uuid_of(i):
    import uuid

    return uuid.UUID(int=i + 1)


def test_a_flood_of_refused_items_keeps_their_digests_and_fills_no_disk(node, peer, monkeypatch):
    monkeypatch.setattr(intake, "MOST_EVIDENCE", 5)
    monkeypatch.setattr(links, "MOST_UNSEEN", 7)
    for _ in range(4):
        peer.give(node, *[peer.dispatch(A, [HERE], key=peer.keys[B]) for _ in range(3)])
    with node:
        kept = [bool(d) for d in Arrival.objects.order_by("position").values_list("document", flat=True)]
        assert sum(kept) <= 7
        assert all(Arrival.objects.values_list("digest", flat=True))
        assert LinkIncident.objects.count() == 7


def test_a_peer_that_claims_to_hold_more_than_was_sent_stops_nobody_from_sending(node, peer):
    node.send(HERE, [A], "Một")
    with node:
        Peer.objects.update(address="https://la.example")
        line = peer.line(hello=peer.greeting(held_through=10**9))
        courier.run(peer_id=peer.at(node).pk, transport=line, clock=node.clock)
        assert Node.objects.get().state == "normal"
    assert peer.incidents(node) == ["exchange.held_beyond_sent"]
    node.send(HERE, [A], "Hai")
    with node:
        courier.run(peer_id=peer.at(node).pk, transport=line, clock=node.clock)
        pushed = [i["position"] for name, items in line.asked if name == "push" for i in items]
    assert pushed == [1, 2]


def test_a_peer_that_only_ever_asks_is_believed_once(node, peer):
    from hiepdong.exchange import answering

    with node:
        pk = peer.at(node).pk
        answering.hello(peer_id=pk, said=peer.greeting(held_through=7), at=node.clock())
        assert Node.objects.get().state == "recovering"
        recovery.end_recovery(actor=None, at=node.clock(), forced=True)
        answering.hello(peer_id=pk, said=peer.greeting(held_through=7), at=node.clock())
        assert Node.objects.get().state == "normal"
    assert peer.incidents(node) == ["exchange.restored_from_backup", "exchange.held_beyond_sent"]


@pytest.mark.parametrize(
    "answers",
    [
        {"hello": lambda _: []},
        {"hello": {"node": "x"}},
        {"push": lambda _: []},
        {"push": {"held_through": "x"}},
        {"push": {"held_through": True}},
        {"push": {"held_through": 0}},
        {"push": {"results": [], "held_through": 1, "wanted": "x"}},
        {"pull": {"items": [7]}},
        {"pull": {"items": [{"position": 2**70, "kind": "x", "document": "aa.bb.cc"}]}},
        {"pull": {"items": [{"position": 1, "kind": "x y", "document": "aa.bb.cc"}]}},
        {"pull": "x"},
    ],
)
def test_answers_that_are_none_fail_the_round_lose_nothing_and_are_tried_again(node, peer, answers):
    node.send(HERE, [A], "Một")
    with node:
        with pytest.raises((InvalidItem, PeerRefused)):
            courier.run(peer_id=peer.at(node).pk, transport=peer.line(**answers), clock=node.clock)
        assert peer.at(node).failures == 1
        assert peer.at(node).next_try_at > node.clock.at
        line = peer.line()
        courier.run(peer_id=peer.at(node).pk, transport=line, clock=node.clock)
        assert (peer.at(node).failures, peer.at(node).confirmed_through) == (0, 1)


def test_hostile_results_and_wishes_in_an_answer_are_passed_over(node, peer):
    node.send(HERE, [A], "Một")
    with node:
        own = Parcel.objects.get().digest
        results = [
            7,
            {"position": [1]},
            {"position": 2**80, "digest": own, "state": "refused"},
            {"position": 1, "digest": "0" * 64, "state": "refused", "code": "of another item"},
            {"position": 1, "digest": own, "state": [1], "code": {"a": "\0"}},
        ]
        answer = {"held_through": 1, "results": results, "wanted": ["\0", 7, "0" * 64, {"a": 1}]}
        courier.run(peer_id=peer.at(node).pk, transport=peer.line(push=answer), clock=node.clock)
        assert "\0" not in Parcel.objects.get().outcome
        assert peer.at(node).confirmed_through == 1


def test_a_peer_that_gives_without_an_end_leaves_others_their_turn(node, peer, monkeypatch):
    monkeypatch.setattr(courier, "MOST_PULLS_A_ROUND", 4)
    line = peer.line(pull=lambda after: {"items": [peer.item(peer.dispatch(A, [HERE]))], "sent_through": after + 9})
    with node:
        done = courier.run(peer_id=peer.at(node).pk, transport=line, clock=node.clock)
    assert done.taken == 4


def test_what_a_peer_withholds_is_seen_on_the_link_and_taken_when_it_comes(node, peer):
    one, two, three = (peer.item(peer.dispatch(A, [HERE])) for _ in range(3))
    peer.give(node, one, three)
    with node:
        from hiepdong.exchange import answering

        answering.hello(peer_id=peer.at(node).pk, said=peer.greeting(), at=node.clock())
    at = peer.at(node)
    assert (at.held_through, at.announced_through) == (1, 3)
    peer.give(node, two)
    assert peer.at(node).held_through == 3
    assert peer.incidents(node) == []


def test_who_names_the_digest_of_a_file_of_others_is_not_given_it(node, peer):
    from hiepdong.documents.services import keep_file
    from hiepdong.exchange import answering
    from hiepdong.exchange.models import Attachment
    from hiepdong.kernel.errors import NotFound

    with node:
        foreign = keep_file(data=b"cua nguoi khac", name="riêng.txt", media_type="text/plain", at=node.clock())
        own = keep_file(data=b"cua ho", name="chung.txt", media_type="text/plain", at=node.clock())
    attached = [{"name": f.name, "digest": f.digest, "size": f.size, "media_type": f.media_type} for f in (foreign, own)]
    peer.give(node, peer.item(peer.dispatch(A, [HERE], changes={"attachments": attached})))
    node.send(HERE, [ALSO], "Riêng")
    with node:
        pk, ours = peer.at(node).pk, Dispatch.objects.get(subject="Riêng")
        Attachment.objects.create(dispatch=ours, file=foreign, name="riêng.txt")
        assert Attachment.objects.filter(file=foreign).count() == 2
        assert answering.file_for(peer_id=pk, digest=own.digest) == own
        with pytest.raises(NotFound):
            answering.file_for(peer_id=pk, digest=foreign.digest)


def test_files_that_no_paper_names_and_foreign_wishes_get_nothing(node, peer):
    from hiepdong.exchange import answering
    from hiepdong.kernel.errors import NotFound

    with node:
        File.objects.create(digest="1" * 64, size=1, media_type="x", name="riêng", added_at=node.clock())
        pk = peer.at(node).pk
        for wish in ("1" * 64, "0" * 64):
            with pytest.raises(NotFound):
                answering.file_for(peer_id=pk, digest=wish)
            with pytest.raises(NotFound):
                answering.wants(peer_id=pk, digest=wish)
