"""Who calls the host, and the door to the clients of this process: the layers above open it.

Which plugin is at work is known by the layer that calls its handler; a call is judged by that plugin's scopes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from addonkit.errors import CallForbidden
from addonkit.host import Host

Door = Callable[[Any, str | None], Host]
"""Gives what asks a site (a ``Tenant``), in the name of who sent the request at hand (None is nobody)."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is at work.

    Attributes:
        plugin: The plugin's name; ``addonkit`` is the runtime itself.
        in_background: Whether nobody waits for it, so that pages go first.
    """

    plugin: str
    in_background: bool = False


_caller: ContextVar[Caller | None] = ContextVar("addonkit_caller", default=None)
_open: list[Door] = []


def caller() -> Caller:
    """Give who is at work in this task.

    Raises:
        CallForbidden: Nobody whom the runtime has called.
    """
    found = _caller.get()
    if found is None:
        raise CallForbidden("host calls need a plugin context; call from a route, job, webhook or lifecycle hook")
    return found


@contextmanager
def calling(plugin: str, *, in_background: bool = False) -> Iterator[None]:
    """Make this task, and what it starts, be a plugin's work."""
    token = _caller.set(Caller(plugin, in_background))
    try:
        yield
    finally:
        _caller.reset(token)


def host_of(tenant: Any, account_id: str | None) -> Host:
    """Give what asks a site's host.

    Raises:
        CallForbidden: No add-on runs in this process.
    """
    if not _open:
        raise CallForbidden("no add-on runs in this process; call the host while one does")
    return _open[-1](tenant, account_id)


@contextmanager
def opened(door: Door) -> Iterator[None]:
    """Let this process call hosts, for the block."""
    _open.append(door)
    try:
        yield
    finally:
        _open.remove(door)
