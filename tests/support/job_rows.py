"""A command line with stored jobs and a plugin with a webhook, for ``addonkit jobs`` and ``addonkit webhooks``."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from addonkit.database.location import Location
from addonkit.jobs.models import JobRow
from addonkit.tenant_data.connection import tenant_database
from addonkit.testing.databases import create_tables, database_settings

from tests.distributions.third_party import CommandResult, Terminal
from tests.support.tenant_rows import HOME, InstalledSites

HOOKED = '''
from addonkit import Plugin

plugin = Plugin("hooked", __name__, scopes={"READ"})


@plugin.webhook("jira:issue_deleted", order="issue_id")
async def forget(issue_id: str) -> None:
    """Forget."""
'''


class JobsTerminal(Terminal):
    """A command line whose deployment has stored jobs."""

    def install_webhook_plugin(self, patch: pytest.MonkeyPatch) -> None:
        """Install a plugin that listens to a webhook."""
        site = self.directory / "site"
        info = site / "addonkit_hooked-1.0.dist-info"
        info.mkdir(parents=True)
        (site / "hooked.py").write_text(HOOKED)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: addonkit-hooked\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[addonkit]\nhooked = hooked:plugin\n")
        patch.syspath_prepend(str(site))

    async def insert(self, *rows: dict[str, Any]) -> list[int]:
        """Insert jobs into the table with these columns."""
        now = time.time()
        usual = {"tenant_id": 0, "plugin": "stranger_bare", "name": "tidy", "kind": "job", "payload": b'{"n": 1}'}
        async with tenant_database(Location(**database_settings(self.directory, create=False)), {}):
            return [
                (await JobRow.create(**{**usual, "state": "ready", "due_at": now, "created_at": now, **row})).id
                for row in rows
            ]

    def jobs(self, *rows: dict[str, Any]) -> list[int]:
        return asyncio.run(self.insert(*rows))

    def webhook(self, body: bytes = b'{"issue": {"id": "7"}}', **more: Any) -> int:
        facts = {"objects": {"issue_id": "7"}, "identifier": "d-1", "retry": 0, "flow": "Primary"}
        usual = {"plugin": "hooked", "name": "forget", "kind": "webhook", "payload": body, "tenant_id": 1}
        [number] = self.jobs({**usual, "facts": orjson.dumps(facts).decode(), "state": "done", **more})
        return number

    def site(self, key: str, base_url: str = HOME, product: str = "jira") -> int:
        async def come() -> int:
            async with tenant_database(Location(**database_settings(self.directory, create=False)), {}):
                return (await InstalledSites().install(key, base_url, product=product)).id

        return asyncio.run(come())

    def rows(self, *words: str) -> Any:
        """Give the JSON that a command prints."""
        result = self(*words, "--json")
        assert result.code == 0, result
        return orjson.loads(result.out)

    def states(self) -> dict[int, str]:
        return {row["id"]: row["state"] for row in self.rows("jobs", "list")}

    def between_polls(self, patch: pytest.MonkeyPatch, *between: Any) -> None:
        """Run something between two polls, and press Ctrl+C after the last."""
        left = list(between)

        async def pause() -> None:
            if not left:
                raise KeyboardInterrupt
            await left.pop(0)()

        patch.setattr("addonkit.cli.job_output.poll_pause", pause)


def jobs_terminal(patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str], directory: Path) -> JobsTerminal:
    """Give a command line whose deployment has the runtime's tables."""
    terminal = JobsTerminal(patch, capture, directory)
    terminal.write("stranger_bare")
    asyncio.run(create_tables(Location(**database_settings(directory, create=False)), {}))
    return terminal


def refused(result: CommandResult) -> str:
    """Give the usage error of a command."""
    assert result.code == 2, result
    return result.err
