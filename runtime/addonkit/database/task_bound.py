"""Transactions and tasks: a transaction belongs to the task that began it.

Tasks that are started inside a transaction inherit it. Their statements are part of it while it is open. Savepoints
nest in the order of one task's code, so another task cannot begin a nested transaction. After the end, a statement of
such a task is refused if the transaction was rolled back, since nothing of it may stay; otherwise it runs outside, with
a warning.
"""

from __future__ import annotations

import asyncio
from typing import Any

from tortoise.backends.base.client import ConnectionWrapper
from tortoise.exceptions import TransactionManagementError

from addonkit.log import structlog

log = structlog.get_logger(__name__)

ADVICE = "start the task outside of the transaction, or await it inside and let it begin none of its own"


class TransactionMisused(TransactionManagementError):
    """A task used a transaction that another task began, in a way that would mix up or lose what is stored."""


def _name(task: asyncio.Task[Any] | None) -> str:
    return "no task" if task is None else f"the task '{task.get_name()}'"


class TaskBound:
    """A transaction that knows the task that began it, mixed into a client's transaction."""

    _finalized: bool
    _task: asyncio.Task[Any] | None = None
    _was_rolled_back = False
    _has_warned = False

    def keep_task(self) -> None:
        """Keep the current task as the one that began the transaction."""
        self._task = asyncio.current_task()

    def check_nested(self) -> None:
        """Check that a nested transaction begins in the task that began this one.

        Raises:
            TransactionMisused: It begins in another task.
        """
        task = asyncio.current_task()
        if task is not self._task:
            raise TransactionMisused(
                f"{_name(task)} began a nested transaction inside a transaction of {_name(self._task)}, as "
                f"get_or_create() and update_or_create() do; {ADVICE}"
            )

    def check_ended(self) -> None:
        """Check a statement after the transaction's end.

        Raises:
            TransactionMisused: The transaction was rolled back, and another task than the one that began it continues.
        """
        task = asyncio.current_task()
        if task is self._task:
            return
        if self._was_rolled_back:
            raise TransactionMisused(
                f"{_name(task)} outlived the transaction of {_name(self._task)} in which it was started, which was "
                f"rolled back; {ADVICE}"
            )
        if not self._has_warned:
            self._has_warned = True
            log.warning("transaction.outlived", task=_name(task), begun_by=_name(self._task), advice=ADVICE)

    def outlived(self) -> TransactionMisused:
        """Return the error for a statement that waited for the connection while the transaction ended."""
        return TransactionMisused(
            f"{_name(asyncio.current_task())} outlived the transaction of {_name(self._task)} in which it was started, "
            f"and had a statement waiting at its end; {ADVICE}"
        )


class TransactionConnection(ConnectionWrapper[Any]):
    """A transaction's connection during one statement; statements of several tasks wait for each other."""

    __slots__ = ()

    async def __aenter__(self) -> Any:
        connection = await super().__aenter__()
        if isinstance(self.client, TaskBound) and self.client._finalized:  # noqa: SLF001 - of Tortoise's transactions
            self._lock.release()
            raise self.client.outlived()
        return connection
