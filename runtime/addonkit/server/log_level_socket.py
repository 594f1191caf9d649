"""The local socket by which ``addonkit log-level`` reaches each process of an add-on on this machine.

Each process listens on an abstract Unix socket (Linux only), which needs no folder that both can write to, and of which
nothing remains after ``kill -9``. Its name contains a hash of the configuration's path. Processes in the same network
namespace find it in ``/proc/net/unix``; only root and the user of the process are answered, which the kernel tells by
``SO_PEERCRED``.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from addonkit.server.log_level import LogLevel
from addonkit.supervised_task import SupervisedTask

SOCKETS = Path("/proc/net/unix")
REQUEST_S, ANSWER_S = 1.0, 5.0
"""Longest times for a caller to send its request, and for a process to answer."""
MAX_BYTES = 1024
CREDENTIALS = struct.Struct("=iII")
UNMAPPED_USER = 65534
"""The number that users have who do not exist in the user namespace of this process."""


@dataclass(frozen=True, slots=True)
class ProcessLevel:
    """The level of one process.

    Attributes:
        process: What it does, such as ``worker 1``.
        pid: Its process id; 0 if it did not answer.
        level: Its level; empty if it did not answer.
        until: Unix time at which the configured level applies again; None if it applies now.
    """

    process: str
    pid: int
    level: str
    until: float | None


SILENT = ProcessLevel("no answer", 0, "", None)


@asynccontextmanager
async def adjustable(path: Path | None, level: LogLevel, process: str) -> AsyncIterator[None]:
    """Let ``addonkit log-level`` change the level of this process for the block.

    Args:
        path: The configuration, by which the command finds this process; None: it does not find it.
        level: The level of this process.
        process: What this process does, for the command's output.
    """
    level.inherit()
    listener = None if path is None else _listener(path)
    if listener is None:
        yield
        return
    with listener:
        task = SupervisedTask("log level", lambda: _serve(listener, level, process))
        try:
            yield
        finally:
            await task.cancel()


def ask_all(path: Path, request: tuple[str, float] | None = None, *, reset: bool = False) -> list[ProcessLevel]:
    """Ask all processes with a configuration for their level, after they have changed it if one is given.

    Args:
        path: The configuration.
        request: The level, and the number of seconds for which it applies.
        reset: Whether the configured level applies again.
    """
    level, seconds = request or ("", 0)
    body = {"level": level, "seconds": seconds, "reset": reset}
    found = [_ask(name, json.dumps(body).encode()) for name in _names(path)]
    return sorted(found, key=lambda one: (one.process, one.pid))


def _prefix(path: Path) -> str:
    return f"addonkit/log-level/{sha256(str(path.resolve()).encode()).hexdigest()[:16]}/"


def _listener(path: Path) -> socket.socket | None:
    """Return a listening socket; None on systems without abstract sockets."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | getattr(socket, "SOCK_CLOEXEC", 0))
    try:
        listener.bind(f"\0{_prefix(path)}{secrets.token_hex(8)}")
    except OSError:
        listener.close()
        return None
    listener.listen(8)
    listener.setblocking(False)
    return listener


async def _serve(listener: socket.socket, level: LogLevel, process: str) -> None:
    loop = asyncio.get_running_loop()
    while True:
        caller, _ = await loop.sock_accept(listener)
        with caller, suppress(OSError, TimeoutError):
            if _may_change(caller):
                async with asyncio.timeout(REQUEST_S):
                    await _answer(caller, level, process)


def _may_change(caller: socket.socket) -> bool:
    """Whether a caller is root or the user of this process."""
    user: int = CREDENTIALS.unpack(caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size))[1]
    return user == 0 or (user == os.geteuid() and user != UNMAPPED_USER)


async def _answer(caller: socket.socket, level: LogLevel, process: str) -> None:
    caller.setblocking(False)
    loop = asyncio.get_running_loop()
    received = b""
    while not received.endswith(b"\n") and len(received) < MAX_BYTES:
        if not (part := await loop.sock_recv(caller, MAX_BYTES)):
            return
        received += part
    if _apply(received, level):
        answer = ProcessLevel(process, os.getpid(), level.level, level.until)
        await loop.sock_sendall(caller, json.dumps(asdict(answer)).encode())


def _apply(received: bytes, level: LogLevel) -> bool:
    """Apply a request, and return whether it is valid."""
    try:
        asked = json.loads(received)
        if asked["reset"]:
            level.reset()
        elif asked["level"]:
            level.change(str(asked["level"]), float(asked["seconds"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        return False
    return True


def _names(path: Path) -> Iterator[str]:
    """Yield the names of the sockets of all processes with a configuration."""
    try:
        lines = SOCKETS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    prefix = f"@{_prefix(path)}"
    # The connections to a socket are listed by its name, too.
    yield from sorted({name[1:] for line in lines if (name := line.rpartition(" ")[2]).startswith(prefix)})


def _ask(name: str, request: bytes) -> ProcessLevel:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
            caller.settimeout(ANSWER_S)
            caller.connect(f"\0{name}")
            caller.sendall(request + b"\n")
            answer = json.loads(caller.recv(MAX_BYTES))
        until = answer["until"]
        return ProcessLevel(
            str(answer["process"]), int(answer["pid"]), str(answer["level"]), None if until is None else float(until)
        )
    except (OSError, ValueError, TypeError, KeyError):
        return SILENT
