"""The generator of the demo year: deterministic, plausible, marked, naming nobody."""

import re
import tomllib
from dataclasses import asdict
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
