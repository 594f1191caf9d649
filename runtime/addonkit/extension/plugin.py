"""``Plugin``: a Quart blueprint that also declares modules, scopes, settings and background work.

Templates, error handlers and before/after functions are Quart's. Modules and their pages are in ``module_pages``,
routes in ``routes``, background work in ``background``. This file contains requirements and the contribution hooks.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from quart import Blueprint, current_app, request

from addonkit.context import Module
from addonkit.current import current_runtime
from addonkit.errors import PluginError
from addonkit.extension.assets import Assets
from addonkit.extension.discovery import NAME
from addonkit.extension.handlers import settings_of
from addonkit.extension.hookspecs import hookimpl
from addonkit.extension.module_pages import ModulePages
from addonkit.extension.requirements import Kind, Requirement, require
from addonkit.extension.routes import F
from addonkit.extension.stored_content import StoredContentPlugin
from addonkit.extension.validation import check_hook, check_links, check_permissions, check_requirements

API_VERSION = 1


class Plugin(ModulePages, StoredContentPlugin):
    """One plugin of an add-on: its modules, routes, background work, settings and hooks.

    Its name is also its entry point, blueprint, URL prefix, template prefix, settings table, prefix of database
    tables, command group and prefix of module keys.

    Args:
        name: Lower-case words joined by ``_``, such as ``issue_panel``.
        import_name: ``__name__`` of the package, which contains templates, static files and migrations.
        scopes: The scopes that the plugin needs, such as ``{"READ"}``.
        settings: Model of ``[plugin.<name>]``; a handler with a parameter of this type gets the values.
        models: Dotted name of the module with its ``TenantModel`` classes.
        siblings: Whether the plugin may read ``tenant.sibling()``: its own rows, and the host, of the other product on
            the same site.
        api: The version of this API that the plugin was written for.

    Raises:
        PluginError: The name is not usable, or ``scopes`` is a text.
    """

    def __init__(
        self,
        name: str,
        import_name: str,
        *,
        scopes: Iterable[str] = (),
        settings: type[BaseModel] | None = None,
        models: str | None = None,
        siblings: bool = False,
        api: int = API_VERSION,
    ) -> None:
        if not NAME.fullmatch(name):
            raise PluginError(
                f"plugin '{name}' has an unusable name; use lower-case words joined by '_', such as 'issue_panel'",
                plugin=name,
            )
        if isinstance(scopes, str):
            raise PluginError(
                f"plugin '{name}' has the text '{scopes}' as scopes, expected a set; write {{'{scopes}'}}", plugin=name
            )
        super().__init__(name, import_name, settings)
        self.scopes, self.models, self.api = frozenset(scopes), models, api
        self.siblings = siblings
        self._begin_background()
        self.assets = Assets(name, Path(self.root_path) / "static")

    def check(self) -> None:
        """Check every handler, link and requirement now, not at the first request.

        Raises:
            PluginError: A parameter cannot be filled, a link leads to no page, or a requirement cannot be checked.
        """
        super().check()
        check_links(self.name, self._linked, self._views)
        check_requirements(self.name, self._views, self.scopes)

    def requires(
        self,
        *handlers: object,
        issue: str | None = None,
        project: str | None = None,
        content: str | None = None,
        site: str | None = None,
    ) -> Callable[[F], F]:
        """Run a handler only for users with a permission in the product; others get 403.

        Put it below the decorator that routes the handler. The permission is checked on the object that the request
        proves. The URL of a page contains the object. A route gets it from the page that calls the route, so that page
        must have a parameter for it, such as ``project_id``. The host's answer is cached for some seconds.

        Args:
            *handlers: Nothing; every permission is passed by name.
            issue: A permission on the current issue, by Jira's name: ``EDIT_ISSUES``.
            project: A permission in the current project: ``ADMINISTER_PROJECTS``.
            content: A permission on the current Confluence content: ``read``, ``update`` or ``delete``.
            site: A permission on the whole Jira site: ``ADMINISTER``.

        Raises:
            PluginError: No permission is given, it is unknown, or the handler is routed already.
        """
        check_permissions(self.name, handlers, content)
        named: dict[Kind, str | None] = {"issue": issue, "project": project, "content": content, "site": site}
        requirements = tuple(Requirement(kind, permission) for kind, permission in named.items() if permission)

        def decorate(handler: F) -> F:
            if not requirements or handler in self._views:
                raise PluginError(
                    f"plugin '{self.name}': @plugin.requires on '{handler.__name__}' has no permission or stands above "
                    "the route; write @plugin.requires(issue='EDIT_ISSUES') below the decorator that routes it",
                    plugin=self.name,
                )
            return require(handler, requirements)

        return decorate

    # ---- hooks and commands --------------------------------------------------------------------------------------

    def hook(self, function: F) -> F:
        """Implement a hook: decorates a function that has the hook's name."""
        check_hook(self.name, function.__name__)
        setattr(self, function.__name__, hookimpl(function))
        return function

    @hookimpl
    def addon_modules(self) -> Iterable[Module]:
        """Return what ``module``, ``declare`` and ``webhook`` have declared."""
        return (*self._modules, *self._webhooks)

    @hookimpl
    def addon_scopes(self) -> Iterable[str]:
        """Return the ``scopes`` argument."""
        return self.scopes

    @hookimpl
    def addon_settings(self) -> type[BaseModel] | None:
        """Return the ``settings`` argument."""
        return self.settings

    @hookimpl
    def addon_models(self) -> str | None:
        """Return the ``models`` argument."""
        return self.models

    @hookimpl
    def addon_blueprint(self) -> Blueprint | None:
        """Return the plugin, which is a blueprint."""
        return self

    # ---- settings and templates ----------------------------------------------------------------------------------

    def current_settings(self) -> Any:
        """Return this plugin's settings, for hooks; a handler uses a parameter of their type instead."""
        return settings_of(self.name)

    async def render(self, template: str, **values: Any) -> str:
        """Render a template of this plugin.

        A template cannot await: await values before you pass them.

        Args:
            template: File name in the plugin's ``templates`` folder.
            **values: The template's variables.
        """
        shared: dict[str, Any] = {"request": request, "static": self._static_in_page}
        for processor in current_app.template_context_processors[self.name]:
            # Called directly and not in a thread: starting a thread takes longer than making a dictionary.
            made: Any = processor()
            shared |= await made if inspect.isawaitable(made) else made
        templates = current_runtime().templates
        assert templates is not None  # noqa: S101 - an add-on with an application has templates
        return templates.get_template(f"{self.name}/{template}").render({**shared, **values})

    def _static_in_page(self, filename: str) -> str:
        return f"{request.root_path}{self.static(filename)}"
