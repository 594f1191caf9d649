"""A PostgreSQL server for tests: one that is started for this process, or one that is named.

Two roles stand on it, as in a deployment: the owner of the tables, and the application, whom row-level security binds.
What they call each test's database is in ``databases``.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import secrets
import subprocess
import sys
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    import asyncpg

T = TypeVar("T")
STOP_S = 30.0


class NoServer(Exception):
    """There is no PostgreSQL server to test on."""


@dataclass
class Server:
    """A server that this process may do everything on.

    Attributes:
        url: Of an account that may make databases and roles.
        strategy: How a database is copied there.
        run: What the names of all that is made here begin with.
        password: That of both roles.
    """

    url: str = field(repr=False)
    strategy: str = "WAL_LOG"
    run: str = field(default_factory=lambda: f"addonkit_{secrets.token_hex(4)}")
    password: str = field(default_factory=lambda: secrets.token_urlsafe(12), repr=False)

    @property
    def owner(self) -> str:
        """The role that owns databases and tables."""
        return f"{self.run}_owner"

    @property
    def application(self) -> str:
        """The role that serves."""
        return f"{self.run}_application"

    def url_of(self, database: str, role: str | None = None) -> str:
        """The URL of a database, as a role of ours or as the account that may do everything."""
        parts = urlsplit(self.url)
        login, at, host = parts.netloc.rpartition("@")
        netloc = f"{role}:{self.password}@{host}" if role else f"{login}{at}{host}"
        # urlunsplit would drop the slashes in front of an empty host
        return urlunsplit(("postgres", netloc, f"/{database}", parts.query, ""))

    def make_roles(self) -> None:
        """Make both roles, and let this account do what they may: give databases away, and see and end what they do."""
        roles = [f"CREATE ROLE {role} LOGIN PASSWORD '{self.password}'" for role in (self.owner, self.application)]
        self.execute(*roles, f"GRANT {self.owner}, {self.application} TO CURRENT_USER")

    def create(self, database: str, template: str | None = None) -> None:
        """Make a database, which the owner owns; empty, or a copy."""
        copied = f" TEMPLATE {template} STRATEGY {self.strategy}" if template else ""
        self.execute(f"CREATE DATABASE {database} OWNER {self.owner}{copied}")

    def drop(self, *databases: str) -> None:
        """Remove databases, whoever is connected to them."""
        self.execute(*(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)" for database in databases))

    def execute(self, *statements: str, database: str | None = None) -> None:
        """Run statements, each on its own, as the account that may do everything."""
        run(self._execute(database, statements))

    def fetch(self, database: str | None, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of a database as the account that may do everything sees them: all of them."""
        return run(self._fetch(database, query, values))

    def clear(self) -> None:
        """Remove all that was made here, in the thread of the caller: this is for the end, when none can be started."""
        asyncio.run(self._clear())

    async def _clear(self) -> None:
        mine = "SELECT datname FROM pg_database WHERE starts_with(datname, $1)"
        databases = [f"DROP DATABASE {name} WITH (FORCE)" for (name,) in await self._fetch(None, mine, [self.run])]
        await self._execute(None, [*databases, f"DROP ROLE {self.application}", f"DROP ROLE {self.owner}"])

    async def _execute(self, database: str | None, statements: Sequence[str]) -> None:
        connection = await self._connect(database)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def _fetch(self, database: str | None, query: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        connection = await self._connect(database)
        try:
            return [tuple(row) for row in await connection.fetch(query, *values)]
        finally:
            await connection.close()

    async def _connect(self, database: str | None) -> asyncpg.Connection:
        import asyncpg  # here, for tests on SQLite never load it

        return await asyncpg.connect(self.url_of(database) if database else self.url)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Do it in a thread with an event loop of its own, for whoever asks may be inside one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def given(url: str) -> Server:
    """A server that somebody else keeps; what the tests made on it is removed when this process ends."""
    server = Server(url)
    server.make_roles()
    atexit.register(server.clear)
    return server


def started() -> Server:
    """A server of this process's own, which ends with it.

    Raises:
        NoServer: It could not be started.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "addonkit.testing.postgresql_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # it outlives a Ctrl-C until the tests have ended
        start_new_session=True,
    )
    atexit.register(_end, process)
    assert process.stdout is not None  # noqa: S101 - for the type checker, it is a pipe
    said = json.loads(process.stdout.readline() or b"{}")
    if "url" not in said:
        cause = said.get("fault") or "the extra addonkit[testing] is not installed"
        raise NoServer(f"no PostgreSQL server could be started: {cause}")
    server = Server(said["url"], strategy="FILE_COPY")
    server.make_roles()
    return server


def _end(process: subprocess.Popen[bytes]) -> None:
    with process:
        if process.stdin is not None:
            process.stdin.close()
        process.wait(STOP_S)
