"""The way back from a backup: only whole and fitting ones, never over what is there, and safe to be killed."""

from __future__ import annotations

import asyncio
import fcntl
import gzip
import io
import os
import shutil
import signal
import sqlite3
import tarfile
from contextlib import closing
from hashlib import sha256
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest
from addonkit.app import restore as restoring
from addonkit.app.archive import ArchiveInvalid
from addonkit.app.backup import back_up
from addonkit.app.key_file import KeyFile, new_key
from addonkit.app.restore import restore
from addonkit.database.lock import serving_lock
from addonkit.errors import AddonkitError, SettingsInvalid, StorageUnavailable, VaultLocked
from addonkit.tenancy.vault import Vault
from addonkit.tenant_data.connection import tenant_database

from tests.support.encrypted_sites import NEW, OLD, deployment_in, give_sites, secret, secrets_in

pytestmark = pytest.mark.sqlite
WRITTEN_BEFORE = Path(__file__).parents[1] / "vectors" / "backup-format-1.tar.gz"
ALL = [secret(0), secret(1), secret(2)]


@pytest.fixture(scope="module")
def backup(tmp_path_factory):
    """A backup of three sites with the key file that sealed them."""
    folder = tmp_path_factory.mktemp("served")
    KeyFile(folder / "addonkit.key").add(OLD)
    give_sites(folder, 3, OLD)
    return back_up(deployment_in(folder), folder / "team.tar").path


@pytest.fixture
def here(tmp_path):
    """Where it is restored: a folder of its own."""
    (tmp_path / "here").mkdir()
    return deployment_in(tmp_path / "here")


@pytest.fixture
def there(here):
    """The same folder, with another database of site 0 alone and another key file."""
    KeyFile(here.directory / "addonkit.key").add(NEW)
    give_sites(here.directory, 1, NEW)
    return here


def restored(deployment, archive, **options):
    return asyncio.run(restore(deployment, archive, **options))


def sites(deployment, path=None):
    """The secrets of the sites in a deployment's database, opened with its keys."""
    if path is not None:
        deployment.location.path.unlink(missing_ok=True)
        path.rename(deployment.location.path)

    async def work():
        async with tenant_database(deployment.location, {}):
            return await secrets_in(Vault(deployment.encryption_keys()))

    return asyncio.run(work())


def names_in(deployment):
    """The files of a deployment's folder, but for locks."""
    return sorted(one.name for one in deployment.directory.iterdir() if one.suffix not in (".lock", ".serving"))


def manifest_of(backup):
    with tarfile.open(backup) as archive:
        return orjson.loads(archive.extractfile("manifest.json").read())


def rewritten(backup, target, change):
    """A copy of a backup, whose manifest and members a function changes."""
    with tarfile.open(backup) as archive:
        files = {member.name: archive.extractfile(member).read() for member in archive}
    manifest = orjson.loads(files.pop("manifest.json"))
    change(manifest, files)
    for name, content in files.items():
        if name in manifest["files"]:
            manifest["files"][name] = {"size": len(content), "sha256": sha256(content).hexdigest()}
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in {"manifest.json": orjson.dumps(manifest), **files}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return target


def with_statement(backup, target, statement):
    """A copy of a backup, in whose database a statement was run."""

    def change(_, files):
        path = target.with_suffix(".db")
        path.write_bytes(files["addonkit.db"])
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(statement)
        files["addonkit.db"] = path.read_bytes()

    return rewritten(backup, target, change)


def test_restore_into_an_empty_folder_brings_sites_and_keys(here, backup):
    done = restored(here, backup)
    assert sites(here) == ALL
    assert (done.set_aside, done.keys_added, done.pending) == ((), here.directory / "addonkit.key", ())


def test_archive_of_the_first_release_is_restored(here, tmp_path):
    """The archive was written before tarfile wrote archives: its headers were made one by one."""
    (tmp_path / "old.tar").write_bytes(gzip.decompress(WRITTEN_BEFORE.read_bytes()))
    assert restored(here, tmp_path / "old.tar").manifest.migrations == 4
    assert names_in(here) == ["addonkit.db", "addonkit.key"]


def test_archive_can_be_read_header_by_header(backup):
    """The first release read archives so: one plain header for each member, and an empty block at the end."""
    data, place, found = backup.read_bytes(), 0, []
    while data[place : place + 512] != bytes(512):
        header = tarfile.TarInfo.frombuf(data[place : place + 512], "utf-8", "strict")
        assert header.type == tarfile.REGTYPE
        found.append(header.name)
        place += 512 + header.size + -header.size % 512
    assert found == ["manifest.json", "addonkit.db", "addonkit.key"]
    assert not any(data[place:])


def test_restore_makes_database_and_keys_readable_by_their_owner_only(here, backup):
    restored(here, backup)
    assert names_in(here) == ["addonkit.db", "addonkit.key"]
    assert {(here.directory / name).stat().st_mode & 0o777 for name in names_in(here)} == {0o600}


def test_restore_does_not_touch_an_existing_database(there, backup):
    before = (there.directory / "addonkit.db").read_bytes()
    with pytest.raises(SettingsInvalid, match="already exists; add --replace"):
        restored(there, backup)
    assert (there.directory / "addonkit.db").read_bytes() == before


def test_restore_keeps_the_replaced_database_under_another_name(there, backup):
    [aside] = restored(there, backup, replace=True).set_aside
    assert sites(there) == ALL
    assert sites(there, aside) == [secret(0)]


def test_restore_keeps_the_write_ahead_log_of_the_replaced_database(there, backup, tmp_path):
    database = there.location.path
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("UPDATE addonkit_tenant SET note = 'late'")
        # as a process leaves them that was killed
        shutil.copytree(there.directory, tmp_path / "killed")
    killed = deployment_in(tmp_path / "killed")
    assert killed.location.path.with_name("addonkit.db-wal").stat().st_size
    [aside] = restored(killed, backup, replace=True).set_aside
    with closing(sqlite3.connect(aside)) as connection:
        assert connection.execute("SELECT note FROM addonkit_tenant").fetchall() == [("late",)]


def test_restore_puts_the_archives_keys_before_existing_ones(there, backup):
    done = restored(there, backup, replace=True)
    assert [key_id for key_id, _ in there.encryption_keys()] == ["k1", "k2"]
    assert done.keys_added == there.directory / "addonkit.key"


def test_restore_leaves_keys_that_exist_already(here, backup):
    KeyFile(here.directory / "addonkit.key").add(OLD)
    assert restored(here, backup).keys_added is None


def test_restore_decrypts_with_keys_of_the_configuration(here, backup):
    done = restored(deployment_in(here.directory, NEW, OLD), backup)
    assert (done.keys_added, names_in(here)) == (None, ["addonkit.db"])


def test_restore_of_a_backup_without_keys_uses_the_key_file(here, backup, tmp_path):
    def without_keys(manifest, files):
        del files["addonkit.key"], manifest["files"]["addonkit.key"]

    KeyFile(here.directory / "addonkit.key").add(OLD)
    restored(here, rewritten(backup, tmp_path / "bare.tar", without_keys))
    assert sites(here) == ALL


def test_restore_is_refused_if_the_keys_do_not_decrypt(here, backup):
    with pytest.raises(
        VaultLocked, match=r"\(by key: 'k1': 3\).*'tar -xOf .* addonkit.key' prints the keys in the archive"
    ):
        restored(deployment_in(here.directory, NEW), backup)
    assert names_in(here) == []


def test_restore_is_refused_with_another_key_of_the_same_id(here, backup):
    with pytest.raises(VaultLocked, match="'k1': 3"):
        restored(deployment_in(here.directory, new_key("k1")), backup)


def test_restore_without_keys_is_possible_on_request(here, backup):
    restored(deployment_in(here.directory, NEW), backup, without_keys=True)
    assert names_in(here) == ["addonkit.db"]


def test_restore_with_conflicting_key_ids_is_refused_before_anything_changes(here, backup):
    KeyFile(here.directory / "addonkit.key").add(new_key("k1"))
    with pytest.raises(SettingsInvalid, match="another key with the id 'k1'"):
        restored(here, backup)
    assert names_in(here) == ["addonkit.key"]


def test_restore_is_refused_while_the_database_is_served(there, backup):
    with serving_lock(there.location.path), pytest.raises(SettingsInvalid, match="is being served on"):
        restored(there, backup, replace=True)
    assert sites(there) == [secret(0)]


@pytest.mark.parametrize("replace", [False, True])
def test_restore_holds_the_locks_of_migrations_and_of_serving(here, there, backup, monkeypatch, replace):
    """Otherwise a process that starts meanwhile would migrate or serve a file that is about to be replaced."""
    if not replace:
        there.location.path.unlink()
    asked, path, restore_locked = [], here.location.path, restoring._restore

    def restore_probed(*args):
        for name in (f"{path.name}.lock", f"{path.name}.serving"):
            with path.with_name(name).open() as held, pytest.raises(BlockingIOError):
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            asked.append(name)
        return restore_locked(*args)

    monkeypatch.setattr(restoring, "_restore", restore_probed)
    restored(here, backup, replace=replace)
    assert len(asked) == 2


def test_restore_is_refused_while_another_process_has_the_database_open(there, backup, monkeypatch):
    monkeypatch.setattr(restoring, "BUSY_TIMEOUT_S", 0.05)
    with closing(sqlite3.connect(there.location.path)) as connection:
        connection.execute("SELECT count(*) FROM addonkit_tenant").fetchone()
        with pytest.raises(SettingsInvalid, match=r"another process has .* open"):
            restored(there, backup, replace=True)
    assert (sites(there), names_in(there)) == ([secret(0)], ["addonkit.db", "addonkit.key"])


def test_restore_keeps_a_damaged_database_with_its_journals(there, backup):
    for name, text in {"addonkit.db": "no database", "addonkit.db-wal": "wal", "addonkit.db-journal": "hot"}.items():
        (there.directory / name).write_text(text)
    done = restored(there, backup, replace=True)
    assert [one.read_text() for one in done.set_aside] == ["no database", "wal", "hot"]
    assert sites(there) == ALL


def test_restore_sets_aside_a_journal_without_its_database(here, backup):
    (here.directory / "addonkit.db-journal").write_text("of a database that is gone")
    done = restored(here, backup)
    assert [one.read_text() for one in done.set_aside] == ["of a database that is gone"]
    assert sites(here) == ALL


def test_restore_of_another_add_on_is_refused(tmp_path, backup):
    with pytest.raises(SettingsInvalid, match=r"add-on 'com.example.test', but \[addon\] key is 'com.example.other'"):
        restored(deployment_in(tmp_path, key="com.example.other"), backup)


def test_restore_of_a_newer_release_is_refused(here, backup, tmp_path):
    newer = "INSERT INTO tortoise_migrations (app, name, applied_at) VALUES ('addonkit', '9999_later', '2030-01-01')"
    with pytest.raises(SettingsInvalid, match="migrated by a newer release: it has the migration '9999_later'"):
        restored(here, with_statement(backup, tmp_path / "newer.tar", newer))
    assert names_in(here) == []


def test_restore_of_an_older_release_names_its_pending_migrations(here, backup, tmp_path):
    older = "DELETE FROM tortoise_migrations WHERE name = '0002_history_and_releases'"
    done = restored(here, with_statement(backup, tmp_path / "older.tar", older))
    assert done.pending == ("addonkit.0002_history_and_releases",)


def test_restore_of_a_damaged_database_is_refused(here, backup, tmp_path):
    def damage(_, files):
        files["addonkit.db"] = files["addonkit.db"][:8192] + b"\xff" * 4096 + files["addonkit.db"][12288:]

    with pytest.raises(StorageUnavailable, match="is damaged"):
        restored(here, rewritten(backup, tmp_path / "damaged.tar", damage))
    assert names_in(here) == []


@pytest.mark.parametrize("share", [0, 0.001, 0.01, 0.3, 0.7, 0.99])
def test_archive_that_is_truncated_is_refused(here, backup, tmp_path, share):
    whole = backup.read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ArchiveInvalid):
        restored(here, tmp_path / "cut.tar")
    assert names_in(here) == []


def test_archive_with_any_byte_changed_is_refused_or_means_the_same(here, backup, tmp_path):
    whole = backup.read_bytes()
    for place in [*range(0, 2048, 37), *range(2048, len(whole), len(whole) // 60)]:
        spoilt = bytes([*whole[:place], whole[place] ^ 0x55, *whole[place + 1 :]])
        (tmp_path / "spoilt.tar").write_bytes(spoilt)
        try:
            restored(here, tmp_path / "spoilt.tar")
        except AddonkitError:
            assert names_in(here) == []
        else:
            # the manifest's own words, or what fills a block
            assert sites(here) == ALL
            for name in names_in(here):
                (here.directory / name).unlink()


@pytest.mark.parametrize("text", [b"", b"not a backup", b"SQLite format 3\0" * 100, b"\0" * 4096])
def test_archive_that_is_another_file_is_refused(here, tmp_path, text):
    (tmp_path / "other").write_bytes(text)
    with pytest.raises(ArchiveInvalid, match="is not a backup"):
        restored(here, tmp_path / "other")


def test_archive_that_is_a_pipe_is_refused(here, backup, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    # With a writer, the opening for reading does not wait.
    writer = os.open(tmp_path / "pipe", os.O_RDWR)
    os.write(writer, backup.read_bytes()[:1024])
    with pytest.raises(ArchiveInvalid, match="is a pipe and not a file"):
        restored(here, tmp_path / "pipe")
    os.close(writer)


@pytest.mark.parametrize("name", ["gone.tar", "here"])
def test_archive_that_cannot_be_read_is_refused(here, tmp_path, name):
    with pytest.raises(ArchiveInvalid, match="cannot be read"):
        restored(here, tmp_path / name)


def hostile(name, **facts):
    """What puts a member with these facts in the place of the database."""

    def change(manifest, backup, target):
        text = orjson.dumps(manifest)
        first = tarfile.TarInfo("manifest.json")
        first.size = len(text)
        member = tarfile.TarInfo(name)
        member.size = manifest["files"]["addonkit.db"]["size"]
        for fact, value in facts.items():
            setattr(member, fact, value)
        header = member.tobuf(tarfile.GNU_FORMAT)
        target.write_bytes(first.tobuf() + text + b"\0" * (-len(text) % 512) + header + b"x" * 4096)

    return change


HOSTILE = {
    "a path that leads out": hostile("../addonkit.db"),
    "an absolute path": hostile("/tmp/addonkit.db"),
    "another name": hostile("evil.db"),
    "a long name": hostile("x" * 300),
    "a symbolic link": hostile("addonkit.db", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "a hard link": hostile("addonkit.db", type=tarfile.LNKTYPE, linkname="addonkit.key"),
    "a device": hostile("addonkit.db", type=tarfile.CHRTYPE),
    "a folder": hostile("addonkit.db", type=tarfile.DIRTYPE),
    "a sparse file": hostile("addonkit.db", type=tarfile.GNUTYPE_SPARSE),
    "an old kind of file": hostile("addonkit.db", type=tarfile.AREGTYPE),
    "a contiguous file": hostile("addonkit.db", type=tarfile.CONTTYPE),
    "a pax header": hostile("addonkit.db", type=tarfile.XHDTYPE),
    "a global pax header": hostile("addonkit.db", type=tarfile.XGLTYPE),
    "a long name that is longer than the archive": hostile("x", type=tarfile.GNUTYPE_LONGNAME, size=1 << 33),
    "a long link name": hostile("x", type=tarfile.GNUTYPE_LONGLINK),
    "a size beyond the archive": hostile("addonkit.db", size=1 << 40),
    "a size below nothing": hostile("addonkit.db", size=-512),
    "another size": hostile("addonkit.db", size=512),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_archive_with_a_hostile_member_is_refused_and_nothing_written(here, backup, tmp_path, change):
    change(manifest_of(backup), backup, tmp_path / "hostile.tar")
    with pytest.raises(ArchiveInvalid):
        restored(here, tmp_path / "hostile.tar")
    assert names_in(here) == []
    assert sorted(one.name for one in tmp_path.iterdir()) == ["here", "hostile.tar"]


def test_archive_with_more_members_than_its_manifest_is_refused(here, backup, tmp_path):
    def add(_, files):
        files["more"] = b"more"

    with pytest.raises(ArchiveInvalid, match="contains more than its manifest lists"):
        restored(here, rewritten(backup, tmp_path / "more.tar", add))


def test_manifest_of_another_format_is_refused(here, backup, tmp_path):
    def renumber(manifest, _):
        manifest["format"] = 2

    with pytest.raises(ArchiveInvalid, match="damaged or of another release"):
        restored(here, rewritten(backup, tmp_path / "later.tar", renumber))


def test_restore_without_enough_space_is_refused_before_unpacking(here, backup, monkeypatch):
    monkeypatch.setattr(restoring.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(SettingsInvalid, match="1,000 are free; free some space"):
        restored(here, backup)


def killed_at(step, deployment, backup):
    """Restore in a process of its own, killed before its so many-th call that changes the disk; whether it was."""
    child = os.fork()
    if child == 0:
        calls = count(1)

        def mortal(call):
            def called(*words, **options):
                if next(calls) == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*words, **options)

            return called

        for name in ("link", "rename", "replace", "unlink", "fsync", "open", "mkdir"):
            setattr(os, name, mortal(getattr(os, name)))
        try:
            restored(deployment, backup, replace=True)
        except BaseException:
            os._exit(1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL)
    return status != 0


def test_restore_that_is_killed_leaves_the_old_or_the_new_state(there, backup, tmp_path):
    seen = []
    for step in count(1):
        folder = tmp_path / f"step-{step}"
        shutil.copytree(there.directory, folder)
        deployment = deployment_in(folder)
        was_killed = killed_at(step, deployment, backup)
        seen.append(len(sites(deployment)))
        if not was_killed:
            break
    assert (seen[0], seen[-1], len(seen) > 10) == (1, 3, True)
    assert seen == sorted(seen)


def test_restore_removes_what_a_killed_one_has_left(there, backup, tmp_path):
    for step in count(1):
        folder = tmp_path / f"step-{step}"
        shutil.copytree(there.directory, folder)
        deployment = deployment_in(folder)
        was_killed = killed_at(step, deployment, backup)
        restored(deployment, backup, replace=True)
        aside = [name for name in names_in(deployment) if name.endswith(".old")]
        assert sorted([*aside, "addonkit.db", "addonkit.key"]) == names_in(deployment)
        assert not any((folder / name).samefile(folder / "addonkit.db") for name in aside)
        if not was_killed:
            break
