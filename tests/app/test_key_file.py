"""The key file of an add-on on loopback: read, changed whole, and never readable by others."""

from __future__ import annotations

import fcntl
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from addonkit.app.key_file import KeyFile, new_key
from addonkit.errors import SettingsInvalid
from addonkit.settings import parse_key

from tests.support.encrypted_sites import NEW, OLD, OTHER


@pytest.fixture
def file(tmp_path):
    return KeyFile(tmp_path / "addonkit.key")


def ids(file):
    return [key_id for key_id, _ in KeyFile.keys(file)]


def test_key_file_with_one_line_holds_one_key(file):
    file.path.write_text(f"{OLD}\n")
    assert file.keys() == [parse_key(OLD)]


def test_key_file_order_is_the_order_of_lines(file):
    file.path.write_text(f"{NEW}\n\n{OLD}\r\n")
    assert ids(file) == ["k2", "k1"]


def test_key_file_is_created_readable_by_its_owner_only(file):
    assert file.keys_or_new() == file.keys()
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in file.path.parent.iterdir()] == ["addonkit.key"]


def test_key_file_created_concurrently_has_one_key(file):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: tuple(file.keys_or_new()), range(8)))
    assert len(set(made)) == 1


def test_key_is_appended(file):
    file.add(OLD)
    file.add(NEW)
    assert ids(file) == ["k1", "k2"]
    assert file.path.stat().st_mode & 0o777 == 0o600


def test_keys_appended_concurrently_are_all_stored(file):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: file.add(new_key(f"n{number}")), range(20)))
    assert sorted(ids(file)) == sorted(f"n{number}" for number in range(20))


CHANGES = {
    "create": lambda file: file.keys_or_new(),
    "append": lambda file: file.add(OTHER),
    "add in front": lambda file: file.add_in_front(KeyFile(file.path.with_name("front.key"))),
    "put first": lambda file: file.put_first("k2"),
    "remove": lambda file: file.remove("k2"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_key_file_is_locked_while_it_is_changed(file, monkeypatch, name):
    KeyFile(file.path.with_name("front.key")).add(OTHER)
    if name != "create":
        file.add(OLD, NEW)
    written, write = [], KeyFile._write

    def write_probed(self, lines):
        with closing_descriptor(file.path.parent) as folder, pytest.raises(BlockingIOError):
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        written.append(lines)
        write(self, lines)

    monkeypatch.setattr(KeyFile, "_write", write_probed)
    CHANGES[name](file)
    assert len(written) == 1
    with closing_descriptor(file.path.parent) as folder:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def closing_descriptor(path):
    """Open a file or folder, as another process would, and close it at the end of the block."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def test_key_with_an_id_in_use_is_refused_and_changes_nothing(file):
    file.add(OLD)
    with pytest.raises(SettingsInvalid, match="another key with the id 'k1'"):
        file.add(new_key("k1"))
    assert file.keys() == [parse_key(OLD)]


def test_key_that_exists_already_keeps_its_place(file):
    for key in (OLD, NEW, OLD):
        file.add(key)
    assert ids(file) == ["k1", "k2"]


def test_key_is_put_first(file):
    file.add(OLD, NEW, OTHER)
    file.put_first("k3")
    assert ids(file) == ["k3", "k1", "k2"]


def test_key_is_removed(file):
    file.add(OLD, NEW)
    file.remove("k2")
    assert ids(file) == ["k1"]


def test_key_that_is_first_is_not_removed(file):
    file.add(OLD, NEW)
    with pytest.raises(SettingsInvalid, match="is the first key"):
        file.remove("k1")


@pytest.mark.parametrize("change", [KeyFile.put_first, KeyFile.remove])
def test_key_that_does_not_exist_is_refused_with_those_that_do(file, change):
    file.add(OLD, NEW)
    with pytest.raises(SettingsInvalid, match=r"no key 'k9' in '.*'; it holds 'k1', 'k2'"):
        change(file, "k9")


def test_key_file_with_a_repeated_id_is_refused(file):
    file.path.write_text(f"{OLD}\n{new_key('k1')}\n")
    with pytest.raises(SettingsInvalid, match="holds two keys with one id"):
        file.keys()


@pytest.mark.parametrize("text", ["", "\n", "k1", f"{OLD}\nspoilt", "\xff\xfe"])
def test_key_file_that_is_damaged_is_refused_without_printing_it(file, text):
    file.path.write_text(text, encoding="latin-1")
    with pytest.raises(SettingsInvalid, match="holds no key") as caught:
        file.keys()
    assert OLD.partition(":")[2] not in str(caught.value)


def test_key_file_is_unchanged_after_a_failed_write(file, monkeypatch):
    file.add(OLD)

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SettingsInvalid, match="No space left"):
        file.add(NEW)
    assert file.keys() == [parse_key(OLD)]
    assert [one.name for one in file.path.parent.iterdir()] == ["addonkit.key"]


def test_keys_of_another_file_are_added_in_front(file, tmp_path):
    other = KeyFile(tmp_path / "other.key")
    other.add(NEW, OLD)
    file.add(OLD, OTHER)
    assert [key_id for key_id, _ in file.keys_with(other)] == ["k2", "k1", "k3"]
    assert file.add_in_front(other)
    assert ids(file) == ["k2", "k1", "k3"]
    assert not file.add_in_front(other)


@pytest.mark.parametrize("key_id", ["a.b", "a:b", "a b", "ä", "-"])
def test_key_id_that_is_invalid_is_refused(key_id):
    with pytest.raises(SettingsInvalid, match="is not a valid key id"):
        new_key(key_id)


def test_keys_generated_twice_differ_in_id_and_bytes():
    first, second = parse_key(new_key()), parse_key(new_key())
    assert first[0] != second[0]
    assert first[1] != second[1]
