"""What a seat sees of duties: the gate, the desk, lists, the board, the review's numbers."""

import itertools
from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import translation

from hiepdong.duties import queries, services
from hiepdong.duties.domain.status import Facts, Status, status_of
from hiepdong.duties.models import Duty
from hiepdong.kernel.errors import NotFound
from integration.duties.conftest import MADE_AT, MONTHLY, body, instrument

pytestmark = pytest.mark.django_db
YEAR = {"first": date(2020, 1, 1), "last": date(2020, 12, 31)}


def at(month, day, hour=3):
    return datetime(2020, month, day, hour, tzinfo=UTC)


@pytest.fixture
def year(world):
    """The whole year is made; station one reported to district three on 16 March and, late, on 30 April."""
    services.make_duties(instrument_key="t.qcph", until=YEAR["last"], actor=None, at=MADE_AT)
    station, district = world.stations[0], world.districts[0]
    for label, moment in (("2020-03", at(3, 16)), ("2020-04", at(4, 30))):
        _, entry = world.dispatch(station, district, moment, [world.reference(station, district, label)])
        services.discharge_by_dispatch(entry, moment)
    return world


@pytest.mark.parametrize(
    ("who", "role", "sees"),
    [
        ("debtor", "viewer", True),
        ("creditor", "viewer", True),
        ("superior", "clerk", True),
        ("other station", "signer", False),
        ("other district", "signer", False),
        ("debtor", "node_administrator", False),
    ],
)
def test_the_gate(year, who, role, sees):
    bodies = {
        "debtor": year.stations[0],
        "creditor": year.districts[0],
        "superior": year.province,
        "other station": year.stations[1],
        "other district": year.districts[1],
    }
    seat = year.seat(bodies[who], role)
    reference = year.reference(year.stations[0], year.districts[0])
    pk = Duty.objects.get(reference=reference).pk
    filters = queries.Filters(ids=(pk,))
    if sees:
        assert queries.duty_for(seat, reference).pk == queries.duty_for(seat, pk).pk == pk
        assert queries.duty_for(seat, str(pk), at=at(4, 1)).status is Status.FULFILLED
    else:
        for asked in (reference, pk, str(pk)):
            with pytest.raises(NotFound):
                queries.duty_for(seat, asked)
    assert [d.pk for d in queries.duties_for(seat, filters, 1, at(4, 1))] == ([pk] if sees else [])
    assert bool(queries.duties_by_reference(seat, [reference], at(4, 1))) is sees


def test_absent_and_forbidden_look_alike(year):
    for asked in ("t.qcph/thang/x/y/2020-03", 10**9, "9" * 30, ""):
        with pytest.raises(NotFound):
            queries.duty_for(year.seat(year.province), asked)


def test_the_desk_of_a_station_shows_only_its_own_and_soonest_first(year):
    desk = queries.owed_by(year.seat(year.stations[0]), at(5, 15), limit=3)
    assert desk.counts == {"overdue": 6, "due": 2, "not_yet_due": 14}  # Jan–Apr twice, less the two that came
    assert len(desk.overdue) == 3
    assert [d.due_at for d in desk.overdue] == sorted(d.due_at for d in desk.overdue)
    assert {d.status for d in desk.due} == {Status.DUE}
    assert {d.debtor_id for d in itertools.chain(desk.overdue, desk.due, desk.upcoming)} == {year.stations[0].pk}
    waits = queries.awaited_by(year.seat(year.stations[0]), at(5, 15))
    assert {d.debtor_id for d in waits.overdue} == {d.pk for d in year.districts}
    assert waits.counts == {"overdue": 2, "due": 0, "not_yet_due": 6}
    assert queries.owed_by(year.seat(year.province), at(5, 15)).counts["overdue"] == 0  # it looks, it does not owe


def test_just_fulfilled_comes_first(year):
    for body_ in (year.stations[0], year.districts[0]):
        assert [d.occasion for d in queries.recent(year.seat(body_), at(6, 1))] == ["2020-04", "2020-03"]
    assert [d.occasion for d in queries.recent(year.seat(year.stations[0]), at(4, 1))] == ["2020-03"]


def test_the_status_as_a_condition_agrees_with_the_status_as_a_function(year):
    base = datetime(2020, 3, 10, tzinfo=UTC)
    steps = [None, *(base + timedelta(days=n) for n in (0, 5, 10))]
    template = Duty.objects.defer("explanation").first()
    rows, facts = [], {}
    cases = itertools.product(steps[1:3], steps, steps, steps, steps)
    for n, (opens, fulfilled, waived, begins, ends) in enumerate(cases):
        row = replace_duty(template, f"x/{n}", opens, base + timedelta(days=5), fulfilled, waived, begins, ends)
        rows.append(row)
        facts[row.reference] = Facts(opens, row.due_at, fulfilled, waived, begins, ends)
    Duty.objects.bulk_create(rows)
    for moment in (base - timedelta(days=1), base, base + timedelta(days=5), base + timedelta(days=7)):
        for status in Status:
            found = Duty.objects.filter(queries.status_q(status, moment), reference__startswith="x/")
            wanted = {r for r, f in facts.items() if status_of(f, moment) is status}
            assert set(found.values_list("reference", flat=True)) == wanted, (status, moment)
            cased = Duty.objects.filter(reference__startswith="x/").annotate(word=queries.status_case(moment))
            assert set(cased.filter(word=status.value).values_list("reference", flat=True)) == wanted


def replace_duty(like, reference, opens, due, fulfilled, waived, begins, ends):
    return Duty(
        rule_id=like.rule_id,
        pair_id=like.pair_id,
        debtor_id=like.debtor_id,
        creditor_id=like.creditor_id,
        reference=reference,
        occasion="x",
        period_from=date(2020, 3, 1),
        period_to=date(2020, 3, 1),
        opens_at=opens,
        due_at=due,
        fulfilled_at=fulfilled,
        waived_at=waived,
        suspended_from=begins,
        suspended_until=ends,
        made_at=MADE_AT,
    )


def test_the_explanation_is_shown_with_dates_and_instants_of_viet_nam(year):
    duty = queries.duty_for(year.seat(year.province), year.reference(year.stations[0], year.districts[0]))
    with translation.override("en"):
        steps = queries.explanation_of(duty)
    assert [s.number for s in steps] == list(range(1, len(steps) + 1))
    assert steps[0].text == "The period month 3/2020 runs from 15/02/2020 to 14/03/2020; the cut-off is its last day."
    assert steps[1].skipped == [(date(2020, 3, 15), "Chủ nhật")]
    assert steps[-1].result == "00:00 18/03/2020"
    with translation.override("vi"):
        assert queries.explanation_of(duty)[0].text != steps[0].text


def test_lists_are_filtered_sorted_and_paged(year):
    seat = year.seat(year.province)

    def listed(**given):
        return list(queries.duties_for(seat, queries.Filters(**given), 1, at(5, 15)))

    assert len(listed()) == 50
    assert queries.duties_for(seat, queries.Filters(), 2, at(5, 15)).paginator.count == 64
    assert {d.status for d in listed(status="fulfilled_late")} == {Status.FULFILLED_LATE}
    assert len(listed(rule_key="quy")) == 16
    assert len(listed(first=date(2020, 3, 1), last=date(2020, 3, 31))) == 8
    assert {d.creditor.name for d in listed(text="huyen uy ba", rule_key="thang")} == {"Huyện ủy ba"}
    assert [d.due_at for d in listed(sort="-due")] == sorted((d.due_at for d in listed(sort="-due")), reverse=True)
    assert listed(instrument_key="khac") == []
    own = queries.duties_for(year.seat(year.stations[0]), queries.Filters(direction="awaited"), 1, at(5, 15))
    assert {d.rule.key for d in own} == {"quy"}
    assert sum(1 for _ in queries.duties_with_status(seat, queries.Filters(), at(5, 15))) == 64


def test_the_calendar_shows_a_duty_on_its_last_day_on_time(year):
    seat = year.seat(year.stations[0])
    day = date(2020, 3, 17)  # two working days after Saturday 14 March; due_at is 18 March 00:00
    assert {d.occasion for d in queries.calendar_entries(seat, day, day, at(3, 1))} == {"2020-03"}
    assert queries.calendar_entries(seat, day + timedelta(days=1), day + timedelta(days=1), at(3, 1)) == []
    services.waive_duty(
        duty_id=year.reference(year.stations[0], year.districts[1]),
        actor=year.seat(year.districts[1]),
        at=at(3, 10),
        reason="x",
    )
    assert len(queries.calendar_entries(seat, day, day, at(3, 11))) == 1


# --- the board


def test_the_board_shows_each_direction_by_month_and_the_worst_thing_first(year):
    board = queries.board(year.seat(year.province), "t.qcph", 2020, at(5, 15))
    assert [m.month for m in board.months] == list(range(1, 13))
    # 4 months x 4 pairs, less 2 received, and the first quarter's 4
    assert board.totals == {"pairs": 4, "missing": 18, "late": 1, "on_time": 1, "open": 44}
    row = next(r for r in board.rows if (r.pair.first, r.pair.second) == (year.stations[0], year.districts[0]))
    there, back = row.directions
    assert (there.debtor, back.debtor) == (year.stations[0], year.districts[0])
    assert [c.shape for c in there.cells] == ["missing", "missing", "on_time", "late", *["open"] * 8]
    assert [c.shape for c in back.cells] == ["empty", "empty", "missing", "empty", "empty", "open", "empty", "empty",
                                             "open", "empty", "empty", "open"]  # fmt: skip
    assert (there.cells[1].first, there.cells[1].last) == (date(2020, 2, 1), date(2020, 2, 29))
    assert (row.counts.on_time, row.counts.late, row.counts.missing) == (1, 1, 3)
    assert board.rows[-1].pair == row.pair  # the least trouble stands last
    assert there.sent == 2
    # silent from New Year to 15 March, from 17 March to 29 April, and since 1 May
    assert (there.longest_silence.days, there.current_silence.days) == (75, 15)
    assert row.longest_silence.days == 75
    assert back.longest_silence.days == back.current_silence.days == 136


def test_the_board_keeps_only_what_is_asked_and_what_may_be_seen(year):
    at_ = at(5, 15)
    assert [r.pair.first for r in queries.board(year.seat(year.province), "t.qcph", 2020, at_, only="late").rows] == [
        year.stations[0]
    ]
    names = [r.pair.second.name for r in queries.board(year.seat(year.province), "t.qcph", 2020, at_, sort="second").rows]
    assert names == sorted(names)
    own = queries.board(year.seat(year.stations[1]), "t.qcph", 2020, at_)
    assert {r.pair.first for r in own.rows} == {year.stations[1]}
    assert own.totals["pairs"] == 2
    nothing = queries.board(year.seat(year.province), "khac", 2020, at_)
    assert (nothing.rows, nothing.totals["pairs"]) == ([], 0)
    assert queries.board_years(year.seat(year.province), "t.qcph") == [2020]


def test_the_board_of_a_year_to_come_has_no_silence(year):
    services.make_duties(instrument_key="t.qcph", until=date(2021, 3, 31), actor=None, at=MADE_AT)
    board = queries.board(year.seat(year.province), "t.qcph", 2021, at(5, 15))
    assert {d.longest_silence for r in board.rows for d in r.directions} == {None}


def test_the_number_of_queries_does_not_grow_with_what_is_shown(year):
    def everything(world_):
        seat = world_.seat(world_.province)
        seat.organisation = world_.province
        queries.board(seat, "t.qcph", 2020, at(5, 15))
        list(queries.duties_for(seat, queries.Filters(), 1, at(5, 15)))
        queries.owed_by(seat, at(5, 15))
        queries.punctuality("t.qcph", **YEAR, at=at(5, 15))
        queries.silences("t.qcph", **YEAR, as_of=at(5, 15))

    with _counted() as first:
        everything(year)
    for n in range(5):
        extra = body(f"t.them-{n}", "party_district")
        year.instrument.parties.create(organisation=extra, side="locality")
    services.make_duties(instrument_key="t.qcph", until=YEAR["last"], actor=None, at=MADE_AT)
    with _counted() as second:
        everything(year)
    assert len(second) == len(first)


def _counted():
    return CaptureQueriesContext(connection)


# --- the review


def test_punctuality_counts_and_names_the_duties_behind(year):
    rows = queries.punctuality("t.qcph", **YEAR, at=at(5, 15))
    row = next(
        r for r in rows if (r.debtor_id, r.creditor_id, r.rule_key) == (year.stations[0].pk, year.districts[0].pk, "thang")
    )
    assert (row.counts.expected, row.counts.received, row.counts.on_time, row.counts.late, row.counts.missing) == (
        4, 2, 1, 1, 2,
    )  # fmt: skip
    behind = Duty.objects.filter(pk__in=row.duty_ids["overdue"])
    assert {d.occasion for d in behind} == {"2020-01", "2020-02"}
    assert sum(r.counts.total for r in rows) == 64
    by_month = queries.punctuality("t.qcph", **YEAR, at=at(5, 15), by=("month",))
    assert len(by_month) == 12
    assert {r.debtor_id for r in by_month} == {None}
    one = queries.punctuality("t.qcph", **YEAR, at=at(5, 15), by=(), pair_with=year.districts[0].pk)
    assert one[0].counts.total == 32
    with pytest.raises(ValueError, match="by"):
        queries.punctuality("t.qcph", **YEAR, at=at(5, 15), by=("unit",))


def test_silences_per_direction_and_together_from_the_threshold_on(year):
    found = queries.silences("t.qcph", **YEAR, as_of=at(5, 15), threshold_days=40)
    one = next(s for s in found if (s.sender_id, s.recipient_id) == (year.stations[0].pk, year.districts[0].pk))
    assert [g.days for g in one.gaps] == [75, 44]
    assert (one.longest.days, one.current.days, one.days_of_exchange) == (75, 15, 2)
    assert sum(1 for s in found if s.sender_id is None) == 4
    assert len(found) == 4 * 3
    assert queries.silences("t.qcph", first=date(2021, 1, 1), last=date(2021, 2, 1), as_of=at(5, 15)) == []


def test_what_a_withdrawal_says_does_not_break_a_silence(year):
    year.dispatch(year.stations[0], year.districts[0], at(5, 10), kind="withdrawal")
    found = queries.silences("t.qcph", **YEAR, as_of=at(5, 15))
    one = next(s for s in found if (s.sender_id, s.recipient_id) == (year.stations[0].pk, year.districts[0].pk))
    assert one.days_of_exchange == 2


def test_a_report_that_two_regulations_ask_for_is_pointed_out(year):
    instrument("t.khac", year.province, year.parties, {"bao-cao": MONTHLY})
    services.make_duties(instrument_key="t.khac", until=date(2020, 2, 29), actor=None, at=MADE_AT)
    found = queries.duplicate_requests(year.seat(year.province), **YEAR, at=at(5, 15))
    assert len(found) == 4 * 2
    assert {d.rule.instrument.key for d in found[0].duties} == {"t.qcph", "t.khac"}
    narrow = queries.duplicate_requests(year.seat(year.stations[0]), **YEAR, at=at(5, 15))
    assert {d.debtor_id for d in narrow} == {year.stations[0].pk}


def test_a_waived_duty_is_neither_missing_nor_open_on_the_board(year):
    reference = year.reference(year.stations[0], year.districts[0], "2020-01")
    services.waive_duty(duty_id=reference, actor=year.seat(year.districts[0]), at=at(2, 10), reason="Lũ quét")
    board = queries.board(year.seat(year.province), "t.qcph", 2020, at(5, 15))
    assert (board.totals["missing"], board.totals["open"]) == (17, 44)
    row = next(r for r in board.rows if (r.pair.first, r.pair.second) == (year.stations[0], year.districts[0]))
    assert row.directions[0].cells[0].shape == "exempt"
    before = queries.board(year.seat(year.province), "t.qcph", 2020, at(2, 9))
    assert next(r for r in before.rows if r.pair == row.pair).directions[0].cells[0].shape == "missing"


# --- reminders -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def reminded(world):
    """April's report of station one: on time until 16 April, reminders on 14 and 17 April, sent on 30 April."""
    rule = world.instrument.rules.get(key="thang")
    rule.spec = rule.spec | {"reminders": [-2, 1, 60]}
    rule.save()
    services.make_duties(instrument_key="t.qcph", until=YEAR["last"], actor=None, at=MADE_AT)
    station, district = world.stations[0], world.districts[0]
    reference = world.reference(station, district, "2020-04")
    _, entry = world.dispatch(station, district, at(4, 30), [reference])
    services.discharge_by_dispatch(entry, at(4, 30))
    return world.seat(station, "signer"), reference


@pytest.mark.parametrize(
    ("month", "day", "called"), [(4, 13, False), (4, 14, True), (4, 15, False), (4, 17, True), (6, 15, False)]
)
def test_a_duty_is_called_to_mind_on_the_days_of_its_ladder_while_it_is_open(reminded, month, day, called):
    seat, reference = reminded
    assert queries.duty_for(seat, reference, at=at(month, day)).reminded_today is called


def test_a_reminder_begins_at_midnight_in_viet_nam(reminded):
    seat, reference = reminded
    midnight = datetime(2020, 4, 13, 17, tzinfo=UTC)
    assert queries.duty_for(seat, reference, at=midnight).reminded_today
    assert not queries.duty_for(seat, reference, at=midnight - timedelta(seconds=1)).reminded_today


def test_the_history_tells_the_reminders_that_fell_while_the_duty_was_open(reminded):
    seat, reference = reminded
    with translation.override("vi"):
        told = [i for i in queries.duty_history(seat, queries.duty_for(seat, reference), at(12, 1)) if i.kind == "reminder"]
    assert [(i.at.astimezone(queries.VIET_NAM).date(), i.text) for i in told] == [
        (date(2020, 4, 14), "Nhắc lần 1 trong 3 lần."),
        (date(2020, 4, 17), "Nhắc lần 2 trong 3 lần."),
    ]
