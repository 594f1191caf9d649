"""Validation of an item's text: one line without control characters."""

import unicodedata

from .models import TEXT_LENGTH

REMOVED_CATEGORIES = frozenset({"Cc", "Cs"})
"""Unicode categories of control characters and lone surrogates; PostgreSQL stores neither NUL nor surrogates."""


class TextInvalid(ValueError):
    """The text is empty or too long; the message is one sentence for the user."""


def clean(text: str) -> str:
    """Return the text as one line with single spaces.

    Raises:
        TextInvalid: The result is empty or has more than 500 characters.
    """
    line = " ".join("".join(" " if unicodedata.category(c) in REMOVED_CATEGORIES else c for c in text).split())
    if not line:
        raise TextInvalid("Enter a text for the item.")
    if len(line) > TEXT_LENGTH:
        raise TextInvalid(f"An item can have up to {TEXT_LENGTH} characters, and this one has {len(line)}. Shorten it.")
    return line
