"""The listener of PostgreSQL's notifications and the poll of an SQLite file, with a connection that a test controls."""

import asyncio
from types import SimpleNamespace

import asyncpg
import pytest
from addonkit.database import server_connection
from addonkit.tenancy import notifications
from addonkit.tenancy.notifications import CHANNEL, WORK_CHANNEL, ChangeListener, NotificationsLost, poll_data_version
from structlog.testing import capture_logs

from tests.support.loop_clock import LoopClock
from tests.support.paused_clock import PausedClock


class Connection:
    """A connection of asyncpg that notes its statements, and echoes notifications or not."""

    def __init__(self, *, echoes=True, error=None):
        self.echoes, self.error, self.statements, self.listeners = echoes, error, [], {}
        self.terminated = False

    def add_termination_listener(self, call):
        self.end = lambda: call(self)

    async def add_listener(self, channel, call):
        self.listeners[channel] = call

    async def execute(self, statement, channel=None, timeout=None):
        self.statements.append("echo" if channel else statement)
        if channel and self.echoes:
            self.listeners[channel](self, 1, channel, "")
        elif not channel and self.error is not None:
            raise self.error

    def terminate(self):
        self.terminated = True


class Calls:
    """The calls of a listener's callbacks."""

    def __init__(self):
        self.changed, self.disconnected, self.worked = [], 0, 0

    def note_disconnected(self):
        self.disconnected += 1

    def note_work(self):
        self.worked += 1


@pytest.fixture
def calls():
    return Calls()


@pytest.fixture
def listener(calls):
    return ChangeListener("postgres://x", calls.changed.append, calls.note_disconnected, calls.note_work)


def connecting(monkeypatch, *results):
    """Let each attempt to connect give the next of these."""
    left = list(results)

    async def connect(*_, **__):
        result = left.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    monkeypatch.setattr(server_connection, "connect", connect)


async def test_listener_passes_each_notification_on_by_its_channel(monkeypatch, listener, calls):
    connection = Connection()
    connecting(monkeypatch, connection)
    async with listener._connected():
        for channel, payload in [(CHANNEL, "site-1"), (WORK_CHANNEL, ""), (CHANNEL, "site-2"), (WORK_CHANNEL, "")]:
            connection.listeners[channel](connection, 1, channel, payload)
        assert (calls.changed, calls.worked, listener._echoed.is_set()) == (["site-1", "site-2"], 2, False)
        connection.listeners[listener._echo_channel](connection, 1, listener._echo_channel, "")
        assert listener._echoed.is_set()
    assert connection.terminated
    assert (len(connection.listeners), calls.worked, len(calls.changed)) == (3, 2, 2)


async def test_echo_of_an_earlier_check_does_not_count(monkeypatch, listener):
    monkeypatch.setattr(notifications, "ANSWER_TIMEOUT_S", 0.01)
    first, second = Connection(), Connection(echoes=False)
    connecting(monkeypatch, first, second)
    async with listener._connected() as connection:
        await listener._check_echo(connection)
    async with listener._connected() as connection:
        with pytest.raises(NotificationsLost):
            await listener._check_echo(connection)


FAILURES = [
    asyncpg.PostgresConnectionError("gone"),
    asyncpg.InterfaceError("connection is closed"),
    asyncpg.PostgresError("no"),
    ConnectionResetError("reset"),
    OSError("no route"),
    TimeoutError(),
    NotificationsLost("they do not arrive"),
]


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("when", ["connects", "listens"])
async def test_listener_gives_the_reason_of_each_failure(monkeypatch, listener, calls, error, when):
    connection = Connection(error=error)
    connecting(monkeypatch, error if when == "connects" else connection)
    reason = await listener._listen_once()
    assert reason
    assert calls.changed == ([None] if when == "listens" else [])
    assert connection.terminated == (when == "listens")


async def test_listener_checks_the_connection_at_each_heartbeat_and_now_and_then_the_notifications(
    monkeypatch, listener
):
    connection, clock = Connection(), PausedClock(monkeypatch, most=85)
    connecting(monkeypatch, connection)
    with pytest.raises(asyncio.CancelledError):
        await listener._listen_once()
    echoes = [number for number, statement in enumerate(connection.statements) if statement == "echo"]
    assert echoes == [0, 40, 80]
    assert set(connection.statements) == {"echo", "SELECT 1"}
    assert clock.pauses == [0.7] * 85


@pytest.mark.parametrize(("every", "echoes"), [(1, [0, 1, 2, 3, 4]), (2, [0, 2, 4]), (3, [0, 3])])
async def test_listener_checks_the_notifications_at_some_heartbeats(monkeypatch, listener, every, echoes):
    monkeypatch.setattr(notifications, "ECHO_EVERY", every)
    connection, _ = Connection(), PausedClock(monkeypatch, most=4)
    connecting(monkeypatch, connection)
    with pytest.raises(asyncio.CancelledError):
        await listener._listen_once()
    assert [number for number, statement in enumerate(connection.statements) if statement == "echo"] == echoes


async def test_listener_ends_when_its_connection_is_terminated(monkeypatch, listener, calls):
    connection = Connection()
    connecting(monkeypatch, connection)

    async def pause(_):
        connection.end()

    monkeypatch.setattr(notifications.asyncio, "sleep", pause)
    assert await listener._listen_once() == "the connection was closed"
    assert (listener._lost.is_set(), calls.changed) == (True, [None])


@pytest.mark.parametrize(("timeout_s", "injected"), [(1.0, None), (30.0, 30.0)], ids=["as shipped", "changed"])
@pytest.mark.parametrize(("late_s", "is_lost"), [(-0.001, False), (0.001, True)], ids=["below", "above"])
async def test_notification_has_its_time_to_arrive(monkeypatch, listener, timeout_s, injected, late_s, is_lost):
    if injected is not None:
        monkeypatch.setattr(notifications, "ANSWER_TIMEOUT_S", injected)
    clock, connection = LoopClock(monkeypatch), Connection(echoes=False)
    checking = asyncio.create_task(listener._check_echo(connection))
    await clock.advance(0)
    await clock.advance(timeout_s + late_s)
    listener._echoed.set()
    if is_lost:
        with pytest.raises(NotificationsLost, match="do not arrive"):
            await checking
    else:
        await checking


@pytest.mark.parametrize(
    ("lasted_s", "failures"),
    [([0.0] * 4, [1, 2, 3, 4]), ([0.0, 10.0, 0.0], [1, 2, 3]), ([0.0, 0.0, 10.5, 0.0], [1, 2, 1, 1]), ([60.0], [1])],
    ids=["at once", "not long enough", "lasted", "first lasted"],
)
async def test_listener_reconnects_after_a_pause_that_grows_with_the_failures(
    monkeypatch, listener, lasted_s, failures
):
    clock, left, asked = PausedClock(monkeypatch, most=len(lasted_s)), list(lasted_s), []

    async def listen():
        listener._lost.clear()
        clock.now += left.pop(0)
        return "gone"

    def backoff(number, *, first_s, longest_s):
        asked.append((number, first_s, longest_s))
        return 0.5

    monkeypatch.setattr(listener, "_listen_once", listen)
    monkeypatch.setattr(notifications, "backoff_s", backoff)
    with capture_logs() as lines, pytest.raises(asyncio.CancelledError):
        await listener._stay_connected()
    assert asked == [(number, 1.0, 10.0) for number in failures]
    assert listener._lost.is_set()
    assert {(line["event"], line["reason"]) for line in lines} == {("tenants.notifications_lost", "gone")}


async def test_listener_reports_each_heartbeat_without_a_connection(monkeypatch, listener, calls):
    clock = PausedClock(monkeypatch, most=3)
    with pytest.raises(asyncio.CancelledError):
        await listener._report_disconnected()
    assert (calls.disconnected, clock.pauses) == (3, [0.7] * 3)


@pytest.mark.parametrize(
    ("versions", "changed", "disconnected"),
    [
        ([1, 1, 1], 1, 0),
        ([1, 2, 2, 3], 3, 0),
        ([0, 0], 1, 0),
        ([1, OSError("x"), 1], 1, 1),
        ([1, KeyError("x"), TimeoutError(), 2], 2, 2),
        ([OSError("x"), OSError("x")], 0, 2),
    ],
    ids=["none", "changes", "zero", "error", "errors", "no answer"],
)
async def test_sqlite_poll_reports_each_new_version_once(monkeypatch, calls, versions, changed, disconnected):
    clock, left = PausedClock(monkeypatch, most=len(versions)), list(versions)

    async def data_version():
        version = left.pop(0)
        if isinstance(version, Exception):
            raise version
        return version

    monkeypatch.setattr(notifications, "get_connection", lambda _: SimpleNamespace(data_version=data_version))
    with pytest.raises(asyncio.CancelledError):
        await poll_data_version(calls.changed.append, calls.note_disconnected)
    assert calls.changed == [None] * changed
    assert (calls.disconnected, clock.pauses) == (disconnected, [0.7] * len(versions))


@pytest.mark.parametrize(("timeout_s", "injected"), [(1.0, None), (30.0, 30.0)], ids=["as shipped", "changed"])
@pytest.mark.parametrize(("late_s", "answers"), [(-0.001, True), (0.001, False)], ids=["below", "above"])
async def test_sqlite_poll_waits_for_an_answer_up_to_its_time(monkeypatch, calls, timeout_s, injected, late_s, answers):
    if injected is not None:
        monkeypatch.setattr(notifications, "ANSWER_TIMEOUT_S", injected)
    clock, arrives = LoopClock(monkeypatch), asyncio.Event()

    async def data_version():
        await arrives.wait()
        return 1

    monkeypatch.setattr(notifications, "get_connection", lambda _: SimpleNamespace(data_version=data_version))
    polling = asyncio.create_task(poll_data_version(calls.changed.append, calls.note_disconnected))
    await clock.advance(0)
    await clock.advance(timeout_s + late_s)
    arrives.set()
    await clock.advance(0)
    polling.cancel()
    await asyncio.gather(polling, return_exceptions=True)
    assert (calls.changed, calls.disconnected) == (([None], 0) if answers else ([], 1))
