"""Backup of a SQLite database and its key file into one archive, while the add-on serves. See ``restore``.

The database is copied inside one read transaction: the copy shows the database at one moment, and other connections can
write during the copy. SQLite's write-ahead log grows by what they write.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from addonkit.app.archive import DATABASE, KEYS, Content, Manifest, ProgressCallback, content_of, write_archive
from addonkit.app.deployment import Deployment
from addonkit.database.errors import error_summary
from addonkit.database.location import Location
from addonkit.errors import SettingsInvalid, StorageUnavailable
from addonkit.temporary_folder import locked_folder
from addonkit.tenancy.vault import key_id_of

PAGES_PER_STEP = 1024
# The database is copied twice: by SQLite, and into the archive.
COPIES = 2
SPARE_BYTES = 1024 * 1024
BUSY_TIMEOUT_S = 5.0
DRAFT_PREFIX = ".addonkit-backup-"


@dataclass(frozen=True, slots=True)
class Backup:
    """A finished backup.

    Attributes:
        path: The archive.
        size: Its size in bytes.
        manifest: Its content.
        missing: Ids of keys that encrypt secrets in it and that the deployment does not have.
    """

    path: Path
    size: int
    manifest: Manifest
    missing: tuple[str, ...]


def sqlite_location(deployment: Deployment) -> Location:
    """Return the location of a deployment's SQLite database.

    Raises:
        SettingsInvalid: The database is not SQLite.
    """
    if deployment.location.is_postgres:
        raise SettingsInvalid(
            "'addonkit backup' and 'restore' are for SQLite, but [database] url names PostgreSQL; use pg_dump or "
            "pg_basebackup, and keep [security] encryption_keys separate from their output"
        )
    return deployment.location


def back_up(deployment: Deployment, target: Path, on_progress: ProgressCallback = lambda *_: None) -> Backup:
    """Write a backup. It gets its name once it is complete and on disk.

    Args:
        deployment: The deployment to back up.
        target: The archive, which must not exist; its folder needs space for two copies of the database.
        on_progress: Called while files are copied.

    Raises:
        SettingsInvalid: The archive exists, its folder does not, or there is no database.
        StorageUnavailable: The database cannot be read, or the archive cannot be written; no file remains.
    """
    source = sqlite_location(deployment).path
    target = target.absolute()
    _check_target(target)
    if not source.exists():
        raise SettingsInvalid(f"there is no database at '{source}' yet; start the add-on first")
    try:
        with locked_folder(DRAFT_PREFIX, target.parent) as folder:
            draft = folder.path / "archive"
            manifest = _write(deployment, source, folder.path, draft, on_progress)
            size = draft.stat().st_size
            _publish(draft, target)
    except FileExistsError:
        raise _target_exists(target) from None
    except (sqlite3.Error, OSError) as error:
        raise StorageUnavailable(
            f"the backup of '{source}' to '{target}' failed ({error_summary(error)}); no file remains there"
        ) from error
    available = {key_id for key_id, _ in _keys_of(deployment)}
    return Backup(target, size, manifest, tuple(sorted(set(manifest.keys) - available)))


def integrity_of(database: Path) -> str:
    """Return the result of SQLite's integrity check on a file that is not open: ``ok``, or the first error."""
    try:
        with closing(_read_only(database)) as connection:
            return str(connection.execute("PRAGMA integrity_check(1)").fetchone()[0])
    except sqlite3.DatabaseError as error:
        return error_summary(error)


def sync_folder(folder: Path) -> None:
    """Flush a folder's directory entries to disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write(deployment: Deployment, source: Path, folder: Path, draft: Path, on_progress: ProgressCallback) -> Manifest:
    """Copy the database, check the copy, and write the archive."""
    database, keys = folder / DATABASE, folder / KEYS
    with _snapshot(source) as reading:
        made_at = datetime.now(UTC)
        # Copied before the database: each key is in the file before it encrypts anything, and may be removed later.
        files = {DATABASE: database} | ({KEYS: keys} if _copy_keys(deployment, keys) else {})
        _check_space(reading, folder)
        _copy(reading, database, on_progress)
    if (result := integrity_of(database)) != "ok":
        raise StorageUnavailable(f"the database '{source}' is damaged: {result}; restore an earlier backup")
    contents = {name: content_of(path) for name, path in files.items()}
    manifest = _manifest(deployment, database, made_at, contents)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as archive:
        write_archive(archive, manifest, files, on_progress)
        archive.flush()
        os.fsync(archive.fileno())
    return manifest


@contextmanager
def _snapshot(source: Path) -> Iterator[sqlite3.Connection]:
    """Open a read transaction, which sees the database as it is now."""
    uri = f"{source.as_uri()}?mode=rw"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_S)) as connection:
        # Without an open transaction, SQLite restarts a copy in steps after every write of another process.
        connection.execute("BEGIN")
        if not connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'addonkit_tenant'").fetchone()[0]:
            raise SettingsInvalid(f"the database '{source}' has no tables yet; start the add-on first")
        yield connection


def _copy(reading: sqlite3.Connection, target: Path, on_progress: ProgressCallback) -> None:
    page_size = reading.execute("PRAGMA page_size").fetchone()[0]

    def report(_status: int, remaining: int, total: int) -> None:
        on_progress("copied", (total - remaining) * page_size, total * page_size)

    target.touch(0o600)
    with closing(sqlite3.connect(target, isolation_level=None)) as writing:
        # The copy is written once, by this process only, and discarded if anything fails.
        writing.execute("PRAGMA journal_mode = OFF")
        writing.execute("PRAGMA synchronous = OFF")
        reading.backup(writing, pages=PAGES_PER_STEP, progress=report)


def _copy_keys(deployment: Deployment, target: Path) -> bool:
    """Copy the key file; False if there is none."""
    file = deployment.key_file
    if file is None or not file.exists():
        return False
    target.touch(0o600)
    target.write_text("".join(f"{line}\n" for line in file.lines()), encoding="ascii")
    return True


def _manifest(deployment: Deployment, database: Path, made_at: datetime, contents: dict[str, Content]) -> Manifest:
    with closing(_read_only(database)) as connection:
        encrypted = connection.execute("SELECT shared_secret FROM addonkit_tenant WHERE shared_secret IS NOT NULL")
        return Manifest.model_validate(
            {
                "release": version("addonkit"),
                "made_at": made_at,
                "addon": deployment.settings.addon.key,
                "keys": Counter(key_id_of(text) for (text,) in encrypted),
                "sites": connection.execute("SELECT count(*) FROM addonkit_tenant").fetchone()[0],
                "migrations": connection.execute("SELECT count(*) FROM tortoise_migrations").fetchone()[0],
                "files": contents,
            }
        )


def _read_only(database: Path) -> sqlite3.Connection:
    """Open a database that nobody else has open, without creating journal files beside it."""
    return sqlite3.connect(f"{database.as_uri()}?mode=ro&immutable=1", uri=True)


def _keys_of(deployment: Deployment) -> list[tuple[str, bytes]]:
    """The deployment's keys; no key file is created."""
    try:
        return [] if deployment.will_make_key() else deployment.encryption_keys()
    except SettingsInvalid:
        return []


def _publish(draft: Path, target: Path) -> None:
    """Rename a complete archive to its final name, unless a file with that name exists."""
    try:
        os.link(draft, target)
    except FileExistsError:
        raise
    except OSError:
        # This file system has no hard links.
        if target.exists():
            raise FileExistsError from None
        draft.rename(target)
    sync_folder(target.parent)


def _check_target(target: Path) -> None:
    if target.exists():
        raise _target_exists(target)
    if not target.parent.is_dir():
        raise SettingsInvalid(f"the folder '{target.parent}' does not exist; create it, or name another file")


def _target_exists(target: Path) -> SettingsInvalid:
    return SettingsInvalid(f"'{target}' already exists, and backups overwrite nothing; name another file")


def _check_space(reading: sqlite3.Connection, folder: Path) -> None:
    pages, page_size = (reading.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "page_size"))
    needed, free = pages * page_size * COPIES + SPARE_BYTES, shutil.disk_usage(folder).free
    if free < needed:
        raise SettingsInvalid(
            f"a backup there needs {needed:,} bytes, twice the database, but {free:,} are free; name a file elsewhere"
        )
