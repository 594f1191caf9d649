"""A host that does what hosts do, at the same time: pages with sessions, webhooks, installations; for a long time."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import httpx2
from addonkit.testing import InstallKeys, Page, RestApi, Site, Variables
from addonkit.testing.exchange import RecordedRequest, Reply

from tests.distributions.third_party import installed, run
from tests.support.served import configure

BASE_URL = "http://localhost:8000"
DISTRIBUTION, PLUGIN = "stranger-mixed", "stranger_mixed"
PANEL = "stranger-mixed-panel"
KEY = "one:" + "A" * 43 + "="
METRICS_TOKEN = "soak-" + "t" * 32
EVENTS = {"updated": "jira:issue_updated", "commented": "comment_created", "created": "jira:issue_created"}
"""Webhook events by the first word of the effect that the plugin stores for each."""
ISSUES = 5
"""Number of issues whose webhooks run in order."""
SITES = 20
FAILING = 50
PAUSE_S = 0.1
OK, ACKNOWLEDGED = 200, 204


@dataclass
class MixedLoad:
    """Clients of the plugin ``stranger_mixed``, and what they were answered.

    A webhook or an installation that is not acknowledged is sent again, as hosts do; a page is not.

    Attributes:
        address: Base URL to which all requests go.
        rest: The REST API of the sites.
        descriptor: The add-on's descriptor.
        pause_s: How long each client waits between two requests.
        keeps_connections: Whether every second client sends several requests on a connection.
        answers: Number of requests by what was sent and by the status, or the error in place of one.
        acknowledged: The effects that were acknowledged, oldest first.
        seconds: How long each answered request took.
        failed_at: When a request was not answered as it should be: time, what was sent, and the answer.
    """

    address: str
    rest: RestApi
    descriptor: dict[str, Any]
    pause_s: float = 0.05
    keeps_connections: bool = True
    answers: Counter[tuple[str, int | str]] = field(default_factory=Counter)
    acknowledged: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    failed_at: list[tuple[float, str, int | str]] = field(default_factory=list)
    _numbers: count[int] = field(default_factory=count)
    _is_stopping: bool = False

    @property
    def site(self) -> Site:
        """The first site."""
        return self.rest.sites[0]

    @asynccontextmanager
    async def running(self, **clients: int) -> AsyncIterator[MixedLoad]:
        """Run clients for the block, so many of each kind: ``page``, ``install``, and the words of ``EVENTS``."""
        kinds: Mapping[str, Callable[[httpx2.AsyncClient, int], Coroutine[Any, Any, None]]] = {
            "page": self._use_page,
            "install": self._install,
            **{word: self._webhooks_of(word) for word in EVENTS},
        }
        async with asyncio.TaskGroup() as tasks:
            for kind, number in clients.items():
                for one in range(number):
                    tasks.create_task(self._repeat(kinds[kind], one))
            try:
                yield self
            finally:
                self._is_stopping = True

    async def install(self, site: Site) -> None:
        """Install the add-on on a site."""
        self.rest.sites.append(site)
        async with self._client() as client:
            await self._send_until_acknowledged(
                client, "install", lambda _: site.lifecycle_request(self.descriptor, "installed")
            )

    def page_url(self) -> str:
        """The URL of a signed page."""
        variables = Variables.of(issue={"id": "10001", "key": "AB-1"})
        return self._there(self.site.page_url(self.descriptor, PANEL, None, variables, "acc-1"))

    def webhook(self, word: str, identifier: str, retry: int = 0, number: int = 0) -> tuple[str, str, Any, bytes]:
        """Method, URL, headers and body of a webhook."""
        [module] = [one for one in self.descriptor["modules"]["webhooks"] if one["event"] == EVENTS[word]]
        body = {"webhookEvent": EVENTS[word], "issue": {"id": str(20_000 + number), "key": f"AB-{number}"}}
        method, url, headers, content = self.site.webhook_request(
            self.descriptor, module, body, identifier=identifier, retry=retry
        )
        return method, self._there(url), headers, content

    async def _repeat(self, what: Callable[[httpx2.AsyncClient, int], Coroutine[Any, Any, None]], number: int) -> None:
        """Do one thing again and again; every second client opens a connection for each request."""
        while not self._is_stopping:
            async with self._client(keeps=self.keeps_connections and number % 2 == 0) as client:
                for _ in range(50):
                    if self._is_stopping:
                        return
                    await what(client, number)
                    await asyncio.sleep(self.pause_s)

    def _client(self, *, keeps: bool = True) -> httpx2.AsyncClient:
        limits = httpx2.Limits() if keeps else httpx2.Limits(max_keepalive_connections=0)
        return httpx2.AsyncClient(trust_env=False, timeout=90, limits=limits)

    async def _use_page(self, client: httpx2.AsyncClient, _number: int) -> None:
        """Open a page, and make calls with its session."""
        url = self.page_url()
        response = await self._ask("page", OK, lambda: client.get(url))
        if response is None:
            return
        page = Page(response, url, self.site, "acc-1", {}, self.address, client)
        note = {"issue_id": "10001", "text": "x" * 50}
        await self._ask("session POST", OK, lambda: page.fetch("notes", "POST", note))
        await self._ask("session GET", OK, lambda: page.fetch("notes?issue_id=10001"))
        await self._ask("session renewal", OK, page.renew)

    async def _install(self, client: httpx2.AsyncClient, _number: int) -> None:
        """Install the add-on on a new site, or again on one of many."""
        if len(self.rest.sites) < SITES:
            self.rest.sites.append(Site(self.rest.keys, "jira", self.rest.url))
        site = self.rest.sites[1 + next(self._numbers) % (len(self.rest.sites) - 1)]
        if await self._send_until_acknowledged(
            client, "install", lambda _: site.lifecycle_request(self.descriptor, "installed")
        ):
            self.acknowledged.append(f"installed {site.client_key}")
            await asyncio.sleep(10 * self.pause_s)

    def _webhooks_of(self, word: str) -> Callable[[httpx2.AsyncClient, int], Coroutine[Any, Any, None]]:
        async def send(client: httpx2.AsyncClient, number: int) -> None:
            # Padded, so that the order of the names is that of the requests.
            identifier = f"{number}-{next(self._numbers):09}"
            if await self._send_until_acknowledged(
                client, word, lambda retry: self.webhook(word, identifier, retry, number % ISSUES)
            ):
                self.acknowledged.append(f"{word} {identifier}")

        return send

    async def _send_until_acknowledged(
        self, client: httpx2.AsyncClient, what: str, request: Callable[[int], tuple[str, str, Any, bytes]]
    ) -> bool:
        """Send a request until it is acknowledged; False if the load ends first."""
        for retry in count():
            method, url, headers, body = request(retry)
            sent = client.build_request(method, self._there(url), headers=headers, content=body)
            if await self._ask(what, ACKNOWLEDGED, lambda one=sent: client.send(one)):
                return True
            if self._is_stopping:
                return False
            await asyncio.sleep(PAUSE_S)
        raise AssertionError

    async def _ask(
        self, what: str, expected: int, call: Callable[[], Coroutine[Any, Any, httpx2.Response]]
    ) -> httpx2.Response | None:
        """Make one request; return the response if its status is the expected one, and None otherwise."""
        began = time.monotonic()
        try:
            response = await call()
        except httpx2.HTTPError as error:
            self._note_failure(what, type(error).__name__)
            return None
        self.seconds.append(time.monotonic() - began)
        if response.status_code != expected:
            self._note_failure(what, response.status_code)
            return None
        self.answers[what, expected] += 1
        return response

    def _note_failure(self, what: str, answer: int | str) -> None:
        self.answers[what, answer] += 1
        self.failed_at.append((time.time(), what, answer))

    def _there(self, url: str) -> str:
        return url.replace(BASE_URL, self.address)


@asynccontextmanager
async def simulated_host() -> AsyncIterator[RestApi]:
    """The REST API of all sites, with the issue that the plugin asks for; every fiftieth call fails and is repeated."""
    rest = RestApi(InstallKeys())
    async with rest.serve():
        calls = count(1)

        def issue(_: RecordedRequest) -> Reply:
            if next(calls) % FAILING == 0:
                return Reply({"errorMessages": ["busy"]}, 503)
            # The records of a long run would fill the memory.
            rest.requests.clear()
            return Reply({"id": "10001", "key": "AB-1", "fields": {"summary": "one"}})

        rest.answer("GET", "/rest/api/3/issue/*", by=issue)
        yield rest


def prepare(folder: Any, host: str, database: Mapping[str, Any], **tables: Mapping[str, Any]) -> None:
    """Write the configuration of one machine into a folder, and migrate the database."""
    defaults: dict[str, Mapping[str, Any]] = {
        "addon": {"plugins": [PLUGIN]},
        "security": {"encryption_keys": [KEY]},
        "operations": {"metrics_token": METRICS_TOKEN},
    }
    configure(folder, host, migrated=False, database=database, **{**defaults, **tables})
    named = {f"ADDONKIT_DATABASE__{key.upper()}": value for key, value in database.items()}
    done = run(folder, "migrate", site=installed(DISTRIBUTION), **named)
    assert done.code == 0, done.err


@asynccontextmanager
async def mixed_load(
    address: str, rest: RestApi, pause_s: float = 0.05, *, keeps_connections: bool = True
) -> AsyncIterator[MixedLoad]:
    """Clients of a process that serves at an address; a site has installed the add-on."""
    async with httpx2.AsyncClient(trust_env=False) as client:
        descriptor = (await client.get(f"{address}/atlassian-connect.json")).json()
    load = MixedLoad(address, rest, descriptor, pause_s, keeps_connections)
    await load.install(Site(rest.keys, "jira", rest.url))
    yield load
