"""What the page of a paper says about it: nothing altered is called genuine, nothing damaged breaks the page."""

from datetime import timedelta

import pytest
from django.urls import reverse

from hiepdong.documents.models import File
from hiepdong.documents.services import keep_file, path_of
from hiepdong.exchange import queries, services, signing
from hiepdong.exchange.keys import ensure_key
from hiepdong.exchange.models import Addressee, Attachment, Dispatch, Receipt, SigningKey
from support.make import SENT_AT, entered, notice, send

pytestmark = pytest.mark.django_db
LATER = SENT_AT + timedelta(hours=1)


def page_of(world, dispatch):
    return entered(world.reader).get(reverse("exchange:dispatch_detail", args=[dispatch.uuid]))


def checked(world, dispatch):
    return queries.verification_of(queries.dispatch_for(world.reader, dispatch.uuid))


def alarms(world, dispatch):
    answer = page_of(world, dispatch)
    assert answer.status_code == 200
    page = answer.content.decode()
    return 'alert-danger" role="alert"' in page and 'href="#verification">xác thực' not in page


def paper(world, **more):
    file = keep_file(data=b"so lieu", name="so-lieu.txt", media_type="text/plain", at=SENT_AT)
    sent = send(world.signer, [world.district], "Đề nghị", files=[("Số liệu.txt", file)], copies=[world.province], **more)
    services.acknowledge(dispatch_uuid=sent.uuid, actor=world.reader, at=LATER)
    return sent


@pytest.fixture(autouse=True)
def _own_files(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path


def test_an_untouched_paper_with_receipts_files_and_papers_it_speaks_of_is_genuine(world):
    first = paper(world, event_at=SENT_AT - timedelta(days=1, microseconds=5), urgency="immediate")
    second = send(world.signer, [world.district], "Bản sửa", at=LATER, replaces=first)
    third = services.withdraw(dispatch_uuid=second.uuid, reason="Gửi nhầm.", actor=world.signer, at=LATER)
    returned = send(world.signer, [world.district], "Trả", at=LATER)
    services.return_dispatch(dispatch_uuid=returned.uuid, reason="Thiếu.", actor=world.reader, at=LATER)
    for sent in (first, second, third, returned):
        assert checked(world, sent).good, sent.subject
        assert not alarms(world, sent)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("subject", "Việc khác"),
        ("kind", "nil_report"),
        ("urgency", "immediate"),
        ("notation", "Số: 99/TB-ĐBP"),
        ("register_number", 99),
        ("register_year", 2019),
        ("signer_title", "Chính trị viên"),
        ("sent_at", SENT_AT - timedelta(days=3)),
        ("event_at", SENT_AT),
        ("answers", ["t.qcph/thang/a/b/2020-03"]),
    ],
)
def test_a_row_that_says_something_else_than_was_signed_is_not_called_genuine(world, field, value):
    sent = paper(world)
    Dispatch.objects.filter(pk=sent.pk).update(**{field: value})
    assert not checked(world, sent).shown_fits
    assert alarms(world, sent)


def test_recipients_and_files_that_were_not_signed_are_not_called_genuine(world):
    sent, other = paper(world), keep_file(data=b"khac", name="k", media_type="text/plain", at=SENT_AT)
    Addressee.objects.filter(dispatch=sent, role="copy").update(role="to")
    assert not checked(world, sent).shown_fits
    sent = paper(world)
    Attachment.objects.filter(dispatch=sent).update(file=other)
    assert not checked(world, sent).shown_fits
    assert alarms(world, sent)
    sent = paper(world)
    Attachment.objects.filter(dispatch=sent).delete()
    assert not checked(world, sent).shown_fits


def test_a_paper_signed_anew_with_the_key_of_another_body_is_not_genuine(world):
    sent = paper(world)
    foreign = ensure_key(organisation=world.district, actor=None, at=SENT_AT)
    from django.conf import settings

    signed = signing.sign(
        signing.payload_of(bytes(sent.signed)),
        kid=foreign.kid,
        private_encrypted=foreign.private_encrypted,
        secret=settings.SECRET_KEY,
        typ=signing.DISPATCH_TYPE,
    )
    Dispatch.objects.filter(pk=sent.pk).update(signed=signed, digest=signing.digest_of(signed), key=foreign)
    assert not checked(world, sent).genuine
    assert alarms(world, sent)


def test_a_receipt_that_was_altered_is_pointed_out_where_it_stands(world):
    sent = paper(world)
    for change in ({"signed": b"x.y.z"}, {"at": SENT_AT - timedelta(days=9)}, {"digest": "0" * 64}):
        receipt = Receipt.objects.get(addressee__dispatch=sent, code="acknowledged")
        before = {name: getattr(receipt, name) for name in change}
        Receipt.objects.filter(pk=receipt.pk).update(**change)
        assert checked(world, sent).false_receipts == {receipt.pk}
        assert alarms(world, sent)
        assert "biên nhận này không xác thực được" in page_of(world, sent).content.decode()
        Receipt.objects.filter(pk=receipt.pk).update(**before)
    assert checked(world, sent).good


def test_a_verdict_without_its_receipt_and_a_receipt_without_its_verdict_are_noticed(world):
    sent = send(world.signer, [world.district])
    Addressee.objects.filter(dispatch=sent).update(acknowledged_at=LATER)
    assert not checked(world, sent).receipts_fit
    assert alarms(world, sent)
    sent = paper(world)
    Receipt.objects.filter(addressee__dispatch=sent, code="acknowledged").delete()
    assert not checked(world, sent).receipts_fit


def test_a_receipt_of_one_paper_does_not_serve_another(world):
    one, two = paper(world), paper(world)
    stolen = Receipt.objects.get(addressee__dispatch=one, code="acknowledged")
    Receipt.objects.filter(addressee__dispatch=two, code="acknowledged").update(
        signed=stolen.signed, digest=stolen.digest, at=stolen.at
    )
    assert len(checked(world, two).false_receipts) == 1


def test_whatever_byte_was_damaged_the_page_opens_and_raises_the_alarm(world):
    sent = paper(world)
    raw = bytes(Dispatch.objects.get(pk=sent.pk).signed)
    places = [*range(0, len(raw), len(raw) // 25), *(i for i, c in enumerate(raw) if c == ord("."))]
    for place in places:
        for damage in (
            raw[:place],
            raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :],
            raw[:place] + b"\xff" + raw[place:],
        ):
            Dispatch.objects.filter(pk=sent.pk).update(signed=damage)
            assert alarms(world, sent), (place, damage[:20])
    Dispatch.objects.filter(pk=sent.pk).update(signed=b"")
    assert alarms(world, sent)
    refused = entered(world.clerk).post(reverse("exchange:dispatch_replace", args=[sent.uuid]))
    assert refused.status_code == 409, "nothing is copied from a damaged paper"


def test_content_that_nobody_signed_is_not_shown_as_a_paper(world):
    sent = send(world.signer, [world.district], body={"text": "Nội dung thật."})
    raw = bytes(Dispatch.objects.get(pk=sent.pk).signed)
    header, _payload, signature = raw.split(b".")
    forged = signing.payload_of(raw).replace("Nội dung thật.".encode(), "Nội dung giả.".encode())
    import base64

    part = base64.urlsafe_b64encode(forged).rstrip(b"=")
    Dispatch.objects.filter(pk=sent.pk).update(signed=b".".join([header, part, signature]))
    page = page_of(world, sent).content.decode()
    assert "Nội dung giả." not in page.split('id="verification"')[0]
    assert alarms(world, sent)


def test_a_withdrawal_and_a_replacement_inside_one_batch_point_to_their_papers(world):
    ids = [f"00000000-0000-4000-8000-00000000000{n}" for n in range(3)]
    items = [
        notice(world.station, [world.district], "Một", id=ids[0]),
        notice(world.station, [world.district], "Hai", id=ids[1], replaces_id=ids[0]),
        notice(world.station, [world.district], "Ba", id=ids[2], kind="withdrawal", withdraws=ids[1], reason="Nhầm."),
    ]
    one, two, three = services.send_many(items=items, actor=None, at=SENT_AT)
    stored = {d.pk: d for d in Dispatch.objects.all()}
    assert stored[two.pk].replaces_id == one.pk
    assert stored[three.pk].withdraws_id == two.pk
    assert all(checked(world, d).good for d in (one, two, three))


def test_the_page_gives_out_the_public_key_so_that_anybody_may_check(world):
    sent = paper(world)
    key = SigningKey.objects.get(organisation=world.station)
    page = page_of(world, sent).content.decode()
    assert key.public_jwk["x"] in page
    assert "d" not in key.public_jwk


# --- files ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["missing", "shorter"])
def test_a_file_that_is_missing_on_the_disk_is_a_marked_hole_and_the_paper_stays_readable(world, damage):
    sent = paper(world)
    path = path_of(sent.attachments.get().file.digest)
    path.unlink() if damage == "missing" else path.write_bytes(b"so")
    answer = page_of(world, sent)
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "thiếu hoặc hỏng trên nút này" in page
    assert "Nội dung." in page
    address = reverse("exchange:dispatch_file", args=[sent.uuid, sent.attachments.get().pk])
    assert address not in page
    assert entered(world.reader).get(address).status_code == 409


def test_a_damaged_file_is_named_as_the_reader_knows_it_not_as_a_stranger_called_it(world):
    kept = keep_file(data=b"chung", name="ten-noi-bo-cua-co-quan-khac.doc", media_type="text/plain", at=SENT_AT)
    sent = send(world.signer, [world.district], files=[("Phụ lục.doc", kept)])
    path_of(kept.digest).write_bytes(b"Chung")
    answer = entered(world.reader).get(reverse("exchange:dispatch_file", args=[sent.uuid, sent.attachments.get().pk]))
    assert answer.status_code == 409
    assert "Phụ lục.doc" in answer.content.decode()
    assert "ten-noi-bo" not in answer.content.decode()


def test_whoever_lays_the_right_bytes_beside_a_paper_again_mends_a_damaged_file(world):
    kept = keep_file(data=b"dung", name="a", media_type="text/plain", at=SENT_AT)
    path_of(kept.digest).write_bytes(b"sai!")
    again = keep_file(data=b"dung", name="b", media_type="text/plain", at=LATER)
    assert again == kept
    assert path_of(kept.digest).read_bytes() == b"dung"
    assert File.objects.count() == 1


def test_a_media_type_of_any_length_is_kept_as_far_as_the_table_goes(world):
    kept = keep_file(data=b"x", name="a", media_type="a/" + "b" * 300, at=SENT_AT)
    kept.refresh_from_db()
    assert len(kept.media_type) == 100
