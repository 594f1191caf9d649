"""A forward proxy that tunnels connections (CONNECT) to servers on this machine."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class ForwardProxy:
    """The proxy; no name is resolved.

    Attributes:
        ports: The local port by the name that a client connects to; other names get 502.
        login: ``user:password`` that it demands; None demands nothing.
        tunnels: The names to which tunnels were opened, oldest first.
        heads: The head of each request.
        url: Its URL, without a login.
    """

    ports: dict[str, int] = field(default_factory=dict)
    login: str | None = None
    tunnels: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    url: str = ""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @asynccontextmanager
    async def serve(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
        """Serve on a free port of loopback; yields the URL."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=tls)
        port = server.sockets[0].getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://{'localhost' if tls else '127.0.0.1'}:{port}"
        try:
            yield self.url
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def url_with(self, login: str) -> str:
        """Return the URL with a login."""
        return self.url.replace("://", f"://{login}@")

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._answer(reader, writer)
        finally:
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.heads.append(head)
            method, target, _ = head.split(" ", 2)
            name = target.rpartition(":")[0]
            refusal = self._refusal(method, name, head)
            if refusal is None:
                await self._tunnel(name, reader, writer)
            else:
                writer.write(f"HTTP/1.1 {refusal}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
                await writer.drain()
                writer.close()
                await writer.wait_closed()

    def _refusal(self, method: str, name: str, head: str) -> str | None:
        if method != "CONNECT":
            return "405 Method Not Allowed"
        if self.login is not None:
            expected = base64.b64encode(self.login.encode()).decode()
            if f"proxy-authorization: basic {expected}".lower() not in head.lower():
                return "407 Proxy Authentication Required"
        return None if name in self.ports else "502 Bad Gateway"

    async def _tunnel(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tunnels.append(name)
        above, below = await asyncio.open_connection("127.0.0.1", self.ports[name])
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await writer.drain()
        try:
            await asyncio.gather(_copy(reader, below), _copy(above, writer))
        finally:
            below.transport.abort()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    with suppress(OSError, RuntimeError):
        target.write_eof() if target.can_write_eof() else target.close()
