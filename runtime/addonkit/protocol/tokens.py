"""JSON Web Tokens as host and add-on exchange them: looked at, verified, signed.

The algorithm, the key and the audience are the caller's, never the token's. What a token's query hash has to match,
and which token is right for which place, is not decided here.
"""

from __future__ import annotations

import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from addonkit.errors import SignatureInvalid, TokenInvalid
from addonkit.protocol.json_object import read_object

Algorithm = Literal["HS256", "RS256"]

MAX_TOKEN = 8192
"""Longest token that is looked at, in characters."""
MIN_SECRET = 32
"""Shortest HMAC secret, in bytes."""
_MIN_RSA_BITS = 2048
_LATEST_TIME = 2**53
_KEY_ID = re.compile("[A-Za-z0-9._/-]{1,256}")
_ALGORITHMS = ("HS256", "RS256")
_REFUSED_FIELDS = ("crit", "cty", "b64")
"""Header fields that change how the rest is to be read: critical extensions, nested tokens, raw payloads."""
_VERIFIER = jwt.PyJWT(
    {
        "require": ["exp", "iat", "iss"],
        "verify_exp": False,
        "verify_iat": False,
        "verify_nbf": False,
        "verify_aud": False,
    }
)
"""Leaves times and audience to us, who check them more strictly and against a clock that can be given."""


@dataclass(frozen=True, slots=True)
class Peek:
    """What a token says of itself before anything is verified: good for finding the key and nothing else."""

    issuer: str
    algorithm: str
    key_id: str | None
    kind: str = "JWT"
    """The header's ``typ``."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What the holder of the key has signed.

    Attributes:
        issuer: The client key in the host's tokens.
        subject: The user's account id; None is an anonymous visitor, or nobody.
        audience: Whom it is for; empty if the token does not say.
        issued_at: Unix time in seconds.
        expires_at: Unix time in seconds.
        qsh: Hash of the one request it is for, or ``context-qsh``.
        context: What the user is looking at, as the signer put it.
    """

    issuer: str
    subject: str | None
    audience: tuple[str, ...]
    issued_at: int
    expires_at: int
    qsh: str | None
    context: Mapping[str, Any]


def peek(token: str) -> Peek:
    """Who the token says it is from, once its shape is found to be beyond doubt.

    Raises:
        TokenInvalid: It is longer than 8 KB, or not three canonical base64url segments, or its JSON is ambiguous, or a
            claim is of another type than it must be.
    """
    header, payload = _shape(token)
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
    max_life_s: int = 3600,
    grace_s: int = 0,
    kind: str = "JWT",
) -> Claims:
    """The token's claims, now that ``issuer`` is known to have signed them and they are meant for us and for now.

    Args:
        token: As sent.
        key: The secret's bytes for HS256; an RSA public key or its PEM text for RS256.
        algorithm: The only one that is taken.
        issuer: The one whose key this is.
        audiences: Names that we go by; a token that names any other is refused.
        audience_required: Whether a token without audience is refused.
        now: Unix time in seconds; the clock's by default.
        leeway_s: How far the issuer's clock may be off.
        max_life_s: Longest time between ``iat`` and ``exp``.
        grace_s: How long an expired token is still taken, for renewing sessions.
        kind: The header's ``typ``.

    Raises:
        SignatureInvalid: Another key signed it.
        TokenInvalid: Anything else does not hold.
    """
    header, _ = _shape(token)
    if header["alg"] != algorithm or header.get("typ", "JWT").upper() != kind.upper():
        found = f"is signed with '{header['alg']}' and " if header["alg"] != algorithm else ""
        raise TokenInvalid(
            f"the token {found}is not of the kind that is expected here, '{kind}' signed with '{algorithm}'"
        )
    try:
        claims = _VERIFIER.decode(token, _usable_key(key, algorithm), algorithms=[algorithm])
    except jwt.InvalidSignatureError:
        raise SignatureInvalid("the token is not signed with the issuer's key") from None
    except jwt.PyJWTError as problem:
        raise TokenInvalid(f"the token does not verify with the issuer's key ({type(problem).__name__})") from None
    if claims["iss"] != issuer:
        raise TokenInvalid("the token's 'iss' is not the one whose key it was verified with")
    _check_times(claims, time.time() if now is None else now, leeway_s, max_life_s, grace_s)
    audience = _audience(claims)
    _check_audience(audience, audiences, required=audience_required)
    return Claims(
        issuer=issuer,
        subject=claims.get("sub") or None,
        audience=audience,
        issued_at=claims["iat"],
        expires_at=claims["exp"],
        qsh=claims.get("qsh"),
        context=MappingProxyType(claims.get("context", {})),
    )


def sign(claims: Mapping[str, Any], secret: bytes, *, header: Mapping[str, str] | None = None) -> str:
    """A token that holds ``claims``, signed with HS256.

    Args:
        claims: JSON values.
        secret: At least 32 bytes.
        header: Fields beside ``alg``; ``typ`` is ``JWT`` unless it stands here.

    Raises:
        TokenInvalid: The secret is too short or a public key.
    """
    try:
        return jwt.encode(dict(claims), _secret(secret), algorithm="HS256", headers=dict(header or {}))
    except jwt.PyJWTError as problem:
        raise TokenInvalid(f"the secret cannot sign a token ({type(problem).__name__})") from None


def check_key_id(kid: str | None) -> str:
    """The id of a key, safe to be put after the address of a key host.

    Source: ids on the host's key servers may hold ``/``.

    Raises:
        TokenInvalid: It is missing, or could lead elsewhere.
    """
    if kid is None:
        raise TokenInvalid("the token names no key, but an install token must have a 'kid'")
    parts = kid.split("/")
    if not _KEY_ID.fullmatch(kid) or ".." in kid or "" in parts or "." in parts:
        raise TokenInvalid("the token's 'kid' is not a plain name of 1 to 256 letters, digits and '._/-'")
    return kid


@lru_cache(16)  # one request looks at its token twice
def _shape(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and payload, unverified, of which every reader makes the same."""
    if len(token) > MAX_TOKEN:
        raise TokenInvalid(f"the token is longer than {MAX_TOKEN} characters")
    segments = token.split(".", 3)
    if len(segments) != 3:
        raise TokenInvalid("the token does not have three segments")
    header_data, payload_data, _ = [_decode(segment) for segment in segments]
    try:
        header, payload = read_object(header_data), read_object(payload_data)
    except ValueError as problem:
        raise TokenInvalid(f"the token cannot be read: {problem}") from None
    _check_header(header)
    _check_claims(payload)
    return header, payload


def _decode(segment: str) -> bytes:
    """The segment's bytes; what they would not be written as is refused: padding, stray bits, other alphabets."""
    try:
        data = urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except ValueError:
        data = b""
    if not data or urlsafe_b64encode(data).rstrip(b"=") != segment.encode():
        raise TokenInvalid("the token has a segment that is empty or not canonical base64url")
    return data


def _check_header(header: Mapping[str, Any]) -> None:
    if any(name in header for name in _REFUSED_FIELDS):
        raise TokenInvalid("the token's header asks for 'crit', 'cty' or 'b64', which no host of ours uses")
    if header.get("alg") not in _ALGORITHMS:
        raise TokenInvalid("the token's 'alg' is neither 'HS256' nor 'RS256'")
    if not all(isinstance(header.get(name, ""), str) for name in ("kid", "typ")):
        raise TokenInvalid("the token's 'kid' and 'typ' must be text")


def _check_claims(payload: Mapping[str, Any]) -> None:
    _check_text(payload, "iss", least=1, most=255)
    if "sub" in payload:
        _check_text(payload, "sub", least=0, most=128)
    if not isinstance(payload.get("qsh", ""), str) or not isinstance(payload.get("context", {}), dict):
        raise TokenInvalid("the token's 'qsh' must be text and its 'context' an object")
    for name in ("iat", "exp", "nbf"):
        # bool is an int to isinstance, and PyJWT takes text and floats
        if name in payload and not (type(payload[name]) is int and 0 <= payload[name] <= _LATEST_TIME):
            raise TokenInvalid(f"the token's '{name}' is not a whole number of seconds")
    if "iat" not in payload or "exp" not in payload:
        raise TokenInvalid("the token lacks 'iat' or 'exp', and both are required")
    _audience(payload)


def _check_text(payload: Mapping[str, Any], name: str, *, least: int, most: int) -> None:
    """Refuse what no database could be asked for: other types, lengths, NUL and lone surrogates."""
    value = payload.get(name)
    if not (isinstance(value, str) and least <= len(value) <= most and value.isprintable()):
        raise TokenInvalid(f"the token's '{name}' is not printable text of {least} to {most} characters")


def _audience(payload: Mapping[str, Any]) -> tuple[str, ...]:
    """The claim ``aud``, which may be one text or a list; an empty list says nothing clear and is refused."""
    if "aud" not in payload:
        return ()
    found = payload["aud"]
    values = found if isinstance(found, list) else [found]
    if not values or not all(isinstance(value, str) and value for value in values):
        raise TokenInvalid("the token's 'aud' is neither text nor a list of texts")
    return tuple(values)


def _check_audience(audience: tuple[str, ...], ours: Collection[str], *, required: bool) -> None:
    if required and not audience:
        raise TokenInvalid("the token names no audience, but must name ours", kind="audience")
    names = {_without_slash(name) for name in ours}
    foreign = [value for value in audience if _without_slash(value) not in names]
    if foreign:
        # the signature was verified: whoever named them is one of ours
        raise TokenInvalid(
            f"the token's 'aud' names somebody else, '{foreign[0][:200]}', expected one of "
            f"{', '.join(repr(name) for name in sorted(names))}; check the add-on's base URL and key",
            kind="audience",
        )


def _without_slash(name: str) -> str:
    return name.removesuffix("/") if "://" in name else name


def _check_times(claims: Mapping[str, int], now: float, leeway_s: float, max_life_s: int, grace_s: int) -> None:
    issued_at, expires_at = claims["iat"], claims["exp"]
    begins_at = max(issued_at, claims.get("nbf", 0))
    if begins_at > now + leeway_s:
        raise TokenInvalid(
            f"the token is from the future, by {in_words(begins_at - now)}; compare this machine's clock with the "
            "host's",
            kind="future",
        )
    if not 0 < expires_at - issued_at <= max_life_s:
        raise TokenInvalid(f"the token's life, 'exp' less 'iat', is not within {max_life_s} seconds")
    if expires_at <= now - leeway_s - grace_s:
        raise TokenInvalid(f"the token has expired {in_words(now - expires_at)} ago; reload the page", kind="expired")


def in_words(seconds: float) -> str:
    """A length of time in its two largest units: ``3 min 12 s``."""
    left, words = round(seconds), []
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, length)
        if count:
            words.append(f"{count} {unit}")
    return " ".join(words[:2]) or "0 s"


def _usable_key(key: bytes | str | RSAPublicKey, algorithm: Algorithm) -> bytes | RSAPublicKey:
    return _secret(key) if algorithm == "HS256" else _public_key(key)


def _secret(key: object) -> bytes:
    if not isinstance(key, bytes) or len(key) < MIN_SECRET:
        raise TokenInvalid(f"the secret for 'HS256' is not bytes, {MIN_SECRET} or more")
    return key


def _public_key(key: object) -> RSAPublicKey:
    found = _read_pem(key) if isinstance(key, str) else key
    if not isinstance(found, RSAPublicKey) or found.key_size < _MIN_RSA_BITS:
        raise TokenInvalid(f"the key for 'RS256' is not an RSA public key of {_MIN_RSA_BITS} bits or more")
    return found


def _read_pem(text: str) -> object:
    try:
        return load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        return None
