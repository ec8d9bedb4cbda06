"""What follows from a fact never undoes the fact, and one that fails holds up no other."""

import pytest
from django.urls import reverse

from hiepdong.exchange.models import Dispatch
from hiepdong.journal.models import Entry
from hiepdong.web import wiring
from hiepdong.web.services import react
from support.make import SENT_AT, entered

pytestmark = pytest.mark.django_db


def broken(entry, at):
    raise RuntimeError("broken")


def test_a_failing_reaction_does_not_tell_the_sender_that_nothing_was_sent(small_world, monkeypatch, caplog):
    world = small_world
    draft = world.draft()
    monkeypatch.setitem(wiring.REACTIONS, "exchange.dispatch.sent", [broken])
    fields = {"to": [world.district.key], "subject": "a", "urgency": "ordinary", "text": "b", "do": "send", "revision": "1"}
    answer = entered(world.signer).post(reverse("exchange:draft_form", args=[draft.pk]), fields)
    assert answer.status_code == 302
    assert Dispatch.objects.count() == 1
    assert "a reaction failed" in caplog.text
    assert Entry.objects.get(code="exchange.dispatch.sent").reacted_at is None, "it is tried again"


def test_a_failing_reaction_holds_up_no_later_one_and_is_told_in_the_end(small_world, monkeypatch):
    world = small_world
    world.duties()
    first, second = world.draft(), world.duty()
    from hiepdong.duties.services import send_nil
    from hiepdong.exchange.services import send_draft

    bad = send_draft(draft_id=first.pk, actor=world.signer, at=SENT_AT)
    send_nil(duty_id=second.pk, actor=world.signer, at=SENT_AT)
    reactions = wiring.REACTIONS["exchange.dispatch.sent"]

    def picky(entry, at):
        if entry.subject_id == str(bad.pk):
            raise RuntimeError("broken")

    monkeypatch.setitem(wiring.REACTIONS, "exchange.dispatch.sent", [picky, *reactions])
    with pytest.raises(RuntimeError):
        react(at=SENT_AT)
    assert world.duty().fulfilled_at == SENT_AT
    assert Entry.objects.get(code="exchange.dispatch.sent", reacted_at__isnull=True).subject_id == str(bad.pk)
    monkeypatch.undo()
    react(at=SENT_AT)
    assert not Entry.objects.filter(code="exchange.dispatch.sent", reacted_at__isnull=True).exists()
