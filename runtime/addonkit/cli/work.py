"""``addonkit work``."""

from __future__ import annotations

from pathlib import Path

import click

from addonkit.cli.group import with_config
from addonkit.errors import SettingsInvalid


@with_config
@click.command(short_help="Run background jobs only, without serving HTTP.")
@click.option(
    "--migrate/--no-migrate", default=True, show_default=True, help="Whether to bring the database up to date first."
)
def work(config: Path | None, migrate: bool) -> int:
    """Run jobs in the background until SIGINT or SIGTERM, and serve nothing.

    Any number of these may run, on any machine that reaches the PostgreSQL database. Exit code 0: all that was begun
    was finished; 1: some jobs were handed back to run elsewhere.
    """
    from addonkit.app.addon import Addon
    from addonkit.app.deployment import Deployment
    from addonkit.app.job_worker import work as run
    from addonkit.app.migrate import refuse_pending, upgrade_in_a_process
    from addonkit.cli.logs import configure_for
    from addonkit.cli.serve import fast_loop
    from addonkit.server.shutdown import Shutdown

    deployment = Deployment.read(config)
    configure_for(deployment)
    if not deployment.location.is_postgres:
        raise SettingsInvalid(
            "[database] url is a SQLite file, whose jobs run in the process that serves; name a PostgreSQL database "
            "there, or run 'addonkit serve' alone"
        )
    addon = Addon(deployment)
    (upgrade_in_a_process if migrate else refuse_pending)(deployment)
    ending = Shutdown()

    def ready() -> None:
        click.echo(f"{deployment.settings.addon.name} works for {', '.join(deployment.registry.contributions)}")

    async def heeding() -> bool:
        ending.handle_signals()
        return await run(addon, ending, deployment.settings.server.stop_s, ready)

    with fast_loop() as runner:
        return 0 if runner.run(heeding()) else 1
