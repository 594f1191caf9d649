"""Listening sockets: which addresses are accepted, and Unix sockets in the file system."""

import asyncio
import errno
import socket
import stat
import subprocess
import sys
from contextlib import suppress

import pytest
from addonkit.errors import SettingsInvalid
from addonkit.server.granian_server import GranianServer
from addonkit.server.sockets import AddressUnavailable, address_of, bound_socket, refuse_connections, release

LISTEN = """
import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print(1)
sys.stdin.read()
"""


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
    with pytest.raises(AddressUnavailable) as result:
        bound_socket("127.0.0.1:443")
    assert str(result.value) == (
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


@pytest.mark.parametrize("kind", ["ipv4", "ipv6", "unix"])
def test_refused_connections_do_not_affect_established_ones(tmp_path, kind):
    bind = {"ipv4": "127.0.0.1:0", "ipv6": "[::1]:0", "unix": f"unix:{tmp_path}/a.sock"}[kind]
    with bound_socket(bind) as listener, client_of(listener) as early, client_of(listener) as late:
        early.connect(listener.getsockname())
        early.send(b"request")
        refuse_connections(listener)
        refuse_connections(listener)
        late.setblocking(False)
        refused = (errno.EINPROGRESS, errno.ECONNREFUSED, errno.ENOENT)
        assert late.connect_ex(listener.getsockname()) in refused
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.recv(10) == b"request"
        with suppress(BlockingIOError):
            # The probe for the owner of a Unix socket has closed its connection.
            probe, _ = listener.accept()
            with probe:
                assert probe.recv(10) == b""
        with pytest.raises(OSError, match=r"temporarily unavailable"):
            listener.accept()


def test_unix_socket_that_cannot_be_removed_is_shut_down(tmp_path, monkeypatch):
    with bound_socket(f"unix:{tmp_path}/a.sock") as listener, client_of(listener) as late:
        monkeypatch.setattr("os.getpid", lambda: 0)
        monkeypatch.setattr("os.getppid", lambda: 0)
        refuse_connections(listener)
        assert late.connect_ex(listener.getsockname()) == errno.ECONNREFUSED


def test_unix_socket_of_a_successor_is_not_removed(tmp_path):
    """A successor listens at the same path, after somebody has removed the file."""
    path = tmp_path / "a.sock"
    with bound_socket(f"unix:{path}") as listener:
        path.unlink()
        code = (
            "import socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); print(1); input()"
        )
        with subprocess.Popen(
            [sys.executable, "-uc", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as successor:
            assert successor.stdout.readline() == b"1\n"
            refuse_connections(listener, may_shut_down=False)
            assert path.exists()
            successor.stdin.close()


@pytest.mark.parametrize("requests", [1, 20])
async def test_granian_on_a_unix_socket_ends_and_answers_what_is_established(tmp_path, requests):
    pytest.importorskip("granian", reason="granian is an extra")
    listener = bound_socket(f"unix:{tmp_path}/a.sock")

    async def answer(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    server = GranianServer(answer, listener)
    await server.open()
    connections = [await asyncio.open_unix_connection(tmp_path / "a.sock") for _ in range(requests)]
    server.close(0.5, refuse=True)
    for reader, writer in connections:
        writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 204")
    async with asyncio.timeout(60):
        await server.wait_closed()
    for _, writer in connections:
        writer.close()


def client_of(listener):
    client = socket.socket(listener.family)
    client.settimeout(5)
    return client


def test_unix_socket_of_another_process_is_not_removed(tmp_path):
    bind = f"unix:{tmp_path}/a.sock"
    former = bound_socket(bind)
    refuse_connections(former)
    with bound_socket(bind):
        release(former, bind)
        assert (tmp_path / "a.sock").exists()
