"""Findings name clauses, bodies, periods and records, from the regulation's thresholds."""

from datetime import date, timedelta

from hiepdong.review.domain.findings import (
    EXCHANGE,
    INCIDENTS,
    REPORTING,
    UNANSWERED,
    Line,
    Quiet,
    Thresholds,
    Trouble,
    Unanswered,
    clause_order,
    find,
)

STATION, DISTRICT, COMMUNE = "t.don", "t.huyen", "t.xa"
PAIR = (STATION, DISTRICT)
LIMITS = Thresholds(silence_days=60, missing_count=2, late_count=3, unacknowledged_days=10, unacknowledged_count=3)


def owed(month, *, debtor=STATION, creditor=DISTRICT, missing=True, rule="thang", clause="5.2", event=False):
    last = date(2020, month, 14)
    return Trouble(
        reference=f"{rule}/{debtor}/{creditor}/2020-{month:02}",
        rule=rule,
        title="Báo cáo tháng",
        clause=clause,
        debtor=debtor,
        creditor=creditor,
        label=f"2020-{month:02}",
        first=last - timedelta(days=29),
        last=last,
        due_on=date(2020, month, 17),
        missing=missing,
        event=event,
    )


def line(debtor=STATION, creditor=DISTRICT, rule="thang", expected=12):
    return Line(debtor, creditor, rule, expected, expected, 0, 0)


def quiet(first, last, sender=STATION, recipient=DISTRICT, *, still=False):
    return Quiet(sender, recipient, first, last, (last - first).days - 1, still)


def found(troubles=(), silences=(), lines=None, pairs=(PAIR,), unanswered=()):
    lines = [line(), line(DISTRICT, STATION)] if lines is None else lines
    return find(thresholds=LIMITS, pairs=pairs, lines=lines, troubles=troubles, silences=silences, unanswered=unanswered)


SPRING = (date(2020, 2, 20), date(2020, 5, 20))
BOTH = [quiet(*SPRING), quiet(*SPRING, DISTRICT, STATION)]


def test_a_silence_of_both_sides_in_which_something_fell_due_is_a_finding():
    troubles = [owed(3), owed(4), owed(3, debtor=DISTRICT, creditor=STATION, clause="5.3")]
    (finding,) = found(troubles, BOTH)
    assert finding.kind == EXCHANGE
    assert finding.bodies == PAIR
    assert finding.clauses == ("5.2", "5.3")
    assert (finding.first, finding.last) == SPRING
    assert set(finding.duties) == {t.reference for t in troubles}
    assert finding.facts["two_way"] is True
    assert finding.facts["days"] == 89


def test_a_silence_in_which_only_one_side_owed_something_is_that_sides_reporting():
    (finding,) = found([owed(3), owed(4)], BOTH)
    assert (finding.kind, finding.bodies[0]) == (REPORTING, STATION)


def test_a_silence_in_which_nothing_was_owed_is_no_finding():
    assert found([], BOTH) == []


def test_a_silence_shorter_than_the_threshold_is_no_finding():
    short = (date(2020, 3, 1), date(2020, 4, 29))
    assert found([owed(3), owed(4)], [quiet(*short), quiet(*short, DISTRICT, STATION)])[0].kind == REPORTING


def test_what_fell_due_on_the_day_something_came_again_is_not_counted_into_the_silence():
    gap = (date(2020, 1, 17), date(2020, 3, 17))
    assert found([owed(1), owed(3)], [quiet(*gap), quiet(*gap, DISTRICT, STATION)], lines=[]) == []


def test_one_period_left_out_in_one_direction_is_no_silence():
    gap = (date(2020, 2, 16), date(2020, 4, 18))
    assert found([owed(3)], [quiet(*gap)]) == []


def test_what_a_silence_of_both_sides_explains_is_not_told_again_as_bad_reporting():
    troubles = [owed(3), owed(4), owed(3, debtor=DISTRICT, creditor=STATION), owed(4, debtor=DISTRICT, creditor=STATION)]
    assert [f.kind for f in found(troubles, BOTH)] == [EXCHANGE]


def test_a_station_that_leaves_out_reports_while_the_district_writes_is_told_as_reporting_not_kept():
    troubles = [owed(3), owed(4), owed(9)]
    (finding,) = found(troubles, [quiet(*SPRING)])
    assert finding.kind == REPORTING
    assert finding.bodies == (STATION, DISTRICT)
    assert finding.facts["missing"] == 3
    assert finding.facts["silence"] == 89
    assert finding.facts["lines"][0]["missing"] == ["2020-03", "2020-04", "2020-09"]


def test_late_reports_make_a_finding_only_from_their_own_threshold_on():
    late = [owed(m, missing=False) for m in (3, 4, 5)]
    assert found(late[:2]) == []
    (finding,) = found(late)
    assert (finding.kind, finding.facts["late"], finding.facts["missing"]) == (REPORTING, 3, 0)


def test_missing_reports_to_two_creditors_are_not_added_up():
    lines = [line(), line(creditor=COMMUNE)]
    assert found([owed(3), owed(4, creditor=COMMUNE)], lines=lines) == []


def test_incidents_told_late_are_kept_apart_from_periodic_reports():
    troubles = [owed(m, rule="vu-viec", event=True) for m in (3, 4)]
    (finding,) = found(troubles, lines=[line(rule="vu-viec")])
    assert finding.kind == INCIDENTS


def test_dispatches_without_an_answer_count_only_beyond_the_limit_of_days_and_number():
    def paper(n, days):
        return Unanswered(f"uuid-{n}", f"Số {n}", STATION, DISTRICT, date(2020, 3, n), days)

    assert found(unanswered=[paper(1, 11), paper(2, 12), paper(3, 10)]) == []
    (finding,) = found(unanswered=[paper(3, 11), paper(1, 30), paper(2, 12)])
    assert finding.kind == UNANSWERED
    assert finding.dispatches == ("uuid-1", "uuid-2", "uuid-3")
    assert finding.facts == {"count": 3, "longest": 30, "limit": 10}


def test_the_same_records_give_the_same_keys_so_that_peoples_texts_find_their_place():
    troubles = [owed(3), owed(4), owed(9)]
    keys = [f.key for f in found(troubles, [quiet(*SPRING)])]
    assert keys == [f.key for f in found(list(reversed(troubles)), [quiet(*SPRING)])] == [f"{REPORTING}:{STATION}"]


def test_thresholds_come_from_the_regulation_with_defaults_for_what_it_leaves_out():
    assert Thresholds.of({"silence_days": 30, "year_family": "r-rep-year"}) == Thresholds(silence_days=30)


def test_clauses_are_sorted_as_numbers():
    assert sorted(["15.1", "5.10", "5.2", "9"], key=clause_order) == ["5.2", "5.10", "9", "15.1"]
