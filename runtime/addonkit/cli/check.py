"""``addonkit check``: diagnoses a deployment, or explains why one token is refused."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from addonkit.cli.group import with_config
from addonkit.cli.output import print_json
from addonkit.errors import SettingsInvalid
from addonkit.text import one_line

if TYPE_CHECKING:
    from addonkit.app.deployment import Deployment
    from addonkit.check import Result

MAX_INPUT_LENGTH = 64 * 1024
EVENTS = ("installed", "uninstalled", "enabled", "disabled")


@with_config
@click.command(short_help="Diagnose the deployment and suggest fixes.")
@click.option("--offline", is_flag=True, help="Send no requests over the network, except to the database.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
@click.option(
    "--token",
    "explains_token",
    is_flag=True,
    help="Explain why a token is refused, or that it is accepted. Reads the token, or the whole address that contains "
    "it, from standard input.",
)
@click.option("--request", help="With --token: its request, as 'GET /path?query' without the token.")
@click.option("--event", type=click.Choice(EVENTS), help="With --token: its lifecycle request.")
def check(
    config: Path | None, offline: bool, as_json: bool, explains_token: bool, request: str | None, event: str | None
) -> None:
    """Diagnose the deployment and suggest fixes. Exits with 1 if something is wrong.

    Nothing is changed. Each line begins with ok, warn, wrong, or - for what was not checked.
    """
    from addonkit.app.deployment import Deployment
    from addonkit.cli.logs import configure_for

    if not explains_token and (request or event):
        raise click.UsageError("--request and --event can be used only with --token")
    deployment = Deployment.read(config)
    configure_for(deployment)
    results = (
        _explain_token(deployment, request, event, offline) if explains_token else _run_checks(deployment, offline)
    )
    sys.exit(1 if "wrong" in asyncio.run(_print(results, as_json)) else 0)


async def _run_checks(deployment: Deployment, offline: bool) -> AsyncIterator[Result]:
    from addonkit.check import CheckContext, HttpProbe, run_checks
    from addonkit.http_client import DIRECT

    try:
        network = deployment.network
    except SettingsInvalid:
        network = DIRECT  # the check of outgoing requests reports why
    async with HttpProbe(network=network) as probe:
        async for result in run_checks(CheckContext(deployment, None if offline else probe)):
            yield result


async def _explain_token(
    deployment: Deployment, request: str | None, event: str | None, offline: bool
) -> AsyncIterator[Result]:
    from addonkit.check.token import explain_token
    from addonkit.check.token_input import read_token

    addon = deployment.settings.addon
    given = read_token(_read_input(), request, addon.base_url, addon.allowed_base_urls)
    async for result in explain_token(deployment, given, event, offline=offline):
        yield result


def _read_input() -> str:
    """Read standard input; on a terminal, with a prompt and without an echo."""
    if sys.stdin.isatty():
        return str(click.prompt("Token or address", hide_input=True, default="", show_default=False))
    return sys.stdin.read(MAX_INPUT_LENGTH)


async def _print(results: AsyncIterator[Result], as_json: bool) -> set[str]:
    """Print each result when it arrives, or all of them as one array at the end; return their states."""
    printed = []
    async for result in results:
        printed.append(result)
        if not as_json:
            click.echo(f"{result.state:5} {result.check:14} {one_line(result.message)}")
    if as_json:
        print_json([asdict(result) for result in printed])
    return {result.state.value for result in printed}
