"""An add-on out of a deployment, to be served in this process."""

from __future__ import annotations

import asyncio

from addonkit.app.addon import Addon
from addonkit.app.deployment import Deployment
from addonkit.app.migrate import upgrade_in_subprocess


async def assemble_as_served(deployment: Deployment) -> Addon:
    """The add-on as ``addonkit serve`` runs it: the tables of all installed plugins, made in a process of its own.

    Raises:
        AddonkitError: The deployment cannot be used.
    """
    await asyncio.to_thread(upgrade_in_subprocess, deployment)
    return Addon(deployment)
