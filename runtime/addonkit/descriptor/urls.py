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
    if not text.startswith("/") or text.startswith("//"):
        return f"is '{text}', not relative to the base URL; begin it with one '/'"
    path = re.split(r"[?#]", text, maxsplit=1)[0]
    segments = path[1:].split("/")
    if "" in segments[:-1] or any(unquote(segment) in (".", "..") for segment in segments):
        return f"is '{text}', whose path has an empty or a dot segment and is never served; write the path out"
    return _fault_of_query(text, token=token)


def fault_of_link(url: object) -> str | None:
    """Return why a value is neither an https URL nor relative to the base URL; None if it is one of these."""
    if fault := _fault_of_text(url):
        return fault
    text = str(url)
    if text.startswith("/") and not text.startswith("//"):
        return None
    return _fault_of_absolute(text)


def fault_of_action(url: object) -> str | None:
    """Return why a value is not a URL of a provider's action, relative or absolute; None if it is one.

    Source: the development-tool descriptors of GitHub and GitLab use absolute URLs with ``jwt={jwt}``.
    """
    if isinstance(url, str) and not url.startswith("/"):
        return _fault_of_text(url) or _fault_of_absolute(url) or _fault_of_query(url, token=True)
    return fault_of_own(url, token=True)


def is_absolute(url: object) -> bool:
    """Return whether a URL begins with a scheme or with ``//``."""
    return isinstance(url, str) and bool(_ABSOLUTE.match(url))


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


def _fault_of_absolute(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return f"is '{url}', which is not a URL; write it as 'https://host/path'"
    if parts.scheme == "https" and host:
        return None
    if parts.scheme == "http" and host in _LOOPBACK:
        return None
    return f"is '{url}', neither https nor relative to the base URL; begin it with 'https://' or one '/'"


def _fault_of_query(url: str, *, token: bool) -> str | None:
    if "#" in url:
        return f"is '{url}', whose fragment never reaches a server; remove what follows '#'"
    for name, value in parse_qsl(url.partition("?")[2], keep_blank_values=True):
        if name in _HOST_PARAMETERS and not (token and name == "jwt" and value == "{jwt}"):
            return f"has '{name}' in its query, which the host adds itself; rename the parameter"
    return None
