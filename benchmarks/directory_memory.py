"""What the sites in memory take: reads those named on standard input as the add-on would, and says so as JSON."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from addonkit.app import Addon, Deployment

PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1024**2


def resident_mb() -> float:
    """What this process holds now.

    Source: proc(5), field 2 of ``statm``.
    """
    gc.collect()
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE_MB


async def read(addon: Addon, names: Iterable[str]) -> None:
    """Read each, as a request of that site's does."""
    for name in names:
        assert await addon.directory.get(name) is not None


async def measure(config: Path, names: list[str]) -> dict[str, float]:
    """The figures, over what the process held when its database was open."""
    addon = Addon(Deployment.read(config))
    kept = addon.deployment.settings.tenants.in_memory
    some = len(names) // 100
    async with addon.database():
        await read(addon, names[-some:])
        addon.directory.clear()
        before = resident_mb()
        await read(addon, names[:kept])
        full = resident_mb() - before
        await read(addon, names[kept : 2 * kept])
        return {"kept": kept, "full_mb": full, "read": 2 * kept, "later_mb": resident_mb() - before}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(measure(Path(sys.argv[1]), sys.stdin.read().split()))))
