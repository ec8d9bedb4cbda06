"""Two people at once, with real connections: no number twice, no hole, nothing sent twice, no word lost."""

import uuid
from datetime import timedelta

import pytest

from hiepdong.documents.services import take_number
from hiepdong.duties.services import send_nil
from hiepdong.exchange import queries, services
from hiepdong.exchange.domain.dispatch import AlreadyAnswered
from hiepdong.exchange.models import Addressee, Dispatch, Draft, Receipt, SigningKey
from hiepdong.web.services import react
from support.make import SENT_AT, World, notice, seat
from support.together import together

pytestmark = pytest.mark.django_db(transaction=True)
PEOPLE = 4
EACH = 6


@pytest.fixture
def world(transactional_db):
    return World()


def failures(results):
    return [r for r in results if isinstance(r, BaseException)]


def test_several_clerks_at_once_get_numbers_without_a_double_or_a_hole(world, tmp_path):
    """Each sends several papers; some are refused in between and must give their number back."""
    people = [seat(world.station) for _ in range(PEOPLE)]

    def clerk(actor):
        def work():
            for n in range(EACH):
                to = [world.district] if n % 2 else [world.district, world.province]
                services.send(item=notice(world.station, to, f"{actor.pk}/{n}"), actor=actor, at=SENT_AT)
                with pytest.raises(services.DomainError):  # refused after the number was taken
                    services.send(item=notice(world.station, [world.station]), actor=actor, at=SENT_AT)

        return work

    def facts():
        return (
            sorted(Dispatch.objects.values_list("register_number", flat=True)),
            sorted(Addressee.objects.filter(organisation=world.district).values_list("sequence", flat=True)),
            sorted(Addressee.objects.filter(organisation=world.province).values_list("sequence", flat=True)),
            [queries.verification_of(d).good for d in Dispatch.objects.select_related("key")],
            SigningKey.objects.filter(organisation=world.station).count(),
        )

    results, after = together([clerk(p) for p in people], tmp_path, then=facts)
    assert failures(results) == []
    numbers, to_district, to_province, genuine, keys = after
    assert numbers == list(range(1, PEOPLE * EACH + 1))
    assert to_district == list(range(1, PEOPLE * EACH + 1))
    assert to_province == list(range(1, PEOPLE * EACH // 2 + 1))
    assert all(genuine)
    assert keys == 1, "two first papers at once made one key"


def test_numbers_of_a_series_taken_at_once_are_all_different_and_without_a_hole(world, tmp_path):
    def take():
        return [take_number(organisation_id=world.station.pk, register="x", year=2020) for _ in range(10)]

    results, _ = together([take] * PEOPLE, tmp_path, then=lambda: None)
    assert failures(results) == []
    assert sorted(n for taken in results for n in taken) == list(range(1, 10 * PEOPLE + 1))


def test_a_draft_sent_from_two_windows_at_once_is_one_paper(world, tmp_path):
    draft = world.draft()

    def press():
        return services.send_draft(draft_id=draft.pk, actor=world.signer, at=SENT_AT).uuid

    results, count = together([press] * PEOPLE, tmp_path, then=lambda: Dispatch.objects.count())
    assert failures(results) == []
    assert len(set(results)) == 1
    assert count == 1


def test_a_nil_report_tapped_on_two_telephones_at_once_is_sent_once(world, tmp_path):
    world.duties()
    duty = world.duty()

    def tap():
        sent = send_nil(duty_id=duty.pk, actor=world.signer, at=SENT_AT)
        react(at=SENT_AT)
        return sent.uuid

    results, count = together([tap] * PEOPLE, tmp_path, then=lambda: Dispatch.objects.count())
    assert failures(results) == []
    assert len(set(results)) == count == 1


def test_a_paper_withdrawn_twice_at_once_is_withdrawn_once(world, tmp_path):
    sent = services.send(item=notice(world.station, [world.district]), actor=world.signer, at=SENT_AT)

    def press():
        return services.withdraw(dispatch_uuid=sent.uuid, reason="Nhầm", actor=world.signer, at=SENT_AT).uuid

    results, count = together([press] * PEOPLE, tmp_path, then=lambda: Dispatch.objects.filter(kind="withdrawal").count())
    assert failures(results) == []
    assert len(set(results)) == count == 1


def test_acknowledged_and_returned_at_once_has_one_verdict(world, tmp_path):
    sent = services.send(item=notice(world.station, [world.district]), actor=world.signer, at=SENT_AT)

    def acknowledge():
        services.acknowledge(dispatch_uuid=sent.uuid, actor=world.reader, at=SENT_AT)

    def give_back():
        services.return_dispatch(dispatch_uuid=sent.uuid, reason="Thiếu", actor=world.reader, at=SENT_AT)

    def verdicts():
        return list(Receipt.objects.exclude(code="arrived").values_list("code", flat=True))

    results, codes = together([acknowledge, give_back], tmp_path, then=verdicts)
    assert [type(e) for e in failures(results)] == [AlreadyAnswered]
    assert len(codes) == 1


def test_the_first_autosave_and_the_first_tap_at_once_make_one_draft(world, tmp_path):
    draft_id = uuid.uuid4()

    def save(text):
        content = {"kind": "notice", "subject": text, "recipients": [], "body": {"text": text}}
        return lambda: services.save_draft(draft_id=draft_id, content=content, actor=world.clerk, at=SENT_AT)

    def texts_kept():
        return list(Draft.objects.values_list("content__subject", flat=True))

    results, texts = together([save(str(n)) for n in range(PEOPLE)], tmp_path, then=texts_kept)
    assert failures(results) == []
    assert len(texts) == 1


def test_reactions_walked_by_two_workers_at_once_are_done_once(world, tmp_path):
    world.duties()
    for month in ("2020-02", "2020-03", "2020-04"):
        services.send(
            item=notice(world.station, [world.district], answers=[world.reference(month)]),
            actor=world.signer,
            at=SENT_AT + timedelta(days=60),
        )

    def links_made():
        return [world.duty(month).links.count() for month in ("2020-02", "2020-03", "2020-04")]

    results, links = together([lambda: react(at=SENT_AT)] * PEOPLE, tmp_path, then=links_made)
    assert failures(results) == []
    assert links == [1, 1, 1]
