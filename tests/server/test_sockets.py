"""Listening sockets: which addresses are accepted, and Unix sockets in the file system."""

import errno
import socket
import stat

import pytest
from addonkit.errors import SettingsInvalid
from addonkit.server.sockets import AddressUnavailable, address_of, bound_socket, refuse_connections, release


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
        assert late.connect_ex(listener.getsockname()) in (errno.EINPROGRESS, errno.ECONNREFUSED)
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.recv(10) == b"request"
        with pytest.raises(OSError, match=r"temporarily unavailable|Invalid argument"):
            listener.accept()


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
