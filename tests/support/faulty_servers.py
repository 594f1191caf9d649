"""Servers that send wrong responses, byte by byte."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Responder = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def faulty(
    answer: Responder | bytes, tls: ssl.SSLContext | None = None, heads: list[bytes] | None = None
) -> AsyncIterator[str]:
    """Serve on loopback and yield the URL.

    Args:
        answer: Bytes that are sent in response to each request before the connection is closed, or a function that
            responds.
        tls: Serve HTTPS.
        heads: Receives the head of each request.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            if heads is not None:
                heads.append(head)
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await answer(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    finally:
        server.close()
        server.close_clients() if hasattr(server, "close_clients") else None


def answer(status: str, body: bytes = b"", *, length: int | None = None, **headers: str) -> bytes:
    """Encode a response; ``length`` overrides the true content length."""
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body) if length is None else length}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "connection: close", "", ""]).encode() + body
