"""Servers in processes of their own, pinned to one core, and clients on another."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
START_LIMIT_S = 30.0
SERVERS_CORE, CLIENTS_CORE = 0, 1


class BenchError(Exception):
    """The reason why a benchmark cannot run, in one sentence."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One figure, measured in two ways; other processes on the machine affect ``cpu`` much less than ``clock``.

    Attributes:
        clock: The figure by elapsed time.
        cpu: The figure by CPU time of the server.
        failed: Number of requests that failed meanwhile.
    """

    clock: float
    cpu: float
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Server:
    """A process that serves HTTP.

    Attributes:
        port: Port on the loopback interface.
        pid: Id of the process.
        start: Seconds from the start of the process to its first response.
    """

    port: int
    pid: int
    start: Sample

    @property
    def memory_mb(self) -> float:
        """Resident memory of the process in MB."""
        done = subprocess.run(["ps", "-o", "rss=", "-p", str(self.pid)], capture_output=True, text=True, check=True)
        return int(done.stdout) / 1024


def can_pin() -> bool:
    """Whether servers and clients can be pinned to different cores."""
    return shutil.which("taskset") is not None and (os.cpu_count() or 1) >= 2


def pin_to_clients_core() -> None:
    """Pin this process to the clients' core, so that the servers have theirs to themselves."""
    if can_pin():
        os.sched_setaffinity(0, {CLIENTS_CORE})


def on_servers_core() -> list[str]:
    """Return the beginning of a command that runs on the servers' core."""
    return ["taskset", "-c", str(SERVERS_CORE)] if can_pin() else []


def free_port() -> int:
    """Return a port that is not in use."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def serving(
    command: Sequence[str | Path], port: int, path: str, env: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Run a server for the duration of the block, which starts once ``GET path`` responds with 200.

    Raises:
        BenchError: The server exited or did not respond in time; with the last line of its output.
    """
    with tempfile.TemporaryFile() as output:
        began = time.perf_counter()
        process = subprocess.Popen([*on_servers_core(), *command], env=env, stdout=output, stderr=output)
        try:
            while not is_ready(port, path):
                waited = time.perf_counter() - began
                if process.poll() is not None or waited > START_LIMIT_S:
                    output.seek(0)
                    line = output.read().decode(errors="replace").strip().rpartition("\n")[2]
                    raise BenchError(f"'{command[0]}' did not serve '{path}' within {waited:.0f} s: {line}")
                time.sleep(0.001)
            elapsed = time.perf_counter() - began
            yield Server(port, process.pid, Sample(elapsed, cpu_s(process.pid)))
        finally:
            # SIGINT stops the server at once; SIGTERM would wait for load balancers first.
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(15)
            process.kill()


@contextmanager
def bare(kind: str = "hello", server: str = "hypercorn") -> Iterator[Server]:
    """Serve an application of ``bare_asgi.py`` with the same server software as the add-on."""
    port = free_port()
    with serving([sys.executable, HERE / "bare_asgi.py", f"127.0.0.1:{port}", kind, server], port, "/") as running:
        yield running


def cpu_s(pid: int) -> float:
    """Return the CPU time that a process has used in all of its threads, in seconds: its ``time.process_time``.

    Source: Linux's MAKE_PROCESS_CPUCLOCK, the clock of clock_getcpuclockid(3).
    """
    return time.clock_gettime((~pid << 3) | 2)


def is_ready(port: int, path: str) -> bool:
    """Return whether the server responds with 200."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode()
    try:
        with socket.create_connection(("127.0.0.1", port), 10) as line:
            line.sendall(request)
            return line.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False
