"""Supervisor: starts, restarts, replaces and stops several worker processes on one address; it serves nothing itself.

A worker runs the same program with the sockets inherited, so that a rolling restart also starts a new release.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

from addonkit.backoff import backoff_s
from addonkit.log import structlog
from addonkit.server.service_manager import ServiceManager
from addonkit.server.shutdown import ABORT, Shutdown, ShutdownMode
from addonkit.server.worker_process import WorkerProcess
from addonkit.temporary_folder import LockedFolder, locked_folder

# A worker that exits sooner counts as failed at start: its restart is delayed.
MIN_LIFETIME_S = 10.0
FIRST_PAUSE_S = 0.5
MAX_PAUSE_S = 30.0
# How long workers have between ABORT and SIGKILL.
ABORT_S = 3.0
# How often workers are checked in one interval of the service manager's watchdog.
BEAT_CHECKS = 6
# The folder of the workers' metrics. Workers share its lock, for they outlive a supervisor that is killed.
METRICS_PREFIX = "addonkit-metrics-"

log = structlog.get_logger()


class _WorkerSlot:
    """A worker number, with the process that has it now and the task that restarts it."""

    def __init__(self, worker: WorkerProcess) -> None:
        self.worker = worker
        self.restarting: asyncio.Task[None] | None = None


class Supervisor:
    """Keeps a number of workers running until a shutdown is requested.

    Args:
        command: What a worker runs.
        first_options: Added to the command of the first worker of a start or of a rolling restart, which proves that
            the configuration works.
        other_options: Added to the command of all other workers.
        count: Number of workers.
        listeners: Sockets that they inherit.
        requests_s: Longest time for a worker's requests to complete.
        close_s: Longest time until workers close their listeners at a shutdown.
        manager: The service manager. If it has a watchdog, workers whose beat stops for as long are replaced.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        first_options: Sequence[str],
        other_options: Sequence[str],
        count: int,
        listeners: Sequence[socket.socket],
        requests_s: float,
        close_s: float = 12.0,
        manager: ServiceManager | None = None,
    ) -> None:
        self._close_s = close_s
        self._manager = manager or ServiceManager()
        self._command, self._first_options, self._other_options = command, first_options, other_options
        self._count, self._listeners, self._requests_s = count, listeners, requests_s
        self._slots: dict[int, _WorkerSlot] = {}
        self._processes: set[WorkerProcess] = set()
        self._shutdown = Shutdown()
        self._restart_requested = asyncio.Event()
        self._metrics: LockedFolder

    async def run(self, on_ready: Callable[[], None]) -> bool:
        """Start the workers and keep them running until a shutdown; return whether all started and none was aborted.

        Args:
            on_ready: Called once all workers accept connections.
        """
        self._handle_signals()
        with locked_folder(METRICS_PREFIX) as self._metrics:
            async with self._manager.watching(self._shutdown):
                starting = asyncio.create_task(self._start_all())
                await self._run_until_shutdown(starting)
                is_started = not starting.cancelled() and starting.result()
                if is_started:
                    on_ready()
                    self._manager.ready(f"{self._count} workers serve")
                    watching = asyncio.create_task(self._replace_hung())
                    await self._run_until_shutdown(asyncio.create_task(self._restart_on_request()))
                    await _cancel(watching)
                return await self._stop_all() and (is_started or self._shutdown.mode is not None)

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._shutdown.request, ShutdownMode.GRACEFUL)
        loop.add_signal_handler(signal.SIGINT, self._shutdown.request, ShutdownMode.FAST)
        loop.add_signal_handler(signal.SIGHUP, self._restart_requested.set)

    async def _run_until_shutdown(self, task: asyncio.Task[bool] | asyncio.Task[None]) -> None:
        """Wait until a task ends or a shutdown is requested; a shutdown cancels the task."""
        requested = asyncio.create_task(self._shutdown.requested.wait())
        await asyncio.wait({task, requested}, return_when=asyncio.FIRST_COMPLETED)
        for one in (task, requested):
            if not one.done():
                await _cancel(one)

    async def _start_all(self) -> bool:
        """Start the first worker, which migrates, and then the others; False if one of them did not start."""
        if not await self._fill_slot(1, self._first_options):
            return False
        others = (self._fill_slot(number, self._other_options) for number in range(2, self._count + 1))
        return all(await asyncio.gather(*others))

    async def _fill_slot(self, number: int, options: Sequence[str]) -> bool:
        worker = await self._start_and_wait(number, options)
        if worker is None:
            return False
        slot = self._slots[number] = _WorkerSlot(worker)
        slot.restarting = asyncio.create_task(self._restart_on_exit(slot))
        return True

    async def _start_and_wait(self, number: int, options: Sequence[str]) -> WorkerProcess | None:
        """Start a worker and wait until it accepts connections; None if it does not."""
        try:
            worker = await self._start(number, options)
        except OSError as error:
            log.error("worker.start_failed", worker=number, reason=error.strerror)
            return None
        if await worker.wait_ready():
            return worker
        await self._wait_exit(worker)
        return None

    async def _start(self, number: int, options: Sequence[str]) -> WorkerProcess:
        worker = await WorkerProcess.start(
            number,
            [*self._command, *options],
            listeners=self._listeners,
            metrics=self._metrics,
            requests_s=self._requests_s,
            beat_s=self._manager.watchdog_s,
        )
        self._processes.add(worker)
        log.info("worker.started", worker=number, pid=worker.pid)
        return worker

    async def _restart_on_exit(self, slot: _WorkerSlot) -> None:
        """Start a new worker whenever the one in this slot exits, with back-off if that happens soon after a start."""
        loop = asyncio.get_running_loop()
        failures, started_at = 0, loop.time()
        while True:
            code = await self._wait_exit(slot.worker)
            failures = failures + 1 if loop.time() - started_at < MIN_LIFETIME_S else 0
            pause_s = backoff_s(failures, first_s=FIRST_PAUSE_S, longest_s=MAX_PAUSE_S, jitter=False)
            log.error(
                "worker.exited",
                worker=slot.worker.number,
                pid=slot.worker.pid,
                reason=_exit_reason(code),
                restart_in_s=pause_s,
            )
            await asyncio.sleep(pause_s)
            started_at = loop.time()
            try:
                slot.worker = await self._start(slot.worker.number, self._other_options)
            except OSError as error:
                log.error("worker.start_failed", worker=slot.worker.number, reason=error.strerror)
            else:
                await slot.worker.wait_ready()

    async def _restart_on_request(self) -> None:
        while True:
            await self._restart_requested.wait()
            self._restart_requested.clear()
            log.info("workers.restart_started", count=self._count)
            self._manager.reloading()
            is_restarted = await self._rolling_restart()
            if is_restarted:
                log.info("workers.restarted", count=self._count)
            self._manager.ready(f"{self._count} workers serve{'' if is_restarted else '; the last reload failed'}")

    async def _replace_hung(self) -> None:
        """Kill workers whose beat has stopped, because their event loop is blocked; their slots start others."""
        if (limit_s := self._manager.watchdog_s) is None:
            return
        loop, checked_at = asyncio.get_running_loop(), asyncio.get_running_loop().time()
        while True:
            await asyncio.sleep(limit_s / BEAT_CHECKS)
            if loop.time() - checked_at < limit_s / 2:  # otherwise the whole machine stood still
                for worker in [slot.worker for slot in self._slots.values()]:
                    if worker.is_serving and loop.time() - worker.beat_at > limit_s:
                        log.error("worker.hung", worker=worker.number, pid=worker.pid, after_s=limit_s)
                        worker.kill()
            checked_at = loop.time()

    async def _rolling_restart(self) -> bool:
        """Replace one worker after another; False if a new one did not start, and the remaining old ones stay."""
        options = self._first_options
        for number, slot in sorted(self._slots.items()):
            replacement = await self._start_and_wait(number, options)
            if replacement is None:
                log.error("workers.restart_failed", worker=number, remedy="fix what the new worker logged")
                return False
            options = self._other_options
            if slot.restarting is not None:
                await _cancel(slot.restarting)
            old, slot.worker = slot.worker, replacement
            slot.restarting = asyncio.create_task(self._restart_on_exit(slot))
            await self._stop(old, ShutdownMode.HANDOVER)
        return True

    async def _stop(self, worker: WorkerProcess, mode: ShutdownMode) -> bool:
        """Stop a worker, and kill it after ``stop_timeout_s``; return whether it completed its requests."""
        if worker.is_serving:
            worker.send(mode.value)
        else:
            worker.terminate_group()
        try:
            async with asyncio.timeout(worker.stop_timeout_s):
                code = await self._wait_exit(worker)
        except TimeoutError:
            log.error("worker.killed", worker=worker.number, pid=worker.pid, after_s=worker.stop_timeout_s)
            worker.kill()
            code = await self._wait_exit(worker)
        return code == 0 or not worker.is_serving

    async def _wait_exit(self, worker: WorkerProcess) -> int:
        code = await worker.wait()
        self._processes.discard(worker)
        await worker.release()
        return code

    async def _stop_all(self) -> bool:
        """Stop all workers; return whether each completed its requests."""
        for slot in self._slots.values():
            if slot.restarting is not None:
                await _cancel(slot.restarting)
        mode = self._shutdown.mode or ShutdownMode.FAST
        aborting = asyncio.create_task(self._abort_on_request())
        closing = asyncio.create_task(self._close_listeners(list(self._processes)))
        completed = await asyncio.gather(*(self._stop(worker, mode) for worker in list(self._processes)))
        await closing
        await _cancel(aborting)
        return all(completed)

    async def _close_listeners(self, workers: Sequence[WorkerProcess]) -> None:
        """Close the sockets as soon as no worker accepts connections on them: the kernel would go on establishing some.

        A worker that does not respond would keep them open, so that after a while they are shut down for it, too.
        """
        try:
            async with asyncio.timeout(self._close_s):
                await asyncio.gather(*(worker.wait_listener_closed() for worker in workers))
        except TimeoutError:
            for listener in self._listeners:
                listener.shutdown(socket.SHUT_RDWR)
        for listener in self._listeners:
            listener.close()

    async def _abort_on_request(self) -> None:
        """Abort and then kill the workers once the shutdown is aborted."""
        await self._shutdown.aborted.wait()
        for worker in self._processes:
            worker.send(ABORT)
        await asyncio.sleep(ABORT_S)
        for worker in self._processes:
            worker.kill()


def _exit_reason(code: int) -> str:
    """How a process exited, in words."""
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


async def _cancel(task: asyncio.Task[bool] | asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
