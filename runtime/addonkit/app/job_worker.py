"""Runs jobs in a process that serves nothing: ``addonkit work``, any number of times, on PostgreSQL.

On both databases the same command runs suspect jobs in a child process of one that serves or works.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from contextlib import suppress

from addonkit.app.addon import Addon
from addonkit.log import structlog
from addonkit.server.operations_listener import OperationsListener
from addonkit.server.shutdown import Shutdown, ShutdownMode
from addonkit.supervised_task import SupervisedTask

EXIT_WITHOUT_PARENT = 70

log = structlog.get_logger()


async def work(
    addon: Addon,
    shutdown: Shutdown,
    stop_s: float,
    on_ready: Callable[[], None],
    operations: OperationsListener | None = None,
) -> bool:
    """Run jobs until a shutdown is requested, and serve probes and metrics meanwhile.

    Args:
        addon: The add-on whose jobs are run.
        shutdown: Requests the end, and whether running jobs may finish.
        stop_s: Longest time for running jobs to finish, in seconds.
        on_ready: Called once jobs are being leased.
        operations: The listener for probes and metrics; None if there is none.

    Returns:
        Whether every job that was started has finished in time.

    Raises:
        AddonkitError: The add-on could not start.
    """
    # Not every deployment has probes: it ends by itself, so that its service manager replaces it.
    addon.on_exhausted = lambda: shutdown.request(ShutdownMode.GRACEFUL)
    listening = None
    try:
        await addon.start(working=True)
        if operations is not None:
            listening = SupervisedTask("operations listener", operations.run)
        on_ready()
        await shutdown.requested.wait()
        log.info("shutdown.started", mode=shutdown.mode.name.lower() if shutdown.mode else None)
        addon.draining = True
        all_finished = await _stop_jobs(addon, shutdown, stop_s)
    finally:
        await addon.stop()
        if listening is not None:
            await listening.cancel()
    return all_finished


async def run_suspects(addon: Addon, worker: str, shutdown: Shutdown, stop_s: float) -> bool:
    """Run suspect jobs, one after another, until there are none or a shutdown is requested.

    Args:
        addon: The add-on whose jobs are run.
        worker: Name of the worker, by which the parent process releases its job if this process dies.
        shutdown: Requests the end, and whether the running job may finish.
        stop_s: Longest time that the running job gets to finish.

    Returns:
        Whether every job that was started finished by itself.

    Raises:
        AddonkitError: The add-on could not start.
    """
    try:
        await addon.start(working=False)
        with addon.scope():
            task = addon.background.start_suspects(worker)
            requested = asyncio.create_task(shutdown.requested.wait())
            ended = asyncio.create_task(task.wait(None))
            await asyncio.wait({requested, ended}, return_when=asyncio.FIRST_COMPLETED)
            all_finished = await _stop_jobs(addon, shutdown, stop_s)
            requested.cancel()
    finally:
        await addon.stop()
    return all_finished


def exit_with_parent() -> None:
    """End this process at once when its standard input ends, which is a pipe from its parent process."""

    def wait() -> None:
        while os.read(0, 64):
            pass
        os._exit(EXIT_WITHOUT_PARENT)

    threading.Thread(target=wait, name="parent", daemon=True).start()


async def _stop_jobs(addon: Addon, shutdown: Shutdown, stop_s: float) -> bool:
    """Let running jobs finish, unless a second signal aborts the shutdown."""
    stopping = asyncio.create_task(addon.background.stop(stop_s))
    at_once = asyncio.create_task(shutdown.aborted.wait())
    await asyncio.wait({stopping, at_once}, return_when=asyncio.FIRST_COMPLETED)
    at_once.cancel()
    with suppress(asyncio.CancelledError):
        await at_once
    if stopping.done():
        return stopping.result()
    stopping.cancel()
    with suppress(asyncio.CancelledError):
        await stopping
    await addon.background.stop(0)
    return False
