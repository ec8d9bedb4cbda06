"""The review as a paper: what stands where, in the form of the body that writes it."""

import io
from datetime import UTC, date, datetime

import pytest
from pypdf import PdfReader

from hiepdong.documents.domain.layout import Band, Heading, Points, Table
from hiepdong.organisations.models import Organisation
from hiepdong.review import queries, services
from hiepdong.review.document import document_of, files_of
from support.make import KEY, seat

pytestmark = pytest.mark.django_db
AS_OF = datetime(2020, 12, 18, 2, tzinfo=UTC)
NOW = datetime(2020, 12, 20, 2, tzinfo=UTC)


@pytest.fixture
def world(small_world):
    small_world.duties(until=date(2020, 12, 14))
    small_world.report("2020-03", at=datetime(2020, 3, 16, 3, tzinfo=UTC), value="7")
    small_world.office = seat(small_world.province, "signer")
    return small_world


@pytest.fixture
def review(world):
    made = services.build_review(instrument_key=KEY, year=2020, actor=world.office, at=NOW, as_of=AS_OF)
    for kind in ("task", "directive", "limitation", "proposal"):
        addressee = "Tỉnh ủy" if kind == "proposal" else ""
        services.put_item(
            review_id=made.pk, kind=kind, text=f"Nội dung {kind}.", addressee=addressee, actor=world.office, at=NOW
        )
    return made


def laid(review):
    return document_of(queries.shown(queries.review_for(None, review.pk)))


def headings(document):
    return [b.text for b in document.blocks if isinstance(b, Heading) and b.level == 1]


def under(document, title):
    """Return the texts of the points between a heading of the first level and the next."""
    found, inside = [], False
    for block in document.blocks:
        if isinstance(block, Heading) and block.level == 1:
            inside = block.text.endswith(title)
        elif inside and isinstance(block, Points):
            found += block.items
    return found


def test_the_parts_of_a_review_stand_in_the_order_of_published_reviews(review):
    assert [h.split(". ")[1] for h in headings(laid(review))] == [
        "QUÁN TRIỆT, LÃNH ĐẠO, CHỈ ĐẠO",
        "TÌNH HÌNH ĐỊA BÀN",
        "KẾT QUẢ THEO LĨNH VỰC PHỐI HỢP",
        "TÍNH THƯỜNG XUYÊN CỦA VIỆC TRAO ĐỔI, BÁO CÁO",
        "ƯU ĐIỂM",
        "HẠN CHẾ",
        "NGUYÊN NHÂN",
        "BÀI HỌC KINH NGHIỆM",
        "PHƯƠNG HƯỚNG, NHIỆM VỤ TRỌNG TÂM",
        "ĐỀ XUẤT, KIẾN NGHỊ",
    ]


def test_a_directive_is_a_task_of_the_next_year_and_no_proposal(review):
    document = laid(review)
    assert {"Nội dung task.", "Nội dung directive."} <= set(under(document, "NHIỆM VỤ TRỌNG TÂM"))
    assert under(document, "KIẾN NGHỊ") == ["Nội dung proposal."]


def test_limitations_hold_what_was_stated_and_every_finding(review):
    texts = under(laid(review), "HẠN CHẾ")
    assert texts[0] == "Nội dung limitation."
    assert len(texts) == 1 + len(review.facts["findings"]) > 1


def tables(document):
    return [b for b in document.annexes if isinstance(b, Table)]


def test_the_annexes_say_how_many_reports_stand_behind_a_figure_and_end_in_totals(review):
    figures, bodies, clauses, *_pairs = tables(laid(review))
    assert isinstance(figures.rows[0], Band)
    assert figures.rows[1] == ("Tuần tra", "7 lượt", "1", "0 / 0")  # no column for a year before that nobody knows
    counts = review.facts["counts"]
    total = tuple(str(counts[k]) for k in ("expected", "on_time", "late", "missing"))
    for table in (bodies, clauses):
        assert table.total
        assert table.rows[-1][-4:] == total
        assert [sum(int(r[i]) for r in table.rows[:-1]) for i in range(2, 6)] == [int(n) for n in total]


def test_a_pair_that_owes_nothing_is_not_shown_as_silent_however_long_it_was_quiet(review):
    way = {"expected": 0, "on_time": 0, "late": 0, "missing": 0, "silence": {"days": 366}}
    owing = way | {"expected": 4, "on_time": 4, "silence": {"days": 94}}
    for n, counts in enumerate((way, owing)):
        ways = [{"debtor": "t.don-mot", "creditor": f"t.c{n}", **counts}]
        pair = {"first": "t.don-mot", "second": f"t.c{n}", "ways": ways, "silence": counts["silence"]}
        review.facts["pairs"].append(pair)
    shown = queries.shown(review)
    assert not any(p["second"] in {"t.c0", "t.c1"} for p in shown.pairs)
    assert shown.pairs


@pytest.mark.parametrize(
    ("kind", "form", "authority", "signer", "end"),
    [
        ("border_guard_party", "party", "Đảng ủy", "", ","),
        ("party_district", "party", "Ban Thường vụ", "", ","),
        ("peoples_committee_district", "state", "Ủy ban nhân dân", "Chủ tịch", ";"),
        ("border_guard_command", "state", "", "Chỉ huy trưởng", ";"),
        ("border_station", "state", "", "Đồn trưởng", ";"),
    ],
)
def test_a_collective_is_signed_for_and_a_commander_signs_himself(review, kind, form, authority, signer, end):
    review.facts["organisation"] |= {"kind": kind, "superior": "Cấp trên", "reports_to": "Cấp trên"}
    review.save()
    document = laid(review)
    assert (document.profile, document.authority, document.signer_title) == (form, authority, signer)
    assert [r[-1] for r in document.recipients] == [end, end, "."]
    assert document.recipients[0].startswith("Cấp trên (để báo cáo)")
    assert (document.superior == "") == kind.startswith("peoples_committee")


def test_a_state_paper_names_no_party_committee_as_the_body_above(world):
    command = world.district
    Organisation.objects.filter(pk=command.pk).update(kind="border_guard_command")
    Organisation.objects.filter(pk=world.province.pk).update(kind="border_guard_party")
    command.superiors.create(superior=world.province, valid_from=date(2000, 1, 1), source="thử")
    made = services.build_review(instrument_key=KEY, year=2020, actor=None, at=NOW, as_of=AS_OF, organisation_key=command.key)
    issuer = made.facts["organisation"]
    assert (issuer["superior"], issuer["reports_to"]) == ("", world.province.name)


def test_lines_with_a_dash_in_a_persons_text_are_points(world, review):
    text = "Mở đầu.\n- Một\n- Hai\nKết."
    services.write_passage(review_id=review.pk, place="section:situation", text=text, actor=world.office, at=NOW)
    assert ("Một", "Hai") in [b.items for b in laid(review).blocks if isinstance(b, Points)]


def test_the_files_hold_what_is_laid_out_and_no_key_or_code(review):
    pdf = next(f for f in files_of(queries.shown(review)) if f.name.endswith(".pdf"))
    text = " ".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf.data)).pages)
    assert "TÌNH HÌNH ĐỊA BÀN" in text
    for secret in ("t.don-mot", "reporting_not_kept", "exchange_not_regular", "section:", "None", "tuan-tra"):
        assert secret not in text
