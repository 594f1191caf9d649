"""JSON objects read so that two readers cannot see two things: no duplicate keys, no NaN, UTF-8 alone.

Bounds on size are the callers'.
"""

from __future__ import annotations

import json
from typing import Any


def read_object(data: bytes) -> dict[str, Any]:
    """The JSON object that ``data`` holds.

    Raises:
        ValueError: It is no such object; the message never repeats the data.
    """
    try:
        value = _DECODER.decode(data.decode())
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
    except _Odd:
        raise
    except ValueError:
        raise ValueError("the data is not JSON in UTF-8") from None
    if not isinstance(value, dict):
        raise ValueError("the JSON is not an object")
    return value


class _Odd(ValueError):
    """JSON that readers disagree on."""


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Odd("the JSON names a key twice in one object")
    return found


def _refuse_constant(_: str) -> None:
    raise _Odd("the JSON holds NaN or an infinity")


_DECODER = json.JSONDecoder(object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)
