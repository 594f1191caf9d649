"""No secret or token is left in logs, tables, metrics, command output or exports of a whole run."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from addonkit.testing.databases import database_settings, drop_databases
from addonkit.testing.postgresql import Server

from tests.distributions.third_party import environment, installed
from tests.support.database_content import database_content
from tests.support.fleet import KEY, Fleet, fleet
from tests.support.recording_client import RecordingClient, needles
from tests.support.restartable_postgresql import Restartable, restartable
from tests.support.served import Served

pytestmark = [pytest.mark.crash, pytest.mark.asyncio(loop_scope="module")]

LOG_FORMATS = ("json", "console")
METRICS_TOKEN = "what-opens-the-metrics-and-nothing-else"
OTHER_KEY = "two:QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY="
DATABASE = "secrets"
OPERATORS = {
    "security": {"encryption_keys": [KEY, OTHER_KEY]},
    "operations": {"metrics_token": METRICS_TOKEN},
    "server": {"drain_s": 0},
}
READING_COMMANDS = (
    "plugins",
    "check --offline",
    "check --offline --token",
    "keys status",
    "tenants list",
    "tenants list --json",
    "tenants show {site} --json",
    "tenants show nobody",
    "tenants export {site} --to exported",
)
CHANGING_COMMANDS = ("keys rotate", "tenants note {site} Water", "tenants purge {leaver} --yes")
FAILING_COMMANDS = ("check", "migrate", "tenants list", "keys rotate", "serve --bind 127.0.0.1:0")
PLACES = ("logs", "database", "metrics", "commands", "arguments", "export")


@pytest_asyncio.fixture(
    scope="module",
    loop_scope="module",
    params=[pytest.param(name, marks=getattr(pytest.mark, name)) for name in ("sqlite", "postgresql")],
)
async def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Run]:
    """Make the whole run on one database, first with the JSON log, then with the console log."""
    folder = tmp_path_factory.mktemp("run")
    yield await (on_a_file if request.param == "sqlite" else on_a_server)(folder)
    drop_databases(folder)


async def on_a_file(folder: Path) -> Run:
    """Run one process on SQLite; its files are read while it serves and after it has ended."""
    run = Run()
    for form in LOG_FORMATS:
        async with fleet(folder / form, database_settings(folder), 1, 1, **tables(form)) as machines:
            await run.requests(machines)
            run.places["database"] += database_content(folder)
            if form == LOG_FORMATS[0]:
                await run.commands(machines.machines[0], READING_COMMANDS, CHANGING_COMMANDS)
        run.read_logs(machines.machines[0])
    run.places["database"] += database_content(folder)
    return run


async def on_a_server(folder: Path) -> Run:
    """Run two processes on PostgreSQL, which is stopped at the end; the server's log is searched as well."""
    run, postgresql = Run(), restartable()
    server = postgresql.server
    server.create(DATABASE)
    urls = {"url": server.url_of(DATABASE, server.application), "owner_url": server.url_of(DATABASE, server.owner)}
    run.passwords += [server.password, *urls.values()]
    try:
        for form in LOG_FORMATS:
            async with fleet(folder / form, urls, 1, 2, **tables(form)) as machines:
                await run.requests(machines)
                run.places["database"] += dumped(server)
                if form == LOG_FORMATS[0]:
                    await run.commands(machines.machines[0], READING_COMMANDS, CHANGING_COMMANDS)
                else:
                    await run.outage(machines, postgresql)
                run.places["database"] += dumped(server)
            run.read_logs(machines.machines[0])
    finally:
        server.drop(DATABASE)
    run.places["logs"] += (postgresql.folder / "log").read_bytes()
    return run


def tables(form: str) -> dict[str, dict[str, Any]]:
    """Return a configuration that logs as much as possible."""
    return {**OPERATORS, "log": {"level": "debug", "format": form, "access": True}}


def dumped(server: Server) -> bytes:
    """Return every row of every table as text."""
    ours = "SELECT schemaname, tablename FROM pg_tables WHERE NOT starts_with(schemaname, 'pg_')"
    queries = [f'SELECT one::text FROM "{place}"."{name}" AS one' for place, name in server.fetch(DATABASE, ours)]
    return "\n".join(text for query in queries for (text,) in server.fetch(DATABASE, query)).encode()


class Run:
    """One machine, and everything that may happen to it.

    Attributes:
        sites: Client keys of the sites that were served to the end.
        credentials: Tokens and secrets that were sent.
        passwords: Other secrets.
        places: Everything that the run has written, by place.
    """

    def __init__(self) -> None:
        self.sites: list[str] = []
        self.credentials: set[str] = set()
        self.passwords = [METRICS_TOKEN]
        self.places = dict.fromkeys(PLACES, b"")

    @cached_property
    def hidden(self) -> dict[bytes, str]:
        """Return what must be found nowhere, and the kind of each."""
        return needles(self.credentials, [KEY, OTHER_KEY], self.passwords)

    def found_in(self, place: str) -> set[str]:
        """Return the kinds of secrets that are found in a place."""
        return {kind for one, kind in self.hidden.items() if one in self.places[place]}

    async def requests(self, machines: Fleet) -> None:
        """Make requests of all kinds, valid and invalid."""
        async with machines.lines() as lines:
            client = RecordingClient(machines, lines[0], self.credentials)
            site, self.leaver = await client.use_and_misuse(), (await client.use_and_uninstall()).client_key
            await client.send_invalid_lifecycle(site)
            await client.fail_handlers(site)
            await client.send_malformed_http()
            self.places["metrics"] += await metrics(client)
        self.sites.append(site.client_key)
        self.token = site.context_token("acc-1")
        self.credentials.add(self.token)
        self.places["arguments"] += b"".join(await asyncio.to_thread(arguments, machines.machines[0].pid))

    async def outage(self, machines: Fleet, postgresql: Restartable) -> None:
        """Send requests, start the add-on and run commands while the database is down."""
        await asyncio.to_thread(postgresql.stop)
        try:
            async with machines.lines() as lines:
                answer = await RecordingClient(machines, lines[0], self.credentials).send(
                    "GET", machines.path(machines.site())
                )
            assert answer.status_code == 503
            await self.commands(machines.machines[0], FAILING_COMMANDS)
        finally:
            await asyncio.to_thread(postgresql.start)

    async def commands(self, machine: Served, *together: Sequence[str]) -> None:
        """Run commands beside the machine, with a token for those that read one; keep their output and files.

        Args:
            machine: The machine.
            together: Groups of commands; the commands of a group run concurrently.
        """
        for lines in together:
            filled = (line.format(site=self.sites[-1], leaver=self.leaver) for line in lines)
            self.places["commands"] += b"".join(
                await asyncio.gather(*(command(machine, one, self.token) for one in filled))
            )
        written = (file for file in machine.directory.glob("exported/**/*") if file.is_file())
        self.places["export"] += b"".join(file.read_bytes() for file in written)

    def read_logs(self, machine: Served) -> None:
        """Keep the output of a machine that has ended."""
        self.places["logs"] += f"{machine.errors()}{machine.output}".encode()


async def command(machine: Served, line: str, token: str) -> bytes:
    """Return the output and the exit code of a command."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "addonkit", *line.split()),
        cwd=machine.directory,
        env=environment(installed("stranger-slow")),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    result, _ = await process.communicate(token.encode())
    return f"$ {line}\n".encode() + result + f"({process.returncode})\n".encode()


async def metrics(client: RecordingClient) -> bytes:
    """Request the operator's paths with the token, with a wrong one and without; return the responses."""
    for headers in ({}, {"authorization": f"Bearer {METRICS_TOKEN[:-1]}"}, {"authorization": f"Basic {METRICS_TOKEN}"}):
        await client.send("GET", "/metrics", headers=headers)
    await client.send("GET", f"/metrics?token={METRICS_TOKEN}")
    answer = await client.send("GET", "/metrics", headers={"authorization": f"Bearer {METRICS_TOKEN}"})
    assert answer.status_code == 200
    return answer.content


def arguments(pid: int) -> Iterator[bytes]:
    """Return the command lines of a process and its children, which every user of the machine can read."""
    yield Path(f"/proc/{pid}/cmdline").read_bytes()
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield from arguments(int(child))


@pytest.mark.parametrize("place", PLACES)
async def test_secrets_and_tokens_are_left_nowhere(run, place):
    assert run.found_in(place) == set()


async def test_secrets_search_covers_what_happened(run):
    """Check that no place is empty: each contains the client key of a site, or another expected text."""
    shown = {"metrics": b"addonkit_", "arguments": b"serve"}
    site = run.sites[0].encode()
    assert [place for place in PLACES if shown.get(place, site) not in run.places[place]] == []
    assert b"handler.failed" in run.places["logs"]
    assert len(run.hidden) > 100
