"""``addonkit forge manifest``: prints the Forge manifest, or writes it to a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from addonkit.cli.group import with_config
from addonkit.cli.output import print_json
from addonkit.cli.plugins import print_sources

if TYPE_CHECKING:
    from addonkit.forge.manifest import Manifest
    from addonkit.settings.forge_section import Stage

STAGES = ("connect", "hybrid", "forge")


@with_config
@click.command(short_help="Print the Forge manifest, or write manifest.yml.")
@click.option("--stage", type=click.Choice(STAGES), help="The stage to make it for. [default: [forge] stage]")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Write manifest.yml to this folder.")
@click.option("--force", is_flag=True, help="With --out: replace a manifest.yml that addonkit has not generated.")
@click.option("--sources", is_flag=True, help="Print a table of the plugins that contributed each part instead.")
@click.option("--json", "as_json", is_flag=True, help="Print the manifest, or with --sources the table, as JSON.")
def manifest(
    config: Path | None, stage: Stage | None, out: Path | None, force: bool, sources: bool, as_json: bool
) -> None:
    """Print the Forge manifest of the enabled plugins, or write it to a folder for 'forge deploy'.

    The same plugins and settings give the same bytes. Settings are in [forge] of the configuration.
    """
    from addonkit.app.deployment import Deployment
    from addonkit.forge.manifest import manifest_of
    from addonkit.forge.manifest_file import render

    if out and (sources or as_json):
        raise click.UsageError("--out writes manifest.yml and prints no document; use it without --sources and --json")
    if force and not out:
        raise click.UsageError("--force can be used only with --out")
    deployment = Deployment.read(config)
    made = manifest_of(deployment.registry, stage)
    if out:
        _write(made, out, force, deployment.settings.forge.environments if deployment.settings.forge else [])
    elif sources:
        print_sources(made.document, made.sources, as_json)
    elif as_json:
        print_json(made.document)
    else:
        click.echo(render(made), nl=False)


def _write(made: Manifest, folder: Path, force: bool, environments: list[str]) -> None:
    """Write manifest.yml, and print what it holds and what comes next."""
    from addonkit.forge.manifest_file import write

    path = folder / "manifest.yml"
    state = write(made, path, force=force)
    modules = sum(len(bodies) for bodies in made.document["connectModules"].values())
    products = sorted({type_.partition(":")[0].capitalize() for type_ in made.document["connectModules"]})
    scopes = made.document["permissions"]["scopes"]
    click.echo(f"{state} '{path}'")
    click.echo(f"  {modules} Connect modules of {' and '.join(products)}; scopes: {', '.join(scopes) or 'none'}")
    click.echo(
        "next: 'addonkit forge check', then in that folder 'forge lint', 'forge deploy' to an environment of your own, "
        f"and 'forge deploy --environment {environments[0]}'"
    )
    if state == "created":
        click.echo(
            "before the first production deploy, ask Atlassian's support to keep the account of the Connect app; "
            "without that, the add-on acts as a new user on every site"
        )
