"""Several serving processes on one address: started, watched, replaced and ended from one that serves nothing itself.

A worker is this very program with the sockets handed down, so that a new release is taken up by replacing workers.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress

from addonkit.log import structlog
from addonkit.server.shutdown import AT_ONCE, Shutdown, ShutdownMode
from addonkit.server.worker_process import WorkerProcess

# A worker that lived for less died at once.
SHORT_LIFE_S = 10.0
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
LAST_WORDS_S = 3.0

log = structlog.get_logger()


class _WorkerSlot:
    """A number that some worker has at any time."""

    def __init__(self, worker: WorkerProcess) -> None:
        self.worker = worker
        self.keeping: asyncio.Task[None] | None = None


class Supervisor:
    """Keeps so many workers alive until it is told to end.

    Args:
        command: What a worker runs.
        first: What is added to it for the first one of a start or a renewal, which proves the configuration.
        others: What is added to it for those behind the first.
        count: How many.
        listeners: Sockets that they are handed.
        ending_s: How long a worker's requests may take to end.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        first: Sequence[str],
        others: Sequence[str],
        count: int,
        listeners: Sequence[socket.socket],
        ending_s: float,
    ) -> None:
        self._command, self._first, self._others = command, first, others
        self._count, self._listeners, self._ending_s = count, listeners, ending_s
        self._places: dict[int, _WorkerSlot] = {}
        self._living: set[WorkerProcess] = set()
        self._ending = Shutdown()
        self._renewal = asyncio.Event()
        self._metrics = ""

    async def run(self, on_ready: Callable[[], None]) -> bool:
        """Start the workers and keep them until the end is asked for; give whether all went well.

        Args:
            on_ready: Called once all take connections.
        """
        self._heed_signals()
        with tempfile.TemporaryDirectory(prefix="addonkit-") as self._metrics:
            starting = asyncio.create_task(self._start_all())
            await self._unless_ending(starting)
            is_well = not starting.cancelled() and starting.result()
            if is_well:
                on_ready()
                await self._unless_ending(asyncio.create_task(self._renew_when_asked()))
            return await self._end_all() and (is_well or self._ending.manner is not None)

    def _heed_signals(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._ending.ask, ShutdownMode.GRACEFUL)
        loop.add_signal_handler(signal.SIGINT, self._ending.ask, ShutdownMode.FAST)
        loop.add_signal_handler(signal.SIGHUP, self._renewal.set)

    async def _unless_ending(self, task: asyncio.Task[bool] | asyncio.Task[None]) -> None:
        """Wait for a task; the end, if it is asked for first, cancels it."""
        asked = asyncio.create_task(self._ending.asked.wait())
        await asyncio.wait({task, asked}, return_when=asyncio.FIRST_COMPLETED)
        for one in (task, asked):
            if not one.done():
                await _cancelled(one)

    async def _start_all(self) -> bool:
        """Start the first worker, which migrates, and then the others; False if one did not come up."""
        if not await self._take_place(1, self._first):
            return False
        others = (self._take_place(number, self._others) for number in range(2, self._count + 1))
        return all(await asyncio.gather(*others))

    async def _take_place(self, number: int, words: Sequence[str]) -> bool:
        worker = await self._come_up(number, words)
        if worker is None:
            return False
        place = self._places[number] = _WorkerSlot(worker)
        place.keeping = asyncio.create_task(self._keep(place))
        return True

    async def _come_up(self, number: int, words: Sequence[str]) -> WorkerProcess | None:
        """Start a worker and wait until it serves; None if it does not."""
        try:
            worker = await self._start(number, words)
        except OSError as wrong:
            log.error("worker not started", worker=number, reason=wrong.strerror)
            return None
        if await worker.is_ready():
            return worker
        await self._end_of(worker)
        return None

    async def _start(self, number: int, words: Sequence[str]) -> WorkerProcess:
        command = [*self._command, *words]
        worker = await WorkerProcess.start(number, command, self._listeners, self._metrics, self._ending_s)
        self._living.add(worker)
        log.info("worker started", worker=number, pid=worker.pid)
        return worker

    async def _keep(self, place: _WorkerSlot) -> None:
        """Start another worker whenever the one in this place has ended; slower and slower if that happens at once."""
        loop = asyncio.get_running_loop()
        failures, born = 0, loop.time()
        while True:
            code = await self._end_of(place.worker)
            failures = failures + 1 if loop.time() - born < SHORT_LIFE_S else 0
            pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(failures - 1, 10)) if failures else 0.0
            log.error(
                "worker ended", worker=place.worker.number, pid=place.worker.pid, how=_how(code), again_in_s=pause
            )
            await asyncio.sleep(pause)
            born = loop.time()
            try:
                place.worker = await self._start(place.worker.number, self._others)
            except OSError as wrong:
                log.error("worker not started", worker=place.worker.number, reason=wrong.strerror)
            else:
                await place.worker.is_ready()

    async def _renew_when_asked(self) -> None:
        while True:
            await self._renewal.wait()
            self._renewal.clear()
            log.info("renewing workers", count=self._count)
            if await self._renew():
                log.info("workers renewed", count=self._count)

    async def _renew(self) -> bool:
        """Replace one worker after another; False if a new one did not come up, and the rest stayed."""
        words = self._first
        for number, place in sorted(self._places.items()):
            fresh = await self._come_up(number, words)
            if fresh is None:
                log.error("renewal broken off; the old workers stay, mend what the new one said", worker=number)
                return False
            words = self._others
            if place.keeping is not None:
                await _cancelled(place.keeping)
            old, place.worker = place.worker, fresh
            place.keeping = asyncio.create_task(self._keep(place))
            await self._dismiss(old, ShutdownMode.HANDOVER.value)
        return True

    async def _dismiss(self, worker: WorkerProcess, word: bytes) -> bool:
        """Have a worker end, in good time or by force; give whether it finished what it had begun."""
        if worker.serves:
            worker.tell(word)
        else:
            worker.call_off()
        try:
            async with asyncio.timeout(worker.patience_s):
                code = await self._end_of(worker)
        except TimeoutError:
            log.error("worker killed", worker=worker.number, pid=worker.pid, after_s=worker.patience_s)
            worker.kill()
            code = await self._end_of(worker)
        return code == 0 or not worker.serves

    async def _end_of(self, worker: WorkerProcess) -> int:
        code = await worker.ended()
        self._living.discard(worker)
        worker.let_go()
        return code

    async def _end_all(self) -> bool:
        """End all workers; give whether each finished what it had begun."""
        for place in self._places.values():
            if place.keeping is not None:
                await _cancelled(place.keeping)
        word = (self._ending.manner or ShutdownMode.FAST).value
        hurrying = asyncio.create_task(self._hurry())
        whole = await asyncio.gather(*(self._dismiss(worker, word) for worker in list(self._living)))
        await _cancelled(hurrying)
        return all(whole)

    async def _hurry(self) -> None:
        """Leave workers no more time once that is asked for."""
        await self._ending.at_once.wait()
        for worker in self._living:
            worker.tell(AT_ONCE)
        await asyncio.sleep(LAST_WORDS_S)
        for worker in self._living:
            worker.kill()


def _how(code: int) -> str:
    """How a process ended, in words."""
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


async def _cancelled(task: asyncio.Task[bool] | asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
