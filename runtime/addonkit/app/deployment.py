"""A deployment: one configuration, read and held against what is installed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from addonkit.app.key_file import Key, KeyFile
from addonkit.descriptor.document import Descriptor
from addonkit.errors import SettingsInvalid
from addonkit.extension.discovery import Installed, installed
from addonkit.extension.registry import Registry, load_registry
from addonkit.protocol.urls import is_loopback
from addonkit.settings import Settings, configuration_at, parse_key, read_settings

if TYPE_CHECKING:
    from addonkit.database.location import Location

KEY_FILE = "addonkit.key"


class Deployment:
    """What one ``addon.toml`` stands for.

    Args:
        settings: The configuration.
        directory: The folder that relative paths in it are relative to.
        path: The file that it was read from, if any.
    """

    def __init__(self, settings: Settings, directory: Path, path: Path | None = None) -> None:
        self.settings, self.directory, self.path = settings, directory, path

    @classmethod
    def read(cls, path: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Deployment:
        """The deployment of a file.

        Args:
            path: The file; by default what ``ADDONKIT_CONFIG`` names, else ``addon.toml`` here.
            overrides: Sections and keys that win over everything.

        Raises:
            SettingsInvalid: It cannot be read, or says something that it may not.
        """
        named = configuration_at(path)
        return cls(read_settings(named, overrides), named.parent, named)

    def with_overrides(self, overrides: Mapping[str, Any], directory: Path | None = None) -> Deployment:
        """The same deployment with some values changed, and perhaps another folder for its data."""
        merged = read_settings(self.path, overrides)
        return Deployment(merged, directory or self.directory, self.path)

    @cached_property
    def installed(self) -> Mapping[str, tuple[Installed, ...]]:
        """All installed plugins by name, on or off; nothing of them is imported."""
        return installed()

    @cached_property
    def registry(self) -> Registry:
        """The enabled plugins, loaded at the first look.

        Raises:
            PluginError: One of them cannot be used.
        """
        return load_registry(self.settings, self.installed)

    @property
    def descriptor(self) -> Descriptor:
        """The merged descriptor."""
        return self.registry.descriptor

    @property
    def location(self) -> Location:
        """Where the database is, and as whom it is reached.

        Raises:
            SettingsInvalid: A URL of it cannot be used.
        """
        from addonkit.database.location import Location

        return Location.of(self.settings.database, self.directory)

    def packages(self) -> dict[str, Path]:
        """The packages of all installed plugins that ship migrations, switched on or not; none is imported."""
        found = {name: many[0].package for name, many in self.installed.items()}
        return {name: path for name, path in found.items() if path and (path / "migrations" / "__init__.py").is_file()}

    @property
    def key_file(self) -> KeyFile | None:
        """The file that its keys are in; None where the configuration names them, or has to."""
        if self.settings.security.encryption_keys or not is_loopback(self.settings.addon.base_url):
            return None
        return KeyFile(self.directory / KEY_FILE)

    def will_make_key(self) -> bool:
        """Whether the first start makes a key file beside the configuration."""
        return self.key_file is not None and not self.key_file.exists()

    def encryption_keys(self) -> list[Key]:
        """The keys that encrypt what is stored; a loopback deployment without any makes itself one.

        Raises:
            SettingsInvalid: There is none and the add-on is not on loopback.
        """
        if self.key_file is not None:
            return self.key_file.keys_or_new()
        named = self.settings.security.encryption_keys
        if not named:
            raise SettingsInvalid(
                f"[security] encryption_keys is empty, and '{self.settings.addon.base_url}' is not on loopback; "
                "make a key with 'addonkit keys new' and name it there"
            )
        return [parse_key(text) for text in named]
