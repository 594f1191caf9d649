"""Runs wrk against a server and reads what it prints: counts, response times, and the requests that failed."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from machine import HERE, BenchError, Sample, Server, cpu_s

CONNECTIONS = 32
ATTEMPTS = 5
ANSWER_S = 10.0
WEBHOOK_BODY = 2000
"""Length of the text in a webhook, in bytes."""

_runs = itertools.count()


@dataclass(frozen=True, slots=True)
class Counts:
    """What wrk counted in one run.

    Attributes:
        requests: Responses, those with an error status included.
        duration_us: Length of the run, in µs.
        refused: Responses with a status of 400 or more.
        broken: Connections that failed, and requests without a response in time.
        p50_us: Median of the response times, in µs.
        p99_us: 99th percentile of the response times, in µs.
    """

    requests: int
    duration_us: int
    refused: int
    broken: int
    p50_us: int
    p99_us: int

    @property
    def answered(self) -> int:
        """Number of responses that count: those without an error status."""
        return self.requests - self.refused

    @property
    def failed(self) -> int:
        """Number of requests that failed in any way."""
        return self.refused + self.broken

    def sample(self, cpu: float) -> Sample:
        """Return the rate by clock and by the server's CPU time in seconds."""
        return Sample(self.answered / self.duration_us * 1e6, self.answered / cpu, self.failed)

    @property
    def tail(self) -> Sample:
        """The ratio of the 99th percentile of the response times to their median."""
        ratio = self.p99_us / max(1, self.p50_us)
        return Sample(ratio, ratio, self.failed)


def read_counts(output: str) -> Counts:
    """Return the counts that the Lua script prints as the last line of wrk's output.

    Raises:
        BenchError: The last line is something else.
    """
    line = output.strip().rpartition("\n")[2]
    try:
        return Counts(**json.loads(line))
    except (ValueError, TypeError):
        raise BenchError(f"wrk printed '{line}' last, expected the counts of its script") from None


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


def pages_per_second(server: Server, lines: Sequence[str], seconds: int, connections: int = CONNECTIONS) -> Sample:
    """Return the GET requests that a server answers per second.

    Args:
        server: The server.
        lines: Requested in turn: a path, or a path, a tab, and the value of ``Authorization``.
        seconds: Length of the run.
        connections: Number of connections.

    Raises:
        BenchError: The first request is refused, or none is answered in several runs.
    """
    path, _, authorization = lines[0].partition("\t")
    require_success(server.port, "GET", path, {"authorization": authorization} if authorization else {})
    for _ in range(ATTEMPTS):
        before = cpu_s(server.pid)
        counts = run_wrk(server.port, "rotate.lua", lines, seconds, connections=connections)
        used = cpu_s(server.pid) - before
        if counts.answered and used:
            return counts.sample(used)
    raise BenchError(f"no request was answered in {ATTEMPTS} runs of {seconds} s; this machine is too busy")


def webhooks_per_second(
    server: Server,
    path: str,
    tokens: Sequence[str],
    seconds: int,
    length: int = WEBHOOK_BODY,
    connections: int = CONNECTIONS,
) -> tuple[Sample, Counts]:
    """Return the webhooks, each with a text of this length in bytes, that a server answers per second, and all counts.

    Raises:
        BenchError: The first webhook is refused, or none is answered.
    """
    run = str(next(_runs))
    headers = {"authorization": f"JWT {tokens[0]}", "x-atlassian-webhook-identifier": f"{run}-first"}
    require_success(server.port, "POST", path, {**headers, "content-type": "application/json"}, b"{}")
    before = cpu_s(server.pid)
    counts = run_wrk(server.port, "post.lua", tokens, seconds, path, run, str(length), connections=connections)
    used = cpu_s(server.pid) - before
    if not counts.answered:
        raise BenchError(f"no webhook was answered in a run of {seconds} s; {counts.failed} failed")
    return counts.sample(used), counts


def require_success(port: int, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None) -> None:
    """Send one request, because wrk does not count a redirect as a failure.

    Raises:
        BenchError: The status is not 2xx.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S)
    try:
        connection.request(method, path, body, dict(headers))
        status = connection.getresponse().status
    finally:
        connection.close()
    if not 200 <= status < 300:
        raise BenchError(f"{method} '{path.partition('?')[0]}' was answered with {status}, expected 2xx")


def run_wrk(
    port: int, script: str, lines: Sequence[str], seconds: int, *words: str, connections: int = CONNECTIONS
) -> Counts:
    """Run wrk with a Lua script, which gets the name of a file with the lines, and further words.

    Raises:
        BenchError: wrk failed.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", HERE / script]
        command += [f"http://127.0.0.1:{port}", "--", file.name, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0 or not done.stdout:
        raise BenchError(f"wrk failed: {done.stderr.strip() or done.stdout.strip()}")
    return read_counts(done.stdout)
