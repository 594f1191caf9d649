"""Tokens that the add-on signs for itself, all with one header: their signature is verified before they are parsed.

A token of the host has to be parsed to find its key, by the strict parser. The header of an own token names the key, so
nothing of it is read unless this add-on, or another with the same key, has written it.
"""

from __future__ import annotations

from collections.abc import Mapping
from hmac import compare_digest
from typing import Any

from addonkit.errors import TokenInvalid
from addonkit.protocol.json_object import read_object
from addonkit.protocol.keys import HMAC, Secret
from addonkit.protocol.token_format import MAX_TOKEN, check_claims, decode_segment
from addonkit.protocol.tokens import base64url, header_segment, sign


class OwnTokens:
    """Signs tokens with one key and one header, and recognises them.

    Args:
        key: The key.
        header: Further header fields besides ``alg``.
    """

    __slots__ = ("_header", "_key", "head")

    def __init__(self, key: Secret, header: Mapping[str, str]) -> None:
        self._key, self._header = key, dict(header)
        self.head = header_segment(tuple(header.items())).decode()

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Sign claims and return the token; see :func:`addonkit.protocol.tokens.sign`."""
        return sign(claims, self._key, header=self._header)

    def claims_of(self, token: str) -> dict[str, Any] | None:
        """Return the claims of a token that was signed with this key and header; None for any other.

        Issuer, audience and times are not checked.
        """
        if len(token) > MAX_TOKEN or not token.isascii():
            return None
        signed, _, signature = token.rpartition(".")
        head, _, body = signed.partition(".")
        # The encoded signatures are compared, so that no second spelling of one is accepted.
        expected = base64url(HMAC.sign(signed.encode(), self._key))
        if head != self.head or not compare_digest(expected, signature.encode()):
            return None
        try:
            claims = read_object(decode_segment(body))
            check_claims(claims)
        except (TokenInvalid, ValueError):
            return None  # the strict parser says why
        return claims
