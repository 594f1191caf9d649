"""Quart's contexts of a request and of the application, whose session and URL adapters are made when something asks.

A context that the constructor makes is Quart's own in every respect. One that ``of`` makes has the same attributes;
``LeanQuart.answer`` enters and leaves it.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from quart.ctx import AppContext, RequestContext
from quart.routing import QuartMap, QuartRule
from quart.signals import appcontext_popped, appcontext_pushed, appcontext_tearing_down
from quart.wrappers import Request
from werkzeug.routing import RuleFactory

from addonkit.app.quart_internals import _cv_app

if TYPE_CHECKING:
    from quart import Quart


class LeanMap(QuartMap):
    """A URL map with a table of the rules that were found, for paths without variable parts.

    Such a rule depends on nothing but method and path. The table has at most one entry for each rule and method.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._plain: dict[tuple[str, str], QuartRule] = {}
        super().__init__(*arguments, **options)

    def add(self, rulefactory: RuleFactory) -> None:
        """Add a rule; any rule may be found in place of one that was found before."""
        super().add(rulefactory)
        self._plain.clear()

    def plain_rule(self, method: str, path: str) -> QuartRule | None:
        """Return the rule that Quart found for this method and path; None if it has to search."""
        return self._plain.get((method, path))

    def remember(self, rule: QuartRule, method: str, path: str, arguments: dict[str, Any]) -> None:
        """Put a rule that Quart has found into the table, if no other request could get another result."""
        if rule.rule == path and not arguments and method in (rule.methods or ()) and not self.host_matching:
            self._plain[method, path] = rule


class LeanContext(RequestContext):
    """The context of a request; see :class:`quart.ctx.RequestContext`.

    Attributes:
        accepts_message: Whether the caller of ``full_dispatch_request`` can send a ``Message`` in place of a response.
    """

    accepts_message = False

    @classmethod
    def of(cls, app: Quart, request: Request) -> Self:
        """Return a context as Quart constructs it, with a session as an application without sessions has."""
        self = cls.__new__(cls)
        request.json_module = app.json
        vars(self).update(
            app=app,
            request_websocket=request,
            preserved=False,
            flashes=None,
            _cv_tokens=[],
            _after_request_functions=[],
        )
        return self

    @cached_property
    def url_adapter(self) -> Any:  # type: ignore[override]
        """Builds URLs, and finds the rule of a path with variable parts."""
        return self.app.create_url_adapter(self.request_websocket)

    @cached_property
    def session(self) -> Any:  # type: ignore[override]
        """The session that cannot be written to."""
        return self.app.session_interface.null_session_class()

    def match_request(self) -> None:
        """Find the rule of the request."""
        request, rules = self.request, self.app.url_map
        if isinstance(rules, LeanMap):
            rule = rules.plain_rule(request.method, request.path)
            if rule is not None:
                request.url_rule, request.view_args = rule, {}
                return
        super().match_request()
        if isinstance(rules, LeanMap) and request.url_rule is not None:
            rules.remember(request.url_rule, request.method, request.path, request.view_args or {})


class LeanAppContext(AppContext):
    """The context of the application while a request is answered or a job runs; see :class:`quart.ctx.AppContext`.

    ``async with`` enters and leaves it without Quart's own steps where nothing is registered for them.
    """

    @classmethod
    def of(cls, app: Quart) -> Self:
        """Return a context as Quart constructs it."""
        self = cls.__new__(cls)
        vars(self).update(app=app, g=app.app_ctx_globals_class(), _cv_tokens=[])
        return self

    @cached_property
    def url_adapter(self) -> Any:  # type: ignore[override]
        """Builds URLs outside a request, if the application has a ``SERVER_NAME``."""
        return self.app.create_url_adapter(None)

    async def push(self) -> None:
        """Enter the context."""
        if appcontext_pushed.receivers:
            await super().push()
        else:
            self._cv_tokens.append(_cv_app.set(self))

    async def pop(self, *error: BaseException | None) -> None:
        """Leave the context.

        Args:
            error: As for Quart's method: by default the exception that is being handled.
        """
        if self.may_be_reset():
            _cv_app.reset(self._cv_tokens.pop())
        else:
            await super().pop(*error)

    def may_be_reset(self) -> bool:
        """Whether leaving it needs no step but resetting the context variable."""
        return (
            len(self._cv_tokens) == 1
            and not self.app.teardown_appcontext_funcs
            and not appcontext_tearing_down.receivers
            and not appcontext_popped.receivers
            and _cv_app.get(None) is self
        )
