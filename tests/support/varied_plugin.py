"""A plugin and a blueprint whose handlers return and read everything that Quart offers, for comparisons of two ways."""

from __future__ import annotations

import asyncio
import datetime
import decimal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from functools import cached_property
from http import HTTPStatus
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from addonkit import Context, Plugin, hookimpl, public
from addonkit.app import Deployment
from addonkit.errors import TokenInvalid
from addonkit.extension.discovery import Installed
from addonkit.extension.guard import exact
from addonkit.settings import read_settings
from addonkit.testing.databases import database_settings
from markupsafe import Markup
from pydantic import BaseModel
from quart import (
    Blueprint,
    Response,
    abort,
    after_this_request,
    copy_current_request_context,
    current_app,
    flash,
    g,
    get_flashed_messages,
    has_app_context,
    has_request_context,
    jsonify,
    make_response,
    redirect,
    render_template_string,
    request,
    send_file,
    session,
    stream_with_context,
    url_for,
)
from quart.globals import app_ctx, request_ctx
from werkzeug.datastructures import Headers
from werkzeug.exceptions import Conflict, HTTPException

plugin = Plugin("varied", __name__)
raw = Blueprint("raw", __name__, url_prefix="/raw")
inner = Blueprint("inner", __name__, url_prefix="/inner")


class Text(str):
    """A text that is not exactly ``str``."""

    __slots__ = ()


class Fields(dict[str, Any]):
    """A dictionary that is not exactly ``dict``."""


class Row(BaseModel):
    """A model."""

    number: int


class Handled(Exception):
    """An error that the plugin handles."""


def raising(error: BaseException) -> Callable[[], Any]:
    def fail() -> Any:
        raise error

    return fail


async def with_header() -> str:
    @after_this_request
    async def add(response: Response) -> Response:
        response.headers["x-after"] = "this request"
        return response

    return "with header"


async def streamed() -> AsyncIterator[bytes]:
    @stream_with_context
    async def lines() -> AsyncIterator[bytes]:
        yield request.path.encode()
        yield b"\nend"

    return lines()


def generated() -> Iterator[str]:
    yield "a"
    yield "b"


async def asynchronously_generated() -> AsyncIterator[str]:
    yield "a"
    await asyncio.sleep(0)
    yield "b"


async def breaking_stream() -> AsyncIterator[str]:
    yield "a"
    raise LookupError("the stream broke")


async def in_other_tasks() -> dict[str, Any]:
    @copy_current_request_context
    async def copied() -> str:
        return f"{request.path} {url_for('varied.number', number=1)} {type(session).__name__}"

    async def bare() -> bool:
        return has_request_context()

    return {"copied": await asyncio.create_task(copied()), "bare": await asyncio.create_task(bare())}


async def in_thread() -> Any:
    return await current_app.ensure_async(lambda: f"{request.path} {request.method}")()


async def within_contexts() -> dict[str, Any]:
    g.own = 1
    async with current_app.app_context():
        inside = [hasattr(g, "own"), has_request_context()]
    async with current_app.test_request_context("/varied/other?a=1"):
        other = request.path
    return {"inside": inside, "other": other, "after": [g.own, request.path]}


async def with_session() -> str:
    session["x"] = 1
    return "kept"


async def with_cookie() -> Response:
    response = await make_response("cookie", 201)
    response.set_cookie("a", "b")
    response.headers["X-Mixed-Case"] = "\u00e4"
    return response


async def pushed() -> str:
    await request.send_push_promise("/varied/other")
    return "pushed"


async def flashed() -> list[Any]:
    await flash("hello")
    return list(get_flashed_messages())


async def globals_used() -> dict[str, Any]:
    first = hasattr(g, "seen")
    g.seen = True
    return {"first": first, "then": g.seen, "contexts": [has_app_context(), type(app_ctx.g).__name__]}


async def preserved() -> dict[str, Any]:
    return {"flashes": request_ctx.flashes, "preserved": request_ctx.preserved}


RESULTS: Mapping[str, Callable[[], Any] | Any] = {
    "text": "hello \u20ac",
    "no text": "",
    "markup": Markup("<b>x</b>"),
    "text of a class": Text("hello"),
    "half of a surrogate pair": "\ud83d",
    "bytes": b"bytes",
    "bytearray": lambda: bytearray(b"x"),
    "dictionary": {"b": 1, "a": [None, True, 1.5, "\u20ac"]},
    "dictionary of a class": Fields(a=1),
    "dictionary with dates": {"at": datetime.date(2026, 1, 2), "sum": decimal.Decimal("1.5"), "m": Markup("x")},
    "dictionary with half of a surrogate pair": {"a": "\ud83d"},
    "dictionary that is no JSON": {"a": object()},
    "dictionary with keys of two types": {"a": 1, 2: 3},
    "dictionary with NaN": {"a": float("nan")},
    "list": [1, {"a": 2}],
    "empty list": list,
    "model": Row(number=1),
    "list of models": [Row(number=1)],
    "nothing": None,
    "text and status": ("made", 201),
    "text and no content": ("x", 204),
    "text and not modified": ("", 304),
    "text and status as text": ("made", "202 Accepted"),
    "text and status as enumeration": ("made", HTTPStatus.CREATED),
    "text and bool": ("made", True),
    "text and a status of two digits": ("x", 99),
    "text and an informational status": ("x", 102),
    "text and an unknown status": ("x", 599),
    "text and a status of four digits": ("x", 1000),
    "text and a negative status": ("x", -1),
    "text and no status": ("x", None),
    "text and headers": ("x", {"X-A": "b", "Content-Type": "text/plain"}),
    "text and a list of headers": ("x", [("X-A", "b")]),
    "text, status and headers": ("x", 203, {"X-A": "b"}),
    "text, status and Headers": ("x", 203, Headers([("X-A", "b"), ("X-A", "c")])),
    "dictionary and status": ({"a": 1}, 404),
    "list and status": ([1], 500),
    "model and status": (Row(number=1), 201),
    "markup and status": (Markup("<i>"), 418),
    "nothing and status": (None, 201),
    "tuple of one": ("x",),
    "tuple of four": ("x", 200, {}, 1),
    "empty tuple": (),
    "number": 5,
    "response": lambda: Response("x", 202, {"X-A": "b"}),
    "response and status": lambda: (Response("x"), 203),
    "response with cookie": with_cookie,
    "response of JSON": lambda: jsonify(a=1),
    "response without body": Response,
    "response with a time limit": lambda: _limited(),
    "redirect": lambda: redirect("/varied/other"),
    "redirect to a route": lambda: redirect(url_for("varied.number", number=3, _external=True)),
    "generator": generated,
    "asynchronous generator": asynchronously_generated,
    "stream with context": streamed,
    "stream that breaks": breaking_stream,
    "file": lambda: send_file(__file__),
    "template": lambda: render_template_string("{{ request.path }} {{ g.x }} {{ url_for('varied.result') }}"),
    "error that is returned": Conflict,
    "after this request": with_header,
    "other tasks": in_other_tasks,
    "thread": in_thread,
    "nested contexts": within_contexts,
    "session": with_session,
    "globals": globals_used,
    "push": pushed,
    "flash": flashed,
    "context": preserved,
    "abort": lambda: abort(403),
    "abort with a sentence": lambda: abort(409, "this board is closed"),
    "abort with a response": lambda: abort(Response("own", 410)),
    "missing key": lambda: request.args["absent"],
    "failure": raising(RuntimeError("nobody outside may read this")),
    "failure that is handled": raising(Handled("handled")),
    "failure of a lookup": raising(KeyError("x")),
    "refusal": raising(TokenInvalid("a refusal")),
    "timeout error": raising(TimeoutError()),
    "exception of HTTP": raising(HTTPException("without a code")),
    "cancellation": raising(asyncio.CancelledError()),
}


def _limited() -> Response:
    response = Response("limited")
    response.timeout = 5
    return response


async def _made(kind: str) -> Any:
    found = RESULTS[kind]
    value = found() if callable(found) else found
    return await value if isinstance(value, Awaitable) else value


METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH"]


@plugin.get("/result")
@public
async def result(kind: str = "text") -> Any:
    return await _made(kind)


@plugin.post("/result")
@public
async def result_posted(kind: str = "text") -> Any:
    return await _made(kind)


@plugin.get("/seen")
@public
async def seen() -> Any:
    return await _facts()


@plugin.post("/seen")
@public
async def seen_posted() -> Any:
    return await _facts()


@plugin.post("/small", max_body=100)
@public
async def small() -> dict[str, int]:
    return {"length": len(await request.get_data())}


@plugin.get("/proven")
@exact
async def proven(context: Context) -> dict[str, Any]:
    return {"account": context.account_id, "objects": dict(context.objects), "facts": await _facts()}


@plugin.get("/numbers/<int:number>")
@public
async def number(number: int) -> dict[str, Any]:
    return {"number": number, "facts": await _facts()}


@plugin.get("/files/<path:rest>")
@public
async def rest(rest: str) -> dict[str, Any]:
    return {"rest": rest}


@plugin.get("/slash/")
@public
async def slash() -> str:
    return "slash"


@plugin.get("/synchronous")
@public
def synchronous() -> str:
    return request.path


@plugin.errorhandler(Handled)
async def on_handled(error: Handled) -> tuple[str, int]:
    return f"handled {error}", 422


@raw.route("/list", defaults={"page": 1})
@raw.route("/list/<int:page>")
@public
async def listed(page: int) -> dict[str, Any]:
    return {"page": page, "args": request.view_args, "blueprints": request.blueprints}


@raw.route("/several", methods=["GET", "POST", "OPTIONS"])
@public
async def several() -> str:
    return f"{request.method} several"


@inner.get("/page")
@public
async def inner_page() -> dict[str, Any]:
    return {"blueprints": request.blueprints, "blueprint": request.blueprint, "endpoint": request.endpoint}


raw.register_blueprint(inner)


class RawPlugin:
    """A plugin without ``Plugin``: a blueprint of Quart."""

    @hookimpl
    def addon_blueprint(self) -> Blueprint:
        return raw


bare = RawPlugin()

FACTS: tuple[str, ...] = (
    *("method", "path", "full_path", "url", "base_url", "root_url", "url_root", "host", "host_url", "scheme", "server"),
    *(
        "remote_addr",
        "access_route",
        "args",
        "endpoint",
        "blueprint",
        "blueprints",
        "view_args",
        "is_json",
        "is_secure",
    ),
    *("content_type", "content_length", "mimetype", "mimetype_params", "cookies", "accept_mimetypes", "referrer"),
    *("accept_languages", "if_none_match", "if_modified_since", "range", "authorization", "user_agent", "query_string"),
    *("root_path", "script_root", "http_version", "max_content_length", "body_timeout", "routing_exception", "origin"),
    *("url_rule", "cache_control", "max_form_parts", "pragma", "trusted_hosts"),
)


async def _facts() -> dict[str, Any]:
    """Return all that a handler can read of its request."""
    facts: dict[str, Any] = {name: _shown(lambda name=name: getattr(request, name)) for name in FACTS}
    facts["headers"] = _shown(lambda: list(request.headers))
    for name in ("get_data", "get_json"):
        try:
            facts[name] = repr(await getattr(request, name)(**({"silent": True} if name == "get_json" else {})))
        except HTTPException as error:
            facts[name] = repr(error)
    for name in ("form", "files", "values", "json", "data"):
        try:
            facts[name] = repr(await getattr(request, name))
        except HTTPException as error:
            facts[name] = repr(error)
    facts["session"] = f"{type(session._get_current_object()).__name__} {dict(session)}"
    facts["urls"] = [
        _shown(lambda: url_for("varied.number", number=7)),
        _shown(lambda: url_for(".result", kind="x")),
        _shown(lambda: url_for("varied.result", _external=True)),
        _shown(lambda: url_for("absent")),
        _shown(lambda: request_ctx.url_adapter.allowed_methods()),
    ]
    facts["types"] = [
        type(request.body).__name__,
        type(request.json_module).__name__,
        type(app_ctx.url_adapter).__name__,
    ]
    return facts


def _shown(read: Callable[[], Any]) -> str:
    try:
        return repr(read())
    except Exception as error:
        return f"{type(error).__name__}: {error}"


AVAILABLE = {
    name: (Installed(name, "addonkit-tests", "1", EntryPoint(name, f"{__name__}:{attribute}", "addonkit")),)
    for name, attribute in {"varied": "plugin", "raw": "bare"}.items()
}


class VariedDeployment(Deployment):
    """A deployment with the plugins of this module."""

    @cached_property
    def installed(self) -> Mapping[str, tuple[Installed, ...]]:
        return AVAILABLE


def deployment(directory: Path, install_keys: str, base_url: str) -> Deployment:
    """Return a deployment of the plugin and the blueprint."""
    sections = {
        "addon": {"key": "com.example.test", "name": "Test", "base_url": base_url, "plugins": ["varied", "raw"]},
        "database": database_settings(directory, create=False),
        "host": {"install_keys": [install_keys], "domains": ["127.0.0.1"]},
    }
    return VariedDeployment(read_settings(None, sections), directory)
