"""Row-level security: policies of plugin tables, grants of the application's role, and their restoration."""

import asyncio
import re
from pathlib import Path

import pytest
from addonkit.database import lock
from addonkit.database.location import Location
from addonkit.database.migrate import migrate
from addonkit.database.pending import pending
from addonkit.errors import SettingsInvalid, StorageUnavailable
from addonkit.tenant_data.connection import tenant_database
from addonkit.tenant_data.scope import tenant_scope
from addonkit.testing.databases import run_sql
from tortoise.connection import get_connection
from tortoise.exceptions import OperationalError
from tortoise.transactions import in_transaction

from tests.support.notes import APPS
from tests.support.notes.models import Note
from tests.support.restartable_postgresql import restartable
from tests.support.tenants import tenant

pytestmark = pytest.mark.postgresql

PLUGIN = {"notes_link", "notes_note", "notes_pin", "notes_slug"}
PACKAGES = {"notes": Path(__file__).parent.parent / "support" / "notes"}
PROTECTED_TABLES = "SELECT relname FROM pg_class c JOIN pg_policy p ON p.polrelid = c.oid WHERE relrowsecurity"
RIGHTS_ON_SIDE = """
SELECT has_any_column_privilege($1, 'notes_side', 'SELECT, INSERT, UPDATE')
    OR has_table_privilege($1, 'notes_side', 'DELETE, TRUNCATE')
"""
NOTES_POLICIES = "row-level security of 'notes_link', 'notes_note', 'notes_pin', 'notes_slug'"


def protected_tables(place):
    return {name for (name,) in run_sql(place, PROTECTED_TABLES)}


def access(location):
    return f"access of the role '{location.role}'"


async def test_row_security_is_on_plugin_tables_only(location, tmp_path):
    done = await migrate(location, APPS)
    assert done[-2:] == [NOTES_POLICIES, access(location)]
    assert protected_tables(tmp_path) == PLUGIN
    assert await migrate(location, APPS) == []


async def test_row_security_is_not_pending_without_an_owner_url(location, tmp_path):
    alone = Location(location.owner_url)
    await migrate(alone, APPS)
    assert protected_tables(tmp_path) == set()
    assert pending(alone, PACKAGES) == []


async def test_row_security_is_pending_when_an_owner_url_is_added(location, tmp_path):
    await migrate(Location(location.owner_url), APPS)
    assert pending(location, PACKAGES) == [NOTES_POLICIES, access(location)]
    assert await migrate(location, APPS) == [NOTES_POLICIES, access(location)]
    assert pending(location, PACKAGES) == []
    assert protected_tables(tmp_path) == PLUGIN


@pytest.mark.parametrize(
    ("statement", "result"),
    [
        ("DROP POLICY addonkit_tenant ON notes_pin", "row-level security of 'notes_pin'"),
        ("ALTER TABLE notes_pin DISABLE ROW LEVEL SECURITY", "row-level security of 'notes_pin'"),
        ("ALTER POLICY addonkit_tenant ON notes_pin USING (true)", "row-level security of 'notes_pin'"),
        ("ALTER POLICY addonkit_tenant ON notes_pin WITH CHECK (true)", "row-level security of 'notes_pin'"),
        ("ALTER POLICY addonkit_tenant ON notes_pin TO pg_monitor", "row-level security of 'notes_pin'"),
        ("REVOKE DELETE ON notes_pin FROM {role}", "access of the role '{role}'"),
        ("REVOKE ALL ON SEQUENCE notes_pin_id_seq FROM {role}", "access of the role '{role}'"),
        ("REVOKE SELECT ON tortoise_migrations FROM {role}", "access of the role '{role}'"),
        ("REVOKE INSERT ON addonkit_tenant FROM {role}", "access of the role '{role}'"),
    ],
)
async def test_row_security_is_restored_after_manual_changes(location, tmp_path, statement, result):
    await migrate(location, APPS)
    run_sql(tmp_path, statement.format(role=location.role))
    assert pending(location, PACKAGES) == [result.format(role=location.role)]
    await migrate(location, APPS)
    assert pending(location, PACKAGES) == []
    assert protected_tables(tmp_path) == PLUGIN


async def test_row_security_stays_after_a_plugin_is_uninstalled(location, tmp_path):
    await migrate(location, APPS)
    run_sql(tmp_path, "DROP POLICY addonkit_tenant ON notes_pin")
    assert await migrate(location, {}) == ["row-level security of 'notes_pin'"]
    assert protected_tables(tmp_path) == PLUGIN


async def test_row_security_assigns_a_table_to_the_longest_prefix(location, tmp_path):
    await migrate(location, {})
    run_sql(tmp_path, "INSERT INTO tortoise_migrations (app, name, applied_at) VALUES ('addonkit_x', '0001_a', now())")
    for table in ("addonkit_x_item", "other_item"):
        run_sql(tmp_path, f"CREATE TABLE {table} (tenant_id int)")
        run_sql(tmp_path, f"ALTER TABLE {table} OWNER TO {owner_of(tmp_path)}")
    assert await migrate(location, {}) == ["row-level security of 'addonkit_x_item'", access(location)]
    assert protected_tables(tmp_path) == {"addonkit_x_item"}


def owner_of(place):
    ((owner,),) = run_sql(place, "SELECT tableowner::text FROM pg_tables WHERE tablename = 'addonkit_tenant'")
    return owner


async def test_grants_exclude_a_plugin_table_without_tenant_id(location, tmp_path):
    await migrate(location, APPS)
    run_sql(tmp_path, "CREATE TABLE notes_side (word text)")
    run_sql(tmp_path, f"ALTER TABLE notes_side OWNER TO {owner_of(tmp_path)}")
    assert await migrate(location, APPS) == []
    async with tenant_database(location, APPS):
        with tenant_scope(tenant(1)), pytest.raises(OperationalError, match="permission denied"):
            await get_connection("default").execute_query("SELECT * FROM notes_side")


GRANTS = [
    "GRANT SELECT ON notes_side TO {role}",
    "GRANT DELETE ON notes_side TO {role}",
    "GRANT UPDATE (word) ON notes_side TO {role}",
    "GRANT INSERT ON notes_side TO PUBLIC",
]


@pytest.mark.parametrize("statement", GRANTS)
async def test_grants_on_a_plugin_table_without_tenant_id_are_revoked(location, tmp_path, statement):
    await migrate(location, APPS)
    run_sql(tmp_path, "CREATE TABLE notes_side (word text)")
    run_sql(tmp_path, f"ALTER TABLE notes_side OWNER TO {owner_of(tmp_path)}")
    run_sql(tmp_path, statement.format(role=location.role))
    assert pending(location, PACKAGES) == [access(location)]
    assert await migrate(location, APPS) == [access(location)]
    assert pending(location, PACKAGES) == []
    assert run_sql(tmp_path, RIGHTS_ON_SIDE, location.role) == [(False,)]


async def test_policy_of_another_owner_is_kept(location, tmp_path):
    await migrate(location, APPS)
    run_sql(tmp_path, "CREATE POLICY theirs ON notes_pin USING (true)")
    run_sql(tmp_path, "DROP POLICY addonkit_tenant ON notes_pin")
    assert await migrate(location, APPS) == ["row-level security of 'notes_pin'"]
    policies = run_sql(
        tmp_path, "SELECT polname::text FROM pg_policy WHERE polrelid = 'notes_pin'::regclass ORDER BY 1"
    )
    assert policies == [("addonkit_tenant",), ("theirs",)]


async def test_migration_of_a_locked_table_fails_soon_with_a_remedy(location, tmp_path, monkeypatch):
    await migrate(location, APPS)
    run_sql(tmp_path, "DROP POLICY addonkit_tenant ON notes_pin")
    monkeypatch.setattr(lock, "TABLE_TIMEOUT_S", 0.1)
    async with tenant_database(location, APPS), in_transaction() as reader:
        await reader.execute_query("LOCK TABLE notes_pin IN ACCESS SHARE MODE")
        async with asyncio.timeout(60):
            with pytest.raises(StorageUnavailable, match=r"another session locks a table.*run this again"):
                await migrate(location, APPS)
    assert await migrate(location, APPS) == ["row-level security of 'notes_pin'"]


async def test_migration_sees_rows_of_all_tenants(location, tmp_path):
    await migrate(location, APPS)
    run_sql(tmp_path, "INSERT INTO notes_slug (tenant_id, slug, value) VALUES (1, 'a', ''), (2, 'a', '')")
    async with tenant_database(Location(location.owner_url), APPS):
        assert (await get_connection("default").execute_query("SELECT * FROM notes_slug"))[0] == 2


async def test_owner_url_is_not_needed_to_serve(location, tmp_path):
    await migrate(location, APPS)
    served = Location(location.url)
    assert pending(served, PACKAGES) == []
    async with tenant_database(served, APPS):
        for number in (1, 2):
            with tenant_scope(tenant(number)):
                await Note.create(title=f"of {number}")
        with tenant_scope(tenant(1)):
            rows = await get_connection("default").execute_query_dict("SELECT title FROM notes_note")
        assert [row["title"] for row in rows] == ["of 1"]


async def test_role_of_the_application_cannot_migrate_tables_of_the_owner(location):
    await migrate(location, {})
    with pytest.raises(StorageUnavailable, match=r"permission denied for schema public.*owner_url"):
        await migrate(Location(location.url), APPS)


async def test_role_that_does_not_exist_is_reported(location):
    server = location.owner_url.rpartition("@")[2]
    with pytest.raises(StorageUnavailable, match='role "nobody" does not exist'):
        await migrate(Location(f"postgres://nobody@{server}", location.owner_url), {})
    assert pending(location, {})[0] == "addonkit.0001_initial"


async def test_grants_allow_reading_applied_migrations_only(location):
    steps = [step for step in pending(location, {}) if step.startswith("addonkit.")]
    await migrate(location, {})
    async with tenant_database(Location(location.url), {}):
        connection = get_connection("default")
        assert (await connection.execute_query("SELECT * FROM tortoise_migrations"))[0] == len(steps) > 2
        with pytest.raises(OperationalError, match="permission denied"):
            await connection.execute_query("DELETE FROM tortoise_migrations")


async def test_row_security_is_not_applied_to_a_newer_database(location, tmp_path):
    await migrate(Location(location.owner_url), APPS)
    run_sql(tmp_path, "INSERT INTO tortoise_migrations (app, name, applied_at) VALUES ('notes', '0009_later', now())")
    with pytest.raises(SettingsInvalid, match="newer release"):
        await migrate(location, APPS)
    assert protected_tables(tmp_path) == set()


async def test_roles_of_the_documentation_suffice(tmp_path):
    page = (Path(__file__).parent.parent.parent / "docs" / "database.md").read_text()
    (statements,) = re.findall(r"^```sql\n(CREATE ROLE.*?)^```$", page, re.MULTILINE | re.DOTALL)
    restartable_server = restartable()
    restartable_server.start()
    socket = f"?host={restartable_server.folder}"
    documented = Location(f"postgres://addonkit:x@/addonkit{socket}", f"postgres://addonkit_owner:x@/addonkit{socket}")
    restartable_server.server.execute(*filter(str.strip, statements.split(";")))
    try:
        assert (await migrate(documented, APPS))[-2:] == [NOTES_POLICIES, "access of the role 'addonkit'"]
        async with tenant_database(Location(documented.url), APPS):
            with tenant_scope(tenant(1)):
                await Note.create(title="x")
    finally:
        restartable_server.server.drop("addonkit")
        restartable_server.server.execute("DROP ROLE addonkit", "DROP ROLE addonkit_owner")
