"""A simulated host: it installs an add-on on sites and opens its modules, as the product and its users would."""

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
from addonkit.testing.modules import webhooks_of
from addonkit.testing.page import Page
from addonkit.testing.rest import Rest
from addonkit.testing.site import LifecycleName, Site
from addonkit.testing.variables import Variables

DESCRIPTOR_PATH = "/atlassian-connect.json"
_SITES: Mapping[Product, str] = {"jira": "http://127.0.0.1:9000", "confluence": "http://127.0.0.1:9000/wiki"}


class Host:
    """The host of one add-on; use it as an asynchronous context manager.

    Args:
        addon: The add-on: an ASGI application, started and stopped with the block, or None if it runs elsewhere.
        keys: What signs installations; the add-on's settings must name a server of their public half.
        base_url: Where the add-on believes to be served, or is.
        rest: The REST API of its sites, served; None where the add-on calls none.

    Attributes:
        sites: Those that the add-on was installed on, oldest first.
    """

    def __init__(
        self,
        addon: Application | None,
        keys: InstallKeys,
        base_url: str = "http://localhost:8000",
        rest: Rest | None = None,
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
            # the environment's proxies are for the world outside; everything here is on this machine
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
        """The site that was installed first.

        Raises:
            AssertionError: There is none.
        """
        if not self.sites:
            raise AssertionError("the add-on is installed on no site; call host.install() first")
        return self.sites[0]

    @property
    def rest(self) -> Rest:
        """The REST API of its sites.

        Raises:
            AssertionError: It has none.
        """
        if self._rest is None:
            raise AssertionError("this host has no REST API; make it with rest=Rest(keys), served")
        return self._rest

    async def descriptor(self) -> dict[str, Any]:
        """The descriptor that the add-on serves now.

        Raises:
            AssertionError: It serves none.
        """
        response = await self.request("GET", DESCRIPTOR_PATH)
        if response.status_code != 200:
            raise AssertionError(f"the add-on answered {response.status_code} to 'GET {DESCRIPTOR_PATH}', expected 200")
        return cast("dict[str, Any]", response.json())

    async def request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """Send what the test says, unsigned, to a path below the add-on's base URL.

        Args:
            method: The HTTP method.
            path: With its query, as it goes on the wire.
            options: As ``httpx2.AsyncClient.request`` takes them: ``headers``, ``content``, ``json``.
        """
        return await self.client.request(method, self.base_url + path, **options)

    async def install(self, product: Product = "jira", base_url: str | None = None) -> Site:
        """Install the add-on on a new site, and enable it there.

        Args:
            product: What the site runs.
            base_url: The site's; by default one on the loopback interface.

        Raises:
            AssertionError: The add-on did not take it.
        """
        site = Site(self.keys, product, (base_url or self._default(product)).rstrip("/"))
        if self._rest is not None:
            # before: what the add-on does about it may call already
            self._rest.sites.append(site)
        await self._expect(site, "installed")
        self.sites.append(site)
        await self.enable(site)
        return site

    async def reinstall(self, site: Site | None = None) -> Site:
        """Install on the site once more, with a new secret, as an upgrade or a rotation does."""
        site = site or self.site
        await self._expect(site, "installed")
        return site

    async def uninstall(self, site: Site | None = None) -> None:
        """Remove the add-on from the site, which stays in ``sites`` and knows its last secret."""
        await self._expect(site or self.site, "uninstalled")

    async def enable(self, site: Site | None = None) -> None:
        """Tell the add-on that the site's administrator has enabled it."""
        await self._expect(site or self.site, "enabled")

    async def disable(self, site: Site | None = None) -> None:
        """Tell the add-on that the site's administrator has disabled it."""
        await self._expect(site or self.site, "disabled")

    async def notify(self, site: Site, event: LifecycleName) -> httpx2.Response:
        """Send a lifecycle call and give whatever the add-on answers; a secret that it refused is forgotten."""
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
        """Tell the add-on of an event, at every webhook for it in the served descriptor; gives its answers.

        The handlers run afterwards: wait for them with :meth:`settled`.

        Args:
            event: The product's name for it, such as ``jira:issue_deleted``.
            body: What the product tells; by default the time, the event's name and the objects.
            site: Where it happened; the first site by default.
            identifier: The product's name for the delivery; a fresh one for each webhook by default.
            retry: How often the product tried before.
            objects: What it is about: ``issue={"id": "10001", "key": "AB-1"}``; they fill the webhooks' URLs.

        Raises:
            AssertionError: The descriptor has no webhook for the event.
        """
        site, descriptor = site or self.site, await self.descriptor()
        if body is None:
            named = {"webhookEvent": event} if site.product == "jira" else {}
            body = {"timestamp": int(time.time() * 1000), **named, **objects}
        told = {} if isinstance(body, bytes) else Variables.of_body(body).values
        variables = Variables({**told, **Variables.of_body(objects).values})
        answers = []
        for module in webhooks_of(descriptor, event):
            method, url, headers, content = site.webhook_request(
                descriptor, module, body, variables, identifier=identifier, retry=retry
            )
            answers.append(await self.client.request(method, url, headers=headers, content=content))
        return answers

    async def settled(self, timeout_s: float = 10.0) -> None:
        """Wait until the add-on in this process has no job that could run now.

        Args:
            timeout_s: Longest time to wait, in seconds.

        Raises:
            AssertionError: It has one still, or cannot tell.
        """
        wait = getattr(self._addon, "settled", None)
        if wait is None:
            raise AssertionError("the add-on has no method 'settled' in this process; ask it for what its jobs change")
        try:
            async with asyncio.timeout(timeout_s):
                await wait()
        except TimeoutError:
            raise AssertionError(f"jobs that could run were not done within {timeout_s:g} s; look at the log") from None

    async def open(
        self,
        module_key: str,
        site: Site | None = None,
        account: str | None = "acc-1",
        licence: str | None = "active",
        part: str | None = None,
        **objects: Mapping[str, Any],
    ) -> Page:
        """Open a module as a user's browser does, at the URL that the served descriptor declares.

        Args:
            module_key: The module.
            site: Where; the first site by default.
            account: The user; None is an anonymous visitor.
            licence: What the product says of it, if the add-on enables licensing; None says nothing.
            part: Another page of the module's: ``"editor"``, ``"renderModes.pdf"``.
            objects: What the user looks at: ``issue={"id": "10001", "key": "AB-1"}``, ``parameters={"poll": "3"}``.

        Raises:
            AssertionError: The descriptor has no such module, or the module no such part.
        """
        site, variables = site or self.site, Variables.of(**objects)
        descriptor = await self.descriptor()
        url = site.page_url(descriptor, module_key, part, variables, account, licence)
        response, context = await self.client.get(url), variables.context(site.product)
        return Page(response, url, site, account, context, descriptor["baseUrl"], self.client)

    def _default(self, product: Product) -> str:
        if self._rest is None:
            return _SITES[product]
        return self._rest.url + ("/wiki" if product == "confluence" else "")

    async def _expect(self, site: Site, event: LifecycleName) -> None:
        status = (await self.notify(site, event)).status_code
        if status not in (200, 204):
            raise AssertionError(f"the add-on answered {status} to '{event}' of a {site.product} site, expected 204")
