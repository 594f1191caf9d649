"""The file that a backup is: a plain tar with a manifest, the database, and the key file where there is one.

The manifest comes first and says how large the others are and what they hash to. Reading takes these members and no
others, in this order, and writes them under names of its own: what a header says is compared and never used.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from tarfile import GNU_FORMAT, NUL, REGTYPE, HeaderError, TarInfo
from typing import BinaryIO, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from addonkit.errors import AddonkitError

MANIFEST, DATABASE, KEYS = "manifest.json", "addonkit.db", "addonkit.key"
LARGEST = {MANIFEST: 64 * 1024, KEYS: 64 * 1024}
BLOCK = 512
CHUNK = 1024 * 1024
Told = Callable[[str, int, int], None]
"""Told what is done, how many bytes of it, and of how many."""


class ArchiveInvalid(AddonkitError):
    """The file is no backup of ours, or no longer what was written."""


class Content(BaseModel):
    """What one file of an archive is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Manifest(BaseModel):
    """What an archive says of itself.

    Attributes:
        format: Of the archive; another one is of another release.
        release: Of addonkit, which wrote it.
        made_at: When the database was as it is in there, UTC.
        addon: The add-on's key.
        sites: How many it has, those that are uninstalled among them.
        migrations: How many the database has.
        keys: How many secrets each encryption key seals, by its id.
        files: The other members, by name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    release: str
    made_at: datetime
    addon: str
    sites: int
    migrations: int
    keys: dict[str, int]
    files: dict[Literal["addonkit.db", "addonkit.key"], Content]

    @property
    def has_keys(self) -> bool:
        """Whether the archive holds the key file."""
        return KEYS in self.files


def content_of(path: Path) -> Content:
    """What a file is."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return Content(size=path.stat().st_size, sha256=digest.hexdigest())


def write_archive(target: BinaryIO, manifest: Manifest, files: Mapping[str, Path], on_progress: Told) -> None:
    """Write a whole archive; the caller sees to it that it is on disk."""
    text = manifest.model_dump_json(indent=2).encode()
    target.write(_header(MANIFEST, len(text), manifest.made_at) + text + _padding(len(text)))
    for name, path in files.items():
        size = path.stat().st_size
        target.write(_header(name, size, manifest.made_at))
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                target.write(chunk)
                on_progress("written", file.tell(), size)
        target.write(_padding(size))
    target.write(NUL * BLOCK * 2)


def read_manifest(path: Path) -> Manifest:
    """What an archive says of itself.

    Raises:
        ArchiveInvalid: It is none.
    """
    with _opened(path) as archive:
        return _manifest_in(archive, path)


def unpack(path: Path, folder: Path, on_progress: Told) -> Manifest:
    """Write the files of an archive into a folder, under their own names, and see that they are what was backed up.

    Args:
        path: The archive.
        folder: An empty folder, which its owner alone can read.
        on_progress: Told how far it is.

    Raises:
        ArchiveInvalid: It is no backup, or was changed or cut since it was written.
    """
    with _opened(path) as archive:
        manifest = _manifest_in(archive, path)
        for name in (DATABASE, KEYS):
            if name in manifest.files:
                _unpack_member(archive, path, folder / name, manifest.files[name], on_progress)
        if archive.read(BLOCK) != NUL * BLOCK:
            raise ArchiveInvalid(f"'{path}' holds more than its manifest says; restore from another copy")
    return manifest


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as wrong:
        raise ArchiveInvalid(f"'{path}' cannot be read: {wrong.strerror}; name the file of a backup") from None


def _manifest_in(archive: BinaryIO, path: Path) -> Manifest:
    size = _size_of(archive, path, MANIFEST)
    text = archive.read(size)
    archive.read(-size % BLOCK)
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError:
        raise ArchiveInvalid(f"the manifest of '{path}' cannot be read; it is damaged or of another release") from None
    if DATABASE not in manifest.files:
        raise ArchiveInvalid(f"'{path}' holds no database; name the file of a backup")
    return manifest


def _unpack_member(archive: BinaryIO, path: Path, target: Path, expected: Content, on_progress: Told) -> None:
    name = target.name
    if _size_of(archive, path, name) != expected.size:
        raise ArchiveInvalid(f"'{name}' in '{path}' is not as long as its manifest says; restore from another copy")
    digest = hashlib.sha256()
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        for chunk in _chunks(archive, expected.size):
            digest.update(chunk)
            file.write(chunk)
            on_progress("read", file.tell(), expected.size)
        file.flush()
        os.fsync(file.fileno())
        written = file.tell()
    archive.read(-expected.size % BLOCK)
    if written < expected.size:
        raise ArchiveInvalid(f"'{path}' ends in the middle of '{name}'; restore from another copy")
    if digest.hexdigest() != expected.sha256:
        raise ArchiveInvalid(f"'{name}' in '{path}' is not what was backed up: its SHA-256 differs; take another copy")


def _size_of(archive: BinaryIO, path: Path, name: str) -> int:
    """Read a header, which has to be that of a plain file of this name, and give its size.

    The headers are read one by one, not by tarfile: that one would follow links, sparse files and long names.
    """
    try:
        header = TarInfo.frombuf(archive.read(BLOCK), "utf-8", "strict")
    except (HeaderError, UnicodeError, ValueError):
        raise ArchiveInvalid(f"'{path}' is no backup, or is damaged before '{name}'; name another file") from None
    if header.name != name or header.type != REGTYPE:
        raise ArchiveInvalid(f"'{path}' is no backup of addonkit: it has no '{name}' where one is; name another file")
    if not 0 <= header.size <= LARGEST.get(name, path.stat().st_size):
        raise ArchiveInvalid(f"'{name}' in '{path}' is larger than it can be; restore from another copy")
    return header.size


def _chunks(archive: BinaryIO, size: int) -> Iterator[bytes]:
    while size and (chunk := archive.read(min(CHUNK, size))):
        size -= len(chunk)
        yield chunk


def _header(name: str, size: int, made_at: datetime) -> bytes:
    info = TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o600, int(made_at.timestamp())
    return info.tobuf(GNU_FORMAT)


def _padding(size: int) -> bytes:
    return NUL * (-size % BLOCK)
