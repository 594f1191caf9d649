"""The registry of enabled plugins: loads them one at a time, checks them, and calls their hooks through pluggy."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import pluggy

from addonkit.descriptor.document import AddonFacts, Descriptor, build
from addonkit.errors import DescriptorConflict, DescriptorInvalid, PluginError
from addonkit.extension import hookspecs
from addonkit.extension.contribution import CheckStorage, Contribution, contribution_of
from addonkit.extension.discovery import PROJECT, Installed, choose, plugin_errors
from addonkit.extension.loading import load
from addonkit.extension.plugin import Plugin
from addonkit.extension.validation import unknown_hook
from addonkit.settings import AddonSettings, Settings

EITHER = frozenset({"addon_failed"})
"""Hooks whose implementations may be async or not."""


class HookManager(pluggy.PluginManager):
    """pluggy's manager with the method ``ask``, which calls a hook of one plugin only."""

    def __init__(self) -> None:
        super().__init__(PROJECT)
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

    def add(self, plugin: Any, name: str) -> None:
        """Register a plugin and check its hooks.

        Raises:
            PluginError: A hook does not exist, or its implementation does not match it.
        """
        try:
            if self.register(plugin, name) is None:
                raise PluginError(f"plugin '{name}' is enabled twice; name it once in [addon] plugins", plugin=name)
            self.check_pending()
            self._check_async(plugin, name)
        except pluggy.PluginValidationError as error:
            raise PluginError(f"plugin '{name}' {_hook_fault(str(error))}", plugin=name) from None
        except ValueError as error:
            raise PluginError(
                f"plugin '{name}' cannot be registered: {error}; use each object for one plugin", plugin=name
            ) from None

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

    def _check_async(self, plugin: Any, name: str) -> None:
        """Check that implementations of async hooks are async, and of sync hooks sync."""
        for caller in self.get_hookcallers(plugin) or ():
            if caller.name in EITHER:
                continue
            is_async = inspect.iscoroutinefunction(getattr(hookspecs, caller.name))
            [function] = [impl.function for impl in caller.get_hookimpls() if impl.plugin is plugin]
            if inspect.iscoroutinefunction(function) != is_async:
                kind, remedy = ("async", "async def") if is_async else ("not async", "def")
                raise PluginError(
                    f"plugin '{name}' implements '{caller.name}', which is {kind}; write it with '{remedy}'",
                    plugin=name,
                )


class Skipped(NamedTuple):
    """A plugin that the deployment starts without.

    Attributes:
        name: The plugin's name.
        reason: The error that would otherwise have stopped the start.
    """

    name: str
    reason: str


@dataclass(slots=True)
class Registry:
    """The enabled plugins.

    Attributes:
        settings: The deployment's configuration.
        manager: pluggy's manager; answers come in the order of plugin names.
        contributions: Each plugin's contributions by name, names sorted.
        skipped: Plugins that the deployment starts without, with the reason.
        descriptor: The merged descriptor.
    """

    settings: Settings
    manager: HookManager = field(default_factory=HookManager)
    contributions: dict[str, Contribution] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    descriptor: Descriptor = field(init=False)

    def listeners(self, hook: str) -> tuple[str, ...]:
        """Return the names of the plugins that implement a hook, sorted."""
        return tuple(sorted(impl.plugin_name for impl in getattr(self.manager.hook, hook).get_hookimpls()))

    def ask(self, plugin: str, hook: str, **arguments: Any) -> Any:
        """Call one plugin's implementation of a hook and return its answer; None without an implementation.

        Args:
            plugin: The plugin's name.
            hook: The hook's name. The answer of an async hook is to be awaited.
            **arguments: All arguments of the hook; the implementation gets those that it names.
        """
        return self.manager.ask(plugin, hook, **arguments)

    def skip(self, error: PluginError) -> None:
        """Go on without a plugin that was loaded and turned out to be unusable, if the deployment allows that.

        Raises:
            PluginError: It does not.
        """
        name = error.plugin
        _skip(self, name, error)
        self.manager.unregister(name=name)
        del self.contributions[name]
        _build_descriptor(self)


def load_registry(
    settings: Settings,
    available: Mapping[str, tuple[Installed, ...]],
    check_storage: CheckStorage = lambda _plugin, _models: None,
) -> Registry:
    """Load the plugins that a deployment enables, and no others.

    Args:
        settings: The deployment's configuration.
        available: All installed plugins.
        check_storage: Checks the models and migrations of each plugin.

    Raises:
        PluginError: The first plugin that cannot be used and may not be skipped.
    """
    registry = Registry(settings)
    # In reverse order, because pluggy calls the plugin first that was registered last.
    for name in sorted(settings.addon.plugins, reverse=True):
        try:
            _add(registry, choose(name, available), check_storage)
        except PluginError as error:
            _skip(registry, name, error)
    registry.contributions = dict(sorted(registry.contributions.items()))
    _build_descriptor(registry)
    _check_licensing(registry)
    return registry


def installed_hook(installed: Installed, hook: str) -> Callable[..., Any] | None:
    """Return a function that calls an installed plugin's hook, whether it is enabled or not; None without one.

    Raises:
        PluginError: The plugin cannot be imported or registered.
    """
    manager = HookManager()
    plugin = load(installed)
    with plugin_errors(
        installed.name, f"plugin '{installed.name}' cannot be registered: {{cause}}; correct the plugin"
    ):
        manager.add(plugin, installed.name)
    return partial(manager.ask, installed.name, hook) if getattr(manager.hook, hook).get_hookimpls() else None


def ask_installed(installed: Installed, hook: str, **arguments: Any) -> Any:
    """Call an installed plugin's implementation of a hook, as ``Registry.ask`` does for an enabled one.

    Raises:
        PluginError: The plugin cannot be imported or registered.
    """
    call = installed_hook(installed, hook)
    return None if call is None else call(**arguments)


def _add(registry: Registry, installed: Installed, check_storage: CheckStorage) -> None:
    plugin = load(installed)
    try:
        registry.manager.add(plugin, installed.name)
        registry.contributions[installed.name] = contribution_of(
            partial(registry.ask, installed.name),
            plugin,
            installed,
            section=registry.settings.plugin.get(installed.name, {}),
            others=[name for name in registry.settings.addon.plugins if name != installed.name],
            strict=registry.settings.addon.strict,
            check_storage=check_storage,
        )
    except PluginError:
        if registry.manager.has_plugin(installed.name):
            registry.manager.unregister(name=installed.name)
        raise


def _hook_fault(text: str) -> str:
    """Translate pluggy's message about an invalid hook implementation into our own."""
    if unknown := re.search(r"unknown hook '(\w+)'", text):
        return unknown_hook(unknown[1])
    hook = re.search(r"for hook '(\w+)'", text)
    arguments = re.search(r"Argument\(s\) \{([^}]*)\}", text)
    if hook and arguments:
        spec = getattr(hookspecs, hook[1])
        offered = ", ".join(spec.__code__.co_varnames[: spec.__code__.co_argcount]) or "none"
        return f"names the argument {arguments[1]} in '{hook[1]}', which that hook does not have; it has {offered}"
    return f"does not match its hooks: {' '.join(text.split())}; see the hook reference"


def _skip(registry: Registry, name: str, error: PluginError) -> None:
    """Record a plugin that the deployment can start without, or stop the start."""
    addon = registry.settings.addon
    if addon.on_plugin_error == "stop":
        raise error
    if name in addon.required:
        raise PluginError(f"{error}; it is in [addon] required and cannot be skipped", plugin=name) from error
    registry.skipped.append(Skipped(name, str(error)))


def _build_descriptor(registry: Registry) -> None:
    """Build the descriptor; if two plugins conflict, skip the second one or stop the start, as configured."""
    while True:
        try:
            registry.descriptor = _merged(registry.settings.addon, registry.contributions)
        except (DescriptorConflict, DescriptorInvalid) as error:
            _skip(registry, error.plugin, error)
            registry.manager.unregister(name=error.plugin)
            del registry.contributions[error.plugin]
        else:
            return


def addon_facts(addon: AddonSettings) -> AddonFacts:
    """Return the add-on's own fields of the descriptor."""
    return AddonFacts(
        key=addon.key,
        name=addon.name,
        base_url=addon.base_url,
        description=addon.description,
        vendor=addon.vendor.model_dump() if addon.vendor else None,
        licensing=addon.licensing,
    )


def _merged(addon: AddonSettings, contributions: Mapping[str, Contribution]) -> Descriptor:
    modules = [module for one in contributions.values() for module in one.modules]
    return build(addon_facts(addon), modules, {name: one.scopes for name, one in contributions.items()})


def _check_licensing(registry: Registry) -> None:
    """If licensing is on and a route is licensed, check that a plugin implements ``addon_admit``."""
    if not registry.settings.addon.licensing or registry.listeners("addon_admit"):
        return
    for one in registry.contributions.values():
        for route in one.routes:
            if route.licensed:
                raise PluginError(
                    f"plugin '{one.name}' marks '{route.endpoint}' as licensed and [addon] licensing is on, but no "
                    "plugin implements 'addon_admit'; enable one such as 'licensing', or set licensing to false",
                    plugin=one.name,
                )
