"""Processes of one deployment that run jobs of the distribution ``stranger-jobs``, and rows of the queue for them."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from addonkit.testing.databases import database_settings, drop_databases, run_sql

from tests.distributions.third_party import environment, installed, run
from tests.support.served import configure, until

KEY = "one:" + "A" * 43 + "="
INSERT = """
INSERT INTO addonkit_job (tenant_id, plugin, name, kind, payload, version, facts, order_key, state, due_at, created_at,
    starts, failures, deaths) VALUES (?, 'stranger_jobs', ?, 'job', ?, 1, '{}', ?, 'ready', ?, ?, 0, 0, 0)
RETURNING id
"""
TENANT = """
INSERT INTO addonkit_tenant (client_key, product, base_url, display_url, state, installed_iat, created_at, updated_at)
VALUES (?, 'jira', 'https://x.atlassian.net', 'https://x.atlassian.net', 'enabled', 1, ?, ?) RETURNING id
"""


@dataclass(frozen=True, slots=True)
class Effect:
    """One line that a job has written.

    Attributes:
        what: ``begins`` or ``ends``.
        job: Id of the job.
        pid: Process that ran it.
        at: When, Unix time in seconds.
    """

    what: str
    job: int
    pid: int
    at: float


class JobProcesses:
    """The processes of a deployment.

    Args:
        folder: The folder with ``addon.toml``.
        words: Arguments of ``addonkit`` for each process.
    """

    def __init__(self, folder: Path, words: Sequence[Sequence[str]]) -> None:
        self.folder, self.words = folder, words
        self.running: dict[int, asyncio.subprocess.Process] = {}

    async def start(self, number: int = 0, **variables: str) -> None:
        """Start a process."""
        with (self.folder / f"log-{number}").open("ab") as log:
            self.running[number] = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "addonkit", *self.words[number]),
                cwd=self.folder,
                env=environment(installed("stranger-jobs"), **variables),
                stdout=log,
                stderr=log,
            )

    async def kill(self, number: int = 0) -> None:
        """Kill a process with SIGKILL."""
        self.running[number].send_signal(signal.SIGKILL)
        await self.running[number].wait()

    async def end(self, number: int = 0, within_s: float = 60) -> int:
        """End a process with SIGTERM, and give its exit code."""
        self.running[number].send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.running[number].wait(), within_s)

    async def destroy(self) -> None:
        """Kill what still runs."""
        for process in self.running.values():
            if process.returncode is None:
                process.kill()
            await process.wait()

    def tenant(self) -> int:
        """Store a site, and give its number."""
        now = time.strftime("%Y-%m-%d %H:%M:%S+00:00", time.gmtime())
        if self._on_postgresql():
            from datetime import UTC, datetime

            now = datetime.now(UTC)  # type: ignore[assignment]  # asyncpg takes no text
        return int(run_sql(self.folder, TENANT, f"site {time.time_ns()}", now, now)[0][0])

    def put(self, name: str, tenant: int, seconds: float, order: str | None = None) -> int:
        """Store a ready job, and give its id."""
        now, payload = time.time(), json.dumps({"seconds": seconds}).encode()
        return int(run_sql(self.folder, INSERT, tenant, name, payload, order, now, now)[0][0])

    def effects(self, job: int | None = None) -> list[Effect]:
        """Give what jobs have written so far, of one job or of all."""
        file = self.folder / "effects"
        lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
        found = [Effect(what, int(number), int(pid), float(at)) for what, number, pid, at in lines]
        return [one for one in found if job in (None, one.job)]

    async def until_begun(self, jobs: Sequence[int], within_s: float = 60, *, times: int = 1) -> None:
        """Wait until each of these jobs has begun so many times."""

        def is_begun() -> bool:
            return all(sum(one.what == "begins" for one in self.effects(job)) >= times for job in jobs)

        await until(is_begun, within_s)

    async def until_state(self, jobs: Sequence[int], state: str, within_s: float = 60) -> None:
        """Wait until each of these jobs is in a state."""
        await until(lambda: all(self.row(job)["state"] == state for job in jobs), within_s)

    def row(self, job: int) -> dict[str, Any]:
        """Give some columns of a job; a job that was done long ago has no ``deaths``."""
        names = ("state", "starts", "failures", "deaths", "error")
        rows = run_sql(self.folder, f"SELECT {', '.join(names)} FROM addonkit_job WHERE id = ?", job) or run_sql(
            self.folder, "SELECT 'done', starts, failures, NULL, error FROM addonkit_done_job WHERE id = ?", job
        )
        return dict(zip(names, rows[0], strict=True))

    def log(self, number: int = 0) -> list[dict[str, Any]]:
        """Give the lines of a process's log."""
        lines = (self.folder / f"log-{number}").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def _on_postgresql(self) -> bool:
        return "postgres" in str(database_settings(self.folder)["url"])


@asynccontextmanager
async def job_processes(
    folder: Path, words: Sequence[Sequence[str]], **sections: dict[str, Any]
) -> AsyncIterator[JobProcesses]:
    """A migrated deployment whose processes end with the block; none is started."""
    database = database_settings(folder)
    plain = {"addon": {"plugins": ["stranger_jobs"]}, "database": database, "security": {"encryption_keys": [KEY]}}
    configure(folder, migrated=False, **{**plain, **sections})
    named = {f"ADDONKIT_DATABASE__{key.upper()}": value for key, value in database.items()}
    assert run(folder, "migrate", site=installed("stranger-jobs"), **named).code == 0
    processes = JobProcesses(folder, words)
    try:
        yield processes
    finally:
        await processes.destroy()
        drop_databases(folder)
