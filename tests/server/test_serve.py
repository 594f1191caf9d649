"""One serving process: where it listens, and how it ends."""

import asyncio
import errno
import signal
import socket
import stat
import time

import httpx2
import pytest
from addonkit.errors import SettingsInvalid
from addonkit.server.hypercorn_server import HypercornServer
from addonkit.server.shutdown import Shutdown, ShutdownMode
from addonkit.server.sockets import AddressUnavailable, address_of, bound_socket, release

from tests.distributions.strangers import run, write_config
from tests.support.load import Load
from tests.support.served import configure, serving, until

SERVERS = ["hypercorn", "granian"]


@pytest.fixture(params=SERVERS)
def server(request):
    if request.param == "granian":
        pytest.importorskip("granian", reason="granian is an extra")
    return ("--server", request.param)


@pytest.fixture
async def client():
    async with httpx2.AsyncClient(trust_env=False, timeout=20) as client:
        yield client


def wait(served, seconds):
    return f"{served.url}/stranger_slow/wait?seconds={seconds}"


# ---- where ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bind", ["8000", "127.0.0.1", "::1:8000", "127.0.0.1:http", "127.0.0.1:70000", ""])
def test_bind_address_that_is_invalid_is_refused(bind):
    with pytest.raises(SettingsInvalid, match=r"expected HOST:PORT such as .* or \[::1\]:8000, or unix:/path"):
        bound_socket(bind)


def test_bind_address_of_another_machine_is_refused():
    with pytest.raises(AddressUnavailable, match="this machine has no such address; set --bind to one of its own"):
        bound_socket("192.0.2.1:8000")


def test_bind_address_with_an_unknown_name_is_refused(monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(AddressUnavailable, match=r"Name or service not known; this machine has no such address"):
        bound_socket("nobody.example:8000")


def test_bind_address_with_a_privileged_port_is_refused_with_the_remedy(monkeypatch):
    def refused(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refused)
    with pytest.raises(AddressUnavailable) as said:
        bound_socket("127.0.0.1:443")
    assert str(said.value) == (
        "cannot listen on '127.0.0.1:443': Permission denied; ports below 1024 need a privilege that this user lacks; "
        "set --bind to a higher port and let a proxy forward to it, or grant CAP_NET_BIND_SERVICE"
    )


def test_bind_error_names_the_setting():
    with pytest.raises(SettingsInvalid, match=r"\[operations\] bind is 'here', expected HOST:PORT"):
        bound_socket("here", "[operations] bind")


def test_bind_address_may_be_ipv6():
    listener = bound_socket("[::1]:0")
    assert address_of(listener).startswith("[::1]:")
    release(listener, "[::1]:0")


def test_unix_socket_is_for_owner_and_group_and_removed_with_its_process(tmp_path):
    bind = f"unix:{tmp_path}/add.sock"
    listener = bound_socket(bind)
    assert stat.S_IMODE((tmp_path / "add.sock").stat().st_mode) == 0o660
    release(listener, bind)
    assert not (tmp_path / "add.sock").exists()


def test_unix_socket_of_a_dead_process_is_replaced(tmp_path):
    bind = f"unix:{tmp_path}/add.sock"
    bound_socket(bind).close()
    release(bound_socket(bind), bind)


def test_unix_socket_in_use_is_not_replaced(tmp_path):
    bind = f"unix:{tmp_path}/add.sock"
    listener = bound_socket(bind)
    with pytest.raises(AddressUnavailable, match="Address already in use"):
        bound_socket(bind)
    release(listener, bind)


def test_unix_socket_does_not_replace_a_file(tmp_path):
    (tmp_path / "add.sock").write_text("precious")
    with pytest.raises(AddressUnavailable, match="the file is not a socket"):
        bound_socket(f"unix:{tmp_path}/add.sock")
    assert (tmp_path / "add.sock").read_text() == "precious"


@pytest.mark.parametrize("bind", ["unix:add.sock", "unix:"])
def test_unix_socket_needs_an_absolute_path(bind):
    with pytest.raises(SettingsInvalid, match="expected unix: and an absolute path"):
        bound_socket(bind)


async def test_requests_are_served_through_a_unix_socket(tmp_path, server):
    configure(tmp_path)
    path = str(tmp_path / "add.sock")
    async with (
        serving(tmp_path, *server, bind=f"unix:{path}") as served,
        httpx2.AsyncClient(transport=httpx2.AsyncHTTPTransport(uds=path), trust_env=False) as client,
    ):
        assert (await client.get("http://localhost/stranger_slow/wait")).json() == {"pid": served.pid}
        served.send(signal.SIGINT)
        assert await served.ended() == 0
    assert not (tmp_path / "add.sock").exists()


async def test_requests_are_served_through_ipv6(tmp_path, client):
    configure(tmp_path)
    async with serving(tmp_path, bind="[::1]:0") as served:
        assert (await client.get(wait(served, 0))).status_code == 200


async def test_operations_listener_serves_only_its_own_paths(tmp_path, client):
    with socket.create_server(("127.0.0.1", 0)) as free:
        own = f"127.0.0.1:{free.getsockname()[1]}"
    configure(tmp_path, operations={"bind": own})
    async with serving(tmp_path) as served:
        assert (await client.get(f"http://{own}/healthz")).status_code == 200
        assert (await client.get(f"http://{own}/stranger_slow/wait")).status_code == 404
        assert (await client.get(wait(served, 0))).status_code == 200


# ---- one process for one file --------------------------------------------------------------------------------------


@pytest.mark.sqlite
async def test_sqlite_file_is_served_by_one_process_only(tmp_path):
    configure(tmp_path)
    async with serving(tmp_path) as served, serving(tmp_path, ready=False) as second:
        assert await second.ended() == 1
        assert second.errors().splitlines() == [
            f"addonkit: process {served.pid} already serves '{tmp_path}/addonkit.db', and an SQLite file allows one "
            "serving process; stop that process, or use PostgreSQL"
        ]


@pytest.mark.sqlite
async def test_sqlite_file_of_a_killed_process_can_be_served_again(tmp_path):
    configure(tmp_path)
    async with serving(tmp_path) as served:
        served.send(signal.SIGKILL)
        await served.ended()
        async with serving(tmp_path) as second:
            assert second.address


# ---- how it ends ---------------------------------------------------------------------------------------------------


async def test_shutdown_is_shown_at_readyz_before_the_listener_closes(tmp_path, server, client):
    configure(tmp_path, server={"drain_s": 60})
    async with serving(tmp_path, *server) as served:
        assert (await client.get(f"{served.url}/readyz")).status_code == 200
        served.send(signal.SIGTERM)
        told = await until(lambda: _answer(client, f"{served.url}/readyz", 503))
        assert told.headers["connection"] == "close"
        served_on = await client.get(wait(served, 0))
        assert (served_on.status_code, served_on.headers["connection"]) == (200, "close")
        # nothing is under way, so that nothing is lost by not waiting
        served.send(signal.SIGTERM)
        assert await served.ended() == 0


async def _answer(client, url, status):
    answer = await client.get(url)
    return answer if answer.status_code == status else None


async def test_shutdown_completes_requests_in_progress(tmp_path, server, client):
    configure(tmp_path)
    async with serving(tmp_path, *server) as served:
        asking = asyncio.create_task(client.get(wait(served, 2)))
        await _under_way(client, served)
        served.send(signal.SIGTERM)
        assert (await asking).status_code == 200
        assert await served.ended() == 0


async def _under_way(client, served):
    # connections are taken in order, so that what was asked for before has begun when this is answered
    assert (await client.get(wait(served, 0.2))).status_code == 200


async def test_shutdown_aborts_requests_that_take_too_long_and_logs_it(tmp_path, server, client):
    configure(tmp_path, server={"drain_s": 0, "stop_s": 1})
    async with serving(tmp_path, *server) as served:
        asking = asyncio.create_task(client.get(wait(served, 20)))
        await _under_way(client, served)
        served.send(signal.SIGTERM)
        assert not await _is_answered(asking)
        assert await served.ended(15) == 1
        assert {"requests.aborted"} <= {line["event"] for line in served.log()}


async def _is_answered(asking):
    try:
        return (await asking).status_code < 500
    except httpx2.TransportError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_shutdown_is_aborted_by_a_second_signal(tmp_path, client, number):
    configure(tmp_path, server={"drain_s": 30})
    async with serving(tmp_path) as served:
        asking = asyncio.create_task(client.get(wait(served, 20)))
        await _under_way(client, served)
        served.send(number)
        await until(lambda: any(line["event"] == "shutdown.started" for line in served.log()))
        served.send(signal.SIGTERM)
        assert not await _is_answered(asking)
        assert await served.ended(10) == 1


async def test_shutdown_by_sigint_does_not_wait_for_readyz(tmp_path, client):
    configure(tmp_path, server={"drain_s": 60})
    async with serving(tmp_path) as served:
        assert (await client.get(wait(served, 0))).status_code == 200
        served.send(signal.SIGINT)
        assert await served.ended(15) == 0


@pytest.fixture
def sighup(request):
    """What the processes that a test starts inherit for SIGHUP, whatever these tests were started with themselves."""
    former = signal.signal(signal.SIGHUP, request.param)
    yield
    signal.signal(signal.SIGHUP, former)


@pytest.mark.parametrize("sighup", [signal.SIG_DFL], indirect=True)
async def test_sighup_without_a_supervisor_is_a_graceful_shutdown(tmp_path, client, sighup):
    configure(tmp_path)
    async with serving(tmp_path) as served:
        asking = asyncio.create_task(client.get(wait(served, 1)))
        await _under_way(client, served)
        served.send(signal.SIGHUP)
        assert (await asking).status_code == 200
        assert await served.ended() == 0


@pytest.mark.parametrize("sighup", [signal.SIG_IGN], indirect=True)
async def test_sighup_is_ignored_by_a_process_started_with_nohup(tmp_path, client, sighup):
    configure(tmp_path)
    async with serving(tmp_path) as served:
        served.send(signal.SIGHUP)
        with pytest.raises(TimeoutError):
            await served.ended(1)
        assert (await client.get(wait(served, 0))).status_code == 200


class Quick:
    """An application that answers at once."""

    async def __call__(self, scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
async def front():
    listener = bound_socket("127.0.0.1:0")
    front = HypercornServer(Quick(), listener)
    front.address = address_of(listener)
    await front.open()
    yield front
    front.close(0)
    await front.abort()


async def test_keep_alive_clients_lose_no_request_at_shutdown(front):
    load = Load(front.address, ("/",))
    async with load.running():
        await load.answered(200)
        front.drain()
        await load.answered(200)
        await load.connected()
        front.close(1.0)
        await front.wait_closed()
    assert (set(load.statuses), load.failures) == ({200}, [])


async def test_connection_is_closed_when_its_client_closes_it(front):
    async with httpx2.AsyncClient(trust_env=False) as client:
        assert (await client.get(f"http://{front.address}/")).status_code == 200
        assert len(front._connections) == 1
    await until(lambda: not front._connections, 2)


async def test_response_before_the_whole_body_has_connection_close(front):
    host, _, port = front.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\nhalf of it")
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    assert b"\r\nconnection: close\r\n" in head
    assert await reader.read() == b"ok"
    writer.close()


async def test_connections_that_are_idle_close_after_the_grace_period(front):
    async with httpx2.AsyncClient(trust_env=False) as client:
        assert (await client.get(f"http://{front.address}/")).status_code == 200
        began = time.monotonic()
        front.close(0.5)
        await asyncio.wait_for(front.wait_closed(), 5)
        assert time.monotonic() - began >= 0.5


async def test_response_to_a_request_whose_body_is_not_read_has_connection_close(front):
    host, _, port = front.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nhalf")
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    writer.close()
    await writer.wait_closed()
    assert b"connection: close" in head.lower()


async def test_shutdown_mode_of_the_first_request_counts():
    shutdown = Shutdown()
    shutdown.request(ShutdownMode.GRACEFUL)
    assert (shutdown.mode, shutdown.aborted.is_set()) == (ShutdownMode.GRACEFUL, False)
    shutdown.request(ShutdownMode.FAST)
    assert (shutdown.mode, shutdown.aborted.is_set()) == (ShutdownMode.GRACEFUL, True)


# ---- many hosts ----------------------------------------------------------------------------------------------------


@pytest.mark.postgresql
async def test_processes_that_start_concurrently_on_an_empty_database_all_serve(tmp_path, client):
    configure(tmp_path, migrated=False)
    async with (
        serving(tmp_path, ready=False) as one,
        serving(tmp_path, ready=False) as two,
        serving(tmp_path, ready=False) as three,
        serving(tmp_path, ready=False) as four,
    ):
        for served in (one, two, three, four):
            await served.ready()
            assert (await client.get(f"{served.url}/readyz")).status_code == 200


def test_operations_bind_that_is_invalid_is_refused(tmp_path):
    write_config(tmp_path, "stranger_notes", more='[operations]\nbind = "nowhere"\n')
    said = run(tmp_path, "serve", "--bind", "127.0.0.1:0")
    assert said.sentence.startswith("[operations] bind is 'nowhere', expected HOST:PORT")
