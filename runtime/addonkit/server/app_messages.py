"""Messages from a connection to the application: at most some wait, and none once the request has ended."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from hypercorn.asyncio.task_group import TaskGroup, _handle
from hypercorn.config import Config

from addonkit.edge.request import Message

ENDS = ("http.disconnect", "websocket.disconnect")


class AppMessages:
    """A queue that makes its producer wait while it is full, but never after the end of the request.

    With hypercorn's queue, a connection waits for ever once the application has answered without reading the body.

    Args:
        limit: How many messages may wait.
    """

    __slots__ = ("_has_arrived", "_has_ended", "_has_space", "_limit", "_messages")

    def __init__(self, limit: int) -> None:
        self._messages: deque[Message] = deque()
        self._limit, self._has_ended = limit, False
        # Made when somebody has to wait, which few requests do.
        self._has_arrived: asyncio.Event | None = None
        self._has_space: asyncio.Event | None = None

    async def put(self, message: Message) -> None:
        """Add a message; after the end of the request it is discarded."""
        if message["type"] in ENDS:
            self._has_ended = True
            if self._has_space is not None:
                self._has_space.set()
        else:
            while len(self._messages) >= self._limit and not self._has_ended:
                self._has_space = self._has_space or asyncio.Event()
                self._has_space.clear()
                await self._has_space.wait()
            if self._has_ended:
                return
        self._messages.append(message)
        if self._has_arrived is not None:
            self._has_arrived.set()

    async def get(self) -> Message:
        """Give the next message."""
        while not self._messages:
            self._has_arrived = self._has_arrived or asyncio.Event()
            self._has_arrived.clear()
            await self._has_arrived.wait()
        if self._has_space is not None:
            self._has_space.set()
        return self._messages.popleft()


class AppTasks(TaskGroup):
    """hypercorn's tasks of one connection, whose applications receive their messages from ``AppMessages``."""

    async def spawn_app(
        self, app: Any, config: Config, scope: Any, send: Callable[[Any], Awaitable[None]]
    ) -> Callable[[Any], Awaitable[None]]:
        """Start the application for one request; return what passes messages to it."""
        messages = AppMessages(config.max_app_queue_size)
        self.spawn(_handle, app, config, scope, messages.get, send, None, None)
        return messages.put
