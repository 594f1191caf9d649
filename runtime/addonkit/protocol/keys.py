"""The keys that tokens are verified with: shared secrets and RSA public keys of a minimum size."""

from __future__ import annotations

import re
from typing import Literal, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt import InvalidKeyError
from jwt.algorithms import HMACAlgorithm

from addonkit.errors import TokenInvalid

Algorithm = Literal["HS256", "RS256"]

MIN_SECRET = 32
"""Shortest HMAC secret, in bytes."""
_MIN_RSA_BITS = 2048
HMAC = HMACAlgorithm(HMACAlgorithm.SHA256)
_PLAIN_SECRET = re.compile(rb"(?!ssh-|ecdsa-)[A-Za-z0-9+/=_.~-]+")
"""A secret that is not a key of another kind: PEM contains spaces, DER the tag of object identifiers, which is a
control character, and a JWK braces. PyJWT recognises an SSH key by its first word."""


class Secret(bytes):
    """A shared secret that is checked when it is created, so that no request has to check it again.

    PyJWT searches a secret for public keys in PEM, DER, SSH and JWK format, which takes longer than the signature.
    ``repr`` does not show the secret.

    Args:
        key: The secret, at least 32 bytes.

    Raises:
        TokenInvalid: It is not bytes, or it is too short.
        jwt.InvalidKeyError: It is a public key, a certificate or a JWK.
    """

    __slots__ = ()

    def __new__(cls, key: object) -> Self:
        """Check the secret and create it."""
        if not isinstance(key, bytes) or len(key) < MIN_SECRET:
            raise TokenInvalid(f"the secret for 'HS256' is not bytes, {MIN_SECRET} or more")
        return super().__new__(cls, key if _PLAIN_SECRET.fullmatch(key) else HMAC.prepare_key(key))

    def __repr__(self) -> str:
        return "Secret()"

    __str__ = __repr__


def checked_secret(key: bytes) -> bytes:
    """Return a stored secret as a `Secret`; one that cannot be used is returned as it is, so that each use is refused.

    Args:
        key: The secret, as it is stored.
    """
    try:
        return Secret(key)
    except (TokenInvalid, InvalidKeyError):
        return key


def usable_key(key: bytes | str | RSAPublicKey, algorithm: Algorithm) -> bytes | RSAPublicKey:
    """Return the key for an algorithm: a long enough secret, or an RSA public key from PEM text or an object.

    Raises:
        TokenInvalid: It has the wrong type, or it is too short.
        jwt.InvalidKeyError: The secret is a public key, a certificate or a JWK.
    """
    return usable_secret(key) if algorithm == "HS256" else _public_key(key)


def usable_secret(key: object) -> Secret:
    """Return a shared secret; one that is no `Secret` yet is checked.

    Raises:
        TokenInvalid: It is not bytes, or it is too short.
        jwt.InvalidKeyError: It is a public key, a certificate or a JWK.
    """
    return key if isinstance(key, Secret) else Secret(key)


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
