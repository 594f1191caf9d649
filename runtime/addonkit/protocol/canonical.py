"""The query hash (``qsh``): the canonical text of a request, and its SHA-256.

Paths and queries are the bytes on the wire as latin-1 text, as ASGI servers provide them. Nothing here reads a token:
the caller knows whether a request needs an exact hash.

Source: the host's own signing tests, 78 signed URLs, decide wherever libraries differ.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from hashlib import sha256
from operator import itemgetter
from urllib.parse import quote, unquote_to_bytes

from addonkit.errors import TokenInvalid

CONTEXT_QSH = "context-qsh"
"""The value of ``qsh`` in a context token; it matches no request."""

_MAX_PARAMETERS = 1000
_MAX_QUERY = 64 * 1024
_CACHED_LENGTH = 128
_FORM_METHODS = frozenset({"POST", "PUT"})
# Source: `url.parse` of Node, with which the npm package atlassian-jwt reads a URL before it hashes it.
_NODE_ESCAPES = re.compile("['{}|^`<>\"]")
_MEANING_CHANGES = re.compile("%(?:2[5Ff3]|3[Ff]|5[Cc]|0[0-9A-Fa-f]|1[0-9A-Fa-f]|7[Ff])")
"""Escapes of ``% / # ? \\`` and control characters; if they were decoded, the path would be a different one."""


def canonical_request(method: str, raw_path: str, raw_query: str = "", base_path: str = "") -> str:
    """Return the text that is hashed: ``METHOD&/path&name=value&…``.

    Args:
        method: In any case.
        raw_path: As sent, with the base path.
        raw_query: As sent, without ``?``; the parameter ``jwt`` is ignored.
        base_path: Path of the base URL that the hash is relative to: ``""`` or ``"/wiki"``.

    Raises:
        TokenInvalid: The query is too long, has over 1000 parameters, or is not UTF-8.
    """
    return _join(method, _relative(raw_path, base_path), _canonical_query(raw_query))


def query_hash(method: str, raw_path: str, raw_query: str = "", base_path: str = "") -> str:
    """Return the request's hash in lower-case hexadecimal, for signing; arguments as for `canonical_request`."""
    return _digest(canonical_request(method, raw_path, raw_query, base_path))


def query_matches(
    claimed: str, method: str, raw_path: str, raw_query: str = "", base_path: str = "", form: str = ""
) -> bool:
    """Return whether a token's ``qsh`` is the hash of this request, compared in constant time.

    Signers do not canonicalize every request in the same way, so a mismatch tries other spellings: the decoded path
    (unless that changes its meaning), the path with the escapes that Node adds, parameters sorted by decoded name, and
    a form's fields for an empty query.

    Args:
        claimed: The verified token's ``qsh``.
        method: As for `canonical_request`, like the three that follow.
        raw_path: As sent.
        raw_query: As sent.
        base_path: Path of the add-on's base URL.
        form: Body of a form-encoded POST or PUT as latin-1 text; empty for any other body.

    Raises:
        TokenInvalid: As for `canonical_request`, also for the form.
    """
    expected = claimed.encode("utf-8", "surrogatepass")
    path = _relative(raw_path, base_path)
    documented = _join(method, path, _canonical_query(raw_query))
    if hmac.compare_digest(expected, _digest(documented).encode()):
        return True
    spellings = _other_spellings(method, path, raw_query, form)
    return any(hmac.compare_digest(expected, _digest(spelling).encode()) for spelling in spellings)


def query_fields(raw_query: str) -> list[tuple[str, str]]:
    """Return the decoded names and values of a query or form, in their order, without the parameter ``jwt``.

    The parts are those that the hash was computed from: the fields of a verified query are what was signed.

    Args:
        raw_query: As for `canonical_request`.

    Raises:
        TokenInvalid: It is not UTF-8.
    """
    return [(name, value) for _, _, name, value in _fields(raw_query)]


def _other_spellings(method: str, path: str, raw_query: str, form: str) -> Iterator[str]:
    """Yield all texts that the host may have hashed for one request in place of the documented one."""
    sources = [raw_query]
    if form and not _canonical_query(raw_query) and method.upper() in _FORM_METHODS:
        sources.append(form)
    for spelled in dict.fromkeys((path, _decoded_path(path), _NODE_ESCAPES.sub(_escape, path))):
        for source in sources:
            yield _join(method, spelled, _canonical_query(source))
            yield _join(method, spelled, _canonical_query(source, by_decoded_name=True))


def _escape(found: re.Match[str]) -> str:
    return f"%{ord(found[0]):02X}"


def _join(method: str, path: str, query: str) -> str:
    if len(path) > 1:
        path = path.removesuffix("/")
    return f"{method.upper()}&{path.replace('&', '%26')}&{query}"


def _digest(canonical: str) -> str:
    return sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


def _relative(raw_path: str, base_path: str) -> str:
    """Return the path below the base path, cut at the end of a segment only: ``/app`` is not a prefix of ``/apple``."""
    base = base_path.rstrip("/")
    if base and (raw_path == base or raw_path.startswith(base + "/")):
        raw_path = raw_path[len(base) :]
    if not raw_path.isascii():
        raw_path = _as_utf8(raw_path)
    return raw_path if raw_path.startswith("/") else f"/{raw_path}"


def _decoded_path(path: str) -> str:
    """Return the path with its escapes decoded; unchanged if decoding would make it a different path."""
    if "%" not in path or _MEANING_CHANGES.search(path):
        return path
    try:
        decoded = unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        return path
    return path if any(part == "." or ".." in part for part in decoded.split("/")) else decoded


def _canonical_query(raw: str, *, by_decoded_name: bool = False) -> str:
    """Return the query with names sorted by their encoded form, and the sorted values of each joined by commas."""
    if not raw:
        return ""
    if len(raw) > _MAX_QUERY or raw.count("&") >= _MAX_PARAMETERS:
        raise TokenInvalid(f"the query has over {_MAX_PARAMETERS} parameters or {_MAX_QUERY} characters; send fewer")
    groups: dict[str, list[_Field]] = {}
    for field in _fields(raw):
        groups.setdefault(field[0], []).append(field)
    names = sorted(groups, key=(lambda name: groups[name][0][2]) if by_decoded_name else None)
    return "&".join([f"{name}={_joined(groups[name])}" for name in names])


def _joined(fields: list[_Field]) -> str:
    if len(fields) == 1:
        return fields[0][1]
    return ",".join(field[1] for field in sorted(fields, key=itemgetter(3, 1)))


_Field = tuple[str, str, str, str]
"""A name and a value of a query: both as they are hashed, then both decoded."""


@lru_cache(16)  # one request reads its query for the hash, and for the facts that it proves
def _fields(raw: str) -> tuple[_Field, ...]:
    """Return the fields of a query or form in their order, without the parameter ``jwt``."""
    fields = []
    for pair in raw.split("&"):
        if pair:
            raw_name, _, raw_value = pair.partition("=")
            name, hashed_name = _part(raw_name)
            if name != "jwt":
                value, hashed_value = _part(raw_value)
                fields.append((hashed_name, hashed_value, name, value))
    return tuple(fields)


def _part(raw: str) -> tuple[str, str]:
    """Return a name or value in two forms: decoded, and as it is hashed. Results for short ones are cached."""
    return _cached_part(raw) if len(raw) <= _CACHED_LENGTH else _read_part(raw)


def _read_part(raw: str) -> tuple[str, str]:
    text = _as_utf8(raw.replace("+", " "), unquote_to_bytes)
    return text, quote(text, safe="~", errors="surrogatepass")


_cached_part = lru_cache(maxsize=4096)(_read_part)


def _as_utf8(raw: str, unescape: Callable[[bytes], bytes] = bytes) -> str:
    """Decode bytes on the wire; halves of surrogate pairs are kept, because the host may have signed text with one."""
    try:
        return unescape(raw.encode("latin-1")).decode("utf-8", "surrogatepass")
    except UnicodeError:
        raise TokenInvalid("the request's path or query is not UTF-8; send percent-encoded UTF-8") from None
