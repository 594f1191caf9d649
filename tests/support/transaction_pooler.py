"""A connection pooler in transaction mode, as PgBouncer is: each transaction gets an idle session of the server."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit, urlunsplit

SSL_REQUEST = 80877103
REFUSAL = b"SFATAL\0C08P01\0Mtransaction blocks not allowed in statement pooling mode\0\0"
"""What PgBouncer answers to ``BEGIN`` in statement mode."""
CHOICES: dict[str, Callable[[int], int]] = {
    "last": lambda number: number - 1,
    "first": lambda _: 0,
    "random": random.Random(7).randrange,
}
"""Which of the idle sessions a transaction gets, by name."""


Message = asyncio.Task[tuple[bytes, bytes]]
"""The next message: its type, and all of its bytes."""


@dataclass(eq=False)
class Session:
    """A session of the server, with the messages that it sent at the login."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    greeting: bytes = b""


@dataclass
class TransactionPooler:
    """Relays transactions of many clients to few sessions.

    Attributes:
        target: URL of the database.
        size: Number of sessions; each of the first clients logs in to one of them.
        choice: One of ``CHOICES``.
        mode: ``transaction``; ``statement`` refuses transactions.
        url: URL of the database through the pooler.
    """

    target: str
    size: int = 1
    choice: str = "last"
    mode: str = "transaction"
    url: str = ""
    _sessions: int = 0
    _idle: list[Session] = field(default_factory=list)
    _is_idle: asyncio.Condition = field(default_factory=asyncio.Condition)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[TransactionPooler]:
        """Serve for the duration of the block."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        parts = urlsplit(self.target)
        login = parts.netloc.rpartition("@")[0]
        self.url = urlunsplit(("postgres", f"{login}@127.0.0.1:{port}", parts.path, "", ""))
        try:
            yield self
        finally:
            server.close()
            for session in self._idle:
                session.writer.transport.abort()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                await self._login(reader, writer)
                await self._serve(reader, writer)
        except asyncio.CancelledError:
            pass  # the pooler is closed
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _login(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        startup = await _startup(reader)
        if struct.unpack("!I", startup[4:8])[0] == SSL_REQUEST:
            writer.write(b"N")
            startup = await _startup(reader)
        if self._sessions >= self.size:
            async with self._is_idle:
                await self._is_idle.wait_for(lambda: self._idle)
            writer.write(self._idle[0].greeting)
            return None
        self._sessions += 1
        session = Session(*await self._connect())
        session.writer.write(startup)
        while True:
            kind, message = await _message(session.reader)
            writer.write(message)
            if kind == b"R" and struct.unpack("!I", message[5:9])[0] not in (0, 12):
                session.writer.write((await _message(reader))[1])
            elif kind in b"RSKZ":
                session.greeting += message if kind != b"R" or message[5:9] == bytes(4) else b""
            if kind == b"Z":
                return await self._release(session)
            if kind == b"E":
                raise ConnectionError("the login was refused")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay the transactions of a client."""
        coming = asyncio.create_task(_message(reader))
        try:
            while (await coming)[0] != b"X":
                if self.mode == "statement" and b"BEGIN" in coming.result()[1]:
                    writer.write(b"E" + struct.pack("!I", 4 + len(REFUSAL)) + REFUSAL)
                    await writer.drain()
                    return
                session = await self._acquire()
                try:
                    coming = await _transaction(session, coming, reader, writer)
                except BaseException:
                    session.writer.transport.abort()
                    self._sessions -= 1
                    raise
                await self._release(session)
        finally:
            coming.cancel()

    async def _acquire(self) -> Session:
        async with self._is_idle:
            await self._is_idle.wait_for(lambda: self._idle)
            return self._idle.pop(CHOICES[self.choice](len(self._idle)))

    async def _release(self, session: Session) -> None:
        async with self._is_idle:
            self._idle.append(session)
            self._is_idle.notify_all()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        parts = urlsplit(self.target)
        if folder := parse_qs(parts.query).get("host"):
            return await asyncio.open_unix_connection(f"{folder[0]}/.s.PGSQL.{parts.port or 5432}")
        return await asyncio.open_connection(parts.hostname, parts.port or 5432)


async def _startup(reader: asyncio.StreamReader) -> bytes:
    length = await reader.readexactly(4)
    return length + await reader.readexactly(struct.unpack("!I", length)[0] - 4)


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readexactly(5)
    return head[:1], head + await reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)


async def _transaction(
    session: Session, coming: Message, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Message:
    """Relay messages until no transaction is open and no query is unanswered; return the client's next message."""
    unanswered = 0
    answer = asyncio.create_task(_message(session.reader))
    try:
        while True:
            await asyncio.wait({coming, answer}, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                kind, message = answer.result()
                writer.write(message)
                unanswered -= kind == b"Z"
                if kind == b"Z" and not unanswered and message[5:6] == b"I":
                    return coming
                answer = asyncio.create_task(_message(session.reader))
            elif coming.done():
                kind, message = coming.result()
                session.writer.write(message)
                unanswered += kind in b"QS"
                coming = asyncio.create_task(_message(reader))
    finally:
        answer.cancel()
