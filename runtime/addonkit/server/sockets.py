"""Sockets to listen on, from what a command line or a configuration says."""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path

from addonkit.errors import SettingsInvalid

BACKLOG = 2048
UNIX = "unix:"
UNIX_MODE = 0o660
LOWEST_FREE_PORT = 1024


class AddressTaken(SettingsInvalid):
    """The address to listen on cannot be had."""


def bound_socket(bind: str, named: str = "--bind") -> socket.socket:
    """A listening socket.

    Args:
        bind: ``HOST:PORT``, where port 0 takes a free one, ``[::1]:8000``, or ``unix:/path``.
        named: Where that was said.

    Raises:
        SettingsInvalid: It is none of these.
        AddressTaken: It cannot be had.
    """
    listener = _unix_socket(bind, named) if bind.startswith(UNIX) else _tcp_socket(bind, named)
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


def inherited_socket(descriptor: int) -> socket.socket:
    """A socket that the process which started this one has bound."""
    listener = socket.socket(fileno=descriptor)
    listener.set_inheritable(False)
    listener.setblocking(False)
    return listener


def address_of(listener: socket.socket) -> str:
    """Where a socket listens, as ``--bind`` takes it."""
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"{UNIX}{name}"
    return f"[{name[0]}]:{name[1]}" if listener.family == socket.AF_INET6 else f"{name[0]}:{name[1]}"


def release(listener: socket.socket, bind: str) -> None:
    """Close what ``bound_socket`` gave for this; a socket in the file system is removed."""
    listener.close()
    if bind.startswith(UNIX):
        with suppress(OSError):
            Path(bind.removeprefix(UNIX)).unlink()


def _tcp_socket(bind: str, named: str) -> socket.socket:
    host, colon, port = bind.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not port.isdecimal() or int(port) > 65535 or (":" in host and not bracketed):
        raise SettingsInvalid(
            f"{named} is '{bind}', expected HOST:PORT such as 127.0.0.1:8000 or [::1]:8000, or unix:/path"
        )
    host = host.strip("[]") or "127.0.0.1"
    listener = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as wrong:
        if listener is not None:
            listener.close()
        raise AddressTaken(f"cannot listen on '{bind}': {_said(wrong)}; {_cure(wrong, int(port), named)}") from None
    return listener


def _cure(wrong: OSError, port: int, named: str) -> str:
    if wrong.errno == errno.EADDRNOTAVAIL or isinstance(wrong, socket.gaierror):
        return f"this machine has no such address; name one of its own with {named}"
    if isinstance(wrong, PermissionError) and 0 < port < LOWEST_FREE_PORT:
        return (
            f"ports below {LOWEST_FREE_PORT} need rights that this user lacks; name a higher one with {named} and let "
            "a proxy forward to it, or grant CAP_NET_BIND_SERVICE"
        )
    return f"stop what is there, or name another with {named}"


def _unix_socket(bind: str, named: str) -> socket.socket:
    path = Path(bind.removeprefix(UNIX))
    if not path.is_absolute():
        raise SettingsInvalid(
            f"{named} is '{bind}', expected unix: and an absolute path such as unix:/run/addonkit.sock"
        )
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        listener.bind(str(path))
        # For its owner and group: a proxy of another user is let in by the group.
        path.chmod(UNIX_MODE)
    except OSError as wrong:
        listener.close()
        raise AddressTaken(
            f"cannot listen on '{bind}': {_said(wrong)}; name a path in a folder of this user's with {named}"
        ) from None
    return listener


def _remove_stale(path: Path) -> None:
    """Remove a socket that nobody listens on any more.

    Raises:
        OSError: Somebody does, or what is there is no socket.
    """
    try:
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise FileExistsError(errno.EEXIST, "something else than a socket is there")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        try:
            caller.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def _said(wrong: OSError) -> str:
    return wrong.strerror or str(wrong)
