"""Whose table is whose, told by its name before the database is touched."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable, Iterator

from addonkit.errors import DescriptorConflict, PluginError


def check_tables(plugin: str, models: str, others: Iterable[str]) -> None:
    """Import a plugin's models and look at the names of their tables.

    Args:
        plugin: The plugin's name.
        models: Dotted name of the module with its models.
        others: Names of the other enabled plugins.

    Raises:
        PluginError: A table's name does not begin with the plugin's.
        DescriptorConflict: A table's name begins with that of another plugin.
    """
    for model, table in _tables(models):
        owner = max((name for name in (plugin, *others) if table.startswith(f"{name}_")), key=len, default=None)
        remedy = f"say table = '{plugin}_…' in its Meta"
        if owner is None:
            raise PluginError(f"plugin '{plugin}' keeps '{model}' in the table '{table}'; {remedy}", plugin=plugin)
        if owner != plugin:
            remedy = "choose another name" if table.startswith(f"{plugin}_") else remedy
            raise DescriptorConflict(
                f"plugin '{plugin}' keeps '{model}' in '{table}', which is a table of plugin '{owner}'; {remedy}",
                plugin=plugin,
                other=owner,
            )


def _tables(models: str) -> Iterator[tuple[str, str]]:
    # Imported here: a deployment whose plugins store nothing loads no database.
    from tortoise.models import Model

    module = importlib.import_module(models)
    for name, value in inspect.getmembers(module, inspect.isclass):
        if issubclass(value, Model) and value.__module__ == models and not value._meta.abstract:  # noqa: SLF001 - Tortoise's own name for it
            yield name, value._meta.db_table or name.lower()  # noqa: SLF001 - as above
