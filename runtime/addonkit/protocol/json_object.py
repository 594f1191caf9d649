"""Strict reading of JSON objects, so that two parsers cannot disagree: no duplicate keys, no NaN, only UTF-8.

Callers limit the size. Nesting is limited to ``foreign_json.MAX_DEPTH``. JSON that orjson would write in the same bytes
has one meaning only, and orjson reads it; all other JSON is read by Python's parser, which can report a duplicate key.
"""

from __future__ import annotations

import json
from typing import Any, Literal

import orjson

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
    found = _read_canonical(data)
    return _read_strictly(data, errors) if found is None else found


def _read_canonical(data: bytes) -> dict[str, Any] | None:
    """Return an object if the data is exactly what orjson writes for it; None for all other data.

    orjson writes no key twice, no NaN and no number that it would read as another one, and at most 254 levels.
    """
    try:
        value = orjson.loads(data)
        return value if type(value) is dict and orjson.dumps(value) == data else None
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None


def _read_strictly(data: bytes, errors: Literal["strict", "surrogatepass"]) -> dict[str, Any]:
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
