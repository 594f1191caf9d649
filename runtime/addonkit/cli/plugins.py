"""``addonkit descriptor`` and ``addonkit plugins``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from addonkit.cli.group import with_config
from addonkit.cli.output import print_json, print_rows


@with_config
@click.command(short_help="Print the merged descriptor as it is served.")
@click.option("--sources", is_flag=True, help="Print a table of the plugins that contributed each part instead.")
@click.option("--json", "as_json", is_flag=True, help="With --sources: print one JSON array.")
@click.option("--limit", type=click.IntRange(min=1), help="With --sources: print at most this many rows.")
def descriptor(config: Path | None, sources: bool, as_json: bool, limit: int | None) -> None:
    """Print the merged descriptor as it is served."""
    from addonkit.app.deployment import Deployment

    deployment = Deployment.read(config)
    merged = deployment.descriptor
    if not sources:
        print_json(merged.document)
        return
    print_sources(merged.document, merged.sources, as_json, limit)


def print_sources(document: Any, sources: Mapping[str, str], as_json: bool, limit: int | None = None) -> None:
    """Print the plugin of each part of a document.

    Args:
        document: As JSON values.
        sources: The plugin by JSON pointer.
        as_json: Print JSON instead of a table.
        limit: Most rows.
    """
    rows = [
        {"pointer": pointer, "plugin": plugin, "what": _value_at(document, pointer)}
        for pointer, plugin in list(sources.items())[:limit]
    ]
    print_rows(rows, ("plugin", "pointer", "what"), as_json)


def _value_at(document: Any, pointer: str) -> str:
    """Return the key of a module, or the value at another pointer."""
    for part in pointer.split("/")[1:]:
        document = document[int(part)] if isinstance(document, list) else document[part]
    return str(document.get("key") or document.get("url", "")) if isinstance(document, dict) else str(document)


@with_config
@click.command(short_help="List installed plugins and their modules.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
@click.option("--limit", type=click.IntRange(min=1), help="Print at most this many rows.")
def plugins(config: Path | None, as_json: bool, limit: int | None) -> None:
    """List installed plugins with their state, and the modules and scopes of enabled ones.

    The reason says why a plugin is skipped, or why the tables of one that is off cannot be migrated.
    """
    from addonkit.app.deployment import Deployment

    deployment = Deployment.read(config)
    registry = deployment.registry
    reasons = {name: str(fault) for name, fault in deployment.storage.faults.items()}
    skipped = {plugin.name: plugin.reason for plugin in registry.skipped}
    names = sorted({*deployment.installed, *deployment.settings.addon.plugins})
    rows = []
    for name in names[:limit]:
        distributions = deployment.installed.get(name, ())
        contribution = registry.contributions.get(name)
        rows.append(
            {
                "plugin": name,
                "state": "on" if contribution else "skipped" if name in skipped else "off",
                "distribution": f"{distributions[0].distribution} {distributions[0].version}" if distributions else "",
                "modules": [module.key or module.type for module in contribution.modules] if contribution else [],
                "scopes": sorted(contribution.scopes) if contribution else [],
                "reason": skipped.get(name) or ("" if contribution else reasons.get(name, "")),
            }
        )
    print_rows(rows, ("plugin", "state", "distribution", "modules", "scopes", "reason"), as_json)
