"""``addonkit work``: runs background jobs in a process that serves nothing."""

from __future__ import annotations

from pathlib import Path

import click

from addonkit.cli.group import with_config
from addonkit.errors import SettingsInvalid


@with_config
@click.command(short_help="Run background jobs only, without serving HTTP.")
@click.option("--migrate/--no-migrate", default=True, show_default=True, help="Apply pending migrations first.")
@click.option(
    "--suspects", hidden=True, metavar="WORKER", help="Run jobs that a process died with, as a child process."
)
def work(config: Path | None, migrate: bool, suspects: str | None) -> int:
    """Run background jobs until SIGINT or SIGTERM, without serving HTTP.

    Any number of these processes may run, on any machine that can reach the PostgreSQL database. The exit code is 0 if
    every job that was started has finished, and 1 if some were released to run elsewhere.
    """
    from addonkit.app.addon import Addon
    from addonkit.app.deployment import Deployment
    from addonkit.app.job_worker import exit_with_parent, run_suspects
    from addonkit.app.job_worker import work as run
    from addonkit.app.migrate import refuse_pending, upgrade_in_subprocess
    from addonkit.cli.logs import configure_for, log_stray_failures
    from addonkit.cli.serve import fast_loop
    from addonkit.server.shutdown import Shutdown

    deployment = Deployment.read(config)
    configure_for(deployment)
    if suspects is not None:
        exit_with_parent()
        addon, shutdown = Addon(deployment), Shutdown()

        log_stray_failures()

        async def run_suspects_in_loop() -> bool:
            shutdown.handle_signals()
            return await run_suspects(addon, suspects, shutdown, deployment.settings.server.stop_s)

        with fast_loop() as runner:
            return 0 if runner.run(run_suspects_in_loop()) else 1
    if not deployment.location.is_postgres:
        raise SettingsInvalid(
            "[database] url names a SQLite file, whose jobs run in 'addonkit serve'; name a PostgreSQL database to run "
            "'addonkit work' as well"
        )
    addon = Addon(deployment)
    (upgrade_in_subprocess if migrate else refuse_pending)(deployment)
    shutdown = Shutdown()

    def on_ready() -> None:
        plugins = ", ".join(deployment.registry.contributions)
        click.echo(f"{deployment.settings.addon.name} runs jobs of {plugins}")

    log_stray_failures()

    async def work_in_loop() -> bool:
        shutdown.handle_signals()
        return await run(addon, shutdown, deployment.settings.server.stop_s, on_ready)

    with fast_loop() as runner:
        return 0 if runner.run(work_in_loop()) else 1
