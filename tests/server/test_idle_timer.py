"""Idle connections are closed after the keep-alive time, and no others."""

import asyncio

import httpx2
import pytest
from addonkit.server.hypercorn_server import HypercornServer
from addonkit.server.idle_timer import IdleTimer
from addonkit.server.sockets import address_of, bound_socket

from tests.support.served import until


class Clock:
    """An event loop of which only the clock and one timer exist."""

    def __init__(self):
        self.now, self.timer = 0.0, None

    def time(self):
        return self.now

    def call_later(self, delay_s, callback):
        assert self.timer is None, "a second timer was started"
        self.timer = (self.now + delay_s, callback)
        return self

    def cancel(self):
        self.timer = None

    def advance(self, seconds):
        self.now += seconds
        if self.timer is not None and self.timer[0] <= self.now:
            (_, callback), self.timer = self.timer, None
            callback()


# Each step advances the clock by seconds, or notes what the connection does.
STEPS = {
    "idle": (["idle", 75], 1),
    "idle, not long enough": (["idle", 74.9], 0),
    "busy all the time": (["busy", 1000], 0),
    "busy in time": (["idle", 74, "busy", 74], 0),
    "request in the middle": (["idle", 40, "busy", 1, "idle", 74], 0),
    "idle after a request": (["idle", 40, "busy", 1, "idle", 34, 41], 1),
    "many requests": ([*["idle", 10, "busy", 10] * 20, "idle", 60, 15], 1),
    "request while the timer expires": (["idle", 10, "busy", 65, "idle", 75], 1),
    "ended": (["idle", 10, "ended", 1000], 0),
}


@pytest.mark.parametrize(("steps", "closed"), STEPS.values(), ids=STEPS.keys())
def test_idle_timer_expires_only_when_the_connection_was_idle_for_the_whole_time(steps, closed):
    clock, calls = Clock(), []
    timer = IdleTimer(clock, 75, lambda: calls.append(clock.now))
    for step in steps:
        match step:
            case "idle":
                timer.note_idle()
            case "busy":
                timer.note_busy()
            case "ended":
                timer.cancel()
            case seconds:
                clock.advance(seconds)
    assert len(calls) == closed


class Slow:
    """An application that answers when it may."""

    def __init__(self):
        self.may_answer, self.running = asyncio.Event(), 0

    async def __call__(self, scope, receive, send):
        self.running += 1
        if scope["path"] == "/slow":
            await self.may_answer.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
async def http_server(monkeypatch):
    monkeypatch.setattr("addonkit.server.hypercorn_server.KEEP_ALIVE_S", 0.2)
    listener = bound_socket("127.0.0.1:0")
    http_server = HypercornServer(Slow(), listener)
    http_server.url = f"http://{address_of(listener)}"
    await http_server.open()
    yield http_server
    http_server.close(0)
    await http_server.abort()


@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1", "HTTP/2"])
async def test_connection_is_closed_when_it_is_idle_and_not_before(http_server, http2):
    async with httpx2.AsyncClient(trust_env=False, http1=not http2, http2=http2) as client:
        slow = asyncio.create_task(client.get(f"{http_server.url}/slow"))
        await until(lambda: http_server._app.running)
        await asyncio.sleep(0.5)
        assert len(http_server._connections) == 1
        http_server._app.may_answer.set()
        assert (await slow).text == "ok"
        await until(lambda: not http_server._connections)


async def test_connection_without_a_request_is_closed(http_server):
    host, port = http_server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    assert await reader.read() == b""
    writer.close()
