"""The simulated host of one add-on: its two sites, the descriptor it read, and the pages it sends users to."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx2
from addonkit import AddonkitError
from addonkit.testing import RestApi, Site, Variables, modules_of

from addonkit_sandbox.bridge import Bridge
from addonkit_sandbox.places import Place, of_types
from addonkit_sandbox.state import State
from addonkit_sandbox.visitor import Visitor

_DESCRIPTOR_PATH = "/atlassian-connect.json"
# by what a site told last; a second "installed" is what an add-on hears when its descriptor has changed
_NEXT_EVENTS: Mapping[str | None, tuple[str, ...]] = {
    None: ("installed",),
    "installed": ("installed", "enabled", "disabled", "uninstalled"),
    "enabled": ("installed", "disabled", "uninstalled"),
    "disabled": ("installed", "enabled", "uninstalled"),
    "uninstalled": ("installed",),
}


class InstallationFailed(AddonkitError):
    """The add-on did not take the installation."""


@dataclass(slots=True)
class Simulation:
    """What the simulated products work on.

    Attributes:
        origin: Their scheme, host and port.
        addon_url: Where the add-on is served.
        state: What outlives a run.
        bridge: The host's JavaScript library.
        descriptor: The add-on's, as it was last read.
        events: The last lifecycle event that the add-on took, by site.
        comments: By an issue's number, as Jira writes them.
        rest: What knows the add-on's own calls, and gives it tokens for users.
    """

    origin: str
    addon_url: str
    state: State
    bridge: Bridge
    descriptor: Mapping[str, Any] = field(default_factory=dict)
    events: dict[str, str] = field(default_factory=dict)
    comments: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    rest: RestApi = field(init=False)

    def __post_init__(self) -> None:
        self.rest = RestApi(self.state.keys)
        self.rest.url = self.origin
        self.rest.sites = list(self.state.sites.values())

    @property
    def addon_origin(self) -> str:
        """Scheme, host and port of the add-on's pages."""
        parts = urlsplit(str(self.descriptor.get("baseUrl", self.addon_url)))
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def name(self) -> str:
        """The add-on's name, or its key."""
        return str(self.descriptor.get("name") or self.descriptor["key"])

    def why_off(self, product: str) -> str:
        """A sentence if the product shows nothing of the add-on at present; empty while it does."""
        event = self.events.get(product)
        if event not in ("disabled", "uninstalled"):
            return ""
        place = "on" if event == "disabled" else "from"
        return f"{self.name} is {event} {place} {product.capitalize()}"

    def next_events(self, product: str) -> tuple[str, ...]:
        """The lifecycle events that make sense for the site as it stands."""
        return _NEXT_EVENTS[self.events.get(product)]

    async def install(self) -> None:
        """Read the descriptor and install the add-on on both sites.

        Raises:
            InstallationFailed: The add-on did not take it.
        """
        async with _client() as client:
            self.descriptor = (await client.get(self.addon_url + _DESCRIPTOR_PATH)).raise_for_status().json()
        for product in self.state.sites:
            for event in ("installed", "enabled"):
                status = await self.notify(product, event)
                if status not in (200, 204):
                    raise InstallationFailed(
                        f"the add-on answered {status} to '{event}' of the simulated {product} site, expected 204; "
                        "its log has the reason"
                    )

    async def notify(self, product: str, event: Any) -> int:
        """Send a lifecycle call for a site; gives the add-on's status. A secret that it refused is forgotten."""
        site = self.state.sites[product]
        former = site.shared_secret
        method, url, headers, body = site.lifecycle_request(self.descriptor, event)
        async with _client() as client:
            response = await client.request(method, url, headers=headers, content=body)
        if response.is_success:
            self.events[product] = event
        else:
            site.shared_secret = former
        self.state.save()
        return response.status_code

    async def tell(self, product: str, event: str, body: Mapping[str, Any]) -> list[int]:
        """Send an event of a site to each of the add-on's webhooks for it; gives the add-on's statuses."""
        site = self.state.sites[product]
        wanted = [one for kind, one in modules_of(self.descriptor) if kind == "webhooks" and one.get("event") == event]
        statuses = []
        async with _client() as client:
            for webhook in wanted:
                method, url, headers, content = site.webhook_request(self.descriptor, webhook, body)
                statuses.append((await client.request(method, url, headers=headers, content=content)).status_code)
        return statuses

    def page_url(
        self, site: Site, visitor: Visitor, key: str, part: str | None = None, variables: Variables | None = None
    ) -> str:
        """The signed URL of a module's page for this visitor."""
        return site.page_url(self.descriptor, key, part, variables, visitor.account_id, visitor.licence)

    async def render(self, visitor: Visitor, key: str, part: str | None, variables: Variables) -> httpx2.Response:
        """A macro's static output, fetched from server to server."""
        async with _client() as client:
            return await client.get(self.page_url(self.state.sites["confluence"], visitor, key, part, variables))

    def places(self, *types: str) -> list[Place]:
        """The add-on's modules of these types."""
        return of_types(self.descriptor, types)


def fresh_id() -> str:
    """An id for a macro, in the order of time."""
    return str(time.time_ns() // 1_000_000)


def _client() -> httpx2.AsyncClient:
    # the environment's proxies are for the world outside; everything here is on this machine
    return httpx2.AsyncClient(trust_env=False, timeout=30.0)
