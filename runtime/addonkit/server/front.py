"""What the two servers have in common, from the first connection to the last."""

from __future__ import annotations

from typing import Protocol


class HttpServer(Protocol):
    """A server on one socket."""

    async def open(self) -> None:
        """Take connections from now on."""

    def drain(self) -> None:
        """Have clients go elsewhere after the answers that they wait for; who comes is still served."""

    def close(self, idle_s: float) -> None:
        """Take no new connections; those that nothing happens on are closed after so many seconds."""

    async def gone(self) -> None:
        """Wait until the last connection has ended after ``close``, or the server has broken down."""

    async def cut(self) -> int:
        """End what is left; give how many requests were under way."""
