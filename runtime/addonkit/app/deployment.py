"""A deployment: one configuration, read and held against what is installed."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from addonkit.descriptor.document import Descriptor
from addonkit.errors import SettingsInvalid
from addonkit.extension.discovery import Installed, installed
from addonkit.extension.registry import Registry, load_registry
from addonkit.protocol.urls import is_loopback
from addonkit.settings import Settings, parse_key, read_settings

KEY_FILE = "addonkit.key"
DEFAULT_FILE = "addon.toml"


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
        named = (path or Path(os.environ.get("ADDONKIT_CONFIG") or DEFAULT_FILE)).absolute()
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

    def packages(self) -> dict[str, Path]:
        """The packages of all installed plugins that ship migrations, switched on or not; none is imported."""
        found = {name: many[0].package for name, many in self.installed.items()}
        return {name: path for name, path in found.items() if path and (path / "migrations" / "__init__.py").is_file()}

    def will_make_key(self) -> bool:
        """Whether the first start makes a key file beside the configuration."""
        unnamed = not self.settings.security.encryption_keys and is_loopback(self.settings.addon.base_url)
        return unnamed and not (self.directory / KEY_FILE).exists()

    def encryption_keys(self) -> list[tuple[str, bytes]]:
        """The keys that encrypt what is stored; a loopback deployment without any makes itself one.

        Raises:
            SettingsInvalid: There is none and the add-on is not on loopback.
        """
        named = self.settings.security.encryption_keys
        if named:
            return [parse_key(text) for text in named]
        if not is_loopback(self.settings.addon.base_url):
            raise SettingsInvalid(
                f"[security] encryption_keys is empty, and '{self.settings.addon.base_url}' is not on loopback; "
                "make a key with 'addonkit keys new' and name it there"
            )
        return [_own_key(self.directory / KEY_FILE)]


def _own_key(path: Path) -> tuple[str, bytes]:
    """The key in a file of ours, made if there is none."""
    try:
        if not path.exists():
            _make_key(path)
            import structlog  # here, for it loads what writes tracebacks in colours

            structlog.get_logger().info(
                "made an encryption key", file=str(path), why="[security] encryption_keys is empty on loopback"
            )
        text = path.read_bytes().decode("latin-1").strip()
    except OSError as wrong:
        raise SettingsInvalid(
            f"the key file '{path}' cannot be used: {wrong.strerror}; name a key in [security] encryption_keys"
        ) from None
    try:
        return parse_key(text)
    except ValueError:
        raise SettingsInvalid(
            f"the key file '{path}' holds no key; bring back the one that encrypted the database, or remove both"
        ) from None


def _make_key(path: Path) -> None:
    """Write a new key. It appears whole or not at all, and one that is there already stays."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(f"local:{base64.b64encode(secrets.token_bytes(32)).decode()}\n")
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
