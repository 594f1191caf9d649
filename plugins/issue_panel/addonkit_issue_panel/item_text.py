"""What may stand in an item: one line of text, cleaned of what no screen shows. No storage here."""

import unicodedata

from .models import TEXT_LENGTH

UNSEEN = frozenset({"Cc", "Cs"})
"""Unicode's control characters and lone surrogates; PostgreSQL stores neither NUL nor half a pair."""


class TextInvalid(ValueError):
    """The text is empty or too long; the message is one sentence for the reader."""


def clean(text: str) -> str:
    """The text as one line, with single spaces.

    Raises:
        TextInvalid: Nothing is left, or more than 500 characters are.
    """
    line = " ".join("".join(" " if unicodedata.category(c) in UNSEEN else c for c in text).split())
    if not line:
        raise TextInvalid("An item needs some text")
    if len(line) > TEXT_LENGTH:
        raise TextInvalid(f"An item holds at most {TEXT_LENGTH} characters and this has {len(line)}; shorten it")
    return line
