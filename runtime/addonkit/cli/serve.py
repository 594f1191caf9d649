"""``addonkit serve``."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager, ExitStack, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from addonkit.cli.group import with_config
from addonkit.cli.process import collector_paused, exit_at_once, fast_loop, resume_collector
from addonkit.errors import SettingsInvalid

if TYPE_CHECKING:
    from addonkit.app.addon import Addon
    from addonkit.app.deployment import Deployment
    from addonkit.server.serve import Listeners, ServerName
    from addonkit.server.shutdown import Shutdown
    from addonkit.settings import Settings


@with_config
@click.command(short_help="Serve the add-on over HTTP.")
@click.option(
    "--bind",
    default="127.0.0.1:8000",
    show_default=True,
    help="Address to listen on: HOST:PORT, [IPV6]:PORT or unix:/path.",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Number of worker processes (more than 1 needs PostgreSQL).",
)
@click.option(
    "--server",
    type=click.Choice(["hypercorn", "granian"]),
    help="HTTP server in place of [server] server.",
)
@click.option("--migrate/--no-migrate", default=True, show_default=True, help="Apply pending migrations first.")
@click.option("--inherited", hidden=True, help="Descriptors of the sockets that a worker inherits from its supervisor.")
@collector_paused()
def serve(
    config: Path | None, bind: str, workers: int, server: ServerName | None, migrate: bool, inherited: str | None
) -> int:
    """Serve the add-on until SIGINT or SIGTERM.

    First checks for pending migrations and, if there are any, runs 'addonkit migrate' in a separate process. With more
    than one worker, SIGHUP replaces the workers one after another; the new ones read the configuration again.
    """
    from addonkit.cli.logs import configure, configure_for
    from addonkit.settings import configuration_at, read_settings

    path = configuration_at(config)
    settings = read_settings(path)
    configure(settings.log)
    if inherited is None and workers > 1:
        return 0 if _supervise(path, settings, bind, workers, server, migrate) else 1
    # Imported here: a supervisor does not load plugins.
    from addonkit.app.deployment import Deployment

    deployment = Deployment(settings, path.parent, path)
    configure_for(deployment)
    if inherited is not None:
        is_complete = _serve_as_worker(deployment, inherited, server, migrate)
    else:
        is_complete = _serve_alone(deployment, bind, server, migrate)
    code = 0 if is_complete else 1
    if (server or settings.server.server) == "granian":
        exit_at_once(code)
    return code


def _serve_alone(deployment: Deployment, bind: str, server: ServerName | None, migrate: bool) -> bool:
    """Serve from this process, without a supervisor."""
    from addonkit.database.lock import serving_lock
    from addonkit.server.service_manager import ServiceManager
    from addonkit.server.shutdown import Shutdown

    manager = ServiceManager.from_environment()
    with ExitStack() as stack:
        listeners = _bind_listeners(deployment.settings, bind, stack)
        location = deployment.location
        location.check_usable()
        stack.enter_context(nullcontext() if location.is_postgres else serving_lock(location.path))
        shutdown = Shutdown()

        def on_ready() -> None:
            _print_ready(deployment.settings, deployment.registry.contributions, listeners.public)
            manager.ready("serving")

        return _serve(
            deployment,
            listeners,
            server,
            migrate=migrate,
            shutdown=shutdown,
            handle_shutdown=shutdown.handle_signals,
            watching=lambda addon: manager.watching(shutdown, addon.is_alive),
            on_ready=on_ready,
        )


def _serve_as_worker(deployment: Deployment, inherited: str, server: ServerName | None, migrate: bool) -> bool:
    """Serve as one of several worker processes, on sockets that the supervisor has bound."""
    from addonkit.server.serve import Listeners
    from addonkit.server.shutdown import CLOSED, READY, Shutdown, ShutdownMode
    from addonkit.server.sockets import inherited_socket
    from addonkit.server.worker_beat import beating

    channel, *listeners = (inherited_socket(int(descriptor)) for descriptor in inherited.split(","))
    settings = deployment.settings.server
    shutdown = Shutdown()

    def on_ready() -> None:
        channel.send(READY + str(settings.drain_s + settings.stop_s).encode())

    def on_closed() -> None:
        # The supervisor may have died.
        with suppress(OSError):
            channel.send(CLOSED)

    with channel:
        return _serve(
            deployment,
            Listeners(*listeners),
            server,
            migrate=migrate,
            shutdown=shutdown,
            handle_shutdown=lambda: shutdown.handle_supervisor(channel),
            watching=lambda _: beating(channel),
            on_ready=on_ready,
            # The supervisor replaces a worker process that ends.
            on_exhausted=lambda: shutdown.request(ShutdownMode.GRACEFUL, repeat_aborts=False),
            on_closed=on_closed,
        )


def _serve(
    deployment: Deployment,
    listeners: Listeners,
    server: ServerName | None,
    *,
    migrate: bool,
    shutdown: Shutdown,
    handle_shutdown: Callable[[], None],
    watching: Callable[[Addon], AbstractAsyncContextManager[None]],
    on_ready: Callable[[], None],
    on_exhausted: Callable[[], None] = lambda: None,
    on_closed: Callable[[], None] = lambda: None,
) -> bool:
    """Create the add-on and serve it within ``watching``.

    All errors in the configuration are raised before the database is changed.
    """
    from addonkit.app.addon import Addon
    from addonkit.app.migrate import refuse_pending, upgrade_in_subprocess
    from addonkit.cli.logs import adjustable_for, log_stray_failures
    from addonkit.server.serve import ServerOptions
    from addonkit.server.serve import serve as run
    from addonkit.server.tls import load_tls
    from addonkit.settings import worker_number

    settings = deployment.settings.server
    options = ServerOptions(
        server=server or settings.server,
        tls=load_tls(settings, deployment.directory),
        drain_s=settings.drain_s,
        stop_s=settings.stop_s,
    )
    addon = Addon(deployment)
    addon.on_exhausted = on_exhausted
    (upgrade_in_subprocess if migrate else refuse_pending)(deployment)

    log_stray_failures()

    async def serve_in_loop() -> bool:
        handle_shutdown()
        number = worker_number()
        process = "serve" if number is None else f"worker {number}"
        async with adjustable_for(deployment, process), watching(addon):
            return await run(addon, listeners, options, shutdown, on_ready, on_closed)

    with fast_loop() as runner:
        return runner.run(serve_in_loop())


def _supervise(
    path: Path, settings: Settings, bind: str, workers: int, server: ServerName | None, migrate: bool
) -> bool:
    """Start several worker processes and supervise them."""
    from addonkit.cli.logs import adjustable_alone
    from addonkit.server.serve import MAX_CLOSE_S
    from addonkit.server.service_manager import ServiceManager
    from addonkit.server.supervisor import Supervisor

    manager = ServiceManager.from_environment()
    if settings.database.url.startswith("sqlite:"):
        raise SettingsInvalid(
            f"--workers is {workers}, but [database] url names a SQLite file, which one process can serve; use a "
            "PostgreSQL database, or omit --workers"
        )
    command = [sys.executable, "-m", "addonkit", "serve", "--config", str(path)]
    if server is not None:
        command += ["--server", server]
    with ExitStack() as stack:
        listeners = _bind_listeners(settings, bind, stack)
        supervisor = Supervisor(
            command,
            first_options=["--migrate" if migrate else "--no-migrate"],
            other_options=["--no-migrate"],
            count=workers,
            listeners=[one for one in (listeners.public, listeners.operations) if one is not None],
            requests_s=settings.server.drain_s + settings.server.stop_s,
            close_s=settings.server.drain_s + MAX_CLOSE_S,
            manager=manager,
        )

        async def supervise() -> bool:
            async with adjustable_alone(path, settings.log, "supervisor"):
                return await supervisor.run(
                    lambda: _print_ready(settings, settings.addon.plugins, listeners.public, workers)
                )

        resume_collector()
        return asyncio.run(supervise())


def _bind_listeners(settings: Settings, bind: str, stack: ExitStack) -> Listeners:
    """Bind the sockets of the deployment; they are released with the stack."""
    from addonkit.server.operations_listener import bound_operations_socket
    from addonkit.server.serve import Listeners
    from addonkit.server.sockets import bound_socket, release

    public = bound_socket(bind)
    stack.callback(release, public, bind)
    operations_bind = settings.operations.bind
    if operations_bind is None:
        return Listeners(public)
    operations = bound_operations_socket(operations_bind)
    stack.callback(release, operations, operations_bind)
    return Listeners(public, operations)


def _print_ready(settings: Settings, plugins: Iterable[str], listener: socket.socket, workers: int = 1) -> None:
    from addonkit.server.sockets import address_of

    addon = settings.addon
    where = f"listening on {address_of(listener)}" + (f", {workers} workers" if workers > 1 else "")
    click.echo(f"{addon.name} ({addon.key}) serves {', '.join(plugins)}")
    click.echo(f"Descriptor: {addon.base_url}/atlassian-connect.json  ({where})")
