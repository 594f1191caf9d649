"""Export: writes all rows of one tenant as JSON Lines, one file per table, with a manifest. Secrets are omitted.

The rows of every plugin are written, even if it is disabled, cannot be imported or is not installed.
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
SECRET_COLUMNS = frozenset({"shared_secret", "former_secret", "former_until"})
MANIFEST = "manifest.json"


async def export_tenant(
    tenant: Tenant,
    plugins: Sequence[str],
    folder: Path,
    releases: Mapping[str, str],
    on_progress: Progress = lambda _table, _rows: None,
) -> dict[str, Any]:
    """Write a consistent snapshot of a tenant's rows; return the manifest, which is written last.

    Args:
        tenant: The tenant.
        plugins: Names of all installed plugins, enabled or not.
        folder: The target; created if it does not exist, otherwise it must be empty.
        releases: Versions by distribution, for the manifest.
        on_progress: Called with a table and the number of its rows written so far.

    Raises:
        AddonkitError: The folder is not empty or cannot be written; files written so far are removed.
        StorageUnavailable: The database did not answer; files written so far are removed.
    """
    _prepare_folder(folder)
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
            "tenant": {
                "number": tenant.id,
                "key": tenant.key,
                "client_key": tenant.connect_key,
                "base_url": tenant.base_url,
            },
            "tables": tables,
        }
        with _private_file(folder / MANIFEST) as file:
            file.write(orjson.dumps(manifest, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    except BaseException:
        _remove_files(folder)
        raise
    return manifest


async def _write_table(
    client: BaseDBAsyncClient, tenant: Tenant, table: Table, folder: Path, on_progress: Progress
) -> dict[str, Any]:
    """Write the file of one table and return its entry in the manifest."""
    columns = {
        name: type_ for name, type_ in table.columns.items() if not (table.is_runtime and name in SECRET_COLUMNS)
    }
    converts = converters(table.name, columns)
    listed = ", ".join(quoted(name) for name in columns)
    order = ", ".join(quoted(name) for name in table.key or columns)
    query = f"SELECT {listed} FROM {quoted(table.name)} WHERE {table.of_tenant} ORDER BY {order}"  # noqa: S608 - quoted names from the catalogue
    written, path = 0, folder / f"{table.name}.jsonl"
    with _private_file(path) as file:
        async with aclosing(fetch_batches(client, BATCH_ROWS, query, tenant.id)) as batches:
            async for batch in batches:
                file.writelines(_line(converts, row) for row in batch)
                written += len(batch)
                on_progress(table.name, written)
    return {"table": table.name, "plugin": table.plugin, "file": path.name, "rows": written, "columns": columns}


def _line(converts: Mapping[str, Convert], row: Sequence[Any]) -> bytes:
    values = {name: convert(value) for (name, convert), value in zip(converts.items(), row, strict=True)}
    return orjson.dumps(values, option=orjson.OPT_APPEND_NEWLINE)


def _prepare_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if any(folder.iterdir()):
            raise AddonkitError(f"the folder '{folder}' is not empty; use an empty or a new folder")
        folder.chmod(0o700)
    except OSError as exc:
        raise _unwritable(folder, exc) from exc


def _remove_files(folder: Path) -> None:
    """Remove the files of an incomplete export."""
    for path in folder.iterdir():
        path.unlink()


@contextmanager
def _private_file(path: Path) -> Iterator[IO[bytes]]:
    """Create a file that only the current user can read."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            yield file
    except OSError as exc:
        raise _unwritable(path, exc) from exc


def _unwritable(path: Path, cause: OSError) -> AddonkitError:
    return AddonkitError(f"'{path}' cannot be written ({cause.strerror}); use a folder on a disk with free space")


Convert = Callable[[Any], Any]


def converters(table: str, columns: Mapping[str, str]) -> dict[str, Convert]:
    """Return a function for each column that converts to JSON: times with zone, decimals as text, bytes as base64.

    Args:
        table: Name of the table.
        columns: The database's type of each column.
    """
    booleans = _boolean_columns(table)
    return {name: _boolean if name in booleans else _converter(type_.lower()) for name, type_ in columns.items()}


def _converter(type_: str) -> Convert:
    if type_.startswith("json"):
        return _stored_json
    return _timestamp if type_.startswith("timestamp") else _json_value


def _boolean_columns(table: str) -> set[str]:
    """Return the boolean columns from the model, if its plugin can be imported: SQLite has no boolean type."""
    context = get_current_context()
    models = [model for app in ((context and context.apps) or {}).values() for model in app.values()]
    return {
        str(field.source_field or name)
        for model in models
        if model._meta.db_table == table  # noqa: SLF001 - as Tortoise documents
        for name, field in model._meta.fields_map.items()  # noqa: SLF001 - as above
        if isinstance(field, BooleanField)
    }


def _stored_json(value: Any) -> Any:
    """Return JSON as it is stored, without parsing, which could lose digits of numbers."""
    if not isinstance(value, str):
        return _json_value(value)
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError:
        return value
    # Line ends occur between values only: within strings they are escaped.
    return orjson.Fragment(value.replace("\n", " ").replace("\r", " "))


def _timestamp(value: Any) -> Any:
    """Return a time as text with its zone; a time stored without a zone is UTC."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return value
    if not isinstance(moment, datetime):
        return _json_value(moment)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()


def _boolean(value: Any) -> Any:
    return bool(value) if value in (0, 1) else _json_value(value)


def _json_value(value: Any) -> Any:
    """Return a value that JSON can represent, otherwise a string with the exact value."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case datetime():
            return _timestamp(value)
        case date() | time():
            return value.isoformat()
        case bytes() | bytearray() | memoryview():
            return base64.b64encode(value).decode("ascii")
        case list() | tuple():
            return [_json_value(one) for one in value]
    return str(value)
