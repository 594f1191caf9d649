"""``addonkit forge diff``: says what administrators must approve when one manifest replaces another."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from addonkit.cli.forge_output import print_marks, print_wrapped
from addonkit.cli.group import config_option
from addonkit.cli.output import print_json

if TYPE_CHECKING:
    from addonkit.forge.approvals import Change, Side

APPROVAL_CODE, REFUSED_CODE = 3, 4
SENTENCES = {
    "none": "The manifests are the same: there is nothing to approve.",
    "automatic": "Sites get this version automatically.",
    "approval": "Administrators must approve this version; each site stays on its own until then.",
    "refused": "This version cannot replace the other one.",
}


@click.command(short_help="Say what administrators must approve.", params=[config_option(expose=False)])
@click.argument("old")
@click.argument("new")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def diff(ctx: click.Context, old: str, new: str, as_json: bool) -> None:
    """Say what administrators must approve when the manifest NEW replaces OLD.

    OLD and NEW are manifests, folders with a manifest.yml, '-' for the standard input, or configurations (*.toml),
    whose plugins' manifest is made. OLD may also be a Connect descriptor: then NEW is the first version that a manifest
    makes.

    Exit codes: 0 nothing to approve, 3 administrators must approve it, 4 the version is refused, 1 failure, 2 invalid
    usage.
    """
    from addonkit.forge.approvals import compare, verdict_of

    if old == new == "-":
        raise click.UsageError("OLD and NEW cannot both be the standard input; name one file")
    changes = compare(_side(old), _side(new))
    verdict = verdict_of(changes)
    if as_json:
        print_json({"verdict": verdict.value, "changes": [change.as_json() for change in changes]})
    else:
        for change in changes:
            _print_change(change)
        click.echo(f"{SENTENCES[verdict.value]}{_sums(changes)}")
        print_marks({mark for change in changes for mark in change.sources})
    ctx.exit({"approval": APPROVAL_CODE, "refused": REFUSED_CODE}.get(verdict.value, 0))


def _side(name: str) -> Side:
    from addonkit.forge.manifest_file import MAX_BYTES
    from addonkit.forge.sides import read_bytes, side_of_file, side_of_manifest

    if name == "-":
        return side_of_file(Path("standard input"), sys.stdin.buffer.read(MAX_BYTES + 1))
    path = Path(name)
    if path.suffix == ".toml":
        from addonkit.app.deployment import Deployment
        from addonkit.forge.manifest import manifest_of

        return side_of_manifest(manifest_of(Deployment.read(path).registry), name)
    return side_of_file(path, read_bytes(path))


def _print_change(change: Change) -> None:
    whose = ", ".join(part for part in (change.plugin, change.where) if part)
    text = f"{change.fact}{f' ({whose})' if whose else ''}{f'; {change.note}' if change.note else ''}"
    print_wrapped(text, f"{change.impact.value:9}  ", 13)


def _sums(changes: Sequence[Change]) -> str:
    counts = Counter(change.impact.value for change in changes)
    words = {"refused": "refused", "approval": "to approve", "automatic": "automatic"}
    sums = ", ".join(f"{counts[impact]} {word}" for impact, word in words.items() if counts[impact])
    return f" ({sums})" if sums else ""
