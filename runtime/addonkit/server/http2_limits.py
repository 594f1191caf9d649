"""Limits on what an HTTP/2 client may send besides requests: resets, control frames, empty frames.

Such frames cost the client nearly nothing and this process a handler that is started and cancelled, or a response. They
are counted per connection before they are processed; a client that sends too many gets GOAWAY and is disconnected.
Source: CVE-2023-44487 (rapid reset), CVE-2019-9511 to 9518.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError

PREFACE_BYTES = 24
HEADER_BYTES = 9
DATA, HEADERS, RESET, WINDOW_UPDATE = 0x0, 0x1, 0x3, 0x8
END_STREAM = 0x1
SMALL_DATA_BYTES = 256

RESETS, RESETS_PER_S = 100, 10.0
"""Streams that a client may reset at once, and then in each second."""
RESETS_PER_REQUEST = 0.1
"""Further resets for each request: a proxy forwards those of many users on one connection."""
CONTROLS, CONTROLS_PER_S = 500, 50.0
"""SETTINGS, PING, PRIORITY, CONTINUATION, small DATA and unknown frames, likewise."""
WINDOW_UPDATES, WINDOW_UPDATES_PER_S = 1000, 100.0
"""WINDOW_UPDATE frames, likewise; each of them is also paid for by the data that it may acknowledge."""
DATA_PER_WINDOW_UPDATE = 1024


class Flood(ProtocolError):
    """A client has sent too many frames of a kind."""


class Allowance:
    """A token bucket: so many at once, and so many in each second."""

    __slots__ = ("_at", "_left", "_most", "_per_s")

    def __init__(self, most: int, per_s: float, now: float) -> None:
        self._most, self._per_s, self._left, self._at = most, per_s, float(most), now

    def take(self, now: float) -> bool:
        """Take one if one is left."""
        self._left = min(self._most, self._left + (now - self._at) * self._per_s)
        self._at = now
        self._left -= 1
        return self._left >= 0

    def add(self, count: float) -> None:
        """Allow more, also beyond what is allowed at once."""
        self._left += count


class FrameLimits:
    """Counts the frames that arrive on one connection, by reading their headers.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        now, self._clock = clock(), clock
        self._resets = Allowance(RESETS, RESETS_PER_S, now)
        self._controls = Allowance(CONTROLS, CONTROLS_PER_S, now)
        self._window_updates = Allowance(WINDOW_UPDATES, WINDOW_UPDATES_PER_S, now)
        self._skip, self._header = PREFACE_BYTES, b""

    def received(self, data: bytes) -> None:
        """Count the frames that begin in these bytes.

        Raises:
            Flood: There are too many of a kind.
        """
        place, now = 0, self._clock()
        while place < len(data):
            if self._skip:
                step = min(self._skip, len(data) - place)
                self._skip -= step
                place += step
                continue
            header = self._header + data[place : place + HEADER_BYTES - len(self._header)]
            place += len(header) - len(self._header)
            if len(header) < HEADER_BYTES:
                self._header = header
                return
            self._header, self._skip = b"", int.from_bytes(header[:3], "big")
            self._count(header[3], self._skip, header[4], now)

    def sent(self, size: int) -> None:
        """Note bytes that were sent: the client acknowledges them with WINDOW_UPDATE frames."""
        self._window_updates.add(size / DATA_PER_WINDOW_UPDATE)

    def _count(self, kind: int, length: int, flags: int, now: float) -> None:
        if kind == HEADERS:
            self._resets.add(RESETS_PER_REQUEST)
            return
        if kind == DATA and (length >= SMALL_DATA_BYTES or flags & END_STREAM):
            return
        if kind == RESET:
            allowance, name = self._resets, "resets"
        elif kind == WINDOW_UPDATE:
            allowance, name = self._window_updates, "window updates"
        else:
            allowance, name = self._controls, "control frames"
        if not allowance.take(now):
            raise Flood(f"too many {name}")


def limit_frames(connection: Any, on_flood: Callable[[str], None]) -> None:
    """Limit what an h2 connection receives; on a flood it sends GOAWAY and raises ``ProtocolError``.

    Args:
        connection: The ``H2Connection``.
        on_flood: Called with the reason.
    """
    limits = FrameLimits()
    receive, send = connection.receive_data, connection.data_to_send

    def receive_limited(data: bytes) -> Any:
        try:
            limits.received(data)
        except Flood as flood:
            on_flood(str(flood))
            connection.close_connection(error_code=ErrorCodes.ENHANCE_YOUR_CALM)
            raise
        return receive(data)

    def send_counted(amount: int | None = None) -> Any:
        data = send(amount)
        limits.sent(len(data))
        return data

    connection.receive_data, connection.data_to_send = receive_limited, send_counted
