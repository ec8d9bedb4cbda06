"""What this program signs and approves is checked by hiepdong-verify, which shares nothing with it."""

import json
from datetime import UTC, date, datetime, timedelta

import pytest

from hiepdong.documents.services import read_file
from hiepdong.exchange.domain.envelope import instant
from hiepdong.exchange.models import Attachment, Dispatch, Receipt, SigningKey
from hiepdong.exchange.services import acknowledge
from hiepdong.organisations.models import Organisation
from hiepdong.review import services
from hiepdong_verify import folder, verify
from support import vectors
from support.make import KEY, seat, send

pytestmark = pytest.mark.django_db
NOW = datetime(2020, 12, 20, 2, tzinfo=UTC)
NODE = vectors.NODE_A


@pytest.fixture
def approved(small_world):
    """An approved review of a year with reports, late ones, and three notices that nobody answered."""
    small_world.duties(until=date(2020, 12, 14))
    for label, month, day in (("2020-01", 1, 15), ("2020-02", 2, 15), ("2020-05", 5, 30)):
        small_world.report(label, at=datetime(2020, month, day, 3, tzinfo=UTC), value=str(month))
    for day in (1, 2, 3):
        send(seat(small_world.station), [small_world.district], at=datetime(2020, 6, day, 3, tzinfo=UTC))
    small_world.office = seat(small_world.province, "signer")
    review = services.build_review(instrument_key=KEY, year=2020, actor=small_world.office, at=NOW, as_of=NOW)
    return services.approve_review(review_id=review.pk, actor=small_world.office, at=NOW, notation="Số 105-BC/ĐU")


def rows():
    keys = SigningKey.objects.select_related("organisation").order_by("id")
    return [
        {
            "owner": k.organisation.key,
            "node": NODE,
            "jwk": {n: k.public_jwk[n] for n in ("crv", "kty", "x")},
            "valid_from": instant(k.valid_from),
            "valid_until": instant(k.valid_until) if k.valid_until else None,
            "revoked_at": None,
        }
        for k in keys
    ]


def folder_of_everything(root, reviews=()):
    files = {a.file.digest: read_file(a.file) for a in Attachment.objects.select_related("file") if a.file}
    laid = folder.lay_out(
        about="Tất cả",
        made_at=instant(NOW),
        made_by=NODE,
        keys=rows(),
        nodes=[{"id": NODE, "name": "Nút thử", "speaker": ""}],
        documents=[bytes(d.signed) for d in (*Dispatch.objects.all(), *Receipt.objects.all())],
        attachments=files,
        reviews=reviews,
    )
    for name, data in {**laid, **{f"files/{digest}": data for digest, data in files.items()}}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def found(report, *levels):
    return sorted({f.code for f in report.findings if f.level in levels})


def test_an_approved_review_and_all_that_was_signed_are_good_to_a_stranger(approved, tmp_path):
    draft = services.draft_dispatch(review_id=approved.pk, actor=approved.approved_by, at=NOW)
    assert approved.digest in draft.content["body"]["text"]
    district = Organisation.objects.get(key="t.huyen-uy")
    send(approved.approved_by, [district], draft.content["subject"], body=draft.content["body"], at=NOW)
    report = verify.check([folder_of_everything(tmp_path / "all", [bytes(approved.frozen)])])
    assert report.verdict == "good", [(f.code, f.facts) for f in report.findings if f.level in {"false", "missing"}]
    assert report.counts["dispatch"] == Dispatch.objects.count() > 5
    assert report.counts["receipt"] == Receipt.objects.count() > 5
    assert {"review_sums", "review_sent", "review_evidence", "chain_good", "receipts_fit"} <= set(found(report, "good"))


def changed(approved, **facts):
    content = json.loads(bytes(approved.frozen))
    content["facts"] |= facts
    return vectors.canonical(content)


def test_a_review_alone_is_consistent_and_its_digest_is_told_but_nobody_stands_for_it(approved, tmp_path):
    (tmp_path / "review.json").write_bytes(bytes(approved.frozen))
    report = verify.check([tmp_path / "review.json"], digest=approved.digest)
    assert report.verdict == "good"
    assert {"review_digest", "review_sums", "digest_good"} <= set(found(report, "good"))
    assert {"review_unsent", "review_duties"} <= set(found(report, "note"))


def test_a_review_that_does_not_add_up_is_false(approved, tmp_path):
    counts = approved.facts["counts"] | {"missing": 0}
    (tmp_path / "review.json").write_bytes(changed(approved, counts=counts))
    assert "review_sum_bad" in found(verify.check([tmp_path / "review.json"]), "false")


def test_a_review_that_blames_for_silence_where_a_receipt_answers_in_time_is_false(approved, tmp_path):
    finding = next(f for f in approved.facts["findings"] if f["kind"] == "not_acknowledged")
    dispatch = Dispatch.objects.get(uuid=finding["dispatches"][0])
    at = dispatch.sent_at + timedelta(days=3)
    acknowledge(dispatch_uuid=dispatch.uuid, actor=seat(dispatch.addressees.get().organisation), at=at)
    report = verify.check([folder_of_everything(tmp_path / "all", [bytes(approved.frozen)])])
    assert found(report, "false") == ["review_answered"]


def test_a_draft_or_another_json_is_no_approved_review(approved, tmp_path):
    (tmp_path / "review.json").write_bytes(
        vectors.canonical(json.loads(bytes(approved.frozen)) | {"format": "hiepdong.review/1"})
    )
    assert found(verify.check([tmp_path / "review.json"]), "false") == ["review_draft"]
    (tmp_path / "review.json").write_bytes(vectors.canonical({"format": "hiepdong.review/1/approved"}))
    assert found(verify.check([tmp_path / "review.json"]), "false") == ["shape"]
