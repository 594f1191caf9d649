"""Working in the background from a process that serves nothing: as many as one likes, on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from addonkit.app.addon import Addon
from addonkit.log import structlog
from addonkit.server.shutdown import Shutdown

log = structlog.get_logger()


async def work(addon: Addon, ending: Shutdown, stop_s: float, on_ready: Callable[[], None]) -> bool:
    """Work until the end is asked for; give whether all that was begun was also finished.

    Args:
        addon: Whose jobs are run.
        ending: Says when to end, and whether at once.
        stop_s: Longest time that jobs under way get to end.
        on_ready: Called once jobs are taken.

    Raises:
        AddonkitError: The add-on could not start.
    """
    try:
        await addon.start(working=True)
        on_ready()
        await ending.requested.wait()
        log.info("shutdown.started", mode=ending.mode.name.lower() if ending.mode else None)
        is_whole = await _finished(addon, ending, stop_s)
    finally:
        await addon.stop()
    return is_whole


async def _finished(addon: Addon, ending: Shutdown, stop_s: float) -> bool:
    """Let jobs under way end, unless nothing more is to be waited for."""
    stopping = asyncio.create_task(addon.background.stop(stop_s))
    at_once = asyncio.create_task(ending.aborted.wait())
    await asyncio.wait({stopping, at_once}, return_when=asyncio.FIRST_COMPLETED)
    at_once.cancel()
    with suppress(asyncio.CancelledError):
        await at_once
    if stopping.done():
        return stopping.result()
    stopping.cancel()
    with suppress(asyncio.CancelledError):
        await stopping
    return await addon.background.stop(0)
