"""Headers of HTTP/1.1 responses as h11 validates them; those that many responses have are validated once."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from h11._headers import Headers, normalize_and_validate
from hypercorn.utils import build_and_validate_headers

CONSTANT = frozenset(
    {b"cache-control", b"content-security-policy", b"content-type", b"etag", b"permissions-policy", b"referrer-policy"}
    | {b"strict-transport-security", b"vary", b"x-content-type-options"}
)
"""Headers with few values. h11 compares none of them with another header of the same response."""
MAX_KEPT_BYTES = 1024
"""Bytes of the longest value that is kept."""


def validated(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Return headers as hypercorn and h11 validate them, in their order.

    Args:
        headers: Names and values, as the application has sent them; a tuple of bytes is one that it sends again.

    Raises:
        h11.LocalProtocolError: A name or a value has characters that it may not have, or lengths contradict each other.
        ValueError: A name is that of a pseudo-header of HTTP/2.
    """
    if type(headers) is tuple:
        try:
            return _kept_tuple(headers)
        except TypeError:
            pass  # a value that can be changed
    sent = list(headers)
    kept = [_kept(name, value) if name in CONSTANT and _may_be_kept(value) else None for name, value in sent]
    # In one call, because h11 compares lengths and encodings with each other.
    others = _validated([header for header, found in zip(sent, kept, strict=True) if found is None])
    if len(others) != kept.count(None):
        return Headers(_validated(sent))  # h11 leaves out a length that is stated twice
    rest = iter(others)
    return Headers([found or next(rest) for found in kept])


@lru_cache(64)
def _kept_tuple(headers: tuple[tuple[bytes, bytes], ...]) -> Headers:
    return validated(list(headers))


def _may_be_kept(value: bytes) -> bool:
    return type(value) is bytes and len(value) <= MAX_KEPT_BYTES


def _validated(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes, bytes]]:
    return normalize_and_validate(build_and_validate_headers(headers))._full_items  # noqa: SLF001


@lru_cache(1024)
def _kept(name: bytes, value: bytes) -> tuple[bytes, bytes, bytes]:
    (header,) = _validated([(name, value)])
    return header


def with_header(headers: Headers, name: bytes, value: bytes) -> Headers:
    """Return validated headers with another one, which is valid.

    Args:
        headers: The headers.
        name: In lower case.
        value: Its value.
    """
    return Headers([*headers._full_items, (name, name, value)])  # noqa: SLF001
