"""An in-memory cache of tenants; a request for a cached tenant needs no database query.

The store is authoritative. ``notifications`` reports changes by other processes within two seconds. Before a page is
refused, its tenant is read again, because another process may just have stored it.
"""

from collections.abc import Callable

from cachetools import LRUCache, TTLCache

from addonkit.single_flight import SingleFlight
from addonkit.tenancy.record import IdentityKind, TenantRecord
from addonkit.tenancy.store import TenantStore

MAX_UNKNOWN = 1024
UNKNOWN_AGE_S = 5.0
MAX_REREAD_NAMES = 4096
MAX_REREADS = 4
"""Maximum number of rereads per name within ``REREAD_PERIOD_S``."""
REREAD_PERIOD_S = 1.0

Name = tuple[IdentityKind, str]
KEY, CLIENT_KEY = IdentityKind.KEY, IdentityKind.CLIENT_KEY


class Directory:
    """A cache of tenants by their names, with single-flight reads.

    Args:
        store: The store that tenants are read from.
        max_size: Maximum number of cached tenants; the least recently used is dropped first.
        max_age_s: Seconds after which a tenant is read again, even without a notification.

    Attributes:
        hits: Number of lookups that found the tenant in memory.
        misses: Number of lookups that did not.
    """

    def __init__(self, store: TenantStore, max_size: int = 16_384, max_age_s: float = 60) -> None:
        self._store = store
        self.hits = self.misses = 0
        self._known: TTLCache[str, TenantRecord] = TTLCache(max_size, max_age_s)
        # By client key; kept when the cache is cleared, for what needs no certainty.
        self._last_known: LRUCache[str, TenantRecord] = LRUCache(max_size)
        # Keys of cached tenants by their other names: few, since most tenants have the client key as their key.
        self._keys: TTLCache[Name, str] = TTLCache(max_size, max_age_s)
        # Separate and small: requests with invented names must not evict tenants.
        self._unknown: TTLCache[Name, bool] = TTLCache(MAX_UNKNOWN, UNKNOWN_AGE_S)
        # Recent rereads by name: a flood of invalid tokens must not become a flood of queries.
        self._rereads: TTLCache[Name, int] = TTLCache(MAX_REREAD_NAMES, REREAD_PERIOD_S)
        # Each read has its own context: in the caller's transaction it could see changes that are rolled back later.
        self._reads: SingleFlight[Name, TenantRecord | None] = SingleFlight(own_context=True)
        self._on_forget: list[Callable[[str], None]] = []

    def __len__(self) -> int:
        """Return the number of cached tenants."""
        return len(self._known)

    def get_cached(self, kind: IdentityKind, value: str) -> TenantRecord | None:
        """Return a tenant if it is in the cache; None does not mean that it does not exist."""
        # Not .get(), which makes two lookups.
        try:
            record = self._known[value]
        except KeyError:
            return self._aliased(kind, value)
        # Most tenants have the client key as their key: one lookup finds them by either name.
        if kind is KEY or (kind is CLIENT_KEY and record.tenant.connect_key == value):
            return record
        return self._aliased(kind, value)

    def last_known(self, client_key: str) -> TenantRecord | None:
        """Return what this process last read of a tenant, which may be outdated; do not authenticate anybody by it."""
        return self._last_known.get(client_key)

    async def get(self, kind: IdentityKind, value: str) -> TenantRecord | None:
        """Return a tenant in any state, from the cache or the store; None if the name is unknown or retired.

        Args:
            kind: The kind of the name.
            value: The name.

        Raises:
            StorageUnavailable: The tenant is not in memory, and the database did not answer.
            VaultLocked: Its secret cannot be decrypted.
        """
        record = self.get_cached(kind, value)
        if record is not None:
            self.hits += 1
            return record
        self.misses += 1
        name = (kind, value)
        if name in self._unknown:
            return await self.reread(kind, value)
        joined = name in self._reads
        record = await self._read(name)
        # The running read that this call joined may have begun before another process stored the tenant.
        return await self.reread(kind, value) if record is None and joined else record

    async def reread(self, kind: IdentityKind, value: str) -> TenantRecord | None:
        """Read a tenant from the store before a refusal, since another process may have stored it or a new secret.

        The row is read at most four times a second per name; further calls return the cached tenant.
        """
        name = (kind, value)
        # A read that began earlier may return an outdated row.
        await self._reads.wait(name)
        if name not in self._reads and not self._count_reread(name):
            return self.get_cached(kind, value)
        return await self._read(name)

    def forget(self, key: str) -> None:
        """Drop a changed tenant from the cache.

        The results of running reads are not cached, since they may be its old values.

        Args:
            key: The tenant's key or client key.
        """
        aliased = self._aliased(CLIENT_KEY, key)
        self._known.pop(key if aliased is None else aliased.tenant.key, None)
        # The other names that the tenant has or has lost are not known here.
        self._keys.clear()
        for name in ((KEY, key), (CLIENT_KEY, key)):
            self._unknown.pop(name, None)
            self._rereads.pop(name, None)
        self._reads.forget()
        for on_forget in self._on_forget:
            on_forget(key if aliased is None else aliased.tenant.key)

    def subscribe(self, on_forget: Callable[[str], None]) -> None:
        """Register a function that is called with the key of each tenant that is dropped from the cache.

        Args:
            on_forget: The function, such as one that drops another cache's entry.
        """
        self._on_forget.append(on_forget)

    def clear(self) -> None:
        """Drop all tenants when it is unknown which ones changed; the results of running reads are not cached."""
        for cache in (self._known, self._keys, self._unknown, self._rereads):
            cache.clear()
        self._reads.forget()

    def _aliased(self, kind: IdentityKind, value: str) -> TenantRecord | None:
        """Return a cached tenant by a name that is not its key."""
        key = self._keys.get((kind, value)) if self._keys else None
        return None if key is None else self._known.get(key)

    def _count_reread(self, name: Name) -> bool:
        """Count a reread; False if the limit is reached."""
        rereads = self._rereads.get(name, 0)
        if rereads < MAX_REREADS:
            self._rereads[name] = rereads + 1
        return rereads < MAX_REREADS

    async def _read(self, name: Name) -> TenantRecord | None:
        return await self._reads.run(name, lambda: self._load(name))

    async def _load(self, name: Name) -> TenantRecord | None:
        record = await self._store.find(*name)
        if record is not None and record.tenant.connect_key is not None:
            self._last_known[record.tenant.connect_key] = record
        if self._reads.is_current(name):
            self._keep(name, record)
        return record

    def _keep(self, name: Name, record: TenantRecord | None) -> None:
        if record is None:
            if (cached := self.get_cached(*name)) is not None:
                self._known.pop(cached.tenant.key, None)
            self._keys.pop(name, None)
            self._unknown[name] = True
            return
        self._unknown.pop(name, None)
        self._known[record.tenant.key] = record
        if name not in ((KEY, record.tenant.key), (CLIENT_KEY, record.tenant.key)):
            self._keys[name] = record.tenant.key
