"""The decorators of a plugin for modules and their pages, and the URLs that modules name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, overload

from pydantic import BaseModel

from addonkit.context import Demand, Module, Product
from addonkit.extension.assets import Assets
from addonkit.extension.guard import Guard
from addonkit.extension.modules import declared_module, placed_url
from addonkit.extension.requirements import objects_required
from addonkit.extension.routes import F, GuardedRoutes


class ModulePages(GuardedRoutes):
    """The part of a plugin that declares modules and serves their pages.

    Args:
        name: The plugin's name.
        import_name: ``__name__`` of its package.
        settings: Its settings model.
    """

    assets: Assets

    def __init__(self, name: str, import_name: str, settings: type[BaseModel] | None) -> None:
        super().__init__(name, import_name, settings)
        self._modules: list[Module] = []
        self._linked: list[Callable[..., Any]] = []

    def module(
        self,
        type: str,  # noqa: A002 - the name in the descriptor
        *,
        key: str | None = None,
        product: Product | None = None,
        variables: Mapping[str, str] | None = None,
        licensed: bool = False,
        timeout_s: float = 25.0,
        **fields: Any,
    ) -> Callable[[F], F]:
        """Declare a module whose page a handler renders.

        Args:
            type: The module type, such as ``jiraIssueContents``.
            key: The module's key; ``<plugin>-<function>`` by default. Set it where customers' content stores it.
            product: ``"jira"`` or ``"confluence"``, where both have this type, such as ``generalPages``. A Forge
                manifest needs it.
            variables: The handler's own parameter names for host variables, such as
                ``{"view": "dashboardItem.viewType"}``.
            licensed: Whether the page needs an active licence.
            timeout_s: Longest run time of the handler, in seconds.
            **fields: The module's other fields; a ``name`` that is a text becomes ``{"value": name}``.
        """

        def decorate(handler: F) -> F:
            self.page(
                variables=variables, licensed=licensed, timeout_s=timeout_s, cacheable=fields.get("cacheable") is True
            )(handler)
            fields_with_url = placed_url(self.name, type, self.link(handler), fields)
            self.declare(type, key=key or self._key_of(handler), product=product, **fields_with_url)
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
        """Route the host's requests to a handler at ``/<plugin>/<function>``, without declaring a module.

        Use ``link`` for its URL, in a module with several URLs.

        Args:
            handler: The handler, if the decorator is used without arguments.
            variables: As for ``module``.
            licensed: As for ``module``.
            timeout_s: As for ``module``.
            cacheable: Whether the host may cache the page. It then requests the page without a token, so the page is
                open to everybody and gets no facts about a site or a user.
        """

        def decorate(handler: F) -> F:
            self.bindings.bind(variables or {})
            demand = Demand.NOTHING if cacheable else Demand.EXACT
            routed = handler in self._views
            self._guard(handler, Guard(demand, licensed, timeout_s=timeout_s))
            if not routed:
                self.add_url_rule(f"/{handler.__name__}", view_func=handler, methods=["GET"])
            return handler

        return decorate if handler is None else decorate(handler)

    def link(self, handler: Callable[..., Any]) -> str:
        """Return a page's URL for the descriptor, with a placeholder for each parameter that the host fills."""
        self._linked.append(handler)
        parameters = dict.fromkeys((*inspect.signature(handler).parameters, *objects_required(handler)))
        names = [name for name in parameters if self.bindings.variable(name)]
        query = "&".join(f"{name}={{{self.bindings.variable(name)}}}" for name in names)
        return f"/{self.name}/{handler.__name__}" + (f"?{query}" if query else "")

    def declare(
        self,
        module_type: str | None = None,
        /,
        *,
        key: str | None = None,
        product: Product | None = None,
        **fields: Any,
    ) -> None:
        """Declare a module with these fields; use ``link`` and ``static`` for its URLs.

        The fields are not changed, except that a ``name`` that is a text for users becomes ``{"value": name}``.

        Args:
            module_type: The module type. Where the type has no field ``type``, it can be passed as ``type``.
            key: The module's key.
            product: As for ``module``.
            **fields: The module's other fields.
        """
        self._modules.append(declared_module(self.name, module_type, key, product, fields))

    def static(self, filename: str) -> str:
        """Return the URL of a file in the plugin's ``static`` folder, relative to the base URL, with a content hash.

        Raises:
            PluginError: There is no such file.
        """
        return self.assets.url(filename)

    def _key_of(self, handler: Callable[..., Any]) -> str:
        return f"{self.name}-{handler.__name__}".replace("_", "-")
