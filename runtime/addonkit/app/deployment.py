"""A deployment: one configuration, together with the packages that are installed."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from addonkit.app.key_file import Key, KeyFile
from addonkit.descriptor.document import Descriptor
from addonkit.errors import SettingsInvalid
from addonkit.extension.discovery import Installed, installed, is_usable
from addonkit.http_client import Network
from addonkit.protocol.urls import is_loopback
from addonkit.settings import Settings, configuration_at, parse_key, read_settings

if TYPE_CHECKING:
    from addonkit.app.plugin_storage import PluginStorage
    from addonkit.database.location import Location
    from addonkit.extension.registry import Registry

KEY_FILE = "addonkit.key"


class Deployment:
    """One configuration with its folder and the installed plugins.

    Args:
        settings: The configuration.
        directory: Folder that relative paths in it start from.
        path: The file that it was read from, if any.

    Attributes:
        is_overridden: Whether it has other settings than its file and the environment.
    """

    is_overridden = False

    def __init__(self, settings: Settings, directory: Path, path: Path | None = None) -> None:
        self.settings, self.directory, self.path = settings, directory, path

    @classmethod
    def read(cls, path: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Deployment:
        """Read the deployment of a configuration file.

        Args:
            path: The file; by default the one in ``ADDONKIT_CONFIG``, or ``addon.toml`` in the current folder.
            overrides: Sections and keys that override file and environment.

        Raises:
            SettingsInvalid: It cannot be read, or a setting is invalid.
        """
        named = configuration_at(path)
        deployment = cls(read_settings(named, overrides), named.parent, named)
        deployment.is_overridden = bool(overrides)
        return deployment

    def with_overrides(self, overrides: Mapping[str, Any], directory: Path | None = None) -> Deployment:
        """Read the same deployment with some settings overridden, and optionally with another folder."""
        merged = read_settings(self.path, overrides)
        deployment = Deployment(merged, directory or self.directory, self.path)
        deployment.is_overridden = True
        return deployment

    @cached_property
    def installed(self) -> Mapping[str, tuple[Installed, ...]]:
        """All installed plugins by name, enabled or not; none is imported."""
        return installed()

    @cached_property
    def registry(self) -> Registry:
        """The enabled plugins, loaded on first access.

        Raises:
            PluginError: A plugin cannot be used.
        """
        # here, since commands that only read the database do not load plugins, nor the web framework
        from addonkit.extension.registry import load_registry

        return load_registry(self.settings, self.installed, self._check_storage)

    def _check_storage(self, installed: Installed, models: str) -> None:
        from addonkit.app.plugin_storage import check_storage

        check_storage(installed, models, self.packages())

    @cached_property
    def storage(self) -> PluginStorage:
        """The models and migrations of all installed plugins, imported on first access; a serving process never does.

        Those of a plugin with a fault are left out, with the reason.
        """
        from addonkit.app.plugin_storage import read_storage

        return read_storage(self.installed, self.packages())

    def may_skip(self, plugin: str) -> bool:
        """Whether the deployment can go on without a plugin: it is off, or may be skipped if it cannot be used."""
        addon = self.settings.addon
        is_off = plugin not in addon.plugins
        return is_off or (addon.on_plugin_error == "skip" and plugin not in addon.required)

    @property
    def descriptor(self) -> Descriptor:
        """The merged descriptor."""
        return self.registry.descriptor

    @property
    def user_agent(self) -> str:
        """The ``User-Agent`` of requests to sites."""
        return f"addonkit/{version('addonkit')} {self.settings.addon.key}"

    @cached_property
    def network(self) -> Network:
        """The way to the sites, the key hosts and the token server.

        Raises:
            SettingsInvalid: ``[host] ca_file`` cannot be read.
        """
        host = self.settings.host
        ca_file = self.directory / host.ca_file if host.ca_file else None
        if ca_file is not None:
            check_ca_file(ca_file)
        return Network(host.proxy, ca_file)

    @property
    def location(self) -> Location:
        """The database's location and roles.

        Raises:
            SettingsInvalid: A URL of the database is invalid.
        """
        from addonkit.database.location import Location

        return Location.from_settings(self.settings.database, self.directory)

    @property
    def data_directory(self) -> Path:
        """The folder for files that the runtime writes: that of the SQLite file.

        On PostgreSQL, it is the folder that systemd has made for the unit (``StateDirectory=``), or else that of the
        configuration.

        Raises:
            SettingsInvalid: A URL of the database is invalid.
        """
        location = self.location
        return _state_directory() or self.directory if location.is_postgres else location.path.parent

    def packages(self) -> dict[str, Path]:
        """Packages of all installed plugins with migrations, enabled or not; none is imported.

        A name that no plugin can have, or that several have, is left out.
        """
        usable = {name: many[0] for name, many in self.installed.items() if is_usable(name, self.installed)}
        found = {name: one.package for name, one in usable.items()}
        return {name: path for name, path in found.items() if path and (path / "migrations" / "__init__.py").is_file()}

    def used_packages(self) -> dict[str, Path]:
        """Packages with migrations of the plugins that this process serves: neither off nor skipped at the start."""
        return {name: path for name, path in self.packages().items() if name in self.registry.contributions}

    @property
    def key_file(self) -> KeyFile | None:
        """The key file; None if the configuration holds the keys, or must hold them."""
        if self.settings.security.encryption_keys or not is_loopback(self.settings.addon.base_url):
            return None
        return KeyFile(self.directory / KEY_FILE)

    def will_make_key(self) -> bool:
        """Whether the first start creates a key file beside the configuration."""
        return self.key_file is not None and not self.key_file.exists()

    def encryption_keys(self) -> list[Key]:
        """The encryption keys; a deployment on loopback without a key creates a key file.

        Raises:
            SettingsInvalid: There is no key, and the add-on is not on loopback.
        """
        if self.key_file is not None:
            return self.key_file.keys_or_new()
        named = self.settings.security.encryption_keys
        if not named:
            raise SettingsInvalid(
                f"[security] encryption_keys is empty, but '{self.settings.addon.base_url}' is not on loopback; "
                "generate a key with 'addonkit keys new' and add it there"
            )
        return [parse_key(text) for text in named]


def check_ca_file(file: Path) -> None:
    """Check that a file has certificates that can be loaded.

    Raises:
        SettingsInvalid: It has none, or cannot be read.
    """
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except ssl.SSLError:
        raise SettingsInvalid(
            f"[host] ca_file names '{file}', which has no certificate in PEM format; name a file with the certificates "
            "of your authorities"
        ) from None
    except OSError as error:
        raise SettingsInvalid(
            f"[host] ca_file names '{file}', which cannot be read: {error.strerror}; name a readable file"
        ) from None


def _state_directory() -> Path | None:
    """Return the first folder that systemd has made for the unit, if this process can write there."""
    first = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(first) if Path(first).is_absolute() and os.access(first, os.W_OK | os.X_OK) else None
