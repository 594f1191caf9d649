"""The simulated host of one add-on: sites, descriptor, lifecycle requests, webhooks and signed page URLs."""

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
from addonkit_sandbox.places import Place, places_of
from addonkit_sandbox.state import State
from addonkit_sandbox.visitor import Visitor

_DESCRIPTOR_PATH = "/atlassian-connect.json"
_NEXT_EVENTS: Mapping[str | None, tuple[str, ...]] = {
    None: ("installed",),
    "installed": ("installed", "enabled", "disabled", "uninstalled"),
    "enabled": ("installed", "disabled", "uninstalled"),
    "disabled": ("installed", "enabled", "uninstalled"),
    "uninstalled": ("installed",),
}
"""Possible lifecycle events by the last one; the product repeats ``installed`` when the descriptor has changed."""


class InstallationFailed(AddonkitError):
    """The add-on refused a lifecycle request of the installation."""


@dataclass(slots=True)
class Simulation:
    """The state of the simulated products.

    Attributes:
        origin: Scheme, host and port of the products.
        addon_url: Base URL of the add-on.
        state: The state that is stored across runs.
        bridge: The host's JavaScript library.
        descriptor: The add-on's descriptor, as last fetched.
        events: The last lifecycle event that the add-on accepted, by product.
        comments: Comments by issue id, as Jira's API returns them.
        rest: Verifies host calls and issues user tokens.
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
        """Scheme, host and port of the add-on."""
        parts = urlsplit(str(self.descriptor.get("baseUrl", self.addon_url)))
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def name(self) -> str:
        """The add-on's name; its key if it has none."""
        return str(self.descriptor.get("name") or self.descriptor["key"])

    def off_reason(self, product: str) -> str:
        """Return why the product does not show the add-on: it is disabled or uninstalled. Empty while it shows it."""
        event = self.events.get(product)
        if event not in ("disabled", "uninstalled"):
            return ""
        preposition = "in" if event == "disabled" else "from"
        return f"{self.name} is {event} {preposition} {product.capitalize()}"

    def next_events(self, product: str) -> tuple[str, ...]:
        """Return the lifecycle events that can follow the product's last one."""
        return _NEXT_EVENTS[self.events.get(product)]

    async def install(self) -> None:
        """Fetch the descriptor and install the add-on on both sites.

        Raises:
            InstallationFailed: The add-on refused a lifecycle request.
        """
        async with _client() as client:
            self.descriptor = (await client.get(self.addon_url + _DESCRIPTOR_PATH)).raise_for_status().json()
        for product in self.state.sites:
            for event in ("installed", "enabled"):
                status = await self.notify(product, event)
                if status not in (200, 204):
                    raise InstallationFailed(
                        f"the add-on responded {status} to '{event}' of the simulated {product} site, expected 204; "
                        "see its log for the reason"
                    )

    async def notify(self, product: str, event: Any) -> int:
        """Send a lifecycle request and return the status; if it is refused, the site keeps its former secret.

        As in the products, an event without a URL in the descriptor takes place without a request, except for
        ``installed``, which hands over the shared secret.
        """
        status = 204
        if event == "installed" or self.descriptor.get("lifecycle", {}).get(event):
            status = await self._send(product, event)
        if httpx2.codes.is_success(status):
            self.events[product] = event
        self.state.save()
        return status

    async def _send(self, product: str, event: Any) -> int:
        site = self.state.sites[product]
        former = site.shared_secret
        method, url, headers, body = site.lifecycle_request(self.descriptor, event)
        async with _client() as client:
            response = await client.request(method, url, headers=headers, content=body)
        if not response.is_success:
            site.shared_secret = former
        return response.status_code

    async def send_webhooks(self, product: str, event: str, body: Mapping[str, Any]) -> list[int]:
        """Send an event to each of the add-on's webhooks for it, and return the statuses of the responses."""
        site = self.state.sites[product]
        webhooks = [module for type_, module in modules_of(self.descriptor) if type_ == "webhooks"]
        statuses = []
        async with _client() as client:
            for webhook in [webhook for webhook in webhooks if webhook.get("event") == event]:
                method, url, headers, content = site.webhook_request(self.descriptor, webhook, body)
                statuses.append((await client.request(method, url, headers=headers, content=content)).status_code)
        return statuses

    def page_url(
        self, site: Site, visitor: Visitor, key: str, part: str | None = None, variables: Variables | None = None
    ) -> str:
        """Return the signed URL of a module's page for a visitor."""
        return site.page_url(self.descriptor, key, part, variables, visitor.account_id, visitor.licence)

    async def render(self, visitor: Visitor, key: str, part: str | None, variables: Variables) -> httpx2.Response:
        """Fetch the static output of a macro from the add-on."""
        async with _client() as client:
            return await client.get(self.page_url(self.state.sites["confluence"], visitor, key, part, variables))

    def places(self, *types: str) -> list[Place]:
        """Return the add-on's modules of these types."""
        return places_of(self.descriptor, types)


def new_macro_id() -> str:
    """Return an id for a macro; later ids are greater."""
    return str(time.time_ns() // 1_000_000)


def _client() -> httpx2.AsyncClient:
    # Proxies of the environment are ignored: all requests stay on this machine.
    return httpx2.AsyncClient(trust_env=False, timeout=30.0)
