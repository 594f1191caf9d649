"""``addonkit serve`` in separate processes, as an operator starts it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
from addonkit.testing.databases import database_settings

from tests.distributions.third_party import environment, give_tables, installed

START_S = 90.0


class Served:
    """One ``addonkit serve`` process.

    Attributes:
        address: The address it listens on, once it has printed that.
        pid: Process id.
        output: Its standard output, once it has exited.
    """

    def __init__(self, directory: Path, process: asyncio.subprocess.Process) -> None:
        self.directory, self._process = directory, process
        self.pid = process.pid
        self.address = self.output = ""

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    async def ready(self) -> None:
        """Wait until it prints that it serves."""
        assert self._process.stdout is not None
        line = ""
        async with asyncio.timeout(START_S):
            while "listening on" not in line:
                line = (await self._process.stdout.readline()).decode()
                assert line, self.errors()
                self.output += line
        self.address = re.search(r"listening on ([^,)]+)", line)[1]  # type: ignore[index]

    def errors(self) -> str:
        """Its standard error."""
        return "".join(file.read_text() for file in sorted(self.directory.glob(f"stderr-{self.pid}")))

    def log(self) -> list[dict[str, Any]]:
        """The lines of its log."""
        return [orjson.loads(line) for line in self.errors().splitlines() if line.startswith("{")]

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def ended(self, within_s: float = 30.0) -> int:
        async with asyncio.timeout(within_s):
            return await self._process.wait()

    async def stop(self) -> None:
        """Stop it as fast as possible."""
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGKILL):
            if self._process.returncode is None:
                self.send(number)
                try:
                    await self.ended(5)
                except TimeoutError:
                    continue
        # reads the rest, so that the pipe is closed
        self.output += (await self._process.communicate())[0].decode()


def configure(
    directory: Path, install_keys: str = "http://127.0.0.1:1", *, migrated: bool = True, **tables: Mapping[str, Any]
) -> Path:
    """Write the ``addon.toml`` of a deployment with the slow plugin; its database is migrated by default."""
    if migrated and not (directory / "addon.toml").exists():
        give_tables(directory)
    defaults: dict[str, dict[str, Any]] = {
        "addon": {
            "key": "com.example.slow",
            "name": "Slow",
            "base_url": "http://localhost:8000",
            "plugins": ["stranger_slow"],
        },
        "database": database_settings(directory),
        "host": {"install_keys": [install_keys], "domains": ["127.0.0.1"]},
        "log": {"format": "json"},
        "server": {"drain_s": 0},
    }
    path = directory / "addon.toml"
    whole = {name: {**defaults.get(name, {}), **tables.get(name, {})} for name in defaults | tables}
    path.write_text("".join(_table(name, table) for name, table in whole.items()), encoding="utf-8")
    return path


def _table(name: str, table: Mapping[str, Any]) -> str:
    return f"[{name}]\n" + "".join(f"{key} = {orjson.dumps(value).decode()}\n" for key, value in table.items()) + "\n"


@asynccontextmanager
async def serving(
    directory: Path, *options: str, bind: str = "127.0.0.1:0", ready: bool = True, **variables: str
) -> AsyncIterator[Served]:
    """Serve the deployment of a folder for the duration of the block."""
    errors = os.open(directory / "stderr", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "addonkit", "serve", "--bind", bind, *options),
            cwd=directory,
            env=environment(installed("stranger-slow"), **variables),
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
        )
    finally:
        os.close(errors)
    (directory / "stderr").rename(directory / f"stderr-{process.pid}")
    served = Served(directory, process)
    try:
        if ready:
            await served.ready()
        yield served
    finally:
        await served.stop()


async def until(happens: Callable[[], Awaitable[Any] | Any], within_s: float = 60.0) -> Any:
    """Wait until a condition holds, and give its value."""
    async with asyncio.timeout(within_s):
        while True:
            found = happens()
            if isinstance(found, Awaitable):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.02)
