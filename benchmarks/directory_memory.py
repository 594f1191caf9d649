"""Measure the memory of the tenant directory: reads client keys from standard input and prints JSON."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from addonkit.app import Addon, Deployment
from addonkit.tenancy.record import IdentityKind

PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1024**2


def resident_mb() -> float:
    """Return the resident memory of this process in MB.

    Source: proc(5), field 2 of ``statm``.
    """
    gc.collect()
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE_MB


async def read(addon: Addon, client_keys: Iterable[str]) -> None:
    """Look up each site in the directory, as a request of that site does."""
    for client_key in client_keys:
        assert await addon.directory.get(IdentityKind.CLIENT_KEY, client_key) is not None


async def measure(config: Path, client_keys: list[str]) -> dict[str, float]:
    """Return the memory beyond that of the process with an open database, in MB."""
    addon = Addon(Deployment.read(config))
    kept = addon.deployment.settings.tenants.in_memory
    warm_up = len(client_keys) // 100
    async with addon.database():
        await read(addon, client_keys[-warm_up:])
        addon.directory.clear()
        before = resident_mb()
        await read(addon, client_keys[:kept])
        full = resident_mb() - before
        await read(addon, client_keys[kept : 2 * kept])
        return {"kept": kept, "full_mb": full, "read": 2 * kept, "later_mb": resident_mb() - before}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(measure(Path(sys.argv[1]), sys.stdin.read().split()))))
