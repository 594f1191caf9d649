"""Rules for what an author declares with ``Plugin``: routes, marks, links, requirements and hooks, one check each.

Rules for a handler's parameters are in ``arguments``, for modules in ``modules``, for blueprints in ``isolation``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from addonkit.context import Demand
from addonkit.descriptor.scopes import IMPLIED
from addonkit.descriptor.variables import VARIABLES
from addonkit.errors import PluginError
from addonkit.extension import hookspecs
from addonkit.extension.arguments import IDENTITY, Handler, Parameter
from addonkit.extension.guard import Guard, guard_of
from addonkit.extension.requirements import requirements_of
from addonkit.text import near_matches

CONTENT_OPERATIONS = ("read", "update", "delete")
"""Permissions on content. Source: the product's permission check, which has further names for spaces."""
HOOKS = frozenset(name for name in vars(hookspecs) if name.startswith("addon_"))
IMPLEMENTED = frozenset(
    {"addon_modules", "addon_scopes", "addon_settings", "addon_models", "addon_blueprint", "addon_jobs"}
)
"""Hooks that ``Plugin`` implements itself."""


def check_hook(plugin: str, name: str) -> None:
    """Check that a function has the name of a hook, and of one that ``Plugin`` does not implement itself."""
    if name in IMPLEMENTED:
        raise PluginError(f"plugin '{plugin}' implements '{name}', as Plugin itself does; remove it", plugin=plugin)
    if name not in HOOKS:
        raise PluginError(f"plugin '{plugin}' {unknown_hook(name)}", plugin=plugin)


def unknown_hook(name: str) -> str:
    """Return an error message for a name that is not a hook, with the hook that was probably meant."""
    close = near_matches(name, HOOKS)
    remedy = f"did you mean '{close[0]}'" if close else f"hooks are {', '.join(sorted(HOOKS - IMPLEMENTED))}"
    return f"implements '{name}', which is not a hook; {remedy}"


def check_page(plugin: str, handler: Handler, guard: Guard, parameters: Iterable[Parameter]) -> None:
    """Check that a page has no mandatory parameter that its URL cannot fill."""
    lost = [one.name for one in parameters if one.source == "caller" and one.mandatory]
    if guard.demand is Demand.EXACT and lost:
        close = near_matches(lost[0], VARIABLES)
        mapped = f"map it with variables={{'{lost[0]}': …}} or give it a default"
        raise PluginError(
            f"plugin '{plugin}': page '{handler.__name__}' has the parameter '{lost[0]}', which the host does not "
            "fill; " + (f"did you mean '{close[0]}'" if close else mapped),
            plugin=plugin,
        )


def check_rule(plugin: str, rule: str, verified: frozenset[str]) -> None:
    """Check that a path contains no name that is filled from verified facts only."""
    for name in re.findall(r"<(?:[^:<>]+:)?(\w+)>", rule):
        if name in VARIABLES or name in verified or name in IDENTITY or name == "context":
            raise PluginError(
                f"plugin '{plugin}' routes '{rule}', but '{name}' is filled from verified facts, never from the path; "
                "rename that part",
                plugin=plugin,
            )


def check_guard(plugin: str, handler: Handler, guard: Guard, known: Guard | None) -> None:
    """Check that a handler's guard is consistent, and that all its routes have the same one."""
    if guard.licensed and guard.demand is Demand.NOTHING:
        raise PluginError(
            f"plugin '{plugin}': handler '{handler.__name__}' is licensed and public, but a public request has no "
            "licence; remove one of the two",
            plugin=plugin,
        )
    if guard.pages and guard.demand is not Demand.OWN_PAGE:
        raise PluginError(
            f"plugin '{plugin}': handler '{handler.__name__}' has 'pages', but its route demands {guard.demand} "
            "instead of a session; remove the mark or 'pages'",
            plugin=plugin,
        )
    if known is not None and known != guard:
        raise PluginError(
            f"plugin '{plugin}': handler '{handler.__name__}' has two routes with different options; write one "
            "handler for each",
            plugin=plugin,
        )


def check_marks(plugin: str, views: Mapping[Handler, Callable[..., Any]]) -> None:
    """Check that no handler was marked after its route had read the mark."""
    for handler, view in views.items():
        if guard_of(handler) != guard_of(view):
            raise PluginError(
                f"plugin '{plugin}': handler '{handler.__name__}' was marked after it was routed, which has no effect; "
                "put the mark below the route",
                plugin=plugin,
            )


def page_names(plugin: str, rule: str, pages: object) -> frozenset[str]:
    """Return the names of the handlers in a route's ``pages``; ``check_calling_pages`` checks the handlers later."""
    if not isinstance(pages, list | tuple | set | frozenset) or not pages:
        raise PluginError(
            f"plugin '{plugin}': the route '{rule}' has {pages!r} as 'pages', expected a list of page handlers; write "
            "pages=[editor], or remove it",
            plugin=plugin,
        )
    return frozenset(getattr(page, "__name__", "") for page in pages)


def check_calling_pages(
    plugin: str, calling: Iterable[tuple[str, object]], views: Mapping[Handler, Callable[..., Any]]
) -> None:
    """Check that every page in a route's ``pages`` is a page of the plugin that can have a session."""
    for rule, page in calling:
        guard = guard_of(page) if callable(page) and page in views else None
        if guard is None or guard.demand is not Demand.EXACT:
            named = getattr(page, "__name__", page)
            raise PluginError(
                f"plugin '{plugin}': the route '{rule}' has '{named}' in its 'pages', which is not a page with a "
                "session; name handlers of @plugin.module or @plugin.page that are not cacheable",
                plugin=plugin,
            )


def check_links(plugin: str, linked: Iterable[Handler], views: Mapping[Handler, Callable[..., Any]]) -> None:
    """Check that every linked handler has a route."""
    for handler in linked:
        if handler not in views:
            raise PluginError(
                f"plugin '{plugin}' links to '{handler.__name__}', which is not a page; decorate it with @plugin.page",
                plugin=plugin,
            )


def check_permissions(plugin: str, unnamed: Iterable[object], content: str | None) -> None:
    """Check the arguments of ``@plugin.requires``."""
    for _ in unnamed:
        raise PluginError(
            f"plugin '{plugin}' passes a permission to @plugin.requires without the object it applies to; write "
            "@plugin.requires(issue='EDIT_ISSUES')",
            plugin=plugin,
        )
    if content is not None and content not in CONTENT_OPERATIONS:
        raise PluginError(
            f"plugin '{plugin}' requires '{content}' on content, but Confluence has {', '.join(CONTENT_OPERATIONS)}; "
            "use one of these",
            plugin=plugin,
        )


def includes_read(scopes: Iterable[str]) -> bool:
    """Return whether scopes include ``READ``, by themselves or by what they imply."""
    asked = {scope.upper() for scope in scopes}
    return "READ" in asked.union(*(IMPLIED.get(scope, frozenset()) for scope in asked))


def check_requirements(plugin: str, views: Iterable[Handler], scopes: frozenset[str]) -> None:
    """Check that routes with requirements have a user, and that the plugin has the scope to ask the host."""
    for handler in views:
        guard = guard_of(handler)
        if not requirements_of(handler):
            continue
        if guard is not None and guard.demand is Demand.NOTHING:
            raise PluginError(
                f"plugin '{plugin}': handler '{handler.__name__}' is public and requires a permission, but a public "
                "request has no user; remove @public or @plugin.requires",
                plugin=plugin,
            )
        if not includes_read(scopes):
            raise PluginError(
                f"plugin '{plugin}': handler '{handler.__name__}' requires a permission, but the plugin lacks "
                "the scope 'READ' to check it; add 'READ' to the plugin's scopes",
                plugin=plugin,
            )
