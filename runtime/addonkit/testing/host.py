"""The simulated host: installs an add-on on sites, opens its modules and sends its webhooks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self, cast

import httpx2

from addonkit.context import Product
from addonkit.testing.asgi import Application, running
from addonkit.testing.keys import InstallKeys
from addonkit.testing.modules import declares, webhooks_of
from addonkit.testing.page import Page
from addonkit.testing.rest import RestApi
from addonkit.testing.site import LifecycleName, Site
from addonkit.testing.variables import Variables

DESCRIPTOR_PATH = "/atlassian-connect.json"
_BASE_URLS: Mapping[Product, str] = {"jira": "http://127.0.0.1:9000", "confluence": "http://127.0.0.1:9000/wiki"}


class Host:
    """The host of one add-on, an asynchronous context manager.

    Args:
        addon: The add-on as an ASGI application, started and stopped with the block; None if it runs elsewhere.
        keys: Signs installations; the add-on's settings must name a server of the public key.
        base_url: The add-on's base URL.
        rest: The REST API of the host's sites, already served; None if the add-on makes no host calls.

    Attributes:
        sites: The sites where the add-on was installed, oldest first.
    """

    def __init__(
        self,
        addon: Application | None,
        keys: InstallKeys,
        base_url: str = "http://localhost:8000",
        rest: RestApi | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.keys = keys
        self.sites: list[Site] = []
        self._rest = rest
        self._addon = addon
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            transport = None
            if self._addon is not None:
                await stack.enter_async_context(running(self._addon))
                transport = httpx2.ASGITransport(cast("Any", self._addon))
            # Proxies of the environment are ignored: all requests stay on this machine.
            client = httpx2.AsyncClient(transport=transport, trust_env=False, timeout=30.0)
            self.client = await stack.enter_async_context(client)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def site(self) -> Site:
        """The first site where the add-on was installed.

        Raises:
            AssertionError: The add-on is not installed anywhere.
        """
        if not self.sites:
            raise AssertionError("the add-on is not installed on any site; call host.install() first")
        return self.sites[0]

    @property
    def rest(self) -> RestApi:
        """The REST API of the host's sites.

        Raises:
            AssertionError: The host was made without one.
        """
        if self._rest is None:
            raise AssertionError("this host has no REST API; pass rest=RestApi(keys) and serve it")
        return self._rest

    async def descriptor(self) -> dict[str, Any]:
        """Fetch the add-on's descriptor.

        Raises:
            AssertionError: The response status is not 200.
        """
        response = await self.request("GET", DESCRIPTOR_PATH)
        if response.status_code != 200:
            raise AssertionError(f"the add-on answered {response.status_code} to 'GET {DESCRIPTOR_PATH}', expected 200")
        return cast("dict[str, Any]", response.json())

    async def request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """Send an unsigned request to a path below the add-on's base URL.

        Args:
            method: The HTTP method.
            path: The path with its query, percent-encoded.
            options: Options of ``httpx2.AsyncClient.request``: ``headers``, ``content``, ``json``.
        """
        return await self.client.request(method, self.base_url + path, **options)

    async def install(
        self, product: Product = "jira", base_url: str | None = None, installation_id: str | None = None
    ) -> Site:
        """Install the add-on on a new site and enable it there.

        As in the products, ``enabled`` is sent only if the descriptor has a URL for it, and never with an installation.

        Args:
            product: The site's product.
            base_url: The site's base URL; by default one on the loopback interface.
            installation_id: Id of the installation, as hosts send it for an add-on with a Forge manifest.

        Raises:
            AssertionError: The add-on refused a lifecycle request.
        """
        url = (base_url or self._default_base_url(product)).rstrip("/")
        site = Site(self.keys, product, url, installation_id=installation_id)
        if self._rest is not None:
            # Added first, because the add-on may call the site while it is being installed.
            self._rest.sites.append(site)
        await self._notify_or_fail(site, "installed")
        self.sites.append(site)
        if installation_id is None and declares(await self.descriptor(), "enabled"):
            await self.enable(site)
        return site

    async def reinstall(self, site: Site | None = None) -> Site:
        """Send ``installed`` to the add-on again, with a new shared secret, as an upgrade of the descriptor does."""
        site = site or self.site
        await self._notify_or_fail(site, "installed")
        return site

    async def uninstall(self, site: Site | None = None) -> None:
        """Uninstall the add-on; the site stays in ``sites`` and keeps its last shared secret."""
        await self._notify_or_fail(site or self.site, "uninstalled")

    async def enable(self, site: Site | None = None) -> None:
        """Send ``enabled`` to the add-on."""
        await self._notify_or_fail(site or self.site, "enabled")

    async def disable(self, site: Site | None = None) -> None:
        """Send ``disabled`` to the add-on."""
        await self._notify_or_fail(site or self.site, "disabled")

    async def notify(self, site: Site, event: LifecycleName) -> httpx2.Response:
        """Send a lifecycle request and return the response; if it is refused, the site keeps its former secret."""
        former = site.shared_secret
        method, url, headers, body = site.lifecycle_request(await self.descriptor(), event)
        response = await self.client.request(method, url, headers=headers, content=body)
        if not response.is_success:
            site.shared_secret = former
        return response

    async def fire(
        self,
        event: str,
        body: Mapping[str, Any] | bytes | None = None,
        site: Site | None = None,
        *,
        identifier: str | None = None,
        retry: int = 0,
        **objects: Mapping[str, Any],
    ) -> list[httpx2.Response]:
        """Send an event to every webhook for it in the served descriptor, and return the responses.

        The add-on stores webhooks and runs their handlers as jobs: wait for these with :meth:`settled`. After an event
        about a deleted issue, page, project or space, the REST API no longer has the object.

        Args:
            event: The product's name of the event, such as ``jira:issue_deleted``.
            body: The webhook's body; by default the time, the event's name and the objects.
            site: The site; the first one by default.
            identifier: The product's id of the delivery; a new one for each webhook by default.
            retry: Number of earlier deliveries.
            objects: Objects of the event: ``issue={"id": "10001", "key": "AB-1"}``; they fill the webhooks' URLs.

        Raises:
            AssertionError: The descriptor has no webhook for the event.
        """
        site, descriptor = site or self.site, await self.descriptor()
        if body is None:
            named = {"webhookEvent": event} if site.product == "jira" else {}
            body = {"timestamp": int(time.time() * 1000), **named, **objects}
        from_body = {} if isinstance(body, bytes) else Variables.from_body(body).values
        variables = Variables({**from_body, **Variables.from_body(objects).values})
        if self._rest is not None:
            self._rest.resources.objects[site.client_key].remove(event, variables.values)
        responses = []
        for module in webhooks_of(descriptor, event):
            method, url, headers, content = site.webhook_request(
                descriptor, module, body, variables, identifier=identifier, retry=retry
            )
            responses.append(await self.client.request(method, url, headers=headers, content=content))
        return responses

    async def settled(self, timeout_s: float = 10.0) -> None:
        """Wait until the add-on in this process has no ready or running job.

        A failed job that waits for its next attempt is not waited for.

        Args:
            timeout_s: Maximum time to wait, in seconds.

        Raises:
            AssertionError: The time is over, or the add-on is not an addonkit application in this process.
        """
        wait = getattr(self._addon, "settled", None)
        if wait is None:
            raise AssertionError(
                "the add-on has no method 'settled' in this process; poll for its jobs' effects instead"
            )
        try:
            async with asyncio.timeout(timeout_s):
                await wait()
        except TimeoutError:
            raise AssertionError(f"ready jobs were not finished within {timeout_s:g} s; see the log") from None

    async def open(
        self,
        module_key: str,
        site: Site | None = None,
        account: str | None = "acc-1",
        licence: str | None = "active",
        part: str | None = None,
        **objects: Mapping[str, Any],
    ) -> Page:
        """Open a module as a user's browser does, at the URL declared in the served descriptor.

        From then on, the REST API has the issue or page, in its project or space.

        Args:
            module_key: The module's key.
            site: The site; the first one by default.
            account: Account id of the user; None for an anonymous visitor.
            licence: Licence status that the product sends if the add-on enables licensing; None sends nothing.
            part: Another page of the module: ``"editor"``, ``"renderModes.pdf"``.
            objects: Values of the host variables: ``issue={"id": "10001", "key": "AB-1"}``,
                ``parameters={"poll": "3"}``.

        Raises:
            AssertionError: The descriptor has no such module, or the module has no such part.
        """
        site, variables = site or self.site, Variables.of(**objects)
        descriptor = await self.descriptor()
        if self._rest is not None:
            self._rest.resources.objects[site.client_key].add(variables.values)
        url = site.page_url(descriptor, module_key, part, variables, account, licence)
        response, context = await self.client.get(url), variables.context(site.product)
        return Page(response, url, site, account, context, descriptor["baseUrl"], self.client)

    def _default_base_url(self, product: Product) -> str:
        if self._rest is None:
            return _BASE_URLS[product]
        return self._rest.url + ("/wiki" if product == "confluence" else "")

    async def _notify_or_fail(self, site: Site, event: LifecycleName) -> None:
        status = (await self.notify(site, event)).status_code
        if status not in (200, 204):
            raise AssertionError(f"the add-on answered {status} to '{event}' of a {site.product} site, expected 204")
