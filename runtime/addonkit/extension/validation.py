"""What an author may not write with ``Plugin``, each rule told in a sentence; and where a module's URL is put.

What a handler may ask for is in ``handlers``; what a blueprint may do, in ``isolation``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from addonkit.context import Demand
from addonkit.descriptor.module_types import MODULE_TYPES
from addonkit.descriptor.scopes import IMPLIED
from addonkit.descriptor.variables import VARIABLES
from addonkit.errors import PluginError
from addonkit.extension import hookspecs
from addonkit.extension.arguments import IDENTITY, Handler, Parameter
from addonkit.extension.guard import Guard, guard_of
from addonkit.extension.requirements import requirements_of
from addonkit.text import near_matches

CONTENT_OPERATIONS = ("read", "update", "delete")
"""What may be asked about content. Source: the product's permission check, which knows further words for spaces."""
HOOKS = frozenset(name for name in vars(hookspecs) if name.startswith("addon_"))
ANSWERED = frozenset(
    {"addon_modules", "addon_scopes", "addon_settings", "addon_models", "addon_blueprint", "addon_jobs"}
)
"""Hooks that ``Plugin`` answers itself."""


def placed(plugin: str, type_: str, url: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """A module's fields with its page's URL where this type keeps it.

    Raises:
        PluginError: Modules of this type show no page, or several.
    """
    known = MODULE_TYPES.get(type_)
    if known is not None and known.page_url is None:
        raise PluginError(
            f"plugin '{plugin}' uses @plugin.module for '{type_}', which shows no page; use plugin.declare",
            plugin=plugin,
        )
    if known is not None and known.page_url == "target.url":
        return {**fields, "target": {"type": "web_panel", **fields.get("target", {}), "url": url}}
    return {**fields, "url": url}


def check_hook(plugin: str, name: str) -> None:
    """Refuse a function of a plugin's that bears no hook's name, or that of one which ``Plugin`` answers."""
    if name in ANSWERED:
        raise PluginError(f"plugin '{plugin}' answers '{name}', which Plugin answers itself; drop it", plugin=plugin)
    if name not in HOOKS:
        close = near_matches(name, HOOKS)
        hint = f"did you mean '{close[0]}'" if close else f"hooks are {', '.join(sorted(HOOKS - ANSWERED))}"
        raise PluginError(f"plugin '{plugin}' answers '{name}', which is no hook; {hint}", plugin=plugin)


def check_page(plugin: str, handler: Handler, guard: Guard, parameters: Iterable[Parameter]) -> None:
    """Refuse a page that asks for what its URL does not carry: it gets that from the host, and nothing else."""
    lost = [one.name for one in parameters if one.source == "request" and one.mandatory]
    if guard.demand is Demand.EXACT and lost:
        close = near_matches(lost[0], VARIABLES)
        mapped = f"map it with variables={{'{lost[0]}': …}} or give it a default"
        raise PluginError(
            f"plugin '{plugin}' asks for '{lost[0]}' in the page '{handler.__name__}', which the host does not fill; "
            + (f"did you mean '{close[0]}'" if close else mapped),
            plugin=plugin,
        )


def check_rule(plugin: str, rule: str, verified: frozenset[str]) -> None:
    """Refuse a part of a path that bears the name of something that is never taken from a path."""
    for name in re.findall(r"<(?:[^:<>]+:)?(\w+)>", rule):
        if name in VARIABLES or name in verified or name in IDENTITY or name == "context":
            raise PluginError(
                f"plugin '{plugin}' routes '{rule}', and '{name}' is taken from what was proven, never from the path; "
                "rename that part",
                plugin=plugin,
            )


def check_terms(plugin: str, handler: Handler, guard: Guard, known: Guard | None) -> None:
    """Refuse a handler that is served on two terms, or sold and given away at once."""
    if guard.licensed and guard.demand is Demand.NOTHING:
        raise PluginError(
            f"plugin '{plugin}' serves '{handler.__name__}' licensed and to everybody, who has no licence to show; "
            "drop one of the two",
            plugin=plugin,
        )
    if known is not None and known != guard:
        raise PluginError(
            f"plugin '{plugin}' serves '{handler.__name__}' twice on different terms; write a handler for each",
            plugin=plugin,
        )


def check_marks(plugin: str, views: Mapping[Handler, Callable[..., Any]]) -> None:
    """Refuse a handler that was marked after its route had read the mark."""
    for handler, view in views.items():
        if guard_of(handler) != guard_of(view):
            raise PluginError(
                f"plugin '{plugin}' marks '{handler.__name__}' after it was routed, which changes nothing; put the "
                "mark below the route",
                plugin=plugin,
            )


def check_links(plugin: str, linked: Iterable[Handler], views: Mapping[Handler, Callable[..., Any]]) -> None:
    """Refuse a link to a handler that is not served."""
    for handler in linked:
        if handler not in views:
            raise PluginError(
                f"plugin '{plugin}' links to '{handler.__name__}', which is no page; put @plugin.page on it",
                plugin=plugin,
            )


def check_permissions(plugin: str, unnamed: Iterable[object], content: str | None) -> None:
    """Refuse permissions that are written in a way that means nothing."""
    for _ in unnamed:
        raise PluginError(
            f"plugin '{plugin}' writes @plugin.requires without naming what the permission is on; write "
            "@plugin.requires(issue='EDIT_ISSUES')",
            plugin=plugin,
        )
    if content is not None and content not in CONTENT_OPERATIONS:
        raise PluginError(
            f"plugin '{plugin}' requires '{content}' of content, and Confluence knows {', '.join(CONTENT_OPERATIONS)}; "
            "use one of these",
            plugin=plugin,
        )


def check_requirements(plugin: str, views: Iterable[Handler], scopes: frozenset[str]) -> None:
    """Refuse permissions of nobody, and permissions that the plugin may not ask the host about."""
    for handler in views:
        guard = guard_of(handler)
        if not requirements_of(handler):
            continue
        if guard is not None and guard.demand is Demand.NOTHING:
            raise PluginError(
                f"plugin '{plugin}' opens '{handler.__name__}' to everybody and requires a permission, which nobody "
                "can show there; drop @public or @plugin.requires",
                plugin=plugin,
            )
        asked = {scope.upper() for scope in scopes}
        if "READ" not in asked.union(*(IMPLIED.get(scope, frozenset()) for scope in asked)):
            raise PluginError(
                f"plugin '{plugin}' requires a permission for '{handler.__name__}' without the scope 'READ' that "
                "asking the host for it needs; add 'READ' to the plugin's scopes",
                plugin=plugin,
            )
