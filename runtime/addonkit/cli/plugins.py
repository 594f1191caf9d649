"""``addonkit descriptor`` and ``plugins``: what a deployment would serve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from addonkit.cli.group import with_config
from addonkit.cli.output import print_json, print_rows


@with_config
@click.command(short_help="Print the merged descriptor as it is served.")
@click.option("--sources", is_flag=True, help="Print which plugin brought what, instead.")
@click.option("--json", "as_json", is_flag=True, help="With --sources: one JSON array.")
@click.option("--limit", type=click.IntRange(min=1), help="With --sources: at most this many rows.")
def descriptor(config: Path | None, sources: bool, as_json: bool, limit: int | None) -> None:
    """Print the merged descriptor as it is served."""
    from addonkit.app.deployment import Deployment

    merged = Deployment.read(config).descriptor
    if not sources:
        print_json(merged.document)
        return
    rows = [
        {"pointer": pointer, "plugin": plugin, "what": _named(merged.document, pointer)}
        for pointer, plugin in list(merged.sources.items())[:limit]
    ]
    print_rows(rows, ("plugin", "pointer", "what"), as_json)


def _named(document: Any, pointer: str) -> str:
    """The key of a module, or the value itself."""
    for part in pointer.split("/")[1:]:
        document = document[int(part)] if isinstance(document, list) else document[part]
    return str(document.get("key") or document.get("url", "")) if isinstance(document, dict) else str(document)


@with_config
@click.command(short_help="List installed plugins and their modules.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@click.option("--limit", type=click.IntRange(min=1), help="At most this many rows.")
def plugins(config: Path | None, as_json: bool, limit: int | None) -> None:
    """List installed plugins, and what the enabled ones bring."""
    from addonkit.app.deployment import Deployment

    deployment = Deployment.read(config)
    registry = deployment.registry
    skipped = {one.name: one.reason for one in registry.skipped}
    names = sorted({*deployment.installed, *deployment.settings.addon.plugins})
    rows = []
    for name in names[:limit]:
        many = deployment.installed.get(name, ())
        one = registry.contributions.get(name)
        rows.append(
            {
                "plugin": name,
                "state": "on" if one else "skipped" if name in skipped else "off",
                "distribution": f"{many[0].distribution} {many[0].version}" if many else "",
                "modules": [module.key or module.type for module in one.modules] if one else [],
                "scopes": sorted(one.scopes) if one else [],
                "reason": skipped.get(name, ""),
            }
        )
    print_rows(rows, ("plugin", "state", "distribution", "modules", "scopes", "reason"), as_json)
