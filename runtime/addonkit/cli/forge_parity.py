"""``addonkit forge parity``: prints what becomes of each plugin's modules, webhooks, scopes and hooks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click

from addonkit.cli.forge_output import print_marks, print_wrapped
from addonkit.cli.group import with_config
from addonkit.cli.output import print_json

if TYPE_CHECKING:
    from addonkit.app.deployment import Deployment
    from addonkit.forge.statements import Statement
    from addonkit.settings.forge_section import Stage

TITLES = {
    "connect": "stage 'connect': Connect modules inside a Forge manifest",
    "hybrid": "stage 'hybrid': Connect modules, and Forge modules for [forge] native",
    "forge": "stage 'forge': Forge modules only",
}


@with_config
@click.command(short_help="Print what changes for each plugin on Forge.")
@click.argument("plugin", required=False)
@click.option(
    "--stage",
    type=click.Choice(list(TITLES)),
    help="Print this stage only. [default: the stage of [forge], and the stage 'forge']",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
@click.pass_context
def parity(ctx: click.Context, config: Path | None, plugin: str | None, stage: Stage | None, as_json: bool) -> None:
    """Print what becomes of each module, webhook, scope, lifecycle hook and licence of the plugins on Forge.

    Each is kept, changed, lost, or needs a permission that administrators must approve. Marks in brackets name the
    sources; R is not confirmed.

    Exit codes: 0, or 1 if something is lost that [forge] accepted_losses does not name.
    """
    from addonkit.app.deployment import Deployment
    from addonkit.forge.losses import is_accepted, unmatched
    from addonkit.forge.parity import addon_of
    from addonkit.forge.parity import parity as statements_at
    from addonkit.forge.statements import STAGES

    deployment = Deployment.read(config)
    addon = addon_of(deployment.registry)
    _check_plugin(plugin, deployment)
    for skipped in deployment.registry.skipped:
        click.echo(f"warning: plugin '{skipped.name}' is skipped and not in this report: {skipped.reason}", err=True)
    accepted = deployment.settings.forge.accepted_losses if deployment.settings.forge else []
    made = {one: statements_at(addon, one) for one in STAGES}
    for sentence in unmatched([statement for found in made.values() for statement in found], accepted):
        click.echo(f"warning: {sentence}", err=True)
    shown = {one: _of_plugin(made[one], plugin) for one in _stages(stage, deployment)}
    rows = {one: [(statement, is_accepted(statement, accepted)) for statement in found] for one, found in shown.items()}
    if as_json:
        print_json([statement.row(is_accepted=ok) for found in rows.values() for statement, ok in found])
    else:
        _print(rows)
    if any(statement.verdict == "lost" and not ok for found in rows.values() for statement, ok in found):
        ctx.exit(1)


def _check_plugin(plugin: str | None, deployment: Deployment) -> None:
    """Refuse the name of a plugin that is not enabled."""
    from addonkit.errors import PluginError
    from addonkit.text import near_matches

    registry = deployment.registry
    if plugin is None or plugin in registry.contributions:
        return
    skipped = {one.name: one.reason for one in registry.skipped}
    if plugin in skipped:
        raise PluginError(f"plugin '{plugin}' is skipped: {skipped[plugin]}", plugin=plugin)
    if plugin in deployment.installed:
        raise PluginError(
            f"plugin '{plugin}' is installed but not enabled; add it to [addon] plugins to see what changes for it",
            plugin=plugin,
        )
    close = near_matches(plugin, registry.contributions)
    remedy = f"did you mean '{close[0]}'" if close else f"enabled are {', '.join(registry.contributions) or 'none'}"
    raise PluginError(f"no plugin '{plugin}' is enabled; {remedy}", plugin=plugin)


def _stages(stage: Stage | None, deployment: Deployment) -> Sequence[Stage]:
    """Return the stages to print: the one that was named, or the configured one and the last."""
    if stage is not None:
        return (stage,)
    forge = deployment.settings.forge
    now: Stage = forge.stage if forge else "connect"
    return (now,) if now == "forge" else (now, "forge")


def _of_plugin(statements: Sequence[Statement], plugin: str | None) -> list[Statement]:
    return [statement for statement in statements if plugin in (None, statement.plugin)]


def _print(rows: dict[Stage, list[tuple[Statement, bool]]]) -> None:
    """Print a block for each plugin at each stage, the sums of the verdicts, and what the marks mean."""
    marks: set[str] = set()
    for stage, found in rows.items():
        click.echo(TITLES[stage])
        if not found:
            click.echo("\n  nothing: no module, webhook, scope, lifecycle hook or licence")
        for plugin, statements in groupby(found, key=lambda one: one[0].plugin):
            click.echo(f"\n{plugin}")
            for statement, is_accepted in statements:
                _print_statement(statement, is_accepted)
                marks.update(statement.sources, *(note.sources for note in statement.notes))
        click.echo(f"\n{_sums(found)}\n")
    print_marks(marks)


def _print_statement(statement: Statement, is_accepted: bool) -> None:
    what = statement.name if statement.kind == statement.plugin else f"{statement.kind} {statement.name}"
    if statement.kind == "licence":
        what = statement.name
    elif statement.kind == "module":
        what += f" ({statement.type})"
    verdict = "lost (accepted)" if is_accepted else statement.verdict.value
    becomes = f" → {statement.becomes}" if statement.becomes else ""
    print_wrapped(f"{what}{becomes} {statement.fact.marks}", f"  {verdict:16}  ", 22)
    for note in statement.notes:
        print_wrapped(str(note), " " * 22, 24)


def _sums(found: Sequence[tuple[Statement, bool]]) -> str:
    counts = Counter(statement.verdict.value for statement, _ in found)
    accepted = sum(is_accepted for _, is_accepted in found)
    words = {"kept": "kept", "changed": "changed", "needs permission": "need permission", "lost": "lost"}
    sums = ", ".join(f"{counts[verdict]} {word}" for verdict, word in words.items())
    return f"{sums}, {accepted} of them accepted" if accepted else sums
