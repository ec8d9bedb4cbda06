"""Figures read from signed reports, and added up for the review."""

import uuid
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from hiepdong.exchange import services as exchange
from hiepdong.journal.models import Entry
from hiepdong.regulations.models import Form
from hiepdong.reporting import queries, services
from hiepdong.reporting.models import Figure, PublishedFigure

pytestmark = pytest.mark.django_db
YEAR = {"first": date(2019, 12, 15), "last": date(2020, 12, 14)}
LATER = datetime(2021, 1, 1, tzinfo=UTC)


def report(world, label, figures, sent_at, *, station=None, replaces=None):
    """Send a report with figures {indicator: (state, value, precision)} and read them."""
    month = int(label[5:])
    sender = station or world.station
    rows = [
        {"indicator": k, "state": s, "unit": "lượt", "precision": p, "scope": "", "text": ""} | ({"value": v} if v else {})
        for k, (s, v, p) in figures.items()
    ]
    form = {
        "instrument": "t.qcph",
        "version": 1,
        "key": "thang",
        "period_from": f"2020-{month - 1:02}-15",
        "period_to": f"2020-{month:02}-14",
        "figures": rows,
        "sections": [],
    }
    item = exchange.Outgoing(
        kind="report",
        sender=sender,
        to=[world.district],
        subject="Báo cáo",
        sent_at=sent_at,
        body={"text": "", "form": form},
        replaces=replaces,
        id=str(uuid.uuid4()),
    )
    (sent,) = exchange.send_many(items=[item], actor=None, at=sent_at)
    services.read_figures(entry_of(sent), sent_at)
    return sent


def entry_of(dispatch, code="exchange.dispatch.sent"):
    return Entry.objects.get(code=code, subject_id=dispatch.pk)


def at(month, day=16):
    return datetime(2020, month, day, 3, tzinfo=UTC)


def totals():
    return {t.indicator: t for t in queries.figures_for_review("t.qcph", **YEAR, as_of=LATER)}


def test_reading_a_report_twice_stores_its_figures_once(world):
    sent = report(world, "2020-03", {"tuan-tra": ("value", "12", "exact")}, at(3))
    services.read_figures(entry_of(sent), at(4))
    assert Figure.objects.count() == 1


def test_a_sum_says_how_many_reports_stand_behind_it_and_who_did_not_report(world):
    report(world, "2020-02", {"tuan-tra": ("value", "12", "exact")}, at(2))
    report(world, "2020-03", {"tuan-tra": ("value", "0", "exact")}, at(3))
    report(world, "2020-04", {"tuan-tra": ("not_reported", "", "exact")}, at(4))
    report(world, "2020-05", {"tuan-tra": ("no_number", "", "exact")}, at(5))
    total = totals()["tuan-tra"]
    assert (total.value, total.reports, total.not_reported, total.without_number) == (Decimal(12), 2, 1, 1)
    assert total.precision == "exact"


def test_no_figure_at_all_is_not_a_zero(world):
    assert totals()["xu-phat"].value is None


@pytest.mark.parametrize(("words", "told"), [(("over",), "over"), (("nearly",), "nearly"), (("over", "nearly"), "about")])
def test_a_sum_keeps_the_precision_word_of_its_parts_and_never_claims_to_be_exact(world, words, told):
    report(world, "2020-02", {"tuan-tra": ("value", "12", "exact")}, at(2))
    for month, word in enumerate(words, 3):
        report(world, f"2020-{month:02}", {"tuan-tra": ("value", "300", word)}, at(month))
    assert totals()["tuan-tra"].precision == told


def test_a_state_is_as_exact_as_the_figures_it_is_made_of_and_not_as_those_that_it_left_behind(world):
    report(world, "2020-02", {"chot": ("value", "300", "over")}, at(2))
    report(world, "2020-03", {"chot": ("value", "3", "exact")}, at(3))
    assert (totals()["chot"].value, totals()["chot"].precision) == (3, "exact")


def test_a_state_at_the_end_of_a_period_takes_the_latest_figure_of_each_body_instead_of_adding_the_months(world):
    report(world, "2020-02", {"chot": ("value", "5", "exact")}, at(2))
    report(world, "2020-03", {"chot": ("value", "3", "exact")}, at(3))
    report(world, "2020-02", {"chot": ("value", "4", "exact")}, at(2), station=world.other_station)
    assert totals()["chot"].value == 7


def test_rates_are_never_added_up(world):
    form = Form.objects.get()
    form.definition["indicators"][0] |= {"aggregate": "none", "unit": "%"}
    form.save()
    report(world, "2020-02", {"tuan-tra": ("value", "95.5", "exact")}, at(2))
    assert totals()["tuan-tra"].value == Decimal("95.5")
    report(world, "2020-03", {"tuan-tra": ("value", "90", "exact")}, at(3))
    assert (totals()["tuan-tra"].value, totals()["tuan-tra"].reports) == (None, 2)


def test_a_replaced_report_counts_once(world):
    first = report(world, "2020-03", {"tuan-tra": ("value", "12", "exact")}, at(3))
    report(world, "2020-03", {"tuan-tra": ("value", "15", "exact")}, at(3, 20), replaces=first)
    assert totals()["tuan-tra"].value == 15


def test_a_withdrawn_report_no_longer_counts(world):
    seat = world.seat(world.station)
    sent = report(world, "2020-03", {"tuan-tra": ("value", "12", "exact")}, at(3))
    taken = exchange.withdraw(dispatch_uuid=sent.uuid, reason="Nhầm", actor=seat, at=at(4))
    services.read_figures(entry_of(taken), at(4))
    assert totals()["tuan-tra"].value is None


def test_a_report_sent_after_the_moment_of_the_review_is_not_in_it(world):
    report(world, "2020-03", {"tuan-tra": ("value", "12", "exact")}, at(6))
    found = {t.indicator: t for t in queries.figures_for_review("t.qcph", **YEAR, as_of=at(5))}
    assert found["tuan-tra"].value is None


@pytest.mark.parametrize("how", ["replaced", "withdrawn", "returned"])
def test_what_ended_a_report_after_the_moment_of_the_review_has_not_happened_for_it(world, how):
    sent = report(world, "2020-03", {"tuan-tra": ("value", "12", "exact")}, at(3))
    if how == "replaced":
        report(world, "2020-03", {"tuan-tra": ("value", "15", "exact")}, at(6), replaces=sent)
    elif how == "withdrawn":
        taken = exchange.withdraw(dispatch_uuid=sent.uuid, reason="Nhầm", actor=world.seat(world.station), at=at(6))
        services.read_figures(entry_of(taken), at(6))
    else:
        district = world.seat(world.district)
        exchange.return_dispatch(dispatch_uuid=sent.uuid, reason="Thiếu", actor=district, at=at(6))
        services.supersede_figures(entry_of(sent), at(6))
    assert Figure.objects.get(dispatch=sent).superseded

    def then(moment):
        found = {t.indicator: t for t in queries.figures_for_review("t.qcph", **YEAR, as_of=moment)}
        return found["tuan-tra"].value

    assert then(at(5)) == 12
    assert then(at(6)) == (15 if how == "replaced" else None)


def test_a_value_that_is_no_number_is_kept_in_words_and_not_as_a_figure(world):
    report(world, "2020-03", {"tuan-tra": ("value", "nhiều", "exact")}, at(3))
    assert list(Figure.objects.values_list("state", "value")) == [("no_number", None)]


def test_the_review_asks_the_same_number_of_queries_however_many_reports_there_are(world, django_assert_num_queries):
    report(world, "2020-02", {"tuan-tra": ("value", "1", "exact")}, at(2))
    with django_assert_num_queries(5):
        totals()
    for month in (3, 4, 5):
        report(world, f"2020-{month:02}", {"tuan-tra": ("value", "1", "exact")}, at(month))
    with django_assert_num_queries(5):
        totals()


def test_a_published_figure_is_kept_once_and_stands_beside_the_total(world):
    row = {"indicator": "tuan-tra", "definition": "tuan-tra/1", "year": 2019, "value": 900, "unit": "lượt", "source": "báo cáo"}
    for _ in range(2):
        services.publish_figures(rows=[row], instrument_key="t.qcph", actor=None, at=LATER)
    assert PublishedFigure.objects.count() == 1
    (published,) = totals()["tuan-tra"].published
    assert (published.value, published.verified) == (Decimal(900), False)
