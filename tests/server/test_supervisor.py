"""The supervisor: starts, restarts, replaces and stops worker processes on one address."""

import asyncio
import os
import signal
import sys
import textwrap
from pathlib import Path

import httpx2
import pytest
from addonkit.server import supervisor as supervising
from addonkit.server.sockets import bound_socket
from addonkit.server.supervisor import Supervisor
from addonkit.testing.databases import server

from tests.distributions.third_party import run, write_config
from tests.support.load import Load
from tests.support.served import configure, serving, until

# A worker that serves nothing: files in its folder control it, and it appends each step to the file 'did'.
SCRIPT = """
    import os, pathlib, socket, sys, time
    folder = pathlib.Path(sys.argv[1])
    words = sys.argv[2:]
    line = socket.socket(fileno=int(words[words.index("--inherited") + 1].split(",")[0]))
    def note(what):
        with (folder / "did").open("a") as file:
            file.write(f"{os.environ['ADDONKIT_WORKER']} {what} {os.getpid()} {' '.join(words[:-2])}\\n")
    note("started")
    if (folder / "fail").exists():
        sys.exit(1)
    if not (folder / "slow").exists():
        line.send(b"+" + (folder / "stop_timeout").read_bytes())
        note("ready")
    if (folder / "die").exists():
        sys.exit(3)
    if (folder / "unresponsive").exists():
        time.sleep(60)
    word = line.recv(1)
    if not (folder / "silent").exists():
        line.send(b"-")
        listener = socket.socket(fileno=int(words[words.index("--inherited") + 1].split(",")[1]))
        listener.close()
    while (folder / "busy").exists():
        time.sleep(0.02)
    note({b"t": "drained", b"r": "left", b"i": "hurried", b"k": "stopped", b"": "orphaned"}[word])
"""


class Workers:
    """A supervisor in this process whose workers run ``SCRIPT``."""

    def __init__(self, folder: Path, count: int = 2) -> None:
        self.folder = folder
        (folder / "worker.py").write_text(textwrap.dedent(SCRIPT))
        (folder / "stop_timeout").write_text("5")
        self._listener = bound_socket("127.0.0.1:0")
        self.address = self._listener.getsockname()
        command = [sys.executable, str(folder / "worker.py"), str(folder)]
        self._supervisor = Supervisor(
            command,
            first_options=["first"],
            other_options=["other"],
            count=count,
            listeners=[self._listener],
            requests_s=5,
            close_s=1,
        )
        self.ready = asyncio.Event()
        self.task = asyncio.create_task(self._supervisor.run(self.ready.set))

    def lines(self, what: str) -> list[str]:
        """Return number and options of each worker that logged a step."""
        file = self.folder / "did"
        lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
        return [" ".join([number, *rest]) for number, done, _, *rest in lines if done == what]

    def pids(self, what: str = "started") -> list[int]:
        lines = [line.split() for line in (self.folder / "did").read_text().splitlines()]
        return [int(pid) for _, done, pid, *_ in lines if done == what]

    def allow(self, name: str) -> None:
        (self.folder / name).touch()

    async def ended(self) -> bool:
        async with asyncio.timeout(60):
            return await self.task

    async def close(self) -> None:
        for number in (signal.SIGTERM, signal.SIGTERM):
            if not self.task.done():
                os.kill(os.getpid(), number)
                await asyncio.wait({self.task}, timeout=10)
        self._listener.close()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)


@pytest.fixture
async def start_workers(tmp_path):
    """Start a supervisor with workers; stop them after the test."""
    started = []

    def start(*names: str, count: int = 2) -> Workers:
        for name in names:
            (tmp_path / name).touch()
        started.append(Workers(tmp_path, count))
        return started[-1]

    yield start
    for workers in started:
        await workers.close()


def send_signal(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


async def test_supervisor_starts_the_first_worker_before_the_others(start_workers):
    workers = start_workers(count=3)
    await workers.ready.wait()
    started = workers.lines("started")
    assert started[0] == "1 first"
    assert sorted(started[1:]) == ["2 other", "3 other"]


async def test_supervisor_exits_if_the_first_worker_does_not_start(start_workers):
    workers = start_workers("fail", count=3)
    assert await workers.ended() is False
    assert (workers.lines("started"), workers.ready.is_set()) == (["1 first"], False)


@pytest.mark.parametrize(("number", "what"), [(signal.SIGTERM, "drained"), (signal.SIGINT, "hurried")])
async def test_signal_is_forwarded_to_all_workers(start_workers, number, what):
    workers = start_workers()
    await workers.ready.wait()
    send_signal(number)
    assert await workers.ended() is True
    assert len(workers.lines(what)) == 2


async def test_worker_that_dies_is_replaced(start_workers):
    workers = start_workers()
    await workers.ready.wait()
    os.kill(workers.pids()[1], signal.SIGKILL)
    await until(lambda: workers.lines("started").count("2 other") == 2)
    send_signal(signal.SIGTERM)
    assert await workers.ended() is True


async def test_backoff_delays_the_restart_of_a_worker_that_keeps_dying(start_workers, monkeypatch):
    monkeypatch.setattr(supervising, "FIRST_PAUSE_S", 0.2)
    workers = start_workers()
    await workers.ready.wait()
    pauses = []
    monkeypatch.setattr(supervising.log, "error", lambda *_, restart_in_s, **__: pauses.append(restart_in_s))
    workers.allow("die")
    os.kill(workers.pids()[1], signal.SIGKILL)
    await until(lambda: len(pauses) >= 4)
    assert pauses[:4] == [0.2, 0.4, 0.8, 1.6]


async def test_worker_that_cannot_restart_is_retried_until_it_can(start_workers, monkeypatch):
    monkeypatch.setattr(supervising, "FIRST_PAUSE_S", 0.05)
    workers = start_workers()
    await workers.ready.wait()
    workers.allow("fail")
    os.kill(workers.pids()[1], signal.SIGKILL)
    await until(lambda: len(workers.lines("started")) >= 4)
    (workers.folder / "fail").unlink()
    await until(lambda: workers.pids()[-1] in workers.pids("ready"))
    send_signal(signal.SIGTERM)
    assert await workers.ended() is True
    assert len(workers.lines("drained")) == 2


async def test_rolling_restart_replaces_one_worker_after_another(start_workers):
    workers = start_workers()
    await workers.ready.wait()
    send_signal(signal.SIGHUP)
    await until(lambda: len(workers.lines("left")) == 2)
    lines = [line.split()[:2] for line in (workers.folder / "did").read_text().splitlines()]
    assert [line for line in lines if line[1] != "ready"][2:] == [
        ["1", "started"],
        ["1", "left"],
        ["2", "started"],
        ["2", "left"],
    ]
    assert workers.lines("started")[2:] == ["1 first", "2 other"]


async def test_rolling_restart_keeps_the_old_workers_if_the_first_new_one_fails(start_workers):
    workers = start_workers()
    await workers.ready.wait()
    workers.allow("fail")
    send_signal(signal.SIGHUP)
    await until(lambda: len(workers.lines("started")) == 3)
    (workers.folder / "fail").unlink()
    send_signal(signal.SIGHUP)
    await until(lambda: len(workers.lines("left")) == 2)
    assert workers.lines("started")[2:] == ["1 first", "1 first", "2 other"]


async def test_worker_that_dies_after_a_rolling_restart_is_replaced(start_workers):
    workers = start_workers()
    await workers.ready.wait()
    send_signal(signal.SIGHUP)
    await until(lambda: len(workers.lines("left")) == 2)
    os.kill(workers.pids()[2], signal.SIGKILL)
    await until(lambda: len(workers.lines("started")) == 5)
    send_signal(signal.SIGTERM)
    assert await workers.ended() is True


async def test_worker_that_does_not_respond_is_killed_after_its_timeout(start_workers, monkeypatch):
    monkeypatch.setattr("addonkit.server.worker_process.EXTRA_STOP_S", 0.5)
    workers = start_workers("unresponsive")
    (workers.folder / "stop_timeout").write_text("0.5")
    await workers.ready.wait()
    send_signal(signal.SIGTERM)
    assert await workers.ended() is False


async def test_workers_are_aborted_by_a_second_signal(start_workers, monkeypatch):
    monkeypatch.setattr(supervising, "ABORT_S", 0.1)
    workers = start_workers("unresponsive")
    (workers.folder / "stop_timeout").write_text("600")
    await workers.ready.wait()
    send_signal(signal.SIGTERM)
    send_signal(signal.SIGTERM)
    assert await workers.ended() is False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    "files", [("busy",), ("busy", "silent")], ids=["workers-closed", "workers-that-do-not-respond"]
)
async def test_connections_are_refused_once_no_worker_accepts_any(start_workers, number, files):
    workers = start_workers(*files)
    await workers.ready.wait()
    assert not await is_refused(workers)
    send_signal(number)
    await until(lambda: is_refused(workers))
    assert not workers.task.done()
    (workers.folder / "busy").unlink()
    assert await workers.ended() is True


async def is_refused(workers):
    try:
        _, writer = await asyncio.open_connection(*workers.address)
    except ConnectionRefusedError:
        return True
    writer.close()
    return False


async def test_signal_during_the_start_stops_it(start_workers):
    workers = start_workers("slow")
    await until(lambda: workers.lines("started"))
    send_signal(signal.SIGTERM)
    assert await workers.ended() is True
    assert not workers.ready.is_set()
    assert not _is_alive(workers.pids()[0])


async def test_workers_share_a_metrics_folder_that_is_removed_with_the_supervisor(start_workers):
    workers = start_workers()
    await workers.ready.wait()
    shared = [_environment(pid)["PROMETHEUS_MULTIPROC_DIR"] for pid in workers.pids()]
    assert shared[0] == shared[1]
    assert _exists(shared[0])
    send_signal(signal.SIGTERM)
    await workers.ended()
    assert not _exists(shared[0])


def _environment(pid: int) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in _proc_values(pid, "environ") if pair)


def _proc_values(pid: int, what: str) -> list[str]:
    return Path(f"/proc/{pid}/{what}").read_bytes().decode().split("\0")


def _exists(path: str) -> bool:
    return Path(path).exists()


def _is_alive(pid: int) -> bool:
    return _exists(f"/proc/{pid}")


# ---- real workers --------------------------------------------------------------------------------------------------


@pytest.mark.sqlite
def test_workers_on_sqlite_are_refused(tmp_path):
    write_config(tmp_path, "stranger_notes")
    result = run(tmp_path, "serve", "--workers", "2", "--bind", "127.0.0.1:0")
    assert result.sentence == (
        "--workers is 2, but [database] url names a SQLite file, which one process can serve; use a PostgreSQL "
        "database, or omit --workers"
    )


@pytest.fixture
async def client():
    # a new connection for each request spreads the requests over all workers
    limits = httpx2.Limits(max_keepalive_connections=0)
    async with httpx2.AsyncClient(trust_env=False, timeout=20, limits=limits) as client:
        yield client


async def workers_of(client, served, count):
    """Send requests until ``count`` processes have answered; return their process ids."""
    found = set()

    async def ask():
        found.add((await client.get(f"{served.url}/stranger_slow/wait?seconds=0.01")).json()["pid"])

    async def asked():
        await asyncio.gather(*(ask() for _ in range(8)))
        return len(found) >= count

    await until(asked)
    return found


@pytest.mark.crash
@pytest.mark.postgresql
async def test_workers_serve_and_a_killed_one_is_replaced(tmp_path, client):
    configure(tmp_path)
    async with serving(tmp_path, "--workers", "2") as served:
        pids = await workers_of(client, served, 2)
        victim = min(pids)
        os.kill(victim, signal.SIGKILL)
        ended = await until(lambda: [line for line in served.log() if line["event"] == "worker.exited"])
        assert (ended[0]["pid"], ended[0]["reason"]) == (victim, "signal SIGKILL")
        await until(lambda: [line["event"] for line in served.log()].count("worker.started") == 3)
        served.send(signal.SIGTERM)
        assert await served.ended() == 0
    assert not any(_is_alive(pid) for pid in pids)


@pytest.mark.postgresql
async def test_worker_command_line_contains_no_secret(tmp_path, client):
    configure(tmp_path)
    async with serving(tmp_path, "--workers", "2") as served:
        for pid in await workers_of(client, served, 2):
            words = _proc_values(pid, "cmdline")
            assert "--inherited" in words
            assert not any("postgres" in word or server().password in word for word in words)


@pytest.mark.postgresql
async def test_workers_that_cannot_start_print_the_reason_once(tmp_path):
    configure(tmp_path, addon={"plugins": ["stranger_slow", "nobody"]})
    async with serving(tmp_path, "--workers", "3", ready=False) as served:
        assert await served.ended() == 1
        result = [line for line in served.errors().splitlines() if not line.startswith("{")]
        assert len(result) == 1
        assert result[0].startswith("addonkit: plugin 'nobody'")


@pytest.mark.crash
@pytest.mark.postgresql
async def test_workers_stop_when_their_supervisor_is_killed(tmp_path, client):
    configure(tmp_path)
    # files that the killed supervisor cannot remove are deleted with the test's folder
    async with serving(tmp_path, "--workers", "2", TMPDIR=str(tmp_path)) as served:
        pids = await workers_of(client, served, 2)
        served.send(signal.SIGKILL)
        await until(lambda: not any(_is_alive(pid) for pid in pids))


@pytest.mark.postgresql
async def test_workers_complete_requests_when_every_process_is_signalled(tmp_path, client):
    configure(tmp_path)
    async with serving(tmp_path, "--workers", "2") as served:
        pids = await workers_of(client, served, 2)
        asking = asyncio.create_task(client.get(f"{served.url}/stranger_slow/wait?seconds=2"))
        assert (await client.get(f"{served.url}/stranger_slow/wait?seconds=0.2")).status_code == 200
        for pid in [served.pid, *pids]:
            os.kill(pid, signal.SIGTERM)
        assert (await asking).status_code == 200
        assert await served.ended() == 0


@pytest.mark.crash
@pytest.mark.postgresql
@pytest.mark.parametrize(("kind", "workers"), [("hypercorn", "4"), ("granian", "2")])
async def test_rolling_restart_under_load_fails_no_request(tmp_path, client, kind, workers):
    if kind == "granian":
        pytest.importorskip("granian", reason="granian is an extra")
    configure(tmp_path)
    paths = ("/stranger_slow/wait?seconds=0", "/stranger_slow/wait?seconds=0.3", "/atlassian-connect.json")
    async with serving(tmp_path, "--workers", workers, "--server", kind) as served:
        load = Load(served.address, paths)
        async with load.running():
            await load.answered(100)
            configure(tmp_path, **{"plugin.stranger_slow": {"word": "second"}})
            served.send(signal.SIGHUP)
            await until(lambda: any(line["event"] == "workers.restarted" for line in served.log()), 120)
            await load.answered(100)
        assert (set(load.statuses), load.failures) == ({200}, [])
        assert (await client.get(f"{served.url}/stranger_slow/word")).text == "second"


@pytest.mark.postgresql
async def test_rolling_restart_with_an_invalid_configuration_changes_nothing(tmp_path, client):
    configure(tmp_path)
    async with serving(tmp_path, "--workers", "2") as served:
        pids = await workers_of(client, served, 2)
        configure(tmp_path, **{"plugin.stranger_slow": {"wird": "second"}})
        served.send(signal.SIGHUP)
        await until(lambda: any(line["event"] == "workers.restart_failed" for line in served.log()))
        assert "'wird' is not a setting of the plugin 'stranger_slow'; did you mean 'word'" in served.errors()
        assert await workers_of(client, served, 2) == pids
