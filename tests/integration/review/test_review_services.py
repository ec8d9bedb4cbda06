"""Building, editing and approving a review over real records."""

import json
from datetime import UTC, date, datetime

import pytest

from hiepdong.exchange.domain.classified import ClassifiedContent
from hiepdong.exchange.models import Addressee
from hiepdong.journal.models import Entry
from hiepdong.kernel.errors import NotAllowed, NotFound
from hiepdong.review import queries, services
from hiepdong.review.domain.report import digest_of
from hiepdong.review.models import Review
from hiepdong.review.records import NoYear
from support.make import KEY, World, seat, send

pytestmark = pytest.mark.django_db
AS_OF = datetime(2020, 12, 18, 2, tzinfo=UTC)
NOW = datetime(2020, 12, 20, 2, tzinfo=UTC)
LATER = datetime(2020, 12, 21, 2, tzinfo=UTC)


@pytest.fixture
def year(small_world):
    """A year in which the station reported in time in March and April, late in May and not at all afterwards."""
    small_world.duties(until=date(2020, 12, 14))
    for label, month, day in (
        ("2020-01", 1, 15),
        ("2020-02", 2, 15),
        ("2020-03", 3, 16),
        ("2020-04", 4, 15),
        ("2020-05", 5, 30),
    ):
        small_world.report(label, at=datetime(2020, month, day, 3, tzinfo=UTC), value=str(month))
    small_world.office = seat(small_world.province, "signer")
    small_world.office_clerk = seat(small_world.province, "clerk")
    return small_world


def build(world: World, **more) -> Review:
    values = {"instrument_key": KEY, "year": 2020, "actor": world.office, "at": NOW, "as_of": AS_OF} | more
    return services.build_review(**values)


def finding_of(review, kind):
    return next(f for f in review.facts["findings"] if f["kind"] == kind)


def test_the_review_counts_expected_on_time_late_and_missing(year):
    counts = build(year).facts["counts"]
    assert (counts["on_time"], counts["late"]) == (4, 1)
    assert counts["expected"] == counts["on_time"] + counts["late"] + counts["missing"]


def test_a_station_that_stopped_reporting_is_found_with_clause_bodies_periods_and_records(year):
    review = build(year)
    finding = finding_of(review, "reporting_not_kept")
    assert finding["bodies"][0] == year.station.key
    assert finding["clauses"] == ["5.2"]
    behind = queries.records_of_finding(year.office, review, finding["key"])
    assert {d.reference for d in behind.duties} == set(finding["duties"])
    assert year.reference("2020-09") in finding["duties"]


def test_what_was_sent_after_the_moment_of_the_review_is_not_counted(year):
    before = build(year).facts["counts"]
    year.report("2020-06", at=datetime(2020, 12, 19, 3, tzinfo=UTC))
    assert build(year).facts["counts"] == before


def test_a_figure_of_the_review_is_the_sum_of_its_reports(year):
    field = next(f for f in build(year).facts["fields"] if f["key"] == "chu-quyen")
    (figure,) = field["figures"]
    assert (figure["value"], figure["reports"]) == ("15", 5)


def test_a_rebuild_keeps_what_people_wrote_and_says_when_its_ground_has_moved(year):
    review = build(year)
    key = f"finding:{finding_of(review, 'reporting_not_kept')['key']}"
    services.write_passage(review_id=review.pk, place=key, text="Đồn đã giải trình.", actor=year.office_clerk, at=NOW)
    build(year, at=LATER)
    text = queries.text_at(queries.review_for(year.office, review.pk), key)
    assert (text.text, text.outdated) == ("Đồn đã giải trình.", False)
    year.report("2020-06", at=datetime(2020, 12, 19, 3, tzinfo=UTC))
    build(year, at=LATER, as_of=LATER)
    text = queries.text_at(queries.review_for(year.office, review.pk), key)
    assert (text.text, text.outdated) == ("Đồn đã giải trình.", True)


def test_the_computed_text_comes_back_when_the_written_one_is_emptied(year):
    review = build(year)
    place = "section:exchange"
    computed = queries.text_at(review, place).text
    services.write_passage(review_id=review.pk, place=place, text="Khác.", actor=year.office, at=NOW)
    services.write_passage(review_id=review.pk, place=place, text=" ", actor=year.office, at=LATER, seen=NOW)
    assert queries.text_at(review, place).text == computed


def test_two_people_at_one_place_overwrite_nothing_unseen(year):
    review = build(year)
    services.write_passage(review_id=review.pk, place="section:situation", text="Một.", actor=year.office, at=NOW)
    with pytest.raises(services.EditedMeanwhile):
        services.write_passage(review_id=review.pk, place="section:situation", text="Hai.", actor=year.office_clerk, at=LATER)
    assert queries.text_at(review, "section:situation").text == "Một."


def test_a_text_with_a_secrecy_mark_is_refused_and_not_kept(year):
    review = build(year)
    with pytest.raises(ClassifiedContent):
        services.write_passage(review_id=review.pk, place="section:situation", text="TỐI MẬT\nx", actor=year.office, at=NOW)
    assert not review.passages.exists()


def test_a_place_that_the_review_does_not_have_takes_no_text(year):
    review = build(year)
    for place in ("section:nothing", "finding:none", "field:none", "elsewhere"):
        with pytest.raises(NotFound):
            services.write_passage(review_id=review.pk, place=place, text="x", actor=year.office, at=NOW)


def test_an_approved_review_is_frozen_with_a_digest_that_its_bytes_give(year):
    review = build(year)
    services.write_passage(review_id=review.pk, place="section:situation", text="Ổn định.", actor=year.office, at=NOW)
    approved = services.approve_review(review_id=review.pk, actor=year.office, at=NOW, notation="Số 105-BC/ĐU")
    assert digest_of(bytes(approved.frozen)) == approved.digest
    content = json.loads(bytes(approved.frozen))
    assert content["texts"]["section:situation"] == "Ổn định."
    assert content["facts"] == approved.facts
    for change in (
        lambda: build(year),
        lambda: services.write_passage(review_id=review.pk, place="section:situation", text="x", actor=year.office, at=LATER),
        lambda: services.put_item(review_id=review.pk, kind="task", text="x", actor=year.office, at=LATER),
        lambda: services.approve_review(review_id=review.pk, actor=year.office, at=LATER),
    ):
        with pytest.raises(services.AlreadyApproved):
            change()
    assert Entry.objects.filter(code="review.review.approved").count() == 1


def test_the_files_of_an_approved_review_stay_as_they_were_approved(year, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    review = build(year)
    services.approve_review(review_id=review.pk, actor=year.office, at=NOW)
    review = queries.review_for(year.office, review.pk)
    kept = {kind: services.download(review=review, kind=kind).data for kind in ("docx", "pdf", "json")}
    assert kept["pdf"].startswith(b"%PDF-")
    assert kept["docx"].startswith(b"PK")
    assert digest_of(kept["json"]) == review.digest
    review.facts["counts"]["expected"] = 1
    review.save()
    assert services.download(review=review, kind="pdf").data == kept["pdf"]


def test_only_the_issuing_body_builds_and_only_a_signer_approves(year):
    with pytest.raises(services.NotIssuer):
        build(year, actor=year.reader)
    review = build(year)
    with pytest.raises(NotAllowed):
        services.approve_review(review_id=review.pk, actor=year.office_clerk, at=NOW)
    with pytest.raises(NotFound):
        services.write_passage(review_id=review.pk, place="section:situation", text="x", actor=year.reader, at=NOW)


def test_a_review_under_work_is_seen_by_its_body_only_and_an_approved_one_by_the_parties(year):
    review = build(year)
    outsider = seat(year.outsider)
    for stranger in (year.reader, outsider):
        with pytest.raises(NotFound):
            queries.review_for(stranger, review.pk)
    services.approve_review(review_id=review.pk, actor=year.office, at=NOW)
    assert queries.review_for(year.reader, review.pk) == review
    with pytest.raises(NotFound):
        queries.review_for(outsider, review.pk)


def test_a_reader_of_the_review_sees_only_the_records_that_are_theirs(year):
    review = build(year)
    services.approve_review(review_id=review.pk, actor=year.office, at=NOW)
    finding = finding_of(review, "reporting_not_kept")
    commune_party = seat(year.district)
    assert queries.records_of_finding(commune_party, review, finding["key"]).duties
    page = queries.records_counted(year.reader, review, debtor=year.station.key, status="overdue").page
    assert {d.debtor_id for d in page.object_list} == {year.station.pk}


def test_causes_come_from_the_short_list(year):
    review = build(year)
    key = finding_of(review, "reporting_not_kept")["key"]
    services.give_causes(review_id=review.pk, finding=key, causes={"no_line": "Mất mạng."}, actor=year.office, at=NOW)
    assert queries.causes_of(review, key) == {"no_line": "Mất mạng."}
    with pytest.raises(NotFound):
        services.give_causes(review_id=review.pk, finding=key, causes={"laziness": ""}, actor=year.office, at=NOW)
    assert queries.causes_of(review, key) == {"no_line": "Mất mạng."}


def test_items_are_added_changed_moved_and_taken_out(year):
    review = build(year)
    made = [services.put_item(review_id=review.pk, kind="task", text=f"Việc {i}", actor=year.office, at=NOW) for i in range(3)]
    services.move_item(review_id=review.pk, item_id=made[2].pk, up=True, actor=year.office, at=NOW)
    services.put_item(review_id=review.pk, kind="task", text="Việc mới", item_id=made[0].pk, actor=year.office, at=NOW)
    services.remove_item(review_id=review.pk, item_id=made[1].pk, actor=year.office, at=NOW)
    assert [i.text for i in queries.shown(review).tasks] == ["Việc mới", "Việc 2"]


PUBLISHED = """
format = "hiepdong.published/1"
regulation = "t.qcph"
year = 2020
[conference]
host = "Huyện Ba"
held_on = 2020-12-18
[[proposal]]
addressee = "Tỉnh ủy"
text = "Bố trí chức danh."
source = "báo"
[[figure]]
indicator = "tuan-tra"
definition = "tuan-tra/0"
year = 2019
value = 10
unit = "lượt"
source = "báo cáo 2019"
"""


def test_published_facts_are_taken_once_and_what_is_counted_differently_is_not_compared(year):
    review = build(year)
    for _ in range(2):
        services.take_published(review_id=review.pk, file_bytes=PUBLISHED.encode(), actor=None, at=NOW)
    assert review.items.count() == 1
    figure = next(f for f in build(year).facts["fields"] if f["key"] == "chu-quyen")["figures"][0]
    assert (figure["before"]["value"], figure["before"]["refused"]) == ("10", "definition")


def test_a_file_of_published_facts_with_a_problem_is_taken_not_at_all(year):
    review = build(year)
    with pytest.raises(services.BadPublished):
        services.take_published(review_id=review.pk, file_bytes=PUBLISHED.replace("t.qcph", "x").encode(), actor=None, at=NOW)
    assert not review.items.exists()


def test_a_year_that_has_not_begun_or_that_the_regulation_does_not_know_is_refused(year):
    with pytest.raises(services.YearNotBegun):
        build(year, year=2030)
    with pytest.raises(NoYear):
        build(year, year=2015)
    with pytest.raises(NotFound):
        build(year, instrument_key="none")


def test_dispatches_that_lay_without_an_answer_are_found(year):
    for month in (6, 7, 8):
        sent = datetime(2020, month, 15, 3, tzinfo=UTC)
        send(year.signer, [year.district], at=sent, sent_at=sent, answers=[year.reference(f"2020-{month:02}")])
    assert Addressee.objects.filter(acknowledged_at__isnull=True).count() >= 3
    finding = finding_of(build(year), "not_acknowledged")
    assert finding["bodies"][0] == year.district.key


def test_the_number_of_queries_does_not_grow_with_the_year(year, django_assert_max_num_queries):
    with django_assert_max_num_queries(45) as first:
        build(year)
    few = len(first.captured_queries)
    for label, month in (("2020-06", 6), ("2020-07", 7), ("2020-08", 8), ("2020-09", 9)):
        year.report(label, at=datetime(2020, month, 15, 3, tzinfo=UTC))
    with django_assert_max_num_queries(few):
        build(year)
