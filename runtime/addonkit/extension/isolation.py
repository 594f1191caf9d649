"""What keeps a plugin's routes its own: their paths, names and marks, looked at before anything is served."""

from __future__ import annotations

from collections.abc import Iterable

from quart import Blueprint, Quart
from werkzeug.routing import Rule

from addonkit.context import Route
from addonkit.errors import DescriptorConflict, PluginError
from addonkit.extension.guard import guard_of

ADDS_A_ROUTE = "Blueprint.add_url_rule.<locals>.<lambda>"
UNSEEN = ("static",)


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
            name = getattr(deferred, "__qualname__", "")
            if name != ADDS_A_ROUTE:
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
