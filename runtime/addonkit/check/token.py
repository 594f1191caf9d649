"""Why is this token refused? Asked of the very parts that refuse it, in their order, until the first thing is wrong.

Nothing is spent and nothing is stored; neither the token nor its signature is ever repeated.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from addonkit.app.addon import Addon
from addonkit.app.deployment import Deployment
from addonkit.app.migrate import refuse_pending
from addonkit.check.lifecycle_token import LifecycleToken
from addonkit.check.page_token import PageToken
from addonkit.check.result import Finding
from addonkit.check.token_input import TokenInput
from addonkit.check.token_stages import until_wrong
from addonkit.edge.lifecycle import LIFECYCLE_PATHS
from addonkit.errors import SettingsInvalid


async def explain_token(
    deployment: Deployment, pasted: TokenInput, event: str | None = None, *, offline: bool = False
) -> AsyncIterator[Finding]:
    """What the edge would say of a token, stage by stage; the last line is its verdict.

    Args:
        deployment: Whose token it is.
        pasted: The token, and the request if it is known.
        event: The lifecycle call that it came with; by default what the request's path says, if anything.
        offline: Whether the host's key servers are not asked.

    Raises:
        SettingsInvalid: The database lacks a migration, or there is no key yet.
    """
    if deployment.will_make_key():
        raise SettingsInvalid("there is no encryption key yet, so that no site has installed; start the add-on first")
    deployment.location.check_usable()
    refuse_pending(deployment)
    addon = Addon(deployment)
    try:
        async with addon.database():
            async for finding in looked_at(addon, pasted, event, offline=offline):
                yield finding
    finally:
        await addon.edge.lifecycle.install_keys.close()


def looked_at(
    addon: Addon, pasted: TokenInput, event: str | None = None, *, offline: bool = False
) -> AsyncIterator[Finding]:
    """The same, of an add-on whose database is open."""
    event = event or (LIFECYCLE_PATHS.get(pasted.request.path) if pasted.request else None)
    kind = LifecycleToken(addon, pasted, event, offline) if event else PageToken(addon, pasted)
    return until_wrong(kind.steps())
