"""A plugin package with models and migrations, created in a folder for one test."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from addonkit.database.connection import AppModules
from addonkit.database.location import Location
from addonkit.database.migrate import migrate
from addonkit.database.new_migration import make_migration
from addonkit.database.pending import pending
from addonkit.tenancy import migrations
from addonkit.testing.databases import database_settings, on_postgresql, run_sql

RUNTIME_MIGRATIONS = [f"addonkit.{file.stem}" for file in sorted(Path(migrations.__file__).parent.glob("0*.py"))]
MODELS = """
from tortoise import fields
from addonkit.tenant_data.model import TenantModel

class Item(TenantModel):
    id = fields.IntField(primary_key=True)
    title = fields.CharField(50)
{more}
    class Meta:
        table = "{name}_item"
"""
_numbers = itertools.count()


class PluginPackage:
    """A package with the model ``Item``, in a folder, with a name that is not used twice in one process.

    Attributes:
        name: Name of the plugin.
        path: Folder of the package.
        location: Database of the folder, without tables.
        modules: Modules of the package with models and migrations.
        apps: The plugin as the only one that has tables.
    """

    def __init__(self, folder: Path) -> None:
        self.name = f"shop{next(_numbers)}"
        self.path = folder / f"addonkit_{self.name}"
        self.path.mkdir()
        (self.path / "__init__.py").touch()
        self.location = Location(**database_settings(folder))
        self.modules = AppModules(f"{self.path.name}.models", f"{self.path.name}.migrations", "addonkit-shop", "1.4.0")
        self.apps = {self.name: self.modules}
        self.write_models()

    def write_models(self, more: str = "") -> None:
        """Write the models, with more fields of ``Item``; the next import reads them again."""
        (self.path / "models.py").write_text(MODELS.format(name=self.name, more=more))
        for module in [name for name in sys.modules if name.startswith(f"{self.path.name}.models")]:
            del sys.modules[module]

    async def make_migration(self, name: str | None = None) -> Path | None:
        """Write the next migration from the models."""
        return await make_migration(self.name, self.apps, name)

    async def migrate(self) -> list[str]:
        """Apply all pending migrations and return their names."""
        return only_migrations(await migrate(self.location, self.apps))

    def pending(self) -> list[str]:
        """Return the pending migrations of the runtime and the plugin."""
        return pending(self.location, {self.name: self.path})


def only_migrations(steps: list[str]) -> list[str]:
    """Return the steps of a run that are migrations; the others are grants and policies of PostgreSQL."""
    return [step for step in steps if " " not in step]


def table_names(folder: Path) -> set[str]:
    """Return the names of all tables in the database of a folder."""
    if on_postgresql():
        return {name for (name,) in run_sql(folder, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}
    return {name for (name,) in run_sql(folder, "SELECT name FROM sqlite_master WHERE type = 'table'")}
