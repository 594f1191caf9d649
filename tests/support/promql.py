"""Reads PromQL expressions as far as tests need: the series and labels that they name, without evaluating anything."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

TOKEN = re.compile(
    r"""\s*(?:
    (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)
    |(?P<duration>\d+(?:ms|[smhdwy])(?:\d+(?:ms|[smhdwy]))*)(?![\w.])
    |(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.])
    |(?P<name>[A-Za-z_:][\w:]*)
    |(?P<operator>=~|!~|==|!=|<=|>=|[-+*/%^<>=(){}\[\],:@])
    )""",
    re.VERBOSE,
)
GROUPINGS = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
WORDS = frozenset({"and", "or", "unless", "offset", "bool"})
FUNCTIONS = frozenset(
    {"absent", "changes", "count", "histogram_quantile", "increase", "max", "min", "rate", "sum", "time"}
)
"""The functions that our expressions use."""
PAIRS = {")": "(", "}": "{", "]": "["}


@dataclass(frozen=True, slots=True)
class Selector:
    """A series that an expression names, with its matchers.

    Attributes:
        name: Name of the series.
        matchers: Label, operator and value of each matcher.
    """

    name: str
    matchers: tuple[tuple[str, str, str], ...] = ()


@dataclass(slots=True)
class Expression:
    """What an expression names.

    Attributes:
        selectors: Its series.
        groupings: The labels in ``by``, ``on`` and the like.
    """

    selectors: list[Selector] = field(default_factory=list)
    groupings: set[str] = field(default_factory=set)


def parsed(text: str) -> Expression:
    """Return what an expression names.

    Raises:
        ValueError: It is not PromQL, or it uses a function that is not in ``FUNCTIONS``.
    """
    tokens = list(_tokens(text))
    _check_pairs(text, tokens)
    found = Expression()
    place = 0
    while place < len(tokens):
        kind, word = tokens[place]
        following = tokens[place + 1][1] if place + 1 < len(tokens) else ""
        place += 1
        if kind != "name" or word in WORDS:
            continue
        if word in GROUPINGS:
            place, labels = _labels(text, tokens, place)
            found.groupings |= labels
        elif word in FUNCTIONS and (following == "(" or following in GROUPINGS):
            continue
        elif following == "(":
            raise ValueError(f"{text!r} calls the unknown function {word}")
        else:
            place, matchers = _matchers(text, tokens, place) if following == "{" else (place, ())
            found.selectors.append(Selector(word, matchers))
    if not found.selectors:
        raise ValueError(f"{text!r} names no series")
    return found


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    place, end = 0, len(text.rstrip())
    while place < end:
        if (token := TOKEN.match(text, place)) is None or token.lastgroup is None:
            raise ValueError(f"{text!r} has no PromQL at character {place}: {text[place : place + 20]!r}")
        yield token.lastgroup, token[token.lastgroup]
        place = token.end()


def _check_pairs(text: str, tokens: list[tuple[str, str]]) -> None:
    is_open: list[str] = []
    for kind, word in tokens:
        if kind == "operator" and word in PAIRS.values():
            is_open.append(word)
        elif kind == "operator" and word in PAIRS and (not is_open or is_open.pop() != PAIRS[word]):
            raise ValueError(f"{text!r} closes {word!r} that is not open")
    if is_open:
        raise ValueError(f"{text!r} does not close {is_open[-1]!r}")


def _labels(text: str, tokens: list[tuple[str, str]], place: int) -> tuple[int, set[str]]:
    """Read ``(a, b)``, and return the place behind it."""
    labels = set()
    if place >= len(tokens) or tokens[place][1] != "(":
        raise ValueError(f"{text!r} has no labels behind a grouping")
    while tokens[place][1] != ")":
        place += 1
        if tokens[place][0] == "name":
            labels.add(tokens[place][1])
        elif tokens[place][1] not in (",", ")"):
            raise ValueError(f"{text!r} groups by {tokens[place][1]!r}")
    return place + 1, labels


def _matchers(text: str, tokens: list[tuple[str, str]], place: int) -> tuple[int, tuple[tuple[str, str, str], ...]]:
    """Read ``{a="b", c=~"d"}``, and return the place behind it."""
    matchers = []
    place += 1
    while tokens[place][1] != "}":
        (kind, label), (_, operator), (value_kind, value) = tokens[place : place + 3]
        if kind != "name" or operator not in ("=", "!=", "=~", "!~") or value_kind != "string":
            raise ValueError(f"{text!r} has the matcher {label} {operator} {value}")
        matchers.append((label, operator, value[1:-1]))
        place += 3
        if tokens[place][1] == ",":
            place += 1
    return place + 1, tuple(matchers)
