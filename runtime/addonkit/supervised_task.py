"""Tasks: one that is restarted, with exponential back-off, when it fails, and the first of several to end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

from addonkit.backoff import backoff_s
from addonkit.log import structlog

FIRST_PAUSE_S = 0.5
MAX_PAUSE_S = 10.0

log = structlog.get_logger(__name__)


async def first_of(*awaitables: Coroutine[Any, Any, object], within_s: float | None = None) -> None:
    """Wait for the first of these, at most so many seconds if any are given, and cancel the others."""
    tasks = [asyncio.create_task(one) for one in awaitables]
    await asyncio.wait(tasks, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


class SupervisedTask:
    """Runs a coroutine function as a task until it returns, and restarts it when it raises.

    The first of several failures in a row is logged with its traceback. A failure after more than ``MAX_PAUSE_S`` is
    the first of a new row.

    Args:
        name: Name of the task, for the log.
        run: What runs until cancelled, or until its work is done.
    """

    def __init__(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        self._name, self._run = name, run
        self._task = asyncio.create_task(self._supervise(), name=name)

    def is_running(self) -> bool:
        """Whether it has neither returned nor been cancelled; true during the pause after a failure."""
        return not self._task.done()

    async def wait(self, within_s: float | None) -> bool:
        """Wait until it returns, at most so many seconds if not None; give whether it did."""
        done, _ = await asyncio.wait({self._task}, timeout=within_s)
        return bool(done)

    async def cancel(self) -> None:
        """Cancel it and wait for its end."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _supervise(self) -> None:
        loop, failures = asyncio.get_running_loop(), 0
        while True:
            began = loop.time()
            try:
                await self._run()
            except asyncio.CancelledError as exc:
                current = asyncio.current_task()
                if current is None or current.cancelling():
                    raise
                failure: BaseException = exc  # nobody cancelled this task: the exception came from within
            except Exception as exc:
                failure = exc
            else:
                return
            failures = 1 if loop.time() - began > MAX_PAUSE_S else failures + 1
            if failures == 1:
                log.error("task.failed", task=self._name, exc_info=failure)
            await asyncio.sleep(backoff_s(failures, first_s=FIRST_PAUSE_S, longest_s=MAX_PAUSE_S))
