"""Key usage: counts with SQL how many stored secrets each encryption key encrypts.

The counts are used at every start, in reports for operators, and before a key is removed.
"""

import shlex
import time
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from tortoise.connection import get_connection
from tortoise.expressions import Q, RawSQL
from tortoise.functions import Count, Max, Min

from addonkit.database import CONNECTION
from addonkit.errors import VaultLocked
from addonkit.log import structlog
from addonkit.tenancy.models import TenantRow
from addonkit.tenancy.vault import Vault

log = structlog.get_logger(__name__)

SHARED, FORMER = "shared_secret", "former_secret"
# SQL for the text between the first two dots; empty where there are none.
_KEY_ID = {
    "sqlite": "substr({0}, 4, max(instr(substr({0}, 4), '.') - 1, 0))",
    "postgres": "split_part({0}, '.', 2)",
}


class KeyState(StrEnum):
    """The state of a key in this deployment."""

    ENCRYPTS = "encrypts"
    """It is configured, as the first key."""
    DECRYPTS = "decrypts"
    """It is configured, after the first key."""
    MISSING = "missing"
    """It is not configured, and a stored secret is encrypted with it."""
    DIFFERS = "differs"
    """A key with this id is configured, but it is not the one that encrypted the stored secrets."""


class KeyUse(NamedTuple):
    """The secrets that one key encrypts.

    Attributes:
        key_id: Id of the key; empty for values without a key id.
        state: State of the key in this deployment.
        sites: Number of tenants whose secret it encrypts, including uninstalled ones.
        former: Number of tenants with a former secret that it encrypts and that is still accepted.
    """

    key_id: str
    state: KeyState
    sites: int = 0
    former: int = 0

    @property
    def secrets(self) -> int:
        """Number of secrets that it encrypts."""
        return self.sites + self.former

    @property
    def is_missing(self) -> bool:
        """Whether it encrypts secrets that cannot be decrypted."""
        return self.state in (KeyState.MISSING, KeyState.DIFFERS)


async def count_key_uses(vault: Vault) -> tuple[KeyUse, ...]:
    """Count the secrets that each key encrypts: configured keys in their order, then the others.

    One secret of each key is decrypted as a sample, and a second one if that fails. A key that decrypts neither of
    them is a different key with the same id.
    """
    sites = await _by_key(SHARED)
    former = await _by_key(FORMER, former_until__gt=time.time())
    mismatched = await _mismatched_keys(vault, {key_id: samples for key_id, (_, *samples) in sites.items()})
    uses = []
    for key_id in dict.fromkeys([*vault.key_ids, *sorted(sites), *sorted(former)]):
        number, former_number = (counted.get(key_id, (0,))[0] for counted in (sites, former))
        state = KeyState.DIFFERS if key_id in mismatched else _state(vault, key_id)
        uses.append(KeyUse(key_id, state, number, former_number))
    return tuple(uses)


async def count_expired_secrets() -> int:
    """Count the stored former secrets that are no longer accepted."""
    return await TenantRow.filter(former_secret__isnull=False, former_until__lte=time.time()).count()


async def check_keys(vault: Vault) -> None:
    """Check that the configured keys decrypt the stored secrets.

    Raises:
        VaultLocked: A secret is encrypted with another key; the message names the keys and the remedy.
    """
    # This runs at each start, over all tenants. Counts by key take twice as long and are only needed for the message.
    if not await _has_unknown_key(vault) and not await _mismatched_keys(
        vault, {one: await _sample_ids(one) for one in vault.key_ids}
    ):
        return
    missing = [use for use in await count_key_uses(vault) if use.is_missing]
    named = ", ".join(f"'{use.key_id}': {use.secrets}" for use in missing)
    raise VaultLocked(
        f"the configured keys do not decrypt all stored secrets (secrets by key: {named}); restore the key file or the "
        f"entry of [security] encryption_keys that encrypted them, or, if the key is lost, run 'addonkit keys "
        f"rotate {drop_options(missing)}' and install the add-on on those sites again"
    )


def drop_options(missing: Iterable[KeyUse]) -> str:
    """Return the command-line options that make a rotation clear the secrets of these keys."""
    return " ".join(f"--drop-lost {shlex.quote(use.key_id)}" for use in missing)


def _key_id(column: str) -> RawSQL:
    """Return SQL for the id of the key that encrypted a column; NULL where the column is NULL."""
    return RawSQL(_KEY_ID[get_connection(CONNECTION).capabilities.dialect].format(column))


async def _has_unknown_key(vault: Vault) -> bool:
    """Whether a secret is encrypted with a key that is not configured."""
    rows = TenantRow.annotate(shared_id=_key_id(SHARED), former_id=_key_id(FORMER))
    former = Q(former_until__gt=time.time()) & ~Q(former_id__in=vault.key_ids)
    return await rows.filter(~Q(shared_id__in=vault.key_ids) | former).exists()


async def _sample_ids(key_id: str) -> tuple[int, ...]:
    """Return the numbers of the last and the first tenant whose secret a key encrypts; empty if there is none."""
    rows = TenantRow.annotate(key_id=_key_id(SHARED)).filter(key_id=key_id).only("id")
    last = await rows.order_by("-id").first()
    first = last and await rows.order_by("id").first()
    return tuple(row.id for row in (last, first) if row)


async def _by_key(column: str, **conditions: float) -> dict[str, tuple[int, ...]]:
    """Map each key that encrypts a column to the count of its rows, and the numbers of the last and the first row."""
    rows = (
        await TenantRow.filter(**{f"{column}__isnull": False}, **conditions)
        .annotate(key_id=_key_id(column), number=Count("id"), last=Max("id"), first=Min("id"))
        .group_by("key_id")
        .values("key_id", "number", "last", "first")
    )
    return {row["key_id"]: (row["number"], row["last"], row["first"]) for row in rows}


async def _mismatched_keys(vault: Vault, samples: Mapping[str, Sequence[int]]) -> set[str]:
    """Return the ids of configured keys that decrypt none of their samples, which are tenant numbers by key id."""
    found = set()
    for key_id in vault.key_ids:
        numbers = dict.fromkeys(samples.get(key_id, ()))
        damaged = []
        for number in numbers:
            if await _can_decrypt(vault, number):
                break
            damaged.append(number)
        else:
            found |= {key_id} if numbers else set()
            continue
        for number in damaged:
            log.warning(
                "secret.decrypt_failed",
                key_id=key_id,
                tenant=number,
                reason="the secret cannot be decrypted; install the add-on on this site again",
            )
    return found


async def _can_decrypt(vault: Vault, number: int) -> bool:
    """Whether a tenant's secret can be decrypted, or no longer exists."""
    row = await TenantRow.filter(id=number, shared_secret__isnull=False).only("id", "key", "client_key", SHARED).first()
    try:
        if row is not None:
            vault.decrypt(row.shared_secret or "", tenant_key=row.tenant_key, column=SHARED)
    except VaultLocked:
        return False
    return True


def _state(vault: Vault, key_id: str) -> KeyState:
    if key_id not in vault.key_ids:
        return KeyState.MISSING
    return KeyState.ENCRYPTS if key_id == vault.key_ids[0] else KeyState.DECRYPTS
