"""Builds the application of an add-on and calls ``addon_startup``; a plugin that fails there is a fault like any other.

If the deployment goes on without such a plugin, the application is built again without it, because the plugin may have
changed the first one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from addonkit.app.application import Application
from addonkit.app.deployment import Deployment
from addonkit.app.failure_reports import HOOK, FailureReports
from addonkit.context import Tenant
from addonkit.current import Runtime
from addonkit.errors import PluginError
from addonkit.extension.assets import Assets
from addonkit.extension.discovery import cause_of
from addonkit.extension.plugin import Plugin
from addonkit.extension.registry import Registry
from addonkit.host import Host
from addonkit.tenant_data.siblings import Siblings


def started_application(
    deployment: Deployment, runtime_of: Callable[[], Runtime], head: Callable[..., Any]
) -> Application:
    """Build the application, and call ``addon_startup`` of each plugin.

    Args:
        deployment: The deployment; a plugin that fails is removed from its registry, if it may be skipped.
        runtime_of: Creates the runtime for the plugins that the registry has now.
        head: The function ``addonkit_head`` of templates.

    Raises:
        PluginError: A plugin failed, and may not be skipped.
    """
    while True:
        runtime = runtime_of()
        try:
            with runtime.scope():
                return _build(runtime, deployment.registry, head)
        except PluginError as fault:
            deployment.registry.skip(fault)


def check_startup(deployment: Deployment) -> None:
    """Call ``addon_startup`` of each plugin for an application that serves nothing.

    Raises:
        PluginError: A plugin failed, and may not be skipped.
    """
    if deployment.registry.listeners("addon_startup"):
        started_application(deployment, lambda: runtime_for(deployment.registry), lambda: "")


def runtime_for(registry: Registry, host_of: Callable[[Tenant, str | None], Host] | None = None) -> Runtime:
    """Create the runtime for the plugins of a registry; without ``host_of``, it makes no host calls."""
    plugins = registry.contributions
    runtime = Runtime(
        settings={name: one.settings for name, one in plugins.items()},
        host_of=host_of,
        siblings=Siblings([name for name, one in plugins.items() if one.siblings]),
        missing_content_days=registry.settings.tenants.missing_content_days,
    )
    if registry.listeners(HOOK):
        runtime.failure_reporter = FailureReports(registry, runtime)
    return runtime


def _build(runtime: Runtime, registry: Registry, head: Callable[..., Any]) -> Application:
    application = Application(registry)
    application.jinja_env.globals.update(addonkit_head=head, addon_name=registry.settings.addon.name)
    application.jinja_env.trim_blocks = application.jinja_env.lstrip_blocks = True
    # Without async, a template is rendered in one step, which is much faster.
    runtime.templates = application.jinja_env.overlay(enable_async=False)
    for plugin in registry.listeners("addon_startup"):
        try:
            registry.ask(plugin, "addon_startup", app=application)
        except (Exception, SystemExit) as error:
            raise PluginError(
                f"plugin '{plugin}' raised {cause_of(error)} in addon_startup; correct the plugin, or remove it from "
                "[addon] plugins",
                plugin=plugin,
            ) from error
    return application


def plugin_assets(registry: Registry) -> dict[str, Assets]:
    """Return the static files of each plugin, by the plugin's name."""
    return {
        name: one.blueprint.assets for name, one in registry.contributions.items() if isinstance(one.blueprint, Plugin)
    }
