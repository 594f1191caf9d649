"""A plugin's static files, served at URLs with a content hash so that browsers can cache them forever."""

from __future__ import annotations

import hashlib
import mimetypes
import re
from pathlib import Path
from typing import NamedTuple

from addonkit.errors import PluginError

HASHED = re.compile(r"(?P<stem>.+)\.(?P<hash>[0-9a-f]{12})(?P<suffix>\.[A-Za-z0-9]+)")
TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
MAX_FILE_NAME = 255
"""Longest file name that file systems accept, in bytes; a longer one raises an error there."""


class Asset(NamedTuple):
    """A static file in memory.

    Attributes:
        body: Its bytes.
        content_type: Its media type.
    """

    body: bytes
    content_type: str


class Assets:
    """The files of one plugin's ``static`` folder, read once and kept in memory.

    Args:
        plugin: The plugin's name.
        folder: The folder; it need not exist.
    """

    def __init__(self, plugin: str, folder: Path) -> None:
        self.plugin, self.folder = plugin, folder
        self._cache: dict[str, tuple[str, Asset]] = {}

    def url(self, filename: str) -> str:
        """Return a file's URL relative to the base URL: ``/<plugin>/static/panel.0f3a….js``.

        Raises:
            PluginError: There is no such file.
        """
        found = self._find(filename)
        if found is None:
            raise PluginError(
                f"plugin '{self.plugin}' names the static file '{filename}', which is not in its folder "
                f"'{self.folder.name}'; add it there",
                plugin=self.plugin,
            )
        stem, dot, suffix = filename.rpartition(".")
        return f"/{self.plugin}/static/{stem}.{found[0]}{dot}{suffix}"

    def get(self, hashed: str) -> Asset | None:
        """Return the file for the last part of a URL; None if no file has this name and content hash."""
        match = HASHED.fullmatch(hashed)
        found = self._find(match["stem"] + match["suffix"]) if match else None
        return found[1] if match and found and found[0] == match["hash"] else None

    def _find(self, filename: str) -> tuple[str, Asset] | None:
        if filename not in self._cache:
            path = (self.folder / filename).resolve()
            if (
                len(filename.encode()) > MAX_FILE_NAME
                or not path.is_relative_to(self.folder.resolve())
                or not path.is_file()
                or "." not in path.name[1:]
            ):
                return None
            body = path.read_bytes()
            content_type = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            self._cache[filename] = hashlib.sha256(body).hexdigest()[:12], Asset(body, content_type)
        return self._cache[filename]
