"""An in-memory cache of tenants, so that a request costs no query.

The store has the truth. Changes by other processes arrive through ``notifications`` within two seconds. Before a page
is refused, its tenant is read again, so that a tenant which another process has just stored is served at once.
"""

from collections.abc import Callable

from cachetools import TTLCache

from addonkit.single_flight import SingleFlight
from addonkit.tenancy.record import TenantRecord
from addonkit.tenancy.store import TenantStore

MAX_UNKNOWN = 1024
UNKNOWN_AGE_S = 5.0
MAX_REREAD_KEYS = 4096
MAX_REREADS = 4
"""Maximum number of rereads per client key within ``REREAD_PERIOD_S``."""
REREAD_PERIOD_S = 1.0


class Directory:
    """A cache of tenants by client key, with single-flight reads.

    Args:
        store: The store that tenants are read from.
        max_size: Maximum number of cached tenants; the least recently used is dropped first.
        max_age_s: Seconds after which a tenant is read again, whatever notifications say.

    Attributes:
        hits: Number of lookups that found the tenant in memory.
        misses: Number of lookups that did not.
    """

    def __init__(self, store: TenantStore, max_size: int = 16_384, max_age_s: float = 60) -> None:
        self._store = store
        self.hits = self.misses = 0
        self._known: TTLCache[str, TenantRecord] = TTLCache(max_size, max_age_s)
        # Separate and small: requests with invented client keys must not evict tenants.
        self._unknown: TTLCache[str, bool] = TTLCache(MAX_UNKNOWN, UNKNOWN_AGE_S)
        # Recent rereads by client key: a flood of invalid tokens must not become a flood of queries.
        self._rereads: TTLCache[str, int] = TTLCache(MAX_REREAD_KEYS, REREAD_PERIOD_S)
        # In a context of their own: inside the caller's transaction a read could see what is rolled back later.
        self._reads: SingleFlight[str, TenantRecord | None] = SingleFlight(own_context=True)
        self._on_forget: list[Callable[[str], None]] = []

    def __len__(self) -> int:
        """Give the number of cached tenants."""
        return len(self._known)

    def get_cached(self, client_key: str) -> TenantRecord | None:
        """Give a tenant from memory without waiting; None does not mean that it does not exist."""
        # Not .get(), which makes two lookups.
        try:
            return self._known[client_key]
        except KeyError:
            return None

    async def get(self, client_key: str) -> TenantRecord | None:
        """Give a tenant in any state; None if no site with this client key ever installed.

        Raises:
            StorageUnavailable: The tenant is not in memory, and the database did not answer.
            VaultLocked: Its secret cannot be decrypted.
        """
        record = self.get_cached(client_key)
        if record is not None:
            self.hits += 1
            return record
        self.misses += 1
        if client_key in self._unknown:
            return await self.reread(client_key)
        joined = client_key in self._reads
        record = await self._read(client_key)
        # A running read that was joined may have begun before another process stored the tenant.
        return await self.reread(client_key) if record is None and joined else record

    async def reread(self, client_key: str) -> TenantRecord | None:
        """Read a tenant again before it is refused: another process may have stored it, or a new secret.

        The row is read at most four times a second per client key; beyond that, the cached tenant is given.
        """
        # A read that began earlier says nothing about now.
        await self._reads.wait(client_key)
        if client_key not in self._reads and not self._count_reread(client_key):
            return self.get_cached(client_key)
        return await self._read(client_key)

    def forget(self, client_key: str) -> None:
        """Drop a changed tenant from memory; the result of a running read is not kept."""
        for cache in (self._known, self._unknown, self._rereads):
            cache.pop(client_key, None)
        self._reads.forget([client_key])
        for on_forget in self._on_forget:
            on_forget(client_key)

    def subscribe(self, on_forget: Callable[[str], None]) -> None:
        """Call a function with the client key of each tenant that is forgotten.

        Args:
            on_forget: The function, such as one that drops another cache's entry.
        """
        self._on_forget.append(on_forget)

    def clear(self) -> None:
        """Drop everything, where it is unknown what changed; the results of running reads are not kept."""
        for cache in (self._known, self._unknown, self._rereads):
            cache.clear()
        self._reads.forget()

    def _count_reread(self, client_key: str) -> bool:
        """Count a reread; False if the limit is reached."""
        rereads = self._rereads.get(client_key, 0)
        if rereads < MAX_REREADS:
            self._rereads[client_key] = rereads + 1
        return rereads < MAX_REREADS

    async def _read(self, client_key: str) -> TenantRecord | None:
        return await self._reads.run(client_key, lambda: self._load(client_key))

    async def _load(self, client_key: str) -> TenantRecord | None:
        record = await self._store.find(client_key)
        if self._reads.is_current(client_key):
            self._keep(client_key, record)
        return record

    def _keep(self, client_key: str, record: TenantRecord | None) -> None:
        if record is None:
            self._known.pop(client_key, None)
            self._unknown[client_key] = True
        else:
            self._unknown.pop(client_key, None)
            self._known[client_key] = record
