"""``addonkit descriptor``, ``plugins`` and ``check``: what a deployment would serve."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from addonkit.cli.group import with_config
from addonkit.errors import AddonkitError

if TYPE_CHECKING:
    from addonkit.app.deployment import Deployment


def _print_json(value: Any) -> None:
    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


@with_config
@click.command()
@click.option("--sources", is_flag=True, help="Print which plugin brought what, instead.")
@click.option("--json", "as_json", is_flag=True, help="With --sources: one JSON array.")
@click.option("--limit", type=click.IntRange(min=1), help="With --sources: at most this many rows.")
def descriptor(config: Path | None, sources: bool, as_json: bool, limit: int | None) -> None:
    """Print the merged descriptor as it is served."""
    from addonkit.app.deployment import Deployment

    merged = Deployment.read(config).descriptor
    if not sources:
        _print_json(merged.document)
        return
    rows = [
        {"pointer": pointer, "plugin": plugin, "what": _named(merged.document, pointer)}
        for pointer, plugin in list(merged.sources.items())[:limit]
    ]
    _show(rows, ("plugin", "pointer", "what"), as_json)


def _named(document: Any, pointer: str) -> str:
    """The key of a module, or the value itself."""
    for part in pointer.split("/")[1:]:
        document = document[int(part)] if isinstance(document, list) else document[part]
    return str(document.get("key") or document.get("url", "")) if isinstance(document, dict) else str(document)


@with_config
@click.command()
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
    _show(rows, ("plugin", "state", "distribution", "modules", "scopes", "reason"), as_json)


@with_config
@click.command()
def check(config: Path | None) -> None:
    """Look whether the add-on could be served: configuration, plugins, keys, database. Exits with 1 if not."""
    from addonkit.app.deployment import Deployment

    deployment = Deployment.read(config)
    click.echo(f"ok    configuration  {deployment.path}")
    wrongs: dict[str, str] = {}
    for name, look in _looks(deployment):
        try:
            state, said = look()
        except AddonkitError as wrong:
            known = wrongs.setdefault(str(wrong), name)
            state, said = ("wrong", str(wrong)) if known == name else ("-", f"not looked at, see {known}")
        click.echo(f"{state:5} {name:14} {said}")
    sys.exit(1 if wrongs else 0)


Look = Callable[[], tuple[str, str]]


def _looks(deployment: Deployment) -> Iterable[tuple[str, Look]]:
    from addonkit.app.upgrade import pending_steps
    from addonkit.tenancy.database import check_writable, database_path

    def registered() -> tuple[str, str]:
        registry = deployment.registry
        named = ", ".join(registry.contributions)
        left = "; ".join(f"skipped: {one.reason}" for one in registry.skipped)
        return ("warn", f"{named}; {left}") if left else ("ok", named)

    def merged() -> tuple[str, str]:
        document = deployment.descriptor
        modules = sum(len(v) if isinstance(v, list) else 1 for v in document.document.get("modules", {}).values())
        scopes = ", ".join(document.document.get("scopes", [])) or "no scopes"
        return "ok", f"{modules} modules, {scopes}, {len(document.body)} bytes"

    def keyed() -> tuple[str, str]:
        if deployment.will_make_key():
            return "ok", "none yet; the first start makes a key file, as this is on loopback"
        return "ok", f"{len(deployment.encryption_keys())} in use"

    def stored() -> tuple[str, str]:
        path = database_path(deployment.settings.database.url, deployment.directory)
        check_writable(path)
        if steps := pending_steps(deployment):
            said = f"{len(steps)} migrations pending; 'addonkit serve' or 'addonkit migrate' applies them"
            return "warn", f"{path}; {said}"
        return "ok", f"{path}; up to date"

    return [("plugins", registered), ("descriptor", merged), ("keys", keyed), ("database", stored)]


def _show(rows: list[dict[str, Any]], columns: tuple[str, ...], as_json: bool) -> None:
    """Rows as a table for people, or one JSON array for programs."""
    if as_json:
        _print_json(rows)
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        if any(row[column] for row in rows):
            table.add_column(column, overflow="fold")
    shown = [column for column in columns if any(row[column] for row in rows)]
    for row in rows:
        table.add_row(*(escape(", ".join(v) if isinstance(v := row[column], list) else str(v)) for column in shown))
    # a file or a pipe gets each row on one line
    Console(width=None if sys.stdout.isatty() else 10_000).print(table)
