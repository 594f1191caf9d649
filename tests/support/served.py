"""``addonkit serve`` in processes of its own, as an operator starts it."""

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

from tests.distributions.strangers import environment, give_tables, installed

START_S = 90.0


class Served:
    """One ``addonkit serve``.

    Attributes:
        address: Where it listens, once it has said so.
        pid: Of the process that was started.
        told: What it has written to standard output, once it has ended.
    """

    def __init__(self, directory: Path, process: asyncio.subprocess.Process) -> None:
        self.directory, self._process = directory, process
        self.pid = process.pid
        self.address = self.told = ""

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    async def ready(self) -> None:
        """Wait until it says that it serves."""
        assert self._process.stdout is not None
        said = ""
        async with asyncio.timeout(START_S):
            while "listening on" not in said:
                said = (await self._process.stdout.readline()).decode()
                assert said, self.errors()
                self.told += said
        self.address = re.search(r"listening on ([^,)]+)", said)[1]  # type: ignore[index]

    def errors(self) -> str:
        """What it has written to standard error."""
        return "".join(file.read_text() for file in sorted(self.directory.glob(f"stderr-{self.pid}")))

    def log(self) -> list[dict[str, Any]]:
        """What it has logged."""
        return [orjson.loads(line) for line in self.errors().splitlines() if line.startswith("{")]

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def ended(self, within_s: float = 30.0) -> int:
        async with asyncio.timeout(within_s):
            return await self._process.wait()

    async def stop(self) -> None:
        """End it as fast as it goes."""
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGKILL):
            if self._process.returncode is None:
                self.send(number)
                try:
                    await self.ended(5)
                except TimeoutError:
                    continue
        # reads the rest, so that the pipe is closed
        self.told += (await self._process.communicate())[0].decode()


def configure(
    directory: Path, install_keys: str = "http://127.0.0.1:1", *, migrated: bool = True, **tables: Mapping[str, Any]
) -> Path:
    """Write the ``addon.toml`` of a deployment with the slow plugin; its database has its tables, unless said."""
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
    """Serve the deployment of a folder, and end that with the block, however it was ended before."""
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


async def until(happens: Callable[[], Awaitable[Any] | Any], within_s: float = 15.0) -> Any:
    """Wait until a condition holds, and give what it gave."""
    async with asyncio.timeout(within_s):
        while True:
            found = happens()
            if isinstance(found, Awaitable):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.02)
