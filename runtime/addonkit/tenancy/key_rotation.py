"""Key rotation: re-encrypts stored secrets with the first key while the add-on serves. Counts are in ``key_usage``.

A row is updated only if it still has the value that was read: a secret that an install stored in the meantime is kept.
Only the encrypted text changes, so processes that have cached the tenant need not read it again.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Literal

from tortoise.transactions import in_transaction

from addonkit.database import CONNECTION
from addonkit.database.errors import storage_errors
from addonkit.errors import VaultLocked
from addonkit.tenancy.key_usage import FORMER, SHARED
from addonkit.tenancy.models import TenantRow
from addonkit.tenancy.notifications import notify_change
from addonkit.tenancy.vault import Vault, key_id_of

BATCH = 200


@dataclass(slots=True)
class RotationResult:
    """Counts of a rotation, partial or complete; for a dry run, what a rotation would do.

    Attributes:
        checked: Number of tenants checked.
        sites: Number of re-encrypted secrets.
        former: Number of re-encrypted former secrets that are still accepted.
        expired: Number of cleared former secrets that were no longer accepted.
        dropped: Number of cleared secrets of lost keys; these sites must install again.
        locked: Number of secrets that no configured key decrypts; unchanged.
        superseded: Number of secrets that another process changed in the meantime; unchanged.
    """

    checked: int = 0
    sites: int = 0
    former: int = 0
    expired: int = 0
    dropped: int = 0
    locked: int = 0
    superseded: int = 0


@dataclass(frozen=True, slots=True)
class SecretUpdate:
    """An update of one encrypted secret.

    Attributes:
        row: The tenant's row.
        column: The column.
        old: The text that was read.
        new: The new text; None clears the column.
        outcome: The attribute of :class:`RotationResult` that counts it.
    """

    row: TenantRow
    column: str
    old: str
    new: str | None
    outcome: Literal["sites", "former", "expired", "dropped", "locked"]


async def reencrypt(
    vault: Vault,
    *,
    drop: Collection[str] = (),
    dry_run: bool = False,
    on_progress: Callable[[RotationResult], None] = lambda _: None,
    batch: int = BATCH,
) -> RotationResult:
    """Re-encrypt every stored secret with the first key, and clear expired former secrets.

    It can be interrupted at any point, run again, and run concurrently.

    Args:
        vault: The configured keys.
        drop: Ids of lost keys: their secrets are cleared, unless a configured key decrypts them.
        dry_run: Count without changing anything.
        on_progress: Called after each batch.
        batch: Number of tenants per transaction.

    Raises:
        StorageUnavailable: The database did not answer; completed batches stay.
    """
    done = RotationResult()
    last = 0
    with storage_errors():
        while rows := await TenantRow.filter(id__gt=last).order_by("id").limit(batch):
            began = time.monotonic()
            updates = [update for row in rows for update in _row_updates(vault, row, drop)]
            await _apply(updates, done, dry_run)
            last, done.checked = rows[-1].id, done.checked + len(rows)
            on_progress(done)
            # SQLite allows one writer at a time: the pause gives other processes as much time as the batch took.
            await asyncio.sleep(0 if dry_run else time.monotonic() - began)
    return done


def _row_updates(vault: Vault, row: TenantRow, drop: Collection[str]) -> Iterator[SecretUpdate]:
    """Yield the updates of the secrets in a row."""
    if row.shared_secret is not None:
        yield from _column_updates(vault, row, SHARED, row.shared_secret, drop)
    if row.former_secret is None:
        return
    if (row.former_until or 0.0) <= time.time():
        yield SecretUpdate(row, FORMER, row.former_secret, None, "expired")
    else:
        yield from _column_updates(vault, row, FORMER, row.former_secret, drop)


def _column_updates(
    vault: Vault, row: TenantRow, column: str, old: str, drop: Collection[str]
) -> Iterator[SecretUpdate]:
    key_id = key_id_of(old)
    if key_id == vault.key_ids[0] and key_id not in drop:
        return
    try:
        plain = vault.decrypt(old, tenant_key=row.tenant_key, column=column)
    except VaultLocked:
        yield SecretUpdate(row, column, old, None, "dropped" if key_id in drop else "locked")
        return
    if key_id != vault.key_ids[0]:
        new = vault.encrypt(plain, tenant_key=row.tenant_key, column=column)
        yield SecretUpdate(row, column, old, new, "sites" if column == SHARED else "former")


async def _apply(updates: list[SecretUpdate], done: RotationResult, dry_run: bool) -> None:
    """Apply the updates of one batch in one transaction, and count them."""
    if all(update.outcome == "locked" for update in updates) or dry_run:
        _count(done, [update.outcome for update in updates])
        return
    async with in_transaction(CONNECTION):
        outcomes = [update.outcome if await _replace(update) else "superseded" for update in updates]
    _count(done, outcomes)


async def _replace(update: SecretUpdate) -> bool:
    """Replace an encrypted text if it is still the one that was read; False if it has changed."""
    if update.outcome == "locked":
        return True
    values: dict[str, object] = {update.column: update.new}
    if update.column == FORMER and update.new is None:
        values["former_until"] = None
    # Not .save(), which would also write all other columns as they were read, and the time of the update.
    updated = await TenantRow.filter(id=update.row.id, **{update.column: update.old}).update(**values)
    if updated and update.outcome == "dropped":
        await notify_change(update.row.tenant_key)
    return bool(updated)


def _count(done: RotationResult, outcomes: list[str]) -> None:
    for outcome in outcomes:
        setattr(done, outcome, getattr(done, outcome) + 1)
