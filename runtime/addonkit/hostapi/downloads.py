"""Downloads: streams a file of a site, from the site itself or from the file server that it redirects to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import httpx2

from addonkit.errors import HostUnavailable, ResponseInvalid
from addonkit.hostapi.call import CallProgress, HostCall
from addonkit.hostapi.error_responses import error_of
from addonkit.hostapi.file_server import FileServer
from addonkit.hostapi.retry import REDIRECT_STATUSES
from addonkit.hostapi.transport import RawResponse

MAX_CONCURRENT = 16
"""Maximum number of downloads of one process at the same time; each holds a connection while it is read."""

SendCall = Callable[[HostCall, float, CallProgress], Awaitable[RawResponse]]
"""Sends a call within a number of seconds; see ``SiteHost``."""


@dataclass(slots=True)
class FileDownload:
    """A file that is being received; see ``addonkit.host.Download``."""

    call: HostCall
    server: str
    response: httpx2.Response
    deadline: float
    headers: Mapping[str, str] = field(init=False, repr=False)
    content_type: str = field(init=False)
    size: int | None = field(init=False)
    _received: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.headers = self.response.headers
        self.content_type = self.headers.get("content-type", "application/octet-stream")
        length = self.headers.get("content-length", "")
        self.size = int(length) if length.isascii() and length.isdecimal() and len(length) < 19 else None
        if self.headers.get("content-encoding", "identity").strip().lower() != "identity":
            raise ResponseInvalid(f"the file of '{self.call.label}' is compressed, although that was not accepted")
        self._check_size(self.size or 0)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the file in pieces."""
        pieces = self.response.aiter_raw()
        while True:
            try:
                async with asyncio.timeout_at(self.deadline):
                    piece = await anext(pieces)
            except StopAsyncIteration:
                return
            except httpx2.TransportError as error:
                raise HostUnavailable(
                    f"'{self.server}' closed the connection before the file of '{self.call.label}' was complete "
                    f"({type(error).__name__}); try again later",
                    sent=True,
                ) from error
            except TimeoutError:
                raise HostUnavailable(
                    f"the file of '{self.call.label}' was not received completely within the call's deadline; raise "
                    "deadline_s",
                    sent=True,
                ) from None
            self._received += len(piece)
            self._check_size(self._received)
            yield piece

    async def read(self) -> bytes:
        """Return the whole file."""
        return b"".join([piece async for piece in self])

    def _check_size(self, size: int) -> None:
        if size > self.call.max_bytes:
            raise ResponseInvalid(
                f"the file of '{self.call.label}' is larger than {self.call.max_bytes} bytes; raise max_bytes",
                status=200,
            )


class Downloads:
    """Opens downloads; each process has one instance.

    Args:
        files: Requests files that are on another origin.
    """

    def __init__(self, files: FileServer) -> None:
        self._files = files
        self._slots = asyncio.Semaphore(MAX_CONCURRENT)

    @asynccontextmanager
    async def receive(self, call: HostCall, send: SendCall, deadline_s: float) -> AsyncIterator[FileDownload]:
        """Send a call and give the file, from the site or from the file server that it redirects to.

        Args:
            call: The call; it is sent as a streamed one.
            send: Sends it.
            deadline_s: Maximum duration until the end of the file, in seconds.

        Raises:
            HostUnavailable: There is no complete response within the deadline, or too many downloads are running.
            HostError: The response is an error, or its redirect may not be followed.
        """
        now = asyncio.get_running_loop().time
        ends_at, progress = now() + deadline_s, CallProgress()
        call = replace(call, streamed=True, headers={**call.headers, "accept-encoding": "identity"})
        async with self._slot(call, ends_at):
            try:
                response = await send(call, ends_at - now(), progress)
                yield await self._opened(call, response, progress, ends_at)
            finally:
                if progress.stream is not None:
                    await progress.stream.aclose()

    async def _opened(
        self, call: HostCall, response: RawResponse, progress: CallProgress, deadline: float
    ) -> FileDownload:
        """Return the file of a response, and follow a redirect to a file server."""
        if response.stream is not None:
            return FileDownload(call, response.stream.request.url.host, response.stream, deadline)
        location = response.headers.get("location")
        if response.status not in REDIRECT_STATUSES or not location:
            raise error_of(response, call.label, call.tenant.base_url)
        try:
            async with asyncio.timeout_at(deadline):
                progress.stream = stream = await self._files.open(call, location)
        except TimeoutError:
            raise HostUnavailable(
                f"the file server of '{call.label}' did not respond within the call's deadline; raise deadline_s",
                sent=True,
            ) from None
        return FileDownload(call, stream.request.headers["host"], stream, deadline)

    @asynccontextmanager
    async def _slot(self, call: HostCall, deadline: float) -> AsyncIterator[None]:
        """Wait for a slot and hold it for the block."""
        try:
            async with asyncio.timeout_at(deadline):
                await self._slots.acquire()
        except TimeoutError:
            raise HostUnavailable(
                f"'{call.label}' was not sent, because {MAX_CONCURRENT} other downloads are running; try again later",
                sent=False,
                retry_after_s=5.0,
            ) from None
        try:
            yield
        finally:
            self._slots.release()

    async def close(self) -> None:
        """Close all connections to file servers."""
        await self._files.close()
