"""Random ids of 16 hexadecimal digits, drawn from the operating system many at a time."""

from __future__ import annotations

import os
import secrets

DIGITS = 16
DRAWN_AT_ONCE = 256

_drawn: list[str] = []
# A forked process must not give out the ids that its parent has drawn.
os.register_at_fork(after_in_child=_drawn.clear)


def new_id() -> str:
    """Return an id that no other request and no span has."""
    while True:
        try:
            return _drawn.pop()
        except IndexError:
            digits = secrets.token_hex(DIGITS // 2 * DRAWN_AT_ONCE)
            _drawn.extend(digits[place : place + DIGITS] for place in range(0, len(digits), DIGITS))
