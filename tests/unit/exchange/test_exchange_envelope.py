"""What exactly is signed: canonical bytes, and the refusal of what may not be signed."""

import json
import unicodedata
from datetime import UTC, datetime, timedelta, timezone

import pytest

from hiepdong.exchange.domain.dispatch import TRANSITIONS, State, may_move
from hiepdong.exchange.domain.envelope import (
    FORMAT,
    Content,
    InvalidContent,
    Recipient,
    as_json,
    canonical,
    check_content,
    read_content,
    receipt_json,
)

AT = datetime(2020, 3, 20, 3, 0, 0, 999_999, tzinfo=UTC)


def content(**changes):
    values = {
        "id": "0b6f6c1e-0000-4000-8000-000000000001",
        "kind": "notice",
        "sender": "nghe-an.don-my-ly",
        "subject": "Thông báo",
        "recipients": (Recipient("nghe-an.huyen-uy-ky-son", "to", 12, "a" * 64),),
        "sent_at": AT,
        "body": {"text": "Nội dung"},
        "year": 2020,
        "number": 5,
        "notation": "Số: 05/TB-ĐBP",
    }
    return Content(**values | changes)


def test_the_signed_bytes_of_a_known_paper_never_change():
    # If this fails, papers signed by earlier versions would be read or made differently: that needs a new FORMAT.
    assert canonical(as_json(content())).decode() == (
        '{"answers":[],"attachments":[],"body":{"text":"Nội dung"},"event_at":null,"format":"hiepdong.dispatch/1",'
        '"id":"0b6f6c1e-0000-4000-8000-000000000001","kind":"notice","reason":"",'
        '"recipients":[{"organisation":"nghe-an.huyen-uy-ky-son","previous":"' + "a" * 64 + '","role":"to","sequence":12}],'
        '"register":{"notation":"Số: 05/TB-ĐBP","number":5,"year":2020},"replaces":null,"sender":"nghe-an.don-my-ly",'
        '"sent_at":"2020-03-20T03:00:00Z","signer":{"title":""},"subject":"Thông báo","urgency":"ordinary","withdraws":null}'
    )


def test_text_typed_with_combining_marks_is_signed_in_one_normal_form():
    decomposed = unicodedata.normalize("NFD", "Đồn Nậm Cắn")
    assert decomposed != "Đồn Nậm Cắn"
    signed = canonical(as_json(content(subject=decomposed, body={"text": decomposed, decomposed: [decomposed]})))
    composed = {"text": "Đồn Nậm Cắn", "Đồn Nậm Cắn": ["Đồn Nậm Cắn"]}
    assert signed == canonical(as_json(content(subject="Đồn Nậm Cắn", body=composed)))
    assert unicodedata.is_normalized("NFC", signed.decode())


def test_a_moment_is_signed_in_utc_to_the_second_whatever_its_zone():
    here = AT.astimezone(timezone(timedelta(hours=7)))
    assert as_json(content(sent_at=here))["sent_at"] == "2020-03-20T03:00:00Z"


def test_what_was_signed_is_read_back_as_it_was():
    made = content(event_at=AT.replace(microsecond=0), answers=("a/b/c/d/2020-03",), reason="x", urgency="urgent")
    assert read_content(canonical(as_json(made))) == content(
        sent_at=AT.replace(microsecond=0),
        event_at=AT.replace(microsecond=0),
        answers=("a/b/c/d/2020-03",),
        reason="x",
        urgency="urgent",
    )


def test_keys_that_this_version_does_not_know_survive_reading_and_signing_again():
    data = as_json(content()) | {"gps": {"lat": "19.2"}}
    assert as_json(read_content(canonical(data)))["gps"] == {"lat": "19.2"}


def test_an_unknown_key_cannot_overwrite_a_known_one():
    made = content(extra={"sender": "somebody.else", "format": "other"})
    assert as_json(made)["sender"] == "nghe-an.don-my-ly"
    assert as_json(made)["format"] == FORMAT


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"kind": "decree"}, "kind"),
        ({"urgency": "whenever"}, "urgency"),
        ({"subject": " \t"}, "subject"),
        ({"subject": "x" * 301}, "subject"),
        ({"recipients": ()}, "recipients"),
        ({"recipients": (Recipient("a", "copy"),)}, "recipients"),
        ({"recipients": (Recipient("a"), Recipient("a", "copy"))}, "recipients"),
        ({"recipients": (Recipient("nghe-an.don-my-ly"),)}, "recipients"),
        ({"recipients": tuple(Recipient(f"o{n}") for n in range(501))}, "recipients"),
        ({"body": {"text": "x" * 100_001}}, "body.text"),
        ({"kind": "withdrawal"}, "reason"),
        ({"kind": "withdrawal", "withdraws": "x", "reason": "  "}, "reason"),
        ({"kind": "report"}, "body.form"),
        ({"sent_at": datetime(2020, 3, 20)}, "sent_at"),
    ],
    ids=lambda v: str(v)[:40],
)
def test_what_may_not_be_signed_is_refused_with_the_place_and_what_is_accepted(changes, path):
    with pytest.raises(InvalidContent) as refusal:
        check_content(content(**changes))
    assert refusal.value.facts["path"] == path
    assert refusal.value.facts["accepted"]


def test_the_largest_allowed_paper_is_accepted():
    recipients = tuple(Recipient(f"o{n}") for n in range(500))
    check_content(content(subject="x" * 300, recipients=recipients, body={"text": "x" * 100_000}))


def test_a_number_that_json_cannot_hold_exactly_is_refused_and_not_rounded():
    with pytest.raises(InvalidContent):
        canonical({"value": 2**60})


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b"\xff\xfe",
        json.dumps({"format": "hiepdong.dispatch/2"}).encode(),
        canonical(as_json(content()) | {"recipients": None}),
        canonical(as_json(content()) | {"recipients": [{"organisation": "a"}]}),
        canonical(as_json(content()) | {"sent_at": "yesterday"}),
        canonical(as_json(content()) | {"sent_at": "2020-03-20T03:00:00"}),
        canonical(as_json(content()) | {"body": "text"}),
        canonical(as_json(content()) | {"attachments": [1]}),
        canonical(as_json(content()) | {"signer": None}),
    ],
    ids=repr,
)
def test_bytes_that_are_no_dispatch_are_refused_in_words_and_crash_nothing(payload):
    with pytest.raises(InvalidContent):
        read_content(payload)


def test_a_receipt_names_the_bytes_it_answers_and_who_answers_when_and_why():
    made = receipt_json(
        dispatch_digest="d" * 64, dispatch_id="u", organisation="nghe-an.x", code="returned", at=AT, reason="Thiếu"
    )
    assert made == {
        "format": "hiepdong.receipt/1",
        "dispatch": "u",
        "digest": "d" * 64,
        "organisation": "nghe-an.x",
        "code": "returned",
        "at": "2020-03-20T03:00:00Z",
        "reason": "Thiếu",
    }


def test_an_answer_is_final_and_nothing_is_answered_before_it_arrived():
    assert {s for s in State if may_move(State.SENT, s)} == {State.ARRIVED}
    assert {s for s in State if may_move(State.ARRIVED, s)} == {State.ACKNOWLEDGED, State.RETURNED}
    assert not any(may_move(final, s) for final in (State.RETURNED, State.DONE) for s in State)
    assert set(TRANSITIONS) == set(State)
