"""Two nodes' due moments held against each other: every difference, with its cause where it can be told."""

import json

import pytest

from hiepdong.duties.domain.comparison import Computed, NotComparable, compared, digest_of, file_of, read_computed

REFERENCE = "t.qcph/thang/t.don/t.huyen/2020-03"
EVENT = "t.qcph/vu-viec/t.don/t.huyen/event:0"
DUE = ("2020-03-17T17:00:00Z", 1, "days")
BODY = {"kind": "border_station", "valid": ["2000-01-01", ""], "superiors": [], "territories": []}


def computed(**more):
    given = {
        "node": "một",
        "regulation": "t.qcph",
        "year": 2020,
        "program": "0.3",
        "versions": {1: "a" * 64},
        "bodies": {"t.don": BODY, "t.huyen": BODY, "t.tinh": BODY},
        "duties": {REFERENCE: DUE},
        "made_at": "2020-01-01T00:00:00Z",
    }
    return Computed(**given | more)


def told(first, second):
    return [(d.code, d.cause) for d in compared(first, second).duties]


def test_the_same_duties_are_the_same_whoever_computed_them_and_when():
    found = compared(computed(), computed(node="hai", made_at="2021-01-01T00:00:00Z", program="0.4"))
    assert found.same
    assert found.first.duties_digest == found.second.duties_digest


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (computed(duties={}), ("only_first", "")),
        (computed(duties={}, program="0.4"), ("only_first", "program")),
        (computed(duties={}, versions={1: "b" * 64}), ("only_first", "version")),
        (computed(duties={}, versions={}), ("only_first", "version")),
        (computed(duties={}, bodies={"t.don": BODY, "t.tinh": BODY}), ("only_first", "bodies")),
        (
            computed(duties={}, bodies=computed().bodies | {"t.tinh": BODY | {"territories": [["district:1", "", ""]]}}),
            ("only_first", "bodies"),
        ),
        (computed(duties={REFERENCE: ("2020-03-18T17:00:00Z", 1, "days")}), ("due", "")),
        (computed(duties={REFERENCE: ("2020-03-18T17:00:00Z", 1, "other days")}), ("due", "calendar")),
        (computed(duties={REFERENCE: ("2020-03-18T17:00:00Z", 2, "days")}), ("due", "version")),
        (computed(duties={REFERENCE: ("2020-03-17T17:00:00Z", 2, "days")}), ("rule", "version")),
        (computed(duties={REFERENCE: DUE, EVENT: DUE}), ("only_second", "event")),
    ],
)
def test_a_difference_is_named_with_its_cause_where_it_can_be_told(second, expected):
    assert told(computed(), second) == [expected]
    mirror = {"only_first": "only_second", "only_second": "only_first"}
    assert told(second, computed()) == [(mirror.get(expected[0], expected[0]), expected[1])]


def test_days_off_that_changed_no_due_moment_are_said_and_make_no_difference():
    found = compared(computed(), computed(duties={REFERENCE: (*DUE[:2], "other days")}))
    assert found.same
    assert found.calendars


def test_another_regulation_or_year_is_not_compared():
    for other in (computed(year=2021), computed(regulation="t.khac")):
        with pytest.raises(NotComparable):
            compared(computed(), other)


def test_a_file_says_what_was_computed_and_comes_back_as_it_was():
    one = computed(versions={1: "a" * 64, 2: "b" * 64})
    back, signed = read_computed(json.loads(file_of(one, "x.y.z")), "một.json")
    assert (back, signed) == (one, "x.y.z")
    assert digest_of(back.content()) == digest_of(one.content())


@pytest.mark.parametrize(
    "change",
    [
        lambda d: [],
        lambda d: d | {"format": "hiepdong.duties/2"},
        lambda d: d | {"content": d["content"] | {"duties": [["x"]]}},
        lambda d: d | {"content": d["content"] | {"duties": [["x", "soon", 1, "days"]]}},
        lambda d: d | {"content": d["content"] | {"year": "last"}},
        lambda d: {k: v for k, v in d.items() if k != "signed"},
    ],
)
def test_a_file_that_is_no_export_is_refused_by_its_name(change):
    data = json.loads(file_of(computed(), "x.y.z"))
    with pytest.raises(NotComparable) as refused:
        read_computed(change(data), "một.json")
    assert "một.json" in str(refused.value)
