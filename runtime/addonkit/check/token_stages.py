"""The lines that are told of one token, shared by all kinds of token."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime

from addonkit.check.result import Finding, State
from addonkit.errors import AddonkitError, Refused
from addonkit.protocol.tokens import Claims, in_words, peek

STAGES = ("site", "signature", "times", "audience", "request")
"""What one verification looks at, in its order."""
STAGE_OF = {"tenant": "site", "expired": "times", "future": "times", "audience": "audience", "query": "request"}
"""Where a refusal belongs, by its kind; all others are of the signature."""
WELL = {
    "site": "known here",
    "signature": "made with the key that it must be",
    "times": "in date",
    "audience": "meant for this add-on",
}

Step = tuple[str, Callable[[], AsyncIterator[Finding]]]


def well(look: str, said: str) -> Finding:
    """A stage that is passed."""
    return Finding(look, State.OK, said)


async def until_wrong(steps: Iterable[Step]) -> AsyncIterator[Finding]:
    """What each step finds, up to the first thing that is wrong."""
    for name, step in steps:
        try:
            async for finding in step():
                yield finding
                if finding.state is State.WRONG:
                    return
        except AddonkitError as refused:
            yield Finding(name, State.WRONG, str(refused))
            return


def stages_until(refused: Refused, stages: Sequence[str], hint: str) -> Iterator[Finding]:
    """The stages that were passed before a refusal, and the refusal.

    Args:
        refused: What was raised.
        stages: Those of its verification.
        hint: What else is to be said of the last one; may be empty.
    """
    reached = stage_of(refused)
    for name in stages[: stages.index(reached)]:
        yield well(name, WELL[name])
    yield Finding(reached, State.WRONG, f"{refused}; {hint}" if hint else str(refused))


def stage_of(refused: Refused) -> str:
    """The stage that a refusal belongs to."""
    return STAGE_OF.get(refused.kind, "signature")


def shape_of(token: str) -> Finding:
    """That it is a token at all.

    Raises:
        TokenInvalid: It is none.
    """
    seen = peek(token)
    return well("shape", f"a token of {len(token)} characters from '{seen.issuer}', signed with {seen.algorithm}")


def times_of(claims: Claims, now: float, leeway_s: float) -> Finding:
    """When it began and when it ends."""
    left_s = claims.expires_at - now
    end = f"good for another {in_words(left_s)}" if left_s > 0 else f"over, within the {leeway_s:g} s of leeway"
    began = f"issued {in_words(now - claims.issued_at)} ago" if claims.issued_at <= now else "issued just now"
    return well("times", f"{began}, {end}")


def audience_of(claims: Claims) -> Finding:
    """Whom it is for."""
    return well("audience", ", ".join(f"'{name}'" for name in claims.audience) or "none is named")


def clock_hint(refused: Refused, now: float, leeway_s: float) -> str:
    """This machine's clock, where a refusal depends on it."""
    if stage_of(refused) != "times":
        return ""
    return f"this machine's clock says {utc(now)}, and {leeway_s:g} s of difference are forgiven"


def utc(moment: float) -> str:
    """A moment for people, to the second."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC"
