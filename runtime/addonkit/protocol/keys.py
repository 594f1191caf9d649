"""The keys that tokens are verified with: shared secrets and RSA public keys of a minimum size."""

from __future__ import annotations

from typing import Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from addonkit.errors import TokenInvalid

Algorithm = Literal["HS256", "RS256"]

MIN_SECRET = 32
"""Shortest HMAC secret, in bytes."""
_MIN_RSA_BITS = 2048


def usable_key(key: bytes | str | RSAPublicKey, algorithm: Algorithm) -> bytes | RSAPublicKey:
    """Return the key for an algorithm: a long enough secret, or an RSA public key from PEM text or an object.

    Raises:
        TokenInvalid: It has the wrong type, or it is too short.
    """
    return usable_secret(key) if algorithm == "HS256" else _public_key(key)


def usable_secret(key: object) -> bytes:
    """Return a shared secret.

    Raises:
        TokenInvalid: It is not bytes, or it is too short.
    """
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
