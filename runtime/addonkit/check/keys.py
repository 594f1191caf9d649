"""Are the keys at hand that open what is stored?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from addonkit.app.deployment import KEY_FILE
from addonkit.app.migrate import pending_steps
from addonkit.check.context import CheckContext
from addonkit.check.result import Remark, ok, warn, wrong
from addonkit.database.errors import storage_errors
from addonkit.errors import AddonkitError
from addonkit.tenancy.key_usage import KeyState, KeyUse, count_uses
from addonkit.tenancy.vault import Vault
from addonkit.tenant_data.connection import tenant_database

OTHERS = 0o077


async def keys(case: CheckContext) -> AsyncIterator[Remark]:
    """How many there are, who can read the one that we made, and what is sealed with others.

    Raises:
        SettingsInvalid: There is none, or its file is spoilt.
    """
    deployment = case.deployment
    if deployment.will_make_key():
        yield ok("none yet; the first start makes a key file, as this is on loopback")
        return
    found = deployment.encryption_keys()
    yield ok(f"{len(found)} in use, '{found[0][0]}' seals")
    file = deployment.directory / KEY_FILE
    if not deployment.settings.security.encryption_keys and file.stat().st_mode & OTHERS:
        yield warn(f"others than its owner can read '{file}'; run 'chmod 600 {file.name}'")
    for use in await _uses(case, Vault(found)):
        if use.is_missing:
            yield wrong(
                f"{use.secrets} secrets are sealed with the key '{use.key_id}', {_missing(use)}; bring it back, or run "
                f"'addonkit keys rotate --drop-lost {use.key_id}' if it is lost for good"
            )


def _missing(use: KeyUse) -> str:
    return "and the one of that id at hand is another" if use.state is KeyState.FALSE else "which is not at hand"


async def _uses(case: CheckContext, vault: Vault) -> tuple[KeyUse, ...]:
    """What each key seals; nothing where the database cannot be asked, which is for another look to tell."""
    try:
        location = case.deployment.location
        location.check_usable()
        if await asyncio.to_thread(pending_steps, case.deployment):
            return ()
        async with tenant_database(location, {}):
            with storage_errors():
                return await count_uses(vault)
    except AddonkitError:
        return ()
