"""Drafts: which requests of the editor create a poll and which do not."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from addonkit_macro.drafts import Draft, DraftInvalid, DraftOption, check, tidy

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def draft(*texts, question="Tea or coffee?", closes_at=None):
    options = tuple(DraftOption(f"{place:032x}", text) for place, text in enumerate(texts))
    return Draft(question, options, False, closes_at)


def errors(wrong, **known):
    with pytest.raises(DraftInvalid) as refusal:
        check(wrong, now=NOW, **known)
    return refusal.value.fields


def test_draft_needs_two_different_options():
    assert check(draft("Tea", "Coffee"), now=NOW) == draft("Tea", "Coffee")


def test_draft_texts_are_put_on_one_line():
    assert check(draft(" Green\n\ttea ", "Coffee"), now=NOW).options[0].text == "Green tea"


def test_question_that_is_empty_is_refused():
    assert errors(draft("Tea", "Coffee", question=" \n")) == {"question": "enter a question"}


def test_question_can_have_300_characters():
    assert check(draft("Tea", "Coffee", question="x" * 300), now=NOW).question == "x" * 300


def test_question_of_301_characters_is_refused():
    assert errors(draft("Tea", "Coffee", question="x" * 301)) == {
        "question": "the question has 301 characters; use up to 300"
    }


def test_options_need_at_least_two():
    assert errors(draft("Tea")) == {"options": "a poll needs at least 2 options; add one"}


def test_options_can_be_ten():
    assert len(check(draft(*map(str, range(10))), now=NOW).options) == 10


def test_options_cannot_be_eleven():
    assert errors(draft(*map(str, range(11)))) == {
        "options": "a poll can have up to 10 options, and this one has 11; remove some"
    }


def test_option_can_have_120_characters():
    assert check(draft("x" * 120, "Coffee"), now=NOW).options[0].text == "x" * 120


def test_option_of_121_characters_is_refused():
    assert errors(draft("x" * 121, "Coffee")) == {f"option-{0:032x}": "this option has 121 characters; use up to 120"}


def test_option_that_is_empty_is_refused():
    assert errors(draft("Tea", " ")) == {f"option-{1:032x}": "enter a text for this option"}


def test_options_that_differ_in_case_and_spaces_alone_are_refused():
    assert errors(draft("Green tea", "green  TEA")) == {
        f"option-{1:032x}": "the option 'green TEA' already exists; change one of them"
    }


def test_draft_errors_name_every_field():
    assert len(errors(draft("", "", question=""))) == 3


def test_option_with_an_invalid_key_is_refused():
    wrong = Draft("Tea?", (DraftOption("1", "Yes"), DraftOption("2", "No")), False, None)
    assert errors(wrong)["options"].startswith("the key of an option is not valid or used twice")


def test_options_with_the_same_key_are_refused():
    wrong = Draft("Tea?", (DraftOption("0" * 32, "Yes"), DraftOption("0" * 32, "No")), False, None)
    assert "options" in errors(wrong)


def test_closing_time_in_the_past_is_refused():
    assert errors(draft("Tea", "Coffee", closes_at=NOW)) == {
        "closes_at": "the closing time is in the past; choose a later one"
    }


def test_closing_time_that_has_passed_may_stay():
    past = NOW - timedelta(days=1)
    assert check(draft("Tea", "Coffee", closes_at=past), now=NOW, closed_before=past).closes_at == past


def test_closing_time_is_stored_in_utc_to_the_minute():
    vienna = datetime(2026, 12, 1, 18, 30, 59, tzinfo=timezone(timedelta(hours=1)))
    kept = check(draft("Tea", "Coffee", closes_at=vienna), now=NOW).closes_at
    assert (kept, kept.tzinfo) == (datetime(2026, 12, 1, 17, 30, tzinfo=UTC), UTC)


@pytest.mark.parametrize("year", [1, 9999])
def test_closing_time_at_the_edge_of_the_calendar_is_refused(year):
    edge = datetime(year, 1, 1, tzinfo=timezone(timedelta(hours=14)))
    assert errors(draft("Tea", "Coffee", closes_at=edge)) == {
        "closes_at": "the closing time must be between now and the year 2100; choose another"
    }


def test_draft_texts_lose_invisible_characters():
    assert tidy("\x00Tea\u0085\ud800 \ufffe& coffee\x1b") == "Tea & coffee"
