"""Checks at start-up that a plugin's blueprint affects only its own routes, by registering it with a trial application.

It checks the blueprint's name, its paths, the functions that it defers to the application, and that every route has a
guard.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version
from types import CodeType

from quart import Blueprint, Quart
from werkzeug.routing import Rule

from addonkit.context import Route
from addonkit.errors import DescriptorConflict, PluginError
from addonkit.extension.guard import guard_of

STATIC_ENDPOINT = "static"
"""The endpoint that Quart adds for a blueprint with a ``static_folder``."""


def _route_code() -> CodeType:
    """Return the code of the function that a blueprint defers for each route.

    A route is added to a sample blueprint to find it, so this does not depend on Quart's name for the function.

    Raises:
        ImportError: This release of Quart does not keep routes in that way.
    """
    sample = Blueprint("sample", __name__)
    sample.add_url_rule("/sample", "sample", lambda: "")
    found = [getattr(deferred, "__code__", None) for deferred in getattr(sample, "deferred_functions", ())]
    if len(found) != 1 or not isinstance(found[0], CodeType):
        raise ImportError(
            f"Quart {version('quart')} with Flask {version('flask')} does not defer one function for each route of a "
            "blueprint, so plugins cannot be checked; install Quart 0.22 and Flask 3.1"
        )
    return found[0]


ROUTE_CODE = _route_code()


def routes_of(plugin: str, blueprint: Blueprint, others: Iterable[str]) -> tuple[Route, ...]:
    """Return the routes that a blueprint would add, each with its demand.

    Args:
        plugin: The plugin's name.
        blueprint: Its blueprint, raw or a ``Plugin``.
        others: Names of the other plugins, which own their paths.

    Raises:
        PluginError: The blueprint affects more than the plugin's routes, or a route states no demand.
    """
    if blueprint.name != plugin:
        raise PluginError(
            f"plugin '{plugin}' has a blueprint named '{blueprint.name}', which would claim that name's templates and "
            f"routes; name it '{plugin}'",
            plugin=plugin,
        )
    trial = Quart(plugin, static_folder=None)
    before = {rule.endpoint for rule in trial.url_map.iter_rules()}
    _register(plugin, blueprint, trial)
    found = {}
    taken: set[tuple[str, str]] = set()
    for rule in trial.url_map.iter_rules():
        if rule.endpoint in before:
            continue
        _check_unique(plugin, rule, taken)
        _check_path(plugin, rule.rule, others)
        if rule.websocket:
            raise _refusal_of(plugin, "websocket", "the runtime closes WebSockets")
        if rule.endpoint.rpartition(".")[2] == STATIC_ENDPOINT and rule.endpoint not in found:
            raise _refusal_of(plugin, "static_folder", "use plugin.static")
        found[rule.endpoint] = _route(plugin, rule.rule, rule.endpoint, trial)
    return tuple(found.values())


def _check_unique(plugin: str, rule: Rule, taken: set[tuple[str, str]]) -> None:
    """Record the methods and path of a rule; a second rule for the same could never be reached."""
    answered = {(method, rule.rule) for method in rule.methods or ()} - {("HEAD", rule.rule)}
    if duplicates := answered & taken:
        method, path = min(duplicates)
        raise PluginError(f"plugin '{plugin}' has two handlers for {method} '{path}'; remove one", plugin=plugin)
    taken |= answered


def _register(plugin: str, blueprint: Blueprint, trial: Quart) -> None:
    try:
        trial.register_blueprint(blueprint)
    except (AssertionError, ValueError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise PluginError(
            f"plugin '{plugin}' has routes that do not register: {reason}; correct them", plugin=plugin
        ) from error
    for one in trial.blueprints.values():
        for deferred in one.deferred_functions:
            if getattr(deferred, "__code__", None) is not ROUTE_CODE:
                remedy = "use what affects its own routes only, such as 'before_request'"
                raise _refusal_of(plugin, _method_of(deferred), remedy)


def _method_of(deferred: object) -> str:
    """Name the blueprint's method that deferred a function, for a message."""
    name: str = getattr(deferred, "__qualname__", "")
    return name.removeprefix("Blueprint.").partition(".")[0] if name.startswith("Blueprint.") else "record"


def _refusal_of(plugin: str, method: str, remedy: str) -> PluginError:
    return PluginError(f"plugin '{plugin}' uses '{method}', which plugins must not use; {remedy}", plugin=plugin)


def _check_path(plugin: str, rule: str, others: Iterable[str]) -> None:
    if rule.startswith(f"/{plugin}/"):
        return
    first = rule.lstrip("/").partition("/")[0]
    if first in others:
        raise DescriptorConflict(
            f"plugin '{plugin}' routes '{rule}', a path of the plugin '{first}'; put it under '/{plugin}/'",
            plugin=plugin,
            other=first,
        )
    raise PluginError(f"plugin '{plugin}' routes '{rule}'; put it under '/{plugin}/'", plugin=plugin)


def _route(plugin: str, rule: str, endpoint: str, trial: Quart) -> Route:
    guard = guard_of(trial.view_functions[endpoint])
    if guard is None:
        raise PluginError(
            f"plugin '{plugin}' routes '{rule}' without a demand; decorate it with @own_page, @exact or @public",
            plugin=plugin,
        )
    pages = frozenset(f"{plugin}.{page}" for page in guard.pages)
    return Route(plugin, endpoint, guard.demand, guard.licensed, guard.max_body, guard.timeout_s, pages)
