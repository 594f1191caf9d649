"""Static files, under names that carry their content's hash so that browsers may keep them for ever."""

from __future__ import annotations

import hashlib
import mimetypes
import re
from dataclasses import dataclass
from pathlib import Path

from addonkit.errors import PluginError

HASHED = re.compile(r"(?P<stem>.+)\.(?P<hash>[0-9a-f]{12})(?P<suffix>\.[A-Za-z0-9]+)")
TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Asset:
    """A static file as it is sent.

    Attributes:
        body: Its bytes.
        content_type: Its media type.
    """

    body: bytes
    content_type: str


class Assets:
    """The files of one plugin's ``static`` folder.

    Args:
        plugin: The plugin's name.
        folder: Where they lie; it need not exist.
    """

    def __init__(self, plugin: str, folder: Path) -> None:
        self.plugin, self.folder = plugin, folder
        self._known: dict[str, tuple[str, Asset]] = {}

    def url(self, filename: str) -> str:
        """The URL of a file, relative to the base URL: ``/<plugin>/static/panel.0f3a….js``.

        Raises:
            PluginError: If there is no such file.
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
        """The file behind the last part of a URL, or None if there is none of that name and content."""
        match = HASHED.fullmatch(hashed)
        found = self._find(match["stem"] + match["suffix"]) if match else None
        return found[1] if match and found and found[0] == match["hash"] else None

    def _find(self, filename: str) -> tuple[str, Asset] | None:
        if filename not in self._known:
            path = (self.folder / filename).resolve()
            # no file system has longer names, and asking for one is an error there
            if (
                len(filename.encode()) > 255
                or not path.is_relative_to(self.folder.resolve())
                or not path.is_file()
                or "." not in path.name[1:]
            ):
                return None
            body = path.read_bytes()
            content_type = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            self._known[filename] = hashlib.sha256(body).hexdigest()[:12], Asset(body, content_type)
        return self._known[filename]
