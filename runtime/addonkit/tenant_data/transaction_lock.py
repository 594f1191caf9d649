"""A lock by name until the end of the transaction, for a check before an insert where there is no row to lock yet."""

from __future__ import annotations

import hashlib

from addonkit.current import current_work
from addonkit.database.sql import current_connection, on_postgres
from addonkit.tenant_data.scope import current_tenant, in_open_transaction


async def transaction_lock(*key: str | int) -> None:
    """Wait until no other transaction of this plugin and tenant holds the lock, and hold it until this one ends.

    Two transactions that count rows and then insert one may both find room, since neither sees the other's row. Take
    the lock before counting. On PostgreSQL it is an advisory lock; on SQLite transactions run one after another anyway.

    Args:
        key: What is locked, such as ``"checklist", issue_id``; any texts and numbers.

    Raises:
        RuntimeError: No transaction is open.
        TenantMissing: No tenant is in scope.
    """
    tenant = current_tenant()
    if not in_open_transaction():
        raise RuntimeError(
            "transaction_lock() was called outside of a transaction, which it would outlive; "
            "call it within 'async with in_transaction():'"
        )
    if on_postgres():
        name = repr((current_work().plugin, tenant.id, key))
        number = int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:8], signed=True)
        await current_connection().execute_query("SELECT pg_advisory_xact_lock($1)", [number])
