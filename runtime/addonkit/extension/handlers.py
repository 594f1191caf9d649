"""How a handler is called: with what it asks for by name, gathered from the context, the settings and the caller.

Which name comes from where is settled in ``parameters``.
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
from quart import Quart, abort, current_app, request
from quart.typing import ResponseReturnValue
from quart.wrappers.base import BaseRequestWebsocket

from addonkit.context import Context
from addonkit.extension.arguments import HOSTS_OWN, Handler, Parameter
from addonkit.extension.requirements import demand, requirements_of
from addonkit.validation_errors import first_error

CONTEXT_KEY = "addonkit.context"
SETTINGS_KEY = "addonkit.settings"


def scope_of(request: BaseRequestWebsocket) -> dict[str, Any]:
    """The ASGI scope of a request, with what the edge has put there."""
    return typing.cast("dict[str, Any]", request.scope)


def current_context() -> Context:
    """The context of the request at hand.

    Raises:
        RuntimeError: On a public route, which has none, and outside a request.
    """
    context = scope_of(request).get(CONTEXT_KEY)
    if not isinstance(context, Context):
        raise RuntimeError("a public route has no context; drop @public, or do not ask for one")
    return context


def view_of(
    handler: Handler, plan: Callable[[], tuple[Parameter, ...]]
) -> Callable[..., Awaitable[ResponseReturnValue]]:
    """A Quart view that calls ``handler`` with what it asks for.

    Args:
        handler: The function that the plugin's author wrote; sync ones run in a thread.
        plan: Gives the handler's parameters; asked when the first request comes, when all is declared.
    """

    @wraps(handler)
    async def view(**path: Any) -> ResponseReturnValue:
        for requirement in requirements_of(handler):
            await demand(requirement, current_context())
        values = await _values(plan(), path)
        answer = await current_app.ensure_async(handler)(**values)
        return as_response(answer)

    return view


def as_response(answer: Any) -> ResponseReturnValue:
    """What a handler gave, as Quart takes it: None is 204, models and lists become JSON."""
    if answer is None:
        return "", 204
    if isinstance(answer, tuple) and answer and isinstance(answer[0], BaseModel | list):
        return to_jsonable_python(answer[0]), *answer[1:]
    if isinstance(answer, BaseModel | list):
        return typing.cast("ResponseReturnValue", to_jsonable_python(answer))
    return typing.cast("ResponseReturnValue", answer)


async def _values(parameters: tuple[Parameter, ...], path: Mapping[str, Any]) -> dict[str, Any]:
    sent = await _sent(path) if any(p.source == "request" for p in parameters) else {}
    return {p.name: _value(p, sent) for p in parameters}


def _json_in(data: bytes | str) -> Any:
    """What a body holds; None if it is no JSON, not UTF-8 or nested beyond reason."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None


async def _sent(path: Mapping[str, Any]) -> dict[str, Any]:
    """What the caller sent; a name that is sent in two places is refused as ambiguous."""
    sent: dict[str, Any] = {name: _Query(values) for name, values in request.args.lists() if name not in HOSTS_OWN}
    if request.method not in ("GET", "HEAD") and request.is_json:
        body = _json_in(await request.get_data())
        if not isinstance(body, dict):
            abort(400, "the body is no JSON object; send one with the names that this route takes")
        _refuse_twice(sent, body)
        sent.update({name: value for name, value in body.items() if name not in HOSTS_OWN})
    _refuse_twice(sent, path)
    sent.update(path)
    return sent


def _refuse_twice(sent: Mapping[str, Any], more: Mapping[str, Any]) -> None:
    if twice := next((name for name in more if name in sent), None):
        abort(400, f"'{twice}' stands in two places of the request; send it once")


class _Query(list[str]):
    """The values of one name in the query, in their order."""


def _value(parameter: Parameter, sent: Mapping[str, Any]) -> Any:
    match parameter.source:
        case "settings":
            return settings_of(current_app, request.blueprints[-1])
        case "request":
            return _from_caller(parameter, sent)
        case "context":
            return current_context()
        case "tenant" | "account_id" | "licence" as name:
            return _proven(parameter, getattr(current_context(), name))
        case "object":
            return _proven(parameter, current_context().objects.get(parameter.name))


def _proven(parameter: Parameter, value: Any) -> Any:
    """A fact of the context, or the default; without either the request is refused."""
    if value is None:
        if parameter.mandatory:
            abort(401, f"'{parameter.name}' is not among what this request was proven to be about")
        return None if parameter.default is inspect.Parameter.empty else parameter.default
    return _converted(parameter, value)


def _from_caller(parameter: Parameter, sent: Mapping[str, Any]) -> Any:
    if parameter.name not in sent:
        if parameter.mandatory:
            abort(400, f"'{parameter.name}' is missing; send it in the query or in a JSON body")
        return parameter.default
    value = sent[parameter.name]
    if isinstance(value, _Query) and not (parameter.many or len(value) > 1):
        value = value[0]
    return _converted(parameter, value)


def _converted(parameter: Parameter, value: Any) -> Any:
    if parameter.adapter is None:
        return value
    try:
        return parameter.adapter.validate_python(value)
    except ValidationError as wrong:
        first = first_error(wrong)
        place = ".".join([parameter.name, *(str(part) for part in first.path)])
        abort(400, f"'{place}' does not fit: {first.message}")


def settings_of(app: Quart, plugin: str) -> BaseModel:
    """A plugin's settings in this application."""
    settings: Mapping[str, BaseModel] = app.extensions[SETTINGS_KEY]
    return settings[plugin]
