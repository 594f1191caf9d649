"""Everything that is stored of one site, as files: one of JSON lines for each table, and a manifest of them.

Plugins' rows are complete, whether the plugin is switched on, imports, or is installed at all. Secrets stay here.
"""

from __future__ import annotations

import base64
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import IO, Any

import orjson
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.context import get_current_context
from tortoise.fields import BooleanField

from addonkit.context import Tenant
from addonkit.database.errors import storage_errors
from addonkit.database.snapshot import fetch_batches, snapshot
from addonkit.database.sql import quoted
from addonkit.errors import AddonkitError
from addonkit.tenant_data.purge import Progress
from addonkit.tenant_data.scope import tenant_scope
from addonkit.tenant_data.tables import Table, tenant_tables

FORMAT = 1
BATCH_ROWS = 500
SECRETS = frozenset({"shared_secret", "former_secret", "former_until"})
MANIFEST = "manifest.json"


async def export(
    tenant: Tenant,
    plugins: Sequence[str],
    folder: Path,
    releases: Mapping[str, str],
    on_progress: Progress = lambda _table, _rows: None,
) -> dict[str, Any]:
    """Write what is stored of a site, as it is at one moment; give the manifest, which is written last.

    Args:
        tenant: The site.
        plugins: Names of all installed plugins, switched on or not.
        folder: Where; made if it is not there.
        releases: Version by distribution, for the manifest.
        on_progress: Told a table and how many of its rows are written.

    Raises:
        AddonkitError: The folder is not empty or cannot be written; what had been written is gone again.
        StorageUnavailable: The database did not answer; likewise.
    """
    _prepare(folder)
    moment = datetime.now(UTC)
    try:
        with storage_errors(), tenant_scope(tenant):
            async with snapshot() as client:
                tables = [
                    await _write_table(client, tenant, table, folder, on_progress)
                    for table in await tenant_tables(plugins)
                ]
        manifest = {
            "format": FORMAT,
            "exported_at": moment.isoformat(),
            "releases": dict(releases),
            "tenant": {"number": tenant.id, "client_key": tenant.client_key, "base_url": tenant.base_url},
            "tables": tables,
        }
        with _opened(folder / MANIFEST) as file:
            file.write(orjson.dumps(manifest, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    except BaseException:
        _clear(folder)
        raise
    return manifest


async def _write_table(
    client: BaseDBAsyncClient, tenant: Tenant, table: Table, folder: Path, on_progress: Progress
) -> dict[str, Any]:
    """Write one table's file, and give its entry in the manifest."""
    columns = {name: type_ for name, type_ in table.columns.items() if not (table.is_own and name in SECRETS)}
    converts = converters(table.name, columns)
    listed = ", ".join(quoted(name) for name in columns)
    order = ", ".join(quoted(name) for name in table.key or columns)
    query = f"SELECT {listed} FROM {quoted(table.name)} WHERE {table.owned} ORDER BY {order}"  # noqa: S608 - names from the catalogue
    written, path = 0, folder / f"{table.name}.jsonl"
    with _opened(path) as file:
        async with aclosing(fetch_batches(client, BATCH_ROWS, query, tenant.id)) as batches:
            async for batch in batches:
                file.writelines(_line(converts, row) for row in batch)
                written += len(batch)
                on_progress(table.name, written)
    return {"table": table.name, "plugin": table.plugin, "file": path.name, "rows": written, "columns": columns}


def _line(converts: Mapping[str, Convert], row: Sequence[Any]) -> bytes:
    values = {name: convert(value) for (name, convert), value in zip(converts.items(), row, strict=True)}
    return orjson.dumps(values, option=orjson.OPT_APPEND_NEWLINE)


def _prepare(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if any(folder.iterdir()):
            raise AddonkitError(f"the folder '{folder}' is not empty; name one that is, or that is not there yet")
        folder.chmod(0o700)
    except OSError as wrong:
        raise _unwritable(folder, wrong) from wrong


def _clear(folder: Path) -> None:
    """Take away what was written: half an export is none."""
    for path in folder.iterdir():
        path.unlink()


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """A new file that nobody else may read."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            yield file
    except OSError as wrong:
        raise _unwritable(path, wrong) from wrong


def _unwritable(path: Path, wrong: OSError) -> AddonkitError:
    return AddonkitError(f"'{path}' cannot be written ({wrong.strerror}); name a folder on a disk with room for it")


Convert = Callable[[Any], Any]


def converters(table: str, columns: Mapping[str, str]) -> dict[str, Convert]:
    """Give what makes JSON of each column's values: times with their zone, decimals as text, bytes as base64.

    Args:
        table: The table's name.
        columns: Type of each column, in the database's words.
    """
    truths = _booleans(table)
    return {name: _truth if name in truths else _converter(type_.lower()) for name, type_ in columns.items()}


def _converter(type_: str) -> Convert:
    if type_.startswith("json"):
        return _json
    return _moment if type_.startswith("timestamp") else _plain


def _booleans(table: str) -> set[str]:
    """The columns that hold yes or no. SQLite has no such type: a model tells, if its plugin imports."""
    context = get_current_context()
    models = [model for app in ((context and context.apps) or {}).values() for model in app.values()]
    return {
        str(field.source_field or name)
        for model in models
        if model._meta.db_table == table  # noqa: SLF001 - where Tortoise keeps it
        for name, field in model._meta.fields_map.items()  # noqa: SLF001 - as above
        if isinstance(field, BooleanField)
    }


def _json(value: Any) -> Any:
    """JSON as it is stored, not parsed: no number loses a digit."""
    if not isinstance(value, str):
        return _plain(value)
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError:
        return value
    # What ends a line can only stand between values: within text it is escaped.
    return orjson.Fragment(value.replace("\n", " ").replace("\r", " "))


def _moment(value: Any) -> Any:
    """A time with its zone; what was stored without one is UTC."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return value
    if not isinstance(moment, datetime):
        return _plain(moment)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()


def _truth(value: Any) -> Any:
    return bool(value) if value in (0, 1) else _plain(value)


def _plain(value: Any) -> Any:
    """A value that JSON knows, or text that says it exactly."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case datetime():
            return _moment(value)
        case date() | time():
            return value.isoformat()
        case bytes() | bytearray() | memoryview():
            return base64.b64encode(value).decode("ascii")
        case list() | tuple():
            return [_plain(one) for one in value]
    return str(value)
