"""The sites in memory, so that a request costs no query.

The truth is in the store. What other processes change is told by ``changes``, within two seconds; what makes a page be
refused is read again before that is done, so that a site which another process has just stored is served at once.
"""

import asyncio
from collections.abc import Callable

from cachetools import TTLCache

from addonkit.current import own_context
from addonkit.tenancy.record import TenantRecord
from addonkit.tenancy.store import TenantStore

UNKNOWN_SIZE = 1024
UNKNOWN_AGE_S = 5.0
LOOKS_SIZE = 4096
LOOKS = 4
LOOKS_AGE_S = 1.0


class Directory:
    """Sites by client key.

    Args:
        store: Where they are read from.
        max_size: How many are kept; the least used goes first.
        max_age_s: When one is read again, whatever is heard of other processes.

    Attributes:
        hits: How often a site was asked for that was in memory.
        misses: How often it was not.
    """

    def __init__(self, store: TenantStore, max_size: int = 16_384, max_age_s: float = 60) -> None:
        self._store = store
        self.hits = self.misses = 0
        self._known: TTLCache[str, TenantRecord] = TTLCache(max_size, max_age_s)
        # Apart from the known ones and small: whoever invents names must not push sites out.
        self._unknown: TTLCache[str, bool] = TTLCache(UNKNOWN_SIZE, UNKNOWN_AGE_S)
        # How often a site was read again, of late: a flood of false tokens must not become one of queries.
        self._looks: TTLCache[str, int] = TTLCache(LOOKS_SIZE, LOOKS_AGE_S)
        self._reading: dict[str, asyncio.Task[TenantRecord | None]] = {}
        self._also: list[Callable[[str], None]] = []

    def __len__(self) -> int:
        """How many sites are in memory."""
        return len(self._known)

    def get_cached(self, client_key: str) -> TenantRecord | None:
        """Give a site that is in memory, without waiting; None says nothing about the others."""
        # Not .get(), which looks twice.
        try:
            return self._known[client_key]
        except KeyError:
            return None

    async def get(self, client_key: str) -> TenantRecord | None:
        """Give a site, whatever its state; None if nobody of that name ever installed.

        Raises:
            StorageUnavailable: It is not in memory and the database did not answer.
            VaultLocked: Its secret cannot be opened.
        """
        record = self.get_cached(client_key)
        if record is not None:
            self.hits += 1
            return record
        self.misses += 1
        if client_key in self._unknown:
            return await self.reread(client_key)
        joined = client_key in self._reading
        record = await self._read(client_key)
        # A reading that was under way when we came may have begun before another process stored the site.
        return await self.reread(client_key) if record is None and joined else record

    async def reread(self, client_key: str) -> TenantRecord | None:
        """Give a site as it is now, before it is refused: another process may have stored it, or a new secret.

        The row is read at most four times a second for each site; sooner, what is in memory is given.
        """
        if (older := self._reading.get(client_key)) is not None:
            # Begun before we came, it says nothing of now.
            await asyncio.wait({older})
        if client_key not in self._reading and not self._may_look(client_key):
            return self.get_cached(client_key)
        return await self._read(client_key)

    def forget(self, client_key: str) -> None:
        """Drop what is in memory of a site, after it was changed; a reading that is under way counts no more."""
        for kept in (self._known, self._unknown, self._looks, self._reading):
            kept.pop(client_key, None)
        for forget in self._also:
            forget(client_key)

    def forget_also(self, forget: Callable[[str], None]) -> None:
        """Have something else dropped as well when a site was changed.

        Args:
            forget: Told of each site that was changed, by its client key.
        """
        self._also.append(forget)

    def clear(self) -> None:
        """Drop everything, for who knows what was changed; readings that are under way count no more."""
        for kept in (self._known, self._unknown, self._looks, self._reading):
            kept.clear()

    def _may_look(self, client_key: str) -> bool:
        looks = self._looks.get(client_key, 0)
        if looks < LOOKS:
            self._looks[client_key] = looks + 1
        return looks < LOOKS

    async def _read(self, client_key: str) -> TenantRecord | None:
        task = self._reading.get(client_key)
        if task is None:
            # In a context of its own: inside the caller's transaction it would see what may yet be undone.
            task = asyncio.create_task(self._load(client_key), context=own_context())
            task.add_done_callback(_retrieve)
            self._reading[client_key] = task
        # Others may wait for the same reading: the first caller's end must not end it.
        return await asyncio.shield(task)

    async def _load(self, client_key: str) -> TenantRecord | None:
        try:
            record = await self._store.find(client_key)
            if self._reading.get(client_key) is asyncio.current_task():
                self._keep(client_key, record)
            return record
        finally:
            if self._reading.get(client_key) is asyncio.current_task():
                del self._reading[client_key]

    def _keep(self, client_key: str, record: TenantRecord | None) -> None:
        if record is None:
            self._known.pop(client_key, None)
            self._unknown[client_key] = True
        else:
            self._unknown.pop(client_key, None)
            self._known[client_key] = record


def _retrieve(task: asyncio.Task[TenantRecord | None]) -> None:
    # Everyone who waited may be gone: without this, asyncio would complain of an error that nobody took.
    if not task.cancelled():
        task.exception()
