"""This machine: two cores kept apart, servers as processes of their own, and wrk."""

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
    """Why nothing can be measured, in one sentence."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One figure, twice: others who use the machine disturb the first and hardly the second.

    Attributes:
        clock: By the clock on the wall.
        cpu: By the time that the server had its core.
    """

    clock: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Server:
    """A process that serves HTTP.

    Attributes:
        port: On the loopback interface.
        pid: Of the process.
        start: Seconds from its start to its first answer.
    """

    port: int
    pid: int
    start: Sample

    @property
    def memory_mb(self) -> float:
        """What it holds in memory now (resident set)."""
        said = subprocess.run(["ps", "-o", "rss=", "-p", str(self.pid)], capture_output=True, text=True, check=True)
        return int(said.stdout) / 1024


def can_pin() -> bool:
    """Whether servers and clients can be kept on cores of their own."""
    return shutil.which("taskset") is not None and (os.cpu_count() or 1) >= 2


def keep_to_clients_core() -> None:
    """Leave the servers' core to the servers."""
    if can_pin():
        os.sched_setaffinity(0, {CLIENTS_CORE})


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def serving(
    command: Sequence[str | Path], port: int, path: str, env: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Run a server for the block, which is entered when it has answered ``GET path`` with 200.

    Raises:
        BenchError: It ended, or did not answer in time; with its last words.
    """
    pinned = ["taskset", "-c", str(SERVERS_CORE)] if can_pin() else []
    with tempfile.TemporaryFile() as said:
        began = time.perf_counter()
        process = subprocess.Popen([*pinned, *command], env=env, stdout=said, stderr=said)
        try:
            while not answers(port, path):
                waited = time.perf_counter() - began
                if process.poll() is not None or waited > START_LIMIT_S:
                    said.seek(0)
                    words = said.read().decode(errors="replace").strip().rpartition("\n")[2]
                    raise BenchError(f"'{command[0]}' did not serve '{path}' within {waited:.0f} s; it said: {words}")
                time.sleep(0.001)
            elapsed = time.perf_counter() - began
            yield Server(port, process.pid, Sample(elapsed, cpu_s(process.pid)))
        finally:
            # as a user who waits for it: nobody has to be told first
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(15)
            process.kill()


def cpu_s(pid: int) -> float:
    """What a process has had of its core until now, in seconds.

    Source: proc(5), fields 14 and 15 of ``stat``.
    """
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def answers(port: int, path: str) -> bool:
    """Whether the server says 200 now."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode()
    try:
        with socket.create_connection(("127.0.0.1", port), 10) as line:
            line.sendall(request)
            return line.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def find_wrk() -> None:
    """See to it that wrk is there.

    Raises:
        BenchError: It is not and cannot be installed.
    """
    if shutil.which("wrk") is None and os.geteuid() == 0 and shutil.which("apt-get"):
        print("wrk is missing and is installed by apt-get", file=sys.stderr)
        subprocess.run(["apt-get", "install", "-y", "-qq", "wrk"], stdout=subprocess.DEVNULL, check=False)
    if shutil.which("wrk") is None:
        raise BenchError("wrk is not on PATH; install the package 'wrk' of your system and run this again")


def requests_per_second(server: Server, paths: Sequence[str], seconds: int) -> Sample:
    """How many requests a server answers in a second when asked for these paths in turn.

    Raises:
        BenchError: It refused some, or answers none at all.
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
    """What wrk counted: see ``rotate.lua``.

    Raises:
        BenchError: It could not run.
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
