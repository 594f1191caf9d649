"""Strict reading of JSON objects, so that two parsers cannot disagree: no duplicate keys, no NaN, only UTF-8.

Callers limit the size. Nesting is limited to ``foreign_json.MAX_DEPTH``.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from addonkit.foreign_json import refuse_deep


def read_object(data: bytes, errors: Literal["strict", "surrogatepass"] = "strict") -> dict[str, Any]:
    """Parse a JSON object.

    Args:
        data: The JSON.
        errors: ``surrogatepass`` accepts halves of surrogate pairs as bytes; the caller replaces them. Escaped ones are
            accepted in any case.

    Raises:
        ValueError: It is not such an object; the message never contains the data.
    """
    try:
        text = data.decode("utf-8", errors)
        value = _DECODER.decode(text)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
    except _Ambiguous:
        raise
    except ValueError:
        raise ValueError("the data is not JSON in UTF-8") from None
    refuse_deep(value, text)
    if not isinstance(value, dict):
        raise ValueError("the JSON is not an object")
    return value


class _Ambiguous(ValueError):
    """JSON that parsers interpret differently."""


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Ambiguous("the JSON has a key twice in one object")
    return found


def _refuse_constant(_: str) -> None:
    raise _Ambiguous("the JSON contains NaN or an infinity")


_DECODER = json.JSONDecoder(object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)
