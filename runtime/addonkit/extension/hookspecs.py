"""The hooks that plugins implement: when each is called, and what its answer or an exception means.

``Plugin`` implements the contributions itself; implement the others with ``@plugin.hook`` on a function with the
hook's name. A module whose functions are decorated with ``@hookimpl`` is a plugin as well.

An implementation names only the arguments that it uses. Hooks may gain arguments at any time; none is renamed or
removed.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

import click
from pluggy import HookimplMarker, HookspecMarker
from pydantic import BaseModel
from quart import Blueprint, Quart
from quart.typing import ResponseReturnValue

from addonkit.extension.discovery import PROJECT

if TYPE_CHECKING:
    from addonkit.context import Context, Module, Route, Tenant
    from addonkit.failure import FailureFacts
    from addonkit.work import JobSpec

hookspec = HookspecMarker(PROJECT)
hookimpl = HookimplMarker(PROJECT)

# ------------------------------------------------------------------------------------------------------------------
# Contributions: sync, called once while the add-on is assembled, in the order of plugin names
# ------------------------------------------------------------------------------------------------------------------


@hookspec
def addon_modules() -> Iterable[Module]:
    """Return the plugin's modules for the descriptor.

    When: once, before the descriptor is merged. ``Plugin`` returns what ``@plugin.module``, ``plugin.declare`` and
    ``@plugin.webhook`` have declared.

    Returns:
        Modules in the order of the descriptor. Each is checked against the host's rules.

    An exception stops the start, or skips the plugin with ``on_plugin_error = "skip"``.
    """
    raise AssertionError("a specification is never called")


@hookspec
def addon_scopes() -> Iterable[str]:
    """Return the scopes that the plugin needs, such as ``READ`` and ``WRITE``.

    When: once, before the descriptor is merged. ``Plugin`` returns its ``scopes`` argument.

    Returns:
        Names in any case. The descriptor has the union over all plugins, without scopes that others imply.

    An exception stops the start, or skips the plugin with ``on_plugin_error = "skip"``.
    """
    raise AssertionError("a specification is never called")


@hookspec
def addon_settings() -> type[BaseModel] | None:
    """Return the pydantic model of the plugin's settings in ``[plugin.<name>]``.

    When: once, before anything else of the plugin is used. ``Plugin`` returns its ``settings`` argument.

    Returns:
        A pydantic model class; fields without a default are required in the configuration. Unknown keys are errors,
        even if the model allows extra fields. None: the plugin has no settings, and a table for it is an error.

    An exception stops the start, or skips the plugin with ``on_plugin_error = "skip"``.
    """
    raise AssertionError("a specification is never called")


@hookspec
def addon_models() -> str | None:
    """Return the dotted name of the module with the plugin's ``TenantModel`` classes.

    When: once, before the database is opened. ``Plugin`` returns its ``models`` argument.

    Returns:
        A name such as ``"addonkit_issue_panel.models"``. The package must contain ``migrations/``. Table names begin
        with the plugin's name and ``_``. None: the plugin stores nothing.

    An exception stops the start, or skips the plugin with ``on_plugin_error = "skip"``.
    """
    raise AssertionError("a specification is never called")


@hookspec
def addon_blueprint() -> Blueprint | None:
    """Return the plugin's routes.

    When: once, when the application is built. ``Plugin`` returns itself.

    Returns:
        A blueprint with the plugin's name and the URL prefix ``/<name>``. Each route must have a demand: the decorators
        of ``Plugin`` set it; on a raw blueprint, use ``@public``, ``@own_page`` or ``@exact``. None: the plugin has no
        routes.

    An exception stops the start, or skips the plugin with ``on_plugin_error = "skip"``.
    """
    raise AssertionError("a specification is never called")


@hookspec
def addon_jobs() -> Iterable[JobSpec]:
    """Return the plugin's background work: jobs, webhooks and schedules.

    When: once, before the queue is opened. ``Plugin`` returns what ``@plugin.job``, ``@plugin.webhook`` and
    ``@plugin.every`` have declared.

    Returns:
        Specifications with names that are unique in the plugin; stored jobs find their handler by name.

    An exception stops the start, or skips the plugin with ``on_plugin_error = "skip"``.
    """
    raise AssertionError("a specification is never called")


@hookspec
def addon_commands() -> Iterable[click.Command]:
    """Return the commands that the plugin adds under ``addonkit <name> …``.

    When: when the command line runs one of them or lists all commands.

    Returns:
        Click commands. A single command with the plugin's name becomes ``addonkit <name>`` itself. Each gets the
        option ``--config``; with ``click.pass_obj`` it gets the ``Deployment``.

    An exception ends the command with an error message and exit code 1.
    """
    raise AssertionError("a specification is never called")


# ------------------------------------------------------------------------------------------------------------------
# Assembly: sync, once
# ------------------------------------------------------------------------------------------------------------------


@hookspec
def addon_startup(app: Quart) -> None:
    """Change the finished application before it serves.

    When: once in each process, after all blueprints are registered and before the first request.

    Args:
        app: The application. A change here affects all plugins; a plugin that only serves pages does not need this
            hook.

    An exception stops the start, or skips the plugin with ``on_plugin_error = "skip"``. Then the application is built
    again without the plugin, and the hook is called again for the others. ``addonkit check``, ``plugins`` and
    ``descriptor`` call the hook as well, to report a plugin that fails.
    """


# ------------------------------------------------------------------------------------------------------------------
# Admission: async, on each authenticated request, one plugin after another
# ------------------------------------------------------------------------------------------------------------------


@hookspec
async def addon_admit(context: Context, route: Route) -> ResponseReturnValue | None:
    """Decide whether an authenticated request may reach its handler.

    When: on each request to a route that demands a proof, after the proof was verified, in the order of plugin names,
    in the tenant's scope. Not for ``@public`` routes.

    Args:
        context: The verified facts: tenant, user, licence, objects.
        route: The requested route: plugin, endpoint, and whether it needs a licence.

    Returns:
        None admits the request, and the next plugin is called. Any other value that a Quart handler may return is
        sent as the response, and no further plugin is called.

    An exception refuses the request with 503.
    """


# ------------------------------------------------------------------------------------------------------------------
# Events: async, at least once, as a job of each plugin, after the tenant is stored, in the tenant's scope
# ------------------------------------------------------------------------------------------------------------------


@hookspec
async def addon_installed(tenant: Tenant, first: bool) -> None:
    """React to ``installed``: a site has installed the add-on, or the host has sent the site's data again.

    When: after each ``installed`` was stored: for an installation, an upgrade, a new shared secret or a renamed site.
    Also after a gone site was restored, because it knows the add-on again. For an add-on with a Forge manifest the host
    sends no ``installed`` when it updates the add-on by itself, which includes the move from Connect to Forge.

    Args:
        tenant: The tenant after the event.
        first: Whether the site was unknown before. A plugin that is enabled later also gets events of sites that are
            already known, so do not use this to decide whether your own rows exist.

    An exception is logged and the event is delivered again later; the installation stays valid. The same event can be
    delivered twice, so the implementation must be idempotent.
    """


@hookspec
async def addon_enabled(tenant: Tenant) -> None:
    """React to ``enabled``: an administrator has enabled the add-on, or an installation has ended.

    When: after an ``enabled`` that changed the tenant's state was stored. Also after a token proved that a disabled
    site is enabled, an operator enabled it, or a gone site was restored. For an add-on with a Forge manifest the host
    sends no ``enabled``: the hook is called after the ``addon_installed`` of an ``installed`` that enabled the site.

    Args:
        tenant: The tenant after the event.

    An exception is logged and the event is delivered again later.
    """


@hookspec
async def addon_disabled(tenant: Tenant) -> None:
    """React to ``disabled``: an administrator has disabled the add-on; its pages respond with 401 until it is enabled.

    When: after a ``disabled`` that changed the tenant's state was stored. Also after an operator disabled the site. For
    an add-on with a Forge manifest the host sends no ``disabled``.

    Args:
        tenant: The tenant after the event.

    An exception is logged and the event is delivered again later.
    """


@hookspec
async def addon_uninstalled(tenant: Tenant) -> None:
    """React to ``uninstalled``: a site has uninstalled the add-on. Its rows are kept for the retention time.

    When: after an ``uninstalled`` that changed the tenant's state was stored. Also after a site was found to be gone:
    it has disappeared without ``uninstalled``.

    Args:
        tenant: The tenant after the event.

    An exception is logged and the event is delivered again later.
    """


@hookspec
async def addon_missed(tenant: Tenant, since: datetime) -> None:
    """Look for what happened on a Confluence site while the add-on could not store its webhooks.

    When: as a job, once per site and outage, some ten seconds after the last webhook of the site that got 503 (or 408
    or 500), for any plugin's webhook. Not for Jira, which repeats such webhooks, and whose failed ones are recovered.
    Confluence neither repeats them nor keeps them. Nothing is known of a webhook that did not reach the add-on.

    Args:
        tenant: The site. The job waits while the site is disabled.
        since: When the first of these webhooks was refused, UTC. Its event happened shortly before.

    An exception is logged and the hook is called again later. It may be called twice for an outage, so the
    implementation must be idempotent.
    """


# ------------------------------------------------------------------------------------------------------------------
# Purging: async, each plugin by itself, enabled or not
# ------------------------------------------------------------------------------------------------------------------


@hookspec
async def addon_purge(tenant: Tenant) -> None:
    """Delete the data that the plugin stores about a tenant outside of the database.

    When: before the tenant's rows are purged, and before ``addonkit tenants adopt --discard`` deletes the rows of the
    tenant that is given up. It runs in the tenant's scope, so the plugin's rows can still be read. Every installed
    plugin that can be imported is called, enabled or not, unless its models or migrations have a fault. There is no
    current request and there are no settings. An implementation may run for 60 seconds.

    Args:
        tenant: The tenant as last stored. Its id is never assigned again, but its client key may return with a new id:
            identify what you keep by the id.

    Do not delete rows here: all rows with the tenant's id are deleted afterwards.

    An exception keeps all rows of the tenant and is logged; the next purge calls the hook again. It can be called twice
    for a tenant, so the implementation must be idempotent.
    """


# ------------------------------------------------------------------------------------------------------------------
# Failures: async or not, in the background, after the failure was logged
# ------------------------------------------------------------------------------------------------------------------


@hookspec
async def addon_failed(error: BaseException, facts: FailureFacts) -> None:
    """Report an unexpected exception, of any plugin or of the runtime, for example to Sentry.

    When: in the background, after an exception of a page, a route or ``addon_admit`` was answered with 500 or 503, or a
    page with 504 for its ``timeout_s``; after an attempt at a job, webhook, schedule or lifecycle hook failed; after
    ``addon_purge`` failed while the add-on serves. Not for ``abort``, commands and failures at the start, and not for
    an error that waits for the host or the database (``HostError``, ``StorageUnavailable`` and the like),
    unless a job has no attempts left. In the tenant's scope if there is a tenant. An implementation may be ``async
    def``, or ``def``, which runs in a thread, and may run for 10 seconds. At most 100 calls run at once; failures
    beyond are only logged.

    Args:
        error: The exception. Its message and the variables of its frames may contain anything, also tokens.
        facts: What failed and for whom: plugin, name, tenant, request, job, attempt, and whether it will be retried.

    An exception is logged as ``failure_hook.failed`` with its place, and changes nothing else.
    """
