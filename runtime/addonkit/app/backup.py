"""A backup of a SQLite database with its key file, as one file, while the add-on serves. The way back: ``restore``.

The copy is what the database was at one moment: it is read inside one transaction, which keeps nobody from writing.
Meanwhile SQLite's write-ahead log grows by what is written.
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
from tempfile import TemporaryDirectory

from addonkit.app.archive import DATABASE, KEYS, Content, Manifest, Told, content_of, write_archive
from addonkit.app.deployment import Deployment
from addonkit.database.errors import in_a_line
from addonkit.database.location import Location
from addonkit.errors import SettingsInvalid, StorageUnavailable
from addonkit.tenancy.vault import key_id_of

PAGES_AT_ONCE = 1024
# The database is copied twice: by SQLite, and into the archive.
COPIES = 2
SPARE = 1024 * 1024
BUSY_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was made.

    Attributes:
        path: Where it is.
        size: In bytes.
        manifest: What it holds.
        missing: Ids of keys that sealed something in it and are not at hand.
    """

    path: Path
    size: int
    manifest: Manifest
    missing: tuple[str, ...]


def sqlite_location(deployment: Deployment) -> Location:
    """Where the database of a deployment is.

    Raises:
        SettingsInvalid: It is not SQLite's.
    """
    if deployment.location.is_postgres:
        raise SettingsInvalid(
            "'addonkit backup' and 'restore' are for SQLite, and [database] url names PostgreSQL; use its pg_dump or "
            "pg_basebackup, and keep [security] encryption_keys apart from what they write"
        )
    return deployment.location


def back_up(deployment: Deployment, target: Path, on_progress: Told = lambda *_: None) -> Backup:
    """Write a backup; it appears under its name when it is whole and on disk.

    Args:
        deployment: Whose database.
        target: The file, which must not be there; its folder needs room for two copies of the database.
        on_progress: Told how far it is.

    Raises:
        SettingsInvalid: The file is there, its folder is not, or there is nothing to be backed up.
        StorageUnavailable: The database cannot be read, or the file not written; nothing is left of it.
    """
    source = sqlite_location(deployment).path
    target = target.absolute()
    _refuse_target(target)
    if not source.exists():
        raise SettingsInvalid(f"there is no database at '{source}' yet; nothing is to be backed up")
    try:
        with TemporaryDirectory(prefix=f".{target.name}.", suffix=".part", dir=target.parent) as folder:
            draft = Path(folder) / "archive"
            manifest = _write(deployment, source, Path(folder), draft, on_progress)
            size = draft.stat().st_size
            _publish(draft, target)
    except FileExistsError:
        raise _there_already(target) from None
    except (sqlite3.Error, OSError) as wrong:
        raise StorageUnavailable(
            f"the backup of '{source}' to '{target}' failed ({in_a_line(wrong)}); nothing was left there"
        ) from wrong
    at_hand = {key_id for key_id, _ in _keys_of(deployment)}
    return Backup(target, size, manifest, tuple(sorted(set(manifest.keys) - at_hand)))


def integrity_of(database: Path) -> str:
    """What SQLite says of a database file that nobody has open: ``ok``, or the first thing that is wrong with it."""
    try:
        with closing(_untouched(database)) as connection:
            return str(connection.execute("PRAGMA integrity_check(1)").fetchone()[0])
    except sqlite3.DatabaseError as wrong:
        return in_a_line(wrong)


def sync_folder(folder: Path) -> None:
    """See that the names in a folder are on disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write(deployment: Deployment, source: Path, folder: Path, draft: Path, on_progress: Told) -> Manifest:
    """Copy, look at the copy, and write the archive."""
    database, keys = folder / DATABASE, folder / KEYS
    with _snapshot(source) as reading:
        made_at = datetime.now(UTC)
        # Now, since a key is in its file before anything is sealed with it, and may be taken out while this runs.
        files = {DATABASE: database} | ({KEYS: keys} if _copy_keys(deployment, keys) else {})
        _refuse_full(reading, folder)
        _copy(reading, database, on_progress)
    if (said := integrity_of(database)) != "ok":
        raise StorageUnavailable(f"the database '{source}' is damaged: {said}; restore it from an earlier backup")
    contents = {name: content_of(path) for name, path in files.items()}
    manifest = _manifest(deployment, database, made_at, contents)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as archive:
        write_archive(archive, manifest, files, on_progress)
        archive.flush()
        os.fsync(archive.fileno())
    return manifest


@contextmanager
def _snapshot(source: Path) -> Iterator[sqlite3.Connection]:
    """A connection that sees the database as it is now, whatever others write."""
    uri = f"{source.as_uri()}?mode=rw"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_S)) as connection:
        # Without an open transaction, a copy in steps would begin anew whenever somebody else writes.
        connection.execute("BEGIN")
        if not connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'addonkit_tenant'").fetchone()[0]:
            raise SettingsInvalid(f"the database '{source}' has no tables yet; nothing is to be backed up")
        yield connection


def _copy(reading: sqlite3.Connection, target: Path, on_progress: Told) -> None:
    page_size = reading.execute("PRAGMA page_size").fetchone()[0]

    def tell(_status: int, remaining: int, total: int) -> None:
        on_progress("copied", (total - remaining) * page_size, total * page_size)

    target.touch(0o600)
    with closing(sqlite3.connect(target, isolation_level=None)) as writing:
        # It is written once, by us alone, and thrown away if anything fails.
        writing.execute("PRAGMA journal_mode = OFF")
        writing.execute("PRAGMA synchronous = OFF")
        reading.backup(writing, pages=PAGES_AT_ONCE, progress=tell)


def _copy_keys(deployment: Deployment, target: Path) -> bool:
    """Copy the key file, if there is one."""
    file = deployment.key_file
    if file is None or not file.exists():
        return False
    target.touch(0o600)
    target.write_text("".join(f"{line}\n" for line in file.lines()), encoding="ascii")
    return True


def _manifest(deployment: Deployment, database: Path, made_at: datetime, contents: dict[str, Content]) -> Manifest:
    with closing(_untouched(database)) as connection:
        sealed = connection.execute("SELECT shared_secret FROM addonkit_tenant WHERE shared_secret IS NOT NULL")
        return Manifest.model_validate(
            {
                "release": version("addonkit"),
                "made_at": made_at,
                "addon": deployment.settings.addon.key,
                "keys": Counter(key_id_of(text) for (text,) in sealed),
                "sites": connection.execute("SELECT count(*) FROM addonkit_tenant").fetchone()[0],
                "migrations": connection.execute("SELECT count(*) FROM tortoise_migrations").fetchone()[0],
                "files": contents,
            }
        )


def _untouched(database: Path) -> sqlite3.Connection:
    """A connection to a file that nobody else has open; nothing is written beside it."""
    return sqlite3.connect(f"{database.as_uri()}?mode=ro&immutable=1", uri=True)


def _keys_of(deployment: Deployment) -> list[tuple[str, bytes]]:
    """The keys at hand; none is made for this."""
    try:
        return [] if deployment.will_make_key() else deployment.encryption_keys()
    except SettingsInvalid:
        return []


def _publish(draft: Path, target: Path) -> None:
    """Give a whole file its name, unless something has that name by now."""
    try:
        os.link(draft, target)
    except FileExistsError:
        raise
    except OSError:
        # This kind of disk knows no second name for a file.
        if target.exists():
            raise FileExistsError from None
        draft.rename(target)
    sync_folder(target.parent)


def _refuse_target(target: Path) -> None:
    if target.exists():
        raise _there_already(target)
    if not target.parent.is_dir():
        raise SettingsInvalid(f"the folder '{target.parent}' does not exist; make it, or name another file")


def _there_already(target: Path) -> SettingsInvalid:
    return SettingsInvalid(f"'{target}' is there already, and nothing is overwritten; name another file")


def _refuse_full(reading: sqlite3.Connection, folder: Path) -> None:
    pages, page_size = (reading.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "page_size"))
    needed, free = pages * page_size * COPIES + SPARE, shutil.disk_usage(folder).free
    if free < needed:
        raise SettingsInvalid(
            f"a backup there needs {needed:,} bytes, twice the database, and {free:,} are free; name a file elsewhere"
        )
