"""What processes that serve or run jobs have in common: the garbage collector at the start, the event loop, the end."""

from __future__ import annotations

import asyncio
import atexit
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the garbage collector until the event loop runs, or until the start has failed.

    A start creates modules and classes, which stay. Searching them for garbage takes a twentieth of its time.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def resume_collector() -> None:
    """Resume the garbage collector; it never searches the objects that exist now, which makes its pauses shorter."""
    gc.freeze()
    gc.enable()


def fast_loop() -> asyncio.Runner:
    """Return a runner with uvloop's event loop if uvloop is installed, and with asyncio's otherwise.

    The start has ended: the garbage collector resumes.
    """
    resume_collector()
    try:
        import uvloop
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


def exit_at_once(code: int) -> NoReturn:
    """End the process without finalizing the interpreter, after the functions of ``atexit`` and what is buffered.

    Threads of granian that are left after an aborted request may enter Python at any time. While the interpreter is
    being finalized, Python ends such a thread in a way that Rust does not allow, and Rust aborts the process.
    """
    atexit._run_exitfuncs()  # noqa: SLF001 - there is no public way
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # it may be closed, or None
            stream.flush()
    os._exit(code)
