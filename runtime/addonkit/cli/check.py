"""``addonkit check``: what is wrong with a deployment, or with one token."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson

from addonkit.cli.group import with_config
from addonkit.text import one_line

if TYPE_CHECKING:
    from addonkit.app.deployment import Deployment
    from addonkit.check import Finding

LONGEST_PASTED = 64 * 1024
EVENTS = ("installed", "uninstalled", "enabled", "disabled")


@with_config
@click.command(short_help="Diagnose the deployment and suggest fixes.")
@click.option("--offline", is_flag=True, help="Ask nothing over the network but the database.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@click.option(
    "--token",
    "of_token",
    is_flag=True,
    help="Say why a token is refused, or that it is not. It is read from standard input: the token itself, or the "
    "whole address that carries it.",
)
@click.option("--request", help="With --token: the request it came with, as 'GET /path?query', without the token.")
@click.option("--event", type=click.Choice(EVENTS), help="With --token: the lifecycle call it came with.")
def check(
    config: Path | None, offline: bool, as_json: bool, of_token: bool, request: str | None, event: str | None
) -> None:
    """Look for what keeps the add-on from being served, and say what to do. Exits with 1 if something is wrong.

    Nothing is changed. Each line says ok, warn, wrong, or - for what was not looked at.
    """
    from addonkit.app.deployment import Deployment
    from addonkit.cli.logs import configure_for

    if not of_token and (request or event):
        raise click.UsageError("--request and --event go with --token")
    deployment = Deployment.read(config)
    configure_for(deployment)
    findings = _token_findings(deployment, request, event, offline) if of_token else _examination(deployment, offline)
    sys.exit(1 if "wrong" in asyncio.run(_told(findings, as_json)) else 0)


async def _examination(deployment: Deployment, offline: bool) -> AsyncIterator[Finding]:
    from addonkit.check import CheckContext, HttpProbe, run_checks

    async with HttpProbe() as visits:
        async for finding in run_checks(CheckContext(deployment, None if offline else visits)):
            yield finding


async def _token_findings(
    deployment: Deployment, request: str | None, event: str | None, offline: bool
) -> AsyncIterator[Finding]:
    from addonkit.check.token import explain_token
    from addonkit.check.token_input import pasted_with

    pasted = pasted_with(_pasted_text(), request, deployment.settings.addon.base_url)
    async for finding in explain_token(deployment, pasted, event, offline=offline):
        yield finding


def _pasted_text() -> str:
    """What stands on standard input; on a terminal it is asked for and not shown."""
    if sys.stdin.isatty():
        return str(click.prompt("Token or address", hide_input=True, default="", show_default=False))
    return sys.stdin.read(LONGEST_PASTED)


async def _told(findings: AsyncIterator[Finding], as_json: bool) -> set[str]:
    """Print findings as they come, or all of them as one array; give the states that were among them."""
    kept = []
    async for finding in findings:
        kept.append(finding)
        if not as_json:
            click.echo(f"{finding.state:5} {finding.look:14} {one_line(finding.said)}")
    if as_json:
        click.echo(orjson.dumps([asdict(one) for one in kept], option=orjson.OPT_INDENT_2).decode())
    return {finding.state.value for finding in kept}
