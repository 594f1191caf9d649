"""Writing an app's next migration, from what its models say and its files do not."""

import importlib
from collections.abc import Mapping
from pathlib import Path

from tortoise.context import TortoiseContext
from tortoise.migrations.autodetector import MigrationAutodetector
from tortoise.migrations.writer import format_migration_name

from addonkit.database.connection import RUNTIME_APP, RUNTIME_MODULES, AppModules, tortoise_config
from addonkit.database.location import Location
from addonkit.errors import PluginError


async def make(app: str, apps: Mapping[str, AppModules], name: str | None = None) -> Path | None:
    """Write an app's next migration; None if its models have not changed.

    One app at a time: first migrations that are written together do not know of each other.

    Args:
        app: The plugin's name.
        apps: Every installed plugin that has tables.
        name: What the step does, in a few words; without one it is named by the time.

    Raises:
        PluginError: The plugin has no tables.
    """
    everyone = {RUNTIME_APP: RUNTIME_MODULES, **apps}
    modules = everyone.get(app)
    if modules is None or modules.migrations is None:
        raise PluginError(f"plugin '{app}' has no models, so nothing to migrate; give it some", plugin=app)
    _make_package(modules.migrations)
    # No connection is opened for this: what is compared are models and files.
    config = tortoise_config(Location("sqlite://unused.db"), apps)
    async with TortoiseContext() as context:
        await context.init(config=config, init_connections=False)
        if context.apps is None:
            return None
        changes = await MigrationAutodetector(context.apps, config["apps"]).changes()
    for writer in changes:
        if writer.app_label == app:
            if name and not writer.initial:
                writer.name = format_migration_name(int(writer.name.partition("_")[0]), name)
            return Path(writer.write())
    return None


def _make_package(module: str) -> None:
    parent, _, last = module.rpartition(".")
    place = Path(next(iter(importlib.import_module(parent).__path__))) / last
    place.mkdir(exist_ok=True)
    init = place / "__init__.py"
    if not init.exists():
        init.write_text('"""How the tables came to be."""\n', encoding="utf-8")
    importlib.invalidate_caches()
