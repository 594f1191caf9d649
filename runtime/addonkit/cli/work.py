"""``addonkit work``: runs background jobs in a process that serves nothing but probes and metrics."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from addonkit.cli.group import with_config
from addonkit.cli.process import collector_paused, fast_loop
from addonkit.errors import SettingsInvalid

if TYPE_CHECKING:
    from addonkit.app.addon import Addon
    from addonkit.app.deployment import Deployment
    from addonkit.server.operations_listener import OperationsListener


@with_config
@click.command(short_help="Run background jobs only, without serving HTTP.")
@click.option("--migrate/--no-migrate", default=True, show_default=True, help="Apply pending migrations first.")
@click.option(
    "--suspects", hidden=True, metavar="WORKER", help="Run jobs that a process died with, as a child process."
)
@collector_paused()
def work(config: Path | None, migrate: bool, suspects: str | None) -> int:
    """Run background jobs until SIGINT or SIGTERM; of HTTP, only probes and metrics are served.

    Any number of these processes may run, on any machine that can reach the PostgreSQL database. The exit code is 0 if
    every job that was started has finished, and 1 if some were released to run elsewhere.
    """
    from addonkit.app.deployment import Deployment
    from addonkit.cli.logs import configure_for, log_stray_failures

    deployment = Deployment.read(config)
    configure_for(deployment)
    log_stray_failures()
    if suspects is not None:
        return 0 if _run_suspects(deployment, suspects) else 1
    if not deployment.location.is_postgres:
        raise SettingsInvalid(
            "[database] url names a SQLite file, whose jobs run in 'addonkit serve'; name a PostgreSQL database to run "
            "'addonkit work' as well"
        )
    return 0 if _work(deployment, migrate) else 1


def _work(deployment: Deployment, migrate: bool) -> bool:
    """Run jobs until a signal; return whether every job that was started has finished."""
    from addonkit.app.addon import Addon
    from addonkit.app.job_worker import work as run
    from addonkit.app.migrate import refuse_pending, upgrade_in_subprocess
    from addonkit.cli.logs import adjustable_for
    from addonkit.server.service_manager import ServiceManager
    from addonkit.server.shutdown import Shutdown

    manager = ServiceManager.from_environment()
    addon, shutdown = Addon(deployment), Shutdown()
    operations = _operations_listener(deployment, addon)
    (upgrade_in_subprocess if migrate else refuse_pending)(deployment)

    def on_ready() -> None:
        status = f"runs jobs of {', '.join(deployment.registry.contributions)}"
        click.echo(f"{deployment.settings.addon.name} {status}")
        if operations is not None and operations.address is not None:
            click.echo(f"Probes and metrics: {operations.address}")
        manager.ready(status)

    async def work_in_loop() -> bool:
        shutdown.handle_signals()
        async with adjustable_for(deployment, "work"), manager.watching(shutdown, addon.is_alive):
            return await run(addon, shutdown, deployment.settings.server.stop_s, on_ready, operations)

    try:
        with fast_loop() as runner:
            return runner.run(work_in_loop())
    finally:
        if operations is not None:
            operations.close()


def _operations_listener(deployment: Deployment, addon: Addon) -> OperationsListener | None:
    """Bind the listener for probes and metrics; None if no address is configured."""
    from addonkit.server.operations_listener import OperationsListener

    settings = deployment.settings.operations
    bind = settings.work_bind or settings.bind
    return OperationsListener(addon.operations, bind, is_shared=settings.work_bind is None) if bind else None


def _run_suspects(deployment: Deployment, worker: str) -> bool:
    """Run suspect jobs as a child process; return whether every job that was started has finished."""
    from addonkit.app.addon import Addon
    from addonkit.app.job_worker import exit_with_parent, run_suspects
    from addonkit.cli.logs import adjustable_for
    from addonkit.server.shutdown import Shutdown

    exit_with_parent()
    addon, shutdown = Addon(deployment), Shutdown()

    async def run_in_loop() -> bool:
        shutdown.handle_signals()
        async with adjustable_for(deployment, "suspect jobs"):
            return await run_suspects(addon, worker, shutdown, deployment.settings.server.stop_s)

    with fast_loop() as runner:
        return runner.run(run_in_loop())
