"""Temporary folders whose owner was killed: which are removed, and which are somebody's."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from addonkit import temporary_folder
from addonkit.errors import StorageUnavailable
from addonkit.temporary_folder import locked_folder, remove_abandoned

PREFIX = "kit-metrics-"
# Creates a folder with files in it, prints its path, and waits; with "child", a child process inherits the lock.
OWNER = f"""
import subprocess, sys
from pathlib import Path
import structlog
from addonkit.temporary_folder import locked_folder
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
with locked_folder("{PREFIX}", Path(sys.argv[1])) as folder:
    (folder.path / "1.lock").touch()
    (folder.path / "sub").mkdir()
    (folder.path / "sub" / "counter_1.db").write_text("1")
    pid = 0
    if "child" in sys.argv:
        pid = subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL, pass_fds=[folder.descriptor]).pid
    print(folder.path, pid, flush=True)
    sys.stdin.read()
"""


@contextmanager
def owner(parent: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], Path, int]]:
    """A process that owns a folder, with its folder and the process id of its child."""
    command = [sys.executable, "-c", OWNER, str(parent), *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        path, pid = process.stdout.readline().split()
        try:
            yield process, Path(path), int(pid)
        finally:
            process.kill()
            if int(pid):
                os.kill(int(pid), signal.SIGKILL)


def killed(parent: Path) -> Path:
    """The folder of a process that was killed with SIGKILL."""
    with owner(parent) as (process, path, _):
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert (path / "sub" / "counter_1.db").exists()
    return path


def test_folder_of_a_killed_process_is_removed_by_the_next_one(tmp_path: Path) -> None:
    left = [killed(tmp_path), killed(tmp_path)]
    assert not left[0].exists()  # the second process has removed it
    with locked_folder(PREFIX, tmp_path) as folder:
        assert list(tmp_path.iterdir()) == [folder.path]
        assert folder.path.stat().st_mode & 0o777 == 0o700
    assert list(tmp_path.iterdir()) == []


def test_folder_of_a_process_that_runs_is_kept(tmp_path: Path) -> None:
    with owner(tmp_path) as (_, path, _), locked_folder(PREFIX, tmp_path) as own:
        assert remove_abandoned(tmp_path, PREFIX) == []
        assert own.path.is_dir()
        assert (path / "1.lock").exists()


def test_folder_is_kept_until_the_children_of_a_killed_process_have_ended(tmp_path: Path) -> None:
    with owner(tmp_path, "child") as (process, path, pid):
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert remove_abandoned(tmp_path, PREFIX) == []
        assert path.is_dir()
        os.kill(pid, signal.SIGKILL)
        assert removed_in_time(tmp_path) == [path]


def removed_in_time(parent: Path) -> list[Path]:
    """What is removed once the kernel has ended a killed process."""
    for _ in range(1000):
        if found := remove_abandoned(parent, PREFIX):
            return found
        time.sleep(0.01)
    return []


def symlink_to_a_folder(parent: Path) -> Path:
    foreign = parent / "foreign"
    foreign.mkdir(mode=0o700)
    (foreign / "precious").touch()
    path = parent / f"{PREFIX}abcdefgh"
    path.symlink_to(foreign)
    return path


def symlink_within_a_folder(parent: Path) -> Path:
    """Only the link is removed, together with its folder."""
    foreign = parent / "foreign"
    foreign.mkdir()
    (foreign / "precious").touch()
    path = killed(parent)
    (path / "link").symlink_to(foreign)
    return foreign / "precious"


def folder_of_another_user(parent: Path) -> Path:
    if os.geteuid():
        pytest.skip("a small file system cannot be mounted here")
    path = private(parent, f"{PREFIX}abcdefgh")
    os.chown(path, 12345, 12345)
    return path


def folder_open_to_others(parent: Path) -> Path:
    path = private(parent, f"{PREFIX}abcdefgh")
    path.chmod(0o755)
    return path


def regular_file(parent: Path) -> Path:
    path = parent / f"{PREFIX}abcdefgh"
    path.touch(0o700)
    return path


def pipe(parent: Path) -> Path:
    path = parent / f"{PREFIX}abcdefgh"
    os.mkfifo(path, 0o700)
    return path


def dangling_symlink(parent: Path) -> Path:
    path = parent / f"{PREFIX}abcdefgh"
    path.symlink_to(parent / "nothing")
    return path


def folder_with_another_name(parent: Path) -> Path:
    return private(parent, f"{PREFIX}of-my-own")


def folder_of_an_earlier_release(parent: Path) -> Path:
    """Its supervisor has no lock on it, and may run."""
    return private(parent, "kit-abcdefgh")


def private(parent: Path, name: str) -> Path:
    path = parent / name
    path.mkdir(mode=0o700)
    return path


@pytest.mark.parametrize(
    "make",
    [
        symlink_to_a_folder,
        symlink_within_a_folder,
        folder_of_another_user,
        folder_open_to_others,
        regular_file,
        pipe,
        dangling_symlink,
        folder_with_another_name,
        folder_of_an_earlier_release,
    ],
    ids=lambda make: make.__name__,
)
def test_cleaning_keeps_what_is_not_ours(tmp_path: Path, make) -> None:  # type: ignore[no-untyped-def]
    path = make(tmp_path)
    with locked_folder(PREFIX, tmp_path):
        pass
    assert path.lstat()
    assert not (tmp_path / "foreign").exists() or (tmp_path / "foreign" / "precious").exists()


async def test_processes_that_start_at_once_remove_one_leftover_and_keep_their_own_folders(tmp_path: Path) -> None:
    left = [killed(tmp_path / name) for name in ("a", "b", "c") if not (tmp_path / name).mkdir()]
    for number, path in enumerate(left):
        path.rename(tmp_path / f"{PREFIX}leftove{number}")
    script = OWNER.replace("sys.stdin.read()", "sys.stdin.read(); assert (folder.path / '1.lock').exists()")
    started = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", script, str(tmp_path)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(8)
    ]
    lines = [(await one.stdout.readline()).decode().split()[0] for one in started if one.stdout is not None]
    assert folders(tmp_path) == sorted(lines)
    for one in started:
        await one.communicate(b"")
    assert [one.returncode for one in started] == [0] * 8
    assert folders(tmp_path) == []


def folders(parent: Path) -> list[str]:
    return sorted(map(str, parent.glob(f"{PREFIX}*")))


def test_new_folder_that_another_process_removes_before_it_is_locked_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, removed = temporary_folder._open, []

    def remove_first(path: Path) -> int:
        if not removed:
            removed.extend(remove_abandoned_by_another(path))
        return opened(path)

    def remove_abandoned_by_another(path: Path) -> list[Path]:
        with monkeypatch.context() as patch:
            patch.setattr(temporary_folder, "_open", opened)
            return remove_abandoned(tmp_path, PREFIX)

    monkeypatch.setattr(temporary_folder, "_open", remove_first)
    with locked_folder(PREFIX, tmp_path) as folder:
        assert folder.path.is_dir()
        assert removed == [path for path in removed if path != folder.path]
        assert len(removed) == 1


def test_new_folder_that_another_process_has_locked_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked, attempts = temporary_folder._lock, []

    def lock_of_another(descriptor: int) -> None:
        attempts.append(descriptor)
        if len(attempts) == 1:
            raise BlockingIOError
        locked(descriptor)

    monkeypatch.setattr(temporary_folder, "_lock", lock_of_another)
    with locked_folder(PREFIX, tmp_path) as folder:
        assert list(tmp_path.iterdir()) == [folder.path]
    assert len(attempts) == 2


def test_file_system_without_locks_keeps_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(_descriptor: int) -> None:
        raise OSError(95, "Operation not supported")

    left = killed(tmp_path)
    monkeypatch.setattr(temporary_folder, "_lock", unsupported)
    with locked_folder(PREFIX, tmp_path) as folder:
        assert folder.path.is_dir()
    assert left.is_dir()


def test_folder_that_cannot_be_created_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable) as result, locked_folder(PREFIX, tmp_path / "missing"):
        pass
    assert "No such file or directory; allow this user to write there" in str(result.value)
