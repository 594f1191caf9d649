"""Cleaning text, without a server."""

import pytest
from addonkit_issue_panel.item_text import TextInvalid, clean
from hypothesis import given
from hypothesis import strategies as st


def test_emoji_made_of_several_characters_stay_whole():
    assert clean("👩‍👩‍👧 party") == "👩‍👩‍👧 party"


def test_what_is_cut_off_at_the_limit_is_space_alone():
    assert clean(" " + "x" * 500 + " ") == "x" * 500


@given(st.text(alphabet=st.characters(), max_size=600))
def test_what_passes_is_one_line_that_every_database_stores(text):
    try:
        line = clean(text)
    except TextInvalid:
        return
    assert 1 <= len(line) <= 500
    assert "\x00" not in line
    assert line == " ".join(line.split())
    line.encode()


def test_an_empty_text_is_no_item():
    with pytest.raises(TextInvalid, match="Enter a text"):
        clean("\ud800")
