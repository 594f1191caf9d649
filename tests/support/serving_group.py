"""One machine of a deployment: its folder, its ports, its processes, and how much memory they use."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import orjson
import psutil

from tests.support.mixed_load import DISTRIBUTION
from tests.support.process_group import ProcessGroup

MB = 1024 * 1024


@dataclass
class ServingGroup:
    """``addonkit serve --workers N`` in a folder of its own.

    Attributes:
        folder: The folder with ``addon.toml``.
        port: The port for hosts and browsers.
        operations: The port for probes and metrics.
        workers: Number of worker processes.
        memory: By process id, the time and the resident memory in bytes of each sample.
        warm_mb: The memory of all workers once the load had gone on for a while, in MB.
    """

    folder: Path
    port: int
    operations: int
    workers: int
    memory: defaultdict[int, list[tuple[float, int]]] = field(default_factory=lambda: defaultdict(list))
    warm_mb: float = 0.0
    _processes: ProcessGroup = field(init=False)

    def __post_init__(self) -> None:
        words = ["serve", "--no-migrate", "--workers", str(self.workers), "--bind", f"127.0.0.1:{self.port}"]
        self._processes = ProcessGroup(self.folder, [words], distribution=DISTRIBUTION)

    async def start(self) -> None:
        """Start the supervisor."""
        await self._processes.start(0)

    @property
    def is_started(self) -> bool:
        """Whether all workers have started."""
        return f"{self.workers} workers)" in self._processes.log(0)

    @property
    def restarts(self) -> int:
        """Number of rolling restarts that are complete."""
        return self._processes.log(0).count("workers.restarted")

    def send(self, number: Any) -> None:
        """Send a signal to the supervisor."""
        self._processes.send(0, number)

    async def end(self) -> int:
        """End with SIGTERM; give the exit code."""
        return (await self._processes.end())[0]

    async def destroy(self) -> None:
        """Kill what still runs."""
        await self._processes.destroy()

    def lines(self) -> list[dict[str, Any]]:
        """The lines of the log; a line in another form is an error."""
        text = [line for line in self._processes.log(0).splitlines() if not line.startswith(("Slow", "Descriptor: "))]
        return [orjson.loads(line) if line.startswith("{") else {"level": "error", "event": line} for line in text]

    def exits(self) -> int:
        """Number of workers that ended by themselves."""
        return sum(line["event"] == "worker.exited" for line in self.lines())

    async def status(self, path: str) -> int:
        """The status of a path for operators; 0 if there is no response."""
        try:
            async with httpx2.AsyncClient(trust_env=False, timeout=30) as client:
                return (await client.get(f"http://127.0.0.1:{self.operations}{path}")).status_code
        except httpx2.TransportError:
            return 0

    async def metrics(self) -> str:
        """The metrics of all workers."""
        async with httpx2.AsyncClient(trust_env=False, timeout=30) as client:
            response = await client.get(f"http://127.0.0.1:{self.operations}/metrics")
        response.raise_for_status()
        return response.text

    def sample_memory(self) -> None:
        """Note how much memory each worker uses."""
        now = time.monotonic()
        for worker in psutil.Process(self._processes.pid(0)).children():
            with suppress(psutil.NoSuchProcess):
                self.memory[worker.pid].append((now, worker.memory_info().rss))

    def total_mb(self, last: bool) -> float:
        """The memory of the workers that run at the first or the last sample, in MB."""
        moments = [samples[-1 if last else 0][0] for samples in self.memory.values()]
        moment = max(moments) if last else min(moments)
        found = [samples[-1 if last else 0] for samples in self.memory.values()]
        return sum(size for when, size in found if abs(when - moment) < 1) / MB


def slope_mb_per_hour(samples: Sequence[tuple[float, int]]) -> float:
    """How fast the memory of one process grows: the slope of the regression line."""
    count = len(samples)
    mean_x, mean_y = (sum(one[axis] for one in samples) / count for axis in (0, 1))
    spread = sum((x - mean_x) ** 2 for x, _ in samples)
    return sum((x - mean_x) * (y - mean_y) for x, y in samples) / spread * 3600 / MB if spread else 0.0
