"""What somebody pasted: a bare token, one behind its scheme, or a whole address that carries one."""

from __future__ import annotations

import re
from dataclasses import dataclass

from addonkit.edge.credentials import Credential, Place, find_credential
from addonkit.edge.request import InboundRequest
from addonkit.errors import AddonkitError, TokenInvalid
from addonkit.protocol.sessions import SESSION_KIND
from addonkit.protocol.tokens import peek
from addonkit.protocol.urls import origin, path_of

_REQUEST = re.compile(r"(?:(?P<method>[A-Za-z]+)\s+)?(?P<origin>https?://[^/?#\s]+)?(?P<target>/[!-~]*)?")
_HEADER = re.compile(r"(?:authorization:\s*)?(?P<scheme>jwt|session)\s+(?P<token>\S+)", re.IGNORECASE)


class NotUnderstood(AddonkitError):
    """What was pasted is neither a token nor a request."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request as somebody wrote it down.

    Attributes:
        method: Upper case.
        path: Below the base URL.
        query: Without ``?``.
    """

    method: str
    path: str
    query: str

    def carrying(self, credential: Credential) -> InboundRequest:
        """The request as it would come with a token where that belongs."""
        scheme = {Place.HEADER: "JWT", Place.SESSION: "Session"}.get(credential.place)
        headers = [(b"authorization", f"{scheme} {credential.token}".encode())] if scheme else []
        return InboundRequest(self.method, self.path, self.query, headers, "check")


@dataclass(frozen=True, slots=True)
class TokenInput:
    """A token, and the request that it came with, if that is known.

    Attributes:
        credential: The token, and the place where it stands or belongs.
        request: None for a token alone.
    """

    credential: Credential
    request: Request | None = None


def pasted_with(text: str, request: str | None, base_url: str) -> TokenInput:
    """A token out of what was pasted, and its request: the one that is named, else the one that was pasted.

    Raises:
        NotUnderstood: There is no token, or one where none belongs.
        TokenInvalid: There are several.
    """
    named = read_request(request, base_url) if request else None
    if named is not None:
        _refuse_token_in(named)
    pasted = read_pasted(text, base_url)
    return TokenInput(pasted.credential, named or pasted.request)


def read_pasted(text: str, base_url: str) -> TokenInput:
    """A token out of what was pasted, and its request where the text was an address.

    Raises:
        NotUnderstood: There is no token in it.
        TokenInvalid: There are several.
    """
    text = text.strip()
    if not text:
        raise NotUnderstood("there is no token on standard input; paste it, or pipe it in")
    if behind_scheme := _HEADER.fullmatch(text):
        place = Place.SESSION if behind_scheme["scheme"].lower() == "session" else Place.HEADER
        return TokenInput(Credential(place, behind_scheme["token"]))
    if not ("?" in text or "://" in text or text.startswith("/")):
        token = "".join(text.split())  # a terminal may have broken it into lines
        return TokenInput(Credential(Place.SESSION if _is_session(token) else Place.QUERY, token))
    request = read_request(text, base_url)
    credential = find_credential(request.query, [])
    if credential is None:
        raise NotUnderstood("the address that was pasted carries no token in 'jwt'; paste the token itself")
    return TokenInput(credential, request)


def read_request(text: str, base_url: str) -> Request:
    """A request from ``[METHOD] URL-or-path``; the path may begin with the base URL's, or come below it.

    Raises:
        NotUnderstood: It is none, or of another host.
    """
    found = _REQUEST.fullmatch(text.strip())
    if found is None or not (found["origin"] or found["target"]):
        raise NotUnderstood("the request is neither 'METHOD /path?query' nor a URL, percent-encoded as it was sent")
    if found["origin"] and found["origin"].lower() != origin(base_url):
        raise NotUnderstood(f"the request goes to '{found['origin'][:200]}', expected the base URL '{base_url}'")
    path, _, query = (found["target"] or "/").partition("#")[0].partition("?")
    base = path_of(base_url)
    is_whole = path == base or path.startswith(f"{base}/")
    return Request((found["method"] or "GET").upper(), (path[len(base) :] if is_whole else path) or "/", query)


def _refuse_token_in(request: Request) -> None:
    """Refuse a token among a command's arguments, where everybody on the machine can read it.

    Raises:
        NotUnderstood: There is one.
    """
    try:
        credential = find_credential(request.query, [])
    except TokenInvalid:
        credential = Credential(Place.QUERY, "")
    if credential is not None:
        raise NotUnderstood(
            "--request carries a token, which everybody on this machine can read there; paste the whole address "
            "on standard input in its place"
        )


def _is_session(token: str) -> bool:
    try:
        return peek(token).kind == SESSION_KIND
    except TokenInvalid:
        return False
