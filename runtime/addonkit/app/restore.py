"""Restores a backup: unpacks and checks everything in a folder beside the database before it changes the database.

Then the archive's keys are added to the key file, and the database is replaced by one rename. If the process is killed
at any point, either the old or the new database is there, with keys that decrypt it.
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
from pathlib import Path
from tempfile import TemporaryDirectory

from addonkit.app.archive import DATABASE, KEYS, Manifest, ProgressCallback, read_manifest, unpack
from addonkit.app.backup import BUSY_TIMEOUT_S, SPARE_BYTES, integrity_of, sqlite_location, sync_folder
from addonkit.app.deployment import Deployment
from addonkit.app.key_file import Key, KeyFile
from addonkit.database.errors import error_summary
from addonkit.database.location import Location, check_writable
from addonkit.database.lock import AlreadyServed, migration_lock, serving_lock
from addonkit.database.pending import pending
from addonkit.errors import SettingsInvalid, StorageUnavailable, VaultLocked
from addonkit.tenancy.key_usage import SHARED
from addonkit.tenancy.vault import Vault, key_id_of

JOURNALS = ("-wal", "-shm", "-journal")
MAGIC = b"SQLite format 3\0"


@dataclass(frozen=True, slots=True)
class Restored:
    """A restored database.

    Attributes:
        path: The database.
        manifest: The archive's manifest.
        set_aside: New names of the files that were there before.
        keys_added: The key file, if keys of the archive were added to it.
        pending: Migrations that the database lacks.
    """

    path: Path
    manifest: Manifest
    set_aside: tuple[Path, ...]
    keys_added: Path | None
    pending: tuple[str, ...]


async def restore(
    deployment: Deployment,
    archive: Path,
    *,
    replace: bool = False,
    without_keys: bool = False,
    on_progress: ProgressCallback = lambda *_: None,
) -> Restored:
    """Replace the deployment's database with a backup, while no process uses it.

    Args:
        deployment: The deployment to restore.
        archive: The backup.
        replace: Whether to set aside a database that exists.
        without_keys: Whether to restore secrets that no key decrypts, because their keys are lost.
        on_progress: Called while files are unpacked.

    Raises:
        ArchiveInvalid: The file is not a backup, or has been changed.
        SettingsInvalid: The backup is of another add-on or a newer release, or a database exists or is in use.
        VaultLocked: The available keys do not decrypt its secrets.
        StorageUnavailable: A file could not be written; the previous database is unchanged.
    """
    path = sqlite_location(deployment).path
    manifest = read_manifest(archive)
    if manifest.addon != deployment.settings.addon.key:
        raise SettingsInvalid(
            f"'{archive}' is a backup of the add-on '{manifest.addon}', but [addon] key is "
            f"'{deployment.settings.addon.key}'; name the configuration of that add-on with --config"
        )
    check_writable(path)
    try:
        with _refuse_served(path):
            async with migration_lock(path):
                return _restore(deployment, path, archive, replace, without_keys, on_progress)
    except (sqlite3.Error, OSError) as error:
        raise StorageUnavailable(
            f"'{archive}' could not be restored ({error_summary(error)}); the previous database is unchanged"
        ) from error


def _restore(
    deployment: Deployment, path: Path, archive: Path, replace: bool, without_keys: bool, on_progress: ProgressCallback
) -> Restored:
    if path.exists() and not replace:
        raise SettingsInvalid(f"'{path}' already exists; add --replace to keep it under another name")
    _remove_leftovers(path)
    _check_space(path.parent, archive)
    with TemporaryDirectory(prefix=f".{path.name}.", suffix=".restoring", dir=path.parent) as folder:
        manifest = unpack(archive, Path(folder), on_progress)
        staged, keys = Path(folder) / DATABASE, KeyFile(Path(folder) / KEYS)
        steps = _check_database(deployment, staged, archive)
        if not without_keys:
            _check_secrets(staged, _available_keys(deployment, keys), archive, manifest)
        set_aside = _set_aside(path)
        keys_added = _add_keys(deployment, keys)
        staged.replace(path)
        sync_folder(path.parent)
    return Restored(path, manifest, set_aside, keys_added, steps)


@contextmanager
def _refuse_served(path: Path) -> Iterator[None]:
    """Keep the add-on from being served during the restore.

    Raises:
        SettingsInvalid: It is being served.
    """
    try:
        with serving_lock(path):
            yield
    except AlreadyServed:
        raise SettingsInvalid(f"the add-on is being served on '{path}'; stop it, then restore") from None


def _check_database(deployment: Deployment, staged: Path, archive: Path) -> tuple[str, ...]:
    """Check that the unpacked database is intact and not of a newer release; return its pending migrations."""
    if (result := integrity_of(staged)) != "ok":
        raise StorageUnavailable(f"the database in '{archive}' is damaged: {result}; restore another backup")
    return tuple(pending(Location(f"sqlite://{staged}"), deployment.packages()))


def _available_keys(deployment: Deployment, archived: KeyFile) -> list[Key]:
    """The keys after the restore: those of the configuration, or of the archive and the key file.

    Raises:
        SettingsInvalid: Archive and key file hold different keys with one id; or there is no key.
    """
    file = deployment.key_file
    if file is None:
        return deployment.encryption_keys()
    return file.keys_with(archived) if archived.exists() else file.keys() if file.exists() else []


def _check_secrets(staged: Path, keys: list[Key], archive: Path, manifest: Manifest) -> None:
    """Decrypt every secret of the unpacked database.

    Raises:
        VaultLocked: A secret cannot be decrypted.
    """
    vault = Vault(keys or [("none", os.urandom(32))])
    failed: Counter[str] = Counter()
    with closing(sqlite3.connect(f"{staged.as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        # In a backup of an earlier release the key of a tenant is its client key.
        columns = {row[1] for row in connection.execute("PRAGMA table_info(addonkit_tenant)")}
        key = "coalesce(key, client_key)" if "key" in columns else "client_key"
        for tenant_key, encrypted in connection.execute(f"SELECT {key}, shared_secret FROM addonkit_tenant"):  # noqa: S608
            try:
                if encrypted is not None:
                    vault.decrypt(encrypted, tenant_key=tenant_key, column=SHARED)
            except VaultLocked:
                failed[key_id_of(encrypted)] += 1
    if not failed:
        return
    named = ", ".join(f"'{key_id}': {number}" for key_id, number in sorted(failed.items()))
    inside = f"; 'tar -xOf {archive} {KEYS}' prints the keys in the archive" if manifest.has_keys else ""
    raise VaultLocked(
        f"the available keys do not decrypt the secrets in '{archive}' (by key: {named}); add those keys to "
        f"[security] encryption_keys or the key file{inside}; or, if they are lost for good, use --without-keys"
    )


def _add_keys(deployment: Deployment, archived: KeyFile) -> Path | None:
    """Add the archive's keys to the front of the key file; return the file if that changed it."""
    file = deployment.key_file
    return file.path if file is not None and archived.exists() and file.add_in_front(archived) else None


def _set_aside(path: Path) -> tuple[Path, ...]:
    """Give the existing files a second name (hard link); the database keeps its own name until it is replaced.

    Raises:
        SettingsInvalid: Another process has the database open.
    """
    aside = _free_name(path)
    names = []
    if path.exists():
        _checkpoint(path)
        os.link(path, aside)
        names.append(aside)
    # SQLite would apply journals of a damaged or missing database to the new one.
    for suffix in JOURNALS:
        journal = path.with_name(path.name + suffix)
        if journal.exists():
            names.append(journal.rename(aside.with_name(aside.name + suffix)))
    sync_folder(path.parent)
    return tuple(names)


def _checkpoint(path: Path) -> None:
    """Write the write-ahead log into the database, which SQLite allows only without other connections.

    A damaged database is not changed: it may be the reason for the restore.
    """
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            # SQLite would treat it as a new database, and delete its journals.
            return
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=BUSY_TIMEOUT_S)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            raise SettingsInvalid(f"another process has '{path}' open; stop it, then restore") from None


def _free_name(path: Path) -> Path:
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    names = (path.with_name(f"{path.name}.{stamp}{f'-{number}' if number else ''}.old") for number in range(1000))
    return next(name for name in names if not name.exists())


def _remove_leftovers(path: Path) -> None:
    """Remove what a killed restore has left: its folders, and second names of the current database."""
    for folder in path.parent.glob(f".{path.name}.*.restoring"):
        shutil.rmtree(folder, ignore_errors=True)
    for name in path.parent.glob(f"{path.name}.*.old"):
        if path.exists() and name.samefile(path):
            name.unlink()


def _check_space(folder: Path, archive: Path) -> None:
    needed, free = archive.stat().st_size + SPARE_BYTES, shutil.disk_usage(folder).free
    if free < needed:
        raise SettingsInvalid(f"'{folder}' needs {needed:,} bytes, but {free:,} are free; free some space")
