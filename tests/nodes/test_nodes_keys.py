"""Keys while papers are under way: renewed, expired, compromised; keys of organisations and of the nodes themselves."""

import io
import json
from datetime import timedelta

import pytest
from django.core.management import call_command

from hiepdong.exchange import (
    bundles,
    checkpoints,
    intake,
    key_tending,
    keys,
    links,
    queries,
    services,
    signed_request,
    signing,
)
from hiepdong.exchange.domain.envelope import canonical
from hiepdong.exchange.models import Arrival, Dispatch, LinkIncident, NodeKey, Parcel, PeerCheckpoint, SigningKey
from hiepdong.journal.models import Entry
from hiepdong.journal.services import seal_entries
from support.nodes import Node, link, two_nodes

pytestmark = pytest.mark.django_db(transaction=True)
STATION, DISTRICT = "t.don-my-ly", "t.huyen-uy"


@pytest.fixture
def nodes(tmp_path):
    return two_nodes(tmp_path)


def subjects(node):
    with node:
        return set(Dispatch.objects.values_list("subject", flat=True))


def unsettled(node):
    with node:
        return sorted(Arrival.objects.exclude(state="applied").values_list("state", "code"))


def ends_at(node):
    """Return when the key of the station ends, at its home."""
    with node:
        return SigningKey.objects.filter(organisation__key=STATION).latest("valid_from").valid_until


# --- expiry ----------------------------------------------------------------------------------------------------------------


def test_a_key_that_expires_mid_queue_is_warned_of_30_7_and_1_days_before_once_each(nodes):
    guard, _local = nodes
    until = ends_at(guard)
    with guard:
        key = SigningKey.objects.get(organisation__key=STATION)
        for days in (40, 30, 29, 8, 7, 5, 1, 1, 0.5):
            key_tending.tend_keys(at=until - timedelta(days=days), renew_days=0)
        told = Entry.objects.filter(code="exchange.key.expiring", facts__kid=key.kid)
        assert [e.facts["days"] for e in told.order_by("id")] == [30, 7, 1]


def test_items_queued_before_the_rollover_verify_after_it_and_so_do_those_that_follow(nodes):
    guard, local = nodes
    guard.clock.at = ends_at(guard) - timedelta(days=20)
    guard.send(STATION, [DISTRICT], "Trước khi đổi khóa")
    with guard:
        done = key_tending.tend_keys(at=guard.clock(), renew_days=30)
        assert (done.renewed, done.warned) == (2, 0)  # both organisations that live there
        assert key_tending.tend_keys(at=guard.clock(), renew_days=30).renewed == 0
    guard.clock.pass_(days=40)  # the first key has expired by now, the queue was never carried
    local.clock.at = guard.clock.at
    guard.send(STATION, [DISTRICT], "Sau khi đổi khóa")
    guard.round(local)
    assert subjects(local) == {"Trước khi đổi khóa", "Sau khi đổi khóa"}
    assert unsettled(local) == []
    with local:
        uuids = list(Dispatch.objects.values_list("uuid", flat=True))
        found = [queries.dispatch_for(local.seat(DISTRICT), uuid) for uuid in uuids]
        assert all(queries.verification_of(d).good for d in found)
        assert len({d.key_id for d in found}) == 2


def test_a_node_that_recovers_renews_no_key(nodes):
    guard, _local = nodes
    with guard:
        links.mark_restored(at=guard.clock())
        assert key_tending.tend_keys(at=ends_at(guard) - timedelta(days=1), renew_days=30) == key_tending.Tended(0, 0)


# --- compromised -----------------------------------------------------------------------------------------------------------


def test_a_key_compromised_and_replaced_mid_queue(nodes):
    """What was held before stays good; what comes later under the key is refused; the sender sends it again by one press."""
    guard, local = nodes
    held = guard.send(STATION, [DISTRICT], "Đã tới trước")
    guard.round(local)
    queued = guard.send(STATION, [DISTRICT], "Còn nằm trong hàng")
    with guard:
        bad = SigningKey.objects.get(organisation__key=STATION)
        links.revoke_key(kid=bad.kid, reason="Máy bị mất", actor=None, at=guard.clock())
    after = guard.send(STATION, [DISTRICT], "Ký bằng khóa mới")
    guard.round(local)
    guard.round(local)
    assert subjects(local) == {"Đã tới trước"}
    assert unsettled(local) == [
        ("held", "exchange.key_needs_comparison"),
        ("held", "exchange.unknown_key"),
        ("refused", "exchange.key_revoked"),
    ]
    with local:
        waiting = Arrival.objects.get(code="exchange.key_needs_comparison")
        intake.release(arrival_id=waiting.pk, actor=None, at=local.clock())
        assert queries.verification_of(queries.dispatch_for(local.seat(DISTRICT), held)).good
    assert subjects(local) == {"Đã tới trước", "Ký bằng khóa mới"}
    with guard:
        signer = guard.seat(STATION)
        again = queries.papers_to_send_again(signer)
        assert [str(d.uuid) for d in again] == [queued]
        with pytest.raises(services.NotRefused):
            services.send_again(dispatch_uuid=after, actor=signer, at=guard.clock())
        sent = services.send_again(dispatch_uuid=queued, actor=signer, at=guard.clock())
        assert services.send_again(dispatch_uuid=queued, actor=signer, at=guard.clock()) == sent
        assert (sent.replaces, sent.subject) == (again[0], "Còn nằm trong hàng")
        assert queries.papers_to_send_again(signer) == []
    guard.round(local)
    assert subjects(local) == {"Đã tới trước", "Ký bằng khóa mới", "Còn nằm trong hàng"}


# --- the node's own key ----------------------------------------------------------------------------------------------------


def request_of(guard, local):
    """Return a request that guard signs to local now, as local reads it."""
    peer = guard.peer(local)
    with guard:
        signer = signed_request.Signer(to=peer, at=guard.clock())
        document = signer.sign(method="POST", path="/x", body=b"", at=guard.clock()).encode()
        kid = signing.header_of(document)["kid"]
    with local:
        signed_request.read(document, method="POST", path="/x")
    return kid


def checkpoint(node, other):
    node.send(STATION, [DISTRICT])
    with node:
        seal_entries(at=node.clock())
        checkpoints.announce(at=node.clock())
    node.round(other)


def test_a_node_changes_its_key_without_a_person_and_what_the_old_one_signed_stays_good(nodes):
    guard, local = nodes
    checkpoint(guard, local)
    with guard:
        old = links.node_key(guard.clock())
        new = links.rotate_node_key(actor=None, at=guard.clock())
    assert request_of(guard, local) == old.kid  # the other node does not know the new one yet
    guard.round(local)
    assert request_of(guard, local) == new.kid
    checkpoint(guard, local)
    guard.round(local)
    assert unsettled(local) == []
    with local:
        held = PeerCheckpoint.objects.filter(ours=False).order_by("seal")
        assert [signing.header_of(bytes(c.document))["kid"] for c in held] == [old.kid, new.kid]
        for c in held:
            key = NodeKey.objects.get(kid=signing.header_of(bytes(c.document))["kid"])
            signing.verify(bytes(c.document), public_jwk=key.public_jwk, kid=key.kid, typ=signing.CHECKPOINT_TYPE)


def test_a_checkpoint_under_a_key_that_has_ended_is_refused(nodes):
    guard, local = nodes
    with guard:
        old = links.node_key(guard.clock())
        links.rotate_node_key(actor=None, at=guard.clock())
    guard.round(local)
    guard.send(STATION, [DISTRICT])
    with guard:
        seal_entries(at=guard.clock())
        NodeKey.objects.exclude(pk=old.pk).filter(peer=None).update(revoked_at=guard.clock())
        NodeKey.objects.filter(pk=old.pk).update(valid_until=None)
        checkpoints.announce(at=guard.clock())
    guard.round(local)
    assert unsettled(local) == [("refused", "exchange.bad_signature")]


def test_a_revoked_node_key_is_heard_no_more_and_the_new_one_only_after_a_comparison(nodes):
    guard, local = nodes
    checkpoint(guard, local)
    with guard:
        new = links.revoke_node_key(reason="Máy chủ bị mất", actor=None, at=guard.clock())
    guard.round(local)
    with pytest.raises(signing.BadSignature):
        request_of(guard, local)
    with local:
        waiting = Arrival.objects.get(code="exchange.key_needs_comparison")
        assert waiting.subject == new.kid
        intake.release(arrival_id=waiting.pk, actor=None, at=local.clock())
    assert request_of(guard, local) == new.kid
    checkpoint(guard, local)
    assert unsettled(local) == []


def test_a_node_restored_to_before_its_new_key_says_so_and_goes_on_with_the_old_one(tmp_path):
    guard = Node("bien-phong", tmp_path, vendor="sqlite").found((STATION, "border_station", "Đồn"))
    local = Node("dia-phuong", tmp_path, vendor="sqlite").found((DISTRICT, "party_district", "Huyện ủy"))
    link(guard, local)
    copy = guard.copy_database(tmp_path / "backup.sqlite3")
    with guard:
        old = links.node_key(guard.clock())
        links.rotate_node_key(actor=None, at=guard.clock())
    checkpoint(guard, local)
    guard.put_back(copy)
    with guard:
        links.mark_restored(at=guard.clock())
    guard.round(local)
    with guard:
        assert LinkIncident.objects.filter(code="exchange.own_node_key_lost").count() == 1
        assert links.node_key(guard.clock()).kid == old.kid
        assert links.this_node().state == "normal"
    assert request_of(guard, local) == old.kid


def test_a_statement_about_the_key_of_another_node_is_refused(nodes):
    guard, local = nodes
    with guard:
        peer = guard.peer(local)
        node, key = links.this_node(), links.node_key(guard.clock())
        false = links._key_statement(node=node, action="revoke", owner="", kid=key.kid, at=guard.clock())
        with local:
            false["node"] = str(links.this_node().node_id)
        document = keys.signed_with(key, canonical(false), typ=signing.KEY_TYPE)
        links.outbox.enqueue_document(peer=peer, kind="key", document=document, at=guard.clock())
    guard.round(local)
    assert unsettled(local) == [("refused", "exchange.foreign_key")]
    with local:
        assert LinkIncident.objects.filter(code="exchange.foreign_key").count() == 1
    with guard:
        assert Parcel.objects.filter(kind="key").count() == 1


def test_the_node_key_is_renewed_and_revoked_by_a_command_that_reads_the_fingerprint_out(nodes):
    guard, _local = nodes
    out = io.StringIO()
    with guard:
        call_command("node", "renew-key", "--json", stdout=out)
        kid = json.loads(out.getvalue())["renewed"]
        assert NodeKey.objects.get(kid=kid).private_encrypted
        call_command("node", "revoke-key", "--reason", "Mất máy", stdout=(told := io.StringIO()))
        assert NodeKey.objects.get(kid=kid).revoked_at is not None
        new = NodeKey.objects.get(peer=None, revoked_at=None, valid_until=None)
    assert new.kid in "".join(told.getvalue().split())


def test_a_bundle_made_under_the_node_key_before_is_taken_after_the_rotation(nodes, tmp_path):
    guard, local = nodes
    guard.send(STATION, [DISTRICT], "Trong gói")
    peer = guard.peer(local)
    with guard:
        first = bundles.export(peer_id=peer.pk, folder=tmp_path, encrypt=True, actor=None, at=guard.clock())
        links.rotate_node_key(actor=None, at=guard.clock())
        (tmp_path / "2").mkdir()
        later = bundles.export(peer_id=peer.pk, folder=tmp_path / "2", encrypt=True, actor=None, at=guard.clock())
    with local:
        for written in (*later, *first):
            bundles.take(path=written.path, actor=None, at=local.clock())
    assert subjects(local) == {"Trong gói"}
    assert unsettled(local) == []


def test_in_a_bundle_too_a_revocation_goes_before_what_waits_under_the_key(nodes, tmp_path):
    guard, local = nodes
    guard.send(STATION, [DISTRICT], "Còn nằm trong hàng")
    peer = guard.peer(local)
    with guard:
        bad = SigningKey.objects.get(organisation__key=STATION)
        links.revoke_key(kid=bad.kid, reason="Máy bị mất", actor=None, at=guard.clock())
        out = bundles.export(peer_id=peer.pk, folder=tmp_path, encrypt=True, actor=None, at=guard.clock())
    with local:
        for written in out:
            bundles.take(path=written.path, actor=None, at=local.clock())
    assert ("refused", "exchange.key_revoked") in unsettled(local)
    assert subjects(local) == set()


def test_a_body_that_is_let_go_signs_nothing_more_here_and_what_it_had_signed_stays_good(nodes):
    guard, local = nodes
    uuid = guard.send(STATION, [DISTRICT], "Trước khi rời nút")
    guard.round(local)
    with guard:
        at = guard.clock()
        key = SigningKey.objects.get(organisation__key=STATION)
        assert key.valid_until > at
        ended = {k.kid: k.valid_until for k in SigningKey.objects.exclude(organisation__key=STATION)}
        links.release_home(organisation=guard.body(STATION), actor=None, at=at)
        key.refresh_from_db()
        assert key.valid_until == at
        assert {k.kid: k.valid_until for k in SigningKey.objects.exclude(organisation__key=STATION)} == ended
        assert queries.verification_of(Dispatch.objects.get(uuid=uuid)).good
        links.release_home(organisation=guard.body(DISTRICT), actor=None, at=at)  # it lives elsewhere: its keys are not ours
        assert {k.kid: k.valid_until for k in SigningKey.objects.exclude(organisation__key=STATION)} == ended
        links.release_home(organisation=guard.body(STATION), actor=None, at=guard.clock())
        key.refresh_from_db()
        assert key.valid_until == at


# --- between the invitation and the link -----------------------------------------------------------------------------------


def strangers(tmp_path):
    guard = Node("bien-phong", tmp_path).found((STATION, "border_station", "Đồn"))
    local = Node("dia-phuong", tmp_path).found((DISTRICT, "party_district", "Huyện ủy"))
    with guard:
        of_guard = links.make_invitation(actor=None, at=guard.clock())
    with local:
        of_local = links.make_invitation(actor=None, at=local.clock())
    return guard, local, of_guard, of_local


def accept(node, document):
    with node:
        peer = links.accept_invitation(document=document, actor=None, at=node.clock())
        return peer.pk, links.number_with(links.read_invitation(document).kid, node.clock())


def confirm(node, peer, number):
    with node:
        return links.confirm_peer(peer_id=peer, number=number, actor=None, at=node.clock())


def test_a_key_rotated_after_the_invitation_was_given_is_announced_with_the_link(tmp_path):
    guard, local, of_guard, of_local = strangers(tmp_path)
    with guard:
        first = SigningKey.objects.get(organisation__key=STATION)
        links.rotate_key(organisation=guard.body(STATION), actor=None, at=guard.clock())
        links.rotate_key(organisation=guard.body(STATION), actor=None, at=guard.clock())
    for node, document in ((guard, of_local), (local, of_guard)):
        confirm(node, *accept(node, document))
    guard.send(STATION, [DISTRICT], "Ký bằng khóa thứ ba")
    guard.round(local)
    assert subjects(local) == {"Ký bằng khóa thứ ba"}
    assert unsettled(local) == []
    with local:
        kept = list(SigningKey.objects.filter(organisation__key=STATION).order_by("valid_from"))
        assert (kept[0].kid, len(kept)) == (first.kid, 3)
        assert [k.valid_until for k in kept[:2]] == [k.valid_from for k in kept[1:]]
    with guard:
        told = Entry.objects.get(code="exchange.peer.linked").facts["statements"]
        assert told == list(Parcel.objects.filter(kind="key").order_by("position").values_list("digest", flat=True))


def test_one_who_took_the_later_invitation_is_told_of_the_same_keys_and_nothing_changes(tmp_path):
    guard, local, _first, of_local = strangers(tmp_path)
    with guard:
        links.rotate_key(organisation=guard.body(STATION), actor=None, at=guard.clock())
        lost = links.rotate_key(organisation=guard.body(STATION), actor=None, at=guard.clock())
        links.revoke_key(kid=lost.kid, reason="Máy bị mất", actor=None, at=guard.clock())
        of_guard = links.make_invitation(actor=None, at=guard.clock())
    for node, document in ((guard, of_local), (local, of_guard)):
        confirm(node, *accept(node, document))
    guard.send(STATION, [DISTRICT])
    guard.round(local)
    guard.round(local)
    assert unsettled(local) == []
    assert len(subjects(local)) == 1
    with guard:
        ours = set(SigningKey.objects.filter(organisation__key=STATION).values_list("kid", "revoked_because"))
    with local:
        assert set(SigningKey.objects.filter(organisation__key=STATION).values_list("kid", "revoked_because")) == ours
        assert LinkIncident.objects.count() == 0


def test_a_key_revoked_after_the_invitation_was_given_is_refused_and_the_new_one_waits_for_a_person(tmp_path):
    guard, local, of_guard, of_local = strangers(tmp_path)
    with guard:
        lost = SigningKey.objects.get(organisation__key=STATION)
        new = links.revoke_key(kid=lost.kid, reason="Máy bị mất", actor=None, at=guard.clock())
        new = SigningKey.objects.exclude(pk=new.pk).get(organisation__key=STATION)
    for node, document in ((guard, of_local), (local, of_guard)):
        confirm(node, *accept(node, document))
    guard.send(STATION, [DISTRICT])
    guard.round(local)
    guard.round(local)
    assert unsettled(local) == [("held", "exchange.key_needs_comparison"), ("held", "exchange.unknown_key")]
    with local:
        assert SigningKey.objects.get(kid=lost.kid).revoked_because == "Máy bị mất"
        waiting = Arrival.objects.get(code="exchange.key_needs_comparison")
        assert waiting.subject == new.kid
        intake.release(arrival_id=waiting.pk, actor=None, at=local.clock())
    assert unsettled(local) == []


def test_a_node_key_renewed_before_the_second_confirmation_links_by_the_number_that_the_other_side_shows(tmp_path):
    guard, local, of_guard, of_local = strangers(tmp_path)
    peer_there, shown_there = accept(local, of_guard)
    peer_here, _shown_here = accept(guard, of_local)
    confirm(local, peer_there, shown_there)
    with guard:
        old = links.node_key(guard.clock())
        links.rotate_node_key(actor=None, at=guard.clock())
        new = links.rotate_node_key(actor=None, at=guard.clock())
        kid = links.read_invitation(of_local).kid
        assert shown_there not in links.number_with(kid, guard.clock())
        assert shown_there in links.earlier_numbers_with(kid, guard.clock()).values()
    confirm(guard, peer_here, shown_there)
    assert request_of(guard, local) == old.kid
    guard.send(STATION, [DISTRICT])
    guard.round(local)
    assert request_of(guard, local) == new.kid
    assert unsettled(local) == []
    assert len(subjects(local)) == 1


def test_the_number_under_a_node_key_that_was_revoked_or_ended_long_ago_links_nothing(tmp_path):
    guard, local, of_guard, of_local = strangers(tmp_path)
    _peer, shown_there = accept(local, of_guard)
    peer, _number = accept(guard, of_local)
    kid = links.read_invitation(of_local).kid
    with guard:
        first = links.node_key(guard.clock())
        links.rotate_node_key(actor=None, at=guard.clock())
        assert list(links.earlier_numbers_with(kid, guard.clock())) == [first.kid]
        guard.clock.pass_(days=31)
        assert links.earlier_numbers_with(kid, guard.clock()) == {}
    with pytest.raises(links.PairNumberDiffers):
        confirm(guard, peer, shown_there)
    with guard:
        links.revoke_node_key(reason="Mất máy chủ", actor=None, at=guard.clock())
        assert links.earlier_numbers_with(kid, guard.clock()) == {}
