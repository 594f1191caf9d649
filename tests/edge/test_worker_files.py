"""The names and locks of the files in which worker processes share their metrics."""

import os

import pytest
from addonkit.edge import worker_files
from addonkit.edge.worker_files import SharedFiles


@pytest.fixture
def lock():
    """Lock a name; as with a worker, the lock lasts until the process ends."""
    return worker_files._lock


def test_name_is_locked_once(tmp_path, lock):
    assert lock(tmp_path, "1")
    assert not lock(tmp_path, "1")
    assert lock(tmp_path, "2")
    assert (tmp_path / "1.lock").stat().st_mode & 0o777 == 0o600


def test_name_is_alive_while_it_is_locked(tmp_path, lock):
    assert not worker_files._is_alive(tmp_path, "1")
    (tmp_path / "1.lock").touch()
    assert not worker_files._is_alive(tmp_path, "1")
    lock(tmp_path, "1")
    assert worker_files._is_alive(tmp_path, "1")
    assert worker_files._is_alive(tmp_path, "1")


@pytest.mark.parametrize("is_taken", [False, True])
def test_worker_continues_the_files_of_its_predecessor_unless_that_runs(tmp_path, lock, is_taken):
    if is_taken:
        lock(tmp_path, "3")
    own = f"3-{os.getpid()}" if is_taken else "3"
    for name in (
        "gauge_mostrecent_3.db",
        f"gauge_mostrecent_3-{os.getpid()}.db",
        "gauge_mostrecent_4.db",
        "counter_3.db",
    ):
        (tmp_path / name).touch()
    assert worker_files._own_name(tmp_path, "3") == own
    assert not (tmp_path / f"gauge_mostrecent_{own}.db").exists()
    assert len(list(tmp_path.glob("*.db"))) == 3
    assert worker_files._is_alive(tmp_path, own)


@pytest.mark.parametrize(
    ("file", "locked", "is_included"),
    [
        ("counter_1.db", True, True),
        ("counter_1.db", False, True),
        ("histogram_1.db", False, True),
        ("gauge_mostrecent_1.db", True, True),
        ("gauge_mostrecent_1.db", False, False),
        ("counter_2.db", False, False),
        ("gauge_mostrecent_2.db", False, False),
    ],
)
def test_counters_of_ended_workers_are_included_and_gauges_are_not(tmp_path, lock, file, locked, is_included):
    (tmp_path / "1.lock").touch()
    if locked:
        lock(tmp_path, "1")
    assert SharedFiles(tmp_path)._is_included(tmp_path / file) == is_included


@pytest.mark.parametrize(("number", "label"), [(None, "0"), (0, "0"), (1, "1"), (12, "12")])
def test_worker_is_labelled_with_its_number(monkeypatch, number, label):
    monkeypatch.setattr(worker_files, "worker_number", lambda: number)
    assert worker_files.worker_label() == label
