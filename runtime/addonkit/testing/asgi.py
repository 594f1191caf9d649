"""ASGI types, and the lifespan of an application that runs in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Any, Any, Any], Awaitable[None]]
"""An ASGI application; its arguments are ``Any``, because frameworks annotate them differently."""


class LifespanFailed(RuntimeError):
    """The application reported that it could not start or stop.

    Attributes:
        reason: What it reported.
    """

    def __init__(self, phase: str, reason: str) -> None:
        super().__init__(f"the add-on answered 'lifespan.{phase}' with: {reason}")
        self.reason = reason


@asynccontextmanager
async def running(app: Application) -> AsyncIterator[None]:
    """Start the application, and stop it at the end of the block.

    In the block, the add-on is current, as in its handlers: models, ``enqueue`` and settings work.

    Raises:
        RuntimeError: The application reported that it could not start or stop.
    """
    async with lifespan(app):
        with _scope_of(app):
            yield


@asynccontextmanager
async def lifespan(app: Application) -> AsyncIterator[None]:
    """Send the lifespan messages of a server: the application runs in the block.

    Raises:
        LifespanFailed: The application reported that it could not start or stop.
        RuntimeError: It ended without a response.
    """
    inbox: asyncio.Queue[Message] = asyncio.Queue()
    outbox: asyncio.Queue[Message] = asyncio.Queue()
    scope: Scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
    life = asyncio.create_task(_live(app, scope, inbox.get, outbox.put))
    try:
        await _ask("startup", life, inbox, outbox)
        yield
        await _ask("shutdown", life, inbox, outbox)
    finally:
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)


def _scope_of(app: Application) -> AbstractContextManager[object]:
    """Return the scope of an add-on; for another application, a context manager that does nothing."""
    scope: Callable[[], AbstractContextManager[object]] = getattr(app, "scope", nullcontext)
    return scope()


async def _live(app: Application, scope: Scope, receive: Receive, send: Send) -> None:
    await app(scope, receive, send)


async def _ask(
    phase: str, life: asyncio.Task[None], inbox: asyncio.Queue[Message], outbox: asyncio.Queue[Message]
) -> None:
    await inbox.put({"type": f"lifespan.{phase}"})
    answer = asyncio.create_task(outbox.get())
    both: set[asyncio.Task[Any]] = {answer, life}
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    if not answer.done():
        answer.cancel()
        life.result()  # raises what ended the application, if anything did
        raise RuntimeError(f"the add-on ended without a response to 'lifespan.{phase}'")
    message = answer.result()
    if message["type"] != f"lifespan.{phase}.complete":
        raise LifespanFailed(phase, message.get("message") or message["type"])
