"""A process that kills itself while it migrates: ``python -m tests.support.killed_migration POINT DATABASE``.

POINT is ``before_rebuild``, ``before_fill``, ``before_triggers`` or ``before_commit``, all inside the transaction, or
``after_commit``; DATABASE is the table ``[database]`` as JSON.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import signal
import sys
from typing import Any

from addonkit.database import migrate as migrate_module
from addonkit.database.connection import AppModules
from addonkit.database.location import Location
from addonkit.database.migrate import migrate
from tortoise.migrations.operations import RunPython

MIGRATION = "addonkit.tenancy.migrations.0005_identities"
PLUGINS = {
    name: AppModules(f"addonkit_{name}.models", f"addonkit_{name}.migrations") for name in ("issue_panel", "macro")
}
STEPS = {"before_rebuild": "keep_numbers", "before_fill": "fill", "before_triggers": "create_triggers"}


async def main(point: str, location: Location) -> None:
    """Migrate and die at a point."""
    operations = importlib.import_module(MIGRATION).Migration.operations
    for operation in operations:
        if isinstance(operation, RunPython) and operation.code.__name__ == STEPS.get(point):
            operation.code = die
    if point == "before_commit":
        migrate_module._finish = die  # type: ignore[assignment]
    await migrate(location, PLUGINS)
    die()


def die(*_: Any) -> Any:
    """End this process as the kernel would end it when memory is short."""
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Location(**json.loads(sys.argv[2]))))
