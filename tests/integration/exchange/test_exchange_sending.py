"""Sending: numbers, sequences, chains, receipts; corrections, returns and withdrawals move the duty as they must."""

from datetime import UTC, datetime, timedelta

import pytest

from hiepdong.exchange import queries, services, signing
from hiepdong.exchange.domain.classified import ClassifiedContent
from hiepdong.exchange.domain.dispatch import AlreadyAnswered, ReasonMissing
from hiepdong.exchange.domain.envelope import InvalidContent
from hiepdong.exchange.models import Addressee, Dispatch, Receipt, SigningKey
from hiepdong.journal.models import Entry
from hiepdong.kernel.errors import NotAllowed, NotFound
from hiepdong.reporting.models import Figure
from hiepdong.web.services import react
from support.make import SENT_AT, notice, organisation, seat, send

pytestmark = pytest.mark.django_db
LATER = SENT_AT + timedelta(hours=1)


def test_a_sent_paper_is_stored_as_the_bytes_that_were_signed_and_they_verify(world):
    sent = send(world.signer, [world.district], "Thông báo tình hình")
    stored = Dispatch.objects.get()
    signed = bytes(stored.signed)
    payload = signing.verify(signed, public_jwk=stored.key.public_jwk, kid=stored.key.kid, typ=signing.DISPATCH_TYPE)
    assert signing.payload_of(signed) == payload
    assert stored.digest == signing.digest_of(signed)
    content = queries.content_of(stored)
    assert (content.sender, content.number, content.year, content.notation) == ("t.don-mot", 1, 2020, sent.notation)
    assert content.signer_title == "Đồn trưởng"
    assert queries.verification_of(stored).good


def test_a_changed_byte_in_the_database_is_shown_as_a_broken_signature(world):
    sent = send(world.signer, [world.district])
    signed = bytearray(sent.signed)
    signed[len(signed) // 2] ^= 1
    Dispatch.objects.filter(pk=sent.pk).update(signed=bytes(signed))
    found = queries.verification_of(Dispatch.objects.get())
    assert not found.good
    assert not found.genuine
    assert not found.digest_fits


def test_a_paper_taken_out_of_the_middle_is_noticed_by_the_next_one(world):
    first, second, third = (send(world.signer, [world.district], f"Số {n}") for n in (1, 2, 3))
    assert [queries.verification_of(d).chain_fits for d in (first, second, third)] == [True, True, True]
    Dispatch.objects.filter(pk=second.pk).update(digest="0" * 64)
    assert [queries.verification_of(d).chain_fits for d in (first, second, third)] == [True, True, False]


def test_the_register_of_a_year_is_numbered_from_one_without_a_hole_and_each_year_anew(world):
    new_year = datetime(2020, 12, 31, 17, tzinfo=UTC)  # midnight of 1 January 2021 in Viet Nam
    for moment in (SENT_AT, new_year - timedelta(seconds=1), new_year, new_year):
        send(world.signer, [world.district], at=moment)
    send(world.reader, [world.station])
    numbers = Dispatch.objects.order_by("id").values_list("sender__key", "register_year", "register_number")
    assert list(numbers) == [
        ("t.don-mot", 2020, 1),
        ("t.don-mot", 2020, 2),
        ("t.don-mot", 2021, 1),
        ("t.don-mot", 2021, 2),
        ("t.huyen-uy", 2020, 1),
    ]


def test_a_refused_paper_takes_no_number(world):
    send(world.signer, [world.district])
    with pytest.raises(InvalidContent):
        send(world.signer, [world.district], "   ")
    with pytest.raises(ClassifiedContent):
        send(world.signer, [world.district], "TỐI MẬT")
    assert send(world.signer, [world.district]).register_number == 2
    assert Dispatch.objects.count() == 2


def test_sequences_run_per_sender_and_recipient_and_are_chained_by_digest(world):
    send(world.signer, [world.district])
    second = send(world.signer, [world.district, world.province])
    third = send(world.signer, [world.district], copies=[world.province])
    send(world.reader, [world.station])
    rows = Addressee.objects.order_by("id").values_list("dispatch__sender__key", "organisation__key", "role", "sequence")
    assert list(rows) == [
        ("t.don-mot", "t.huyen-uy", "to", 1),
        ("t.don-mot", "t.huyen-uy", "to", 2),
        ("t.don-mot", "t.dang-uy-bdbp", "to", 1),
        ("t.don-mot", "t.huyen-uy", "to", 3),
        ("t.don-mot", "t.dang-uy-bdbp", "copy", 2),
        ("t.huyen-uy", "t.don-mot", "to", 1),
    ]
    signed = {r.organisation: r.previous for r in queries.content_of(third).recipients}
    assert signed == {"t.huyen-uy": second.digest, "t.dang-uy-bdbp": second.digest}
    assert queries.gaps(sender_id=world.station.pk, organisation_id=world.district.pk) == []


def test_a_missing_sequence_number_is_named(world):
    for _ in range(3):
        send(world.signer, [world.district])
    Addressee.objects.filter(sequence=2).update(sequence=9)
    missing = queries.gaps(sender_id=world.station.pk, organisation_id=world.district.pk)
    assert missing == [2, *range(4, 9)]


def test_papers_of_one_batch_continue_the_same_chains_as_papers_sent_one_by_one(world):
    send(world.signer, [world.district])
    items = [notice(world.station, [world.district], f"Số {n}", sent_at=SENT_AT + timedelta(days=n)) for n in (1, 2)]
    batch = services.send_many(items=items, actor=None, at=LATER)
    last = send(world.signer, [world.district], at=SENT_AT + timedelta(days=3))
    assert [d.register_number for d in [*batch, last]] == [2, 3, 4]
    assert all(queries.verification_of(d).good for d in Dispatch.objects.select_related("key"))
    assert queries.content_of(last).recipients[0].previous == batch[1].digest


def test_arrival_is_answered_by_a_signed_receipt_of_the_addressee_over_the_same_bytes(world):
    sent = send(world.signer, [world.district])
    receipt = Receipt.objects.get()
    payload = signing.verify(
        bytes(receipt.signed), public_jwk=receipt.key.public_jwk, kid=receipt.key.kid, typ=signing.RECEIPT_TYPE
    )
    assert receipt.key.organisation_id == world.district.pk
    assert sent.digest.encode() in payload
    assert b'"code":"arrived"' in payload


def test_each_organisation_has_one_key_that_is_used_again(world):
    send(world.signer, [world.district])
    send(world.signer, [world.district])
    assert sorted(SigningKey.objects.values_list("organisation__key", flat=True)) == ["t.don-mot", "t.huyen-uy"]


def test_nobody_signs_for_another_organisation_and_no_clerk_signs(world):
    for actor in (world.reader, world.clerk, seat(world.province), seat(world.station, "node_administrator")):
        with pytest.raises(NotAllowed):
            services.send(item=notice(world.station, [world.district]), actor=actor, at=SENT_AT)
    assert not Dispatch.objects.exists()


def test_a_paper_replaces_only_a_paper_of_the_same_sender(world):
    foreign = send(world.reader, [world.station])
    with pytest.raises(NotFound):
        send(world.signer, [world.district], replaces=foreign)


# --- answers ---------------------------------------------------------------------------------------------------------


def test_acknowledging_sends_one_signed_receipt_and_a_second_time_changes_nothing(world):
    sent = send(world.signer, [world.district])
    first = services.acknowledge(dispatch_uuid=sent.uuid, actor=world.reader, at=LATER)
    again = services.acknowledge(dispatch_uuid=sent.uuid, actor=world.reader, at=LATER + timedelta(days=1))
    assert first.acknowledged_at == again.acknowledged_at == LATER
    assert Receipt.objects.filter(code="acknowledged").count() == 1
    assert Entry.objects.filter(code="exchange.dispatch.acknowledged").count() == 1


def test_an_answer_is_final(world):
    sent = send(world.signer, [world.district])
    services.acknowledge(dispatch_uuid=sent.uuid, actor=world.reader, at=LATER)
    with pytest.raises(AlreadyAnswered):
        services.return_dispatch(dispatch_uuid=sent.uuid, reason="Thiếu", actor=world.reader, at=LATER)
    other = send(world.signer, [world.district])
    services.return_dispatch(dispatch_uuid=other.uuid, reason="Thiếu", actor=world.reader, at=LATER)
    with pytest.raises(AlreadyAnswered):
        services.acknowledge(dispatch_uuid=other.uuid, actor=world.reader, at=LATER)


def test_only_the_addressee_answers(world):
    sent = send(world.signer, [world.district])
    for actor in (world.signer, seat(world.province), seat(world.outsider)):
        with pytest.raises(NotFound):
            services.acknowledge(dispatch_uuid=sent.uuid, actor=actor, at=LATER)


def test_a_return_without_a_reason_or_with_a_secret_in_it_changes_nothing(world):
    sent = send(world.signer, [world.district])
    with pytest.raises(ReasonMissing):
        services.return_dispatch(dispatch_uuid=sent.uuid, reason=" \n", actor=world.reader, at=LATER)
    with pytest.raises(ClassifiedContent):
        services.return_dispatch(dispatch_uuid=sent.uuid, reason="MẬT", actor=world.reader, at=LATER)
    assert Addressee.objects.get().returned_at is None


# --- the duty behind the paper -----------------------------------------------------------------------------------------


def test_a_returned_report_opens_the_duty_again_and_its_figures_no_longer_count(world):
    world.duties()
    sent = world.report()
    assert world.duty().fulfilled_at == SENT_AT
    assert Figure.objects.filter(superseded=False).count() == 1
    services.return_dispatch(dispatch_uuid=sent.uuid, reason="Thiếu số liệu", actor=world.reader, at=LATER)
    react(at=LATER)
    assert world.duty().fulfilled_at is None
    assert not Figure.objects.filter(superseded=False).exists()


def test_a_corrected_report_neither_restarts_nor_backdates_the_clock_and_its_figures_count(world):
    world.duties()
    first = world.report(value="12")
    world.report(at=LATER, value="15", replaces=first)
    assert world.duty().fulfilled_at == SENT_AT
    assert [str(v.normalize()) for v in Figure.objects.filter(superseded=False).values_list("value", flat=True)] == ["15"]


def test_a_report_sent_after_a_return_counts_from_its_own_moment(world):
    world.duties()
    first = world.report()
    services.return_dispatch(dispatch_uuid=first.uuid, reason="Thiếu", actor=world.reader, at=LATER)
    react(at=LATER)
    again = SENT_AT + timedelta(days=9)
    world.report(at=again, replaces=first)
    assert world.duty().fulfilled_at == again


def test_a_withdrawal_is_a_numbered_paper_of_its_own_and_opens_the_duty_again(world):
    world.duties()
    sent = world.report()
    with pytest.raises(ReasonMissing):
        services.withdraw(dispatch_uuid=sent.uuid, reason="", actor=world.signer, at=LATER)
    taken_back = services.withdraw(dispatch_uuid=sent.uuid, reason="Gửi nhầm kỳ.", actor=world.signer, at=LATER)
    react(at=LATER)
    assert (taken_back.kind, taken_back.register_number, taken_back.withdraws_id) == ("withdrawal", 2, sent.pk)
    assert queries.content_of(taken_back).reason == "Gửi nhầm kỳ."
    assert world.duty().fulfilled_at is None
    assert not Figure.objects.filter(superseded=False).exists()
    assert queries.dispatch_for(world.reader, sent.uuid).pk == sent.pk, "the paper itself stays readable"


def test_a_paper_is_withdrawn_once_and_a_withdrawal_not_at_all(world):
    sent = send(world.signer, [world.district])
    first = services.withdraw(dispatch_uuid=sent.uuid, reason="Nhầm", actor=world.signer, at=LATER)
    again = services.withdraw(dispatch_uuid=sent.uuid, reason="Nhầm", actor=world.signer, at=LATER)
    assert again.pk == first.pk
    with pytest.raises(services.NotToWithdraw):
        services.withdraw(dispatch_uuid=first.uuid, reason="Nhầm", actor=world.signer, at=LATER)
    assert Dispatch.objects.count() == 2


def test_doing_the_reactions_again_changes_nothing(world):
    world.duties()
    world.report()
    before = (world.duty().fulfilled_at, Figure.objects.count(), world.duty().links.count())
    Entry.objects.update(reacted_at=None)
    react(at=LATER)
    assert (world.duty().fulfilled_at, Figure.objects.count(), world.duty().links.count()) == before


def test_a_paper_to_a_body_that_is_no_party_of_the_duty_fulfils_nothing(world):
    world.duties()
    stranger = organisation("t.khac", "party_district")
    send(world.signer, [stranger], answers=[world.reference()], body={"text": "x"})
    assert world.duty().fulfilled_at is None
