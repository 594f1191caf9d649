"""Sites seen by several processes: a change by one holds for the others at once or within two seconds."""

import asyncio
import time
from contextlib import asynccontextmanager

import httpx2
import pytest
import pytest_asyncio
from addonkit.testing import Host, InstallKeys
from addonkit.testing.databases import drop_databases

from tests.distributions.third_party import installed, run
from tests.support.served import configure, serving, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
BOUND_S = 2.0
MODULE = "stranger-slow-page"


class SwitchedTransport(httpx2.AsyncHTTPTransport):
    """Sends requests to one of several processes, whatever their URL."""

    def __init__(self, *served):
        super().__init__()
        self.served = list(served)
        self.current = 0

    async def handle_async_request(self, request):
        host, _, port = self.served[self.current].address.rpartition(":")
        request.url = request.url.copy_with(host=host, port=int(port))
        return await super().handle_async_request(request)


class ProcessPair:
    """A host with two processes of one add-on."""

    def __init__(self, host, transport):
        self.host, self._transport = host, transport

    async def install(self):
        self._transport.current = 0
        return await self.host.install()

    async def send_to_first(self, site, event):
        """Send a lifecycle request to the first process."""
        self._transport.current = 0
        assert (await self.host.notify(site, event)).status_code == 204

    async def status(self, site, process=1):
        """Return the status of a page that a process serves, by default the second one."""
        self._transport.current = process
        return (await self.host.open(MODULE, site)).status

    async def becomes(self, site, status):
        """Wait until the second process answers with this status, and check that it does so in time."""
        began = time.monotonic()

        async def answers():
            return await self.status(site) == status

        await until(answers)
        assert time.monotonic() - began < BOUND_S


@asynccontextmanager
async def running(keys, *served):
    transport = SwitchedTransport(*served)
    async with Host(None, keys, "http://localhost:8000") as host, httpx2.AsyncClient(transport=transport) as client:
        ours, host.client = host.client, client
        yield ProcessPair(host, transport)
        host.client = ours


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def two(tmp_path_factory):
    """Two processes on one PostgreSQL server."""
    directory = tmp_path_factory.mktemp("two")
    keys = InstallKeys()
    async with keys.serve() as url:
        configure(directory, url)
        async with (
            serving(directory) as first,
            serving(directory) as second,
            running(keys, first, second) as two,
        ):
            yield two
    drop_databases(directory)


@pytest.mark.postgresql
async def test_install_by_one_process_is_served_by_the_other_at_once(two):
    for _ in range(5):
        site = await two.install()
        assert await two.status(site) == 200


@pytest.mark.postgresql
async def test_install_of_a_site_refused_before_is_served_by_the_other(two):
    site = await two.install()
    await two.send_to_first(site, "uninstalled")
    await two.becomes(site, 401)
    for _ in range(3):
        await two.send_to_first(site, "installed")
        assert await two.status(site) == 200
        await two.send_to_first(site, "uninstalled")
        await two.becomes(site, 401)


@pytest.mark.postgresql
async def test_new_secret_is_known_to_the_other_process_at_once(two):
    site = await two.install()
    for _ in range(5):
        assert await two.status(site) == 200
        await two.send_to_first(site, "installed")
        assert await two.status(site) == 200


@pytest.mark.postgresql
async def test_disabled_site_is_refused_by_the_other_process_soon(two):
    site = await two.install()
    assert await two.status(site) == 200
    await two.send_to_first(site, "disabled")
    await two.becomes(site, 401)
    await two.send_to_first(site, "enabled")
    assert await two.status(site) == 200


async def test_command_changes_are_seen_by_the_serving_process(tmp_path):
    keys = InstallKeys()
    async with keys.serve() as url:
        configure(tmp_path, url)
        async with serving(tmp_path) as served, running(keys, served, served) as two:
            former, site = await two.install(), await two.install()
            was, became = [(await two.host.open(MODULE, one)).text for one in (site, former)]
            assert was != became
            await two.send_to_first(former, "uninstalled")
            words = ("tenants", "adopt", site.client_key, "--from", former.client_key, "--yes")
            done = await asyncio.to_thread(run, tmp_path, *words, site=installed("stranger-slow"))
            assert done.code == 0, done.err

            async def is_known():
                return (await two.host.open(MODULE, site)).text == became

            await until(is_known, BOUND_S)
