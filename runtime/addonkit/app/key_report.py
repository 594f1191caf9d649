"""Report of a deployment's encryption keys: what each encrypts, and the next step of a rotation."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from addonkit.app.deployment import Deployment
from addonkit.database.connection import RUNTIME_APP
from addonkit.database.errors import storage_errors
from addonkit.database.pending import read_state
from addonkit.tenancy.key_usage import KeyState, KeyUse, count_expired_secrets, count_key_uses, drop_options
from addonkit.tenancy.vault import Vault
from addonkit.tenant_data.connection import tenant_database

# The default id of 'addonkit keys new'.
DATED = re.compile(r"\d{8}[0-9a-f]{4}")
FIRST_STEP = (RUNTIME_APP, "0001_initial")


@dataclass(frozen=True, slots=True)
class KeyReport:
    """The keys of a deployment.

    Attributes:
        keys: The available keys in their order, then the missing ones.
        expired: Former secrets that are stored but no longer accepted.
        next: The next step, in one sentence.
    """

    keys: tuple[KeyUse, ...]
    expired: int
    next: str

    @property
    def missing(self) -> tuple[KeyUse, ...]:
        """Keys that encrypt something and are not available."""
        return tuple(use for use in self.keys if use.is_missing)

    def secrets_of(self, key_id: str) -> int:
        """Number of secrets that a key encrypts."""
        return sum(use.secrets for use in self.keys if use.key_id == key_id)


@asynccontextmanager
async def stored_secrets(deployment: Deployment) -> AsyncIterator[bool]:
    """Open a deployment's database without loading plugins; False if it has no tables yet.

    Raises:
        StorageUnavailable: It did not respond.
    """
    if FIRST_STEP not in read_state(deployment.location).migrations:
        yield False
        return
    async with tenant_database(deployment.location, {}):
        yield True


async def key_report(deployment: Deployment) -> KeyReport:
    """Report what each key encrypts. Nothing is changed, and no key file is created.

    Raises:
        SettingsInvalid: The deployment has no keys, and none will be created for it.
        StorageUnavailable: The database did not respond.
    """
    has_keys = not deployment.will_make_key()
    # If there is no key yet, a temporary one, which encrypts nothing: stored secrets are still counted.
    vault = Vault(deployment.encryption_keys() if has_keys else [("none", os.urandom(32))])
    uses: tuple[KeyUse, ...] = tuple(
        KeyUse(key_id, KeyState.DECRYPTS if place else KeyState.ENCRYPTS) for place, key_id in enumerate(vault.key_ids)
    )
    expired = 0
    async with stored_secrets(deployment) as there:
        if there:
            with storage_errors():
                uses, expired = await count_key_uses(vault), await count_expired_secrets()
    uses = uses if has_keys else uses[1:]
    return KeyReport(uses, expired, next_step(uses, in_file=deployment.key_file is not None))


def next_step(uses: Sequence[KeyUse], *, in_file: bool) -> str:
    """Return the next step, in one sentence.

    Args:
        uses: The available keys in their order, then the missing ones.
        in_file: Whether the keys are in a key file, which commands change, or in the configuration.
    """
    missing = [use for use in uses if use.is_missing]
    if missing:
        return _restore_missing(missing, in_file=in_file)
    if not uses:
        return "nothing to do: the first start creates a key file"
    first, behind = uses[0].key_id, uses[1:]
    if waiting := sum(use.secrets for use in behind):
        return (
            f"{waiting} secrets are not encrypted with '{first}' yet; once every process has been restarted with "
            f"'{first}' first, the add-on re-encrypts them within the hour, or run 'addonkit keys rotate' to do it now"
        )
    if behind:
        return _promote_or_retire(behind[-1].key_id, first, in_file=in_file)
    add = "run 'addonkit keys new --to-file'" if in_file else "append the output of 'addonkit keys new'"
    return f"nothing to do. To rotate, {add} and restart"


def _promote_or_retire(key_id: str, first: str, *, in_file: bool) -> str:
    """The step for a key that encrypts nothing and is not first: it is new, or it is retired."""
    use = f"run 'addonkit keys use {key_id}'" if in_file else "move it to the front"
    remove = f"run 'addonkit keys remove {key_id}'" if in_file else "remove it"
    begin, end = f"once every process has it, {use} and restart", f"a day after the rotation, {remove} and restart"
    dates = [DATED.fullmatch(one) for one in (first, key_id)]
    if None in dates or first[:8] == key_id[:8]:
        return f"'{key_id}' encrypts nothing: if it is new, {begin}; if it is retired, {end}"
    return (
        f"'{key_id}' encrypts nothing yet: {begin}"
        if key_id > first
        else f"'{key_id}' encrypts nothing any more: {end}"
    )


def _restore_missing(missing: Sequence[KeyUse], *, in_file: bool) -> str:
    names = ", ".join(f"'{use.key_id}'" for use in missing)
    place = "the key file" if in_file else "[security] encryption_keys"
    return (
        f"{sum(use.secrets for use in missing)} secrets cannot be decrypted with the available keys: restore {names} "
        f"in {place}, or, if lost for good, run 'addonkit keys rotate {drop_options(missing)}' and have those sites "
        "install again"
    )
