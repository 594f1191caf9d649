"""Two small plugins and an add-on with both, for tests of the edge and the application."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import cached_property
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import structlog
from addonkit import Context, Licence, Plugin, Tenant, hookimpl, public
from addonkit.app import Addon, Deployment
from addonkit.app.migrate import enabled_apps
from addonkit.context import Route
from addonkit.extension.discovery import Installed
from addonkit.extension.guard import exact
from addonkit.settings import read_settings
from addonkit.testing import Host, InstallKeys
from addonkit.testing.databases import create_tables, database_settings, drop_databases
from pydantic import BaseModel
from quart import Blueprint, Response, render_template_string, request

from tests.support.wire import Wire

PAGE = (
    "<html><head>{{ addonkit_head() }}</head><body>{{ issue_key }} for {{ account }} on {{ tenant.client_key }}</body>"
)
REASON = "what-nobody-outside-may-read"
BASE_URL = "http://localhost:8000"

plugin = Plugin("under_test", __name__, scopes={"READ"})
neighbour = Plugin("neighbour", __name__)


class Note(BaseModel):
    """The JSON body of a request."""

    text: str


@plugin.module(
    "jiraIssueContents", name="Page", tooltip={"value": "A page"}, icon={"width": 1, "height": 1, "url": "/i.svg"}
)
async def page(context: Context, issue_key: str) -> str:
    return await render_template_string(PAGE, issue_key=issue_key, account=context.account_id, tenant=context.tenant)


@plugin.module("generalPages", name="Overview")
async def overview(licence: Licence, issue_key: str | None = None) -> str:
    return f"overview {licence} {issue_key}"


@plugin.page
async def headed(options: str = "", session: bool = True) -> str:
    return await render_template_string(
        "{{ addonkit_head(options, session=session) }}", options=options, session=session
    )


@neighbour.page
async def neighbour_headed() -> str:
    return await render_template_string("{{ addonkit_head() }}")


@plugin.page
async def failing() -> str:
    raise RuntimeError(REASON)


@plugin.page(timeout_s=0.1)
async def hanging() -> str:
    await asyncio.sleep(60)
    return "too late"


class Pause:
    """Keeps a handler waiting until a test lets it go on."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Make the next request wait."""
        self.reached, self.ended = asyncio.Event(), asyncio.Event()


PAUSE = Pause()


@plugin.page
async def waiting() -> str:
    PAUSE.reached.set()
    await PAUSE.ended.wait()
    return "opened"


@plugin.page
async def talking() -> str:
    return talk()


@plugin.post("/talk")
async def talk_posted() -> str:
    return talk()


def talk() -> str:
    """Log by structlog and by logging."""
    structlog.get_logger().warning("logged by structlog")
    logging.getLogger(__name__).info("logged by %s", "logging")
    logging.getLogger("somebody.else").info("GET https://site/?jwt=logged-by-a-library")
    return "talked"


@plugin.page
async def baking() -> Response:
    headers = {
        "Set-Cookie": "a=b",
        "Access-Control-Allow-Origin": "*",
        "X-Frame-Options": "DENY",
        "Content-Security-Policy": "default-src *",
        "Cache-Control": "public, max-age=99",
        "X-Request-Id": "mine",
    }
    return Response("baked", headers=headers)


@plugin.get("/issue")
async def read_issue(issue_id: str) -> dict[str, str]:
    return {"issue_id": issue_id}


@plugin.post("/issue")
async def write_issue(issue_id: str) -> dict[str, str]:
    return {"issue_id": issue_id}


@plugin.post("/page-only", pages=[page])
async def page_only(context: Context) -> dict[str, str | None]:
    return {"page": context.page}


@plugin.post("/pages-only", pages=[page, overview])
async def pages_only(context: Context) -> dict[str, str | None]:
    return {"page": context.page}


@plugin.post("/notes")
async def notes(note: Note) -> dict[str, int]:
    return {"length": len(note.text)}


@plugin.post("/small", max_body=100)
async def small(text: str) -> dict[str, int]:
    return {"length": len(text)}


@plugin.get("/who")
async def who(tenant: Tenant, account_id: str | None, licence: Licence, context: Context) -> dict[str, Any]:
    return {"tenant": tenant.client_key, "account": account_id, "licence": licence, "proof": context.proof}


@plugin.post("/who")
async def who_posted(tenant: Tenant, account_id: str | None, licence: Licence) -> dict[str, Any]:
    return {"tenant": tenant.client_key, "account": account_id, "licence": licence}


@plugin.get("/me")
async def me(account_id: str) -> dict[str, str]:
    return {"account": account_id}


@plugin.get("/open")
@public
async def open_to_all() -> str:
    return "open"


@plugin.get("/address")
@public
async def address() -> str:
    return f"{request.remote_addr} {request.scheme}"


@plugin.post("/repeating")
async def repeating(text: str) -> None:
    try:
        raise LookupError(text)
    except LookupError as error:
        raise RuntimeError(f"cannot repeat {text}") from error


@plugin.post("/stopping")
async def stopping(text: str) -> AsyncIterator[str]:
    async def lines() -> AsyncIterator[str]:
        yield "first"
        raise RuntimeError(text)

    return lines()


@plugin.post("/breaking")
async def breaking(text: str) -> None:
    raise LookupError(f"nothing in {len(text)} characters")


@plugin.post("/drawn")
@exact
async def drawn(context: Context) -> dict[str, Any]:
    return {"objects": dict(context.objects), "licence": context.licence, "form": dict(await request.form)}


plugin.declare(
    "staticContentMacros",
    key="under-test-drawn",
    name="Drawn",
    renderingMethod="post",
    url="/under_test/drawn?macro_id={macro.id}&text={text}",
)


@plugin.get("/reports/")
async def reports() -> dict[str, str]:
    return {}


@plugin.hook
async def addon_admit(context: Context, route: Route) -> tuple[str, int] | None:
    if context.objects.get("issue_key") == "BREAK-1":
        raise RuntimeError(REASON)
    return ("not admitted", 403) if context.objects.get("issue_key") == "SHUT-1" else None


@plugin.after_request
async def sign_answer(response: Response) -> Response:
    response.headers["X-Plugin-Ran"] = "yes"
    return response


@neighbour.get("/who")
async def neighbours_who(tenant: Tenant) -> dict[str, str]:
    return {"tenant": tenant.client_key}


@neighbour.page
async def calm() -> str:
    return "calm"


unmarked = Blueprint("unmarked", __name__, url_prefix="/unmarked")


@unmarked.get("/page")
async def unmarked_page() -> str:
    return "never"


class Unmarked:
    """A plugin without ``Plugin`` whose route declares no demand."""

    @hookimpl
    def addon_blueprint(self) -> Blueprint:
        return unmarked


bare = Unmarked()
_NAMES = {"under_test": "plugin", "neighbour": "neighbour", "unmarked": "bare"}
AVAILABLE = {
    name: (Installed(name, "addonkit-tests", "1", EntryPoint(name, f"{__name__}:{attribute}", "addonkit")),)
    for name, attribute in _NAMES.items()
}


class DeploymentUnderTest(Deployment):
    """A deployment with the plugins of this module."""

    @cached_property
    def installed(self) -> Mapping[str, tuple[Installed, ...]]:
        return AVAILABLE


def deployment(directory: Path, install_keys: str = "http://127.0.0.1:1", **sections: Mapping[str, Any]) -> Deployment:
    """Return a deployment of both plugins; sections override the defaults of the tests."""
    defaults: dict[str, dict[str, Any]] = {
        "addon": {
            "key": "com.example.test",
            "name": "Test",
            "base_url": BASE_URL,
            "plugins": ["under_test", "neighbour"],
        },
        "database": database_settings(directory, create=False),
        "host": {"install_keys": [install_keys], "domains": ["127.0.0.1", "*.atlassian.net"]},
    }
    merged = {name: {**defaults.get(name, {}), **sections.get(name, {})} for name in {**defaults, **sections}}
    return DeploymentUnderTest(read_settings(None, merged), directory)


async def addon_of(made_of: Deployment) -> Addon:
    """Return the add-on on a fresh database, whose tables are copied from a template."""
    addon = Addon(made_of)
    await create_tables(made_of.location, enabled_apps(made_of))
    return addon


@asynccontextmanager
async def running_addon(directory: Path, **sections: Mapping[str, Any]) -> AsyncIterator[Wire]:
    """Run an add-on with a host that has installed it on one Jira site."""
    keys = InstallKeys()
    async with keys.serve() as url:
        made_of = deployment(directory, url, **sections)
        addon = await addon_of(made_of)
        async with Host(addon, keys, made_of.settings.addon.base_url) as host:
            await host.install()
            with plain_log():
                yield Wire(addon, host)
    drop_databases(directory)


@contextmanager
def plain_log() -> Iterator[None]:
    """Format tracebacks as Python does, since structlog's own format takes a second each."""
    painter = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, structlog.stdlib.add_log_level, painter])
    try:
        yield
    finally:
        structlog.reset_defaults()
