"""Canonical URLs, and the check whether a URL can be a site of the host.

URLs are parsed by one strict pattern instead of `urllib`, which drops tabs and guesses: a URL that two parsers could
read differently is refused. No name is resolved.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

_MAX_URL = 2048
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_URL = re.compile(
    rf"(?P<scheme>[Hh][Tt][Tt][Pp][Ss]?)://(?P<host>{_LABEL}(?:\.{_LABEL})*|\[::1\])(?::(?P<port>[0-9]{{1,5}}))?"
    r"(?P<path>(?:/[!$-;=@-Z_a-z~]*)?)(?P<rest>(?:[?#][!-~]*)?)"
)
_BASE_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})


class _Url(NamedTuple):
    scheme: str
    host: str
    port: int | None
    path: str
    rest: str

    @property
    def origin(self) -> str:
        """Scheme and host, and the port unless it is the scheme's default."""
        return f"{self.scheme}://{self.host}" + (f":{self.port}" if self.port else "")


def origin(url: str) -> str:
    """Return the URL's origin in lower case, such as ``https://x.atlassian.net``, without a default port.

    Raises:
        ValueError: It is not an http or https URL.
    """
    return _parse(url).origin


def is_loopback(url: str) -> bool:
    """Return whether the URL names this machine: ``localhost``, ``127.0.0.1`` or ``[::1]``.

    Raises:
        ValueError: It is not an http or https URL.
    """
    return _parse(url).host in _LOOPBACK


def path_of(url: str) -> str:
    """Return the URL's path without trailing slashes: ``""`` or ``"/wiki"``.

    Raises:
        ValueError: It is not an http or https URL.
    """
    return _parse(url).path.rstrip("/")


def canonical_base_url(url: str) -> str:
    """Return the canonical base URL: scheme and host in lower case, no default port, no trailing slash.

    Raises:
        ValueError: It is not an http or https URL, or has user information, a query, a fragment, or a path with other
            characters than those of plain names.
    """
    found = _parse(url)
    path = found.path.rstrip("/")
    if found.rest:
        raise ValueError(f"the base URL {_shown(url)} has a query or a fragment; remove it")
    if not _BASE_PATH.fullmatch(path) or any(part in {".", ".."} for part in path.split("/")):
        raise ValueError(f"the base URL {_shown(url)} has a path with special characters; use letters and digits")
    return found.origin + path


def check_host_url(url: str, domains: Sequence[str]) -> str:
    """Check that a base URL is a site of the host, and return its canonical form.

    Args:
        url: As sent by an installation.
        domains: Names such as ``example.com``, or ``*.atlassian.net`` for all subdomains; ``127.0.0.1`` and
            ``localhost`` also allow http and any port.

    Raises:
        ValueError: It is in another domain, or not https on port 443.
    """
    base_url = canonical_base_url(url)
    found = _parse(base_url)
    if not any(_is_within(found.host, domain.lower()) for domain in domains):
        raise ValueError(f"the site's base URL {_shown(url)} is not in a domain of '[host] domains'")
    if found.host not in _LOOPBACK and (found.scheme != "https" or found.port):
        raise ValueError(f"the site's base URL {_shown(url)} is not https on port 443")
    return base_url


def _is_within(host: str, domain: str) -> bool:
    if domain.startswith("*."):
        return host.endswith(domain[1:])  # a host does not begin with a dot
    return host == domain


def _parse(url: str) -> _Url:
    found = _URL.fullmatch(url) if len(url) <= _MAX_URL else None
    if found is None:
        raise ValueError(f"{_shown(url)} is not a plain http or https URL without user information")
    scheme = found["scheme"].lower()
    port = int(found["port"]) if found["port"] else None
    if port is not None and not 0 < port < 65536:
        raise ValueError(f"{_shown(url)} has a port outside of 1 to 65535")
    default = port == _DEFAULT_PORTS[scheme]
    return _Url(scheme, found["host"].lower(), None if default else port, found["path"], found["rest"])


def _shown(url: str) -> str:
    """Return the URL for a message, unless it may contain a password."""
    return "a URL with '@'" if "@" in url else repr(url[:200])
