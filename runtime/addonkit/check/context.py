"""What is examined: a deployment, and what the network said of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from addonkit.app.deployment import Deployment
from addonkit.check.http_probe import HttpProbe
from addonkit.protocol.urls import is_loopback


@dataclass(frozen=True, slots=True)
class CheckContext:
    """One deployment under examination.

    Attributes:
        deployment: Its configuration and what is installed.
        visits: Asks addresses, each once; None leaves the network out.
        now: Unix time in seconds.
    """

    deployment: Deployment
    visits: HttpProbe | None = None
    now: Callable[[], float] = field(default=time.time)

    @property
    def base_url(self) -> str:
        """Where the add-on is to be reached."""
        return self.deployment.settings.addon.base_url

    @property
    def host(self) -> str:
        """The name in the base URL."""
        return urlsplit(self.base_url).hostname or ""

    def is_at_home(self) -> bool:
        """Whether the add-on is on loopback, where nothing but a simulated host installs it."""
        return is_loopback(self.base_url)
