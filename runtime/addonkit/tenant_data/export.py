"""Everything that is stored of one site, as files: one of JSON lines for each table, and a manifest of them.

Plugins' rows are complete, whether the plugin is switched on, imports, or is installed at all. Secrets stay here.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import orjson
from tortoise.backends.base.client import BaseDBAsyncClient

from addonkit.context import Tenant
from addonkit.database.errors import storage_errors
from addonkit.database.snapshot import in_batches, snapshot
from addonkit.database.sql import quoted
from addonkit.errors import AddonkitError
from addonkit.tenant_data.deletion import Progress
from addonkit.tenant_data.json_columns import Convert, converters
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
        async with aclosing(in_batches(client, BATCH_ROWS, query, tenant.id)) as batches:
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
