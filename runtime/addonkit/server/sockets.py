"""Listening sockets: binds an address from the command line or the configuration."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
import struct
import sys
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from addonkit.errors import SettingsInvalid

BACKLOG = 2048
UNIX = "unix:"
UNIX_MODE = 0o660
MIN_UNPRIVILEGED_PORT = 1024
FOLDER_LOCK_S, FOLDER_LOCK_POLL_S = 5.0, 0.01
SO_ATTACH_FILTER, SO_PEERCRED = 26, 17
PEER_BYTES = 12
"""Size of the kernel's ``struct ucred``, which begins with the id of the process that listens."""
# Classic BPF on the TCP header: drop segments with SYN and without ACK, which begin a connection; pass all others.
DROP_SYN = (
    (0x30, 0, 0, 13),  # load the byte with the flags
    (0x54, 0, 0, 0x12),  # keep SYN and ACK
    (0x15, 0, 1, 0x02),  # SYN alone?
    (0x06, 0, 0, 0),
    (0x06, 0, 0, 0xFFFFFFFF),
)


class AddressUnavailable(SettingsInvalid):
    """The address cannot be bound."""


def bound_socket(bind: str, option: str = "--bind") -> socket.socket:
    """Bind a listening socket.

    Args:
        bind: ``HOST:PORT``, ``[::1]:8000`` or ``unix:/path``; port 0 selects a free port.
        option: The option or setting that holds it, for messages.

    Raises:
        SettingsInvalid: The address has another form.
        AddressUnavailable: The address cannot be bound.
    """
    listener = _unix_socket(bind, option) if bind.startswith(UNIX) else _tcp_socket(bind, option)
    listener.setblocking(False)
    return listener


def inherited_socket(descriptor: int) -> socket.socket:
    """Take over a listening socket that the supervisor has bound."""
    listener = socket.socket(fileno=descriptor)
    listener.set_inheritable(False)
    listener.setblocking(False)
    return listener


def address_of(listener: socket.socket) -> str:
    """Return the address of a socket in the form of ``--bind``."""
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"{UNIX}{name}"
    return f"[{name[0]}]:{name[1]}" if listener.family == socket.AF_INET6 else f"{name[0]}:{name[1]}"


def refuse_connections(listener: socket.socket, *, may_shut_down: bool = True) -> None:
    """Refuse new connections on a socket, in all processes that share it; established ones can still be accepted.

    Closing a listener resets the connections that the kernel has established and nobody has accepted yet, together with
    the requests that they carry. The file of a Unix socket is removed, or else the socket is shut down: connecting to
    it fails at once. On TCP, a filter in the kernel drops the first segment of each new connection; the client repeats
    it after a second, and is refused once the listener is closed. Systems without such filters keep accepting until
    then.

    Args:
        listener: The socket.
        may_shut_down: Whether a Unix socket may be shut down. After that, accepting fails at once instead of waiting,
            and granian would do nothing else.
    """
    with suppress(OSError):
        if listener.family == socket.AF_UNIX:
            if not _remove_own_file(listener) and may_shut_down:
                listener.shutdown(socket.SHUT_RDWR)
        elif sys.platform == "linux":
            code = array("B", b"".join(struct.pack("=HBBI", *one) for one in DROP_SYN))
            address, _ = code.buffer_info()
            listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HP", len(DROP_SYN), address))


def _remove_own_file(listener: socket.socket) -> bool:
    """Remove the file of a Unix socket if this process or its supervisor listens there; return whether it is gone."""
    path = listener.getsockname()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
            caller.connect(path)
            [owner] = struct.unpack_from("=i", caller.getsockopt(socket.SOL_SOCKET, SO_PEERCRED, PEER_BYTES))
        if owner in (os.getpid(), os.getppid()):
            Path(path).unlink()
            return True
    except FileNotFoundError:
        return True
    except OSError:
        pass
    return False


def copies_of(listener: socket.socket) -> list[int]:
    """Give all other descriptors that this process has of a socket.

    Raises:
        OSError: The system does not list the descriptors of a process.
    """
    inode, found = os.fstat(listener.fileno()).st_ino, []
    for descriptor in (int(entry.name) for entry in list(Path("/proc/self/fd").iterdir())):
        # The descriptor of the list itself is closed by now.
        with suppress(OSError):
            status = os.fstat(descriptor)
            if status.st_ino == inode and stat.S_ISSOCK(status.st_mode) and descriptor != listener.fileno():
                found.append(descriptor)
    return found


def release(listener: socket.socket, bind: str) -> None:
    """Close a socket of ``bound_socket``, and remove its file if it is a Unix socket that nobody else has bound."""
    listener.close()
    if bind.startswith(UNIX):
        path = Path(bind.removeprefix(UNIX))
        with suppress(OSError), _folder_locked(path.parent):
            _remove_stale(path)


def _tcp_socket(bind: str, option: str) -> socket.socket:
    host, colon, port = bind.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not port.isdecimal() or int(port) > 65535 or (":" in host and not bracketed):
        raise SettingsInvalid(
            f"{option} is '{bind}', expected HOST:PORT such as 127.0.0.1:8000 or [::1]:8000, or unix:/path"
        )
    host = host.strip("[]") or "127.0.0.1"
    listener = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        if listener is not None:
            listener.close()
        raise AddressUnavailable(
            f"cannot listen on '{bind}': {_reason(error)}; {_remedy(error, int(port), option)}"
        ) from None
    return listener


def _remedy(error: OSError, port: int, option: str) -> str:
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return f"this machine has no such address; set {option} to one of its own"
    if isinstance(error, PermissionError) and 0 < port < MIN_UNPRIVILEGED_PORT:
        return (
            f"ports below {MIN_UNPRIVILEGED_PORT} need a privilege that this user lacks; set {option} to a higher port "
            "and let a proxy forward to it, or grant CAP_NET_BIND_SERVICE"
        )
    return f"stop the process that uses it, or set {option} to another address"


def _unix_socket(bind: str, option: str) -> socket.socket:
    path = Path(bind.removeprefix(UNIX))
    if not path.is_absolute():
        raise SettingsInvalid(
            f"{option} is '{bind}', expected unix: and an absolute path such as unix:/run/addonkit.sock"
        )
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _folder_locked(path.parent):
            _remove_stale(path)
            listener.bind(str(path))
            # A proxy that runs as another user connects through the group.
            path.chmod(UNIX_MODE)
            listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise AddressUnavailable(
            f"cannot listen on '{bind}': {_reason(error)}; set {option} to a path in a folder that "
            "this user can write to"
        ) from None
    return listener


@contextmanager
def _folder_locked(folder: Path) -> Iterator[None]:
    """Hold a lock on the folder of a Unix socket, between the search for a listener and the start of another one.

    A socket that is bound and does not listen yet looks like that of a killed process. Anybody who can read the folder
    can hold the lock, so that after a while this goes on without it; so it does if this user cannot read the folder.
    """
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield
        return
    try:
        end = time.monotonic() + FOLDER_LOCK_S
        while not _try_lock(handle) and time.monotonic() < end:
            time.sleep(FOLDER_LOCK_POLL_S)
        yield
    finally:
        os.close(handle)


def _try_lock(handle: int) -> bool:
    """Lock a folder; return False if another process has locked it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks
    return True


def _remove_stale(path: Path) -> None:
    """Remove a Unix socket on which no process listens.

    Raises:
        OSError: A process listens on it, or the path is not a socket.
    """
    try:
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise FileExistsError(errno.EEXIST, "the file is not a socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        try:
            caller.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
