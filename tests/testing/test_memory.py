"""The folder in memory for data of tests."""

from types import SimpleNamespace

import pytest
from addonkit.testing import memory

ROOM = 3 * 1024**3


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Let a folder stand for the one in memory, with room and without restrictions."""
    monkeypatch.setattr(memory, "FOLDER", tmp_path)
    monkeypatch.setattr(memory.shutil, "disk_usage", lambda _: SimpleNamespace(free=ROOM))
    monkeypatch.setattr(memory.os, "statvfs", lambda _: SimpleNamespace(f_flag=0))
    return tmp_path


def test_memory_is_used_if_it_has_room(folder):
    assert memory.memory_folder() == memory.memory_folder(executable=True) == folder


@pytest.mark.parametrize("free", [0, 64 * 1024**2, memory.MIN_FREE_BYTES - 1])
def test_memory_without_room_is_not_used(folder, monkeypatch, free):
    monkeypatch.setattr(memory.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    assert memory.memory_folder() is None


def test_memory_that_does_not_exist_is_not_used(folder, monkeypatch):
    monkeypatch.setattr(memory, "FOLDER", folder / "missing")
    assert memory.memory_folder() is None


def test_memory_from_which_nothing_may_be_executed_holds_data_only(folder, monkeypatch):
    monkeypatch.setattr(memory.os, "statvfs", lambda _: SimpleNamespace(f_flag=memory.os.ST_NOEXEC))
    assert (memory.memory_folder(), memory.memory_folder(executable=True)) == (folder, None)
