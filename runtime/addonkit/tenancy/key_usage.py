"""What each key seals, counted in the database: for a start, for operators, and before a key is taken away."""

import shlex
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

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
# The text between the first two dots, as each database says it; empty where there are none.
_KEY_ID = {
    "sqlite": "substr({0}, 4, max(instr(substr({0}, 4), '.') - 1, 0))",
    "postgres": "split_part({0}, '.', 2)",
}


class KeyState(StrEnum):
    """What a key is to this deployment."""

    SEALS = "seals"
    """It is at hand, and the first."""
    OPENS = "opens"
    """It is at hand, behind the first."""
    LOST = "lost"
    """It is not at hand, and something is sealed with it."""
    FALSE = "false"
    """A key of that id is at hand, and is not the one that sealed what is stored."""


@dataclass(frozen=True, slots=True)
class KeyUse:
    """What one key seals.

    Attributes:
        key_id: Its id; empty stands for what no key of ours sealed.
        state: What it is to this deployment.
        sites: Sites whose secret it seals, those that are uninstalled among them.
        former: Sites whose former secret it seals, while that is still taken.
    """

    key_id: str
    state: KeyState
    sites: int = 0
    former: int = 0

    @property
    def secrets(self) -> int:
        """How many secrets it seals in all."""
        return self.sites + self.former

    @property
    def is_missing(self) -> bool:
        """Whether something is sealed with it that does not open."""
        return self.state in (KeyState.LOST, KeyState.FALSE)


async def count_uses(vault: Vault) -> tuple[KeyUse, ...]:
    """Tell what each key seals: those at hand in their order, then those that are not.

    Of what each key seals, one secret is opened, and another one if that fails: a key that opens neither is another
    one of the same id.
    """
    sites = await _by_key(SHARED)
    former = await _by_key(FORMER, former_until__gt=time.time())
    false = await _false_keys(vault, {key_id: samples for key_id, (_, *samples) in sites.items()})
    uses = []
    for key_id in dict.fromkeys([*vault.key_ids, *sorted(sites), *sorted(former)]):
        number, late = (counted.get(key_id, (0,))[0] for counted in (sites, former))
        state = KeyState.FALSE if key_id in false else _state(vault, key_id)
        uses.append(KeyUse(key_id, state, number, late))
    return tuple(uses)


async def count_expired() -> int:
    """Tell how many former secrets are kept that nobody takes any more."""
    return await TenantRow.filter(former_secret__isnull=False, former_until__lte=time.time()).count()


async def check_keys(vault: Vault) -> None:
    """See that the keys at hand open what is stored.

    Raises:
        VaultLocked: Something was sealed with others; it names them and what can be done.
    """
    # Each start asks this, of all sites; counting them by key takes twice as long, and only the message needs it.
    if not await _has_strange(vault) and not await _false_keys(vault, {one: await _ends(one) for one in vault.key_ids}):
        return
    missing = [use for use in await count_uses(vault) if use.is_missing]
    named = ", ".join(f"'{use.key_id}': {use.secrets}" for use in missing)
    raise VaultLocked(
        f"the database holds secrets that the keys at hand do not open (by key: {named}); bring back the key file or "
        f"the entry of [security] encryption_keys that sealed them, or, if it is lost for good, run 'addonkit keys "
        f"rotate {drop_options(missing)}' and have those sites install anew"
    )


def drop_options(missing: Iterable[KeyUse]) -> str:
    """Write the options that let a rotation clear what these keys sealed."""
    return " ".join(f"--drop-lost {shlex.quote(use.key_id)}" for use in missing)


def _key_id(column: str) -> RawSQL:
    """The id of the key that sealed what is in a column; NULL where nothing is."""
    return RawSQL(_KEY_ID[get_connection(CONNECTION).capabilities.dialect].format(column))


async def _has_strange(vault: Vault) -> bool:
    """Whether a key seals anything whose id none at hand has."""
    rows = TenantRow.annotate(shared_id=_key_id(SHARED), former_id=_key_id(FORMER))
    former = Q(former_until__gt=time.time()) & ~Q(former_id__in=vault.key_ids)
    return await rows.filter(~Q(shared_id__in=vault.key_ids) | former).exists()


async def _ends(key_id: str) -> tuple[int, ...]:
    """The last and the first site whose secret a key seals, by their numbers; nothing if there is none."""
    rows = TenantRow.annotate(key_id=_key_id(SHARED)).filter(key_id=key_id).only("id")
    last = await rows.order_by("-id").first()
    first = last and await rows.order_by("id").first()
    return tuple(row.id for row in (last, first) if row)


async def _by_key(column: str, **conditions: float) -> dict[str, tuple[int, ...]]:
    """How many rows each key seals in a column, and the last and the first of them by their numbers."""
    rows = (
        await TenantRow.filter(**{f"{column}__isnull": False}, **conditions)
        .annotate(key_id=_key_id(column), number=Count("id"), last=Max("id"), first=Min("id"))
        .group_by("key_id")
        .values("key_id", "number", "last", "first")
    )
    return {row["key_id"]: (row["number"], row["last"], row["first"]) for row in rows}


async def _false_keys(vault: Vault, samples: Mapping[str, Sequence[int]]) -> set[str]:
    """Ids of keys at hand that open none of the samples, by their numbers, of what was sealed under their id."""
    found = set()
    for key_id in vault.key_ids:
        numbers = dict.fromkeys(samples.get(key_id, ()))
        damaged = []
        for number in numbers:
            if await _opens(vault, number):
                break
            damaged.append(number)
        else:
            found |= {key_id} if numbers else set()
            continue
        for number in damaged:
            log.warning("keys.damaged", key_id=key_id, tenant=number, reason="its secret does not open; install again")
    return found


async def _opens(vault: Vault, number: int) -> bool:
    """Whether a site's secret opens, or is not there any more."""
    row = await TenantRow.filter(id=number, shared_secret__isnull=False).only("id", "client_key", SHARED).first()
    try:
        if row is not None:
            vault.open(row.shared_secret or "", client_key=row.client_key, column=SHARED)
    except VaultLocked:
        return False
    return True


def _state(vault: Vault, key_id: str) -> KeyState:
    if key_id not in vault.key_ids:
        return KeyState.LOST
    return KeyState.SEALS if key_id == vault.key_ids[0] else KeyState.OPENS
