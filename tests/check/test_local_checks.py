"""Checks of what is on this machine: configuration, keys, database, listeners."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from addonkit.app import Deployment
from addonkit.app.deployment import KEY_FILE
from addonkit.app.key_file import KeyFile
from addonkit.app.migrate import enabled_apps, upgrade
from addonkit.check import CheckContext, Result, run_checks
from addonkit.check.context import summarize
from addonkit.check.database import Server, is_remote, judge_server
from addonkit.check.run import LOCAL
from addonkit.database.location import Location, parse_server_url
from addonkit.errors import AddonkitError, SettingsInvalid, StorageUnavailable
from addonkit.settings import read_settings
from addonkit.testing import Host, InstallKeys, databases
from addonkit.testing.databases import database_settings, give_tables

from tests.support.plugin_under_test import addon_of, deployment
from tests.support.public_address import NAME, Authority

KEY = f"first:{'A' * 43}="
PUBLIC = {
    "addon": {"base_url": f"https://{NAME}"},
    "host": {"install_keys": ["https://keys.example.com"], "domains": ["*.atlassian.net"]},
    "security": {"encryption_keys": [KEY]},
}


async def check(name: str, made_of: Deployment) -> Result:
    """The result of one check."""
    return summarize(name, [result async for result in LOCAL[name](CheckContext(made_of))])


def written(directory: Path, text: str) -> Deployment:
    """A deployment of a file that everybody can read."""
    path = directory / "addon.toml"
    path.write_text(
        f'{text}\n[addon]\nkey = "x.y"\nname = "X"\nbase_url = "http://localhost:8000"\nplugins = ["under_test"]\n'
    )
    path.chmod(0o644)
    return Deployment(read_settings(path), directory, path)


SECRETS = {
    f'[security]\nencryption_keys = ["{KEY}"]': "[security] encryption_keys",
    '[database]\nurl = "postgres://me:geheim@h/db"': "[database] url",
    '[database]\nurl = "postgres://me@h/db"\nowner_url = "postgres://o:geheim@h/db"': "[database] owner_url",
    '[operations]\nmetrics_token = "0123456789abcdef"': "[operations] metrics_token",
}


@pytest.mark.parametrize("text", SECRETS)
async def test_configuration_file_with_secrets_is_a_warning_when_all_users_can_read_it(
    tmp_path: Path, text: str
) -> None:
    found = await check("configuration", written(tmp_path, text))
    assert found.state == "warn"
    assert f"every user of this machine can read the file, which contains {SECRETS[text]};" in found.message
    for secret in ("geheim", "AAAA", "0123456789abcdef"):
        assert secret not in found.message


async def test_configuration_file_with_secrets_is_ok_for_its_owner_only(tmp_path: Path) -> None:
    made_of = written(tmp_path, next(iter(SECRETS)))
    (tmp_path / "addon.toml").chmod(0o640)
    assert (await check("configuration", made_of)).state == "ok"


async def test_configuration_file_without_secrets_may_be_readable_by_all(tmp_path: Path) -> None:
    assert (await check("configuration", written(tmp_path, '[database]\nurl = "postgres://me@h/db"'))).state == "ok"


async def test_environment_variables_that_override_the_file_are_listed_without_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADDONKIT_DATABASE__URL", "sqlite://geheim.db")
    found = await check("configuration", written(tmp_path, ""))
    assert found.message.endswith("addon.toml, overridden by ADDONKIT_DATABASE__URL")


async def test_retention_of_zero_days_is_a_warning(tmp_path: Path) -> None:
    found = await check("configuration", written(tmp_path, "[tenants]\nretention_days = 0"))
    assert "retention_days is 0" in found.message


async def test_key_file_that_others_can_read_is_a_warning(tmp_path: Path) -> None:
    made_of = deployment(tmp_path)
    KeyFile(tmp_path / KEY_FILE).keys_or_new()
    assert (await check("keys", made_of)).state == "ok"
    (tmp_path / KEY_FILE).chmod(0o644)
    assert "run 'chmod 600 addonkit.key'" in (await check("keys", made_of)).message


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
    found = await check("keys", deployment(tmp_path, security={"encryption_keys": [key]}))
    assert found.state == "wrong"
    assert f"1 secrets are encrypted with the key 'first', {'but ' if 'id' in why else ''}{why}" in found.message
    assert "addonkit keys rotate --drop-lost first" in found.message


async def test_database_with_pending_migrations_is_a_warning(tmp_path: Path) -> None:
    database_settings(tmp_path)
    found = await check("database", deployment(tmp_path))
    assert found.state == "warn"
    assert "4 migrations pending (addonkit.0001_initial, addonkit.0002_history_and_releases, " in found.message


async def test_database_without_pending_migrations_is_up_to_date(tmp_path: Path) -> None:
    made_of = deployment(tmp_path)
    await give_tables(made_of.location, enabled_apps(made_of))
    found = await check("database", made_of)
    assert found.state == "ok"
    assert found.message.endswith("; up to date")


@pytest.mark.sqlite
async def test_database_file_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="does not exist; make it"):
        await check("database", deployment(tmp_path, database={"url": f"sqlite://{tmp_path}/gone/a.db"}))


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
    await give_tables(made_of.location, enabled_apps(made_of))
    found = await check("database", made_of)
    assert found.state == "ok", found
    assert ", PostgreSQL 1" in found.message
    assert databases.server().password not in found.message


@pytest.mark.postgresql
async def test_row_level_security_without_owner_url_is_a_warning(tmp_path: Path) -> None:
    found = await check("database", on_server(tmp_path, owner_url=None))
    assert "there is no row-level security: set [database] owner_url to the role that owns the tables" in found.message


@pytest.mark.postgresql
async def test_row_level_security_is_seen_by_a_process_without_owner_url(tmp_path: Path) -> None:
    settings = database_settings(tmp_path)
    await upgrade(with_rows(tmp_path, settings))
    blind = with_rows(tmp_path, {"url": settings["url"]})
    assert (await check("database", blind)).state == "ok"
    on_server(tmp_path, "ALTER TABLE issue_panel_item DISABLE ROW LEVEL SECURITY")
    assert "there is no row-level security" in (await check("database", blind)).message


@pytest.mark.postgresql
async def test_row_level_security_without_a_policy_is_a_warning(tmp_path: Path) -> None:
    made_of = with_rows(tmp_path, database_settings(tmp_path))
    await upgrade(made_of)
    on_server(tmp_path, "DROP POLICY addonkit_tenant ON issue_panel_item")
    found = await check("database", made_of)
    assert found.state == "warn"
    assert "row-level security of 'issue_panel_item'" in found.message


@pytest.mark.postgresql
async def test_row_level_security_with_one_role_for_both_urls_is_a_warning(tmp_path: Path) -> None:
    url = database_settings(tmp_path)["owner_url"]
    found = await check("database", on_server(tmp_path, url=url))
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
        found = await check("database", on_server(tmp_path, *OWNED, statement))
    finally:
        on_server(tmp_path, "ALTER ROLE {role} NOSUPERUSER NOBYPASSRLS", "REVOKE {owner} FROM {role}")
    assert found.state == "warn"
    assert ROLES[statement] in found.message
    assert [text in found.message for text in ROLES.values()].count(True) == 1


@pytest.mark.postgresql
@pytest.mark.parametrize(
    ("kind", "is_told"), [("", True), ("AS RESTRICTIVE", False), ("FOR SELECT", True), ("TO {owner}", False)]
)
async def test_policy_that_shows_rows_of_other_tenants_is_a_warning(tmp_path: Path, kind: str, is_told: bool) -> None:
    made_of = with_rows(tmp_path, database_settings(tmp_path))
    await upgrade(made_of)
    on_server(tmp_path, f"CREATE POLICY wide ON issue_panel_item {kind} USING (true)")
    said = (await check("database", made_of)).message
    assert ("show rows of other tenants: 'wide' on 'issue_panel_item'" in said) is is_told


@pytest.mark.postgresql
async def test_role_that_owns_tables_is_a_warning(tmp_path: Path) -> None:
    made = "CREATE TABLE public.mine (id int)", "ALTER TABLE public.mine OWNER TO {role}"
    found = await check("database", on_server(tmp_path, *made))
    assert (
        "owns, or is a member of the owner of, 1 of the tables, for which there is no row-level security"
        in found.message
    )


@pytest.mark.postgresql
async def test_pool_that_is_larger_than_the_server_is_a_warning(tmp_path: Path) -> None:
    settings: dict[str, Any] = {**database_settings(tmp_path), "pool_size": 400}
    found = await check("database", deployment(tmp_path, database=settings))
    assert "pool_size is 400 for each process, but the server accepts " in found.message


@pytest.mark.parametrize(
    ("address", "is_told"), [(None, False), ("127.0.0.1", False), ("::1", False), ("10.0.0.7", True)]
)
async def test_connection_to_a_remote_server_without_encryption_is_a_warning(
    address: str | None, is_told: bool
) -> None:
    there = Server(
        version="18.1",
        connections=100,
        is_super=False,
        bypasses_rls=False,
        owned=0,
        restricted=1,
        unrestricted=(),
        is_exposed=is_remote(address),
    )
    told = [result.message for result in judge_server(Location("postgres://me@h/db"), there)]
    assert any("not encrypted; add 'sslmode=verify-full'" in said for said in told) is is_told


async def test_check_that_fails_itself_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("addonkit.check.database.Vault", None)
    made_of = deployment(tmp_path, security={"encryption_keys": [KEY]})
    found = {one.check: one async for one in run_checks(CheckContext(made_of))}
    assert list(found) == list(LOCAL)
    assert (found["keys"].state, "the check itself failed (TypeError)" in found["keys"].message) == ("wrong", True)


@pytest.mark.postgresql
async def test_role_that_cannot_log_in_is_reported_without_its_password(tmp_path: Path) -> None:
    url = database_settings(tmp_path)["url"].replace("_application:", "_nobody:")
    with pytest.raises(StorageUnavailable) as raised:
        await check("database", on_server(tmp_path, url=url))
    assert "cannot be read" in str(raised.value)
    assert databases.server().password not in str(raised.value)


async def test_postgresql_that_is_down_is_reported_without_its_password(tmp_path: Path) -> None:
    made_of = deployment(tmp_path, database={"url": "postgres://me:geheim@127.0.0.1:9/db", "owner_url": None})
    with pytest.raises(StorageUnavailable, match="cannot be read") as raised:
        await check("database", made_of)
    assert "geheim" not in str(raised.value)


async def listening(directory: Path, *names: str, days: float = 90, **server: str) -> Result:
    """The result for a listener with a certificate for these names."""
    chain, key = Authority(directory).certify(*names, days=days)
    files = {"tls_certificate": str(chain), "tls_key": str(key), **server}
    return await check("listener", deployment(directory, **{**PUBLIC, "server": files}))


@pytest.mark.parametrize("name", [NAME, "*.example.com"])
async def test_listener_certificate_for_the_host_name_is_ok(tmp_path: Path, name: str) -> None:
    found = await listening(tmp_path, "www.example.com", name)
    assert (found.state, found.message) == ("ok", f"HTTPS for www.example.com, {name}")


CERTIFICATES: dict[str, tuple[dict[str, Any], str, str]] = {
    "another name": ({"names": ["*.kit.example.com"]}, "wrong", f"is not for '{NAME}', the name in [addon] base_url"),
    "an end in the past": ({"days": -1}, "wrong", "expired 2 days ago"),
    "an end soon": ({"days": 3.5}, "warn", "expires in 3 days"),
}


@pytest.mark.parametrize("case", CERTIFICATES)
async def test_listener_certificate_faults_are_reported(tmp_path: Path, case: str) -> None:
    changes, state, said = CERTIFICATES[case]
    options = dict(changes)
    found = await listening(tmp_path, *options.pop("names", [NAME]), **options)
    assert found.state == state
    assert said in found.message


async def test_listener_key_that_all_users_can_read_is_a_warning(tmp_path: Path) -> None:
    chain, key = Authority(tmp_path).certify(NAME)
    key.chmod(0o644)
    server = {"tls_certificate": str(chain), "tls_key": str(key)}
    found = await check("listener", deployment(tmp_path, **{**PUBLIC, "server": server}))
    assert f"every user of this machine can read '{key}'" in found.message


async def test_listener_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    _, other = Authority(tmp_path).certify(NAME)
    (tmp_path / "other").mkdir()
    with pytest.raises(AddonkitError, match="the key does not belong to the certificate"):
        await listening(tmp_path / "other", NAME, tls_key=str(other))


@pytest.mark.parametrize(
    ("bind", "is_told"),
    [
        ("0.0.0.0:9100", True),
        ("9.9.9.9:9100", True),
        ("[::]:9100", True),
        ("127.0.0.1:9100", False),
        ("10.0.0.7:9100", False),
        ("[::1]:9100", False),
        ("unix:/run/x.sock", False),
    ],
)
async def test_operations_listener_on_a_public_address_is_a_warning(tmp_path: Path, bind: str, is_told: bool) -> None:
    found = await check("listener", deployment(tmp_path, **PUBLIC, operations={"bind": bind}))
    assert ("where /metrics needs no token" in found.message) is is_told


async def test_access_log_that_records_the_proxy_as_client_is_a_warning(tmp_path: Path) -> None:
    found = await check("listener", deployment(tmp_path, **PUBLIC, log={"access": True}))
    assert "list the proxy in [server] trusted_proxies" in found.message
