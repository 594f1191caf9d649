"""A blueprint whose every route says what it demands, and whose handlers are called with what they name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import BaseModel
from quart import Blueprint

from addonkit.context import Demand
from addonkit.errors import PluginError
from addonkit.extension.arguments import Parameter, parameters_of
from addonkit.extension.guard import MEGABYTE, Guard, guard_of, mark
from addonkit.extension.handlers import view_of
from addonkit.extension.modules import Bindings
from addonkit.extension.validation import check_marks, check_page, check_rule, check_terms

F = TypeVar("F", bound=Callable[..., Any])


class GuardedRoutes(Blueprint):
    """The routes of one plugin, under its name.

    Args:
        name: The plugin's name.
        import_name: ``__name__`` of its package.
        settings: Model of its settings; a handler that names a parameter of this type gets the values.
    """

    def __init__(self, name: str, import_name: str, settings: type[BaseModel] | None) -> None:
        super().__init__(name, import_name, template_folder="templates", url_prefix=f"/{name}")
        self.settings = settings
        self.bindings = Bindings(name)
        self._views: dict[Callable[..., Any], Callable[..., Any]] = {}
        self._marked: dict[Callable[..., Any], Demand] = {}
        self._plans: list[Callable[[], tuple[Parameter, ...]]] = []

    def route(self, rule: str, **options: Any) -> Callable[[F], F]:
        """Serve a handler to the plugin's own pages at ``/<plugin><rule>``.

        Args:
            rule: A path as Quart takes it, beginning with ``/``.
            **options: Quart's, and ``licensed``, ``max_body`` (bytes) and ``timeout_s`` (seconds).
        """
        guard = Guard(
            Demand.OWN_PAGE,
            options.pop("licensed", False),
            options.pop("max_body", MEGABYTE),
            options.pop("timeout_s", 25.0),
        )

        def decorate(handler: F) -> F:
            self._agree(handler, guard)
            self.add_url_rule(rule, options.pop("endpoint", None), handler, **options)
            return handler

        return decorate

    def _agree(self, handler: Callable[..., Any], guard: Guard) -> None:
        """Mark a handler with the terms that it is served on; a mark below the route has the word on the demand."""
        known = guard_of(handler)
        if known is not None and handler not in self._views:
            self._marked[handler] = known.demand
        guard = replace(guard, demand=self._marked.get(handler, guard.demand))
        check_terms(self.name, handler, guard, known if handler in self._views else None)
        mark(handler, guard)

    def get(self, rule: str, **options: Any) -> Callable[[F], F]:
        """Serve a handler to GET, as ``route`` does."""
        return self.route(rule, methods=["GET"], **options)

    def post(self, rule: str, **options: Any) -> Callable[[F], F]:
        """Serve a handler to POST, as ``route`` does."""
        return self.route(rule, methods=["POST"], **options)

    def put(self, rule: str, **options: Any) -> Callable[[F], F]:
        """Serve a handler to PUT, as ``route`` does."""
        return self.route(rule, methods=["PUT"], **options)

    def patch(self, rule: str, **options: Any) -> Callable[[F], F]:
        """Serve a handler to PATCH, as ``route`` does."""
        return self.route(rule, methods=["PATCH"], **options)

    def delete(self, rule: str, **options: Any) -> Callable[[F], F]:
        """Serve a handler to DELETE, as ``route`` does."""
        return self.route(rule, methods=["DELETE"], **options)

    def add_url_rule(
        self, rule: str, endpoint: str | None = None, view_func: Any = None, *args: Any, **options: Any
    ) -> None:
        """Register a handler; one that carries no mark is for the plugin's own pages."""
        if view_func is None:
            raise PluginError(f"plugin '{self.name}' routes '{rule}' to no function; hand one over", plugin=self.name)
        check_rule(self.name, rule, self.bindings.verified)
        handler = view_func if guard_of(view_func) else mark(view_func, Guard(Demand.OWN_PAGE))
        options["provide_automatic_options"] = False
        super().add_url_rule(rule, endpoint or handler.__name__, self._view(handler), *args, **options)

    def _view(self, handler: Callable[..., Any]) -> Callable[..., Any]:
        if handler not in self._views:
            self._views[handler] = self._planned(handler)
        return self._views[handler]

    def _planned(self, handler: Callable[..., Any]) -> Callable[..., Any]:
        guard = guard_of(handler)
        assert guard is not None  # noqa: S101 - add_url_rule has marked it
        known: list[tuple[Parameter, ...]] = []

        def plan() -> tuple[Parameter, ...]:
            if not known:
                known.append(parameters_of(handler, self.name, self.bindings.verified, self.settings, guard.demand))
                check_page(self.name, handler, guard, known[0])
            return known[0]

        self._plans.append(plan)
        return mark(view_of(handler, plan), guard)

    def check(self) -> None:
        """Look at every handler's parameters now, not at the first request.

        Raises:
            PluginError: A handler asks for what it cannot have.
        """
        for plan in self._plans:
            plan()
        check_marks(self.name, self._views)
