"""The file format of a backup: a plain tar with a manifest, the database, and the key file if there is one.

The manifest is the first member and holds the size and SHA-256 of the others. Reading accepts only these members, in
this order and as plain files, and writes them to fixed paths: names and links in the archive are never used as paths.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, BinaryIO, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from addonkit.errors import AddonkitError

MANIFEST, DATABASE, KEYS = "manifest.json", "addonkit.db", "addonkit.key"
MAX_BYTES = {MANIFEST: 64 * 1024, KEYS: 64 * 1024}
BLOCK = 512
CHUNK = 1024 * 1024
ProgressCallback = Callable[[str, int, int], None]
"""Called with what is being done, the number of bytes done, and their total."""


class ArchiveInvalid(AddonkitError):
    """The file is not a backup, or has been changed or truncated since it was written."""


class Content(BaseModel):
    """Size and hash of one file in an archive."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Manifest(BaseModel):
    """The manifest of an archive.

    Attributes:
        format: Version of the file format.
        release: The release of addonkit that wrote it.
        made_at: The moment that the copy of the database shows, UTC.
        addon: Key of the add-on.
        sites: Number of sites, including uninstalled ones.
        migrations: Number of migrations that were applied to the database.
        keys: Number of secrets that each encryption key encrypts, by its id.
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
        """Whether the archive contains the key file."""
        return KEYS in self.files


class _PlainMember(tarfile.TarInfo):
    """A member that is a plain file.

    The type is checked before tarfile reads more, so long names, links, sparse maps and pax headers are never
    interpreted. A damaged header is an error; tarfile itself would treat it as the end of the archive.
    """

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> Self:
        assert tar.fileobj is not None  # noqa: S101 - for the type checker
        header = tar.fileobj.read(BLOCK)
        tar.fileobj.seek(tar.fileobj.tell() - len(header))
        if header != bytes(BLOCK):
            try:
                member = cls.frombuf(header, "utf-8", "strict")
            except (tarfile.HeaderError, ValueError) as error:
                raise tarfile.ReadError(f"a header is damaged: {error}") from None
            if member.type != tarfile.REGTYPE or member.size < 0:
                raise tarfile.ReadError("a member is not a plain file")
        return super().fromtarfile(tar)


class _ReportingReader:
    """A file that reports how much of it has been read."""

    def __init__(self, file: BinaryIO, size: int, on_progress: ProgressCallback) -> None:
        self._file, self._size, self._on_progress = file, size, on_progress

    def read(self, size: int = -1, /) -> bytes:
        chunk = self._file.read(size)
        self._on_progress("written", self._file.tell(), self._size)
        return chunk


def content_of(path: Path) -> Content:
    """Return size and hash of a file."""
    with path.open("rb") as file:
        return Content(size=path.stat().st_size, sha256=hashlib.file_digest(file, "sha256").hexdigest())


def write_archive(
    target: BinaryIO, manifest: Manifest, files: Mapping[str, Path], on_progress: ProgressCallback
) -> None:
    """Write a whole archive; the caller flushes it to disk."""
    with tarfile.open(fileobj=target, mode="w:", format=tarfile.GNU_FORMAT) as archive:
        text = manifest.model_dump_json(indent=2).encode()
        archive.addfile(_header(MANIFEST, len(text), manifest.made_at), io.BytesIO(text))
        for name, path in files.items():
            size = path.stat().st_size
            with path.open("rb") as file:
                archive.addfile(_header(name, size, manifest.made_at), _ReportingReader(file, size, on_progress))
        end = target.tell()
    # Without tarfile's padding to 10 KiB, an archive that is truncated anywhere lacks a part of a member.
    target.truncate(end + 2 * BLOCK)


def read_manifest(path: Path) -> Manifest:
    """Read the manifest of an archive.

    Raises:
        ArchiveInvalid: The file is not a backup.
    """
    with _opened(path) as archive:
        return _read_manifest(archive, path)


def unpack(path: Path, folder: Path, on_progress: ProgressCallback) -> Manifest:
    """Write the files of an archive into a folder, and verify their size and hash.

    Args:
        path: The archive.
        folder: An empty folder that only its owner can read.
        on_progress: Called after each chunk.

    Raises:
        ArchiveInvalid: The file is not a backup, or has been changed or truncated since it was written.
    """
    with _opened(path) as archive:
        manifest = _read_manifest(archive, path)
        for name in (DATABASE, KEYS):
            if name in manifest.files:
                _unpack_member(archive, path, folder / name, manifest.files[name], on_progress)
        if archive.next() is not None:
            raise ArchiveInvalid(f"'{path}' contains more than its manifest lists; restore from another copy")
    return manifest


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise ArchiveInvalid(f"'{path}' cannot be read: {error.strerror}; name the file of a backup") from None
    with file:
        if not file.seekable():
            raise ArchiveInvalid(f"'{path}' is a pipe and not a file; name the file of a backup")
        try:
            with tarfile.open(fileobj=file, mode="r:", tarinfo=_PlainMember) as archive:
                yield archive
        except tarfile.TarError as error:
            raise ArchiveInvalid(
                f"'{path}' is not a backup of addonkit, or is damaged ({error}); restore from another file"
            ) from None


def _read_manifest(archive: tarfile.TarFile, path: Path) -> Manifest:
    with _next_member(archive, path, MANIFEST)[1] as file:
        text = file.read()
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError:
        raise ArchiveInvalid(
            f"the manifest of '{path}' cannot be read; it is damaged or of another release of addonkit"
        ) from None
    if DATABASE not in manifest.files:
        raise ArchiveInvalid(f"'{path}' contains no database; name the file of a backup")
    return manifest


def _unpack_member(
    archive: tarfile.TarFile, path: Path, target: Path, expected: Content, on_progress: ProgressCallback
) -> None:
    name = target.name
    size, source = _next_member(archive, path, name)
    if size != expected.size:
        raise ArchiveInvalid(f"'{name}' in '{path}' does not have the size in its manifest; restore from another copy")
    digest = hashlib.sha256()
    with source, os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        while chunk := source.read(CHUNK):
            digest.update(chunk)
            file.write(chunk)
            on_progress("read", file.tell(), expected.size)
        file.flush()
        os.fsync(file.fileno())
        written = file.tell()
    if written < expected.size:
        raise ArchiveInvalid(f"'{path}' is truncated within '{name}'; restore from another copy")
    if digest.hexdigest() != expected.sha256:
        raise ArchiveInvalid(
            f"'{name}' in '{path}' does not have the SHA-256 in its manifest; restore from another copy"
        )


def _next_member(archive: tarfile.TarFile, path: Path, name: str) -> tuple[int, IO[bytes]]:
    """Return size and content of the next member, which must be a plain file of this name."""
    member = archive.next()
    if member is None or member.name != name:
        raise ArchiveInvalid(f"'{path}' is not a backup of addonkit: expected '{name}' in it; name another file")
    if not 0 <= member.size <= MAX_BYTES.get(name, path.stat().st_size):
        raise ArchiveInvalid(f"'{name}' in '{path}' is larger than it can be; restore from another copy")
    content = archive.extractfile(member)
    if content is None or member.type != tarfile.REGTYPE:
        raise ArchiveInvalid(f"'{name}' in '{path}' is not a plain file; restore from another copy")
    return member.size, content


def _header(name: str, size: int, made_at: datetime) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.size, header.mode, header.mtime = size, 0o600, int(made_at.timestamp())
    return header
