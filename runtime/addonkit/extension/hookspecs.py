"""The hooks: what a plugin may answer, when it is asked, and what an answer or an exception means.

An author seldom implements a contribution: ``Plugin`` answers those itself. ``@plugin.hook`` takes the others, under
the hook's own name. A bare module with ``@hookimpl`` functions comes through the same door.

A hook names only the arguments that it wants; new ones may be added at any time, none is renamed or taken away.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click
from pluggy import HookimplMarker, HookspecMarker
from pydantic import BaseModel
from quart import Blueprint, Quart
from quart.typing import ResponseReturnValue

if TYPE_CHECKING:
    from addonkit.context import Context, Module, Route, Tenant
    from addonkit.work import JobSpec

PROJECT = "addonkit"
hookspec = HookspecMarker(PROJECT)
hookimpl = HookimplMarker(PROJECT)

# ------------------------------------------------------------------------------------------------------------------
# Contributions: sync, asked once, while the add-on is put together, in the order of plugin names
# ------------------------------------------------------------------------------------------------------------------


@hookspec
def addon_modules() -> Iterable[Module]:
    """The modules that this plugin brings to the descriptor.

    When: once, before the descriptor is merged; ``Plugin`` answers with what ``@plugin.module`` and
    ``plugin.declare`` collected.

    Returns:
        Modules in the order in which they shall stand. Each is checked against the host's rules.

    An exception stops the start, or skips this plugin where the deployment says so.
    """
    raise AssertionError("a specification is never called")


@hookspec
def addon_scopes() -> Iterable[str]:
    """The scopes that this plugin needs, in the host's words, such as ``READ`` and ``WRITE``.

    When: once, before the descriptor is merged; ``Plugin`` answers with its ``scopes`` argument.

    Returns:
        Names in any case. The descriptor asks for the union over all plugins, without those that others imply.

    An exception stops the start, or skips this plugin where the deployment says so.
    """
    raise AssertionError("a specification is never called")


@hookspec
def addon_settings() -> type[BaseModel] | None:
    """The model of this plugin's table in the configuration, ``[plugin.<name>]``.

    When: once, before anything of the plugin is used; ``Plugin`` answers with its ``settings`` argument.

    Returns:
        A pydantic model class whose fields all have defaults or are asked of the operator; unknown keys are errors
        whatever it says. None: the plugin has no settings, and a table for it is an error.

    An exception stops the start, or skips this plugin where the deployment says so.
    """
    raise AssertionError("a specification is never called")


@hookspec
def addon_models() -> str | None:
    """The dotted name of the module with this plugin's ``TenantModel`` classes.

    When: once, before the database is opened; ``Plugin`` answers with its ``models`` argument.

    Returns:
        A name such as ``"addonkit_issue_panel.models"``. The package of the plugin must have ``migrations/`` beside
        it. Table names begin with the plugin's name and ``_``. None: the plugin stores nothing.

    An exception stops the start, or skips this plugin where the deployment says so.
    """
    raise AssertionError("a specification is never called")


@hookspec
def addon_blueprint() -> Blueprint | None:
    """The routes of this plugin.

    When: once, when the application is built; ``Plugin`` answers with itself.

    Returns:
        A blueprint of the plugin's own name under ``/<name>``. Each route states what it demands: by the words of
        ``Plugin``, or on a raw blueprint by ``@public``, ``@own_page`` or ``@exact``. One that states nothing is
        refused. None: the plugin has no routes.

    An exception stops the start, or skips this plugin where the deployment says so.
    """
    raise AssertionError("a specification is never called")


@hookspec
def addon_jobs() -> Iterable[JobSpec]:
    """What this plugin does in the background: jobs, webhooks and what happens again and again.

    When: once, before the queue is opened; ``Plugin`` answers with what ``@plugin.job``, ``@plugin.webhook`` and
    ``@plugin.every`` collected.

    Returns:
        Specifications whose names are the plugin's own; waiting jobs are found by them.

    An exception stops the start, or skips this plugin where the deployment says so.
    """
    raise AssertionError("a specification is never called")


@hookspec
def addon_commands() -> Iterable[click.Command]:
    """The commands that this plugin adds under ``addonkit <name> …``.

    When: only when the command line asks for that name or lists what there is.

    Returns:
        Click commands. One that bears the plugin's own name is the command ``addonkit <name>`` itself. Each gets
        ``--config``; ``click.pass_obj`` hands it the ``Deployment``.

    An exception ends the command with a sentence and exit code 1.
    """
    raise AssertionError("a specification is never called")


# ------------------------------------------------------------------------------------------------------------------
# Assembly: sync, once
# ------------------------------------------------------------------------------------------------------------------


@hookspec
def addon_startup(app: Quart) -> None:
    """A look at the finished application, before it serves.

    When: once in each process, after all blueprints are registered and before the first request.

    Args:
        app: The application. What is changed here concerns everybody: a plugin that only serves pages needs none of
            it.

    An exception stops the start.
    """


# ------------------------------------------------------------------------------------------------------------------
# Admission: async, on each request, one plugin after the other
# ------------------------------------------------------------------------------------------------------------------


@hookspec
async def addon_admit(context: Context, route: Route) -> ResponseReturnValue | None:
    """Whether a proven request may go on to its handler.

    When: on each request to a route that demands a proof, after the proof was found good, in the order of plugin
    names, under the tenant's scope. Not for ``@public`` routes.

    Args:
        context: Who asks, for which site, with which licence.
        route: What is asked for: plugin, endpoint, and whether it needs a licence.

    Returns:
        None lets the request go on to the next plugin. Anything that a Quart handler may return is sent in place of
        the feature, and nobody else is asked.

    An exception refuses the request with 503: what cannot be judged is not let in.
    """


# ------------------------------------------------------------------------------------------------------------------
# Events: async, at least once, each plugin by itself, after the site is stored, under the tenant's scope
# ------------------------------------------------------------------------------------------------------------------


@hookspec
async def addon_installed(tenant: Tenant, first: bool) -> None:
    """A site installed the add-on, or the host renewed what it knows of it.

    When: after each stored ``installed``: installation, upgrade, new secret, rename.

    Args:
        tenant: The site as it is now.
        first: Whether it was unknown before. A plugin that is switched on later meets known sites: ask your own table
            whether there is something to do.

    An exception is reported and the event is delivered again later; the installation stands. The same event may come
    twice: write so that it does no harm.
    """


@hookspec
async def addon_enabled(tenant: Tenant) -> None:
    """An administrator, or the end of an installation, switched the add-on on.

    When: after each ``enabled`` that changed the site's state was stored.

    Args:
        tenant: The site as it is now.

    An exception is reported and the event is delivered again later.
    """


@hookspec
async def addon_disabled(tenant: Tenant) -> None:
    """An administrator switched the add-on off; its pages answer 401 until it is enabled.

    When: after each ``disabled`` that changed the site's state was stored.

    Args:
        tenant: The site as it is now.

    An exception is reported and the event is delivered again later.
    """


@hookspec
async def addon_uninstalled(tenant: Tenant) -> None:
    """A site removed the add-on. Its rows stay: it may come back.

    When: after each ``uninstalled`` that changed the site's state was stored.

    Args:
        tenant: The site as it is now.

    An exception is reported and the event is delivered again later.
    """


# ------------------------------------------------------------------------------------------------------------------
# Purging: async, in a process of its own, each plugin by itself, also those that are switched off
# ------------------------------------------------------------------------------------------------------------------


@hookspec
async def addon_purge(tenant: Tenant) -> None:
    """All that is stored of a site is about to be deleted: let go of what is kept elsewhere than in the database.

    When: before ``addonkit tenants purge`` deletes the rows of a site that uninstalled, and before
    ``addonkit tenants adopt --discard`` deletes those of a site that gives up its number; under the tenant's scope, so
    that the plugin's rows can still be read. Every installed plugin that imports is asked, enabled or not. The
    application is not running: there are no settings and no requests. It is given 60 seconds.

    Args:
        tenant: The site as it was last. Its number is never given to another; its client key may come back with a new
            number, so go by the number.

    The rows need not be deleted here: all that bear the tenant's number go in any case.

    An exception leaves all rows of the site as they are and is reported; the next purge asks again. The same site may
    come twice: write so that it does no harm.
    """
