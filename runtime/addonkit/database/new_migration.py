"""Writes an app's next migration from its models."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path

from tortoise.context import TortoiseContext
from tortoise.migrations.autodetector import MigrationAutodetector
from tortoise.migrations.writer import format_migration_name

from addonkit.database.connection import RUNTIME_APP, RUNTIME_MODULES, AppModules, tortoise_config
from addonkit.database.location import Location
from addonkit.errors import PluginError


async def make_migration(app: str, apps: Mapping[str, AppModules], name: str | None = None) -> Path | None:
    """Write an app's next migration from its models; None if the models have not changed.

    One app at a time: initial migrations that are written together would not depend on each other.

    Args:
        app: The plugin's name.
        apps: Every installed plugin that has tables.
        name: What the migration does, in a few words; None: it is named after the time.

    Raises:
        PluginError: The plugin has no tables.
    """
    modules = {RUNTIME_APP: RUNTIME_MODULES, **apps}.get(app)
    if modules is None or modules.migrations is None:
        raise PluginError(f"plugin '{app}' has no models, so there is nothing to migrate; add models", plugin=app)
    _make_package(modules.migrations)
    # Models and files are compared; no connection is opened.
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
    directory = Path(next(iter(importlib.import_module(parent).__path__))) / last
    directory.mkdir(exist_ok=True)
    init = directory / "__init__.py"
    if not init.exists():
        init.write_text('"""Migrations of this plugin\'s tables."""\n', encoding="utf-8")
    importlib.invalidate_caches()
