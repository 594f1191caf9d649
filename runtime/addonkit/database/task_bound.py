# ruff: noqa: SLF001 - transactions know each other, and Tortoise's state of one is private
"""Transactions and tasks: a transaction belongs to the task that began it.

Tasks that are started inside a transaction inherit it. Their statements are part of it while it is open. Savepoints
nest in the order of one task's code, so another task cannot begin a nested transaction. After the end, a statement of
such a task is refused if the transaction was rolled back, since nothing of it may stay; otherwise it runs outside, with
a warning. What another task writes while a nested transaction is open would be undone with it: the error then ends the
whole transaction, so that nothing is lost in silence. A transaction that ends in another context than it began in, as
in an async generator that is not exhausted, is rolled back.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

from tortoise.backends.base.client import ConnectionWrapper, NestedTransactionContext
from tortoise.connection import ConnectionHandler, ConnectionToken
from tortoise.exceptions import TransactionManagementError

from addonkit.log import structlog

log = structlog.get_logger(__name__)

ADVICE = "start the task outside of the transaction, or await it inside and let it begin none of its own"


class TransactionMisused(TransactionManagementError):
    """A task used a transaction that another task began, in a way that would mix up or lose what is stored."""


def _name(task: asyncio.Task[Any] | None) -> str:
    return "no task" if task is None else f"the task '{task.get_name()}'"


class TaskBound:
    """A transaction that knows the task that began it, mixed into a client's transaction.

    Attributes:
        nested: The nested transactions that are open inside it, the innermost last.
    """

    _finalized: bool
    _parent: Any
    _task: asyncio.Task[Any] | None = None
    _was_rolled_back = False
    _has_warned = False
    # Error for a write of another task that was undone, or would be if this nested transaction were rolled back.
    _lost: TransactionMisused | None = None
    nested: list[TaskBound]

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

    def check_loop(self) -> None:
        """Check that a statement runs in the event loop of the transaction, whose connection belongs to it.

        Raises:
            TransactionMisused: It runs in the event loop of another thread.
        """
        if self._task is not None and self._task.get_loop() is not asyncio.get_running_loop():
            raise TransactionMisused(
                f"{_name(asyncio.current_task())} in another thread used a transaction of {_name(self._task)}; "
                "use asyncio.run_coroutine_threadsafe() with the loop of the transaction"
            )

    def _outermost(self) -> TaskBound:
        return self._parent._outermost() if isinstance(self._parent, TaskBound) else self

    def note_statement(self, statement: str) -> None:
        """Note a write of a task that is not in the innermost nested transaction, which may undo it.

        Raises:
            TransactionMisused: The task was started in a nested transaction that was rolled back.
        """
        outermost, current = self._outermost(), CURRENT.get()
        if current is not None and current._was_rolled_back and current._outermost() is outermost:
            current.check_ended()
        innermost = outermost.nested[-1] if outermost.nested else None
        if innermost is not None and current is not innermost and not statement.startswith("SELECT"):
            innermost._lost = TransactionMisused(
                f"{_name(asyncio.current_task())} wrote while {_name(innermost._task)} had a nested transaction open, "
                f"which was then rolled back together with what was written; {ADVICE}"
            )

    def check_complete(self) -> None:
        """Check before the commit that nothing was undone that another task wrote.

        Raises:
            TransactionMisused: A nested transaction undid a write of another task.
        """
        if self._lost is not None and self._outermost() is self:
            raise self._lost

    def ended_elsewhere(self) -> TransactionMisused:
        """Return the error for an end of the transaction in another context than that of its start."""
        return TransactionMisused(
            f"a transaction that {_name(self._task)} began was ended by {_name(asyncio.current_task())}, and rolled "
            "back; begin and end it in one task, and close an async generator that has one open by aclosing()"
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
        if isinstance(self.client, TaskBound) and self.client._finalized:
            self._lock.release()
            raise self.client.outlived()
        return connection


CURRENT: ContextVar[TaskBound | None] = ContextVar("addonkit_nested_transaction", default=None)
"""The innermost nested transaction of this code, or in which the task was started."""


class NestedTransaction(NestedTransactionContext):
    """A nested transaction, a savepoint, which is rolled back by every error."""

    __slots__ = ("_outermost", "_token")

    async def __aenter__(self) -> Any:
        client: Any = self.client
        self._outermost = client._outermost()
        self._outermost.nested.append(client)
        try:
            await super().__aenter__()
        except BaseException:
            self._outermost.nested.remove(client)
            raise
        self._token = CURRENT.set(client)
        return client

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> None:
        client: Any = self.client
        with suppress(ValueError):  # in another context
            CURRENT.reset(self._token)
        try:
            if not client._finalized:
                await (client.release_savepoint() if kind is None else client.savepoint_rollback())
        finally:
            self._outermost.nested.remove(client)
        if client._lost is None:
            return
        if client._was_rolled_back:
            self._outermost._lost = client._lost
            raise client._lost
        if self._outermost.nested:
            self._outermost.nested[-1]._lost = client._lost


def leave(transaction: TaskBound, connections: ConnectionHandler, token: ConnectionToken) -> TransactionMisused | None:
    """Make the connection current that was before a transaction; in another context, return the error."""
    try:
        connections.reset(token)
    except ValueError:
        return transaction.ended_elsewhere()
    return None
