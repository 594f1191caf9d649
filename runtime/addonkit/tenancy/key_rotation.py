"""Sealing what is stored with the first key, while sites install and leave as ever. What keys seal is in ``sealed``.

A row is changed only if it still holds what was read: an install that comes in between wins, and is sealed by whoever
took it. Nothing but the sealed text changes, so that a process which has a site in memory need not read it again.
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
from addonkit.tenancy.notifications import announce
from addonkit.tenancy.vault import Vault, key_id_of

BATCH = 200


@dataclass(slots=True)
class RotationResult:
    """What a rotation did, so far or in all; of a dry run, what it would do.

    Attributes:
        looked_at: Sites that it has looked at.
        sites: Secrets that are sealed with the first key now.
        former: Likewise, former secrets that are still taken.
        expired: Former secrets that nobody took any more, and that are cleared.
        dropped: Secrets of lost keys that are cleared; these sites must install anew.
        locked: Secrets that no key at hand opens, left as they are.
        overtaken: Secrets that somebody else changed meanwhile, left as they are.
    """

    looked_at: int = 0
    sites: int = 0
    former: int = 0
    expired: int = 0
    dropped: int = 0
    locked: int = 0
    overtaken: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """One sealed text that is to become another.

    Attributes:
        row: The site's.
        column: Where it stands.
        old: What was read.
        new: What replaces it; None clears it.
        what: What it counts as.
    """

    row: TenantRow
    column: str
    old: str
    new: str | None
    what: Literal["sites", "former", "expired", "dropped", "locked"]


async def reencrypt(
    vault: Vault,
    *,
    drop: Collection[str] = (),
    dry_run: bool = False,
    on_progress: Callable[[RotationResult], None] = lambda _: None,
    batch: int = BATCH,
) -> RotationResult:
    """Seal every stored secret with the first key, and clear former secrets that have expired.

    It may be stopped anywhere, run again, and run twice at once.

    Args:
        vault: The keys.
        drop: Ids of keys that are lost for good: what they sealed, and no key at hand opens, is cleared.
        dry_run: Only count.
        on_progress: Told after each batch.
        batch: Sites at once, in one transaction.

    Raises:
        StorageUnavailable: The database did not answer; what was done until then stays done.
    """
    done = RotationResult()
    last = 0
    with storage_errors():
        while rows := await TenantRow.filter(id__gt=last).order_by("id").limit(batch):
            began = time.monotonic()
            changes = [change for row in rows for change in _changes(vault, row, drop)]
            await _apply(changes, done, dry_run)
            last, done.looked_at = rows[-1].id, done.looked_at + len(rows)
            on_progress(done)
            # On SQLite one process writes at a time: the others get as much time as this took.
            await asyncio.sleep(0 if dry_run else time.monotonic() - began)
    return done


def _changes(vault: Vault, row: TenantRow, drop: Collection[str]) -> Iterator[Change]:
    """What is to be changed in a row."""
    if row.shared_secret is not None:
        yield from _change(vault, row, SHARED, row.shared_secret, drop)
    if row.former_secret is None:
        return
    if (row.former_until or 0.0) <= time.time():
        yield Change(row, FORMER, row.former_secret, None, "expired")
    else:
        yield from _change(vault, row, FORMER, row.former_secret, drop)


def _change(vault: Vault, row: TenantRow, column: str, old: str, drop: Collection[str]) -> Iterator[Change]:
    key_id = key_id_of(old)
    if key_id == vault.key_ids[0] and key_id not in drop:
        return
    try:
        plain = vault.open(old, client_key=row.client_key, column=column)
    except VaultLocked:
        yield Change(row, column, old, None, "dropped" if key_id in drop else "locked")
        return
    if key_id != vault.key_ids[0]:
        new = vault.seal(plain, client_key=row.client_key, column=column)
        yield Change(row, column, old, new, "sites" if column == SHARED else "former")


async def _apply(changes: list[Change], done: RotationResult, dry_run: bool) -> None:
    """Make the changes of one batch, all or none, and count them."""
    if all(change.what == "locked" for change in changes) or dry_run:
        _count(done, [change.what for change in changes])
        return
    async with in_transaction(CONNECTION):
        made = [change.what if await _make(change) else "overtaken" for change in changes]
    _count(done, made)


async def _make(change: Change) -> bool:
    """Replace a text that is still the one that was read; False if it is not."""
    if change.what == "locked":
        return True
    values: dict[str, object] = {change.column: change.new}
    if change.column == FORMER and change.new is None:
        values["former_until"] = None
    # No .save(): it would write all columns as they were read, and the time of the change.
    taken = await TenantRow.filter(id=change.row.id, **{change.column: change.old}).update(**values)
    if taken and change.what == "dropped":
        await announce(change.row.client_key)
    return bool(taken)


def _count(done: RotationResult, made: list[str]) -> None:
    for what in made:
        setattr(done, what, getattr(done, what) + 1)
