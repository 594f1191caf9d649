"""The URL of a PostgreSQL database, parsed and validated: role, servers, database. No message contains a password."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from addonkit.errors import SettingsInvalid

EXAMPLE_URL = "postgres://user:password@host/database"
READ_WRITE = "read-write"
TARGETS = ("any", "primary", "read-write", "prefer-standby", "standby", "read-only")
"""Values of ``target_session_attrs``, as libpq defines them."""
NEVER_WRITABLE = ("standby", "read-only")
MAX_PORT = 65535
IN_BRACKETS = re.compile(r"\[([^\[\]]+)\](?::([0-9]+))?")
PLAIN_HOST = re.compile(r"([^\[\]:]+)(?::([0-9]+))?")


class Address(NamedTuple):
    """Where one server listens.

    Attributes:
        host: Name, address, or directory of a socket.
        port: The port; None means the default.
    """

    host: str
    port: int | None = None

    def __str__(self) -> str:
        """The address as in a URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ServerUrl:
    """Role, servers and database of a PostgreSQL URL; ``str()`` returns them without the password.

    Attributes:
        user: The role that logs in.
        name: Name of the database.
        addresses: The servers, in the order of the URL; none if the URL leaves the choice to libpq's defaults.
        target: Which of the servers is used, as ``target_session_attrs``; None if the URL does not say so.
        login_url: The URL without its servers, for a driver that gets them separately.
    """

    user: str
    name: str
    addresses: tuple[Address, ...] = ()
    target: str | None = None
    login_url: str = field(default="", repr=False)

    @property
    def hosts(self) -> str:
        """The servers, separated by commas."""
        return ",".join(map(str, self.addresses)) or "localhost"

    def __str__(self) -> str:
        """The URL without a password."""
        return f"postgres://{self.user}@{self.hosts}/{self.name}"


class UrlInvalid(ValueError):
    """A part of the URL cannot be used; the text says which and does not repeat it."""


def parse_server_url(url: str, key: str = "url") -> ServerUrl:
    """Parse a PostgreSQL URL.

    Several servers without ``target_session_attrs`` mean the one that can be written: an add-on writes.

    Args:
        url: The URL.
        key: Its key in ``[database]``, for the message.

    Raises:
        SettingsInvalid: The URL has no role or no database, or cannot be used; the message does not repeat it.
    """
    remedy = f"use '{EXAMPLE_URL}' and write @ : / ? # % in a password as %40 %3A %2F %3F %23 %25"
    scheme, _, rest = url.partition("://")
    # Python's own parser refuses several servers of which some are in brackets, so that it does not get them.
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    login, at, netloc = authority.rpartition("@")
    login_url = f"{scheme}://{login}{at}{rest.removeprefix(authority)}"
    try:
        parts = urlsplit(login_url)
        options = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
        if "#" in url or "@" in login + parts.path:
            raise ValueError
        addresses = _addresses(netloc, options)
        target = _target(options.get("target_session_attrs"), len(addresses))
    except UrlInvalid as exc:
        raise SettingsInvalid(f"[database] {key} {exc}") from None
    except ValueError:
        raise SettingsInvalid(f"[database] {key} cannot be parsed; {remedy}") from None
    user = unquote(login.partition(":")[0]) or options.get("user", "")
    name = unquote(parts.path.removeprefix("/")) or options.get("dbname", options.get("database", ""))
    if not user or not name:
        missing = "role" if not user else "database"
        raise SettingsInvalid(f"[database] {key} has no {missing}; {remedy}")
    return ServerUrl(user, name, addresses, target, login_url)


def _addresses(netloc: str, options: dict[str, str]) -> tuple[Address, ...]:
    """Return the servers that a URL names: in front of its path, or in its options ``host`` and ``port``."""
    if netloc:
        return tuple(_address(entry, is_quoted=True) for entry in netloc.split(","))
    if not options.get("host"):
        return ()
    found = [_address(entry, is_quoted=False) for entry in options["host"].split(",")]
    ports = [_port(text) for text in options["port"].split(",")] if options.get("port") else []
    if len(ports) not in (0, 1, len(found)):
        raise UrlInvalid(f"has {len(found)} hosts but {len(ports)} ports; name one port, or one for each host")
    if ports:
        found = [Address(one.host, port) for one, port in zip(found, ports * (len(found) // len(ports)), strict=True)]
    return tuple(found)


def _address(entry: str, *, is_quoted: bool) -> Address:
    if not entry:
        raise UrlInvalid("has an empty host beside a comma; name a host there, or remove the comma")
    if not is_quoted and (entry.startswith("/") or _is_ip(entry)):
        return Address(entry)
    bracketed = IN_BRACKETS.fullmatch(entry)
    match = bracketed or PLAIN_HOST.fullmatch(entry)
    if match is None or (bracketed and not _is_ip(bracketed[1])):
        raise ValueError
    host = unquote(match[1]) if is_quoted else match[1]
    return Address(host, None if match[2] is None else _port(match[2]))


def _port(text: str) -> int:
    if not (text.isdecimal() and 0 < int(text) <= MAX_PORT):
        raise UrlInvalid(f"has a port that is not a number from 1 to {MAX_PORT}; correct it, or leave it out")
    return int(text)


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _target(target: str | None, servers: int) -> str | None:
    """Return which of the servers to use.

    Raises:
        UrlInvalid: The value is unknown, or chooses a server that refuses every write.
    """
    if target is None:
        return READ_WRITE if servers > 1 else None
    if target not in TARGETS:
        raise UrlInvalid(f"has an unknown target_session_attrs, expected one of {', '.join(TARGETS)}")
    if target in NEVER_WRITABLE or (target == "prefer-standby" and servers > 1):
        raise UrlInvalid(
            f"has target_session_attrs={target}, which chooses a server that refuses writes; use {READ_WRITE}"
        )
    return target
