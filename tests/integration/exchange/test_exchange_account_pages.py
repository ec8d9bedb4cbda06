"""The pages and the command of statements of account, and of documents that several sign."""

import io
import json
from datetime import datetime, timedelta

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

from hiepdong.exchange import joint, services, signing, statements
from hiepdong.exchange.account_document import document_of
from hiepdong.exchange.domain.account import AccountTooLong
from hiepdong.exchange.keys import ensure_key
from hiepdong.exchange.models import JointDocument
from support.make import SENT_AT, entered, seat, send

pytestmark = pytest.mark.django_db
MONTH = "2020-03"
AFTER = datetime.fromisoformat("2020-04-04T03:00:00+00:00")


@pytest.fixture
def exchanged(world):
    first = send(world.signer, [world.district], "Thông báo một")
    send(world.signer, [world.district], "Thông báo hai", at=SENT_AT + timedelta(hours=1))
    services.acknowledge(dispatch_uuid=first.uuid, actor=world.reader, at=SENT_AT + timedelta(hours=2))
    return world


def detail(world):
    return reverse("exchange:account_detail", args=[MONTH, *sorted((world.station.key, world.district.key))])


def make(world):
    made = {"month": MONTH, "other": world.district.key}
    answer = entered(world.clerk).post(reverse("exchange:account_make"), made)
    assert answer.headers["Location"] == detail(world)
    return JointDocument.objects.get()


def test_a_clerk_makes_a_statement_and_the_signers_of_both_sides_sign_it(exchanged):
    world = exchanged
    document = make(world)
    page = entered(world.signer).get(detail(world)).content.decode()
    assert "Thông báo hai" in page
    address = reverse("exchange:account_sign", args=[document.digest])
    assert address in page
    assert entered(world.clerk).post(address).status_code == 403
    for signer in (world.signer, world.reader):
        assert address in entered(signer).get(detail(world)).content.decode()
        assert entered(signer).post(address).status_code == 302
    document.refresh_from_db()
    assert document.complete_at is not None
    assert statements.account_of(world.station, world.district, MONTH).state == "complete"
    assert address not in entered(world.reader).get(detail(world)).content.decode()


def test_what_waits_for_a_signature_stands_on_the_desk_until_it_is_signed(exchanged):
    world = exchanged
    document = make(world)
    assert detail(world) in entered(world.reader).get("/").content.decode()
    joint.sign(document_id=document.pk, organisation=world.district, actor=world.reader, at=timezone.now())
    assert detail(world) not in entered(world.reader).get("/").content.decode()


def test_a_statement_that_says_something_else_than_this_node_knows_has_no_button_and_is_refused(exchanged):
    world = exchanged
    document = make(world)
    payload = dict(joint.terms_of(document).claims)
    payload["sent"] = [dict(w) for w in payload["sent"]]
    way = next(w for w in payload["sent"] if w["from"] == world.station.key)
    way["dispatches"] = way["dispatches"][:1]
    way["last"] = 1
    other = joint.propose(kind="account", payload=payload | {"made_by": world.district.key}, actor=None, at=AFTER)
    address = reverse("exchange:account_sign", args=[other.digest])
    page = entered(world.signer).get(detail(world)).content.decode()
    assert address not in page
    answer = entered(world.signer).post(address)
    assert answer.status_code == 409
    other.refresh_from_db()
    assert other.signatures == []


def test_the_pdf_names_every_paper_and_every_difference(exchanged):
    world = exchanged
    document = make(world)
    account, shown = statements.statement_for(world.signer, document.digest)
    paper = document_of(account, shown)
    told = str(paper.blocks)
    assert "Thông báo một" in told
    assert "Thông báo hai" in told
    assert document.digest in paper.footnote
    answer = entered(world.signer).get(reverse("exchange:account_pdf", args=[document.digest]))
    assert answer.content.startswith(b"%PDF")


def test_an_outsider_finds_neither_page_nor_file(exchanged):
    world = exchanged
    document = make(world)
    stranger = entered(seat(world.outsider))
    for address in (
        detail(world),
        reverse("exchange:account_pdf", args=[document.digest]),
        reverse("exchange:joint_raw", args=[document.digest]),
        reverse("exchange:account_detail", args=["2020-13", "a", "b"]),
    ):
        assert stranger.get(address).status_code in {404, 409}
    assert "Đồn Biên phòng Một" not in stranger.get(reverse("exchange:account_list")).content.decode()
    assert stranger.post(reverse("exchange:account_sign", args=[document.digest])).status_code == 404


@pytest.mark.parametrize(("month", "other"), [("2020-3", None), ("", None), ("2020-03", "khong-co"), ("9999-12", None)])
def test_a_month_or_a_body_that_is_not_one_is_told_beside_the_form(exchanged, month, other):
    world = exchanged
    made = {"month": month, "other": other or world.district.key}
    answer = entered(world.clerk).post(reverse("exchange:account_make"), made)
    assert answer.status_code == 422
    assert 'role="alert"' in answer.content.decode()
    assert not JointDocument.objects.exists()


def test_the_list_says_what_to_do_while_it_is_empty_and_then_names_pair_month_and_state(exchanged):
    world = exchanged
    page = entered(world.clerk).get(reverse("exchange:account_list"))
    assert "hd-empty" in page.content.decode()
    make(world)
    for query, there in (("", True), ("?month=2020-03", True), ("?month=2020-02", False)):
        page = entered(world.clerk).get(reverse("exchange:account_list") + query).content.decode()
        assert (detail(world) in page) is there


def test_the_command_makes_shows_writes_and_compares(exchanged, tmp_path, capsys):
    world = exchanged
    station, district = world.station.key, world.district.key
    call_command("account", "make", station, district, "--month", MONTH)
    document = JointDocument.objects.get()
    joint.sign(document_id=document.pk, organisation=world.station, actor=None, at=AFTER)
    file = tmp_path / "mot.json"
    call_command("account", "show", station, district, "--month", MONTH, "--out", str(file))
    assert "Huyện ủy Ba" in capsys.readouterr().out
    assert json.loads(file.read_text()) == joint.as_json(joint.by_digest(document.digest))
    call_command("account", "compare", str(file), str(file), stderr=io.StringIO())
    payload = dict(joint.terms_of(document).claims) | {"made_by": district}
    payload["sent"] = [w | {"dispatches": [], "first": 0, "last": 0} for w in payload["sent"]]
    other = joint.propose(kind="account", payload=payload, actor=None, at=AFTER)
    second = tmp_path / "hai.json"
    second.write_text(json.dumps(signed_as(other, world.district)))
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        call_command("account", "compare", str(file), str(second), "--json", stderr=io.StringIO())
    assert ended.value.code == 1
    assert [(d["sequence"], d["code"]) for d in json.loads(capsys.readouterr().out)] == [(1, "only_ours"), (2, "only_ours")]


def signed_as(document, organisation):
    key = ensure_key(organisation=organisation, actor=None, at=AFTER)
    part = signing.sign_general(
        bytes(document.payload),
        kid=key.kid,
        private_encrypted=key.private_encrypted,
        secret=settings.SECRET_KEY,
        typ="hiepdong.account+json",
    )
    return signing.general_json(bytes(document.payload), [part])


def test_the_worker_makes_what_is_due_and_tells_what_could_not_be_made(monkeypatch):
    asked = []

    def refuse(*, at):
        asked.append(at)
        raise AccountTooLong(sender="a", recipient="b", most=1)

    monkeypatch.setattr(statements, "make_due", refuse)
    with pytest.raises(CommandError, match="1"):
        call_command("work", "--once", stdout=io.StringIO())
    assert len(asked) == 1
