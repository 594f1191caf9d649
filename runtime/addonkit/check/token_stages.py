"""The stages that all kinds of tokens have in common, and the explanation of a query hash that does not match."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import unquote

from addonkit.app.addon import Addon
from addonkit.check.context import Result, State, ok, wrong
from addonkit.check.token_input import Request, TokenInput
from addonkit.edge.lifecycle import LIFECYCLE_PATHS
from addonkit.errors import AddonkitError, Refused, TokenInvalid
from addonkit.protocol.canonical import CONTEXT_QSH, canonical_request, query_matches
from addonkit.protocol.tokens import Claims, peek
from addonkit.protocol.urls import path_of
from addonkit.text import in_words

STAGES = ("site", "signature", "times", "audience", "request")
"""The stages of a verification, in order."""
STAGE_OF = {"tenant": "site", "expired": "times", "future": "times", "audience": "audience", "query": "request"}
"""The stage of a refusal, by its kind; all other kinds belong to the signature."""
PASSED = {
    "site": "installed here",
    "signature": "made with the expected key",
    "times": "valid now",
    "audience": "includes this add-on",
}
METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD")
MAX_PARAMETERS_TRIED = 100
MAX_SHOWN_LENGTH = 1000

Stage = tuple[str, Callable[[], AsyncIterator[Result]]]


@dataclass(slots=True)
class TokenCheck:
    """One token that is checked stage by stage.

    Attributes:
        addon: The add-on, not started, with an open database.
        given: The token, and the request that it came with if it is known.
    """

    addon: Addon
    given: TokenInput
    claims: Claims | None = field(default=None, init=False, repr=False)

    @property
    def token(self) -> str:
        """The token as it was given."""
        return self.given.credential.token

    def mismatch(self, request: Request) -> str:
        """Explain why the query hash does not match this request."""
        return explain_qsh(
            self.claims.qsh if self.claims else None,
            request,
            base_path=path_of(self.addon.deployment.settings.addon.base_url),
            paths=[*self.addon.edge.authenticator.host_parameters, *LIFECYCLE_PATHS],
        )


async def run_stages(stages: Iterable[Stage]) -> AsyncIterator[Result]:
    """Yield the results of each stage, up to the first that is wrong."""
    for name, stage in stages:
        try:
            async for result in stage():
                yield result
                if result.state is State.WRONG:
                    return
        except AddonkitError as error:
            yield wrong(str(error), name)
            return


def stages_until(refused: Refused, stages: Sequence[str], hint: str) -> Iterator[Result]:
    """Yield the stages that passed before a refusal, and the refusal.

    Args:
        refused: What was raised.
        stages: Those of its verification.
        hint: Added to the refusal; may be empty.
    """
    failed = stage_of(refused)
    for name in stages[: stages.index(failed)]:
        yield ok(PASSED[name], name)
    yield wrong(f"{refused}; {hint}" if hint else str(refused), failed)


def stage_of(refused: Refused) -> str:
    """The stage that a refusal belongs to."""
    return STAGE_OF.get(refused.kind, "signature")


def describe_shape(token: str) -> Result:
    """Describe what can be read without verification.

    Raises:
        TokenInvalid: It is not a token.
    """
    seen = peek(token)
    return ok(f"a token of {len(token)} characters from '{seen.issuer}', signed with {seen.algorithm}", "shape")


def describe_times(claims: Claims, now: float, leeway_s: float) -> Result:
    """Describe when the token was issued and when it expires."""
    left_s = claims.expires_at - now
    expiry = f"valid for another {in_words(left_s)}" if left_s > 0 else f"expired, within the leeway of {leeway_s:g} s"
    issued = f"issued {in_words(now - claims.issued_at)} ago" if claims.issued_at <= now else "issued just now"
    return ok(f"{issued}, {expiry}", "times")


def describe_audience(claims: Claims) -> Result:
    """Describe whom the token is for."""
    return ok(", ".join(f"'{name}'" for name in claims.audience) or "no audience is named", "audience")


def clock_hint(refused: Refused, now: float, leeway_s: float) -> str:
    """Return a hint with this machine's time if the refusal depends on it; otherwise an empty text."""
    if stage_of(refused) != "times":
        return ""
    return f"this machine's clock is at {utc(now)}, and a difference of {leeway_s:g} s is accepted"


def utc(moment: float) -> str:
    """Format a Unix time for people, in UTC, to the second."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC"


def explain_qsh(claimed: str | None, request: Request, *, base_path: str, paths: Iterable[str]) -> str:
    """Describe the text that was hashed, and the change of the request that would make the query hash match.

    Args:
        claimed: The token's query hash.
        request: The request that it was compared with.
        base_path: The path of the base URL.
        paths: Other paths of the add-on that the host requests.
    """
    if claimed is None:
        return "it has no query hash, but every request from the host has one"
    if claimed == CONTEXT_QSH:
        return "it is a context token, which pages send in the header and which cannot open a page"
    hashed = canonical_request(request.method, request.path, request.query)
    shown = hashed if len(hashed) <= MAX_SHOWN_LENGTH else f"{hashed[:MAX_SHOWN_LENGTH]}…"
    unknown = "path or query were changed on the way, or it is for another request"
    cause = next(_qsh_causes(claimed, request, base_path, paths), unknown)
    return f"the hashed text is '{shown}'; {cause}"


def _qsh_causes(claimed: str, request: Request, base_path: str, paths: Iterable[str]) -> Iterator[str]:
    """Yield each single change that makes the hash match."""

    def matches(method: str, path: str, query: str) -> bool:
        try:
            return query_matches(claimed, method, path, query)
        except TokenInvalid:
            return False

    method, path, query = request.method, request.path, request.query
    for other in METHODS:
        if matches(other, path, query):
            yield f"the token was made for {other}"
    if base_path and matches(method, base_path + path, query):
        yield f"the token was made for a path with the base URL's '{base_path}' twice: check [addon] base_url"
    shorter = f"/{path[1:].partition('/')[2]}"
    if matches(method, shorter, query):
        yield f"the token was made for the path '{shorter}': a proxy adds '{path.removesuffix(shorter)}'"
    for other in paths:
        if matches(method, other, query):
            yield f"the token was made for the path '{other}'"
    yield from (cause for changed, cause in _changed_queries(query) if matches(method, path, changed))
    for other in paths:
        if any(matches(one, other, "") for one in METHODS):
            yield f"the token was made for the path '{other}' without a query"


def _changed_queries(query: str) -> Iterator[tuple[str, str]]:
    """Yield queries that the token may have been made for, each with the change that led to this query."""
    pairs = [pair for pair in query.split("&") if pair and pair.partition("=")[0] != "jwt"]
    yield "", "the token was made without a query, which was added on the way"
    yield unquote(query), "the query was percent-encoded a second time on the way"
    for index, pair in enumerate(pairs[:MAX_PARAMETERS_TRIED]):
        name = pair.partition("=")[0]
        yield "&".join(pairs[:index] + pairs[index + 1 :]), f"the parameter '{name}' was added on the way"
