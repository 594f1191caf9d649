"""Reads the input of ``check --token``: a token, a token with its scheme, or a URL that contains a token."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from addonkit.edge.credentials import Credential, Place, find_credential
from addonkit.edge.request import InboundRequest
from addonkit.errors import AddonkitError, TokenInvalid
from addonkit.protocol.sessions import SESSION_KIND
from addonkit.protocol.tokens import peek
from addonkit.protocol.urls import origin, path_of

_REQUEST = re.compile(r"(?:(?P<method>[A-Za-z]+)\s+)?(?P<origin>https?://[^/?#\s]+)?(?P<target>/[!-~]*)?")
_HEADER = re.compile(r"(?:authorization:\s*)?(?P<scheme>jwt|session)\s+(?P<token>\S+)", re.IGNORECASE)


class InputInvalid(AddonkitError):
    """The input is neither a token nor a request."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request line as an operator passes it.

    Attributes:
        method: Upper case.
        path: Relative to the base URL.
        query: Without ``?``.
    """

    method: str
    path: str
    query: str

    def with_credential(self, credential: Credential) -> InboundRequest:
        """Return the inbound request, with the credential in its header unless its place is the query."""
        scheme = {Place.HEADER: "JWT", Place.SESSION: "Session"}.get(credential.place)
        headers = [(b"authorization", f"{scheme} {credential.token}".encode())] if scheme else []
        return InboundRequest(self.method, self.path, self.query, headers, "check")


@dataclass(frozen=True, slots=True)
class TokenInput:
    """A token, and the request that it came with if it is known.

    Attributes:
        credential: The token, and its place in a request.
        request: None for a token alone.
    """

    credential: Credential
    request: Request | None = None


def read_token(text: str, request: str | None, base_url: str, others: Collection[str] = ()) -> TokenInput:
    """Read a token, and its request: ``request`` if it is given, or else the address in the text.

    Args:
        text: The token, a header with it, or an address with it.
        request: Its request.
        base_url: The add-on's base URL.
        others: Further base URLs that the request may be for.

    Raises:
        InputInvalid: There is no token, or ``request`` contains one.
        TokenInvalid: There are several tokens.
    """
    base_urls = (base_url, *others)
    given = read_request(request, base_urls) if request else None
    if given is not None:
        _refuse_token_in(given)
    found = _read_text(text, base_urls)
    return TokenInput(found.credential, given or found.request)


def _read_text(text: str, base_urls: Sequence[str]) -> TokenInput:
    """Read a token, and its request if the text is an address.

    Raises:
        InputInvalid: There is no token in the text.
        TokenInvalid: There are several tokens.
    """
    text = text.strip()
    if not text:
        raise InputInvalid("there is no token on standard input; paste it, or pipe it in")
    if with_scheme := _HEADER.fullmatch(text):
        place = Place.SESSION if with_scheme["scheme"].lower() == "session" else Place.HEADER
        return TokenInput(Credential(place, with_scheme["token"]))
    if not ("?" in text or "://" in text or text.startswith("/")):
        token = "".join(text.split())  # a terminal may have broken it into lines
        return TokenInput(Credential(Place.SESSION if _is_session(token) else Place.QUERY, token))
    request = read_request(text, base_urls)
    credential = find_credential(request.query, [])
    if credential is None:
        raise InputInvalid("the address has no parameter 'jwt' with a token; paste the token itself")
    return TokenInput(credential, request)


def read_request(text: str, base_urls: Sequence[str]) -> Request:
    """Read a request from ``[METHOD] URL-or-path``; the path may include the path of its base URL.

    Raises:
        InputInvalid: It is not a request, or its URL has another origin.
    """
    found = _REQUEST.fullmatch(text.strip())
    if found is None or not (found["origin"] or found["target"]):
        raise InputInvalid("the request is neither 'METHOD /path?query' nor a URL; percent-encode it as it was sent")
    wanted = found["origin"].lower() if found["origin"] else None
    possible = [url for url in base_urls if wanted in (None, origin(url))]
    if not possible:
        expected = " or ".join(f"'{url}'" for url in base_urls)
        raise InputInvalid(f"the request is for '{found['origin'][:200]}', expected the base URL {expected}")
    path, _, query = (found["target"] or "/").partition("#")[0].partition("?")
    bases = (path_of(url) for url in possible)
    base = next((base for base in bases if path == base or path.startswith(f"{base}/")), "")
    return Request((found["method"] or "GET").upper(), path[len(base) :] or "/", query)


def _refuse_token_in(request: Request) -> None:
    """Refuse a token in a command's arguments, where every user of the machine can read it.

    Raises:
        InputInvalid: The request contains a token.
    """
    try:
        credential = find_credential(request.query, [])
    except TokenInvalid:
        credential = Credential(Place.QUERY, "")
    if credential is not None:
        raise InputInvalid(
            "--request contains a token, which every user of this machine can read there; pass the whole address "
            "on standard input instead"
        )


def _is_session(token: str) -> bool:
    try:
        return peek(token).kind == SESSION_KIND
    except TokenInvalid:
        return False
