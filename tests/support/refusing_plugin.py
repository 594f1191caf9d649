"""A plugin whose routes refuse requests in every way that a handler can."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cached_property
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, NoReturn

from addonkit import Context, HostError, Plugin, public
from addonkit.app import Addon, Deployment
from addonkit.context import Route
from addonkit.extension.discovery import Installed
from addonkit.settings import read_settings
from addonkit.testing import Host, InstallKeys
from addonkit.testing.databases import create_tables, database_settings, drop_databases
from quart import Response, abort, request
from quart.typing import ResponseReturnValue
from werkzeug.exceptions import Forbidden

from tests.support.wire import Wire

BASE_URL = "http://localhost:8000"
SENTENCE = "you may not see <this> board"
SECRET = "what-only-the-log-may-have"

plugin = Plugin("refusing", __name__, scopes={"READ"})


class Hidden(Exception):
    """Handled by the plugin's own error handler."""


@plugin.page
async def aborting() -> NoReturn:
    abort(403, SENTENCE)


@plugin.page
def aborting_in_a_thread() -> NoReturn:
    abort(403, SENTENCE)


@plugin.page
async def raising() -> NoReturn:
    raise Forbidden(SENTENCE)


@plugin.page
async def aborting_without_a_sentence() -> NoReturn:
    abort(404)


@plugin.page
async def aborting_with_a_response() -> NoReturn:
    abort(Response("own response", 409))


@plugin.page
async def returning() -> tuple[str, int]:
    return "returned", 418


@plugin.page
async def quoting() -> NoReturn:
    abort(403, f"you came from {request.url} with {request.args['jwt']}")


@plugin.page
async def hiding() -> NoReturn:
    raise Hidden(SECRET)


@plugin.errorhandler(Hidden)
async def hide(_error: Hidden) -> tuple[str, int]:
    return "hidden", 404


@plugin.page
async def numbered(issue_key: int) -> str:
    return str(issue_key)


@plugin.page
async def asking() -> NoReturn:
    raise HostError(SECRET, brief="GET /rest/api/3/issue: the host responded with 500", status=500)


@plugin.page
async def failing() -> NoReturn:
    raise RuntimeError(SECRET)


@plugin.page(timeout_s=0.01)
async def hanging() -> str:
    await asyncio.sleep(60)
    return "too late"


@plugin.page
@plugin.requires(site="ADMINISTER")
async def administered() -> str:
    return "for administrators"


@plugin.page
async def open_page() -> str:
    return "open"


@plugin.post("/small", max_body=100)
async def small(text: str) -> dict[str, int]:
    return {"length": len(text)}


@plugin.post("/form")
@public
async def form() -> str:
    return str((await request.form)["word"])


@plugin.get("/closed")
@public
async def closed() -> NoReturn:
    abort(403, SENTENCE)


@plugin.hook
async def addon_admit(context: Context, route: Route) -> ResponseReturnValue | None:
    if context.objects.get("issue_key") == "BREAK-1":
        raise RuntimeError(SECRET)
    return ("not admitted", 402) if context.objects.get("issue_key") == "SHUT-1" else None


@plugin.page
async def admitted(issue_key: str) -> str:
    return issue_key


plugin.declare(
    "generalPages", key="refusing-numbered", name={"value": "N"}, url="/refusing/numbered?issue_key={issue.key}"
)
plugin.declare(
    "generalPages", key="refusing-admitted", name={"value": "A"}, url="/refusing/admitted?issue_key={issue.key}"
)


@plugin.webhook("jira:issue_updated")
async def changed() -> None:
    """Never called by the tests."""


class RefusingDeployment(Deployment):
    """A deployment with this plugin only."""

    @cached_property
    def installed(self) -> Mapping[str, tuple[Installed, ...]]:
        entry = EntryPoint("refusing", f"{__name__}:plugin", "addonkit")
        return {"refusing": (Installed("refusing", "addonkit-tests", "1", entry),)}


def refusing_deployment(directory: Path, base_url: str, **sections: Mapping[str, Any]) -> Deployment:
    """Return a deployment with this plugin."""
    settings = {
        "addon": {"key": "com.example.test", "name": "Test", "base_url": base_url, "plugins": ["refusing"]},
        "database": database_settings(directory, create=False),
        "security": {"encryption_keys": [f"one:{'A' * 43}="]},
        **sections,
    }
    return RefusingDeployment(read_settings(None, settings), directory)


@asynccontextmanager
async def refusing_addon(directory: Path, **sections: Mapping[str, Any]) -> AsyncIterator[Wire]:
    """Run an add-on with this plugin, on one Jira site."""
    keys = InstallKeys()
    async with keys.serve() as url:
        host = {"install_keys": [url], "domains": ["127.0.0.1"]}
        addon = Addon(refusing_deployment(directory, BASE_URL, host=host, **sections))
        await create_tables(addon.deployment.location, {})
        async with Host(addon, keys, BASE_URL) as simulated:
            await simulated.install()
            yield Wire(addon, simulated)
    drop_databases(directory)
