"""Single flight: concurrent callers that ask for the same thing share one task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable, Iterable
from typing import Any, Generic, TypeVar

from addonkit.current import own_context

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class SingleFlight(Generic[K, V]):
    """Runs at most one task per key at a time; all callers that arrive while it runs get its result.

    A caller that is cancelled does not cancel the task, because other callers may wait for it.

    Args:
        own_context: Whether tasks run in a new context that contains only the current add-on, so that they do not
            join the transaction of the first caller.
    """

    def __init__(self, *, own_context: bool = False) -> None:
        self._own_context = own_context
        self._tasks: dict[K, asyncio.Task[V]] = {}

    def __contains__(self, key: K) -> bool:
        task = self._tasks.get(key)
        return task is not None and not task.done()

    async def run(self, key: K, load: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """Return the result of the running task for this key; start one if there is none.

        Raises:
            Exception: What ``load`` raised; every caller gets it.
        """
        task = self._tasks.get(key)
        # A task may be done while its done callback has not run yet; its result may be outdated.
        if task is None or task.done():
            context = own_context() if self._own_context else None
            task = self._tasks[key] = asyncio.create_task(load(), context=context)
            task.add_done_callback(lambda done: self._ended(key, done))
        return await asyncio.shield(task)

    async def wait(self, key: K) -> None:
        """Wait for the end of the running task for this key, if there is one; its error is not raised."""
        task = self._tasks.get(key)
        if task is not None:
            await asyncio.wait({task})

    def is_current(self, key: K) -> bool:
        """Whether the calling task is still the one for this key; after ``forget``, its result must not be cached."""
        return self._tasks.get(key) is asyncio.current_task()

    def forget(self, keys: Iterable[K] | None = None) -> None:
        """Detach the running tasks of these keys, or of all: later callers start new ones."""
        for key in list(self._tasks if keys is None else keys):
            self._tasks.pop(key, None)

    def keys(self) -> list[K]:
        """Keys of the running tasks."""
        return list(self._tasks)

    async def cancel(self) -> None:
        """Cancel all running tasks and wait for their end."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, key: K, task: asyncio.Task[V]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]
        # All callers may be gone: without this, asyncio would log an exception that was never retrieved.
        if not task.cancelled():
            task.exception()
