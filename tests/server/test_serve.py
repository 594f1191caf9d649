"""``addonkit serve`` as one process: listeners, one process per SQLite file, and shutdown."""

import asyncio
import os
import signal
import socket

import httpx2
import pytest

from tests.distributions.third_party import installed, run, write_config
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


async def test_shutdown_is_shown_at_readyz_before_the_listener_closes(tmp_path, server, client):
    configure(tmp_path, server={"drain_s": 60})
    async with serving(tmp_path, *server) as served:
        assert (await client.get(f"{served.url}/readyz")).status_code == 200
        served.send(signal.SIGTERM)
        response = await until(lambda: _answer(client, f"{served.url}/readyz", 503))
        assert response.headers["connection"] == "close"
        served_on = await client.get(wait(served, 0))
        assert (served_on.status_code, served_on.headers["connection"]) == (200, "close")
        # no request is in progress, so nothing is lost by not waiting
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
    # connections are accepted in order: earlier requests have begun when this one is answered
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
    """Set the handling of SIGHUP that processes started by a test inherit, whatever this process inherited itself."""
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
    result = run(tmp_path, "serve", "--bind", "127.0.0.1:0")
    assert result.sentence.startswith("[operations] bind is 'nowhere', expected HOST:PORT")


CHOICES = {
    "neither": (None, (), "hypercorn"),
    "the setting": ("granian", (), "granian"),
    "the option": (None, ("--server", "granian"), "granian"),
    "the option in place of the setting": ("granian", ("--server", "hypercorn"), "hypercorn"),
    "the environment": (None, ("ADDONKIT_SERVER__SERVER",), "granian"),
}


@pytest.mark.parametrize(("setting", "options", "expected"), CHOICES.values(), ids=CHOICES.keys())
async def test_server_is_chosen_by_the_option_or_the_setting_and_never_by_what_is_installed(
    tmp_path, setting, options, expected
):
    pytest.importorskip("granian", reason="granian is an extra")
    variables = {name: "granian" for name in options if name.startswith("ADDONKIT_")}
    configure(tmp_path, server={"drain_s": 0} | ({"server": setting} if setting else {}))
    async with serving(tmp_path, *(name for name in options if name not in variables), **variables) as served:
        host, _, port = served.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        status = await reader.readline()
        writer.close()
    # hypercorn sends no reason phrase.
    assert status == (b"HTTP/1.1 200 OK\r\n" if expected == "granian" else b"HTTP/1.1 200 \r\n")


@pytest.mark.parametrize("where", ["option", "setting"])
def test_server_that_is_not_installed_is_refused(tmp_path, where):
    configure(tmp_path, server={"server": "granian" if where == "setting" else "hypercorn"})
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(
        "import importlib.util\nfind = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'granian' else find(name, *rest)\n"
    )
    done = run(
        tmp_path,
        *("serve", "--bind", "127.0.0.1:0", *(["--server", "granian"] if where == "option" else [])),
        PYTHONPATH=os.pathsep.join([str(hidden), str(installed("stranger-slow"))]),
    )
    assert done.code == 1
    assert "[server] server is 'granian', which is not installed; install 'addonkit[granian]'" in done.err
