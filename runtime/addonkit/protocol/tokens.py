"""JSON Web Tokens between host and add-on: inspects, verifies and signs them.

The caller chooses algorithm, key and audience, never the token. Other layers compare the query hash and decide which
token a route accepts.
"""

from __future__ import annotations

import re
import time
from base64 import urlsafe_b64encode
from collections.abc import Collection, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import RSAAlgorithm

from addonkit.errors import SignatureInvalid, TokenInvalid
from addonkit.protocol.keys import HMAC, Algorithm, usable_key, usable_secret
from addonkit.protocol.token_format import ParsedToken, audience_of, parse_token
from addonkit.text import in_words

_KEY_ID = re.compile("[A-Za-z0-9._/-]{1,256}")
_VERIFIERS: Mapping[Algorithm, Any] = {"HS256": HMAC, "RS256": RSAAlgorithm(RSAAlgorithm.SHA256)}
"""PyJWT's algorithms. Its ``decode`` would parse again, and less strictly, what `parse_token` has parsed."""
_ANY_KEY = bytes(32)


class Peek(NamedTuple):
    """The unverified header and issuer of a token. Use them only to find the key."""

    issuer: str
    algorithm: str
    key_id: str | None
    kind: str = "JWT"
    """The header's ``typ``."""


class Claims(NamedTuple):
    """The verified claims of a token.

    Attributes:
        issuer: The client key, in tokens of the host.
        subject: The user's account id; None for an anonymous visitor or without a user.
        audience: The recipients; empty if the token names none.
        issued_at: Unix time in seconds.
        expires_at: Unix time in seconds.
        qsh: Hash of the request that it is for, or ``context-qsh``.
        context: The objects that the user views, as signed.
        key_id: The header's ``kid``; None without one.
    """

    issuer: str
    subject: str | None
    audience: tuple[str, ...]
    issued_at: int
    expires_at: int
    qsh: str | None
    context: Mapping[str, Any]
    key_id: str | None = None


def peek(token: str) -> Peek:
    """Return the unverified header and issuer of a token, after strict checks of its format.

    Raises:
        TokenInvalid: It is longer than 8 KB, is not three canonical base64url segments, has ambiguous JSON, or has a
            claim of the wrong type.
    """
    header, payload, _, _ = parse_token(token)
    return Peek(payload["iss"], header["alg"], header.get("kid"), header.get("typ", "JWT"))


def verify(
    token: str,
    key: bytes | str | RSAPublicKey,
    algorithm: Algorithm,
    *,
    issuer: str,
    audiences: Collection[str],
    audience_required: bool = False,
    now: float | None = None,
    leeway_s: float = 30,
    max_lifetime_s: int = 3600,
    grace_s: int = 0,
    kind: str = "JWT",
) -> Claims:
    """Verify a token's signature, issuer, audience and times, and return its claims.

    Args:
        token: As sent.
        key: The secret's bytes for HS256; an RSA public key or its PEM text for RS256.
        algorithm: The only algorithm that is accepted.
        issuer: The issuer that owns the key.
        audiences: The add-on's names; a token with any other audience is refused.
        audience_required: Whether a token without audience is refused.
        now: Unix time in seconds; the clock's by default.
        leeway_s: Tolerated difference between the clocks.
        max_lifetime_s: Longest time from ``iat`` to ``exp``.
        grace_s: Time for which an expired token is still accepted, to renew sessions.
        kind: The header's ``typ``.

    Raises:
        SignatureInvalid: It is not signed with this key.
        TokenInvalid: Any other check fails.
    """
    parsed = parse_token(token)
    header, claims = parsed.header, parsed.payload
    _check_signature(parsed, key, algorithm, kind)
    if claims["iss"] != issuer:
        raise TokenInvalid("the token's 'iss' is not the one whose key it was verified with")
    check_times(claims, time.time() if now is None else now, leeway_s, max_lifetime_s, grace_s)
    audience = audience_of(claims)
    _check_audience(audience, audiences, required=audience_required)
    return Claims(
        issuer=issuer,
        subject=claims.get("sub") or None,
        audience=audience,
        issued_at=claims["iat"],
        expires_at=claims["exp"],
        qsh=claims.get("qsh"),
        context=MappingProxyType(claims.get("context", {})),
        key_id=header.get("kid"),
    )


def _check_signature(token: ParsedToken, key: bytes | str | RSAPublicKey, algorithm: Algorithm, kind: str) -> None:
    """Check a token's algorithm, kind and signature."""
    header = token.header
    if header["alg"] != algorithm or header.get("typ", "JWT").upper() != kind.upper():
        found = f"is signed with '{header['alg']}' and " if header["alg"] != algorithm else ""
        raise TokenInvalid(
            f"the token {found}is not of the kind that is expected here, '{kind}' signed with '{algorithm}'"
        )
    try:
        is_signed = _VERIFIERS[algorithm].verify(token.signed, usable_key(key, algorithm), token.signature)
    except jwt.PyJWTError as problem:
        raise TokenInvalid(f"the token does not verify with the issuer's key ({type(problem).__name__})") from None
    if not is_signed:
        # From None, because the token may be checked within the handler of another error, which must not be shown.
        raise SignatureInvalid("the token is not signed with the issuer's key") from None


def check_unverified(
    token: str,
    *,
    audiences: Collection[str],
    now: float,
    leeway_s: float,
    max_lifetime_s: int = 3600,
) -> str | None:
    """Check the times and the audience of a token before its key is looked for; return its unverified query hash.

    A token that fails would be refused with any key. One that passes may still be forged: call `verify` for it.

    Raises:
        TokenInvalid: It is expired or dated in the future, or names no audience or another one.
    """
    payload = parse_token(token).payload
    check_times(payload, now, leeway_s, max_lifetime_s, 0)
    names = {_without_slash(name) for name in audiences}
    found = {_without_slash(value) for value in audience_of(payload)}
    if not found or not found <= names:
        raise TokenInvalid(
            f"the token's 'aud' is not {' or '.join(repr(name) for name in sorted(names))}, and its signature was not "
            "checked; check the add-on's base URL",
            kind="audience",
        )
    return payload.get("qsh")


def sign(claims: Mapping[str, Any], secret: bytes, *, header: Mapping[str, str] | None = None) -> str:
    """Sign claims with HS256 and return the token.

    Args:
        claims: JSON values.
        secret: At least 32 bytes.
        header: Further header fields besides ``alg``; ``typ`` is ``JWT`` by default.

    Raises:
        TokenInvalid: The secret is too short or is a public key.
    """
    try:
        key = usable_secret(secret)
        head = header_segment(tuple((header or {}).items()))
        signed = head + b"." + base64url(orjson.dumps(claims, option=orjson.OPT_PASSTHROUGH_DATETIME))
    except jwt.PyJWTError as problem:
        raise TokenInvalid(f"the secret cannot sign a token ({type(problem).__name__})") from None
    except TypeError:
        # What orjson cannot write: half of a surrogate pair, a number beyond 64 bits.
        return jwt.encode(dict(claims), usable_secret(secret), algorithm="HS256", headers=dict(header or {}))
    return (signed + b"." + base64url(HMAC.sign(signed, key))).decode()


@lru_cache(64)
def header_segment(fields: tuple[tuple[str, str], ...]) -> bytes:
    """Return the first segment of a token as PyJWT writes it, from the names and values of its fields besides ``alg``.

    The fields are the same in nearly all tokens.
    """
    return jwt.encode({}, _ANY_KEY, algorithm="HS256", headers=dict(fields)).partition(".")[0].encode()


def base64url(data: bytes) -> bytes:
    """Encode bytes as tokens have them: in the alphabet for URLs, without padding."""
    return urlsafe_b64encode(data).rstrip(b"=")


def check_key_id(kid: str | None) -> str:
    """Return a key id, after checking that it is safe to append to the URL of a key host.

    Source: ids on the host's key servers may contain ``/``.

    Raises:
        TokenInvalid: It is missing, or could change the URL's path.
    """
    if kid is None:
        raise TokenInvalid("the token has no 'kid', but an install token must have one")
    parts = kid.split("/")
    if not _KEY_ID.fullmatch(kid) or ".." in kid or "" in parts or "." in parts:
        raise TokenInvalid("the token's 'kid' is not a plain name of 1 to 256 letters, digits and '._/-'")
    return kid


def _check_audience(audience: tuple[str, ...], ours: Collection[str], *, required: bool) -> None:
    if required and not audience:
        raise TokenInvalid("the token has no audience, but must name the add-on", kind="audience")
    if all(value in ours for value in audience):
        return
    names = {_without_slash(name) for name in ours}
    foreign = [value for value in audience if _without_slash(value) not in names]
    if foreign:
        # The signature was verified, so the values may be shown: a known issuer has written them.
        raise TokenInvalid(
            f"the token's 'aud' is for another recipient, '{foreign[0][:200]}', expected one of "
            f"{', '.join(repr(name) for name in sorted(names))}; check the add-on's base URL and key",
            kind="audience",
        )


def _without_slash(name: str) -> str:
    return name.removesuffix("/") if "://" in name else name


def check_times(claims: Mapping[str, int], now: float, leeway_s: float, max_lifetime_s: int, grace_s: int) -> None:
    """Check ``iat``, ``exp`` and ``nbf`` of claims whose format is valid; the other arguments are those of `verify`.

    Raises:
        TokenInvalid: The token is dated in the future, has expired, or is valid for too long.
    """
    issued_at, expires_at = claims["iat"], claims["exp"]
    begins_at = max(issued_at, claims.get("nbf", 0))
    if begins_at > now + leeway_s:
        raise TokenInvalid(
            f"the token is dated {in_words(begins_at - now)} in the future; compare this machine's clock with "
            "the host's",
            kind="future",
        )
    if not 0 < expires_at - issued_at <= max_lifetime_s:
        raise TokenInvalid(f"the token's lifetime, 'exp' minus 'iat', is not within {max_lifetime_s} seconds")
    if expires_at <= now - leeway_s - grace_s:
        raise TokenInvalid(f"the token expired {in_words(now - expires_at)} ago; reload the page", kind="expired")
