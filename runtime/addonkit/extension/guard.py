"""What a route demands, written on its view function.

A route without a mark is refused when the add-on is put together: nothing is open by oversight.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from addonkit.context import Demand

F = TypeVar("F", bound=Callable[..., Any])
MARK = "__addonkit_guard__"
MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Guard:
    """What a caller must show, and how much the route may take.

    Attributes:
        demand: The proof that is asked for.
        licensed: Whether the site needs an active licence.
        max_body: Largest request body, in bytes.
        timeout_s: Longest time that the handler may take, in seconds.
    """

    demand: Demand
    licensed: bool = False
    max_body: int = MEGABYTE
    timeout_s: float = 25.0


def guard_of(view: Callable[..., Any]) -> Guard | None:
    """The mark on a view function, or None if it states nothing."""
    return getattr(view, MARK, None)


def mark(view: F, guard: Guard) -> F:
    """The view function, marked."""
    setattr(view, MARK, guard)
    return view


def public(view: F) -> F:
    """Open a route to everybody. Its handler is told nothing about a site or a user."""
    return mark(view, Guard(Demand.NOTHING))


def own_page(view: F) -> F:
    """Take a raw blueprint's route from the plugin's own pages: a session or a context token."""
    return mark(view, Guard(Demand.OWN_PAGE))


def exact(view: F) -> F:
    """Take a raw blueprint's route from the host alone: it signed this method, path and query."""
    return mark(view, Guard(Demand.EXACT))
