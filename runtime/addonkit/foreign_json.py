r"""Reads JSON of other programs, with orjson, and what orjson refuses though the other program could write it.

That is half a surrogate pair, and a number beyond 64 bits. A program that cuts a text in the middle of an emoji writes
such a half (``\ud83d``). No database can store one, so it becomes U+FFFD.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

import orjson

from addonkit.text import well_formed

_ESCAPE = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}|\\.")
"""An escaped pair, an escaped half, or the begin of any other escape: an escaped backslash before ``ud83d``, too."""
_HALF_LENGTH = 6
MAX_DEPTH = 500
"""How deeply arrays and objects may be nested in what Python's parser reads: its own limit is 1,000 in Python 3.11, and
some 10,000 in 3.13."""


def loads(data: bytes | str) -> Any:
    """Parse JSON; half of a surrogate pair, escaped or as bytes, becomes U+FFFD.

    Raises:
        orjson.JSONDecodeError: It is not JSON for any other reason.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as problem:
        try:
            text = data if isinstance(data, str) else data.decode("utf-8", "surrogatepass")
            value = json.loads(_ESCAPE.sub(_replacement, well_formed(text)), parse_constant=_refuse)
            refuse_deep(value, text)
            return value
        except (ValueError, RecursionError):
            raise problem from None


def refuse_deep(value: Any, text: str) -> None:
    """Refuse a value that is nested too deeply; a text with few brackets is not looked into.

    Args:
        value: What was parsed.
        text: The JSON that it was parsed from.

    Raises:
        ValueError: Arrays and objects are nested more than ``MAX_DEPTH`` deep.
    """
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    level = _nested([value])
    for _ in range(MAX_DEPTH):
        level = [child for one in level for child in _nested(one)]
    if level:
        raise ValueError("the JSON is nested too deeply")


def _nested(value: dict[str, Any] | list[Any]) -> list[dict[str, Any] | list[Any]]:
    """Return the arrays and objects that are directly within a value."""
    return [one for one in (value.values() if isinstance(value, dict) else value) if isinstance(one, (dict, list))]


def _replacement(found: re.Match[str]) -> str:
    return "\\ufffd" if len(found[0]) == _HALF_LENGTH else found[0]


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"'{constant}' is not JSON")
