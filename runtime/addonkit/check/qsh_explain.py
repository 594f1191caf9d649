"""Why a query hash does not fit: which other request the token was made for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import unquote

from addonkit.check.token_input import Request
from addonkit.errors import TokenInvalid
from addonkit.protocol.canonical import CONTEXT_QSH, canonical_request, query_matches

METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD")
MOST_TRIED = 100
LONGEST_SHOWN = 1000


def explained(claimed: str | None, request: Request, base_path: str, paths: Iterable[str]) -> str:
    """What was hashed, and what most likely happened.

    Args:
        claimed: The token's query hash.
        request: What it was held against.
        base_path: The path of the base URL.
        paths: Other paths of the add-on that the host calls.
    """
    if claimed is None:
        return "it has no query hash, and every request from the host has one"
    if claimed == CONTEXT_QSH:
        return "it is a context token, which pages send in the header and which opens no page by itself"
    hashed = canonical_request(request.method, request.path, request.query)
    shown = hashed if len(hashed) <= LONGEST_SHOWN else f"{hashed[:LONGEST_SHOWN]}…"
    cause = next(_causes(claimed, request, base_path, paths), None)
    return f"hashed was '{shown}'; {cause or 'path or query were changed on the way, or it is of another request'}"


def _causes(claimed: str, request: Request, base_path: str, paths: Iterable[str]) -> Iterator[str]:
    """Each change of one thing that makes it fit."""

    def fits(method: str, path: str, query: str) -> bool:
        try:
            return query_matches(claimed, method, path, query)
        except TokenInvalid:
            return False

    method, path, query = request.method, request.path, request.query
    for other in METHODS:
        if fits(other, path, query):
            yield f"it was made for {other}"
    if base_path and fits(method, base_path + path, query):
        yield f"it was made for a path with the base URL's '{base_path}' in it, twice: look at [addon] base_url"
    shorter = f"/{path[1:].partition('/')[2]}"
    if fits(method, shorter, query):
        yield f"it was made for the path '{shorter}': a proxy puts '{path.removesuffix(shorter)}' before it"
    for other in paths:
        if fits(method, other, query):
            yield f"it was made for the path '{other}'"
    yield from (said for changed, said in _changed_queries(query) if fits(method, path, changed))
    for other in paths:
        if any(fits(to, other, "") for to in METHODS):
            yield f"it was made for the path '{other}' without a query"


def _changed_queries(query: str) -> Iterator[tuple[str, str]]:
    """Queries that this one may have been, and what then happened to it."""
    pairs = [pair for pair in query.split("&") if pair and pair.partition("=")[0] != "jwt"]
    yield "", "it was made without a query, which was added on the way"
    yield unquote(query), "the query was escaped a second time on the way"
    for place, pair in enumerate(pairs[:MOST_TRIED]):
        name = pair.partition("=")[0]
        yield "&".join(pairs[:place] + pairs[place + 1 :]), f"the parameter '{name}' was added on the way"
