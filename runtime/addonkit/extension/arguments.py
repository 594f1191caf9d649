"""Argument injection: decides from a handler's signature where each parameter gets its value, and checks it at start.

The table ``SOURCES`` applies to handlers of requests and of background work: a parameter asks for a value by its type
or by its name. A name that stands for a verified fact (the tenant, the user, an object of the host) is never
filled by the caller. ``handlers`` collects the values.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Collection
from typing import Any, Literal, NamedTuple, Union

from pydantic import BaseModel, ConfigDict, TypeAdapter, create_model

from addonkit.context import Context, Demand, Tenant
from addonkit.descriptor.variables import VARIABLES, WEBHOOK_VARIABLES, looks_like_variable
from addonkit.errors import PluginError
from addonkit.extension.requirements import requirements_of
from addonkit.text import near_matches
from addonkit.webhook_event import WebhookEvent
from addonkit.work import Attempt, JobKind

Handler = Callable[..., Any]
SourceName = Literal["context", "settings", "tenant", "account_id", "licence", "attempt", "event", "object", "caller"]
"""Where the value of a parameter comes from: a fact, an object of the host (``object``), or the caller (``caller``).

An object comes from the URL of a page or webhook; a caller passes values in a request or to ``enqueue``."""
Trigger = JobKind | Literal["request"]
"""What a handler is called for."""

REQUESTS: frozenset[Trigger] = frozenset({"request"})
BACKGROUND: frozenset[Trigger] = frozenset({JobKind.JOB, JobKind.WEBHOOK, JobKind.SCHEDULE})
WEBHOOKS: frozenset[Trigger] = frozenset({JobKind.WEBHOOK})
NEVER: frozenset[Trigger] = frozenset()

# Source: parameters that the host adds to the URL of every page. The caller never fills a parameter with such a name.
HOST_PARAMETERS = frozenset(
    {"jwt", "lic", "xdm_e", "xdm_c", "xdm_p", "xdm_deprecated_addon_key_do_not_use", "cp", "cv", "user_id", "user_key"}
)
ENQUEUE_OPTIONS = frozenset({"dedupe", "delay_s", "order"})
"""Parameters of ``enqueue`` itself."""


class Source(NamedTuple):
    """One row of the table: a fact, and how a parameter asks for it.

    Attributes:
        name: The fact, an attribute of the request's ``Context`` or of the ``JobInvocation``.
        type: The annotation that asks for it; None if there is none, or if the plugin defines it.
        by_type: Triggers whose handlers get it by a parameter's type.
        by_name: Triggers whose handlers get it by a parameter's name.
    """

    name: SourceName
    type: type | None
    by_type: frozenset[Trigger]
    by_name: frozenset[Trigger]


SOURCES = (
    Source("context", Context, REQUESTS | BACKGROUND, REQUESTS | BACKGROUND),  # refused in the background
    Source("settings", None, REQUESTS | BACKGROUND, NEVER),  # by the plugin's settings model
    Source("tenant", Tenant, REQUESTS | BACKGROUND, REQUESTS),
    Source("account_id", None, NEVER, REQUESTS),
    Source("licence", None, NEVER, REQUESTS),
    Source("attempt", Attempt, BACKGROUND, NEVER),
    Source("event", WebhookEvent, WEBHOOKS, WEBHOOKS),
)
IDENTITY = frozenset({"tenant", "account_id", "licence"})
"""Facts about who sent a request."""


class Parameter(NamedTuple):
    """One parameter of a handler.

    Attributes:
        name: Its name.
        source: Where its value comes from.
        default: Its default; ``inspect.Parameter.empty`` makes it mandatory.
        adapter: Converts a value of a request or of a webhook's URL to the annotated type; None passes it on as it is.
        nullable: Whether the annotation allows None.
        many: Whether the annotation is a list, a tuple or a set.
    """

    name: str
    source: SourceName
    default: Any
    adapter: TypeAdapter[Any] | None = None
    nullable: bool = False
    many: bool = False

    @property
    def mandatory(self) -> bool:
        """Whether a request without a value for it is refused."""
        return self.default is inspect.Parameter.empty and not (self.nullable and self.source != "caller")


class JobArguments(NamedTuple):
    """The parameters of a handler that runs in the background.

    Attributes:
        parameters: Those that the runtime fills.
        payload: The model of the others, which ``enqueue`` takes; None for webhooks and schedules.
    """

    parameters: tuple[Parameter, ...]
    payload: type[BaseModel] | None

    def names_from(self, source: SourceName) -> frozenset[str]:
        """Names of the parameters with this source."""
        return frozenset(one.name for one in self.parameters if one.source == source)


def request_arguments(
    handler: Handler, plugin: str, variables: frozenset[str], settings: type[BaseModel] | None, demand: Demand
) -> tuple[Parameter, ...]:
    """Read and check the parameters of a route's handler.

    Args:
        handler: The author's function.
        plugin: The plugin's name.
        variables: The plugin's own names for host variables, besides those of the table.
        settings: The plugin's settings model.
        demand: The route's demand.

    Raises:
        PluginError: A parameter looks like a host variable but is not one, or has no value on this route.
    """
    objects = VARIABLES.keys() | variables
    found = []
    for parameter, hint in signature_of(handler, plugin):
        source = _source(parameter.name, hint, "request", settings, objects)
        _check_request(f"plugin '{plugin}': handler '{handler.__name__}'", plugin, parameter.name, source, demand)
        found.append(_parameter(parameter, source, hint))
    return tuple(found)


def job_arguments(handler: Handler, plugin: str, kind: JobKind, settings: type[BaseModel] | None) -> JobArguments:
    """Read and check the parameters of a handler that runs in the background.

    Args:
        handler: The author's function.
        plugin: The plugin's name.
        kind: What it is called for.
        settings: The plugin's settings model.

    Raises:
        PluginError: The handler is not async, requires a permission, or has a parameter without a value.
    """
    called = f"plugin '{plugin}': handler '{handler.__name__}'"
    _check_background_handler(handler, called, plugin)
    objects = WEBHOOK_VARIABLES.keys() if kind is JobKind.WEBHOOK else ()
    found: list[Parameter] = []
    fields: dict[str, Any] = {}
    for parameter, hint in signature_of(handler, plugin):
        source = _source(parameter.name, hint, kind, settings, objects)
        _check_background(called, plugin, parameter.name, source, kind)
        if source == "caller":
            fields[parameter.name] = (hint, ... if parameter.default is parameter.empty else parameter.default)
        else:
            found.append(_parameter(parameter, source, hint))
    model = create_model(f"{handler.__name__}_payload", __config__=ConfigDict(extra="forbid"), **fields)
    return JobArguments(tuple(found), model if kind is JobKind.JOB else None)


def signature_of(handler: Handler, plugin: str) -> tuple[tuple[inspect.Parameter, Any], ...]:
    """Return each parameter of a handler with its type; ``Any`` without an annotation.

    Raises:
        PluginError: A type cannot be found, or a parameter cannot be passed by name.
    """
    try:
        hints = typing.get_type_hints(handler, include_extras=True)
    except NameError as missing:
        raise PluginError(
            f"plugin '{plugin}': handler '{handler.__name__}' has an annotation that cannot be found "
            f"('{missing.name}'); import it outside of TYPE_CHECKING",
            plugin=plugin,
        ) from None
    # With the __future__ import annotations are text; messages show the types.
    written = inspect.signature(handler).parameters.values()
    parameters = [one.replace(annotation=hints.get(one.name, one.empty)) for one in written]
    for parameter in parameters:
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise PluginError(
                f"plugin '{plugin}': handler '{handler.__name__}' takes '{parameter}', but arguments are passed by "
                "name; write each parameter out",
                plugin=plugin,
            )
    return tuple((one, hints.get(one.name, Any)) for one in parameters)


def _source(
    name: str, hint: Any, trigger: Trigger, settings: type[BaseModel] | None, objects: Collection[str]
) -> SourceName:
    for source in SOURCES:
        asked_type = settings if source.name == "settings" else source.type
        if asked_type is not None and hint is asked_type and trigger in source.by_type:
            return source.name
        if name == source.name and trigger in source.by_name:
            return source.name
    return "object" if name in objects else "caller"


def _parameter(written: inspect.Parameter, source: SourceName, hint: Any) -> Parameter:
    adapter = TypeAdapter(hint) if _is_converted(source, hint) else None
    return Parameter(written.name, source, written.default, adapter, _is_nullable(hint), _takes_many(hint))


def _is_converted(source: SourceName, hint: Any) -> bool:
    """Whether a value is validated: a caller's always, an object's unless the annotation is ``str``."""
    return hint is not Any and (source == "caller" or (source == "object" and hint is not str))


def _takes_many(hint: Any) -> bool:
    """Whether the annotation is a list, tuple or set, so that even a single value in the query is passed as a list."""
    if typing.get_origin(hint) is typing.Annotated:
        return _takes_many(typing.get_args(hint)[0])
    if _is_nullable(hint):
        return any(_takes_many(one) for one in typing.get_args(hint))
    return (typing.get_origin(hint) or hint) in (list, tuple, set, frozenset)


def _is_nullable(hint: Any) -> bool:
    return typing.get_origin(hint) in (Union, types.UnionType) and type(None) in typing.get_args(hint)


def _check_request(called: str, plugin: str, name: str, source: SourceName, demand: Demand) -> None:
    fault: str | None = None
    if demand is Demand.NOTHING and source not in ("caller", "settings"):
        fault = f"is public, but '{name}' exists on authenticated requests only; remove @public or the parameter"
    elif source == "caller":
        fault = _fault_of_caller_name(name)
    if fault:
        raise PluginError(f"{called} {fault}", plugin=plugin)


def _fault_of_caller_name(name: str) -> str | None:
    """Return the error if the caller of a request may not fill a parameter with this name, or None."""
    if name in HOST_PARAMETERS:
        return f"has the parameter '{name}', which the host adds to its URLs and no handler gets; rename it"
    if name == "settings":
        return (
            "has the parameter 'settings' with another type than the plugin's settings model; annotate it with the "
            "class given to Plugin(…, settings=…)"
        )
    if close := near_matches(name, IDENTITY):
        return f"has the parameter '{name}', which the caller would fill; did you mean '{close[0]}'? If not, rename it"
    if looks_like_variable(name):
        close = near_matches(name, VARIABLES)
        remedy = f"did you mean '{close[0]}'" if close else f"map it with variables={{'{name}': …}}, or rename it"
        return f"has the parameter '{name}', which looks like a host variable but is not one; {remedy}"
    return None


def _check_background_handler(handler: Handler, called: str, plugin: str) -> None:
    if not inspect.iscoroutinefunction(handler):
        raise PluginError(
            f"{called} runs in the background and must be async; write it with 'async def'", plugin=plugin
        )
    if requirements_of(handler):
        raise PluginError(
            f"{called} has @plugin.requires, but background work has no user; remove it and call "
            "tenant.host.may(…, account_id=…)",
            plugin=plugin,
        )


def _check_background(called: str, plugin: str, name: str, source: SourceName, kind: JobKind) -> None:
    fault: str | None = None
    if source == "context":
        fault = "has a context parameter, but background work has no request; use 'tenant: Tenant'"
    elif source == "caller" and kind is JobKind.SCHEDULE:
        fault = (
            f"has the parameter '{name}', which a schedule cannot fill; it fills parameters of the types Tenant, "
            "Attempt and the plugin's settings"
        )
    elif source == "caller" and kind is JobKind.WEBHOOK:
        close = near_matches(name, WEBHOOK_VARIABLES)
        remedy = f"did you mean '{close[0]}'" if close else "take it from the event"
        fault = f"has the parameter '{name}', which a webhook's URL cannot carry; {remedy}"
    elif source == "caller" and name in ENQUEUE_OPTIONS:
        fault = f"has the parameter '{name}', which is an option of enqueue(); rename it"
    elif source == "caller" and name in ("tenant", "settings", "attempt"):
        fault = f"has the parameter '{name}' with another type than the runtime's; annotate it with that, or rename it"
    if fault:
        raise PluginError(f"{called} {fault}", plugin=plugin)
