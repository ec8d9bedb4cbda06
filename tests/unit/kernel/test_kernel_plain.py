"""The plain Python below everything: text, moments, validity, refusals."""

import re
import unicodedata
from datetime import UTC, date, datetime, time, timedelta, timezone

import pytest

from hiepdong.kernel import errors, moments, text, validity


def test_names_that_differ_in_a_mark_stay_different_and_are_found_by_the_same_letters():
    assert text.nfc("Nậm Cắn") != text.nfc("Nậm Càn")
    assert text.fold("Nậm Cắn") == text.fold("Nậm Càn") == "nam can"
    assert text.sort_key("Nậm Cắn") != text.sort_key("Nậm Càn")


def test_the_form_of_unicode_in_which_something_was_typed_changes_nothing():
    for name in ("Đồn Biên phòng Mỹ Lý", "Thừa Thiên Huế", "ƯỚC", "Ễnh"):
        typed = unicodedata.normalize("NFD", name)
        assert text.nfc(typed) == name
        assert text.fold(typed) == text.fold(name)
        assert text.sort_key(typed) == text.sort_key(name)


def test_words_sort_as_in_a_vietnamese_dictionary_tones_last_and_capitals_not_at_all():
    words = ["ba", "bà", "bả", "bã", "bá", "bạ", "bà con", "bác", "bắc", "bậc", "đa", "da", "Dạ", "ê", "e", "quý", "quỹ"]
    assert sorted(words, key=text.sort_key) == [
        "ba",
        "bà",
        "bả",
        "bã",
        "bá",
        "bạ",
        "bà con",
        "bác",
        "bắc",
        "bậc",
        "da",
        "Dạ",
        "đa",
        "e",
        "ê",
        "quỹ",
        "quý",
    ]


def test_the_sort_key_is_made_of_signs_that_every_collation_sorts_alike():
    for name in ("Đồn Nậm Cắn số 12", "Ơn – ưu (“x”)", "中文", "", "\u0301"):
        assert re.fullmatch(r"[0-9a-z]+", text.sort_key(name)), name


def test_numbers_come_before_letters_and_a_shorter_name_before_a_longer_one():
    names = ["Đồng", "Đồn 2", "Đồn biên phòng", "Đồn", "Đồn A", "Đồn 1"]
    assert sorted(names, key=text.sort_key) == ["Đồn", "Đồn 1", "Đồn 2", "Đồn A", "Đồn biên phòng", "Đồng"]


@pytest.mark.parametrize("junk", [None, "", " 1", "1.0", "+1", "-1", "²", "١", "1e3", "0x10", "9" * 19, "12\n"])
def test_only_plain_digits_are_a_number_of_an_address(junk):
    assert text.whole_number(junk) is None


def test_the_largest_number_of_an_address_fits_into_a_database():
    assert text.whole_number("9" * 18) == 10**18 - 1 < 2**63


def test_the_local_day_begins_at_midnight_in_viet_nam_and_not_in_london():
    assert moments.local_day(datetime(2020, 12, 31, 16, 59, 59, tzinfo=UTC)) == date(2020, 12, 31)
    assert moments.local_day(datetime(2020, 12, 31, 17, 0, 0, tzinfo=UTC)) == date(2021, 1, 1)
    here = datetime(2021, 1, 1, 0, 0, tzinfo=timezone(timedelta(hours=7)))
    assert moments.local_day(here) == date(2021, 1, 1)
    assert moments.at_local(date(2021, 1, 1)) == here
    assert moments.at_local(date(2021, 1, 1), time(17)).tzinfo == UTC


def test_a_moment_without_a_zone_is_refused_and_not_guessed():
    with pytest.raises(ValueError, match="aware"):
        moments.local_day(datetime(2020, 1, 1))


def test_a_validity_holds_from_its_first_day_until_the_day_before_its_end():
    held = validity.Validity(date(2020, 1, 1), date(2025, 7, 1))
    days = {date(2019, 12, 31): False, date(2020, 1, 1): True, date(2025, 6, 30): True, date(2025, 7, 1): False}
    assert {day: held.holds_on(day) for day in days} == days
    assert validity.Validity(date(2020, 1, 1)).holds_on(date.max)
    for empty in (date(2020, 1, 1), date(2019, 1, 1)):
        with pytest.raises(ValueError, match="after"):
            validity.Validity(date(2020, 1, 1), empty)


def test_one_that_follows_another_does_not_overlap_it():
    old, new = validity.Validity(date(2020, 1, 1), date(2025, 7, 1)), validity.Validity(date(2025, 7, 1))
    assert not old.overlaps(new)
    assert not new.overlaps(old)
    assert old.overlaps(validity.Validity(date(2025, 6, 30)))
    assert new.overlaps(validity.Validity(date(2030, 1, 1), date(2030, 1, 2)))


def test_a_refusal_says_its_facts_and_survives_a_per_cent_sign_in_them():
    class TooMuch(errors.DomainError):
        code = "t.too_much"
        message = errors.gettext_noop("%(found)s is too much.")

    assert str(TooMuch(found="120 %")) == "120 % is too much."
    assert str(errors.NotFound()) == errors.NotFound.message
