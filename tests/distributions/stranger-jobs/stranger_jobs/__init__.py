"""A plugin with jobs that last, kill their process or do not let themselves be ended; each appends to a file."""

import asyncio
import os
import signal
import time
from pathlib import Path

from addonkit import Attempt, Plugin

plugin = Plugin("stranger_jobs", __name__)
EFFECTS = Path("effects")


def tell(what: str, job: int) -> None:
    with EFFECTS.open("a") as file:
        file.write(f"{what} {job} {os.getpid()} {time.time()}\n")


@plugin.job(timeout_s=60)
async def last(seconds: float, attempt: Attempt) -> None:
    tell("begins", attempt.job_id)
    await asyncio.sleep(seconds)
    tell("ends", attempt.job_id)


@plugin.job(timeout_s=60)
async def kill(seconds: float, attempt: Attempt) -> None:
    tell("begins", attempt.job_id)
    await asyncio.sleep(seconds)
    os.kill(os.getpid(), signal.SIGKILL)


@plugin.job(timeout_s=60)
async def leave(seconds: float, attempt: Attempt) -> None:
    tell("begins", attempt.job_id)
    await asyncio.sleep(seconds)
    os._exit(0)


@plugin.job(timeout_s=1)
async def cling(seconds: float, attempt: Attempt) -> None:
    tell("begins", attempt.job_id)
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        try:
            await asyncio.sleep(left)
        except asyncio.CancelledError:
            continue
    tell("ends", attempt.job_id)
