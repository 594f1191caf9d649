"""What a user must be allowed by the host before a handler runs: written on the handler, asked for each request.

The context says where a user is and not what they may do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from quart import abort

from addonkit.context import Context

F = TypeVar("F", bound=Callable[..., Any])
Kind = Literal["issue", "project", "content", "site"]

_MARK = "__addonkit_requires__"
OBJECTS: dict[str, str] = {"issue": "issue_id", "project": "project_id", "content": "content_id"}
"""By what a permission is about, the name that its number goes by."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One permission.

    Attributes:
        kind: What it is about.
        permission: In the host's words, such as ``EDIT_ISSUES``.
    """

    kind: Kind
    permission: str


def require(handler: F, requirements: tuple[Requirement, ...]) -> F:
    """The handler, marked with these as well."""
    setattr(handler, _MARK, (*requirements_of(handler), *requirements))
    return handler


def requirements_of(handler: Callable[..., Any]) -> tuple[Requirement, ...]:
    """What was marked on a handler."""
    return getattr(handler, _MARK, ())


def objects_required(handler: Callable[..., Any]) -> tuple[str, ...]:
    """The names of the host's objects that its permissions are about."""
    return tuple(OBJECTS[one.kind] for one in requirements_of(handler) if one.kind in OBJECTS)


async def demand(requirement: Requirement, context: Context) -> None:
    """End the request unless its user has the permission: 401 without a user or such an object, 403 without it.

    Raises:
        HostError: The host did not say.
    """
    about: dict[str, str] = {}
    if requirement.kind in OBJECTS:
        number = context.objects.get(OBJECTS[requirement.kind])
        if not number:
            abort(401, f"'{OBJECTS[requirement.kind]}' is not among what this request was proven to be about")
        about[requirement.kind] = number
    if context.account_id is None:
        abort(401, f"this needs the permission '{requirement.permission}', which an anonymous visitor does not have")
    if not await context.host.may(requirement.permission, **about):
        abort(403, f"this needs the permission '{requirement.permission}', which you do not have here")
