"""Reads the documents that ``forge diff`` compares: a manifest, a Connect descriptor, or the manifest of plugins."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from addonkit import foreign_json
from addonkit.errors import ManifestInvalid
from addonkit.forge.approvals import Side
from addonkit.forge.differences.first_move import is_descriptor
from addonkit.forge.manifest_file import MAX_BYTES, read_start
from addonkit.forge.manifest_parser import parse

if TYPE_CHECKING:
    from addonkit.forge.manifest import Manifest  # as in manifest_file

FILE_NAME = "manifest.yml"
_PLUGIN = re.compile(r"\s*# plugins?: (\S.*?)\s*")


def side_of_file(path: Path, content: bytes) -> Side:
    """Read a manifest or a Connect descriptor.

    Args:
        path: Its name for messages.
        content: The file, at most one byte longer than it may be.

    Raises:
        ManifestInvalid: It is neither, or too long.
    """
    if len(content) > MAX_BYTES:
        raise ManifestInvalid(f"'{path}' has more than {MAX_BYTES} bytes; name a manifest.yml or a descriptor")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ManifestInvalid(f"'{path}' is not UTF-8 at byte {error.start}; save it as UTF-8") from None
    if text.lstrip().startswith("{"):
        document = _json(path, text)
        if is_descriptor(document):
            return Side(document, str(path))
    read = parse(text, path)
    if "app" not in read.document:
        if is_descriptor(read.document):
            return Side(read.document, str(path))
        raise ManifestInvalid(
            f"'{path}' has no 'app'; expected a Forge manifest, or a Connect descriptor with a 'baseUrl'"
        )
    lines = text.splitlines()

    def plugin_at(pointer: str) -> str | None:
        while pointer:
            line = read.lines.get(pointer)
            found = _PLUGIN.fullmatch(lines[line - 2]) if line and line > 1 else None
            if found:
                return found[1]
            pointer = pointer.rpartition("/")[0]
        return None

    return Side(read.document, str(path), plugin_at, read.line_of)


def side_of_manifest(manifest: Manifest, name: str) -> Side:
    """Return the manifest of a deployment's plugins as a side."""

    def plugin_at(pointer: str) -> str | None:
        while pointer and pointer not in manifest.sources:
            pointer = pointer.rpartition("/")[0]
        return manifest.sources.get(pointer)

    return Side(manifest.document, name, plugin_at)


def read_bytes(path: Path) -> bytes:
    """Read a file, and of a folder the manifest in it; never more than one byte beyond the largest size.

    Raises:
        ManifestInvalid: It cannot be read.
    """
    file = path / FILE_NAME if path.is_dir() else path
    try:
        return read_start(file)
    except OSError as error:
        raise ManifestInvalid(f"'{file}' cannot be read: {error.strerror}; name a readable file") from None


def _json(path: Path, text: str) -> dict[str, Any]:
    try:
        document = foreign_json.loads(text)
    except orjson.JSONDecodeError:
        return {}  # perhaps it is YAML, whose parser says what is wrong
    if not isinstance(document, dict):
        raise ManifestInvalid(f"'{path}' holds no object; name a manifest.yml or a descriptor")
    return document
