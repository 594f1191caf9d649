"""How a deployment stands with its keys: what each seals, and what is to be done next."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from addonkit.app.deployment import Deployment
from addonkit.database.connection import RUNTIME_APP
from addonkit.database.errors import storage_errors
from addonkit.database.pending import applied_to
from addonkit.tenancy.key_usage import KeyState, KeyUse, count_expired, count_uses, drop_options
from addonkit.tenancy.vault import Vault
from addonkit.tenant_data.connection import tenant_database

# As 'addonkit keys new' names them.
DATED = re.compile(r"\d{8}[0-9a-f]{4}")
FIRST_STEP = (RUNTIME_APP, "0001_initial")


@dataclass(frozen=True, slots=True)
class KeyReport:
    """The keys of a deployment.

    Attributes:
        keys: Those at hand, in their order, then those that are missing.
        expired: Former secrets that are kept and that nobody takes any more.
        next: What to do, in one sentence.
    """

    keys: tuple[KeyUse, ...]
    expired: int
    next: str

    @property
    def missing(self) -> tuple[KeyUse, ...]:
        """Keys that sealed something and are not at hand."""
        return tuple(use for use in self.keys if use.is_missing)

    def secrets_of(self, key_id: str) -> int:
        """How many secrets one key seals."""
        return sum(use.secrets for use in self.keys if use.key_id == key_id)


@asynccontextmanager
async def stored_secrets(deployment: Deployment) -> AsyncIterator[bool]:
    """Open a deployment's database, which needs no plugin for this; False if it has no tables yet.

    Raises:
        StorageUnavailable: It did not answer.
    """
    if FIRST_STEP not in applied_to(deployment.location).steps:
        yield False
        return
    async with tenant_database(deployment.location, {}):
        yield True


async def key_report(deployment: Deployment) -> KeyReport:
    """Tell what each key seals. Nothing is changed, and no key file made.

    Raises:
        SettingsInvalid: The deployment has no keys, and none will be made for it.
        StorageUnavailable: The database did not answer.
    """
    has_keys = not deployment.will_make_key()
    # A key of this moment, which sealed nothing, where there is none yet: what is stored is counted all the same.
    vault = Vault(deployment.encryption_keys() if has_keys else [("none", os.urandom(32))])
    uses: tuple[KeyUse, ...] = tuple(
        KeyUse(key_id, KeyState.OPENS if place else KeyState.SEALS) for place, key_id in enumerate(vault.key_ids)
    )
    expired = 0
    async with stored_secrets(deployment) as there:
        if there:
            with storage_errors():
                uses, expired = await count_uses(vault), await count_expired()
    uses = uses if has_keys else uses[1:]
    return KeyReport(uses, expired, next_step(uses, in_file=deployment.key_file is not None))


def next_step(uses: Sequence[KeyUse], *, in_file: bool) -> str:
    """What to do next, in one sentence.

    Args:
        uses: The keys at hand, in their order, then those that are missing.
        in_file: Whether they are in a key file, which has commands, and not in the configuration.
    """
    missing = [use for use in uses if use.is_missing]
    if missing:
        return _bring_back(missing, in_file=in_file)
    if not uses:
        return "nothing is to be done: the first start makes a key file"
    first, behind = uses[0].key_id, uses[1:]
    if waiting := sum(use.secrets for use in behind):
        return (
            f"{waiting} secrets are not encrypted with '{first}' yet; once every process has been restarted with "
            f"'{first}' first, the add-on re-encrypts them within the hour, or run 'addonkit keys rotate' to do it now"
        )
    if behind:
        return _promote_or_retire(behind[-1].key_id, first, in_file=in_file)
    add = "run 'addonkit keys new --to-file'" if in_file else "add what 'addonkit keys new' prints, as the last"
    return f"nothing is to be done; to change the key, {add}, and restart"


def _promote_or_retire(key_id: str, first: str, *, in_file: bool) -> str:
    """What to do with a key that is behind the first and seals nothing: it is the next one, or a retired one."""
    use = f"run 'addonkit keys use {key_id}'" if in_file else "move it first"
    remove = f"run 'addonkit keys remove {key_id}'" if in_file else "take it out"
    begin, end = f"once every process has it, {use} and restart", f"a day after the rotation, {remove} and restart"
    dates = [DATED.fullmatch(one) for one in (first, key_id)]
    if None in dates or first[:8] == key_id[:8]:
        return f"'{key_id}' seals nothing: if it is new, {begin}; if it is retired, {end}"
    return f"'{key_id}' seals nothing yet: {begin}" if key_id > first else f"'{key_id}' seals nothing any more: {end}"


def _bring_back(missing: Sequence[KeyUse], *, in_file: bool) -> str:
    names = ", ".join(f"'{use.key_id}'" for use in missing)
    place = "the key file" if in_file else "[security] encryption_keys"
    return (
        f"{sum(use.secrets for use in missing)} secrets open with no key at hand: bring {names} back into {place}, or, "
        f"lost for good, run 'addonkit keys rotate {drop_options(missing)}' and have those sites install anew"
    )
