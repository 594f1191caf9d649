"""Calls handlers: collects the values of their parameters from a request or a job, and converts what they return.

``arguments`` decides at start where each value comes from.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import Any

import orjson
from pydantic import BaseModel, ValidationError
from pydantic_core import to_jsonable_python
from quart import abort, current_app, request
from quart.typing import ResponseReturnValue
from quart.wrappers.base import BaseRequestWebsocket

from addonkit.context import SCOPE_KEY, Context, Inbound
from addonkit.current import current_runtime
from addonkit.errors import GiveUp, TenantMissing
from addonkit.extension.arguments import HOST_PARAMETERS, Handler, JobArguments, Parameter
from addonkit.extension.requirements import check_requirement, requirements_of
from addonkit.validation_errors import first_error
from addonkit.work import JobInvocation, JobRunner


def inbound_of(request: BaseRequestWebsocket) -> Inbound:
    """Return the ``Inbound`` that the edge has passed with a request in the ASGI scope."""
    inbound: Inbound = request.scope[SCOPE_KEY]  # type: ignore[literal-required]
    return inbound


def current_context() -> Context:
    """Return the context of the current request.

    Raises:
        RuntimeError: There is none: on a public route, and outside of a request.
    """
    context = inbound_of(request).context
    if context is None:
        raise RuntimeError("a public route has no context; remove @public, or do not use the context")
    return context


def settings_of(plugin: str) -> BaseModel:
    """Return the settings of a plugin in the current add-on.

    Raises:
        RuntimeError: No add-on with this plugin is current, as in most commands.
    """
    settings = current_runtime().settings
    if plugin not in settings:
        raise RuntimeError(f"the current add-on has no settings of plugin '{plugin}'; read them in a handler or a job")
    return settings[plugin]


def _fact(parameter: Parameter, subject: Context | JobInvocation) -> Any:
    """Return the fact for a parameter: an attribute of a request's context or of a job's invocation."""
    match parameter.source:
        case "context":
            return subject
        case "object":
            facts = subject if isinstance(subject, Context) else subject.event
            return facts.objects.get(parameter.name) if facts else None
        case name:
            return getattr(subject, name)


class ValueMissing(Exception):
    """A parameter has neither a value nor a default; the message is its name."""


class ValueUnfit(Exception):
    """A value does not fit the annotation of its parameter; the message says why, without the value."""


def _proven_value(parameter: Parameter, value: Any) -> Any:
    """Return a fact of a request or a webhook, converted to the annotated type; the default if there is none.

    Raises:
        ValueMissing: There is neither.
        ValueUnfit: The fact does not fit the annotation.
    """
    if value is None:
        if parameter.mandatory:
            raise ValueMissing(parameter.name)
        return None if parameter.default is inspect.Parameter.empty else parameter.default
    return _converted(parameter, value)


def _converted(parameter: Parameter, value: Any) -> Any:
    if parameter.adapter is None:
        return value
    try:
        return parameter.adapter.validate_python(value)
    except ValidationError as error:
        first = first_error(error)
        place = ".".join([parameter.name, *(str(part) for part in first.path)])
        raise ValueUnfit(f"'{place}' is invalid: {first.message}") from None


# ---- requests ----------------------------------------------------------------------------------------------------


def view_of(
    handler: Handler, parameters: Callable[[], tuple[Parameter, ...]]
) -> Callable[..., Awaitable[ResponseReturnValue]]:
    """Make a Quart view that checks a handler's requirements and calls it with its arguments.

    Args:
        handler: The author's function; a sync one runs in a thread.
        parameters: Returns the handler's parameters; called with the first request, when the plugin is complete.
    """

    @wraps(handler)
    async def view(**path: Any) -> ResponseReturnValue:
        for requirement in requirements_of(handler):
            await check_requirement(requirement, current_context())
        values = await _request_values(parameters(), path)
        answer = await current_app.ensure_async(handler)(**values)
        return as_response(answer)

    return view


def as_response(answer: Any) -> ResponseReturnValue:
    """Convert a handler's return value for Quart: None becomes 204, models and lists become JSON."""
    if answer is None:
        return "", 204
    if isinstance(answer, tuple) and answer and isinstance(answer[0], BaseModel | list):
        return to_jsonable_python(answer[0]), *answer[1:]
    if isinstance(answer, BaseModel | list):
        return typing.cast("ResponseReturnValue", to_jsonable_python(answer))
    return typing.cast("ResponseReturnValue", answer)


async def _request_values(parameters: tuple[Parameter, ...], path: Mapping[str, Any]) -> dict[str, Any]:
    sent = await _caller_values(path) if any(p.source == "caller" for p in parameters) else {}
    try:
        return {p.name: _request_value(p, sent) for p in parameters}
    except ValueMissing as missing:
        abort(401, f"'{missing}' is not among the facts that this request proves")
    except ValueUnfit as unfit:
        abort(400, str(unfit))


async def _caller_values(path: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the caller sent, by name; a name that occurs in two places is refused as ambiguous."""
    sent: dict[str, Any] = {
        name: _QueryValues(values) for name, values in request.args.lists() if name not in HOST_PARAMETERS
    }
    if request.method not in ("GET", "HEAD") and request.is_json:
        body = _parsed_json(await request.get_data())
        if not isinstance(body, dict):
            abort(400, "the body is not a JSON object; send one with the names that this route takes")
        _refuse_duplicates(sent, body)
        sent.update({name: value for name, value in body.items() if name not in HOST_PARAMETERS})
    _refuse_duplicates(sent, path)
    sent.update(path)
    return sent


def _parsed_json(data: bytes | str) -> Any:
    """Return the value of a JSON document; None if it is not JSON, not UTF-8 or nested too deeply."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None


def _refuse_duplicates(sent: Mapping[str, Any], more: Mapping[str, Any]) -> None:
    if duplicate := next((name for name in more if name in sent), None):
        abort(400, f"'{duplicate}' occurs in two places of the request; send it once")


class _QueryValues(list[str]):
    """The values of one name in the query, in their order."""


def _request_value(parameter: Parameter, sent: Mapping[str, Any]) -> Any:
    match parameter.source:
        case "caller":
            return _caller_value(parameter, sent)
        case "settings":
            return settings_of(request.blueprints[-1])
        case _:
            return _proven_value(parameter, _fact(parameter, current_context()))


def _caller_value(parameter: Parameter, sent: Mapping[str, Any]) -> Any:
    if parameter.name not in sent:
        if parameter.mandatory:
            abort(400, f"'{parameter.name}' is missing; send it in the query or in a JSON body")
        return parameter.default
    value = sent[parameter.name]
    if isinstance(value, _QueryValues) and not (parameter.many or len(value) > 1):
        value = value[0]
    return _converted(parameter, value)


# ---- background work ---------------------------------------------------------------------------------------------


def job_runner(handler: Handler, arguments: JobArguments) -> JobRunner:
    """Make a function that calls a handler with its arguments for one invocation."""
    model = arguments.payload
    names = () if model is None else tuple(model.model_fields)

    async def run(invocation: JobInvocation) -> None:
        values = {one.name: _job_value(one, invocation) for one in arguments.parameters}
        if model is not None:
            payload = _payload(model, invocation.payload)
            for name in names:
                values[name] = getattr(payload, name)
        await handler(**values)

    return run


def encode_payload(model: type[BaseModel], values: Mapping[str, Any], job: str) -> bytes:
    """Validate the values of a job and encode them as JSON.

    Raises:
        TypeError: They do not match the handler's parameters.
    """
    try:
        return model.model_validate(dict(values)).model_dump_json().encode()
    except ValidationError as error:
        raise TypeError(f"'{job}' cannot be enqueued: {_payload_fault(error)}") from None


def _job_value(parameter: Parameter, invocation: JobInvocation) -> Any:
    value = _fact(parameter, invocation)
    if parameter.source == "object":
        return _webhook_object(parameter, value)
    if value is None:
        raise TenantMissing(
            "the job belongs to no tenant, but its handler has a tenant parameter; declare it for each tenant"
        )
    return value


def _webhook_object(parameter: Parameter, value: Any) -> Any:
    try:
        return _proven_value(parameter, value)
    except ValueMissing:
        raise GiveUp(
            f"the webhook's URL has no value for '{parameter.name}', because the host did not fill it in; give the "
            "parameter a default, or use the event"
        ) from None
    except ValueUnfit as unfit:
        raise GiveUp(f"the webhook's URL does not fit the handler's parameters: {unfit}") from None


def _payload(model: type[BaseModel], values: Mapping[str, Any]) -> BaseModel:
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise GiveUp(f"the stored payload does not match the handler's parameters: {_payload_fault(error)}") from None


def _payload_fault(error: ValidationError) -> str:
    """Describe the first error by the parameter's name, without its value."""
    first = first_error(error)
    if first.type == "missing":
        return f"'{first.place}' is missing; pass it by name"
    if first.type == "extra_forbidden":
        return f"'{first.place}' is not a parameter of the handler; remove it"
    return f"'{first.place}' is invalid: {first.message}"
