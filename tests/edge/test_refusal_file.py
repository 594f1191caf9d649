"""The file that keeps refused webhooks across a restart, and what one process remembers of them."""

import os
from types import SimpleNamespace

import pytest
from addonkit.edge import refused_webhooks
from addonkit.edge.refusal_file import RefusalFile
from addonkit.edge.refused_webhooks import RefusedWebhooks, is_ours
from addonkit.errors import PayloadInvalid, PayloadOverdue, QueueFull, StorageUnavailable, TokenInvalid
from structlog.testing import capture_logs


def ended(directory, *lines):
    """Write the file of a process that has ended."""
    file = RefusalFile(directory)
    for number, since in lines:
        file.append(number, since)
    file.close()
    return file._path


def adopted(directory):
    file = RefusalFile(directory)
    found = file.adopt()
    file.close()
    return found


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ([], {}),
        ([[(1, 100.0)]], {1: 100.0}),
        ([[(1, 100.0), (1, 50.0), (2, 7.0)]], {1: 50.0, 2: 7.0}),
        ([[(1, 50.0), (1, 100.0)]], {1: 50.0}),
        ([[(1, 100.0)], [(1, 90.0), (3, 1.5)]], {1: 90.0, 3: 1.5}),
        ([[(1, 90.0)], [(1, 100.0)], [(2, 2.0)]], {1: 90.0, 2: 2.0}),
    ],
    ids=["none", "one", "earlier later", "earlier first", "two files", "three files"],
)
def test_files_of_ended_processes_are_read_with_the_earliest_times(tmp_path, files, found):
    for lines in files:
        ended(tmp_path, *lines)
    assert adopted(tmp_path) == found
    assert adopted(tmp_path) == found  # they are kept until the database has them


def test_file_is_deleted_once_the_database_has_it(tmp_path):
    ended(tmp_path, (1, 100.0))
    file = RefusalFile(tmp_path)
    file.adopt()
    file.append(2, 200.0)
    assert len(list(tmp_path.iterdir())) == 2
    file.clear()
    assert list(tmp_path.iterdir()) == []
    file.append(3, 300.0)
    [path] = tmp_path.iterdir()
    assert path.read_text() == "3 300.000\n"
    assert path.stat().st_mode & 0o777 == 0o600
    file.close()
    assert adopted(tmp_path) == {3: 300.0}


def test_file_of_a_running_process_is_not_read(tmp_path):
    running = RefusalFile(tmp_path)
    running.append(1, 100.0)
    ended(tmp_path, (2, 200.0))
    assert adopted(tmp_path) == {2: 200.0}
    running.close()
    assert adopted(tmp_path) == {1: 100.0, 2: 200.0}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("1 100.000", {}),
        ("1 100.000\n2 2", {1: 100.0}),
        ("x 100.000\n1 y\n\n2 2.5\n", {2: 2.5}),
        ("1\n2 2.0\n", {2: 2.0}),
        ("1 100.000\n\xff\xfe\n2 2.0\n", {1: 100.0, 2: 2.0}),
    ],
    ids=["empty", "cut", "cut in a number", "no numbers", "no time", "no ASCII"],
)
def test_lines_that_are_not_complete_are_ignored(tmp_path, text, found):
    (tmp_path / "addonkit-missed-1-x.txt").write_bytes(text.encode("latin-1"))
    (tmp_path / "another-1-x.txt").write_text("9 9.0\n")
    assert adopted(tmp_path) == found


def test_file_that_cannot_be_opened_is_left_out(tmp_path):
    (tmp_path / "addonkit-missed-0-x.txt").mkdir()
    ended(tmp_path, (1, 100.0))
    assert adopted(tmp_path) == {1: 100.0}


def test_file_that_cannot_be_written_is_logged_once_until_it_is_cleared(tmp_path):
    file = RefusalFile(tmp_path / "gone")
    with capture_logs() as lines:
        for _ in range(3):
            file.append(1, 1.0)
        file.clear()
        file.append(1, 1.0)
    assert [line["event"] for line in lines] == ["webhooks.missed_file_failed"] * 2
    assert str(os.getpid()) in lines[0]["path"]


@pytest.fixture
def webhooks(tmp_path):
    parts = SimpleNamespace(now=lambda: 5000.0, recognised=lambda *_: None)
    made = RefusedWebhooks(authenticator=parts, plugins=("p",), file=RefusalFile(tmp_path), count=lambda _: None)
    yield made
    made.file.close()


@pytest.mark.parametrize(
    ("product", "times", "remembered"),
    [
        ("confluence", [100.0], 100.0),
        ("confluence", [100.0, 200.0], 100.0),
        ("confluence", [200.0, 100.0], 100.0),
        ("confluence", [100.0, 100.0], 100.0),
        ("jira", [100.0], None),
    ],
)
def test_first_refusal_of_a_confluence_site_is_remembered(webhooks, tmp_path, product, times, remembered):
    for at in times:
        webhooks._remember(7, product, at)
    assert webhooks._sites.get(7) == remembered
    assert webhooks._changed.is_set() == (remembered is not None)
    webhooks.file.close()
    assert adopted(tmp_path).get(7) == remembered


async def test_refusal_during_the_recording_is_recorded_next_time(webhooks, tmp_path, monkeypatch):
    recorded = []

    async def record(sites, plugins):
        recorded.append((dict(sites), plugins))
        if len(recorded) == 1:
            webhooks._remember(2, "confluence", 200.0)
            webhooks._remember(1, "confluence", 50.0)

    monkeypatch.setattr(refused_webhooks, "record_missed", record)
    webhooks._remember(1, "confluence", 100.0)
    webhooks._remember(3, "confluence", 300.0)
    await webhooks.record()
    assert webhooks._sites == {1: 50.0, 2: 200.0}
    await webhooks.record()
    await webhooks.record()
    assert recorded == [({1: 100.0, 3: 300.0}, ("p",)), ({1: 50.0, 2: 200.0}, ("p",))]
    assert list(tmp_path.iterdir()) == []


async def test_refusals_are_kept_while_the_database_does_not_answer(webhooks, tmp_path, monkeypatch):
    async def fail(*_):
        raise StorageUnavailable("the database did not answer")

    monkeypatch.setattr(refused_webhooks, "record_missed", fail)
    webhooks._remember(1, "confluence", 100.0)
    with pytest.raises(StorageUnavailable):
        await webhooks.record()
    assert webhooks._sites == {1: 100.0}
    with capture_logs() as lines:
        await webhooks.close()
    assert [line["reason"] for line in lines] == ["the database did not answer"]
    assert adopted(tmp_path) == {1: 100.0}


@pytest.mark.parametrize(
    ("problem", "ours"),
    [
        (StorageUnavailable("x"), True),
        (QueueFull("x"), True),
        (PayloadOverdue("x"), True),
        (KeyError("x"), True),
        (TokenInvalid("x"), False),
        (PayloadInvalid("x"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_webhook_is_missed_if_the_fault_is_ours(problem, ours):
    assert is_ours(problem) == ours
