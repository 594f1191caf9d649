"""The routes of a plugin: a Quart blueprint that guards every route and calls handlers with injected arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel
from quart import Blueprint

from addonkit.context import Demand
from addonkit.errors import PluginError
from addonkit.extension.arguments import Parameter, request_arguments
from addonkit.extension.guard import MEGABYTE, Guard, guard_of, mark
from addonkit.extension.handlers import view_of
from addonkit.extension.modules import Bindings
from addonkit.extension.validation import (
    check_calling_pages,
    check_guard,
    check_marks,
    check_page,
    check_rule,
    page_names,
)

F = TypeVar("F", bound=Callable[..., Any])


class GuardedRoutes(Blueprint):
    """The routes of one plugin, under ``/<plugin>``.

    Args:
        name: The plugin's name.
        import_name: ``__name__`` of its package.
        settings: Its settings model; a handler with a parameter of this type gets the values.
    """

    def __init__(self, name: str, import_name: str, settings: type[BaseModel] | None) -> None:
        super().__init__(name, import_name, template_folder="templates", url_prefix=f"/{name}")
        self.settings = settings
        self.bindings = Bindings(name)
        self._views: dict[Callable[..., Any], Callable[..., Any]] = {}
        self._marked: dict[Callable[..., Any], Demand] = {}
        self._arguments: list[Callable[[], tuple[Parameter, ...]]] = []
        self._calling_pages: list[tuple[str, object]] = []

    def route(self, rule: str, **options: Any) -> Callable[[F], F]:
        """Route requests from the plugin's own pages to a handler, at ``/<plugin><rule>``.

        Args:
            rule: A path in Quart's syntax that begins with ``/``.
            **options: Quart's options, and ``licensed`` (whether the site needs an active licence), ``max_body``
                (largest request body, in bytes), ``timeout_s`` (longest run time of the handler, in seconds) and
                ``pages`` (handlers of pages: only their sessions are accepted; by default those of all pages of the
                plugin, and context tokens).
        """
        names: frozenset[str] = frozenset()
        if "pages" in options:
            pages = options.pop("pages")
            names = page_names(self.name, rule, pages)
            self._calling_pages += [(rule, page) for page in pages]
        guard = Guard(
            Demand.OWN_PAGE,
            options.pop("licensed", False),
            options.pop("max_body", MEGABYTE),
            options.pop("timeout_s", 25.0),
            names,
        )

        def decorate(handler: F) -> F:
            self._guard(handler, guard)
            self.add_url_rule(rule, options.pop("endpoint", None), handler, **options)
            return handler

        return decorate

    def _guard(self, handler: Callable[..., Any], guard: Guard) -> None:
        """Mark a handler with its guard; a demand that another decorator has already set takes precedence."""
        known = guard_of(handler)
        if known is not None and handler not in self._views:
            self._marked[handler] = known.demand
        guard = guard._replace(demand=self._marked.get(handler, guard.demand))
        check_guard(self.name, handler, guard, known if handler in self._views else None)
        mark(handler, guard)

    def get(self, rule: str, **options: Any) -> Callable[[F], F]:
        """Route GET requests to a handler, as ``route`` does."""
        return self.route(rule, methods=["GET"], **options)

    def post(self, rule: str, **options: Any) -> Callable[[F], F]:
        """Route POST requests to a handler, as ``route`` does."""
        return self.route(rule, methods=["POST"], **options)

    def put(self, rule: str, **options: Any) -> Callable[[F], F]:
        """Route PUT requests to a handler, as ``route`` does."""
        return self.route(rule, methods=["PUT"], **options)

    def patch(self, rule: str, **options: Any) -> Callable[[F], F]:
        """Route PATCH requests to a handler, as ``route`` does."""
        return self.route(rule, methods=["PATCH"], **options)

    def delete(self, rule: str, **options: Any) -> Callable[[F], F]:
        """Route DELETE requests to a handler, as ``route`` does."""
        return self.route(rule, methods=["DELETE"], **options)

    def add_url_rule(
        self, rule: str, endpoint: str | None = None, view_func: Any = None, *args: Any, **options: Any
    ) -> None:
        """Add a route; a handler without a mark gets the demand ``OWN_PAGE``."""
        if view_func is None:
            raise PluginError(f"plugin '{self.name}' routes '{rule}' to no function; give one", plugin=self.name)
        check_rule(self.name, rule, self.bindings.verified)
        handler = view_func if guard_of(view_func) else mark(view_func, Guard(Demand.OWN_PAGE))
        options["provide_automatic_options"] = False
        super().add_url_rule(rule, endpoint or handler.__name__, self._view(handler), *args, **options)

    def _view(self, handler: Callable[..., Any]) -> Callable[..., Any]:
        if handler not in self._views:
            self._views[handler] = self._new_view(handler)
        return self._views[handler]

    def _new_view(self, handler: Callable[..., Any]) -> Callable[..., Any]:
        guard = guard_of(handler)
        assert guard is not None  # noqa: S101 - add_url_rule has marked it
        known: list[tuple[Parameter, ...]] = []

        def arguments() -> tuple[Parameter, ...]:
            # Read late: the plugin may map further variables until it is complete.
            if not known:
                found = request_arguments(handler, self.name, self.bindings.verified, self.settings, guard.demand)
                check_page(self.name, handler, guard, found)
                known.append(found)
            return known[0]

        self._arguments.append(arguments)
        return mark(view_of(handler, arguments), guard)

    def check(self) -> None:
        """Check every handler's parameters and marks now, not at the first request.

        Raises:
            PluginError: A parameter cannot be filled, or a mark has no effect.
        """
        for arguments in self._arguments:
            arguments()
        check_marks(self.name, self._views)
        check_calling_pages(self.name, self._calling_pages, self._views)
