"""Purge hooks of plugins, and the purge of due tenants."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from addonkit.app.deployment import Deployment
from addonkit.app.purge import call_purge_hooks, installed_hooks, purge_due
from addonkit.database.location import Location
from addonkit.settings import read_settings
from addonkit.tenancy.record import IdentityKind
from addonkit.tenant_data.connection import tenant_database
from addonkit.testing.databases import database_settings

from tests.distributions.third_party import third_party_plugins
from tests.support.tenant_rows import InstalledSites
from tests.support.tenants import tenant

TENANT = tenant(1)
ADDON = {"key": "com.example.test", "name": "Test", "base_url": "http://localhost:8000", "plugins": ["issue_panel"]}


async def succeed(tenant):
    assert tenant is TENANT


async def fail(tenant):
    raise LookupError("https://secret.example")


async def test_purge_hooks_that_succeed_give_no_message():
    assert await call_purge_hooks({"a": succeed, "b": succeed}, TENANT) is None


async def test_purge_hooks_are_all_called_and_failures_named():
    message = await call_purge_hooks({"a": fail, "b": succeed, "c": fail}, TENANT)
    assert "plugin 'a' failed in addon_purge (LookupError at tests.app.test_purge:fail:" in message
    assert "plugin 'c' failed" in message
    assert "'b'" not in message
    assert "secret.example" not in message


async def test_purge_hook_has_a_timeout():
    async def hang(tenant):
        await asyncio.Event().wait()

    assert "plugin 'a' failed in addon_purge (TimeoutError" in await call_purge_hooks({"a": hang}, TENANT, 0.01)


async def test_purge_hook_that_cancels_itself_has_failed():
    async def cancel(tenant):
        raise asyncio.CancelledError

    assert "plugin 'a' failed in addon_purge (CancelledError" in await call_purge_hooks({"a": cancel}, TENANT)


async def test_purge_hooks_are_cancelled_with_the_command():
    async def hang(tenant):
        await asyncio.Event().wait()

    calling = asyncio.create_task(call_purge_hooks({"a": hang}, TENANT))
    await asyncio.sleep(0)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling


def test_purge_hooks_include_disabled_plugins_and_skip_broken_ones(tmp_path: Path, monkeypatch):
    monkeypatch.syspath_prepend(str(third_party_plugins()))
    skipped = []
    deployment = Deployment(read_settings(None, {"addon": ADDON}), tmp_path)
    answers = installed_hooks(
        "addon_purge", ["stranger_bare", "stranger_notes", "at_import"], deployment, skipped.append
    )
    assert list(answers) == ["stranger_bare"]
    assert ["at_import" in message for message in skipped] == [True]


async def test_purge_of_due_tenants_needs_no_terminal(location: Location, tmp_path: Path):
    deployment = Deployment(
        read_settings(None, {"addon": ADDON, "database": database_settings(tmp_path, create=False)}), tmp_path
    )
    async with tenant_database(location, {}):
        sites = InstalledSites()
        for key, days in (("site-1", 31), ("site-2", 29), ("site-3", 400)):
            await sites.install(key)
            await sites.uninstall(key, days_ago=days)
        done = await purge_due(deployment)
        assert [(one.tenant.client_key, one.failure) for one in done] == [("site-1", None), ("site-3", None)]
        assert await sites.store.find(IdentityKind.CLIENT_KEY, "site-2") is not None
