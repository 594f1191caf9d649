"""Assembles the add-on: configuration, plugins, application and edge.

Names are imported at first use, so that printing a descriptor does not import a web server.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from addonkit.app.addon import Addon
    from addonkit.app.creation import create_addon
    from addonkit.app.deployment import Deployment

__all__ = ["Addon", "Deployment", "create_addon"]

_HOMES = {"Addon": "addon", "Deployment": "deployment", "create_addon": "creation"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'addonkit.app' has no attribute '{name}'")
    return getattr(import_module(f"addonkit.app.{_HOMES[name]}"), name)
