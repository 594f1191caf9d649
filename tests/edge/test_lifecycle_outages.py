"""Outages: nothing is acknowledged that is not stored, and the same request is accepted later."""

import sqlite3
from dataclasses import replace

import pytest
from addonkit.edge.install_keys import InstallKeys
from addonkit.testing import Site
from tortoise.connection import get_connection

from tests.support.database_content import database_content

DEAD = "http://127.0.0.1:1"

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_install_while_the_key_host_is_down_can_be_sent_again(wire):
    edge = wire.addon.edge
    newcomer = Site(wire.host.keys, "jira", "http://127.0.0.1:9000")
    token, body = wire.installed(newcomer)
    wire.addon.edge = replace(edge, lifecycle=replace(edge.lifecycle, install_keys=InstallKeys([DEAD])))
    try:
        assert (await wire.send_lifecycle("installed", token, body)).status == 503
    finally:
        wire.addon.edge = edge
    assert await wire.page_status(newcomer) == 401
    assert (await wire.send_lifecycle("installed", token, body)).status == 204


@pytest.mark.parametrize("event", ["installed", "uninstalled", "enabled", "disabled"])
async def test_lifecycle_request_while_the_database_is_down_can_be_sent_again(wire, site, event):
    state = "enabled" if event == "disabled" else "disabled"
    await wire.send_lifecycle(state, *wire.lifecycle_request(site, state))
    made = wire.lifecycle_request(site, event)
    await wire.execute("ALTER TABLE addonkit_tenant RENAME TO away")
    try:
        assert (await wire.send_lifecycle(event, *made)).status == 503
    finally:
        await wire.execute("ALTER TABLE away RENAME TO addonkit_tenant")
    assert (await wire.send_lifecycle(event, *made)).status == 204


@pytest.mark.sqlite  # PostgreSQL has no lock of the whole database
async def test_lifecycle_request_is_not_acknowledged_while_the_database_is_locked(wire, site):
    token, body = wire.installed(site)
    await get_connection("default").execute_query("PRAGMA busy_timeout = 50")
    with sqlite3.connect(wire.addon.deployment.location.path) as other:
        other.execute("BEGIN IMMEDIATE")
        try:
            assert (await wire.send_lifecycle("installed", token, body)).status == 503
        finally:
            other.rollback()
    other.close()
    await get_connection("default").execute_query("PRAGMA busy_timeout = 5000")
    assert (await wire.send_lifecycle("installed", token, body)).status == 204


async def test_page_while_the_database_is_down_is_a_503(wire):
    site = await wire.host.install()
    wire.addon.directory.forget(site.client_key)
    await wire.execute("ALTER TABLE addonkit_tenant RENAME TO away")
    try:
        assert await wire.page_status(site) == 503
    finally:
        await wire.execute("ALTER TABLE away RENAME TO addonkit_tenant")
    assert await wire.page_status(site) == 200


async def test_shared_secret_is_on_disk_and_encrypted_once_acknowledged(wire, site):
    (row,) = wire.rows("SELECT shared_secret FROM addonkit_tenant WHERE client_key=?", site.client_key)
    assert row[0]
    assert site.shared_secret not in row[0]
    assert row[0].encode() in (held := database_content(wire.addon.deployment.directory))
    assert site.shared_secret.encode() not in held
