"""The enabled plugins of a deployment: found, loaded one by one, checked, and asked what they bring."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pluggy

from addonkit.descriptor.document import AddonFacts, Descriptor, build
from addonkit.errors import DescriptorConflict, DescriptorInvalid, PluginError
from addonkit.extension import hookspecs
from addonkit.extension.contribution import Contribution, contribution_of
from addonkit.extension.discovery import Installed, choose, load
from addonkit.extension.plugin import Plugin
from addonkit.extension.validation import HOOKS
from addonkit.settings import AddonSettings, Settings
from addonkit.text import near_matches


@dataclass(frozen=True, slots=True)
class Skipped:
    """A plugin that the deployment starts without.

    Attributes:
        name: The plugin's name.
        reason: The sentence that it would have stopped the start with.
    """

    name: str
    reason: str


@dataclass(slots=True)
class Registry:
    """What is on.

    Attributes:
        settings: The deployment's configuration.
        manager: pluggy's, with the plugins registered so that answers come in the order of their names.
        contributions: What each brings, by name, names sorted.
        skipped: The ones that the deployment starts without, with the reason.
        descriptor: What they bring, merged.
    """

    settings: Settings
    manager: HookManager = field(default_factory=lambda: HookManager())
    contributions: dict[str, Contribution] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    descriptor: Descriptor = field(init=False)

    def listeners(self, hook: str) -> tuple[str, ...]:
        """Names of the plugins that implement a hook, sorted."""
        return tuple(sorted(impl.plugin_name for impl in getattr(self.manager.hook, hook).get_hookimpls()))

    def ask(self, plugin: str, hook: str, **arguments: Any) -> Any:
        """Call one plugin's implementation of a hook and return its answer; None without an implementation.

        Args:
            plugin: The plugin's name.
            hook: The hook's name. The answer of an async hook is to be awaited.
            **arguments: All arguments of the hook; the implementation gets those that it names.
        """
        return self.manager.ask(plugin, hook, **arguments)


def load_registry(settings: Settings, available: Mapping[str, tuple[Installed, ...]]) -> Registry:
    """Load the plugins that a deployment names, and nothing else.

    Args:
        settings: The deployment's configuration.
        available: All installed plugins.

    Raises:
        PluginError: With one sentence, for the first plugin that cannot be used and may not be skipped.
    """
    registry = Registry(settings)
    # pluggy asks the last one registered first
    for name in sorted(settings.addon.plugins, reverse=True):
        try:
            _add(registry, choose(name, available))
        except PluginError as wrong:
            _skip(registry, name, wrong)
    registry.contributions = dict(sorted(registry.contributions.items()))
    _settle_conflicts(registry)
    _check_licensing(registry)
    return registry


def installed_hook(one: Installed, hook: str) -> Callable[..., Any] | None:
    """A function that calls an installed plugin's implementation of a hook, enabled or not; None without one.

    Raises:
        PluginError: The plugin cannot be imported or registered.
    """
    manager = HookManager()
    _register(manager, load(one), one.name)
    return partial(manager.ask, one.name, hook) if getattr(manager.hook, hook).get_hookimpls() else None


def ask_installed(one: Installed, hook: str, **arguments: Any) -> Any:
    """Call an installed plugin's implementation of a hook, as ``Registry.ask`` does for an enabled one.

    Raises:
        PluginError: The plugin cannot be imported or registered.
    """
    call = installed_hook(one, hook)
    return None if call is None else call(**arguments)


class HookManager(pluggy.PluginManager):
    """pluggy's manager, and calls to one plugin alone."""

    def __init__(self) -> None:
        super().__init__(hookspecs.PROJECT)
        self._callers: dict[tuple[str, str], pluggy.HookCaller] = {}
        self.add_hookspecs(hookspecs)

    def ask(self, plugin: str, hook: str, **arguments: Any) -> Any:
        """Call one plugin's implementation of a hook and return its answer; None without an implementation."""
        caller = self._callers.get((plugin, hook))
        if caller is None:
            others = [one for name, one in self.list_name_plugin() if name != plugin]
            caller = self._callers[plugin, hook] = self.subset_hook_caller(hook, others)
        answers = caller(**arguments)
        return answers[0] if answers else None

    def register(self, plugin: Any, name: str | None = None) -> str | None:
        """Register a plugin, as pluggy does."""
        self._callers.clear()
        return super().register(plugin, name)

    def unregister(self, plugin: Any = None, name: str | None = None) -> Any:
        """Remove a plugin, as pluggy does."""
        self._callers.clear()
        return super().unregister(plugin, name)

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> Any:
        """Skip the attributes of a ``Plugin`` that are not hooks: it has checked its hooks' names itself."""
        if isinstance(plugin, Plugin) and not name.startswith("addon_"):
            return None
        return super().parse_hookimpl_opts(plugin, name)


def _add(registry: Registry, one: Installed) -> None:
    plugin = load(one)
    others = [name for name in registry.settings.addon.plugins if name != one.name]
    section = registry.settings.plugin.get(one.name, {})
    try:
        _register(registry.manager, plugin, one.name)
        registry.contributions[one.name] = contribution_of(
            partial(registry.ask, one.name), plugin, one, section, others
        )
    except PluginError:
        if registry.manager.has_plugin(one.name):
            registry.manager.unregister(name=one.name)
        raise


def _register(manager: HookManager, plugin: Any, name: str) -> None:
    """Register a plugin and tell at once of hooks that do not exist or do not fit."""
    try:
        if manager.register(plugin, name) is None:
            raise PluginError(f"plugin '{name}' is registered twice; name it once in [addon] plugins", plugin=name)
        manager.check_pending()
        _check_kinds(manager, plugin, name)
    except pluggy.PluginValidationError as wrong:
        raise PluginError(f"plugin '{name}' {_said(str(wrong))}", plugin=name) from None
    except ValueError as wrong:
        raise PluginError(
            f"plugin '{name}' cannot be registered: {wrong}; use each object for one plugin", plugin=name
        ) from None


def _check_kinds(manager: HookManager, plugin: Any, name: str) -> None:
    """Events and admission are awaited, contributions are not."""
    for caller in manager.get_hookcallers(plugin) or ():
        wanted = inspect.iscoroutinefunction(getattr(hookspecs, caller.name))
        [answer] = [impl.function for impl in caller.get_hookimpls() if impl.plugin is plugin]
        if inspect.iscoroutinefunction(answer) != wanted:
            remedy = "write it with 'async def'" if wanted else "write it with 'def'"
            awaited = "awaited" if wanted else "not awaited"
            raise PluginError(f"plugin '{name}' answers '{caller.name}', which is {awaited}; {remedy}", plugin=name)


def _said(text: str) -> str:
    """What pluggy found wrong, in our words."""
    if unknown := re.search(r"unknown hook '(\w+)'", text):
        close = near_matches(unknown[1], HOOKS)
        return f"answers '{unknown[1]}', which is no hook; " + (
            f"did you mean '{close[0]}'" if close else f"hooks are {', '.join(sorted(HOOKS))}"
        )
    hook = re.search(r"for hook '(\w+)'", text)
    arguments = re.search(r"Argument\(s\) \{([^}]*)\}", text)
    if hook and arguments:
        spec = getattr(hookspecs, hook[1])
        offered = ", ".join(spec.__code__.co_varnames[: spec.__code__.co_argcount]) or "none"
        return f"asks '{hook[1]}' for {arguments[1]}, which that hook does not have; it has {offered}"
    return f"does not fit its hooks: {' '.join(text.split())}; look at the hook reference"


def _skip(registry: Registry, name: str, wrong: PluginError) -> None:
    """Note a plugin that the deployment can do without, or stop."""
    addon = registry.settings.addon
    if addon.on_plugin_error == "stop":
        raise wrong
    if name in addon.required:
        raise PluginError(f"{wrong}; it is in [addon] required and is not skipped", plugin=name) from wrong
    registry.skipped.append(Skipped(name, str(wrong)))


def _settle_conflicts(registry: Registry) -> None:
    """Build the descriptor until no two plugins are at odds; the second one gives way where that is allowed."""
    while True:
        try:
            registry.descriptor = _build(registry.settings.addon, registry.contributions)
        except (DescriptorConflict, DescriptorInvalid) as wrong:
            _skip(registry, wrong.plugin, wrong)
            registry.manager.unregister(name=wrong.plugin)
            del registry.contributions[wrong.plugin]
        else:
            return


def _build(addon: AddonSettings, contributions: Mapping[str, Contribution]) -> Descriptor:
    facts = AddonFacts(
        key=addon.key,
        name=addon.name,
        base_url=addon.base_url,
        description=addon.description,
        vendor=addon.vendor.model_dump() if addon.vendor else None,
        licensing=addon.licensing,
    )
    modules = [module for one in contributions.values() for module in one.modules]
    return build(facts, modules, {name: one.scopes for name, one in contributions.items()})


def _check_licensing(registry: Registry) -> None:
    """A route that needs a licence, sold by the deployment, needs someone to refuse those who have none."""
    if not registry.settings.addon.licensing or registry.listeners("addon_admit"):
        return
    for one in registry.contributions.values():
        for route in one.routes:
            if route.licensed:
                raise PluginError(
                    f"plugin '{one.name}' marks '{route.endpoint}' as licensed, [addon] licensing is on, and no plugin "
                    "answers 'addon_admit'; enable one such as 'licensing', or set licensing to false",
                    plugin=one.name,
                )
