"""Text that somebody else wrote, made fit for one line of a log or a terminal."""

from __future__ import annotations

import re
from urllib.parse import unquote

MASK = "<token>"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}")
"""Three base64url segments: what every token of the host's and ours looks like."""
_MARKED_TOKEN = re.compile(r"e[yw][A-Za-z0-9_-]{8,}(?:\.|%2[eE])[A-Za-z0-9_-]{10,}(?:\.|%2[eE])[A-Za-z0-9_-]*")
"""The same where it begins as a JSON object does, so that a dotted name in a sentence is left alone."""
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def without_tokens(text: str) -> str:
    """The text with all that is a token beyond doubt taken out: a last guard for what others let slip into it."""
    return _MARKED_TOKEN.sub(MASK, text)


def masked(path: str) -> str:
    """A path in which each segment that looks like a token is taken out, however it is escaped."""
    if _TOKEN.search(unquote(path) if "%" in path else path) is None:
        return path
    segments = path.split("/")
    return "/".join(MASK if _TOKEN.search(unquote(segment)) else segment for segment in segments)


def one_line(text: str) -> str:
    """The text with control characters escaped: it cannot end its line, nor speak to a terminal."""
    return _CONTROL.sub(_escaped, text)


def shortened(text: str, longest: int) -> str:
    """The text on one line, cut where it is longer than so many characters."""
    return one_line(text[:longest] + "…" if len(text) > longest else text)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
