"""What a look comes back with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How it stands, best first; ``LEFT_OUT`` says nothing either way."""

    OK = "ok"
    WARN = "warn"
    WRONG = "wrong"
    LEFT_OUT = "-"


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing that a look has to say.

    Attributes:
        state: How it stands.
        said: A sentence without a full stop, never with a secret in it.
    """

    state: State
    said: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of an examination.

    Attributes:
        look: What was looked at.
        state: The worst of what was found.
        said: All that was found, joined.
    """

    look: str
    state: State
    said: str


_WORSE = (State.OK, State.WARN, State.WRONG)


def ok(said: str) -> Remark:
    """Something that is well."""
    return Remark(State.OK, said)


def warn(said: str) -> Remark:
    """Something that works and should not stay so."""
    return Remark(State.WARN, said)


def wrong(said: str) -> Remark:
    """Something that keeps the add-on from being served, or from being served safely."""
    return Remark(State.WRONG, said)


def left_out(said: str) -> Remark:
    """Something that was not looked at, and why."""
    return Remark(State.LEFT_OUT, said)


def summed_up(look: str, remarks: Iterable[Remark]) -> Finding:
    """One line of a look's remarks: the worst state, the sentences in their order.

    Args:
        look: What was looked at.
        remarks: At least one.
    """
    given = list(remarks)
    judged = [remark.state for remark in given if remark.state is not State.LEFT_OUT]
    state = max(judged, key=_WORSE.index) if judged else State.LEFT_OUT
    return Finding(look, state, "; ".join(remark.said for remark in given))
