"""Text for messages: escapes and masks text from other sources, and finds near matches for misspelt names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from urllib.parse import unquote

MASK = "<token>"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}")
"""Three base64url segments, the form of every token that the host or the add-on signs."""
_MARKED_TOKEN = re.compile(r"e[yw][A-Za-z0-9_-]{8,}(?:\.|%2[eE])[A-Za-z0-9_-]{10,}(?:\.|%2[eE])[A-Za-z0-9_-]*")
"""A token whose first segment begins like an encoded JSON object, so that dotted names in sentences do not match."""
_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
"""Control characters, line separators, invisible characters, marks that change the direction of text, and halves of
surrogate pairs."""


def without_tokens(text: str) -> str:
    """Replace everything that is certainly a token by a mask; the last step before text is logged."""
    return _MARKED_TOKEN.sub(MASK, text)


def masked(path: str) -> str:
    """Replace each segment of a path that looks like a token by a mask, even if it is percent-encoded."""
    if _TOKEN.search(unquote(path) if "%" in path else path) is None:
        return path
    segments = path.split("/")
    return "/".join(MASK if _TOKEN.search(unquote(segment)) else segment for segment in segments)


def one_line(text: str) -> str:
    """Escape control and invisible characters: the text can neither break a log line nor control a terminal."""
    return _CONTROL.sub(_escaped, text)


def with_json_escapes(document: str) -> str:
    """Escape the same characters as ``one_line`` in JSON text, except its line breaks; its values stay the same."""
    return _CONTROL.sub(lambda found: found[0] if found[0] == "\n" else json.dumps(found[0])[1:-1], document)


def text_of(value: object) -> str:
    """Return text for a value that anybody may have made: a string itself, else its ``repr``, even if that fails."""
    try:
        return str.__str__(value) if isinstance(value, str) else repr(value)
    except Exception:  # the value's own code; it is too deep, or a number is too long
        return f"<{type(value).__name__} that cannot be shown>"


def shortened(text: str, longest: int) -> str:
    """Put text on one line and cut it after ``longest`` characters."""
    return one_line(text[:longest] + "…" if len(text) > longest else text)


def well_formed(text: str) -> str:
    """Return the text with U+FFFD for each half of a surrogate pair, which neither UTF-8 nor a database can hold.

    Two halves that make a pair become its character.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def near_matches(name: str, names: Iterable[str], cutoff: float = 0.7) -> tuple[str, ...]:
    """Return up to three known names that resemble a misspelt one, the closest first; case is ignored.

    Args:
        name: What was written.
        names: What is known.
        cutoff: Least similarity, from 0 to 1.
    """
    # Imported here: only errors need it, and it would slow every start.
    from difflib import get_close_matches

    folded = {other.lower(): other for other in sorted(names, reverse=True)}
    return tuple(folded[match] for match in get_close_matches(name.lower(), sorted(folded), n=3, cutoff=cutoff))


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


def in_words(seconds: float) -> str:
    """Format a duration in its two largest units: ``3 min 12 s``."""
    left, words = round(seconds), []
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, length)
        if count:
            words.append(f"{count} {unit}")
    return " ".join(words[:2]) or "0 s"
