"""The pages of links: what an administrator sees and presses, what others see, and what each page costs."""

import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from hiepdong.exchange import intake, link_queries, links, outbox, queries, services, signing
from hiepdong.exchange.domain.link_health import Standing, Trouble
from hiepdong.exchange.invitation_code import picture_of
from hiepdong.exchange.models import Addressee, Arrival, Dispatch, LinkIncident, Parcel, Peer, Residence
from hiepdong.journal.models import Entry
from support.make import entered, notice, organisation, seat
from support.strangers import Stranger, at_home

pytestmark = pytest.mark.django_db


def page(client, name, *args, query="", status=200):
    answer = client.get(reverse(name, args=args) + query)
    assert answer.status_code == status
    return (b"".join(answer.streaming_content) if answer.streaming else answer.content).decode()


def gone():
    """The id of a paper that never comes."""
    return str(uuid.uuid4())


@pytest.fixture
def now():
    return timezone.now().replace(microsecond=0)


@pytest.fixture
def runs(world):
    """The administrator of the node."""
    return entered(seat(world.station, "node_administrator"))


@pytest.fixture
def founded(world, now):
    at_home(world.station, world.district, world.province, at=now)
    return world


@pytest.fixture
def far(founded, now):
    return Stranger({"x.huyen": "Huyện ủy Xa", "x.xa": "UBND xã Xa"}, at=now)


@pytest.fixture
def peer(far):
    return far.link()


def whereabouts(by, dispatch):
    return link_queries.whereabouts(by, queries.dispatch_for(by, dispatch.uuid))


def send(world, to, now, **more):
    return services.send(item=notice(world.station, to, sent_at=now, **more), actor=world.signer, at=now)


def test_a_node_that_stands_alone_says_what_to_do_first_and_to_others_whom_to_ask(world, runs):
    assert "hiepdong node found" in page(runs, "exchange:link_list")
    assert "hiepdong node found" in page(runs, "exchange:link_new")
    assert "hiepdong node found" not in page(entered(world.signer), "exchange:link_list")


def test_an_invitation_is_given_as_a_file_that_the_other_side_can_read(founded, runs):
    answer = runs.post(reverse("exchange:link_new"), {"do": "file"})
    assert "attachment" in answer.headers["Content-Disposition"]
    invitation = links.read_invitation(answer.content)
    assert invitation.node_id == links.this_node().node_id
    assert [o["key"] for o in invitation.directory["organisations"]] == sorted(
        [founded.station.key, founded.district.key, founded.province.key]
    )


def test_the_code_holds_the_whole_invitation_where_it_fits_and_else_address_and_fingerprint(founded, runs, now):
    shown = runs.post(reverse("exchange:link_new"), {"do": "show"})
    assert shown.context["picture"].is_whole is False  # three bodies with their keys are too many
    assert "<svg" in shown.content.decode()
    assert " style=" not in shown.content.decode()
    assert picture_of(b"x" * 1800, address="", kid="k").is_whole


def test_a_link_through_the_pages_needs_the_number_and_takes_nothing_before(founded, far, runs, now):
    answer = runs.post(reverse("exchange:link_new"), {"do": "accept", "text": far.invitation().decode()})
    peer = Peer.objects.get()
    assert answer.headers["Location"] == reverse("exchange:link_detail", args=[peer.pk])
    assert peer.state == "invited"
    assert not links.residents(peer.pk).exists()
    number = links.number_with(far.key.kid, now)
    shown = page(runs, "exchange:link_detail", peer.pk)
    assert all(f"<span>{g}</span>" in shown for g in number.split())
    confirm = reverse("exchange:link_confirm", args=[peer.pk])
    refused = runs.post(confirm, {"number": "1" * 30})
    assert refused.status_code == 422
    assert "confirm-error" in refused.content.decode()
    assert Peer.objects.get().state == "invited"
    assert runs.post(confirm, {"number": number.replace(" ", "")}).status_code == 302
    assert Peer.objects.get().state == "linked"
    assert links.residents(peer.pk).count() == 2


def test_pressing_that_the_number_is_the_same_links_as_typing_it_does(founded, far, runs):
    runs.post(reverse("exchange:link_new"), {"do": "accept", "text": far.invitation().decode()})
    runs.post(reverse("exchange:link_confirm", args=[Peer.objects.get().pk]), {"same": "1"})
    assert Peer.objects.get().state == "linked"


@pytest.mark.parametrize("text", ["", "not an invitation", "a.b.c", "ấ" * 50])
def test_what_is_no_invitation_is_refused_on_the_page_and_what_was_typed_stays(founded, runs, text):
    answer = runs.post(reverse("exchange:link_new"), {"do": "accept", "text": text})
    assert answer.status_code == 422
    assert 'id="accept-error"' in answer.content.decode()
    assert text in answer.content.decode()
    assert not Peer.objects.exists()


def test_our_own_invitation_is_refused_with_the_reason(founded, runs):
    ours = runs.post(reverse("exchange:link_new"), {"do": "file"}).content
    assert runs.post(reverse("exchange:link_new"), {"do": "accept", "text": ours.decode()}).status_code == 422


def test_a_held_item_is_released_or_dismissed_by_a_person_with_a_record(founded, far, peer, runs, now):
    far.position = 1
    far.gives(peer, *(far.paper("x.huyen", [founded.station.key], replaces=gone()) for _ in "ab"))
    first, second = Arrival.objects.order_by("position")
    assert {first.state, second.state} == {"held"}
    shown = page(runs, "exchange:link_detail", peer.pk)
    assert reverse("exchange:link_release", args=[first.pk]) in shown
    assert (
        "Thông báo"
        not in shown.split("</header>")[1].split('<section class="card" aria-labelledby="held">')[1].split("</section>")[0]
    )
    assert runs.post(reverse("exchange:link_release", args=[first.pk])).status_code == 302
    first.refresh_from_db()
    assert first.state == "applied"
    dismiss = reverse("exchange:link_dismiss", args=[second.pk])
    assert runs.post(dismiss, {"reason": "  "}).status_code == 409
    assert runs.post(dismiss, {"reason": "Gửi nhầm nút"}).status_code == 302
    second.refresh_from_db()
    assert (second.state, second.code, second.facts["reason"]) == ("refused", "exchange.dismissed", "Gửi nhầm nút")
    codes = list(Entry.objects.filter(code__startswith="exchange.item").values_list("code", "actor_name"))
    assert [c for c, _ in codes] == ["exchange.item.released", "exchange.item.dismissed"]
    assert all(name for _, name in codes)
    assert "Gửi nhầm nút" in page(runs, "exchange:link_items", peer.pk, query="?show=refused")


def test_an_incident_is_shown_until_somebody_has_seen_it_and_stays_in_the_list(founded, peer, runs, now):
    links.note_incident(peer=peer, code="exchange.altered", facts={"dispatch": "d-417"}, at=now)
    (row,) = link_queries.all_links(at=now)
    assert row.health.troubles[0] == Trouble.INCIDENT
    incident = LinkIncident.objects.get()
    assert "d-417" in page(runs, "exchange:link_detail", peer.pk)
    for _ in "ab":
        assert runs.post(reverse("exchange:link_seen", args=[incident.pk])).status_code == 302
    (row,) = link_queries.all_links(at=now)
    assert Trouble.INCIDENT not in row.health.troubles
    assert "d-417" in page(runs, "exchange:link_items", peer.pk, query="?show=incidents")
    assert Entry.objects.filter(code="exchange.incident.seen").count() == 1


def test_a_quiet_link_is_noticed_while_it_is_quiet_and_told_apart_from_nothing_happened(founded, peer, runs, now, settings):
    Peer.objects.update(heard_at=now - timedelta(hours=2), reached_at=now, sent_through=0, confirmed_through=0)
    (row,) = link_queries.all_links(at=now)
    assert row.health.nothing_happened
    assert link_queries.quiet_peers(at=now) == []
    desks = [runs, entered(founded.signer)]
    assert all("hd-strip-links" not in page(c, "web:desk") for c in desks)
    Peer.objects.update(heard_at=now - timedelta(hours=30))
    (row,) = link_queries.all_links(at=now)
    assert row.health.troubles == (Trouble.QUIET,)
    assert [p.pk for p in link_queries.quiet_peers(at=now)] == [peer.pk]
    assert all("hd-strip-links" in page(c, "web:desk") for c in desks)
    assert "hd-strip-links" not in page(entered(founded.clerk), "web:desk")
    settings.HIEPDONG_QUIET_HOURS = 48
    assert link_queries.all_links(at=now)[0].health.nothing_happened


def test_what_waits_to_go_out_is_counted_and_the_oldest_is_told(founded, peer, runs, now):
    far = links.residents(peer.pk).first()
    for _ in range(3):
        send(founded, [far], now)
    Parcel.objects.update(made_at=now - timedelta(hours=5))
    Peer.objects.update(heard_at=now, reached_at=now)
    (row,) = link_queries.all_links(at=now)
    assert row.health.facts["out"] == 3
    assert row.health.facts["oldest_hours"] == 5
    assert row.health.troubles == (Trouble.BEHIND,)
    Peer.objects.update(reached_at=now - timedelta(hours=6))
    assert link_queries.all_links(at=now)[0].health.troubles == (Trouble.GROWING,)
    shown = page(runs, "exchange:link_items", peer.pk, query="?show=waiting")
    assert shown.count("hd-item") == 3


def test_missing_numbers_are_named_per_sender_and_recipient(founded, far, peer, runs, now):
    far.gives(peer, far.paper("x.huyen", [founded.station.key]), far.paper("x.huyen", [founded.station.key], skip=2))
    far.gives(peer, far.paper("x.xa", [founded.district.key], skip=1))
    found, pairs = link_queries.missing_of(peer_id=peer.pk)
    assert pairs == 2
    assert {(m.sender, m.recipient): (m.numbers, m.count) for m in found} == {
        ("Huyện ủy Xa", founded.station.name): ((2, 3), 2),
        ("UBND xã Xa", founded.district.name): ((1,), 1),
    }
    assert "2, 3" in page(runs, "exchange:link_detail", peer.pk)
    assert "2, 3" in page(entered(founded.signer), "exchange:register_in", query=f"?organisation={founded.station.pk}")
    second = Dispatch.objects.get(addressees__sequence=4)
    steps = whereabouts(founded.signer, second).received
    gap = next(s for s in steps if s.code == "gap")
    assert gap.facts["numbers"] == "2, 3"


def test_a_very_large_hole_is_counted_and_only_its_beginning_named(founded, far, peer, now):
    far.gives(peer, far.paper("x.huyen", [founded.station.key], skip=1_000_000))
    ((missing,), pairs) = link_queries.missing_of(peer_id=peer.pk)
    assert pairs == 1
    assert missing.count == 1_000_000
    assert missing.numbers == tuple(range(1, 31))


def test_keys_that_expire_are_told_at_thirty_seven_and_one_day_and_a_renewed_one_no_more(founded, peer, runs, now):
    key = services.KeyRing(now).of(founded.station)
    links.ensure_key(organisation=founded.district, actor=None, at=now)
    for left, warning in ((31, None), (30, 30), (6, 7), (1, 1), (-1, 0)):
        key.valid_until = now + timedelta(days=left)
        key.save()
        (row,) = link_queries.all_links(at=now)
        assert {Trouble.KEY_EXPIRING, Trouble.KEY_EXPIRED}.isdisjoint(row.health.troubles) == (warning is None)
        shown = {k.organisation: k.warning for k in link_queries.organisation_keys(peer_id=None, at=now)}
        assert shown[founded.station.key] == warning
    key.valid_until = now + timedelta(days=3)
    key.save()
    Peer.objects.update(heard_at=now)
    assert runs.post(reverse("exchange:key_rotate", args=[founded.station.key])).status_code == 302
    (row,) = link_queries.all_links(at=now)
    assert row.health.troubles == ()
    assert list(Parcel.objects.values_list("kind", flat=True)) == ["key"]


def test_a_key_of_a_body_that_lives_elsewhere_is_not_renewed_here(founded, peer, runs):
    assert runs.post(reverse("exchange:key_rotate", args=["x.huyen"])).status_code == 409
    assert runs.post(reverse("exchange:key_rotate", args=["khong.co"])).status_code == 404


@pytest.mark.parametrize(("before", "wanted", "after"), [("linked", "paused", "paused"), ("paused", "linked", "linked")])
def test_a_link_is_paused_and_taken_up_again(founded, peer, runs, before, wanted, after):
    Peer.objects.update(state=before)
    assert runs.post(reverse("exchange:link_state", args=[peer.pk]), {"state": wanted}).status_code == 302
    assert Peer.objects.get().state == after


def test_a_state_that_there_is_not_is_refused(founded, peer, runs):
    assert runs.post(reverse("exchange:link_state", args=[peer.pk]), {"state": "invited"}).status_code == 404


def test_who_reads_papers_sees_how_a_link_is_but_neither_items_nor_keys(founded, far, peer, now):
    far.position = 1
    far.gives(peer, far.paper("x.huyen", [founded.station.key], replaces=gone()))
    links.note_incident(peer=peer, code="exchange.altered", facts={"dispatch": "d-417"}, at=now)
    shown = page(entered(founded.signer), "exchange:link_detail", peer.pk)
    assert "Huyện ủy Xa" in shown
    assert "d-417" not in shown
    assert far.key.kid[:4] not in shown
    assert '<form method="post" action="/duong-lien-ket' not in shown


def test_who_sits_at_a_body_that_lives_elsewhere_sees_no_link(founded, far, peer):
    there = entered(seat(links.residents(peer.pk).first()))
    page(there, "exchange:link_list", status=404)
    page(there, "exchange:link_detail", peer.pk, status=404)


def test_every_list_is_empty_in_words_before_anything_happened(founded, peer, runs):
    for show in ("held", "refused", "waiting", "missing", "incidents"):
        assert "hd-empty" in page(runs, "exchange:link_items", peer.pk, query=f"?show={show}")
    assert "hd-empty" in page(runs, "exchange:link_list", query="?only=closed")


@pytest.mark.parametrize("query", ["?page=x", "?only=<b>", "?show=x&page=-1", "?show=held&page=9999999999999999999999"])
def test_odd_words_in_the_address_break_nothing(founded, peer, runs, query):
    page(runs, "exchange:link_list", query=query)
    page(runs, "exchange:link_items", peer.pk, query=query)


@pytest.mark.parametrize("show", ["held", "refused", "waiting", "missing", "incidents"])
def test_each_list_is_given_as_csv(founded, far, peer, runs, now, show):
    busy(founded, far, peer, now, 3)
    lines = page(runs, "exchange:link_items", peer.pk, query=f"?show={show}&as=csv").splitlines()
    assert len(lines) > 3
    assert len(page(runs, "exchange:link_list", query="?as=csv").splitlines()) == 2
    newest = link_queries.organisation_keys(peer_id=None, at=now, newest_only=True)
    assert len(page(runs, "exchange:key_list", query="?as=csv").splitlines()) == len(newest) + 1


def busy(world, far, peer, now, times):
    """Something of everything, `times` of each."""
    bodies = list(links.residents(peer.pk))
    far.position += 1
    for n in range(times):
        far.gives(peer, far.paper("x.huyen", [world.station.key, world.district.key], skip=1))
        far.gives(peer, far.paper("x.xa", [world.station.key], replaces=gone()))
        far.gives(peer, far.paper("x.xa", [world.outsider.key]))
        links.note_incident(peer=peer, code="exchange.altered", facts={"dispatch": str(n)}, at=now)
        send(world, bodies, now + timedelta(seconds=n))
        late = organisation(f"x.them-{far.position}", "party_district", f"Huyện ủy {n}")
        links.take_home(organisation=late, actor=None, at=now)
        far.gives(peer, far.paper("x.huyen", [late.key], skip=1))
    refused = Arrival.objects.filter(code="exchange.wrong_recipient")
    assert refused.count() >= times


PAGES = ["", "?show=held", "?show=refused", "?show=waiting", "?show=missing", "?show=incidents"]


@pytest.mark.parametrize("query", PAGES)
def test_the_queries_of_a_link_do_not_grow_with_what_is_on_it(founded, far, peer, runs, now, query):
    name = "exchange:link_items" if query else "exchange:link_detail"

    def asked():
        page(runs, name, peer.pk, query=query)
        with CaptureQueriesContext(connection) as captured:
            shown = page(runs, name, peer.pk, query=query)
        return [q["sql"] for q in captured.captured_queries], len(shown)

    busy(founded, far, peer, now, 2)
    few, short = asked()
    busy(founded, far, peer, now, 6)
    many, long = asked()
    assert len(many) == len(few), "\n".join(sorted(set(many) - set(few))[:4])
    assert long > short


def test_the_queries_of_the_list_and_of_the_desk_do_not_grow_with_the_links(founded, far, peer, runs, now):
    Peer.objects.update(heard_at=now - timedelta(days=3))
    client = entered(founded.signer)

    def asked(name, by):
        page(by, name)
        with CaptureQueriesContext(connection) as captured:
            page(by, name)
        return len(captured.captured_queries)

    few = asked("exchange:link_list", runs), asked("web:desk", client), asked("web:desk", runs)
    for n in range(6):
        other = Stranger({f"y.{n}": f"Huyện ủy {n}"}, at=now - timedelta(days=9), name=f"Nút {n}").link()
        links.note_incident(peer=other, code="exchange.altered", facts={}, at=now)
    assert (asked("exchange:link_list", runs), asked("web:desk", client), asked("web:desk", runs)) == few
    assert {r.health.standing for r in link_queries.all_links(at=now)} == {Standing.DISTURBED}


# --- the page of a paper ---------------------------------------------------------------------------------------------------


def test_the_page_of_a_paper_says_for_each_recipient_why_it_is_not_there_yet(founded, peer, runs, now):
    far = links.residents(peer.pk).first()
    sent = send(founded, [far, founded.district], now)
    client = entered(founded.signer)
    shown = page(client, "exchange:dispatch_detail", sent.uuid)
    assert 'id="why"' in shown
    assert "hd-elsewhere" in shown
    where = whereabouts(founded.signer, sent)
    steps = {a.name: [s.code for s in a.steps] for a in where.answers}
    assert steps[far.name] == ["lives_there", "linked", "queued", "never_tried"]
    assert steps[founded.district.name] == ["lives_here", "arrived", "no_answer"]
    assert where.is_open
    assert "hd-late" in page(client, "exchange:register_out", query=f"?year={now.year}&state=under_way")


def test_recipients_with_the_same_way_are_told_together_until_one_of_them_answers(founded, peer, now):
    bodies = list(links.residents(peer.pk))
    sent = send(founded, [*bodies, founded.district], now)
    names = [a.name for a in whereabouts(founded.signer, sent).answers]
    assert names == [", ".join(b.name for b in bodies), founded.district.name]
    Addressee.objects.filter(dispatch=sent, organisation=bodies[0]).update(arrived_at=now)
    assert len(whereabouts(founded.signer, sent).answers) == 3


def test_a_paper_within_one_node_asks_no_question_and_a_node_alone_neither(founded, now, world):
    sent = send(founded, [founded.district], now)
    assert 'id="why"' not in page(entered(founded.signer), "exchange:dispatch_detail", sent.uuid)


def test_the_queries_of_a_paper_to_another_node_do_not_grow_with_its_recipients(founded, peer, now):
    bodies = list(links.residents(peer.pk))
    client = entered(founded.signer)

    def asked(sent):
        page(client, "exchange:dispatch_detail", sent.uuid)
        with CaptureQueriesContext(connection) as captured:
            page(client, "exchange:dispatch_detail", sent.uuid)
        return len(captured.captured_queries)

    send(founded, [*bodies, founded.district, founded.province], now)  # a sequence that goes on is looked up
    one = asked(send(founded, bodies[:1], now))
    assert asked(send(founded, [*bodies, founded.district, founded.province], now)) == one


def test_a_recipient_tells_that_it_is_in_work_and_done_and_both_sides_see_it(founded, now):
    sent = send(founded, [founded.district], now)
    client, address = entered(founded.reader), reverse("exchange:dispatch_progress", args=[sent.uuid])
    assert address not in page(client, "exchange:dispatch_detail", sent.uuid)
    assert client.post(address, {"code": "done"}).status_code == 409  # acknowledge first
    client.post(reverse("exchange:dispatch_acknowledge", args=[sent.uuid]))
    assert address in page(client, "exchange:dispatch_detail", sent.uuid)
    assert client.post(address, {"code": "acknowledged"}).status_code == 404
    for code, state in (("in_work", "in_work"), ("done", "done")):
        assert client.post(address, {"code": code}).status_code == 302
        row = Addressee.objects.get()
        assert getattr(row, f"{state}_at") is not None
        assert row.receipts.filter(code=code).count() == 1
        where = f"?state={state}&organisation="
        assert sent.subject in page(client, "exchange:register_in", query=where + str(founded.district.pk))
        assert sent.subject in page(entered(founded.signer), "exchange:register_out", query=where + str(founded.station.pk))
    assert address not in page(client, "exchange:dispatch_detail", sent.uuid)
    assert client.post(address, {"code": "in_work"}).status_code == 302  # too late, harmless
    assert not Addressee.objects.get().receipts.filter(code="in_work").count() > 1


def test_a_receipt_is_given_as_the_bytes_that_were_signed(founded, now):
    sent = send(founded, [founded.district], now)
    receipt = Addressee.objects.get().receipts.get()
    address = reverse("exchange:receipt_raw", args=[sent.uuid, receipt.pk])
    answer = entered(founded.signer).get(address)
    assert answer.content == bytes(receipt.signed)
    assert address in page(entered(founded.signer), "exchange:dispatch_detail", sent.uuid)
    other = send(founded, [founded.district], now)
    assert entered(founded.signer).get(reverse("exchange:receipt_raw", args=[other.uuid, receipt.pk])).status_code == 404


# --- who gets what ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def bound_only(settings):
    settings.HIEPDONG_SHARE_ONLY_BOUND = True


def test_without_the_setting_everyone_on_a_linked_node_may_be_written_to(founded, peer, now):
    sent = send(founded, list(links.residents(peer.pk)), now)
    assert sent.addressees.count() == 2


def test_with_it_only_those_whom_a_regulation_binds_get_it_without_a_hole_and_the_page_says_why(founded, peer, now, bound_only):
    bound, other = links.residents(peer.pk)
    founded.instrument.parties.create(organisation=bound, side="locality")
    sent = send(founded, [bound, other], now, copies=[founded.district])
    assert {a.organisation_id for a in sent.addressees.all()} == {bound.pk, founded.district.pk}
    assert str(other.key) not in signing.payload_of(bytes(sent.signed)).decode()
    where = whereabouts(founded.signer, sent)
    assert [s.facts["name"] for s in where.narrowed] == [other.name]
    assert other.name in page(entered(founded.signer), "exchange:dispatch_detail", sent.uuid)
    founded.instrument.parties.create(organisation=other, side="locality")
    again = send(founded, [other], now)
    assert again.addressees.get().sequence == 1  # what it was not given left no hole


def test_nobody_left_is_a_refusal_that_names_them_and_numbers_nothing(founded, peer, now, bound_only):
    _bound, other = links.residents(peer.pk)
    with pytest.raises(services.NothingToShare) as refused:
        send(founded, [other], now)
    assert refused.value.facts["names"] == other.name
    assert not Dispatch.objects.exists()


def test_a_withdrawal_reaches_whoever_has_the_paper_although_the_regulation_has_ended(founded, peer, now, settings):
    far = links.residents(peer.pk).first()
    sent = send(founded, [far], now)
    settings.HIEPDONG_SHARE_ONLY_BOUND = True
    taken_back = services.withdraw(dispatch_uuid=sent.uuid, reason="Nhầm", actor=founded.signer, at=now)
    assert [a.organisation_id for a in taken_back.addressees.all()] == [far.pk]


def test_the_receiver_narrows_again_and_says_so_to_the_sender(founded, far, peer, now, bound_only):
    bound = links.residents(peer.pk).get(key="x.huyen")
    (unbound,) = far.gives(peer, far.paper("x.xa", [founded.station.key])).outcomes
    assert (unbound.state, unbound.code) == ("held", "exchange.nothing_to_share")
    founded.instrument.parties.create(organisation=bound, side="locality")
    late = organisation("t.khong", "party_commune", "Đảng ủy xã Không")
    links.take_home(organisation=late, actor=None, at=now)
    (partly,) = far.gives(peer, far.paper("x.huyen", [founded.station.key, late.key])).outcomes
    assert (partly.state, partly.code) == ("applied", "exchange.recipient_narrowed")
    assert [a.organisation_id for a in Addressee.objects.all()] == [founded.station.pk]
    assert Arrival.objects.get(position=partly.position).facts["narrowed"] == {late.key: "not_bound"}


def test_what_was_narrowed_on_arrival_is_taken_by_a_persons_decision(founded, far, peer, runs, now, bound_only):
    far.gives(peer, far.paper("x.xa", [founded.station.key]))
    runs.post(reverse("exchange:link_release", args=[Arrival.objects.get().pk]))
    assert Arrival.objects.get().state == "applied"
    assert Addressee.objects.get().organisation_id == founded.station.pk


def test_what_the_other_node_said_of_a_paper_stands_on_its_page(founded, peer, now):
    far = links.residents(peer.pk).first()
    sent = send(founded, [far], now)
    said = [{"position": 1, "state": "applied", "code": "exchange.recipient_narrowed"}]
    intake.confirmed(peer_id=peer.pk, held_through=1, outcomes=said, at=now)
    where = whereabouts(founded.signer, sent)
    assert [s.code for s in where.answers[0].steps] == ["lives_there", "linked", "taken", "narrowed_there", "no_receipt"]
    assert outbox.items_after(Peer.objects.get(), 0, limit=5)


def test_the_page_of_a_link_shows_what_the_other_side_says_it_misses(founded, peer, runs, now):
    far = links.residents(peer.pk).get(key="x.huyen")
    send(founded, [far], now)
    Peer.objects.filter(pk=peer.pk).update(missing=[{"sender": founded.station.key, "recipient": far.key, "sequences": [1, 7]}])
    shown = page(runs, "exchange:link_detail", peer.pk)
    assert f"{founded.station.name} → {far.name}" in shown
    assert "1, 7" in shown
    Addressee.objects.update(arrived_at=now)
    assert "1, 7" not in page(runs, "exchange:link_detail", peer.pk)


# --- writing to a body that lives elsewhere --------------------------------------------------------------------------------


def notice_form(seat, status=200):
    return page(entered(seat), "exchange:draft_form", uuid.uuid4(), status=status)


def beside(shown, name):
    """What stands beside a name among the recipients."""
    return shown.split(f'<span class="form-check-label">{name}')[1].split("</label>")[0]


def test_a_node_that_stands_alone_marks_nobody(world):
    assert "hd-elsewhere" not in notice_form(world.clerk)


def test_the_form_marks_who_lives_at_another_node_and_nobody_else(founded, peer, now):
    Peer.objects.update(heard_at=now)
    shown = notice_form(founded.clerk)
    assert peer.name in beside(shown, "Huyện ủy Xa")
    assert "hd-late" not in beside(shown, "Huyện ủy Xa")
    assert "hd-elsewhere" not in beside(shown, founded.district.name)
    assert shown.count("hd-elsewhere") == 4  # two bodies, in two lists


@pytest.mark.parametrize(
    ("state", "silent_hours", "warned"),
    [("linked", 0, None), ("linked", 49, "2 ngày"), ("paused", 0, "tạm dừng"), ("ended", 0, "chưa liên kết")],
)
def test_the_form_says_that_what_is_sent_will_wait(founded, peer, now, state, silent_hours, warned):
    Peer.objects.update(state=state, heard_at=now - timedelta(hours=silent_hours))
    found = beside(notice_form(founded.clerk), "Huyện ủy Xa")
    assert ("hd-late" in found) is (warned is not None)
    assert (warned or "") in found


def test_a_body_without_a_home_is_warned_of_and_behind_a_relay_its_line_counts(founded, peer, now):
    nowhere = organisation("t.chua-ai", "other", "Ban chưa ai quản")
    Peer.objects.update(heard_at=now)
    relay = Peer.objects.create(node_id=uuid.uuid4(), name="Trung gian", state="paused", invitation=b"", heard_at=now)
    Peer.objects.filter(pk=peer.pk).update(via=relay)
    shown = notice_form(founded.clerk)
    assert "hd-elsewhere" not in beside(shown, nowhere.name)
    assert "hd-late" in beside(shown, nowhere.name)
    assert peer.name in beside(shown, "UBND xã Xa")
    assert "hd-late" in beside(shown, "UBND xã Xa")


def test_where_they_live_costs_two_queries_however_many_they_are(founded, peer, now):
    bodies = [organisation(f"t.chua-{n}", "other", f"Ban {n}") for n in range(30)]
    for many in (bodies[:1], [*bodies, *links.residents(peer.pk), founded.district]):
        with CaptureQueriesContext(connection) as asked:
            found = link_queries.elsewhere([o.pk for o in many], at=now)
        assert len(asked) == 2
        assert len(found) == len([o for o in many if o != founded.district])


def test_the_report_form_and_its_preview_mark_them_too(founded, peer, now):
    founded.duties()
    Residence.objects.filter(organisation=founded.district).update(peer=peer)
    Peer.objects.update(heard_at=now, state="paused")
    writer = entered(founded.clerk)
    form = writer.post(reverse("duties:duty_write", args=[founded.duty("2020-05").pk])).headers["Location"]
    preview = reverse("reporting:report_preview", args=[form.rstrip("/").rsplit("/", 1)[1]])
    for address in (form, preview):
        shown = writer.get(address).content.decode().split(founded.district.name, 1)[1].split("</p>")[0]
        assert f'<span class="hd-elsewhere">ở nút khác: {peer.name}</span>' in shown
        assert "tạm dừng" in shown
