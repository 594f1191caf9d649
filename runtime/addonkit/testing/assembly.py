"""Creates an add-on from a deployment, to be served in this process."""

from __future__ import annotations

import asyncio

from addonkit.app.addon import Addon
from addonkit.app.deployment import Deployment
from addonkit.app.migrate import upgrade_in_subprocess


async def assemble_as_served(deployment: Deployment) -> Addon:
    """Migrate the tables of all installed plugins in a subprocess, and create the add-on, as ``addonkit serve`` does.

    Raises:
        AddonkitError: The deployment cannot be used.
    """
    await asyncio.to_thread(upgrade_in_subprocess, deployment)
    return Addon(deployment)
