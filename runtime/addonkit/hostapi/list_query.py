"""The request of one page of a list: path and query, in which the parameters that select the page are replaced."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from addonkit.host import Query

_OFFSETS = {"startAt": "maxResults", "offset": "limit", "start": "limit"}
"""Parameters with the place of a page's first item, each with the parameter of the page's size."""
_SELECTING = frozenset(
    {*_OFFSETS, *_OFFSETS.values(), "nextPageToken", "cursor", "startingAfter", "after", "since"},
)


@dataclass(frozen=True, slots=True)
class PlaceNames:
    """Names of the parameters of one style, which are the names of fields of the response as well.

    Attributes:
        start: Place of the page's first item.
        size: Largest number of items on a page.
    """

    start: str
    size: str


STYLES = tuple(PlaceNames(start, size) for start, size in _OFFSETS.items())
START_AT, OFFSET, START = STYLES


@dataclass(frozen=True, slots=True)
class ListQuery:
    """A request of a page.

    Attributes:
        path: Path of the list, or a link of the host; it may contain a query.
        params: Query parameters besides those in the path.
    """

    path: str
    params: Query

    @classmethod
    def first(cls, path: str, params: Query) -> ListQuery:
        """Return the first request; a parameter that selects the page is sent once, from ``params`` if both have it."""
        return cls(_without(path, _SELECTING & params.keys()), params)

    @property
    def resource(self) -> str:
        """The path without its query, which may contain personal data, for messages."""
        return self.path.partition("?")[0]

    def key(self) -> int:
        """Return a number that tells requests apart."""
        return hash(repr((self.path, self.params)))

    def select(self, **changes: str | int) -> ListQuery:
        """Return the request of another page."""
        return ListQuery(_without(self.path, changes.keys()), {**self.params, **changes})

    def follow(self, link: str) -> ListQuery:
        """Return the request of a link of the host, which has all parameters."""
        return ListQuery(self.resource + link if link.startswith("?") else link, {})

    def names(self) -> frozenset[str]:
        """Return the names of all parameters that are set."""
        inline = dict(parse_qsl(self.path.partition("?")[2], keep_blank_values=True))
        return frozenset(inline) | {name for name, value in self.params.items() if value is not None}

    def number(self, name: str) -> int | None:
        """Return a parameter that is a number; None if it is missing or something else."""
        value = self.params.get(name)
        return number_in(self.path, name) if value is None else to_int(value)


def number_in(url: str, name: str) -> int | None:
    """Return a parameter of a URL that is a number; None if it is missing or something else."""
    return to_int(dict(parse_qsl(url.partition("?")[2])).get(name))


def to_int(value: Any) -> int | None:
    """Return a number from 0, which may have been given as a string; None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        return int(value[:18])
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def names_in(fields: Collection[str]) -> PlaceNames | None:
    """Return the names that a list uses for places, by the fields of its response or the parameters of its query."""
    return next((names for names in STYLES if names.start in fields), None)


def _without(path: str, names: Collection[str]) -> str:
    """Remove query parameters from a path."""
    plain, mark, query = path.partition("?")
    if not mark or not names:
        return path
    kept = [pair for pair in query.split("&") if unquote_plus(pair.partition("=")[0]) not in names]
    return f"{plain}?{'&'.join(kept)}" if kept else plain
