"""Making, discharging, reopening, waiving and suspending duties."""

import uuid
from datetime import UTC, date, datetime

import pytest

from hiepdong.duties import queries, services
from hiepdong.duties.calendar_source import build_calendar, table
from hiepdong.duties.domain.status import Status
from hiepdong.duties.models import Duty, Exemption, Link, Pair
from hiepdong.journal.models import Entry
from hiepdong.kernel.errors import NotAllowed, NotFound
from hiepdong.organisations.models import Organisation
from hiepdong.regulations.models import Instrument
from integration.duties.conftest import MADE_AT, MONTHLY, body, instrument

pytestmark = pytest.mark.django_db
YEAR_END = date(2020, 12, 31)


def at(month, day, hour=3):
    return datetime(2020, month, day, hour, tzinfo=UTC)


def make(until=YEAR_END, key="t.qcph", **given):
    return services.make_duties(instrument_key=key, until=until, actor=None, at=MADE_AT, **given)


def march(world):
    return Duty.objects.get(reference=world.reference(world.stations[0], world.districts[0]))


# --- making


def test_a_year_of_duties_is_made_once_however_often_it_is_run(world):
    first = make()
    # 2 stations x 2 districts: 12 monthly one way, 4 quarterly the other way; an event makes none
    assert (first.made, first.present, first.without_parties) == (4 * 12 + 4 * 4, 0, ())
    again = make()
    assert (again.made, again.present) == (0, 64)
    assert Duty.objects.count() == 64
    assert Pair.objects.count() == 4
    assert Entry.objects.filter(code="duties.duty.made").count() == 1


def test_a_duty_carries_its_period_its_due_moment_and_why(world):
    make()
    duty = march(world)
    assert (duty.period_from, duty.period_to) == (date(2020, 2, 15), date(2020, 3, 14))
    assert duty.opens_at == datetime(2020, 3, 14, 17, tzinfo=UTC)
    assert duty.due_at == datetime(2020, 3, 17, 17, tzinfo=UTC)  # Saturday; Monday 16 and Tuesday 17 are worked
    assert duty.explanation[1]["skipped"] == [{"on": "2020-03-15", "name": "Chủ nhật"}]
    assert duty.calendar_digest
    assert not duty.provisional


def test_duties_of_a_year_whose_days_off_nobody_verified_are_provisional(world):
    made = make(date(2021, 3, 31))
    assert made.provisional == Duty.objects.filter(provisional=True).count() > 0
    assert set(Duty.objects.filter(provisional=True).values_list("period_to__year", flat=True)) == {2021}


def test_the_pair_has_the_border_guard_first(world):
    make()
    duty = march(world)
    assert duty.pair.first == world.stations[0]


def test_the_number_of_queries_does_not_grow_with_the_bodies(world, django_assert_max_num_queries):
    with django_assert_max_num_queries(40) as small:
        make()
    for n in range(6):
        extra = body(f"t.them-{n}", "border_station")
        world.instrument.parties.create(organisation=extra, side="border_guard")
    with django_assert_max_num_queries(len(small) + 3):
        assert make().made == 6 * 2 * 12 + 6 * 2 * 4


def test_old_periods_keep_the_old_rules_and_new_ones_get_the_new(world):
    make(date(2020, 6, 30))
    Instrument.objects.filter(pk=world.instrument.pk).update(effective_until=date(2020, 7, 1))
    changed = MONTHLY | {"deadline": {"type": "after", "amount": 5, "unit": "days"}}
    second = instrument("t.qcph", world.province, world.parties, {"thang": changed}, version=2, effective_from=date(2020, 7, 1))
    make()
    by_label = {d.occasion: d for d in Duty.objects.filter(rule__key="thang", debtor=world.stations[0],
                                                           creditor=world.districts[0]).select_related("rule")}  # fmt: skip
    assert by_label["2020-06"].rule.instrument_id == world.instrument.pk
    assert by_label["2020-07"].rule.instrument_id == second.pk
    assert by_label["2020-07"].due_at == datetime(2020, 7, 19, 17, tzinfo=UTC)
    assert len(by_label) == 12
    assert not Duty.objects.filter(rule__key="quy", occasion="2020-Q3").exists()  # the new version has no such rule


def amended(world, rules, first_day):
    Instrument.objects.filter(pk=world.instrument.pk).update(effective_until=first_day)
    return instrument("t.qcph", world.province, world.parties, rules, version=2, effective_from=first_day)


LATER = MONTHLY | {"deadline": {"type": "after", "amount": 5, "unit": "days"}}


def test_an_amendment_also_reaches_the_duties_that_were_made_ahead(world):
    make()
    kept = dict(Duty.objects.filter(occasion="2020-06").values_list("pk", "due_at"))
    page = Duty.objects.get(reference=world.reference(*world.stations[:1], *world.districts[:1], "2020-07")).pk
    second = amended(world, {"thang": LATER}, date(2020, 7, 1))
    again = make()
    assert (again.made, again.renewed, again.dropped) == (0, 4 * 6, 4 * 2)  # July to December; the third and fourth quarter
    july = Duty.objects.get(pk=page)  # the same page, under the new rule
    assert (july.rule.instrument_id, july.due_at) == (second.pk, datetime(2020, 7, 19, 17, tzinfo=UTC))
    assert july.explanation[1]["facts"]["amount"] == 5
    assert dict(Duty.objects.filter(occasion="2020-06").values_list("pk", "due_at")) == kept
    assert not Duty.objects.filter(rule__key="quy", occasion="2020-Q3").exists()
    assert (make().renewed, make().dropped) == (0, 0)


def test_a_duty_that_is_open_or_was_answered_keeps_the_version_it_was_made_under(world):
    make()
    early = world.reference(world.stations[0], world.districts[0], "2020-09")
    _, entry = world.dispatch(world.stations[0], world.districts[0], at(8, 1), [early])
    services.discharge_by_dispatch(entry, at(8, 1))
    waived = Duty.objects.get(reference=world.reference(world.stations[0], world.districts[0], "2020-10"))
    by = world.seat(world.districts[0])
    services.waive_duty(duty_id=waived.pk, actor=by, at=at(8, 1), reason="hai bên thống nhất")
    amended(world, {"thang": LATER}, date(2020, 7, 1))
    late = services.make_duties(instrument_key="t.qcph", until=YEAR_END, actor=None, at=at(8, 2))  # loaded a month late
    of = dict(Duty.objects.filter(rule__key="thang", debtor=world.stations[0], creditor=world.districts[0])
              .values_list("occasion", "rule__instrument__version"))  # fmt: skip
    assert [of[f"2020-{m:02}"] for m in range(6, 13)] == [1, 1, 2, 1, 1, 2, 2]  # July open, September sent, October waived
    assert late.made == 0


def test_what_was_made_ahead_for_a_body_that_ends_is_dropped_and_what_is_open_stays(world):
    make()
    Organisation.objects.filter(pk=world.districts[1].pk).update(valid_until=date(2020, 7, 1))
    assert make().dropped == 2 * 6 + 2 * 2  # from two stations July to December, to two stations two quarters
    assert Duty.objects.filter(creditor=world.districts[1], occasion="2020-06").count() == 2
    assert not Duty.objects.filter(creditor=world.districts[1], period_to__gte=date(2020, 7, 1)).exists()


def test_new_days_off_move_what_was_made_ahead_on_the_old_ones(world, monkeypatch):
    make()
    own = table()
    own["off"] = [*own.get("off", []), {"on": date(2020, 7, 15), "name": "Nghỉ hoán đổi", "source": "thử", "verified": True}]
    monkeypatch.setattr(services, "national_calendar", lambda: build_calendar(own))
    make()
    of = dict(Duty.objects.filter(rule__key="thang").values_list("occasion", "due_at"))
    assert of["2020-07"] == datetime(2020, 7, 17, 17, tzinfo=UTC)  # 14 July; 15 is off now; 16 and 17 are worked
    assert of["2020-08"] == datetime(2020, 8, 18, 17, tzinfo=UTC)


def test_a_body_that_ended_owes_nothing_after_its_end(world):
    Organisation.objects.filter(pk=world.districts[1].pk).update(valid_until=date(2020, 7, 1))
    make()
    assert Duty.objects.filter(creditor=world.districts[1], period_to__gte=date(2020, 7, 1)).count() == 0
    assert Duty.objects.filter(creditor=world.districts[1], occasion="2020-06").count() == 2


def test_a_rule_that_concerns_nobody_is_named_not_passed_over(world):
    lonely = MONTHLY | {"debtor": {"kind": "sea_squadron"}}
    instrument("t.khac", world.province, world.parties, {"le-loi": lonely})
    assert make(key="t.khac").without_parties == ("le-loi",)


def test_an_unknown_instrument_is_refused(world):
    with pytest.raises(services.NoSuchInstrument):
        make(key="t.khong-co")


def test_custom_families_and_yearly_days_make_duties(world):
    rules = {
        "hai-ky": MONTHLY | {"trigger": {"type": "period", "family": "hai-ky"}},
        "ngay-3-3": MONTHLY | {"trigger": {"type": "yearly", "month": 3, "day": 3}, "deadline": {"type": "date"}},
    }
    made = instrument("t.khac", world.province, world.parties, rules)
    made.periods = {"hai-ky": {"key": "hai-ky", "ends": ["05-20", "11-20"], "names": ["K1", "K2"]}}
    made.save()
    make(key="t.khac")
    labels = set(Duty.objects.values_list("occasion", flat=True))
    assert labels == {"2020-K1", "2020-K2", "2020-03-03"}
    yearly = Duty.objects.filter(occasion="2020-03-03").first()
    assert yearly.due_at == datetime(2020, 3, 3, 17, tzinfo=UTC)
    assert yearly.opens_at == datetime(2020, 2, 1, 17, tzinfo=UTC)


# --- events


def open_event(world, **given):
    return services.open_event_duty(
        **{
            "instrument_key": "t.qcph",
            "rule_key": "su-viec",
            "debtor_key": "t.don-mot",
            "event_at": at(3, 5, 18),
            "actor": None,
            "at": at(3, 6),
        }
        | given
    )


def test_an_event_opens_one_duty_per_creditor_counted_from_its_instant(world):
    duties = open_event(world)
    assert [d.creditor for d in duties] == world.districts
    assert {d.opens_at for d in duties} == {at(3, 5, 18)}
    assert {d.due_at for d in duties} == {datetime(2020, 3, 6, 0, tzinfo=UTC)}
    assert {d.period_to for d in duties} == {date(2020, 3, 6)}  # 18:00 UTC is the next day in Viet Nam
    assert all(d.copies == [world.province.pk] for d in duties)


def test_the_same_event_opens_nothing_twice_and_another_one_does(world):
    number = uuid.uuid4()
    first = open_event(world, event_id=number)
    assert [d.pk for d in open_event(world, event_id=number)] == [d.pk for d in first]
    open_event(world, event_id=uuid.uuid4())
    assert Duty.objects.count() == 4


def test_only_a_party_of_the_event_may_open_it(world):
    open_event(world, actor=world.seat(world.stations[0], "clerk"))
    with pytest.raises(NotFound):
        open_event(world, actor=world.seat(world.stations[1], "clerk"), event_id=uuid.uuid4())
    with pytest.raises(NotAllowed):
        open_event(world, actor=world.seat(world.stations[0], "viewer"))
    with pytest.raises(services.NotAnEventRule):
        open_event(world, rule_key="thang")
    with pytest.raises(services.NobodyConcerned):
        open_event(world, debtor_key="t.huyen-ba")


# --- discharging


def send(world, day=16, *, to=None, answers=None, **given):
    station, district = world.stations[0], world.districts[0]
    answers = [world.reference(station, district)] if answers is None else answers
    sent, entry = world.dispatch(station, to or district, at(3, day), answers, **given)
    services.discharge_by_dispatch(entry, at(3, day))
    return sent, entry


def test_a_dispatch_from_debtor_to_creditor_fulfils_the_duty_at_its_signed_moment(world):
    make()
    sent, _ = send(world)
    duty = march(world)
    assert (duty.fulfilled_at, duty.fulfilled_by, duty.nil) == (at(3, 16), sent, False)
    assert duty.status_at(at(4, 1)) is Status.FULFILLED
    assert Entry.objects.filter(code="duties.duty.discharged", subject_id=str(duty.pk)).count() == 1


def test_reacting_twice_to_the_same_dispatch_is_harmless(world):
    make()
    _, entry = send(world)
    before = list(Duty.objects.order_by("pk").values())
    services.discharge_by_dispatch(entry, at(5, 1))
    assert list(Duty.objects.order_by("pk").values()) == before
    assert Link.objects.count() == 1
    assert Entry.objects.filter(code="duties.duty.discharged").count() == 1


def test_a_late_dispatch_is_late_and_one_second_before_the_due_moment_is_not(world):
    make()
    station, district = world.stations[0], world.districts[0]
    due = march(world).due_at
    _, entry = world.dispatch(station, district, due, [world.reference(station, district)])
    services.discharge_by_dispatch(entry, due)
    assert march(world).status_at(at(4, 1)) is Status.FULFILLED_LATE


def test_a_stranger_cannot_fulfil_anothers_duty_nor_by_writing_to_someone_else(world):
    make()
    reference = world.reference(world.stations[0], world.districts[0])
    _, entry = world.dispatch(world.stations[1], world.districts[0], at(3, 16), [reference])
    services.discharge_by_dispatch(entry, at(3, 16))
    send(world, to=world.districts[1])
    assert march(world).fulfilled_at is None
    assert Link.objects.count() == 0


def test_one_dispatch_may_fulfil_the_duties_towards_several_creditors(world):
    make()
    answers = [world.reference(world.stations[0], d) for d in world.districts]
    send(world, to=world.districts, answers=answers)
    assert Duty.objects.filter(fulfilled_at__isnull=False).count() == 2


def test_a_nil_report_counts_where_the_rule_allows_it_and_not_elsewhere(world):
    make()
    send(world, kind="nil_report")
    assert march(world).nil
    reference = world.reference(world.districts[0], world.stations[0], "2020-Q1", "quy")
    _, entry = world.dispatch(world.districts[0], world.stations[0], at(3, 16), [reference], kind="nil_report")
    services.discharge_by_dispatch(entry, at(3, 16))
    assert Duty.objects.get(reference=reference).fulfilled_at is None


def test_a_replacement_keeps_the_first_moment(world):
    make()
    first, _ = send(world, 16)
    send(world, 28, replaces=first, answers=[])
    duty = march(world)
    assert (duty.fulfilled_at, duty.fulfilled_by) == (at(3, 16), first)
    assert duty.links.count() == 2


def test_a_withdrawal_opens_the_duty_again_and_a_new_report_is_the_new_moment(world):
    make()
    first, _ = send(world, 16)
    send(world, 17, kind="withdrawal", withdraws=first)
    assert march(world).fulfilled_at is None
    assert Entry.objects.filter(code="duties.duty.reopened").count() == 1
    again, _ = send(world, 29)
    assert march(world).fulfilled_by == again
    assert march(world).status_at(at(4, 1)) is Status.FULFILLED_LATE


def test_nobody_withdraws_the_report_of_another(world):
    make()
    first, _ = send(world, 16)
    _, entry = world.dispatch(
        world.stations[1], world.districts[0], at(3, 17), first.answers, kind="withdrawal", withdraws=first
    )
    services.discharge_by_dispatch(entry, at(3, 17))
    assert march(world).fulfilled_by == first


def test_a_return_opens_the_duty_and_the_next_version_is_the_anchor(world):
    make()
    first, _ = send(world, 16)
    back = world.give_back(first, world.districts[0], at(3, 17))
    services.reopen_by_return(back, at(3, 17))
    services.reopen_by_return(back, at(3, 18))
    assert march(world).fulfilled_at is None
    assert Entry.objects.filter(code="duties.duty.reopened").count() == 1
    second, _ = send(world, 20, replaces=first)
    assert march(world).fulfilled_by == second


def test_a_return_by_one_creditor_does_not_touch_the_duty_towards_another(world):
    make()
    answers = [world.reference(world.stations[0], d) for d in world.districts]
    sent, _ = send(world, to=world.districts, answers=answers)
    services.reopen_by_return(world.give_back(sent, world.districts[1], at(3, 17)), at(3, 17))
    assert march(world).fulfilled_by == sent
    assert Duty.objects.filter(fulfilled_at__isnull=False).count() == 1


def test_a_return_known_before_the_reaction_to_the_sending_counts_too(world):
    make()
    reference = world.reference(world.stations[0], world.districts[0])
    sent, entry = world.dispatch(world.stations[0], world.districts[0], at(3, 16), [reference])
    back = world.give_back(sent, world.districts[0], at(3, 17))
    services.discharge_by_dispatch(entry, at(3, 18))
    assert march(world).fulfilled_at is None
    services.reopen_by_return(back, at(3, 18))
    assert march(world).fulfilled_at is None


# --- decisions


def test_the_creditor_waives_with_a_reason_and_doing_it_again_changes_nothing(world):
    make()
    seat = world.seat(world.districts[0])
    for _ in range(2):
        services.waive_duty(duty_id=march(world).pk, actor=seat, at=at(3, 20), reason="Lũ quét")
    assert march(world).status_at(at(4, 1)) is Status.WAIVED
    assert Exemption.objects.count() == 1
    assert Entry.objects.filter(code="duties.duty.waived").count() == 1


def test_who_may_not_waive_is_told_so(world):
    make()
    pk = march(world).pk
    for seat, refusal in (
        (world.seat(world.stations[0]), services.NotForYouToDecide),  # the debtor does not free himself
        (world.seat(world.districts[0], "clerk"), NotAllowed),
        (world.seat(world.districts[1]), NotFound),
    ):
        with pytest.raises(refusal):
            services.waive_duty(duty_id=pk, actor=seat, at=at(3, 20), reason="x")
    with pytest.raises(services.ReasonMissing):
        services.waive_duty(duty_id=pk, actor=world.seat(world.districts[0]), at=at(3, 20), reason="  ")
    services.waive_duty(duty_id=pk, actor=world.seat(world.province), at=at(3, 20), reason="Cấp trên cho phép")
    assert march(world).waived_at == at(3, 20)


def test_a_fulfilled_duty_is_neither_waived_nor_suspended(world):
    make()
    send(world)
    seat = world.seat(world.districts[0])
    for decide in (services.waive_duty, services.suspend_duty):
        with pytest.raises(services.NotOpen):
            decide(duty_id=march(world).pk, actor=seat, at=at(3, 20), reason="x")


def test_a_suspension_holds_until_its_end_and_moves_no_due_moment(world):
    make()
    seat, due = world.seat(world.districts[0]), march(world).due_at
    with pytest.raises(services.SuspensionEnds):
        services.suspend_duty(duty_id=march(world).pk, actor=seat, at=at(3, 16), reason="x", until=at(3, 16))
    for _ in range(2):
        services.suspend_duty(duty_id=march(world).pk, actor=seat, at=at(3, 16), reason="Dịch", until=at(3, 30))
    duty = march(world)
    assert duty.status_at(at(3, 29)) is Status.SUSPENDED
    assert duty.status_at(at(3, 30)) is Status.OVERDUE
    assert duty.due_at == due
    assert Exemption.objects.count() == 1


def test_history_tells_the_life_of_a_duty_in_order(world):
    make()
    seat = world.seat(world.districts[0])
    first, _ = send(world, 16)
    services.reopen_by_return(world.give_back(first, world.districts[0], at(3, 17)), at(3, 17))
    services.suspend_duty(duty_id=march(world).pk, actor=seat, at=at(3, 18), reason="Dịch")
    kinds = [i.kind for i in queries.duty_history(seat, march(world), at(4, 1))]
    assert kinds == ["made", "opened", "version", "duties.duty.discharged", "returned", "duties.duty.reopened",
                     "due", "suspension"]  # fmt: skip
