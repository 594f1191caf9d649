"""Rules for the URLs in a module. Each function returns the reason why a URL is invalid, or None.

Which fields of a module are URLs is in ``module_types``; ``checks`` builds the error message.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote, urlsplit

MAX_URL = 2000
"""Longest URL in a module, in characters. With the host's token appended, it still passes common proxies."""

# Source: the query parameters that the host appends to each page's URL; a second parameter of that name is ambiguous.
_HOST_PARAMETERS = frozenset({"jwt", "lic", "xdm_e", "xdm_c", "cp", "cv"})
_UNPRINTED = re.compile(r"[^\x21-\x7e]|[\\<>\"^`|]")
_PLACEHOLDER = re.compile(r"\$?\{[A-Za-z0-9_.-]+\}")
_ABSOLUTE = re.compile(r"//|[A-Za-z][A-Za-z0-9+.-]*:")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def fault_of_own(url: object, *, token: bool = False) -> str | None:
    """Return why a value is not a URL below the base URL, as words that follow "has a 'url' that"; None if it is one.

    Args:
        url: The value in the module.
        token: Whether the host fills in ``{jwt}``, as it does for providers' actions.
    """
    if fault := _fault_of_text(url):
        return fault
    text = str(url)
    if is_absolute(text):
        return f"is '{text}', not relative to the base URL; begin it with one '/'"
    segments = path_and_query(text)[0][1:].split("/")
    if "" in segments[:-1] or any(unquote(segment) in (".", "..") for segment in segments):
        return f"is '{text}', whose path has an empty or a dot segment and is never served; write the path out"
    return _fault_of_query(text, token=token)


def fault_of_link(url: object, *, plain: bool = False) -> str | None:
    """Return why a value is neither an https URL nor relative to the base URL; None if it is one of these.

    Args:
        url: The value in the module.
        plain: Whether an http URL is allowed as well, as for a link that a user follows.
    """
    if fault := _fault_of_text(url):
        return fault
    return _fault_of_absolute(str(url), plain=plain) if is_absolute(url) else None


def fault_of_action(url: object) -> str | None:
    """Return why a value is not a URL of a provider's action, relative or absolute; None if it is one.

    Source: the development-tool descriptors of GitHub and GitLab use absolute URLs with ``jwt={jwt}``.
    """
    if isinstance(url, str) and is_absolute(url):
        return _fault_of_text(url) or _fault_of_absolute(url) or _fault_of_query(url, token=True)
    return fault_of_own(url, token=True)


def is_absolute(url: object) -> bool:
    """Return whether a URL begins with a scheme or with ``//``."""
    return isinstance(url, str) and bool(_ABSOLUTE.match(url))


def path_and_query(url: str) -> tuple[str, str]:
    """Return path and query of a relative URL as the add-on is asked for it: with a leading ``/``, without fragment.

    Source: the products resolve ``image/logo.png`` as ``/image/logo.png``, below the base URL, and browsers send no
    fragment.
    """
    path, _, query = url.partition("#")[0].partition("?")
    return path if path.startswith("/") else f"/{path}", query


def _fault_of_text(url: object) -> str | None:
    if not isinstance(url, str) or not url:
        return "is not a URL; use a string such as '/plugin/page'"
    if len(url) > MAX_URL:
        return f"has {len(url)} characters; shorten it to {MAX_URL} at most"
    if found := _UNPRINTED.search(url):
        return f"contains {found[0]!r}, which is not allowed in a URL; percent-encode it"
    if "{" in (rest := _PLACEHOLDER.sub("", url)) or "}" in rest:
        return f"is '{url}', whose braces contain no variable; write variables as '{{issue.key}}'"
    return None


def _fault_of_absolute(url: str, *, plain: bool = False) -> str | None:
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return f"is '{url}', which is not a URL; write it as 'https://host/path'"
    if parts.scheme == "https" and host:
        return None
    if parts.scheme == "http" and host and (plain or host in _LOOPBACK):
        return None
    return f"is '{url}', neither https nor relative to the base URL; begin it with 'https://' or one '/'"


def _fault_of_query(url: str, *, token: bool) -> str | None:
    for name, value in parse_qsl(path_and_query(url)[1], keep_blank_values=True):
        if name in _HOST_PARAMETERS and not (token and name == "jwt" and value == "{jwt}"):
            return f"has '{name}' in its query, which the host adds itself; rename the parameter"
    return None
