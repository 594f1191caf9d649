"""Creates an add-on from values instead of a file, for tests and scripts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from addonkit.app.addon import Addon
from addonkit.app.deployment import Deployment
from addonkit.settings import read_settings


def create_addon(config: Mapping[str, Any], directory: Path) -> Addon:
    """Create an add-on from values instead of a file.

    Args:
        config: Sections and keys as in ``addon.toml``; environment variables do not override them.
        directory: The directory that relative paths are relative to.

    Raises:
        AddonkitError: The configuration cannot be used.
    """
    return Addon(Deployment(read_settings(None, config), directory))
