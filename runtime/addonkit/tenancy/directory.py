"""The sites in memory, so that a request costs no query. The truth is in the store; this is at most a minute behind."""

import asyncio
from contextvars import Context

from cachetools import TTLCache

from addonkit.tenancy.record import TenantRecord
from addonkit.tenancy.store import TenantStore

UNKNOWN_SIZE = 1024
UNKNOWN_AGE_S = 5.0
REREAD_PAUSE_S = 1.0


class Directory:
    """Sites by client key.

    Args:
        store: Where they are read from.
        max_size: How many are kept; the least used goes first.
        max_age_s: When one is read again, which is how changes made by other processes arrive.
    """

    def __init__(self, store: TenantStore, max_size: int = 4096, max_age_s: float = 60) -> None:
        self._store = store
        self._known: TTLCache[str, TenantRecord] = TTLCache(max_size, max_age_s)
        # Apart from the known ones and small: whoever invents names must not push sites out.
        self._unknown: TTLCache[str, bool] = TTLCache(UNKNOWN_SIZE, UNKNOWN_AGE_S)
        self._reread: TTLCache[str, bool] = TTLCache(max_size, REREAD_PAUSE_S)
        self._reading: dict[str, asyncio.Task[TenantRecord | None]] = {}

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
        if record is not None or client_key in self._unknown:
            return record
        return await self._read(client_key)

    async def reread(self, client_key: str) -> TenantRecord | None:
        """Give a site as it is now, for a signature that does not fit: another process may have stored a new secret.

        The row is read at most once a second for each site; sooner, what is in memory is given.
        """
        if client_key in self._reread and client_key not in self._reading:
            return self.get_cached(client_key)
        self._reread[client_key] = True
        return await self._read(client_key)

    def forget(self, client_key: str) -> None:
        """Drop what is in memory of a site, after it was changed; a reading that is under way counts no more."""
        self._known.pop(client_key, None)
        self._unknown.pop(client_key, None)
        self._reread.pop(client_key, None)
        self._reading.pop(client_key, None)

    async def _read(self, client_key: str) -> TenantRecord | None:
        task = self._reading.get(client_key)
        if task is None:
            # In a context of its own: inside the caller's transaction it would see what may yet be undone.
            task = asyncio.create_task(self._load(client_key), context=Context())
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
