"""Imports a plugin by its entry point, and checks that it was written for this API."""

from __future__ import annotations

from typing import Any

from addonkit.errors import PluginError
from addonkit.extension.discovery import Installed, plugin_errors
from addonkit.extension.plugin import API_VERSION, Plugin


def load(one: Installed) -> Any:
    """Import what the entry point names: a ``Plugin``, or a module with hook implementations.

    Raises:
        PluginError: It cannot be imported, was written for another API, or has another name.
    """
    message = (
        f"plugin '{one.name}' ({one.distribution} {one.version}) cannot be imported: {{cause}}; correct it, install "
        "what it needs, or remove it from [addon] plugins"
    )
    with plugin_errors(one.name, message):
        plugin = one.entry.load()
    _check_api(one, plugin)
    if isinstance(plugin, Plugin) and plugin.name != one.name:
        raise PluginError(
            f"plugin '{one.name}' is named '{plugin.name}' in Plugin(…); use the same name there and as entry point",
            plugin=one.name,
        )
    return plugin


def _check_api(one: Installed, plugin: Any) -> None:
    wanted = plugin.api if isinstance(plugin, Plugin) else getattr(plugin, "ADDONKIT_API", API_VERSION)
    if wanted == API_VERSION:
        return
    newer = isinstance(wanted, int) and wanted > API_VERSION
    outdated = "addonkit" if newer else f"'{one.distribution}'"
    raise PluginError(
        f"plugin '{one.name}' ({one.distribution} {one.version}) was written for API {wanted}, this is API "
        f"{API_VERSION}; upgrade {outdated}",
        plugin=one.name,
    )
