"""The format of tokens: parses them strictly, before any key is known.

A token whose parts two parsers could read differently is refused. Nothing here is verified.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

from addonkit.errors import TokenInvalid
from addonkit.protocol.json_object import read_object

MAX_TOKEN = 8192
"""Longest token that is accepted, in characters."""
_LATEST_TIME = 2**53
_ALGORITHMS = ("HS256", "RS256")
_REFUSED_FIELDS = ("crit", "cty", "b64")
"""Header fields that change the meaning of a token: critical extensions, nested tokens, raw payloads."""
_ALPHABET = re.compile("[A-Za-z0-9_-]+")
_LAST_CHARACTERS = ("", None, "AQgw", "AEIMQUYcgkosw048")
"""The last characters of a canonical segment by its length modulo 4: their unused bits are zero. None is refused, and
every character ends a segment without unused bits."""
_MAX_CACHED_HEADER = 256


class ParsedToken(NamedTuple):
    """A token whose format is valid; nothing of it is verified.

    Attributes:
        header: The header's fields.
        payload: The claims. They are shared by the callers that parse the same token: nobody may change them.
        signed: The bytes that the signature is for: header, a dot and payload, as sent.
        signature: The decoded signature.
    """

    header: Mapping[str, Any]
    payload: Mapping[str, Any]
    signed: bytes
    signature: bytes


@lru_cache(16)  # one request reads its token twice
def parse_token(token: str) -> ParsedToken:
    """Return the unverified parts of a token, after checks that no two parsers can read them differently.

    Raises:
        TokenInvalid: It is too long, is not three canonical base64url segments, has ambiguous JSON, or has a field of
            the wrong type.
    """
    if len(token) > MAX_TOKEN:
        raise TokenInvalid(f"the token is longer than {MAX_TOKEN} characters")
    segments = token.split(".", 3)
    if len(segments) != 3:
        raise TokenInvalid("the token does not have three segments")
    # All segments before any JSON: the first fault in this order is the one that is reported.
    for segment in segments:
        _check_segment(segment)
    head, body, end = segments
    try:
        header, fault = _cached_header(head) if len(head) <= _MAX_CACHED_HEADER else _read_header(head)
        payload = read_object(decode_segment(body))
    except ValueError as problem:
        raise TokenInvalid(f"the token cannot be read: {problem}") from None
    if fault is not None:
        raise TokenInvalid(fault)
    check_claims(payload)
    return ParsedToken(
        header, MappingProxyType(payload), token[: len(head) + 1 + len(body)].encode(), decode_segment(end)
    )


def _check_segment(segment: str) -> None:
    """Refuse every encoding but the canonical one: padding, stray bits, other alphabets."""
    last = _LAST_CHARACTERS[len(segment) % 4]
    if last is None or not _ALPHABET.fullmatch(segment) or (last and segment[-1] not in last):
        raise TokenInvalid("the token has a segment that is empty or not canonical base64url")


def decode_segment(segment: str) -> bytes:
    """Decode a canonical segment of a token."""
    return urlsafe_b64decode(segment + "==")  # more padding than needed is ignored


def _read_header(segment: str) -> tuple[Mapping[str, Any], str | None]:
    """Return the fields of a header, and what is wrong with them, which is reported after faults of the payload's form.

    Raises:
        ValueError: The header cannot be read.
    """
    header = read_object(decode_segment(segment))
    return MappingProxyType(header), _header_fault(header)


_cached_header = lru_cache(64)(_read_header)  # hosts write only a few different headers


def _header_fault(header: Mapping[str, Any]) -> str | None:
    if any(name in header for name in _REFUSED_FIELDS):
        return "the token's header has 'crit', 'cty' or 'b64', which the host does not use"
    if header.get("alg") not in _ALGORITHMS:
        return "the token's 'alg' is neither 'HS256' nor 'RS256'"
    if not all(isinstance(header.get(name, ""), str) for name in ("kid", "typ")):
        return "the token's 'kid' and 'typ' must be text"
    return None


def check_claims(payload: Mapping[str, Any]) -> None:
    """Check the types and lengths of the claims of a token.

    Raises:
        TokenInvalid: One is missing or malformed.
    """
    _check_text(payload, "iss", least=1, most=255)
    if "sub" in payload:
        _check_text(payload, "sub", least=0, most=128)
    if not isinstance(payload.get("qsh", ""), str) or not isinstance(payload.get("context", {}), dict):
        raise TokenInvalid("the token's 'qsh' must be text and its 'context' an object")
    if not isinstance(payload.get("jti", ""), str):
        raise TokenInvalid("the token's 'jti' must be text")
    for name in ("iat", "exp", "nbf"):
        # bool is an int to isinstance, and PyJWT takes text and floats
        if name in payload and not (type(payload[name]) is int and 0 <= payload[name] <= _LATEST_TIME):
            raise TokenInvalid(f"the token's '{name}' is not a whole number of seconds")
    if "iat" not in payload or "exp" not in payload:
        raise TokenInvalid("the token lacks 'iat' or 'exp', and both are required")
    audience_of(payload)


def _check_text(payload: Mapping[str, Any], name: str, *, least: int, most: int) -> None:
    """Refuse values that cannot be looked up in a database: other types, lengths, NUL and lone surrogates."""
    value = payload.get(name)
    if not (isinstance(value, str) and least <= len(value) <= most and value.isprintable()):
        raise TokenInvalid(f"the token's '{name}' is not printable text of {least} to {most} characters")


def audience_of(payload: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the claim ``aud``, a string or a list of strings; an empty list is ambiguous and refused."""
    if "aud" not in payload:
        return ()
    found = payload["aud"]
    values = found if isinstance(found, list) else [found]
    if not values or not all(isinstance(value, str) and value for value in values):
        raise TokenInvalid("the token's 'aud' is neither text nor a list of texts")
    return tuple(values)
