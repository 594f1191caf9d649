"""A time limit that costs a timer only if something is waited for.

``asyncio.timeout`` sets a timer and cancels it again even if nothing suspends, as in a handler that reads no database.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Coroutine, Generator
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")


class TimeLimit:
    """Runs a coroutine for a limited time; like :func:`asyncio.timeout`, it raises ``TimeoutError`` at the end of it.

    Args:
        seconds: The limit, from the call of ``run``; None sets none.
    """

    __slots__ = ("_seconds", "_timeout")

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._timeout: asyncio.Timeout | None = None

    async def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Return the result of a coroutine that nothing has started.

        Raises:
            TimeoutError: The limit was reached, which ``expired`` tells from an error of the coroutine.
        """
        ends_at = None if self._seconds is None else asyncio.get_running_loop().time() + self._seconds
        try:
            waits_for = coroutine.send(None)
        except StopIteration as finished:
            result: T = finished.value
            return result
        self._timeout = asyncio.timeout_at(ends_at)
        async with self._timeout:
            return await _resumed(coroutine, waits_for)

    def expired(self) -> bool:
        """Whether the limit was reached."""
        return self._timeout is not None and self._timeout.expired()


@types.coroutine
def _resumed(coroutine: Coroutine[Any, Any, T], waits_for: Any) -> Generator[Any, Any, T]:
    """Await the rest of a coroutine that waits for something: what ``yield from`` does, by PEP 380, from there on."""
    step: partial[Any]
    while True:
        try:
            sent = yield waits_for
        except GeneratorExit:
            coroutine.close()
            raise
        except BaseException as error:
            step = partial(coroutine.throw, error)
        else:
            step = partial(coroutine.send, sent)
        try:
            waits_for = step()
        except StopIteration as finished:
            result: T = finished.value
            return result
