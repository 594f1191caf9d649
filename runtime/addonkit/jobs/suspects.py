"""Runs suspect jobs, jobs that a process died with: alone in a child process, while everything else goes on.

The child runs one suspect after another and ends when there are none, so each process of a deployment runs at most one
at a time. If it dies, this process releases its job at once. A deployment that was not read from a file, such as one
that is put together in a test, has no command for a child: then a suspect runs in this process, in a slot of its own.
"""

from __future__ import annotations

import asyncio
import secrets
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress

from addonkit.errors import AddonkitError
from addonkit.jobs.dispatcher import has_suspects
from addonkit.jobs.leases import release_worker
from addonkit.jobs.worker import JobWorker
from addonkit.log import structlog

POLL_S = 1.0
MAX_FAILED_STARTS = 2
"""Number of children that end with an error before they took a job, after which suspects run in this process."""

log = structlog.get_logger(__name__)


class SuspectRunner:
    """Runs suspect jobs until it is stopped.

    Args:
        worker: This process's worker.
        command: The command of a child process, to which the name of its worker is added; None: there is none.
        environment: The child's environment.
    """

    def __init__(self, worker: JobWorker, command: Sequence[str] | None, environment: Mapping[str, str]) -> None:
        self._worker, self._command, self._environment = worker, command, environment
        self._child: Process | None = None
        self._failed_starts = self._number = 0
        self._prefix = f"{worker.name[:40]}/{secrets.token_hex(4)}"
        self._stopping = self._was_cut = False
        self._idle = asyncio.Event()
        self._idle.set()

    async def run(self) -> None:
        """Run suspects until stopped or cancelled; the database may be unavailable meanwhile."""
        await self._worker.prepared.wait()
        while not self._stopping:
            try:
                took_any = await self._run_next()
            except AddonkitError:
                took_any = False  # the loop that leases jobs logs an unavailable database
            if not took_any:
                await asyncio.sleep(POLL_S)

    async def stop(self, within_s: float) -> bool:
        """Start no more suspects, and end the child; give whether its job finished by itself.

        Args:
            within_s: Longest time that the child gets.
        """
        self._stopping = True
        if self._child is None:
            return True
        with suppress(ProcessLookupError):
            self._child.terminate()
        try:
            async with asyncio.timeout(within_s):
                await self._idle.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                self._child.kill()
            await self._idle.wait()
        return not self._was_cut

    def hurry(self) -> None:
        """End the child at once."""
        if self._child is not None and self._child.returncode is None:
            self._child.kill()

    async def _run_next(self) -> bool:
        if not await has_suspects():
            return False
        if self._command is None or self._failed_starts >= MAX_FAILED_STARTS:
            return await self._worker.run_suspect()
        self._idle.clear()
        try:
            await self._run_child(self._command)
        finally:
            self._child = None
            self._idle.set()
        return True

    async def _run_child(self, command: Sequence[str]) -> None:
        """Run a child until it ends, and release the job that it died with."""
        self._number += 1
        name = f"{self._prefix}:{self._number}"
        try:
            # The child ends when its standard input does, so that it never outlives this process.
            self._child = await asyncio.create_subprocess_exec(
                *command, name, env=dict(self._environment), stdin=PIPE, stdout=DEVNULL
            )
        except OSError as exc:
            self._count_failed_start(type(exc).__name__)
            return
        try:
            code = await self._child.wait()
        except BaseException:
            with suppress(ProcessLookupError):
                self._child.kill()
            raise
        lost = await release_worker(name, died=not self._stopping)
        self._was_cut = self._stopping and (lost > 0 or code == 1)
        if lost or code == 0:
            self._failed_starts = 0
        elif not self._stopping:
            self._count_failed_start(f"exit code {code}")

    def _count_failed_start(self, reason: str) -> None:
        self._failed_starts += 1
        if self._failed_starts == MAX_FAILED_STARTS:
            log.warning("suspects.child_failed", reason=reason, remedy="suspect jobs run in this process instead")
