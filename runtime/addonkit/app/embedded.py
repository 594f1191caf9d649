"""``asgi``: an add-on that is mounted in another ASGI application, or that shares a process with other add-ons."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from os import PathLike
from pathlib import Path

from addonkit.app.addon import Addon
from addonkit.app.deployment import Deployment
from addonkit.app.migrate import refuse_pending, upgrade_in_subprocess
from addonkit.database.lock import serving_lock
from addonkit.edge.request import Receive, Scope, Send


class EmbeddedAddon(Addon):
    """An add-on to be mounted in another ASGI application, or to be served by any ASGI server.

    ``running()``, ``lifespan`` or the lifespan protocol of ASGI starts and stops it; use one of them. It checks the
    database and locks an SQLite file as ``addonkit serve`` does. It does not change logging, signals or the event loop.

    Args:
        deployment: The deployment.
        migrate: Whether to apply pending migrations at the start; otherwise, the start fails if one of the runtime
            or of an enabled plugin is pending.

    Raises:
        AddonkitError: The deployment cannot be used.
    """

    def __init__(self, deployment: Deployment, *, migrate: bool = False) -> None:
        super().__init__(deployment)
        self._migrate = migrate
        self._is_started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope: a request, a WebSocket, or the lifespan of the application.

        Raises:
            RuntimeError: The add-on has not been started.
        """
        if scope["type"] != "lifespan" and not self._is_started:
            raise RuntimeError(
                f"the add-on '{self.deployment.settings.addon.key}' gets a request but has not been started; a mounted "
                "application gets no lifespan events, so enter 'addon.running()' in the lifespan of the application "
                "around it"
            )
        await super().__call__(scope, receive, send)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start the add-on, and stop it at the end of the block.

        Raises:
            AddonkitError: It cannot start: a migration is pending, the database cannot be opened or is served by
                another process, or its secrets are encrypted with other keys.
        """
        await self.start()
        try:
            yield
        finally:
            await self.stop()

    def lifespan(self, _app: object = None) -> AbstractAsyncContextManager[None]:
        """Return :meth:`running`, with the signature that Starlette's argument ``lifespan`` needs."""
        return self.running()

    async def start(self, *, working: bool | None = None) -> None:
        """Check the database, open it and start the background work.

        Args:
            working: Whether this process runs jobs; by default as ``[jobs] in_server`` says.

        Raises:
            AddonkitError: The add-on cannot start.
            RuntimeError: It has been started already.
        """
        if self._is_started:
            raise RuntimeError("the add-on has been started already; start it in one place of the application")
        self._is_started = True
        location = self.deployment.location
        try:
            location.check_usable()
            await asyncio.to_thread(upgrade_in_subprocess if self._migrate else refuse_pending, self.deployment)
            if not location.is_postgres:
                self._stack.enter_context(serving_lock(location.path))
            await super().start(working=working)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> bool:
        """Stop the background work and close the database; return whether no job was cancelled."""
        self._is_started = False
        return await super().stop()


def asgi(config: str | PathLike[str] | None = None, *, migrate: bool = False) -> EmbeddedAddon:
    """Create an ASGI application from a configuration file, to be mounted in another one or served by any ASGI server.

    Mount it at the path of ``[addon] base_url``. A mounted application gets no lifespan events: enter
    ``running()`` in the lifespan of the application around it.

    Args:
        config: The configuration file; by default the one that ``ADDONKIT_CONFIG`` names, else ``addon.toml`` in the
            working directory.
        migrate: Whether to apply pending migrations at the start; otherwise, the start fails if one of the runtime
            or of an enabled plugin is pending. With several processes, run ``addonkit migrate`` before they start.

    Raises:
        SettingsInvalid: The configuration cannot be used.
        PluginError: A plugin cannot be used.
    """
    return EmbeddedAddon(Deployment.read(None if config is None else Path(config)), migrate=migrate)
