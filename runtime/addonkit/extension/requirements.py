"""Permissions in the product that a user needs before a handler runs: marked on the handler, checked on each request.

A context proves which object a page shows, not what the user may do with it: the host is asked for that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeVar

from quart import abort

from addonkit.context import Context
from addonkit.host import Access

F = TypeVar("F", bound=Callable[..., Any])
Kind = Literal["issue", "project", "content", "site"]

_MARK = "__addonkit_requires__"
OBJECTS: dict[str, str] = {"issue": "issue_id", "project": "project_id", "content": "content_id"}
"""By kind of requirement, the parameter that holds the object's id; ``site`` has none."""


class Requirement(NamedTuple):
    """One permission.

    Attributes:
        kind: What the permission applies to.
        permission: The host's name for it, such as ``EDIT_ISSUES``.
    """

    kind: Kind
    permission: str


def require(handler: F, requirements: tuple[Requirement, ...]) -> F:
    """Add requirements to a handler and return it."""
    setattr(handler, _MARK, (*requirements_of(handler), *requirements))
    return handler


def requirements_of(handler: Callable[..., Any]) -> tuple[Requirement, ...]:
    """Return a handler's requirements."""
    return getattr(handler, _MARK, ())


def objects_required(handler: Callable[..., Any]) -> tuple[str, ...]:
    """Return the parameters that hold the objects of a handler's requirements."""
    return tuple(OBJECTS[one.kind] for one in requirements_of(handler) if one.kind in OBJECTS)


async def check_requirement(requirement: Requirement, context: Context) -> None:
    """Refuse the request unless its user has the permission: 401 without a user or object, 403 without permission.

    Raises:
        ObjectIdInvalid: The object's id has no form that the host uses.
        HostError: The host gave no answer.
    """
    about: dict[str, str] = {}
    if requirement.kind in OBJECTS:
        object_id = context.objects.get(OBJECTS[requirement.kind])
        if not object_id:
            abort(401, f"'{OBJECTS[requirement.kind]}' is not among the facts that this request proves")
        about[requirement.kind] = object_id
    if context.account_id is None:
        abort(401, f"this needs the permission '{requirement.permission}', which an anonymous visitor does not have")
    access = await context.host.access(requirement.permission, **about)
    if access is Access.HIDDEN:
        abort(
            403,
            f"this needs the permission '{requirement.permission}', but the app itself may not see this "
            f"{requirement.kind} and cannot check it; an administrator can give the app access",
        )
    if access is not Access.GRANTED:
        abort(403, f"this needs the permission '{requirement.permission}', which you do not have here")
