"""Key rotation while the add-on serves: open pages and sites keep working in every step."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
from addonkit.context import Licence
from addonkit.protocol.sessions import Page, Sessions
from addonkit.settings import parse_key
from addonkit.tenancy.key_rotation import reencrypt
from addonkit.testing import Host, InstallKeys

from tests.support.encrypted_sites import NEW, OLD, vault_of
from tests.support.plugin_under_test import addon_of, deployment
from tests.support.wire import Wire

WHO = "/under_test/who"
STEPS = ((OLD,), (OLD, NEW), (NEW, OLD), (NEW,))


class Rotation:
    """Restarts an add-on with other encryption keys, on one database and for one site."""

    def __init__(self, directory, install_keys, url):
        self._directory, self._install_keys, self._url = directory, install_keys, url
        self.sites = []

    @asynccontextmanager
    async def step(self, keys):
        """Run the add-on with these keys."""
        made_of = deployment(self._directory, self._url, security={"encryption_keys": list(keys)})
        addon = await addon_of(made_of)
        async with Host(addon, self._install_keys) as host:
            host.sites = self.sites
            if not self.sites:
                await host.install()
            yield Wire(addon, host)
            # the last step before the old key is removed
            if keys == (NEW, OLD):
                await reencrypt(vault_of(*keys))


@pytest.fixture
async def rotation(tmp_path):
    keys = InstallKeys()
    async with keys.serve() as url:
        yield Rotation(tmp_path, keys, url)


async def renewed(wire, session):
    token = wire.site.context_token("acc-1")
    body = f'{{"session": "{session}"}}'.encode()
    answer = await wire.send(f"JWT {token}", "POST", "/addonkit/session", body, "application/json")
    assert answer.status == 200
    return answer.json()["session"]


async def test_key_rotation_keeps_open_pages_working_and_renewable_in_every_step(rotation):
    session = None
    for keys in STEPS:
        async with rotation.step(keys) as wire:
            session = session or await wire.session()
            answer = await wire.send(f"Session {session}", "GET", WHO)
            assert (answer.status, answer.json()["account"]) == (200, "acc-1"), keys
            session = await renewed(wire, session)


async def test_key_rotation_lets_sites_open_pages_in_every_step(rotation):
    for keys in STEPS:
        async with rotation.step(keys) as wire:
            assert await wire.page_status(wire.site) == 200, keys


async def test_key_rotation_lets_sites_reinstall_in_every_step(rotation):
    for keys in STEPS:
        async with rotation.step(keys) as wire:
            await wire.host.reinstall()
            assert await wire.page_status(wire.site) == 200, keys


async def test_key_rotation_ends_sessions_of_the_removed_key(rotation):
    session = None
    for keys in STEPS:
        async with rotation.step(keys) as wire:
            session = session or await wire.session()
            status = (await wire.send(f"Session {session}", "GET", WHO)).status
            assert status == (401 if keys == (NEW,) else 200), keys


@pytest.mark.parametrize("step", range(len(STEPS) - 1))
def test_key_rotation_lets_processes_in_neighbouring_steps_share_sessions(step):
    here, there = (Sessions([parse_key(key) for key in keys], "com.example.test") for keys in STEPS[step : step + 2])
    page = Page("client-1", "acc-1", "issue_panel", {}, Licence.ACTIVE)
    assert there.read(here.mint(page)).tenant_key == "client-1"
    assert here.read(there.mint(page)).tenant_key == "client-1"
