"""Checks of the database, of PostgreSQL's roles and policies, and of the encryption keys."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from addonkit.app import Deployment
from addonkit.app.deployment import KEY_FILE
from addonkit.app.key_file import KeyFile
from addonkit.app.migrate import enabled_apps, upgrade
from addonkit.check.database import Server, is_remote, judge_server
from addonkit.database.location import Location
from addonkit.database.server_url import parse_server_url
from addonkit.errors import SettingsInvalid, StorageUnavailable
from addonkit.settings import read_settings
from addonkit.tenancy import migrations
from addonkit.testing import Host, InstallKeys, databases
from addonkit.testing.databases import create_tables, database_settings

from tests.support.checks import (
    KEY,
    run_local,
)
from tests.support.plugin_under_test import addon_of, deployment

STEPS = list(Path(migrations.__path__[0]).glob("0*.py"))


async def test_key_file_that_others_can_read_is_a_warning(tmp_path: Path) -> None:
    made_of = deployment(tmp_path)
    KeyFile(tmp_path / KEY_FILE).keys_or_new()
    assert (await run_local("keys", made_of)).state == "ok"
    (tmp_path / KEY_FILE).chmod(0o644)
    assert "run 'chmod 600 addonkit.key'" in (await run_local("keys", made_of)).message


@pytest.mark.parametrize(
    ("key", "why"), [(KEY, "the key with that id is a different one"), (f"other{KEY[5:]}", "which is not available")]
)
async def test_key_that_is_missing_is_wrong_with_the_number_of_its_secrets(tmp_path: Path, key: str, why: str) -> None:
    sealed_with = f"first:{'B' * 43}="
    install_keys = InstallKeys()
    async with install_keys.serve() as url:
        addon = await addon_of(deployment(tmp_path, url, security={"encryption_keys": [sealed_with]}))
        async with Host(addon, install_keys) as host:
            await host.install()
    found = await run_local("keys", deployment(tmp_path, security={"encryption_keys": [key]}))
    assert found.state == "wrong"
    assert f"1 secrets are encrypted with the key 'first', {'but ' if 'id' in why else ''}{why}" in found.message
    assert "addonkit keys rotate --drop-lost first" in found.message


async def test_database_with_pending_migrations_is_a_warning(tmp_path: Path) -> None:
    database_settings(tmp_path)
    found = await run_local("database", deployment(tmp_path))
    assert found.state == "warn"
    assert f"{len(STEPS)} migrations pending (addonkit.0001_initial, addonkit.0002_history_and_" in found.message


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("mode", "is_warned"), [(0o644, True), (0o604, True), (0o666, True), (0o640, False), (0o600, False)]
)
async def test_database_that_every_user_can_read_is_a_warning(tmp_path: Path, mode: int, is_warned: bool) -> None:
    made_of = deployment(tmp_path)
    await create_tables(made_of.location, enabled_apps(made_of))
    os.chmod(made_of.location.path, mode)  # noqa: PTH101 - a Path's methods block
    found = await run_local("database", made_of)
    assert ("every user of this machine can read the database; run 'chmod o= addonkit.db" in found.message) is is_warned


async def test_database_without_pending_migrations_is_up_to_date(tmp_path: Path) -> None:
    made_of = deployment(tmp_path)
    await create_tables(made_of.location, enabled_apps(made_of))
    found = await run_local("database", made_of)
    assert found.state == "ok"
    assert found.message.endswith("; up to date")


@pytest.mark.sqlite
async def test_database_file_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="does not exist; create it"):
        await run_local("database", deployment(tmp_path, database={"url": f"sqlite://{tmp_path}/gone/a.db"}))


def on_server(directory: Path, *statements: str, **changes: str | None) -> Deployment:
    """A deployment on PostgreSQL, after the account that may do everything has run some statements.

    Args:
        directory: Its folder.
        statements: With ``{role}`` for the application's role, ``{owner}`` for that of the tables.
        changes: Of ``[database]``; None takes a key away.
    """
    settings = database_settings(directory)
    server = databases.server()
    name = parse_server_url(settings["url"]).name
    server.execute(*(one.format(role=server.application, owner=server.owner) for one in statements), database=name)
    return deployment(directory, database={**settings, **changes})


def with_rows(directory: Path, database: dict[str, Any]) -> Deployment:
    """A deployment of a plugin that has a table."""
    addon = {"key": "x.y", "name": "X", "base_url": "http://localhost:8000", "plugins": ["issue_panel"]}
    return Deployment(read_settings(None, {"addon": addon, "database": database}), directory)


@pytest.mark.postgresql
async def test_postgresql_is_reported_with_its_version_and_without_a_password(tmp_path: Path) -> None:
    made_of = on_server(tmp_path)
    await create_tables(made_of.location, enabled_apps(made_of))
    found = await run_local("database", made_of)
    assert found.state == "ok", found
    assert ", PostgreSQL 1" in found.message
    assert databases.server().password not in found.message


@pytest.mark.postgresql
async def test_row_level_security_without_owner_url_is_a_warning(tmp_path: Path) -> None:
    found = await run_local("database", on_server(tmp_path, owner_url=None))
    assert "there is no row-level security: set [database] owner_url to the role that owns the tables" in found.message


@pytest.mark.postgresql
async def test_row_level_security_is_seen_by_a_process_without_owner_url(tmp_path: Path) -> None:
    settings = database_settings(tmp_path)
    await upgrade(with_rows(tmp_path, settings))
    blind = with_rows(tmp_path, {"url": settings["url"]})
    assert (await run_local("database", blind)).state == "ok"
    on_server(tmp_path, "ALTER TABLE issue_panel_item DISABLE ROW LEVEL SECURITY")
    assert "there is no row-level security" in (await run_local("database", blind)).message


@pytest.mark.postgresql
async def test_row_level_security_without_a_policy_is_a_warning(tmp_path: Path) -> None:
    made_of = with_rows(tmp_path, database_settings(tmp_path))
    await upgrade(made_of)
    on_server(tmp_path, "DROP POLICY addonkit_tenant ON issue_panel_item")
    found = await run_local("database", made_of)
    assert found.state == "warn"
    assert "row-level security of 'issue_panel_item'" in found.message


@pytest.mark.postgresql
async def test_row_level_security_with_one_role_for_both_urls_is_a_warning(tmp_path: Path) -> None:
    url = database_settings(tmp_path)["owner_url"]
    found = await run_local("database", on_server(tmp_path, url=url))
    assert "url and owner_url log in as the same role" in found.message


ROLES = {
    "ALTER ROLE {role} SUPERUSER": "is a superuser, for whom there is no row-level security",
    "ALTER ROLE {role} BYPASSRLS": "has BYPASSRLS, so there is no row-level security",
    "GRANT {owner} TO {role}": "owns, or is a member of the owner of, 1 of the tables, for which there is no row-level",
}


OWNED = "CREATE TABLE public.owned (id int)", "ALTER TABLE public.owned OWNER TO {owner}"


@pytest.mark.postgresql
@pytest.mark.parametrize("statement", ROLES)
async def test_role_with_too_many_privileges_is_a_warning(tmp_path: Path, statement: str) -> None:
    try:
        found = await run_local("database", on_server(tmp_path, *OWNED, statement))
    finally:
        on_server(tmp_path, "ALTER ROLE {role} NOSUPERUSER NOBYPASSRLS", "REVOKE {owner} FROM {role}")
    assert found.state == "warn"
    assert ROLES[statement] in found.message
    assert [text in found.message for text in ROLES.values()].count(True) == 1


@pytest.mark.postgresql
@pytest.mark.parametrize(
    ("kind", "is_reported"), [("", True), ("AS RESTRICTIVE", False), ("FOR SELECT", True), ("TO {owner}", False)]
)
async def test_policy_that_shows_rows_of_other_tenants_is_a_warning(
    tmp_path: Path, kind: str, is_reported: bool
) -> None:
    made_of = with_rows(tmp_path, database_settings(tmp_path))
    await upgrade(made_of)
    on_server(tmp_path, f"CREATE POLICY wide ON issue_panel_item {kind} USING (true)")
    message = (await run_local("database", made_of)).message
    assert ("show rows of other tenants: 'wide' on 'issue_panel_item'" in message) is is_reported


@pytest.mark.postgresql
async def test_role_that_owns_tables_is_a_warning(tmp_path: Path) -> None:
    made = "CREATE TABLE public.mine (id int)", "ALTER TABLE public.mine OWNER TO {role}"
    found = await run_local("database", on_server(tmp_path, *made))
    assert (
        "owns, or is a member of the owner of, 1 of the tables, for which there is no row-level security"
        in found.message
    )


@pytest.mark.postgresql
async def test_pool_that_is_larger_than_the_server_is_a_warning(tmp_path: Path) -> None:
    settings: dict[str, Any] = {**database_settings(tmp_path), "pool_size": 400}
    found = await run_local("database", deployment(tmp_path, database=settings))
    assert "pool_size is 400 for each process, but the server accepts " in found.message


@pytest.mark.parametrize(
    ("address", "is_reported"), [(None, False), ("127.0.0.1", False), ("::1", False), ("10.0.0.7", True)]
)
async def test_connection_to_a_remote_server_without_encryption_is_a_warning(
    address: str | None, is_reported: bool
) -> None:
    there = server_that_is(is_exposed=is_remote(address))
    messages = [result.message for result in judge_server(Location("postgres://me@h/db"), there)]
    assert any("not encrypted; add 'sslmode=verify-full'" in message for message in messages) is is_reported


@pytest.mark.postgresql
async def test_role_that_cannot_log_in_is_reported_without_its_password(tmp_path: Path) -> None:
    url = database_settings(tmp_path)["url"].replace("_application:", "_nobody:")
    with pytest.raises(StorageUnavailable) as raised:
        await run_local("database", on_server(tmp_path, url=url))
    assert "cannot be read" in str(raised.value)
    assert databases.server().password not in str(raised.value)


async def test_postgresql_that_is_down_is_reported_without_its_password(tmp_path: Path) -> None:
    made_of = deployment(tmp_path, database={"url": "postgres://me:geheim@127.0.0.1:9/db", "owner_url": None})
    with pytest.raises(StorageUnavailable, match="cannot be read") as raised:
        await run_local("database", made_of)
    assert "geheim" not in str(raised.value)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (40.0, "40.0 s ahead of"),
        (-40.0, "40.0 s behind"),
        (5.1, "5.1 s ahead of"),
        (-3600.0, "3600.0 s behind"),
        (4.9, ""),
    ],
)
def test_clock_that_differs_from_the_servers_is_a_warning(seconds: float, text: str) -> None:
    there = server_that_is(clock_difference_s=seconds)
    messages = [result.message for result in judge_server(Location("postgres://me@h/db"), there)]
    found = [message for message in messages if "NTP" in message]
    assert [text in message for message in found] == ([True] if text else [])


ONE, TWO = "postgres://owner@one/db", "postgres://owner@one,two/db"


@pytest.mark.parametrize(
    ("url", "owner_url", "is_reported"),
    [
        ("postgres://me@one,two/db", ONE, True),
        ("postgres://me@/db?host=one,two", ONE, True),
        ("postgres://me@one,two/db", TWO, False),
        ("postgres://me@one/db", TWO, False),
        ("postgres://me@one,two/db", None, False),
        ("postgres://me@one/db", ONE, False),
    ],
)
def test_owner_url_without_the_standby_is_a_warning(url: str, owner_url: str | None, is_reported: bool) -> None:
    messages = [result.message for result in judge_server(Location(url, owner_url), server_that_is())]
    assert any("owner_url one; name all of them" in message for message in messages) is is_reported


@pytest.mark.parametrize("is_read_only", [True, False])
def test_server_that_accepts_no_writes_is_an_error(is_read_only: bool) -> None:
    found = list(judge_server(Location("postgres://me@h/db"), server_that_is(is_read_only=is_read_only)))
    assert [one.message for one in found if one.state == "wrong" and "accepts no writes" in one.message] == (
        [found[0].message] if is_read_only else []
    )


def server_that_is(**faults: Any) -> Server:
    """A server without faults, except for those that are named."""
    sound = Server(
        version="18.1",
        connections=100,
        is_super=False,
        bypasses_rls=False,
        owned=0,
        restricted=1,
        unrestricted=(),
        is_exposed=False,
    )
    return replace(sound, **faults)
