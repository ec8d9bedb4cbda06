"""The generator of the demo year: deterministic, plausible, marked, naming nobody."""

import re
import tomllib
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hiepdong.web.demo.loader import shape_of
from hiepdong.web.demo.year import MARK, PREFIX, Owed, make_year

FOLDER = Path(__file__).resolve().parents[3] / "examples" / "nghe-an-2020"
PARAMETERS = tomllib.loads((FOLDER / "demo.toml").read_text(encoding="utf-8"))
SHAPE = shape_of(PARAMETERS)
FORM = {
    "instrument": "t",
    "version": 1,
    "key": "thang",
    "indicators": [
        {"key": "vu-viec", "name": "Vụ", "unit": "vụ"},
        {"key": "vu-ma-tuy", "name": "Ma túy", "unit": "vụ", "parts_of": "vu-viec"},
        {"key": "tau-kiem-soat", "name": "Tàu", "unit": "lượt tàu"},
        {"key": "moc-kiem-tra", "name": "Mốc", "unit": "lượt mốc"},
    ],
    "sections": [{"key": "tinh-hinh", "name": "Tình hình"}, {"key": "tham-muu", "name": "Tham mưu"}],
}
SEA = "nghe-an.don-quynh-phuong"


def owed(rule, debtor, creditor, month, **more):
    opens = datetime(2020, month, 15, tzinfo=UTC)
    kind = "border_station" if ".don" in debtor else "party_district"
    facts = {
        "reference": f"t/{rule}/{debtor}/{creditor}/2020-{month:02}",
        "rule": rule,
        "content": "notice",
        "nil_allowed": False,
        "debtor": debtor,
        "debtor_name": debtor,
        "debtor_kind": kind,
        "creditor": creditor,
        "creditor_name": creditor,
        "label": f"2020-{month:02}",
        "opens_at": opens,
        "due_at": opens + timedelta(days=5),
        "period_from": f"2020-{month - 1:02}-15",
        "period_to": f"2020-{month:02}-14",
    }
    return Owed(**facts | more)


@pytest.fixture(scope="module")
def duties():
    stations = [f"t.don-{n:02}" for n in range(12)] + [SEA]
    found = []
    for month in range(2, 13):
        for n, station in enumerate(stations):
            district = "t.huyen-bien" if station == SEA else f"t.huyen-{n % 4}"
            found.append(owed("d-04", station, district, month, nil_allowed=True))
            found.append(owed("d-04-phan-hoi", district, station, month, nil_allowed=True))
            found.append(owed("d-03", station, "t.bo-chi-huy", month, content="report", form=FORM))
            found.append(owed("d-01", station, f"t.xa-{n:02}", month))
        for n in range(4):
            found.append(owed("d-05-den", f"t.huyen-{n}", "t.dang-uy", month, label=f"2020-Q{(month - 1) // 3 + 1}"))
    return found


def test_the_same_seed_gives_the_same_papers_whatever_the_order_of_the_duties(duties):
    one, two = make_year(duties, SHAPE), make_year(list(reversed(duties)), SHAPE)
    assert [asdict(p) for p in one] == [asdict(p) for p in two]


def test_another_seed_gives_another_year(duties):
    other = shape_of(PARAMETERS | {"seed": 1})
    assert [p.id for p in make_year(duties, SHAPE)] != [p.id for p in make_year(duties, other)]


def test_every_paper_is_marked_as_made_up_in_subject_text_and_figures(duties):
    for paper in make_year(duties, SHAPE):
        assert paper.subject.startswith(PREFIX)
        assert MARK in paper.body["text"]
        for figure in paper.body.get("form", {}).get("figures", []):
            assert figure["scope"] == "số liệu minh họa"


def test_pairs_fall_silent_in_both_directions_in_the_same_months(duties):
    answered = {a for p in make_year(duties, SHAPE) for a in p.answers}
    silent = set()
    for d in duties:
        if d.rule == "d-04" and d.reference not in answered:
            back = f"t/d-04-phan-hoi/{d.creditor}/{d.debtor}/{d.label}"
            if back not in answered:
                silent.add((d.debtor, d.creditor))
    assert len(silent) >= SHAPE.silent_pairs


def test_weak_stations_report_late_or_not_at_all_and_the_others_mostly_in_time(duties):
    papers = {a: p for p in make_year(duties, SHAPE) for a in p.answers if not p.replaces_id}
    shares = {}
    for d in duties:
        if d.rule == "d-04":
            paper = papers.get(d.reference)
            good = paper is not None and paper.sent_at < d.due_at
            shares.setdefault(d.debtor, []).append(good)
    rates = sorted(sum(s) / len(s) for s in shares.values())
    assert rates[SHAPE.weak_stations - 1] < 0.8
    assert rates[-3] > 0.85


def test_a_returned_paper_is_followed_by_its_replacement_that_answers_the_same_duty(duties):
    papers = make_year(duties, shape_of(PARAMETERS | {"returned_share": 0.3}))
    by_id = {p.id: p for p in papers}
    replacements = [p for p in papers if p.replaces_id]
    assert replacements
    for p in replacements:
        before = by_id[p.replaces_id]
        assert before.returned_at
        assert before.return_reason
        assert before.sent_at < before.returned_at < p.sent_at
        assert before.answers == p.answers


def test_nothing_is_sent_or_answered_after_the_day_of_the_conference(duties):
    for p in make_year(duties, SHAPE):
        assert p.sent_at <= SHAPE.until
        assert p.acknowledged_at is None or p.sent_at < p.acknowledged_at <= SHAPE.until
        assert p.returned_at is None or p.sent_at < p.returned_at <= SHAPE.until


def test_parts_never_exceed_their_total(duties):
    for p in make_year(duties, SHAPE):
        rows = {f["indicator"]: f for f in p.body.get("form", {}).get("figures", [])}
        if rows and rows["vu-viec"]["state"] == rows["vu-ma-tuy"]["state"] == "value":
            assert int(rows["vu-ma-tuy"]["value"]) <= int(rows["vu-viec"]["value"])


def test_land_stations_report_no_ships_and_coastal_ones_no_border_markers(duties):
    states = {}
    for p in make_year(duties, SHAPE):
        for f in p.body.get("form", {}).get("figures", []):
            states.setdefault((f["indicator"], p.sender == SEA), set()).add(f["state"])
    assert states["tau-kiem-soat", False] == states["moc-kiem-tra", True] == {"not_reported"}
    assert "value" in states["tau-kiem-soat", True] & states["moc-kiem-tra", False]


def test_nothing_made_up_names_a_person_or_addresses_one(duties):
    texts = [PARAMETERS["password"], *(p["title"] for p in PARAMETERS["person"])]
    for p in make_year(duties, SHAPE):
        texts += [p.subject, p.body["text"], p.return_reason]
        texts += [s["text"] for s in p.body.get("form", {}).get("sections", [])]
    surnames = "Nguyễn|Trần|Lê|Phạm|Hoàng|Huỳnh|Phan|Vũ|Võ|Đặng|Bùi|Đỗ|Hồ|Ngô|Dương"
    name = re.compile(rf"\b(?:đồng chí|ông|bà|anh|chị)\s+[A-ZĐ]|\b(?:{surnames})\s+[A-ZĐÀ-Ỹ]\w+\s+[A-ZĐÀ-Ỹ]\w+")
    assert [t for t in texts if name.search(t)] == []


PARTNER = {
    "instrument": "t",
    "version": 1,
    "key": "nam-doi-tac",
    "indicators": [
        {"key": "hoi-nghi", "name": "Cuộc họp", "unit": "cuộc", "aggregate": "sum"},
        {"key": "to-an-ninh", "name": "Tổ", "unit": "tổ", "aggregate": "last"},
        {"key": "to-duong-bien", "name": "Tổ đường biên", "unit": "tổ", "aggregate": "last"},
        {"key": "to-tau-thuyen", "name": "Tổ tàu thuyền", "unit": "tổ", "aggregate": "last"},
        {"key": "ket-nghia", "name": "Kết nghĩa", "unit": "hoạt động", "aggregate": "sum"},
    ],
    "sections": [{"key": "ket-qua", "name": "Kết quả"}, {"key": "han-che", "name": "Hạn chế"}],
}


@pytest.fixture(scope="module")
def partner_papers(duties):
    found = list(duties)
    for district in ("t.huyen-0", "t.huyen-1", "t.huyen-2", "t.huyen-3", "t.huyen-bien"):
        for label, month in (("2020-H1", 6), ("2020-H2", 12), ("2020", 12)):
            rule = "d-06-nam" if label == "2020" else "d-06-6-thang"
            facts = {
                "label": label,
                "content": "report",
                "form": PARTNER,
                "reference": f"t/{rule}/{district}/t.dang-uy/{label}",
            }
            found.append(owed(rule, district, "t.dang-uy", month, **facts))
    calm = shape_of(PARAMETERS | {"missing_share": 0, "returned_share": 0, "until": "2021-02-01T00:00+07:00"})
    papers = [p for p in make_year(found, calm) if p.body.get("form", {}).get("key") == "nam-doi-tac"]
    assert len(papers) == 15
    return {(p.sender, p.answers[0].rpartition("/")[2]): p for p in papers}


def figures_of(paper):
    return {f["indicator"]: f for f in paper.body["form"]["figures"]}


def test_a_year_tells_again_what_its_halves_told(partner_papers):
    compared = 0
    for (sender, label), paper in partner_papers.items():
        if label != "2020":
            continue
        year = figures_of(paper)
        halves = [figures_of(partner_papers[sender, half]) for half in ("2020-H1", "2020-H2")]
        for key, put in (("hoi-nghi", sum), ("to-an-ninh", lambda values: values[-1])):
            rows = [half[key] for half in halves]
            if year[key]["state"] == "value" and all(r["state"] == "value" for r in rows):
                assert int(year[key]["value"]) == put([int(r["value"]) for r in rows])
                compared += 1
    assert compared >= 6


def test_a_coastal_district_reports_no_border_groups_and_no_twinning_and_an_inland_one_no_boats(partner_papers):
    states = {}
    for (sender, _label), paper in partner_papers.items():
        for key, figure in figures_of(paper).items():
            states.setdefault((key, sender == "t.huyen-bien"), set()).add(figure["state"])
            assert "value" not in figure or figure["state"] == "value"
    assert states["to-duong-bien", True] == states["ket-nghia", True] == states["to-tau-thuyen", False] == {"not_reported"}
    assert "value" in states["to-duong-bien", False] & states["to-tau-thuyen", True]


def test_a_section_on_limitations_speaks_of_limitations(partner_papers):
    texts = {s["text"] for p in partner_papers.values() for s in p.body["form"]["sections"] if s["key"] == "han-che"}
    assert 1 < len(texts) <= 4
    assert not any(t.startswith(("Đã thống nhất", "Cấp ủy đã nghiên cứu")) for t in texts)


def test_nothing_is_said_out_of_season_before_the_epidemic_or_twice_in_one_paper(duties):
    everywhere = [replace(d, period_to=f"{y}-{m:02}-14") for d in duties[:60] for y, m in ((2020, 1), (2020, 4), (2020, 9))]
    everywhere = [replace(d, reference=f"{d.reference}/{i}") for i, d in enumerate(everywhere)]
    by_reference = {d.reference: d for d in everywhere}
    seen = 0
    for p in make_year(everywhere, shape_of(PARAMETERS | {"silent_pairs": 0, "silent_commune_pairs": 0})):
        if not p.answers:
            continue
        ends = by_reference[p.answers[0]].period_to
        text = " ".join([p.body["text"], *(s["text"] for s in p.body.get("form", {}).get("sections", []))])
        assert ends > "2020-02" or "dịch" not in text, text
        assert ends[5:7] == "01" or "Học sinh đến trường" not in text, text
        assert ends[5:7] == "04" or "cháy rừng" not in text, text
        sentences = [s for s in text.split(". ") if s]
        assert len(sentences) == len(set(sentences)), text
        seen += 1
    assert seen > 100
