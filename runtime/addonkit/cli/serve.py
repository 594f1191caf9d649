"""``addonkit serve``."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from addonkit.cli.group import with_config
from addonkit.errors import SettingsInvalid
from addonkit.log import structlog

if TYPE_CHECKING:
    from addonkit.app.deployment import Deployment
    from addonkit.server.serve import Listeners, ServerName
    from addonkit.server.shutdown import Shutdown
    from addonkit.settings import Settings


@with_config
@click.command(short_help="Serve the add-on over HTTP.")
@click.option(
    "--bind", default="127.0.0.1:8000", show_default=True, help="Where to listen: HOST:PORT, [IPV6]:PORT or unix:/path."
)
@click.option(
    "--workers", type=click.IntRange(1), default=1, show_default=True, help="How many processes serve, on PostgreSQL."
)
@click.option(
    "--server",
    type=click.Choice(["hypercorn", "granian"]),
    default="hypercorn",
    show_default=True,
    help="What speaks HTTP.",
)
@click.option(
    "--migrate/--no-migrate", default=True, show_default=True, help="Whether to bring the database up to date first."
)
@click.option("--inherited", hidden=True, help="Descriptors of the sockets that a supervisor hands to a worker.")
def serve(
    config: Path | None, bind: str, workers: int, server: ServerName, migrate: bool, inherited: str | None
) -> int:
    """Serve the add-on until SIGINT or SIGTERM.

    Looks whether the database lacks a migration and only then runs 'addonkit migrate' in a process of its own. With
    more than one worker, SIGHUP replaces them one after another, with the configuration as it is then.
    """
    from addonkit.cli.logs import configure, configure_for
    from addonkit.settings import configuration_at, read_settings

    path = configuration_at(config)
    settings = read_settings(path)
    configure(settings.log)
    if inherited is None and workers > 1:
        return 0 if _supervise(path, settings, bind, workers, server, migrate) else 1
    # here, for a supervisor needs none of what a deployment is made of
    from addonkit.app.deployment import Deployment

    deployment = Deployment(settings, path.parent, path)
    configure_for(deployment)
    if inherited is not None:
        return 0 if _work(deployment, inherited, server, migrate) else 1
    return 0 if _serve_alone(deployment, bind, server, migrate) else 1


def _serve_alone(deployment: Deployment, bind: str, server: ServerName, migrate: bool) -> bool:
    """Serve from this process."""
    from addonkit.database.serving_lock import serving_alone
    from addonkit.server.shutdown import Shutdown

    with ExitStack() as stack:
        listeners = _bound(deployment.settings, bind, stack)
        location = deployment.location
        location.check_usable()
        stack.enter_context(nullcontext() if location.is_postgres else serving_alone(location.path))
        ending = Shutdown()

        def ready() -> None:
            _tell_ready(deployment.settings, deployment.registry.contributions, listeners.public)

        return _serve(deployment, listeners, server, migrate, ending, ending.heed_signals, ready)


def _work(deployment: Deployment, inherited: str, server: ServerName, migrate: bool) -> bool:
    """Serve as one of several processes, on the sockets of the one that started us."""
    from addonkit.server.serve import Listeners
    from addonkit.server.shutdown import READY, Shutdown
    from addonkit.server.sockets import inherited_socket

    structlog.contextvars.bind_contextvars(worker=os.environ.get("ADDONKIT_WORKER"))
    line, *listeners = (inherited_socket(int(descriptor)) for descriptor in inherited.split(","))
    settings = deployment.settings.server
    ending = Shutdown()

    def ready() -> None:
        line.send(READY + str(settings.drain_s + settings.stop_s).encode())

    with line:
        return _serve(
            deployment, Listeners(*listeners), server, migrate, ending, lambda: ending.heed_supervisor(line), ready
        )


def _serve(
    deployment: Deployment,
    listeners: Listeners,
    server: ServerName,
    migrate: bool,
    ending: Shutdown,
    heed: Callable[[], None],
    on_ready: Callable[[], None],
) -> bool:
    """Make the add-on and serve it; all that can be wrong is told before anything is written."""
    from addonkit.app.addon import Addon
    from addonkit.app.migrate import refuse_pending, upgrade_in_a_process
    from addonkit.server.serve import Serving
    from addonkit.server.serve import serve as run
    from addonkit.server.tls import tls_of

    settings = deployment.settings.server
    tls = tls_of(settings, deployment.directory)
    addon = Addon(deployment)
    (upgrade_in_a_process if migrate else refuse_pending)(deployment)

    async def heeding() -> bool:
        heed()
        return await run(addon, listeners, Serving(server, tls, settings.drain_s, settings.stop_s), ending, on_ready)

    with fast_loop() as runner:
        return runner.run(heeding())


def _supervise(path: Path, settings: Settings, bind: str, workers: int, server: ServerName, migrate: bool) -> bool:
    """Have several processes serve."""
    from addonkit.server.supervisor import Supervisor

    if settings.database.url.startswith("sqlite:"):
        raise SettingsInvalid(
            f"--workers is {workers}, and the SQLite file of [database] url feeds one process; name a PostgreSQL "
            "database there, or leave --workers away"
        )
    command = [sys.executable, "-m", "addonkit", "serve", "--config", str(path), "--server", server]
    with ExitStack() as stack:
        listeners = _bound(settings, bind, stack)
        sockets = [listener for listener in (listeners.public, listeners.operations) if listener is not None]
        first, others = ["--migrate" if migrate else "--no-migrate"], ["--no-migrate"]
        supervisor = Supervisor(
            command,
            first=first,
            others=others,
            count=workers,
            listeners=sockets,
            ending_s=settings.server.drain_s + settings.server.stop_s,
        )
        return asyncio.run(
            supervisor.run(lambda: _tell_ready(settings, settings.addon.plugins, listeners.public, workers))
        )


def _bound(settings: Settings, bind: str, stack: ExitStack) -> Listeners:
    """The sockets that the deployment listens on, closed at the end."""
    from addonkit.server.serve import Listeners
    from addonkit.server.sockets import bound_socket, release

    public = bound_socket(bind)
    stack.callback(release, public, bind)
    own = settings.operations.bind
    if own is None:
        return Listeners(public)
    operations = bound_socket(own, "[operations] bind")
    stack.callback(release, operations, own)
    return Listeners(public, operations)


def _tell_ready(settings: Settings, plugins: Iterable[str], listener: socket.socket, workers: int = 1) -> None:
    from addonkit.server.sockets import address_of

    addon = settings.addon
    where = f"listening on {address_of(listener)}" + (f", {workers} workers" if workers > 1 else "")
    click.echo(f"{addon.name} ({addon.key}) serves {', '.join(plugins)}")
    click.echo(f"Descriptor: {addon.base_url}/atlassian-connect.json  ({where})")


def fast_loop() -> asyncio.Runner:
    """uvloop's, where there is one."""
    try:
        import uvloop
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)
