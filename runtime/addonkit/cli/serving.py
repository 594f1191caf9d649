"""``addonkit serve``."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from addonkit.cli.group import with_config


@with_config
@click.command()
@click.option("--bind", default="127.0.0.1:8000", show_default=True, help="Where to listen, HOST:PORT.")
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
def serve(config: Path | None, bind: str, server: str, migrate: bool) -> None:
    """Serve the add-on until SIGINT or SIGTERM.

    Looks whether the database lacks a migration and only then runs 'addonkit migrate' in a process of its own.
    """
    from addonkit.app import server as servers
    from addonkit.app.addon import Addon
    from addonkit.app.deployment import Deployment
    from addonkit.app.upgrade import refuse_pending, upgrade_in_a_process
    from addonkit.cli.logs import configure

    deployment = Deployment.read(config)
    configure(deployment.settings.log)
    # all that can be wrong is told before anything is written
    listener = servers.bound_socket(bind)
    addon = Addon(deployment)
    (upgrade_in_a_process if migrate else refuse_pending)(deployment)
    run = servers.serve_granian if server == "granian" else servers.serve_hypercorn

    def ready() -> None:
        settings = deployment.settings.addon
        click.echo(f"{settings.name} ({settings.key}) serves {', '.join(deployment.registry.contributions)}")
        click.echo(f"Descriptor: {settings.base_url}/atlassian-connect.json  (listening on {bind})")

    with _fast_loop() as runner:
        runner.run(run(addon, listener, ready))


def _fast_loop() -> asyncio.Runner:
    """uvloop's, where there is one."""
    try:
        import uvloop
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)
