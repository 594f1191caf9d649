"""Normalisation of an item's text, without a server."""

import pytest
from addonkit_issue_panel.item_text import TextInvalid, clean
from hypothesis import given
from hypothesis import strategies as st


def test_text_keeps_emoji_of_several_characters():
    assert clean("👩‍👩‍👧 party") == "👩‍👩‍👧 party"


def test_text_limit_ignores_surrounding_spaces():
    assert clean(" " + "x" * 500 + " ") == "x" * 500


@given(st.text(alphabet=st.characters(), max_size=600))
def test_text_is_one_line_that_every_database_stores(text):
    try:
        line = clean(text)
    except TextInvalid:
        return
    assert 1 <= len(line) <= 500
    assert "\x00" not in line
    assert line == " ".join(line.split())
    line.encode()


def test_text_that_is_empty_is_refused():
    with pytest.raises(TextInvalid, match="Enter a text"):
        clean("\ud800")
