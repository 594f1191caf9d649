"""Servers in processes of their own, pinned to one core, and wrk on another."""

from __future__ import annotations

import json
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
CONNECTIONS = 32
ATTEMPTS = 5
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
    """

    clock: float
    cpu: float


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
    pinned = ["taskset", "-c", str(SERVERS_CORE)] if can_pin() else []
    with tempfile.TemporaryFile() as output:
        began = time.perf_counter()
        process = subprocess.Popen([*pinned, *command], env=env, stdout=output, stderr=output)
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


def cpu_s(pid: int) -> float:
    """Return the CPU time that a process has used, in seconds.

    Source: proc(5), fields 14 and 15 of ``stat``.
    """
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def is_ready(port: int, path: str) -> bool:
    """Return whether the server responds with 200."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode()
    try:
        with socket.create_connection(("127.0.0.1", port), 10) as line:
            line.sendall(request)
            return line.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def find_wrk() -> None:
    """Install wrk with apt-get if it is missing.

    Raises:
        BenchError: wrk is missing and cannot be installed.
    """
    if shutil.which("wrk") is None and os.geteuid() == 0 and shutil.which("apt-get"):
        print("wrk is not installed; installing it with apt-get", file=sys.stderr)
        subprocess.run(["apt-get", "install", "-y", "-qq", "wrk"], stdout=subprocess.DEVNULL, check=False)
    if shutil.which("wrk") is None:
        raise BenchError("wrk is not on PATH; install your system's package 'wrk' and run this again")


def requests_per_second(server: Server, paths: Sequence[str], seconds: int) -> Sample:
    """Return the requests that a server answers per second, sent to these paths in turn.

    Raises:
        BenchError: The server refused some requests, or answered none in several runs.
    """
    for _ in range(ATTEMPTS):
        before = cpu_s(server.pid)
        counted = run_wrk(server.port, paths, seconds)
        used = cpu_s(server.pid) - before
        if counted["refused"]:
            raise BenchError(f"{counted['refused']} of {counted['requests']} requests were refused")
        if counted["requests"] and used:
            return Sample(counted["requests"] / counted["duration_us"] * 1e6, counted["requests"] / used)
    raise BenchError(f"no request was answered in {ATTEMPTS} runs of {seconds} s; this machine is too busy")


def run_wrk(port: int, paths: Sequence[str], seconds: int) -> dict[str, int]:
    """Run wrk and return its counts; ``rotate.lua`` prints them.

    Raises:
        BenchError: wrk failed.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(paths) + "\n")
        file.flush()
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", HERE / "rotate.lua"]
        command += [f"http://127.0.0.1:{port}", "--", file.name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0 or not done.stdout:
        raise BenchError(f"wrk failed: {done.stderr.strip() or done.stdout.strip()}")
    counted: dict[str, int] = json.loads(done.stdout.strip().splitlines()[-1])
    return counted
