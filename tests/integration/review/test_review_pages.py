"""The review's pages, by hand and by role."""

from datetime import UTC, date, datetime

import pytest
from django.urls import reverse

from hiepdong.exchange.models import Dispatch
from hiepdong.review import services
from hiepdong.review.models import Review
from support.make import KEY, entered, seat

pytestmark = pytest.mark.django_db
AS_OF = datetime(2020, 12, 18, 2, tzinfo=UTC)


@pytest.fixture
def office(small_world):
    small_world.duties(until=date(2020, 12, 14))
    small_world.report("2020-03")
    return seat(small_world.province, "signer")


@pytest.fixture
def review(office):
    return services.build_review(instrument_key=KEY, year=2020, actor=office, at=AS_OF, as_of=AS_OF)


def test_the_issuing_body_builds_a_review_from_the_page_and_is_led_to_it(office):
    answer = entered(office).post(reverse("review:review_build"), {"regulation": KEY, "year": "2020"})
    assert answer.url == reverse("review:review_detail", args=[Review.objects.get().pk])


def test_a_year_that_cannot_be_built_is_explained_on_the_page_with_what_was_typed(office):
    answer = entered(office).post(reverse("review:review_build"), {"regulation": KEY, "year": "2015"})
    assert answer.status_code == 422
    assert 'value="2015"' in answer.content.decode()


def test_every_number_and_finding_of_the_page_opens_its_records(office, review):
    client = entered(office)
    page = client.get(reverse("review:review_detail", args=[review.pk])).content.decode()
    for finding in review.facts["findings"]:
        assert f"finding-{finding['key']}" in page
    records = reverse("review:records", args=[review.pk])
    assert f"{records}?status=overdue" in page
    shown = client.get(f"{records}?debtor=t.don-mot&status=overdue").content.decode()
    assert shown.count("Báo cáo tháng") >= 5


def test_the_records_behind_a_number_are_as_many_as_the_number(office, review):
    client, records = entered(office), reverse("review:records", args=[review.pk])
    counts = review.facts["counts"]
    for status, name in (("expected", "expected"), ("fulfilled", "on_time"), ("overdue", "missing")):
        page = client.get(f"{records}?status={status}").context["page"]
        assert page.paginator.count == counts[name]


def test_the_records_of_a_finding_stand_under_its_name(office, review):
    finding = next(f for f in review.facts["findings"] if f["kind"] == "reporting_not_kept")
    page = entered(office).get(reverse("review:records", args=[review.pk]), {"finding": finding["key"]}).content.decode()
    assert "Báo cáo, tham mưu có lúc chưa đầy đủ, chưa đúng hạn" in page


def test_directives_stand_with_the_tasks_and_lead_back_there(office, review):
    client = entered(office)
    new = client.post(reverse("review:item_new", args=[review.pk, "directive"]), {"text": "Bám sát cơ sở."})
    assert new.url.endswith("#section-tasks")
    page = client.get(reverse("review:review_detail", args=[review.pk])).content.decode()
    assert page.index('id="section-tasks"') < page.index("Bám sát cơ sở.") < page.index('id="section-proposals"')


def test_what_was_typed_survives_a_conflict(office, review):
    client, place = entered(office), "section:situation"
    address = reverse("review:passage_form", args=[review.pk, place])
    client.post(address, {"text": "Của người khác.", "seen": ""})
    answer = client.post(address, {"text": "Của tôi.", "seen": ""})
    assert answer.status_code == 422
    body = answer.content.decode()
    assert "Của tôi." in body
    assert "Của người khác." in body


def test_causes_items_and_the_conference_are_written_by_plain_forms(office, review):
    client = entered(office)
    key = review.facts["findings"][0]["key"]
    client.post(reverse("review:causes_form", args=[review.pk, key]), {"on:no_line": "on", "text:no_line": "Mất mạng"})
    client.post(reverse("review:item_new", args=[review.pk, "proposal"]), {"addressee": "Tỉnh ủy", "text": "Bố trí."})
    client.post(reverse("review:conference_form", args=[review.pk]), {"host": "Huyện Ba", "held_on": "2020-12-18"})
    page = client.get(reverse("review:review_detail", args=[review.pk])).content.decode()
    for text in ("Mất mạng", "Bố trí.", "Huyện Ba", "18/12/2020"):
        assert text in page


def test_a_proposal_without_an_addressee_is_refused_and_kept_in_the_form(office, review):
    answer = entered(office).post(reverse("review:item_new", args=[review.pk, "proposal"]), {"text": "Bố trí."})
    assert answer.status_code == 422
    assert "Bố trí." in answer.content.decode()


def test_an_approved_review_offers_no_editing_and_shows_its_digest(office, review, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    client = entered(office)
    client.post(reverse("review:approve", args=[review.pk]), {"notation": "Số 105-BC/ĐU"})
    review.refresh_from_db()
    page = client.get(reverse("review:review_detail", args=[review.pk])).content.decode()
    assert review.digest in page
    assert reverse("review:passage_form", args=[review.pk, "section:situation"]) not in page
    assert client.post(reverse("review:passage_form", args=[review.pk, "section:situation"]), {"text": "x"}).status_code == 403


def test_an_approved_review_goes_out_as_a_dispatch_with_its_files(office, review, small_world, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    client, send = entered(office), reverse("review:send", args=[review.pk])
    assert client.post(send).status_code == 409
    services.approve_review(review_id=review.pk, actor=office, at=AS_OF)
    form = client.post(send).url
    page = client.get(form).content.decode()
    assert page.count('value="without:') == 2
    sent = client.post(
        form,
        {
            "do": "send",
            "revision": "1",
            "to": small_world.district.key,
            "subject": "Báo cáo",
            "text": "x",
            "urgency": "ordinary",
        },
        follow=True,
    )
    dispatch = Dispatch.objects.latest("id")
    assert sent.status_code == 200
    assert sorted(a.name[-4:] for a in dispatch.attachments.all()) == [".pdf", "docx"]


@pytest.mark.parametrize("kind", ["docx", "pdf", "json"])
def test_the_files_are_downloads(office, review, kind):
    answer = entered(office).get(reverse("review:download", args=[review.pk, kind]))
    assert answer["Content-Disposition"].endswith(f'.{kind}"')
    assert len(answer.content) > 1000


def test_the_page_costs_the_same_number_of_queries_with_more_texts(office, review, django_assert_max_num_queries):
    client, address = entered(office), reverse("review:review_detail", args=[review.pk])
    with django_assert_max_num_queries(30) as first:
        client.get(address)
    for place in ("section:situation", "section:lessons", "field:chu-quyen"):
        services.write_passage(review_id=review.pk, place=place, text="x", actor=office, at=AS_OF)
    with django_assert_max_num_queries(len(first.captured_queries)):
        client.get(address)
