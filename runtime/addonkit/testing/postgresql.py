"""The PostgreSQL server of a test run: started by this process, or an existing one.

It has two roles, as in a deployment: one owns the tables, and the application uses the other, to which row-level
security applies. The databases of the tests are in ``databases``.
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


class ServerUnavailable(Exception):
    """No PostgreSQL server could be started for the tests."""


@dataclass
class Server:
    """A PostgreSQL server with an account that may create databases and roles.

    Attributes:
        url: URL with that account.
        strategy: ``STRATEGY`` of ``CREATE DATABASE`` for copies.
        run: Prefix of the names of all databases and roles of this run.
        password: Password of both roles.
    """

    url: str = field(repr=False)
    strategy: str = "WAL_LOG"
    run: str = field(default_factory=lambda: f"addonkit_{secrets.token_hex(4)}")
    password: str = field(default_factory=lambda: secrets.token_urlsafe(12), repr=False)

    @property
    def owner(self) -> str:
        """Name of the role that owns databases and tables."""
        return f"{self.run}_owner"

    @property
    def application(self) -> str:
        """Name of the role that the application uses."""
        return f"{self.run}_application"

    def url_of(self, database: str, role: str | None = None) -> str:
        """Return the URL of a database with a role of this run, or else with the server's account."""
        parts = urlsplit(self.url)
        login, at, host = parts.netloc.rpartition("@")
        netloc = f"{role}:{self.password}@{host}" if role else f"{login}{at}{host}"
        # urlunsplit would drop the slashes in front of an empty host
        return urlunsplit(("postgres", netloc, f"/{database}", parts.query, ""))

    def create_roles(self) -> None:
        """Create both roles and grant them to the account, so that it can assign ownership and end their sessions."""
        roles = [f"CREATE ROLE {role} LOGIN PASSWORD '{self.password}'" for role in (self.owner, self.application)]
        self.execute(*roles, f"GRANT {self.owner}, {self.application} TO CURRENT_USER")

    def create(self, database: str, template: str | None = None) -> None:
        """Create a database that the owner role owns, empty or as a copy of a template."""
        copy = f" TEMPLATE {template} STRATEGY {self.strategy}" if template else ""
        self.execute(f"CREATE DATABASE {database} OWNER {self.owner}{copy}")

    def drop(self, *databases: str) -> None:
        """Drop databases, even if they have open connections."""
        self.execute(*(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)" for database in databases))

    def execute(self, *statements: str, database: str | None = None) -> None:
        """Run each statement in a separate transaction, with the server's account."""
        run_in_thread(self._execute(database, statements))

    def fetch(self, database: str | None, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return rows as the server's account sees them, without row-level security."""
        return run_in_thread(self._fetch(database, query, values))

    def drop_all(self) -> None:
        """Drop all databases and roles of this run.

        This runs in the caller's thread, because no thread can be started while the interpreter exits.
        """
        asyncio.run(self._drop_all())

    async def _drop_all(self) -> None:
        query = "SELECT datname FROM pg_database WHERE starts_with(datname, $1)"
        databases = [f"DROP DATABASE {name} WITH (FORCE)" for (name,) in await self._fetch(None, query, [self.run])]
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
        import asyncpg  # here, because tests on SQLite do not need it

        return await asyncpg.connect(self.url_of(database) if database else self.url)


def run_in_thread(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a thread with its own event loop, because the caller may run inside another loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def existing_server(url: str) -> Server:
    """Use a running server; all databases and roles of this run are dropped when the process ends."""
    server = Server(url)
    server.create_roles()
    atexit.register(server.drop_all)
    return server


def start_server() -> Server:
    """Start a server in a child process, which stops when this process ends.

    Raises:
        ServerUnavailable: It could not be started.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "addonkit.testing.postgresql_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # in a session of its own, so that Ctrl-C does not stop it before the tests have ended
        start_new_session=True,
    )
    atexit.register(_stop, process)
    assert process.stdout is not None  # noqa: S101 - for the type checker, it is a pipe
    answer = json.loads(process.stdout.readline() or b"{}")
    if "url" not in answer:
        cause = answer.get("error") or "the extra addonkit[testing] is not installed"
        raise ServerUnavailable(f"no PostgreSQL server could be started: {cause}")
    server = Server(answer["url"], strategy="FILE_COPY")
    server.create_roles()
    return server


def _stop(process: subprocess.Popen[bytes]) -> None:
    with process:
        if process.stdin is not None:
            process.stdin.close()
        process.wait(STOP_S)
