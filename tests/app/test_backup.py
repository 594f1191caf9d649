"""Backups: what is in one, that it is of one moment, and that there is a whole one or none."""

from __future__ import annotations

import os
import signal
import sqlite3
import tarfile
from contextlib import closing
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from types import SimpleNamespace

import orjson
import pytest
from addonkit.app import backup as backups
from addonkit.app.backup import back_up
from addonkit.app.key_file import KeyFile
from addonkit.errors import SettingsInvalid, StorageUnavailable

from tests.support.encrypted_sites import NEW, OLD, deployment_in, give_sites

pytestmark = pytest.mark.sqlite


@pytest.fixture
def deployment(tmp_path):
    folder = tmp_path / "served"
    folder.mkdir()
    KeyFile(folder / "addonkit.key").add(OLD)
    give_sites(folder, 3, OLD)
    return deployment_in(folder)


@pytest.fixture
def target(tmp_path):
    return tmp_path / "backups" / "team.tar"


@pytest.fixture(autouse=True)
def folder(target):
    target.parent.mkdir()


def writer(deployment):
    """A connection as of another process."""
    return closing(sqlite3.connect(deployment.location.path, isolation_level=None, timeout=0))


def members(target):
    with tarfile.open(target) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}


def rows_in(target, tmp_path, query):
    copy = tmp_path / "copy.db"
    copy.write_bytes(members(target)["addonkit.db"])
    with closing(sqlite3.connect(copy)) as connection:
        return connection.execute(query).fetchall()


def test_backup_contains_manifest_database_and_key_file(deployment, target, tmp_path):
    back_up(deployment, target)
    assert list(members(target)) == ["manifest.json", "addonkit.db", "addonkit.key"]
    assert members(target)["addonkit.key"].decode() == f"{OLD}\n"
    assert rows_in(target, tmp_path, "SELECT count(*) FROM addonkit_tenant") == [(3,)]


def test_manifest_describes_the_backup(deployment, target, tmp_path):
    back_up(deployment, target)
    manifest = orjson.loads(members(target)["manifest.json"])
    made_at = datetime.fromisoformat(manifest.pop("made_at"))
    assert {name: one["size"] for name, one in manifest.pop("files").items()} == {
        name: len(content) for name, content in members(target).items() if name != "manifest.json"
    }
    assert abs(datetime.now(UTC) - made_at) < timedelta(minutes=5)
    assert manifest == {
        "format": 1,
        "release": version("addonkit"),
        "addon": "com.example.test",
        "sites": 3,
        "migrations": len(rows_in(target, tmp_path, "SELECT name FROM tortoise_migrations")),
        "keys": {"k1": 3},
    }


def test_backup_is_readable_by_its_owner_only(deployment, target):
    back_up(deployment, target)
    assert target.stat().st_mode & 0o777 == 0o600
    with tarfile.open(target) as archive:
        assert {member.mode for member in archive} == {0o600}


def test_backup_contains_no_keys_of_the_configuration(tmp_path, target):
    give_sites(tmp_path, 1, OLD)
    done = back_up(deployment_in(tmp_path, OLD), target)
    assert list(members(target)) == ["manifest.json", "addonkit.db"]
    assert (done.manifest.has_keys, done.missing) == (False, ())


def test_backup_with_a_missing_key_is_written_and_names_the_key(tmp_path, target):
    give_sites(tmp_path, 1, OLD)
    assert back_up(deployment_in(tmp_path, NEW), target).missing == ("k1",)


def test_backup_shows_one_moment_and_does_not_block_writers(deployment, target, tmp_path, monkeypatch):
    monkeypatch.setattr(backups, "PAGES_PER_STEP", 1)
    steps = []

    def write(what, done, total):
        if what == "copied":
            steps.append(done)
            connection.execute("UPDATE addonkit_tenant SET display_url = 'later'")

    with writer(deployment) as connection:
        back_up(deployment, target, write)
    assert len(steps) > 10
    assert steps == sorted(steps)
    assert rows_in(target, tmp_path, "SELECT count(*) FROM addonkit_tenant WHERE display_url = 'later'") == [(0,)]


def test_backup_contains_what_is_only_in_the_write_ahead_log(deployment, target, tmp_path):
    with writer(deployment) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("UPDATE addonkit_tenant SET display_url = 'late'")
        back_up(deployment, target)
    assert rows_in(target, tmp_path, "SELECT count(*) FROM addonkit_tenant WHERE display_url = 'late'") == [(3,)]


def test_backup_contains_a_key_that_is_removed_meanwhile(deployment, target, monkeypatch):
    monkeypatch.setattr(backups, "PAGES_PER_STEP", 1)
    file = deployment.key_file

    def rotate(*_):
        if file.keys()[-1][0] == "k1" and len(file.keys()) == 1:
            file.add(NEW)
            file.put_first("k2")
            file.remove("k1")

    back_up(deployment, target, rotate)
    assert members(target)["addonkit.key"].decode() == f"{OLD}\n"


def test_backup_overwrites_nothing(deployment, target):
    target.write_text("precious")
    with pytest.raises(SettingsInvalid, match="backups overwrite nothing"):
        back_up(deployment, target)
    assert target.read_text() == "precious"


def test_backup_does_not_overwrite_a_file_that_appears_meanwhile(deployment, target):
    with pytest.raises(SettingsInvalid, match="backups overwrite nothing"):
        back_up(deployment, target, lambda *_: target.write_text("precious"))
    assert target.read_text() == "precious"
    assert [one.name for one in target.parent.iterdir()] == ["team.tar"]


def test_backup_works_without_hard_links(deployment, target, monkeypatch):
    def unknown(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", unknown)
    back_up(deployment, target)
    assert [one.name for one in target.parent.iterdir()] == ["team.tar"]


def test_backup_to_a_full_disk_leaves_no_file(deployment, target, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageUnavailable, match=r"No space left on device.*no file remains there"):
        back_up(deployment, target)
    assert list(target.parent.iterdir()) == []


def test_backup_without_enough_space_is_refused_before_copying(deployment, target, monkeypatch):
    monkeypatch.setattr(backups.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(SettingsInvalid, match="twice the database, but 1,000 are free"):
        back_up(deployment, target)
    assert list(target.parent.iterdir()) == []


def test_backup_that_is_interrupted_leaves_no_file(deployment, target):
    def interrupt(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        back_up(deployment, target, interrupt)
    assert list(target.parent.iterdir()) == []


def test_backup_of_a_damaged_database_is_refused(deployment, target):
    path = deployment.location.path
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        [(root,)] = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'addonkit_tenant'")
        [(size,)] = connection.execute("PRAGMA page_size")
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * 400)
    with pytest.raises(StorageUnavailable, match="is damaged"):
        back_up(deployment, target)
    assert list(target.parent.iterdir()) == []


def test_backup_to_a_missing_folder_is_refused(deployment, tmp_path):
    with pytest.raises(SettingsInvalid, match="does not exist; create it"):
        back_up(deployment, tmp_path / "gone" / "a.tar")


def test_backup_without_a_database_is_refused(tmp_path, target):
    with pytest.raises(SettingsInvalid, match=r"no database at .* yet"):
        back_up(deployment_in(tmp_path), target)
    assert not (tmp_path / "addonkit.db").exists()


def test_backup_of_a_database_without_tables_is_refused(tmp_path, target):
    (tmp_path / "addonkit.db").touch()
    with pytest.raises(SettingsInvalid, match="no tables yet"):
        back_up(deployment_in(tmp_path), target)


def test_draft_of_a_killed_backup_is_removed_by_the_next_one(deployment, target):
    if (pid := os.fork()) == 0:
        backups._copy = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        back_up(deployment, target)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    [draft] = target.parent.iterdir()
    assert draft.name.startswith(".addonkit-backup-")
    back_up(deployment, target)
    assert list(target.parent.iterdir()) == [target]
