"""``Plugin``: a Quart blueprint that also speaks Connect.

Templates, error handlers and before/after functions are Quart's, routes those of ``routes``. Here is what the host's
protocol adds: modules with their URLs, and the answers to the contribution hooks.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, overload

from jinja2 import Environment
from pydantic import BaseModel
from quart import Blueprint, current_app, request

from addonkit.context import Demand, Module
from addonkit.errors import PluginError
from addonkit.extension.assets import Assets
from addonkit.extension.background import Background
from addonkit.extension.guard import Guard
from addonkit.extension.handlers import settings_of
from addonkit.extension.hookspecs import hookimpl
from addonkit.extension.requirements import Kind, Requirement, objects_required, require
from addonkit.extension.routes import F, GuardedRoutes
from addonkit.extension.validation import check_hook, check_links, check_permissions, check_requirements, placed

API_VERSION = 1
TEMPLATES_KEY = "addonkit.templates"
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


class Plugin(GuardedRoutes, Background):
    """A feature of an add-on, packaged by itself.

    Its name is its entry point, blueprint, URL prefix, template prefix, settings table, table prefix, command group
    and module-key prefix.

    Args:
        name: Lower-case words joined by ``_``, such as ``issue_panel``.
        import_name: ``__name__`` of the package; templates, static files and migrations lie beside it.
        scopes: What it needs, in the host's words, such as ``{"READ"}``.
        settings: Model of ``[plugin.<name>]``; a handler that names a parameter of this type gets the values.
        models: Dotted name of the module with its ``TenantModel`` classes.
        api: The version of this API that it was written for.

    Raises:
        PluginError: If the name cannot be one.
    """

    def __init__(
        self,
        name: str,
        import_name: str,
        *,
        scopes: Iterable[str] = (),
        settings: type[BaseModel] | None = None,
        models: str | None = None,
        api: int = API_VERSION,
    ) -> None:
        if not NAME.fullmatch(name):
            raise PluginError(
                f"plugin '{name}' has no usable name; use lower-case words joined by '_', such as 'issue_panel'",
                plugin=name,
            )
        if isinstance(scopes, str):
            raise PluginError(
                f"plugin '{name}' has scopes that are the text '{scopes}'; write {{'{scopes}'}}", plugin=name
            )
        super().__init__(name, import_name, settings)
        self.scopes, self.models, self.api = frozenset(scopes), models, api
        self._modules: list[Module] = []
        self._linked: list[Callable[..., Any]] = []
        self._begin_background()
        self.assets = Assets(name, Path(self.root_path) / "static")

    def check(self) -> None:
        """Look at every handler and link now, not at the first request.

        Raises:
            PluginError: A handler asks for what it cannot have, or a link leads to no page.
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
        """Let a handler run for those alone who have a permission of the host's; others get 403.

        Write it below the word that routes the handler. The object is the one that the request was proven to be about:
        a page's own URL is made to carry it, and a route has it from the page that calls, which therefore has to name
        it (``project_id``). The host is asked, and its answer kept for some seconds.

        Args:
            *handlers: None; what is required is named.
            issue: On the issue at hand, in Jira's words: ``EDIT_ISSUES``.
            project: In the project at hand: ``ADMINISTER_PROJECTS``.
            content: On the Confluence content at hand: ``read``, ``update`` or ``delete``.
            site: On the whole Jira site: ``ADMINISTER``.

        Raises:
            PluginError: No permission is named, or one that there is not; or the handler is routed already.
        """
        check_permissions(self.name, handlers, content)
        named: dict[Kind, str | None] = {"issue": issue, "project": project, "content": content, "site": site}
        wanted = tuple(Requirement(kind, permission) for kind, permission in named.items() if permission)

        def decorate(handler: F) -> F:
            if not wanted or handler in self._views:
                raise PluginError(
                    f"plugin '{self.name}' requires nothing for '{handler.__name__}', or too late; write "
                    "@plugin.requires(issue='EDIT_ISSUES') below the word that routes it",
                    plugin=self.name,
                )
            return require(handler, wanted)

        return decorate

    # ---- modules -------------------------------------------------------------------------------------------------

    def module(
        self,
        type: str,  # noqa: A002 - the host's own word for it
        *,
        key: str | None = None,
        variables: Mapping[str, str] | None = None,
        licensed: bool = False,
        timeout_s: float = 25.0,
        **fields: Any,
    ) -> Callable[[F], F]:
        """Show a handler's page at one place of the host.

        Args:
            type: The kind of place, such as ``jiraIssueContents``.
            key: The module's key; ``<plugin>-<function>`` if not given. Give it where customers' pages store it.
            variables: Parameters of the handler that are variables of the host by another name, such as
                ``{"view": "dashboardItem.viewType"}``.
            licensed: Whether the page needs an active licence.
            timeout_s: Longest time that the handler may take, in seconds.
            **fields: What else stands in the module; a plain ``name`` becomes ``{"value": name}``.
        """

        def decorate(handler: F) -> F:
            self.page(
                variables=variables, licensed=licensed, timeout_s=timeout_s, cacheable=fields.get("cacheable") is True
            )(handler)
            self.declare(type, key=key or self._key_of(handler), **placed(self.name, type, self.link(handler), fields))
            return handler

        return decorate

    @overload
    def page(self, handler: F) -> F: ...

    @overload
    def page(
        self,
        handler: None = None,
        *,
        variables: Mapping[str, str] | None = None,
        licensed: bool = False,
        timeout_s: float = 25.0,
        cacheable: bool = False,
    ) -> Callable[[F], F]: ...

    def page(
        self,
        handler: F | None = None,
        *,
        variables: Mapping[str, str] | None = None,
        licensed: bool = False,
        timeout_s: float = 25.0,
        cacheable: bool = False,
    ) -> F | Callable[[F], F]:
        """Serve a handler to the host at ``/<plugin>/<function>``, without a module of its own.

        ``link`` gives its URL for a module that has several. A ``cacheable`` page is asked for without a token, so it
        is open to everybody and is told nothing.
        """

        def decorate(handler: F) -> F:
            self.bindings.bind(variables or {})
            demand = Demand.NOTHING if cacheable else Demand.EXACT
            routed = handler in self._views
            self._agree(handler, Guard(demand, licensed, timeout_s=timeout_s))
            if not routed:
                self.add_url_rule(f"/{handler.__name__}", view_func=handler, methods=["GET"])
            return handler

        return decorate if handler is None else decorate(handler)

    def link(self, handler: Callable[..., Any]) -> str:
        """The descriptor's URL of a page: its path, and a variable of the host for each parameter that is one."""
        self._linked.append(handler)
        asked = dict.fromkeys((*inspect.signature(handler).parameters, *objects_required(handler)))
        names = [name for name in asked if self.bindings.variable(name)]
        query = "&".join(f"{name}={{{self.bindings.variable(name)}}}" for name in names)
        return f"/{self.name}/{handler.__name__}" + (f"?{query}" if query else "")

    def declare(self, type: str, *, key: str | None = None, **fields: Any) -> None:  # noqa: A002 - as above
        """Put a module into the descriptor as it stands; URLs come from ``link`` and ``static``."""
        if isinstance(fields.get("name"), str):
            fields["name"] = {"value": fields["name"]}
        body = {"key": key, **fields} if key else fields
        self._modules.append(Module(type, self.name, body))

    def static(self, filename: str) -> str:
        """The URL of a file in the plugin's ``static`` folder, relative to the base URL, with its content's hash.

        Raises:
            PluginError: If there is no such file.
        """
        return self.assets.url(filename)

    def _key_of(self, handler: Callable[..., Any]) -> str:
        return f"{self.name}-{handler.__name__}".replace("_", "-")

    # ---- hooks and commands --------------------------------------------------------------------------------------

    def hook(self, function: F) -> F:
        """Answer a hook by a function of the hook's own name."""
        check_hook(self.name, function.__name__)
        setattr(self, function.__name__, hookimpl(function))
        return function

    @hookimpl
    def addon_modules(self) -> Iterable[Module]:
        """What ``module``, ``declare`` and ``webhook`` collected."""
        return (*self._modules, *self._webhooks)

    @hookimpl
    def addon_scopes(self) -> Iterable[str]:
        """The ``scopes`` argument."""
        return self.scopes

    @hookimpl
    def addon_settings(self) -> type[BaseModel] | None:
        """The ``settings`` argument."""
        return self.settings

    @hookimpl
    def addon_models(self) -> str | None:
        """The ``models`` argument."""
        return self.models

    @hookimpl
    def addon_blueprint(self) -> Blueprint | None:
        """Itself."""
        return self

    # ---- settings and templates ----------------------------------------------------------------------------------

    def current_settings(self) -> Any:
        """This plugin's settings, for hooks; a handler names a parameter of their type instead."""
        return settings_of(current_app, self.name)

    async def render(self, template: str, **values: Any) -> str:
        """A template of this plugin, with the values that it names.

        It is rendered in one go: values that take time are awaited before they are handed over.
        """
        shared: dict[str, Any] = {"request": request, "static": self._static_in_page}
        for processor in current_app.template_context_processors[self.name]:
            # at once and not in a thread: a function that only makes a dictionary is done before one has begun
            made: Any = processor()
            shared |= await made if inspect.isawaitable(made) else made
        environment: Environment = current_app.extensions[TEMPLATES_KEY]
        return environment.get_template(f"{self.name}/{template}").render({**shared, **values})

    def _static_in_page(self, filename: str) -> str:
        return f"{request.root_path}{self.static(filename)}"
