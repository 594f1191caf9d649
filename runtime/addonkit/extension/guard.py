"""The guard of a route: its demand and its limits, stored as a mark on the view function.

A route without a mark is refused at start-up, so that no route becomes public by mistake.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from addonkit.context import Demand

F = TypeVar("F", bound=Callable[..., Any])
MARK = "__addonkit_guard__"
MEGABYTE = 1024 * 1024


class Guard(NamedTuple):
    """What a request must prove, and how much of the server's resources it may use.

    Attributes:
        demand: The proof that the route demands.
        licensed: Whether the site needs an active licence.
        max_body: Largest request body, in bytes.
        timeout_s: Longest run time of the handler, in seconds.
        pages: Names of the page handlers whose sessions it accepts; if empty, those of all pages of the plugin.
    """

    demand: Demand
    licensed: bool = False
    max_body: int = MEGABYTE
    timeout_s: float = 25.0
    pages: frozenset[str] = frozenset()


def guard_of(view: Callable[..., Any]) -> Guard | None:
    """Return the guard of a view function; None if it has none."""
    return getattr(view, MARK, None)


def mark(view: F, guard: Guard) -> F:
    """Store a guard on a view function and return the function."""
    setattr(view, MARK, guard)
    return view


def public(view: F) -> F:
    """Make a route available without authentication. Its handler gets no facts about a site or a user."""
    return mark(view, Guard(Demand.NOTHING))


def own_page(view: F) -> F:
    """Demand a session or a context token on a raw blueprint's route: only the plugin's own pages can call it."""
    return mark(view, Guard(Demand.OWN_PAGE))


def exact(view: F) -> F:
    """Demand an exact token on a raw blueprint's route: the host signed this method, path and query."""
    return mark(view, Guard(Demand.EXACT))
