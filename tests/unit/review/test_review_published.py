"""The file of published facts: every problem at once, nothing raised by a hostile file."""

from datetime import date
from decimal import Decimal
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from hiepdong.review.domain.published import LARGEST, read_published

EXAMPLE = Path(__file__).parents[3] / "examples" / "nghe-an-2020" / "published.toml"
HEAD = 'format = "hiepdong.published/1"\nregulation = "t.qcph"\nyear = 2020\n'


def test_the_example_of_nghe_an_says_what_the_conference_published():
    found, problems = read_published(EXAMPLE.read_bytes())
    assert problems == []
    assert (found.host, found.held_on) == ("Thị xã Hoàng Mai", date(2020, 12, 18))
    kinds = [i["kind"] for i in found.items]
    assert {k: kinds.count(k) for k in set(kinds)} == {"limitation": 3, "task": 1, "proposal": 6, "directive": 7}
    assert all(i["source"] for i in found.items)
    assert {f["indicator"]: f["value"] for f in found.figures}["to-duong-bien"] == Decimal(84)


def test_every_problem_is_reported_at_once_with_its_place():
    text = HEAD.replace("2020", "'x'") + '[[proposal]]\ntext = ""\nlooks = 1\n[[figure]]\nvalue = "viele"\n[unknown]\n'
    found, problems = read_published(text.encode())
    assert found is None
    told = "\n".join(problems)
    for place in ("year:", "proposal[0].text:", "proposal[0].addressee:", "proposal[0].looks:", "figure[0].value:", "unknown:"):
        assert place in told


def test_a_file_that_is_too_large_or_no_text_is_refused():
    assert read_published(b"#" * (LARGEST + 1))[0] is None
    assert read_published(b"\xff\xfe")[1] == ["byte 0: not UTF-8"]


def test_infinity_is_no_figure():
    row = '[[figure]]\nindicator = "a"\ndefinition = "a/1"\nunit = "x"\nsource = "s"\nyear = 2020\nvalue = inf\n'
    assert "figure[0].value" in read_published((HEAD + row).encode())[1][0]


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda t: (HEAD + t).encode("utf-8", "replace")))
def test_no_file_makes_the_reader_raise(data):
    found, problems = read_published(data)
    assert (found is None) == bool(problems)
