"""A plain ASGI application with other applications mounted in it, and hosts that speak to those."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from addonkit.testing import Host, InstallKeys, RestApi
from addonkit.testing.asgi import Application, Receive, Scope, Send

Life = Callable[[], AbstractAsyncContextManager[Any]]


class Mounts:
    """Passes requests on by the beginning of their path, and starts and stops what is mounted.

    Args:
        apps: Applications by path.
        lives: What runs as long as this application.
    """

    def __init__(self, apps: Mapping[str, Application], *lives: Life) -> None:
        self._apps, self._lives = apps, lives

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        for path, app in self._apps.items():
            place = scope.get("root_path", "") + path
            if scope["path"].startswith(f"{place}/"):
                await app({**scope, "root_path": place}, receive, send)
                return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"our own page"})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        async with AsyncExitStack() as stack:
            await receive()
            try:
                for life in self._lives:
                    await stack.enter_async_context(life())
            except Exception as exc:
                await send({"type": "lifespan.startup.failed", "message": str(exc)})
                return
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


class Started:
    """An application that runs already, for a second host that speaks to it."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        for phase in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{phase}.complete"})


@asynccontextmanager
async def product() -> AsyncIterator[tuple[InstallKeys, RestApi, dict[str, Any]]]:
    """The keys and the REST API of one host, served, and the ``[host]`` table of an add-on that it may install."""
    keys = InstallKeys()
    rest = RestApi(keys)
    async with rest.serve() as url:
        yield keys, rest, {"install_keys": [url], "token_server": url, "domains": ["127.0.0.1"]}


@asynccontextmanager
async def installed(app: Application, keys: InstallKeys, rest: RestApi, base_url: str) -> AsyncIterator[Host]:
    """A host that has installed the add-on which runs at this URL of a started application."""
    async with Host(Started(app), keys, base_url, rest) as host:
        await host.install()
        yield host
