"""An in-memory cache of tenants, so that a request costs no query.

The store has the truth. Changes by other processes arrive through ``notifications`` within two seconds. Before a page
is refused, its tenant is read again, so that a tenant which another process has just stored is served at once.
"""

from collections.abc import Callable

from cachetools import TTLCache

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
        max_age_s: Seconds after which a tenant is read again, whatever notifications say.

    Attributes:
        hits: Number of lookups that found the tenant in memory.
        misses: Number of lookups that did not.
    """

    def __init__(self, store: TenantStore, max_size: int = 16_384, max_age_s: float = 60) -> None:
        self._store = store
        self.hits = self.misses = 0
        self._known: TTLCache[str, TenantRecord] = TTLCache(max_size, max_age_s)
        # The key of a known tenant by each name that is not its key: few, since the client key of most is their key.
        self._keys: TTLCache[Name, str] = TTLCache(max_size, max_age_s)
        # Separate and small: requests with invented names must not evict tenants.
        self._unknown: TTLCache[Name, bool] = TTLCache(MAX_UNKNOWN, UNKNOWN_AGE_S)
        # Recent rereads by name: a flood of invalid tokens must not become a flood of queries.
        self._rereads: TTLCache[Name, int] = TTLCache(MAX_REREAD_NAMES, REREAD_PERIOD_S)
        # In a context of their own: inside the caller's transaction a read could see what is rolled back later.
        self._reads: SingleFlight[Name, TenantRecord | None] = SingleFlight(own_context=True)
        self._on_forget: list[Callable[[str], None]] = []

    def __len__(self) -> int:
        """Give the number of cached tenants."""
        return len(self._known)

    def get_cached(self, kind: IdentityKind, value: str) -> TenantRecord | None:
        """Give a tenant from memory without waiting; None does not mean that it does not exist."""
        # Not .get(), which makes two lookups.
        try:
            record = self._known[value]
        except KeyError:
            return self._aliased(kind, value)
        # The client key of most tenants is their key, so that one lookup finds them by both.
        if kind is KEY or (kind is CLIENT_KEY and record.tenant.connect_key == value):
            return record
        return self._aliased(kind, value)

    async def get(self, kind: IdentityKind, value: str) -> TenantRecord | None:
        """Give a tenant in any state; None if the name is unknown or retired.

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
        # A running read that was joined may have begun before another process stored the tenant.
        return await self.reread(kind, value) if record is None and joined else record

    async def reread(self, kind: IdentityKind, value: str) -> TenantRecord | None:
        """Read a tenant again before it is refused: another process may have stored it, or a new secret.

        The row is read at most four times a second per name; beyond that, the cached tenant is given.
        """
        name = (kind, value)
        # A read that began earlier says nothing about now.
        await self._reads.wait(name)
        if name not in self._reads and not self._count_reread(name):
            return self.get_cached(kind, value)
        return await self._read(name)

    def forget(self, key: str) -> None:
        """Drop a changed tenant from memory; the results of running reads are not kept, since they may be of it.

        Args:
            key: The tenant's key or client key.
        """
        aliased = self._aliased(CLIENT_KEY, key)
        self._known.pop(key if aliased is None else aliased.tenant.key, None)
        # Which other names the tenant has, or has lost, is not known here.
        self._keys.clear()
        for name in ((KEY, key), (CLIENT_KEY, key)):
            self._unknown.pop(name, None)
            self._rereads.pop(name, None)
        self._reads.forget()
        for on_forget in self._on_forget:
            on_forget(key if aliased is None else aliased.tenant.key)

    def subscribe(self, on_forget: Callable[[str], None]) -> None:
        """Call a function with the key of each tenant that is forgotten.

        Args:
            on_forget: The function, such as one that drops another cache's entry.
        """
        self._on_forget.append(on_forget)

    def clear(self) -> None:
        """Drop everything, where it is unknown what changed; the results of running reads are not kept."""
        for cache in (self._known, self._keys, self._unknown, self._rereads):
            cache.clear()
        self._reads.forget()

    def _aliased(self, kind: IdentityKind, value: str) -> TenantRecord | None:
        """Give a cached tenant by a name that is not its key."""
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
