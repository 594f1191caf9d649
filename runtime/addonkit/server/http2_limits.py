"""Limits on what an HTTP/2 client may send besides requests: resets, control frames, small frames, and violations.

Such frames cost the client nearly nothing and this process a handler that is started and cancelled, or a response. They
are counted per connection before they are processed; a client that sends too many gets GOAWAY and is disconnected.
Source: CVE-2023-44487 (rapid reset), CVE-2019-9511 to 9518, CVE-2024-27316 (CONTINUATION), CVE-2025-8671 (resets that
the client makes the server send).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError

PREFACE_BYTES = 24
HEADER_BYTES = 9
DATA, HEADERS, RESET, SETTINGS, WINDOW_UPDATE = 0x0, 0x1, 0x3, 0x4, 0x8
SMALL_DATA_BYTES = 256
SMALL_SETTINGS_BYTES = 64

RESETS, RESETS_PER_S = 100, 10.0
"""Streams that a client may reset, or make the server reset, at once, and then in each second."""
RESETS_PER_REQUEST = 0.1
"""Further resets for each request: a proxy forwards those of many users on one connection."""
CONTROLS, CONTROLS_PER_S = 500, 50.0
"""SETTINGS, PING, PRIORITY, CONTINUATION, small DATA, HEADERS that open no stream, and unknown frames, likewise."""
CONTROLS_PER_REQUEST = 3
"""Further control frames for each request: the end of its body, trailers, its priority."""
CONTROLS_PER_RESPONSE_FRAME = 1
"""Further control frames for each frame that the server sends: some clients measure a download with PING."""
WINDOW_UPDATES, WINDOW_UPDATES_PER_S = 1000, 100.0
"""WINDOW_UPDATE frames, likewise; each of them is also paid for by the data that it may acknowledge."""
DATA_PER_WINDOW_UPDATE = 1024
WINDOW_UPDATES_PER_DATA_FRAME = 2
"""A client may acknowledge each frame twice, for its stream and for the connection."""
SLICE_BYTES = 8192
"""So much is processed between two checks of what the server has reset."""
OWN_REASONS = frozenset({ErrorCodes.NO_ERROR, ErrorCodes.INTERNAL_ERROR, ErrorCodes.REFUSED_STREAM, ErrorCodes.CANCEL})
"""Why the server resets a stream that its client has used correctly."""


class Flood(ProtocolError):
    """A client has sent too many frames of a kind."""


class Allowance:
    """A token bucket: so many at once, and so many in each second."""

    __slots__ = ("_at", "_left", "_most", "_per_s")

    def __init__(self, most: int, per_s: float, now: float) -> None:
        self._most, self._per_s, self._left, self._at = most, per_s, float(most), now

    def take(self, now: float, count: int = 1) -> bool:
        """Take some if they are left."""
        self._left = min(self._most, self._left + (now - self._at) * self._per_s)
        self._at = now
        self._left -= count
        return self._left >= 0

    def add(self, count: float) -> None:
        """Allow more, up to what is allowed at once."""
        self._left = min(self._most, self._left + count)


class FrameLimits:
    """Counts the frames that arrive on one connection, by reading their headers, and those that are sent.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        now, self._clock = clock(), clock
        self._resets = Allowance(RESETS, RESETS_PER_S, now)
        self._controls = Allowance(CONTROLS, CONTROLS_PER_S, now)
        self._window_updates = Allowance(WINDOW_UPDATES, WINDOW_UPDATES_PER_S, now)
        self._skip, self._header = PREFACE_BYTES, b""
        self._last_stream = 0
        self._has_provoked = False

    def received(self, data: bytes) -> None:
        """Count the frames that begin in these bytes.

        Raises:
            Flood: There are too many of a kind, or the server has reset too many streams.
        """
        if self._has_provoked:
            raise Flood("too many streams that the server had to reset")
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
            self._count(header[3], self._skip, header[4], int.from_bytes(header[5:], "big") & 0x7FFFFFFF, now)

    def sent(self, data: bytes) -> None:
        """Count whole frames that are sent: data may be acknowledged, and a reset may be the client's fault."""
        place = 0
        while place < len(data):
            length, kind = int.from_bytes(data[place : place + 3], "big"), data[place + 3]
            place += HEADER_BYTES
            if kind == DATA:
                self._window_updates.add(WINDOW_UPDATES_PER_DATA_FRAME + length / DATA_PER_WINDOW_UPDATE)
                self._controls.add(CONTROLS_PER_RESPONSE_FRAME)
            elif kind == RESET and int.from_bytes(data[place : place + 4], "big") not in OWN_REASONS:
                self._has_provoked = not self._resets.take(self._clock()) or self._has_provoked
            place += length

    def _count(self, kind: int, length: int, flags: int, stream: int, now: float) -> None:
        if kind == HEADERS and stream > self._last_stream:
            self._last_stream = stream
            self._resets.add(RESETS_PER_REQUEST)
            self._controls.add(CONTROLS_PER_REQUEST)
            return
        if kind == DATA and length >= SMALL_DATA_BYTES:
            return
        count = 1
        if kind == RESET:
            allowance, name = self._resets, "resets"
        elif kind == WINDOW_UPDATE:
            allowance, name = self._window_updates, "window updates"
        else:
            allowance, name = self._controls, "control frames"
            if kind == SETTINGS:
                count += length // SMALL_SETTINGS_BYTES
        if not allowance.take(now, count):
            raise Flood(f"too many {name}")


def limit_frames(connection: Any, on_flood: Callable[[str], None]) -> None:
    """Limit what an h2 connection receives; on a flood it sends GOAWAY and raises ``ProtocolError``.

    Args:
        connection: The ``H2Connection``.
        on_flood: Called with the reason.
    """
    limits = FrameLimits()
    receive, send = connection.receive_data, connection.data_to_send
    unsent = bytearray()

    def receive_limited(data: bytes) -> list[Any]:
        events: list[Any] = []
        try:
            for place in range(0, len(data), SLICE_BYTES):
                piece = data[place : place + SLICE_BYTES]
                limits.received(piece)
                events += receive(piece)
                take_output()
        except Flood as flood:
            on_flood(str(flood))
            connection.close_connection(error_code=ErrorCodes.ENHANCE_YOUR_CALM)
            raise
        return events

    def take_output() -> None:
        output = send()
        limits.sent(output)
        unsent.extend(output)

    def data_to_send() -> bytes:
        take_output()
        output = bytes(unsent)
        unsent.clear()
        return output

    connection.receive_data, connection.data_to_send = receive_limited, data_to_send
