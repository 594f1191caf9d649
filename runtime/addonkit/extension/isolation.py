"""What keeps a plugin's routes its own: their paths, names and marks, looked at before anything is served."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version
from types import CodeType

from quart import Blueprint, Quart
from werkzeug.routing import Rule

from addonkit.context import Route
from addonkit.errors import DescriptorConflict, PluginError
from addonkit.extension.guard import guard_of

UNSEEN = ("static",)


def _code_of_a_route() -> CodeType:
    """The code that Quart defers for each route of a blueprint, found by adding a route to a blueprint.

    Raises:
        ImportError: This release of Quart keeps routes in another way.
    """
    sample = Blueprint("sample", __name__)
    sample.add_url_rule("/sample", "sample", lambda: "")
    found = [getattr(deferred, "__code__", None) for deferred in getattr(sample, "deferred_functions", ())]
    if len(found) != 1 or not isinstance(found[0], CodeType):
        raise ImportError(
            f"Quart {version('quart')} with Flask {version('flask')} does not defer one function for a blueprint's "
            "route, so plugins cannot be checked; install the releases that 'addonkit' was tested with, Quart 0.22 and "
            "Flask 3.1"
        )
    return found[0]


CODE_OF_A_ROUTE = _code_of_a_route()


def routes_of(plugin: str, blueprint: Blueprint, others: Iterable[str]) -> tuple[Route, ...]:
    """The routes that a blueprint would add, each with what it demands.

    Args:
        plugin: The plugin's name.
        blueprint: Its blueprint, raw or a ``Plugin``.
        others: Names of the other plugins, whose paths are theirs.

    Raises:
        PluginError: Something reaches beyond the plugin, or a route does not say what it demands.
    """
    if blueprint.name != plugin:
        raise PluginError(
            f"plugin '{plugin}' brings a blueprint named '{blueprint.name}', whose templates and routes would go by "
            f"that name; name it '{plugin}'",
            plugin=plugin,
        )
    trial = Quart(plugin, static_folder=None)
    before = {rule.endpoint for rule in trial.url_map.iter_rules()}
    _register(plugin, blueprint, trial)
    rules = [rule for rule in trial.url_map.iter_rules() if rule.endpoint not in before]
    found = {}
    taken: set[tuple[str, str]] = set()
    for rule in rules:
        _check_once(plugin, rule, taken)
        _check_path(plugin, rule.rule, others)
        if rule.websocket:
            _refuse(plugin, "websocket", "the runtime closes WebSockets")
        if rule.endpoint.rpartition(".")[2] in UNSEEN and rule.endpoint not in found:
            _refuse(plugin, "a static folder of Quart's", "use plugin.static")
        found[rule.endpoint] = _route(plugin, rule.rule, rule.endpoint, trial)
    return tuple(found.values())


def _check_once(plugin: str, rule: Rule, taken: set[tuple[str, str]]) -> None:
    """Note what a rule answers; a second one for the same could never be reached."""
    answered = {(method, rule.rule) for method in rule.methods or ()} - {("HEAD", rule.rule)}
    if twice := answered & taken:
        method, path = min(twice)
        raise PluginError(f"plugin '{plugin}' has two handlers for {method} '{path}'; give each its own", plugin=plugin)
    taken |= answered


def _register(plugin: str, blueprint: Blueprint, trial: Quart) -> None:
    try:
        trial.register_blueprint(blueprint)
    except (AssertionError, ValueError, TypeError) as wrong:
        said = str(wrong).partition("\n")[0]
        raise PluginError(
            f"plugin '{plugin}' brings routes that do not register: {said}; mend them", plugin=plugin
        ) from wrong
    for one in trial.blueprints.values():
        for deferred in one.deferred_functions:
            if getattr(deferred, "__code__", None) is not CODE_OF_A_ROUTE:
                name = getattr(deferred, "__qualname__", "")
                word = name.removeprefix("Blueprint.").partition(".")[0] if name.startswith("Blueprint.") else "record"
                _refuse(plugin, word, "use what acts on its own routes alone, such as 'before_request'")


def _refuse(plugin: str, word: str, remedy: str) -> None:
    raise PluginError(f"plugin '{plugin}' uses '{word}', which reaches beyond the plugin; {remedy}", plugin=plugin)


def _check_path(plugin: str, rule: str, others: Iterable[str]) -> None:
    if rule.startswith(f"/{plugin}/"):
        return
    first = rule.lstrip("/").partition("/")[0]
    if first in others:
        raise DescriptorConflict(
            f"plugin '{plugin}' routes '{rule}', which is a path of plugin '{first}'; put it under '/{plugin}/'",
            plugin=plugin,
            other=first,
        )
    raise PluginError(f"plugin '{plugin}' routes '{rule}'; put it under '/{plugin}/'", plugin=plugin)


def _route(plugin: str, rule: str, endpoint: str, trial: Quart) -> Route:
    guard = guard_of(trial.view_functions[endpoint])
    if guard is None:
        raise PluginError(
            f"plugin '{plugin}' routes '{rule}' without saying what it demands; put @own_page, @exact or @public on it",
            plugin=plugin,
        )
    return Route(plugin, endpoint, guard.demand, guard.licensed, guard.max_body, guard.timeout_s)
