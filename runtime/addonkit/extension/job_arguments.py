"""What a handler in the background asks for, by the names of its parameters, checked before anything runs.

``tenant``, the plugin's settings and an :class:`Attempt` go by their types. A webhook's handler may name the event and
what stands in the webhook's URL; whatever else a job's handler names is its payload.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from addonkit.context import Context, Tenant
from addonkit.descriptor.variables import WEBHOOK_VARIABLES
from addonkit.errors import GiveUp, PluginError, TenantMissing
from addonkit.extension.requirements import requirements_of
from addonkit.extension.signature import signature_of
from addonkit.text import near_matches
from addonkit.validation_errors import first_error
from addonkit.work import Attempt, JobInvocation, JobKind, WebhookEvent

Handler = Callable[..., Awaitable[None]]
RESERVED = frozenset({"dedupe", "delay_s", "order"})
"""What ``enqueue`` takes for itself."""


@dataclass(frozen=True, slots=True)
class JobArguments:
    """What one handler asks for.

    Attributes:
        named: What the runtime knows, by the handler's own name for it: ``{"tenant": "tenant"}``.
        objects: Names that the webhook's URL fills.
        payload: The model of all other names; None if there are none.
    """

    named: Mapping[str, str]
    objects: frozenset[str]
    payload: type[BaseModel] | None


def job_arguments_of(handler: Handler, plugin: str, kind: JobKind, settings: type[BaseModel] | None) -> JobArguments:
    """Read a handler's parameters.

    Args:
        handler: The function that the plugin's author wrote.
        plugin: The plugin's name.
        kind: What it is to be called for.
        settings: The plugin's settings model.

    Raises:
        PluginError: It is not awaited, or asks for what it cannot have.
    """
    called = f"plugin '{plugin}': '{handler.__name__}'"
    _check_handler(handler, called, plugin)
    named: dict[str, str] = {}
    objects: set[str] = set()
    fields: dict[str, Any] = {}
    for parameter, hint in signature_of(handler, plugin):
        name = parameter.name
        if hint is Context or name == "context":
            raise PluginError(
                f"{called} asks for a context, and there is no request behind what runs in the background; name "
                "'tenant: Tenant'",
                plugin=plugin,
            )
        source = _source(name, hint, kind, settings)
        if source is not None:
            named[name] = source
        elif kind is JobKind.WEBHOOK and name in WEBHOOK_VARIABLES:
            objects.add(name)
        elif kind is JobKind.JOB:
            _check_name(called, plugin, name)
            fields[name] = (hint, ... if parameter.default is parameter.empty else parameter.default)
        else:
            raise PluginError(f"{called} asks for '{name}', which {_offer(kind, name)}", plugin=plugin)
    model = create_model(f"{handler.__name__}_payload", __config__=ConfigDict(extra="forbid"), **fields)
    return JobArguments(named, frozenset(objects), model if kind is JobKind.JOB else None)


def _check_handler(handler: Handler, called: str, plugin: str) -> None:
    if not inspect.iscoroutinefunction(handler):
        raise PluginError(
            f"{called} runs in the background and is not awaited; write it with 'async def'", plugin=plugin
        )
    if requirements_of(handler):
        raise PluginError(
            f"{called} requires a permission, and no user stands behind what runs in the background; drop "
            "@plugin.requires and ask tenant.host.may(…, account_id=…)",
            plugin=plugin,
        )


def call_with(handler: Handler, wants: JobArguments) -> Callable[[JobInvocation], Awaitable[None]]:
    """A function that calls a handler with what it asks for."""

    async def run(call: JobInvocation) -> None:
        values: dict[str, Any] = {name: _known(call, source) for name, source in wants.named.items()}
        if wants.objects:
            assert call.event is not None  # noqa: S101 - webhooks alone have objects
            values |= {name: call.event.objects.get(name, "") for name in wants.objects}
        if wants.payload is not None:
            values |= _fitting(wants.payload, call.payload)
        await handler(**values)

    return run


def payload_of(model: type[BaseModel], values: Mapping[str, Any], called: str) -> bytes:
    """What is kept of a job's values, as JSON.

    Raises:
        TypeError: They do not fit what the handler asks for.
    """
    try:
        return model.model_validate(dict(values)).model_dump_json().encode()
    except ValidationError as wrong:
        raise TypeError(f"{called} cannot be put into the queue: {_fault(wrong)}") from None


def _fault(wrong: ValidationError) -> str:
    """The first thing that does not fit, by the parameter's name and without its value."""
    first = first_error(wrong)
    if first.type == "missing":
        return f"'{first.place}' is missing; hand it over by its name"
    if first.type == "extra_forbidden":
        return f"'{first.place}' is nothing that it asks for; leave it out"
    return f"'{first.place}' does not fit: {first.message}"


def _fitting(model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    try:
        whole = model.model_validate(dict(values))
    except ValidationError as wrong:
        raise GiveUp(f"what was kept for it does not fit what it asks for: {_fault(wrong)}") from None
    return {name: getattr(whole, name) for name in model.model_fields}


def _source(name: str, hint: Any, kind: JobKind, settings: type[BaseModel] | None) -> str | None:
    if hint is Tenant:
        return "tenant"
    if settings is not None and hint is settings:
        return "settings"
    if hint is Attempt:
        return "attempt"
    if kind is JobKind.WEBHOOK and (hint is WebhookEvent or name == "event"):
        return "event"
    return None


def _known(call: JobInvocation, source: str) -> Any:
    value = getattr(call, source)
    if value is None:
        raise TenantMissing("this job is about no site, and its handler asks for one; declare it for each tenant")
    return value


def _check_name(called: str, plugin: str, name: str) -> None:
    if name in RESERVED:
        raise PluginError(f"{called} asks for '{name}', which enqueue() takes for itself; rename it", plugin=plugin)
    if name in ("tenant", "settings", "attempt"):
        raise PluginError(
            f"{called} asks for '{name}' by another type than the runtime's; annotate it with that, or rename it",
            plugin=plugin,
        )


def _offer(kind: JobKind, name: str) -> str:
    if kind is JobKind.SCHEDULE:
        return "nobody hands to a schedule; it has the tenant, the settings and the attempt, by their types"
    close = near_matches(name, WEBHOOK_VARIABLES)
    hint = f"did you mean '{close[0]}'" if close else "take it from the event"
    return f"no webhook's URL can carry; {hint}"
