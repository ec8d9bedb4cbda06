"""A regulation comes into force on every node when all its parties have signed the same bytes, and not before."""

import itertools
import json

import pytest
from django.conf import settings

from hiepdong.exchange import joint, links, queries, signing
from hiepdong.exchange.keys import ensure_key
from hiepdong.exchange.models import Addressee, Dispatch, JointDocument, LinkIncident, Peer, SigningKey
from hiepdong.exchange.services import Outgoing, send_many
from hiepdong.exchange.transport import Unreachable
from hiepdong.journal.models import Entry
from hiepdong.kernel.errors import NotAllowed
from hiepdong.regulations import services
from hiepdong.regulations.models import Instrument
from hiepdong.web.services import react
from support.joint import KEY, regulation_text
from support.nodes import Node, link, two_nodes

pytestmark = pytest.mark.django_db(transaction=True)
STATION, DISTRICT, COMMUNE = "t.don-my-ly", "t.huyen-uy", "t.ubnd-xa"


def propose(node, text=None):
    with node:
        text = text or regulation_text()
        made = services.propose(file_bytes=text, name="regulation.toml", actor=None, at=node.clock())
        react(at=node.clock())
        return made.digest


def sign(node, digest, key):
    with node:
        document = joint.by_digest(digest)
        at = node.clock()
        services.sign(document=document, organisation=node.body(key), actor=node.seat(key), at=at)
        react(at=at)


def in_force(*nodes):
    found = []
    for node in nodes:
        with node:
            found.append(list(Instrument.objects.order_by("version").values_list("version", "digest")))
    return found


def incidents(node):
    with node:
        return sorted(LinkIncident.objects.values_list("code", flat=True))


def signed(node, digest):
    with node:
        return sorted(joint.signed_by(joint.by_digest(digest)))


def test_a_regulation_is_in_force_on_both_nodes_with_the_last_signature_and_on_neither_before(tmp_path):
    guard, local = two_nodes(tmp_path)
    digest = propose(guard)
    guard.round(local)
    with local:
        assert not JointDocument.objects.exists()  # nobody has signed: nothing travels
    sign(guard, digest, STATION)
    guard.round(local)
    assert in_force(guard, local) == [[], []]
    assert signed(local, digest) == [STATION]
    sign(local, digest, DISTRICT)
    assert in_force(guard, local)[0] == []
    assert len(in_force(local)[0]) == 1
    guard.round(local)
    here, there = in_force(guard, local)
    assert here == there
    assert len(here) == 1
    documents = []
    for node in (guard, local):
        with node:
            documents.append(json.dumps(joint.as_json(joint.by_digest(digest)), sort_keys=True))
            assert all(s.genuine for s in joint.signatories(joint.by_digest(digest)))
    assert documents[0] == documents[1]
    assert incidents(guard) == incidents(local) == []


def test_what_is_not_signed_by_all_cannot_be_loaded_where_a_party_lives_elsewhere(tmp_path):
    guard, _local = two_nodes(tmp_path)
    text = regulation_text()
    digest = propose(guard, text)
    sign(guard, digest, STATION)
    with guard, pytest.raises(services.NotSigned) as refused:
        services.load_instrument(file_bytes=text, name="r.toml", actor=None, at=guard.clock())
    assert "Huyện ủy Kỳ Sơn" in str(refused.value)
    at_home = regulation_text(parties=((STATION, "border_guard"), ("t.dang-uy-bdbp", "locality")))
    with guard:
        services.load_instrument(file_bytes=at_home, name="r.toml", actor=None, at=guard.clock())
    assert len(in_force(guard)[0]) == 1


def test_an_amendment_waits_for_its_own_signatures_and_then_closes_the_version_before_on_both_nodes(tmp_path):
    guard, local = two_nodes(tmp_path)
    first = propose(guard)
    sign(guard, first, STATION)
    guard.round(local)
    sign(local, first, DISTRICT)
    guard.round(local)
    second = propose(local, regulation_text(version=2, effective_from="2020-06-15", days=5))
    sign(local, second, DISTRICT)
    guard.round(local)
    assert [len(v) for v in in_force(guard, local)] == [1, 1]
    sign(guard, second, STATION)
    guard.round(local)
    assert in_force(guard)[0] == in_force(local)[0]
    for node in (guard, local):
        with node:
            assert [str(i.effective_until) for i in Instrument.objects.order_by("version")] == ["2020-06-15", "None"]


def test_only_a_signer_of_a_party_signs_and_only_at_its_home(tmp_path):
    guard, _local = two_nodes(tmp_path)
    digest = propose(guard)
    with guard:
        document, at = joint.by_digest(digest), guard.clock()
        with pytest.raises(NotAllowed):
            services.sign(document=document, organisation=guard.body(STATION), actor=guard.seat(STATION, "clerk"), at=at)
        with pytest.raises(NotAllowed):
            services.sign(document=document, organisation=guard.body(STATION), actor=guard.seat("t.dang-uy-bdbp"), at=at)
        with pytest.raises(joint.NotAParty):
            services.sign(document=document, organisation=guard.body("t.dang-uy-bdbp"), actor=None, at=at)
        with pytest.raises(links.NotAtHome):
            services.sign(document=document, organisation=guard.body(DISTRICT), actor=None, at=at)
        assert not Dispatch.objects.exists()


def test_signing_again_changes_nothing_and_sends_nothing(tmp_path):
    guard, _local = two_nodes(tmp_path)
    digest = propose(guard)
    sign(guard, digest, STATION)
    sign(guard, digest, STATION)
    with guard:
        assert Dispatch.objects.filter(kind="regulation").count() == 1
        assert Entry.objects.filter(code="exchange.joint.signed").count() == 1


def test_nobody_signs_a_text_that_has_not_come(tmp_path):
    guard, local = two_nodes(tmp_path)
    digest = propose(guard)
    sign(guard, digest, STATION)
    line = guard.line_to(local)

    def cut(step):
        if step in {"offered", "put", "fetch"}:
            raise Unreachable(name="dia-phuong", why="thử")

    line.before = cut
    with pytest.raises(Exception, match="dia-phuong"):
        guard.round(local, line)
    with local:
        react(at=local.clock())
        with pytest.raises(services.InvalidRegulation) as refused:
            services.sign(document=joint.by_digest(digest), organisation=local.body(DISTRICT), actor=None, at=local.clock())
        assert "chưa đến" in str(refused.value.problems[0])
    with guard:
        Peer.objects.update(next_try_at=None)
    guard.round(local)
    sign(local, digest, DISTRICT)
    assert len(in_force(local)[0]) == 1


def test_two_texts_of_one_version_are_never_both_in_force(tmp_path):
    guard, local = two_nodes(tmp_path)
    one, other = propose(guard), propose(local, regulation_text(days=3))
    sign(guard, one, STATION)
    sign(local, other, DISTRICT)
    guard.round(local)
    for node, digest, key in ((guard, other, STATION), (local, one, DISTRICT)):
        with pytest.raises(joint.SignedAnother):
            sign(node, digest, key)
    assert in_force(guard, local) == [[], []]


def carrying(node, document, sender=STATION, to=DISTRICT, kind="regulation"):
    """Send a dispatch that carries a document as it is, from a node that does not check what it sends."""
    with node:
        at = node.clock()
        item = Outgoing(
            kind=kind, sender=node.body(sender), to=[node.body(to)], subject="Chữ ký", sent_at=at, body={"document": document}
        )
        send_many(items=[item], actor=None, at=at)


def taken(node, digest):
    with node:
        found = JointDocument.objects.filter(digest=digest).first()
        return sorted(joint.signed_by(found)) if found else None


def part_by(node, payload, key, typ="hiepdong.regulation+json"):
    with node:
        k = ensure_key(organisation=node.body(key), actor=None, at=node.clock())
        return signing.sign_general(
            payload, kid=k.kid, private_encrypted=k.private_encrypted, secret=settings.SECRET_KEY, typ=typ
        )


def test_a_signature_over_other_bytes_is_refused_and_is_an_incident_of_the_link(tmp_path):
    guard, local = two_nodes(tmp_path)
    digest = propose(guard)
    with guard:
        payload = bytes(joint.by_digest(digest).payload)
    forged = part_by(guard, payload.replace(b'"version":1', b'"version":9'), STATION)
    carrying(guard, signing.general_json(payload, [forged]))
    guard.round(local)
    assert taken(local, digest) is None
    assert incidents(local) == ["exchange.joint_false"]


def test_a_signature_of_a_body_that_is_no_party_makes_the_whole_copy_false(tmp_path):
    guard, local = two_nodes(tmp_path)
    digest = propose(guard)
    with guard:
        payload = bytes(joint.by_digest(digest).payload)
    parts = [part_by(guard, payload, STATION), part_by(guard, payload, "t.dang-uy-bdbp")]
    carrying(guard, signing.general_json(payload, parts))
    guard.round(local)
    assert taken(local, digest) is None
    assert incidents(local) == ["exchange.joint_not_a_party"]


def test_a_copy_from_a_body_that_is_no_party_is_not_taken(tmp_path):
    guard, local = two_nodes(tmp_path)
    digest = propose(guard)
    with guard:
        payload = bytes(joint.by_digest(digest).payload)
    carrying(guard, signing.general_json(payload, [part_by(guard, payload, STATION)]), sender="t.dang-uy-bdbp")
    guard.round(local)
    assert taken(local, digest) is None
    assert incidents(local) == ["exchange.joint_not_a_party"]


def test_a_signature_by_a_revoked_or_expired_key_is_refused_and_is_an_incident_of_the_link(tmp_path):
    guard, local = two_nodes(tmp_path)
    digest = propose(guard)
    with guard:
        payload = bytes(joint.by_digest(digest).payload)
    old = part_by(guard, payload, STATION)
    with guard:
        links.rotate_key(organisation=guard.body(STATION), actor=None, at=guard.clock())
    guard.clock.pass_(days=1)
    carrying(guard, signing.general_json(payload, [old]))
    guard.round(local)
    assert taken(local, digest) is None
    assert incidents(local) == ["exchange.key_expired"]
    with local:
        LinkIncident.objects.all().delete()
        SigningKey.objects.filter(kid=old.kid).update(revoked_at=local.clock())
    carrying(guard, signing.general_json(payload, [old]))
    guard.round(local)
    assert taken(local, digest) is None
    assert incidents(local) == ["exchange.key_revoked"]


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {"payload": "e30", "signatures": []},
        {"payload": "e30", "signatures": [{"protected": "e30", "signature": "AA"}]},
    ],
    ids=["nothing", "a list", "no signature", "no header"],
)
def test_what_is_no_such_document_is_an_incident_and_nothing_breaks(tmp_path, document):
    guard, local = two_nodes(tmp_path)
    carrying(guard, document)
    guard.round(local)
    assert incidents(local) == ["exchange.joint_false"]
    with local:
        assert not JointDocument.objects.exists()


def three_nodes(folder):
    nodes = [
        Node("bien-phong", folder).found((STATION, "border_station", "Đồn Biên phòng Mỹ Lý")),
        Node("dia-phuong", folder).found((DISTRICT, "party_district", "Huyện ủy Kỳ Sơn")),
        Node("xa", folder).found((COMMUNE, "peoples_committee_commune", "UBND xã Mỹ Lý")),
    ]
    link(*nodes)
    return nodes


THREE = ((STATION, "border_guard"), (DISTRICT, "locality"), (COMMUNE, "locality"))


@pytest.mark.parametrize("order", list(itertools.permutations(range(3)))[:3], ids=str)
def test_three_parties_on_three_nodes_end_with_the_same_document_whatever_the_order_of_the_rounds(tmp_path, order):
    nodes = three_nodes(tmp_path)
    digest = propose(nodes[0], regulation_text(parties=THREE))
    sign(nodes[0], digest, STATION)
    nodes[0].round(nodes[1])
    nodes[0].round(nodes[2])
    sign(nodes[1], digest, DISTRICT)
    sign(nodes[2], digest, COMMUNE)
    assert in_force(*nodes) == [[], [], []]
    pairs = [(0, 1), (1, 2), (0, 2)]
    for i in (*order, *order):
        a, b = pairs[i]
        nodes[a].round(nodes[b])
    assert {tuple(signed(n, digest)) for n in nodes} == {(STATION, DISTRICT, COMMUNE)}
    assert len({str(v) for v in in_force(*nodes)}) == 1
    assert len(in_force(nodes[2])[0]) == 1
    assert [incidents(n) for n in nodes] == [[], [], []]


def test_taking_the_same_paper_again_changes_nothing(tmp_path):
    guard, local = two_nodes(tmp_path)
    digest = propose(guard)
    sign(guard, digest, STATION)
    guard.round(local)
    with local:
        before = list(JointDocument.objects.values())
        entries = Entry.objects.filter(code__startswith="exchange.joint").count()
        for dispatch in Dispatch.objects.filter(kind="regulation"):
            joint.take(dispatch=dispatch, at=local.clock())
        assert list(JointDocument.objects.values()) == before
        assert Entry.objects.filter(code__startswith="exchange.joint").count() == entries
        assert not LinkIncident.objects.exists()


def test_signatures_travel_as_service_papers_that_wait_for_nobodys_acknowledgement(tmp_path):
    guard, local = two_nodes(tmp_path)
    digest = propose(guard)
    sign(guard, digest, STATION)
    guard.round(local)
    with local:
        seat = local.seat(DISTRICT)
        assert Addressee.objects.get().dispatch.register == "service"
        assert queries.waiting_for_acknowledgement(seat, at=local.clock()) == []
        assert queries.count_waiting(seat, at=local.clock()) == 0
        assert [d.digest for d in joint.waiting_for_signature(seat)] == [digest]
    sign(local, digest, DISTRICT)
    with local:
        assert joint.waiting_for_signature(local.seat(DISTRICT)) == []
        assert KEY in joint.by_digest(digest).name
