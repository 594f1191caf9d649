"""The way back from a backup: all is unpacked and looked at beside the database before anything of it is touched.

Then the keys come first, added to those that are there, and the database second, by one renaming. Whenever this is
killed, what is there is either the old state or the new one, and the keys open it.
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

from addonkit.app.archive import DATABASE, KEYS, Manifest, Told, read_manifest, unpack
from addonkit.app.backup import BUSY_TIMEOUT_S, SPARE, integrity_of, sqlite_location, sync_folder
from addonkit.app.deployment import Deployment
from addonkit.app.key_file import Key, KeyFile
from addonkit.database.errors import in_a_line
from addonkit.database.location import Location, check_writable
from addonkit.database.lock import ServedAlready, exclusive, serving_alone
from addonkit.database.pending import pending
from addonkit.errors import SettingsInvalid, StorageUnavailable, VaultLocked
from addonkit.tenancy.key_usage import SHARED
from addonkit.tenancy.vault import Vault, key_id_of

JOURNALS = ("-wal", "-shm", "-journal")
MAGIC = b"SQLite format 3\0"


@dataclass(frozen=True, slots=True)
class Restored:
    """A database that was restored.

    Attributes:
        path: Where it is.
        manifest: What the archive said of it.
        set_aside: What was there before, under its new names.
        keys_added: The key file that the archive's keys were added to, if they were not in it.
        pending: The migrations that it lacks.
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
    on_progress: Told = lambda *_: None,
) -> Restored:
    """Put a backup in the place of the deployment's database, while nobody uses that.

    Args:
        deployment: Whose database.
        archive: The backup.
        replace: Whether a database that is there is set aside.
        without_keys: Whether secrets may stay shut, because their keys are lost.
        on_progress: Told how far it is.

    Raises:
        ArchiveInvalid: The file is no backup, or was changed since.
        SettingsInvalid: It is another add-on's or newer than the code, a database is there, or one is in use.
        VaultLocked: The keys at hand do not open its secrets.
        StorageUnavailable: The disk did not take it; what was there is there still.
    """
    path = sqlite_location(deployment).path
    manifest = read_manifest(archive)
    if manifest.addon != deployment.settings.addon.key:
        raise SettingsInvalid(
            f"'{archive}' is a backup of the add-on '{manifest.addon}', and [addon] key is "
            f"'{deployment.settings.addon.key}'; name that one's configuration with --config"
        )
    check_writable(path)
    try:
        with _unserved(path):
            async with exclusive(path):
                return _restore(deployment, path, archive, replace, without_keys, on_progress)
    except (sqlite3.Error, OSError) as wrong:
        raise StorageUnavailable(
            f"'{archive}' could not be restored ({in_a_line(wrong)}); what was there is there still"
        ) from wrong


def _restore(
    deployment: Deployment, path: Path, archive: Path, replace: bool, without_keys: bool, on_progress: Told
) -> Restored:
    if path.exists() and not replace:
        raise SettingsInvalid(f"'{path}' is there already; say --replace to have it set aside under another name")
    _clear_up(path)
    _refuse_full(path.parent, archive)
    with TemporaryDirectory(prefix=f".{path.name}.", suffix=".restoring", dir=path.parent) as folder:
        manifest = unpack(archive, Path(folder), on_progress)
        staged, keys = Path(folder) / DATABASE, KeyFile(Path(folder) / KEYS)
        steps = _looked_at(deployment, staged, archive)
        if not without_keys:
            _check_secrets(staged, _keys_at_hand(deployment, keys), archive, manifest)
        set_aside = _set_aside(path)
        keys_added = _add_keys(deployment, keys)
        staged.replace(path)
        sync_folder(path.parent)
    return Restored(path, manifest, set_aside, keys_added, steps)


@contextmanager
def _unserved(path: Path) -> Iterator[None]:
    """Keep the add-on from being served meanwhile.

    Raises:
        SettingsInvalid: It is being served.
    """
    try:
        with serving_alone(path):
            yield
    except ServedAlready:
        raise SettingsInvalid(f"the add-on is being served on '{path}'; stop it, then restore") from None


def _looked_at(deployment: Deployment, staged: Path, archive: Path) -> tuple[str, ...]:
    """See that the unpacked database is whole and not newer than the code; the migrations that it lacks."""
    if (said := integrity_of(staged)) != "ok":
        raise StorageUnavailable(f"the database in '{archive}' is damaged: {said}; restore another backup")
    return tuple(pending(Location(f"sqlite://{staged}"), deployment.packages()))


def _keys_at_hand(deployment: Deployment, archived: KeyFile) -> list[Key]:
    """The keys that will be there: the configuration's, or those of the archive and of the key file.

    Raises:
        SettingsInvalid: The archive and the key file hold two keys of one id; or there is none.
    """
    file = deployment.key_file
    if file is None:
        return deployment.encryption_keys()
    return file.keys_with(archived) if archived.exists() else file.keys() if file.exists() else []


def _check_secrets(staged: Path, keys: list[Key], archive: Path, manifest: Manifest) -> None:
    """Open every secret of the unpacked database.

    Raises:
        VaultLocked: One of them stays shut.
    """
    vault = Vault(keys or [("none", os.urandom(32))])
    shut: Counter[str] = Counter()
    with closing(sqlite3.connect(f"{staged.as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        for client_key, sealed in connection.execute("SELECT client_key, shared_secret FROM addonkit_tenant"):
            try:
                if sealed is not None:
                    vault.open(sealed, client_key=client_key, column=SHARED)
            except VaultLocked:
                shut[key_id_of(sealed)] += 1
    if not shut:
        return
    named = ", ".join(f"'{key_id}': {number}" for key_id, number in sorted(shut.items()))
    inside = f"; 'tar -xOf {archive} {KEYS}' shows the keys that are in the archive" if manifest.has_keys else ""
    raise VaultLocked(
        f"the keys at hand do not open the secrets in '{archive}' (by key: {named}); bring those keys back into "
        f"[security] encryption_keys or the key file{inside}; or, if they are lost for good, restore --without-keys"
    )


def _add_keys(deployment: Deployment, archived: KeyFile) -> Path | None:
    """Let the key file hold the archive's keys too, in front; the file, if that changed it."""
    file = deployment.key_file
    return file.path if file is not None and archived.exists() and file.add_in_front(archived) else None


def _set_aside(path: Path) -> tuple[Path, ...]:
    """Give what is there a second name; the database keeps its own until another takes it.

    Raises:
        SettingsInvalid: Another process has it open.
    """
    aside = _free_name(path)
    names = []
    if path.exists():
        _fold(path)
        os.link(path, aside)
        names.append(aside)
    # What SQLite left beside a damaged or a missing database would be taken for the new one's.
    for suffix in JOURNALS:
        journal = path.with_name(path.name + suffix)
        if journal.exists():
            names.append(journal.rename(aside.with_name(aside.name + suffix)))
    sync_folder(path.parent)
    return tuple(names)


def _fold(path: Path) -> None:
    """Bring the write-ahead log into the database, which SQLite lets nobody do who is not alone with it.

    A damaged one, which may be why there is a restore, stays as it is.
    """
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            # SQLite would take it for a new database and delete the journals beside it.
            return
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=BUSY_TIMEOUT_S)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.DatabaseError as wrong:
        if wrong.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            raise SettingsInvalid(f"another process has '{path}' open; stop it, then restore") from None


def _free_name(path: Path) -> Path:
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    names = (path.with_name(f"{path.name}.{stamp}{f'-{number}' if number else ''}.old") for number in range(1000))
    return next(name for name in names if not name.exists())


def _clear_up(path: Path) -> None:
    """Remove what a restore left that was killed: its drafts, and second names of the database that is there."""
    for folder in path.parent.glob(f".{path.name}.*.restoring"):
        shutil.rmtree(folder, ignore_errors=True)
    for name in path.parent.glob(f"{path.name}.*.old"):
        if path.exists() and name.samefile(path):
            name.unlink()


def _refuse_full(folder: Path, archive: Path) -> None:
    needed, free = archive.stat().st_size + SPARE, shutil.disk_usage(folder).free
    if free < needed:
        raise SettingsInvalid(f"'{folder}' needs room for {needed:,} bytes, and {free:,} are free; make room")
