"""Finds the credential of a request: exactly one, in the query or in the Authorization header."""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple
from urllib.parse import unquote_plus

from addonkit.errors import TokenInvalid

SCHEMES = (b"JWT ", b"Session ")


class Place(Enum):
    """Where a credential was found."""

    QUERY = auto()
    HEADER = auto()
    SESSION = auto()


class Credential(NamedTuple):
    """A token and the place where it was found; ``repr`` does not show the token.

    Attributes:
        place: The query, ``Authorization: JWT`` or ``Authorization: Session``.
        token: As sent.
    """

    place: Place
    token: str

    def __repr__(self) -> str:
        return f"Credential({self.place.name})"


def find_credential(query: str, headers: list[tuple[bytes, bytes]]) -> Credential | None:
    """Return the only credential of a request, or None.

    Raises:
        TokenInvalid: There is more than one credential, or the Authorization header has another scheme.
    """
    tokens = _tokens_in_query(query)
    lines = [value for name, value in headers if name == b"authorization"]
    if len(tokens) + len(lines) > 1:
        raise TokenInvalid("the request carries more than one credential, expected exactly one")
    if tokens:
        return Credential(Place.QUERY, tokens[0])
    return _credential_in_header(lines[0]) if lines else None


def _tokens_in_query(query: str) -> list[str]:
    if "jwt" not in query and "%" not in query:
        return []
    pairs = (part.partition("=") for part in query.split("&"))
    return [value for name, _, value in pairs if name == "jwt" or ("%" in name and unquote_plus(name) == "jwt")]


def _credential_in_header(line: bytes) -> Credential:
    scheme = next((one for one in SCHEMES if line.startswith(one)), None)
    if scheme is None:
        raise TokenInvalid("the Authorization header is neither 'JWT <token>' nor 'Session <token>'")
    token = line[len(scheme) :].decode("latin-1")
    return Credential(Place.SESSION if scheme == b"Session " else Place.HEADER, token)
