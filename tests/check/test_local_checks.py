"""The doctor looks at what is on this machine: configuration, keys, database, listeners."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from addonkit.app import Deployment
from addonkit.app.deployment import KEY_FILE
from addonkit.app.key_file import KeyFile
from addonkit.app.migrate import enabled_apps, upgrade
from addonkit.check import CheckContext, Finding, run_checks
from addonkit.check.postgresql import Server, is_elsewhere, judged
from addonkit.check.result import summed_up
from addonkit.check.run import HERE
from addonkit.database.location import Location, server_of
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


async def look(look: str, made_of: Deployment) -> Finding:
    """What one look finds."""
    return summed_up(look, [remark async for remark in HERE[look](CheckContext(made_of))])


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
async def test_a_file_with_secrets_that_everybody_can_read_is_told(tmp_path: Path, text: str) -> None:
    found = await look("configuration", written(tmp_path, text))
    assert found.state == "warn"
    assert f"everybody on this machine can read the file, which holds {SECRETS[text]};" in found.said
    for secret in ("geheim", "AAAA", "0123456789abcdef"):
        assert secret not in found.said


async def test_a_file_with_secrets_for_its_owner_alone_is_well(tmp_path: Path) -> None:
    made_of = written(tmp_path, next(iter(SECRETS)))
    (tmp_path / "addon.toml").chmod(0o640)
    assert (await look("configuration", made_of)).state == "ok"


async def test_a_file_without_secrets_may_be_read_by_everybody(tmp_path: Path) -> None:
    assert (await look("configuration", written(tmp_path, '[database]\nurl = "postgres://me@h/db"'))).state == "ok"


async def test_variables_that_win_over_the_file_are_named_and_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADDONKIT_DATABASE__URL", "sqlite://geheim.db")
    found = await look("configuration", written(tmp_path, ""))
    assert found.said.endswith("addon.toml, then ADDONKIT_DATABASE__URL")


async def test_data_that_is_purged_at_once_is_told(tmp_path: Path) -> None:
    found = await look("configuration", written(tmp_path, "[tenants]\nretention_days = 0"))
    assert "retention_days is 0" in found.said


async def test_a_key_file_that_others_can_read_is_told(tmp_path: Path) -> None:
    made_of = deployment(tmp_path)
    KeyFile(tmp_path / KEY_FILE).keys_or_new()
    assert (await look("keys", made_of)).state == "ok"
    (tmp_path / KEY_FILE).chmod(0o644)
    assert "run 'chmod 600 addonkit.key'" in (await look("keys", made_of)).said


@pytest.mark.parametrize(
    ("key", "why"), [(KEY, "the one of that id at hand is another"), (f"other{KEY[5:]}", "which is not at hand")]
)
async def test_secrets_of_a_key_that_is_not_at_hand_are_counted(tmp_path: Path, key: str, why: str) -> None:
    sealed_with = f"first:{'B' * 43}="
    install_keys = InstallKeys()
    async with install_keys.serve() as url:
        addon = await addon_of(deployment(tmp_path, url, security={"encryption_keys": [sealed_with]}))
        async with Host(addon, install_keys) as host:
            await host.install()
    found = await look("keys", deployment(tmp_path, security={"encryption_keys": [key]}))
    assert found.state == "wrong"
    assert f"1 secrets are sealed with the key 'first', {'and ' if 'id' in why else ''}{why}" in found.said
    assert "addonkit keys rotate --drop-lost first" in found.said


async def test_a_database_is_told_what_it_lacks(tmp_path: Path) -> None:
    database_settings(tmp_path)
    found = await look("database", deployment(tmp_path))
    assert found.state == "warn"
    assert "4 steps pending (addonkit.0001_initial, addonkit.0002_history_and_releases, " in found.said


async def test_a_database_that_lacks_nothing_is_up_to_date(tmp_path: Path) -> None:
    made_of = deployment(tmp_path)
    await give_tables(made_of.location, enabled_apps(made_of))
    found = await look("database", made_of)
    assert found.state == "ok"
    assert found.said.endswith("; up to date")


@pytest.mark.sqlite
async def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="does not exist; make it"):
        await look("database", deployment(tmp_path, database={"url": f"sqlite://{tmp_path}/gone/a.db"}))


def on_server(directory: Path, *statements: str, **changes: str | None) -> Deployment:
    """A deployment on PostgreSQL, after the account that may do everything has run some statements.

    Args:
        directory: Its folder.
        statements: With ``{role}`` for the application's role, ``{owner}`` for that of the tables.
        changes: Of ``[database]``; None takes a key away.
    """
    settings = database_settings(directory)
    server = databases.server()
    name = server_of(settings["url"]).name
    server.execute(*(one.format(role=server.application, owner=server.owner) for one in statements), database=name)
    return deployment(directory, database={**settings, **changes})


def with_rows(directory: Path, database: dict[str, Any]) -> Deployment:
    """A deployment of a plugin that has a table."""
    addon = {"key": "x.y", "name": "X", "base_url": "http://localhost:8000", "plugins": ["issue_panel"]}
    return Deployment(read_settings(None, {"addon": addon, "database": database}), directory)


@pytest.mark.postgresql
async def test_a_server_is_told_with_its_version_and_without_a_password(tmp_path: Path) -> None:
    made_of = on_server(tmp_path)
    await give_tables(made_of.location, enabled_apps(made_of))
    found = await look("database", made_of)
    assert found.state == "ok", found
    assert ", PostgreSQL 1" in found.said
    assert databases.server().password not in found.said


@pytest.mark.postgresql
async def test_tables_without_an_owner_of_their_own_are_told(tmp_path: Path) -> None:
    found = await look("database", on_server(tmp_path, owner_url=None))
    assert "there is no row-level security: name the role that owns the tables in [database] owner_url" in found.said


@pytest.mark.postgresql
async def test_a_process_that_does_not_know_the_owner_sees_the_wall_all_the_same(tmp_path: Path) -> None:
    settings = database_settings(tmp_path)
    await upgrade(with_rows(tmp_path, settings))
    blind = with_rows(tmp_path, {"url": settings["url"]})
    assert (await look("database", blind)).state == "ok"
    on_server(tmp_path, "ALTER TABLE issue_panel_item DISABLE ROW LEVEL SECURITY")
    assert "there is no row-level security" in (await look("database", blind)).said


@pytest.mark.postgresql
async def test_a_table_without_its_policy_is_told(tmp_path: Path) -> None:
    made_of = with_rows(tmp_path, database_settings(tmp_path))
    await upgrade(made_of)
    on_server(tmp_path, "DROP POLICY addonkit_tenant ON issue_panel_item")
    found = await look("database", made_of)
    assert found.state == "warn"
    assert "row-level security of 'issue_panel_item'" in found.said


@pytest.mark.postgresql
async def test_one_role_for_both_is_told(tmp_path: Path) -> None:
    url = database_settings(tmp_path)["owner_url"]
    found = await look("database", on_server(tmp_path, url=url))
    assert "url and owner_url log in as the same role" in found.said


ROLES = {
    "ALTER ROLE {role} SUPERUSER": "is a superuser, for whom there is no row-level security",
    "ALTER ROLE {role} BYPASSRLS": "has BYPASSRLS, so that there is no row-level security",
    "GRANT {owner} TO {role}": "owns, or is a member of the owner of, 1 of the tables, for which there is no row-level",
}
OWNED = "CREATE TABLE public.owned (id int)", "ALTER TABLE public.owned OWNER TO {owner}"


@pytest.mark.postgresql
@pytest.mark.parametrize("statement", ROLES)
async def test_a_role_that_may_too_much_is_told(tmp_path: Path, statement: str) -> None:
    try:
        found = await look("database", on_server(tmp_path, *OWNED, statement))
    finally:
        on_server(tmp_path, "ALTER ROLE {role} NOSUPERUSER NOBYPASSRLS", "REVOKE {owner} FROM {role}")
    assert found.state == "warn"
    assert ROLES[statement] in found.said
    assert [text in found.said for text in ROLES.values()].count(True) == 1


@pytest.mark.postgresql
@pytest.mark.parametrize(
    ("kind", "is_told"), [("", True), ("AS RESTRICTIVE", False), ("FOR SELECT", True), ("TO {owner}", False)]
)
async def test_a_policy_that_shows_more_than_ours_is_told(tmp_path: Path, kind: str, is_told: bool) -> None:
    made_of = with_rows(tmp_path, database_settings(tmp_path))
    await upgrade(made_of)
    on_server(tmp_path, f"CREATE POLICY wide ON issue_panel_item {kind} USING (true)")
    said = (await look("database", made_of)).said
    assert ("show rows of other sites: 'wide' on 'issue_panel_item'" in said) is is_told


@pytest.mark.postgresql
async def test_an_application_that_owns_tables_is_told(tmp_path: Path) -> None:
    made = "CREATE TABLE public.mine (id int)", "ALTER TABLE public.mine OWNER TO {role}"
    found = await look("database", on_server(tmp_path, *made))
    assert (
        "owns, or is a member of the owner of, 1 of the tables, for which there is no row-level security" in found.said
    )


@pytest.mark.postgresql
async def test_a_pool_that_is_larger_than_the_server_is_told(tmp_path: Path) -> None:
    settings: dict[str, Any] = {**database_settings(tmp_path), "pool_size": 400}
    found = await look("database", deployment(tmp_path, database=settings))
    assert "pool_size is 400 for each process, and the server takes " in found.said


@pytest.mark.parametrize(
    ("address", "is_told"), [(None, False), ("127.0.0.1", False), ("::1", False), ("10.0.0.7", True)]
)
async def test_a_server_elsewhere_is_spoken_to_encrypted(address: str | None, is_told: bool) -> None:
    there = Server("18.1", 100, False, False, 0, 1, (), is_elsewhere(address))
    told = [remark.said for remark in judged(Location("postgres://me@h/db"), there)]
    assert any("not encrypted; add 'sslmode=verify-full'" in said for said in told) is is_told


async def test_a_look_that_fails_itself_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("addonkit.check.keys.Vault", None)
    made_of = deployment(tmp_path, security={"encryption_keys": [KEY]})
    found = {one.look: one async for one in run_checks(CheckContext(made_of))}
    assert list(found) == list(HERE)
    assert (found["keys"].state, "could not be looked at (TypeError)" in found["keys"].said) == ("wrong", True)


@pytest.mark.postgresql
async def test_a_role_that_is_not_let_in_is_told_without_its_password(tmp_path: Path) -> None:
    url = database_settings(tmp_path)["url"].replace("_application:", "_nobody:")
    with pytest.raises(StorageUnavailable) as raised:
        await look("database", on_server(tmp_path, url=url))
    assert "cannot be read" in str(raised.value)
    assert databases.server().password not in str(raised.value)


async def test_a_server_that_is_away_is_told(tmp_path: Path) -> None:
    made_of = deployment(tmp_path, database={"url": "postgres://me:geheim@127.0.0.1:9/db", "owner_url": None})
    with pytest.raises(StorageUnavailable, match="cannot be read") as raised:
        await look("database", made_of)
    assert "geheim" not in str(raised.value)


async def listening(directory: Path, *names: str, days: float = 90, **server: str) -> Finding:
    """What the doctor says of a listener with a certificate for these names."""
    chain, key = Authority(directory).certify(*names, days=days)
    files = {"tls_certificate": str(chain), "tls_key": str(key), **server}
    return await look("listener", deployment(directory, **{**PUBLIC, "server": files}))


@pytest.mark.parametrize("name", [NAME, "*.example.com"])
async def test_a_certificate_of_our_own_for_our_name_is_well(tmp_path: Path, name: str) -> None:
    found = await listening(tmp_path, "www.example.com", name)
    assert (found.state, found.said) == ("ok", f"HTTPS for www.example.com, {name}")


CERTIFICATES: dict[str, tuple[dict[str, Any], str, str]] = {
    "another name": ({"names": ["*.kit.example.com"]}, "wrong", f"is not for '{NAME}', the name in [addon] base_url"),
    "an end in the past": ({"days": -1}, "wrong", "has ended"),
    "an end soon": ({"days": 3.5}, "warn", "ends in 3 days"),
}


@pytest.mark.parametrize("case", CERTIFICATES)
async def test_a_certificate_of_our_own_is_told_its_faults(tmp_path: Path, case: str) -> None:
    changes, state, said = CERTIFICATES[case]
    options = dict(changes)
    found = await listening(tmp_path, *options.pop("names", [NAME]), **options)
    assert found.state == state
    assert said in found.said


async def test_a_key_that_everybody_can_read_is_told(tmp_path: Path) -> None:
    chain, key = Authority(tmp_path).certify(NAME)
    key.chmod(0o644)
    server = {"tls_certificate": str(chain), "tls_key": str(key)}
    found = await look("listener", deployment(tmp_path, **{**PUBLIC, "server": server}))
    assert f"everybody on this machine can read '{key}'" in found.said


async def test_a_key_of_another_certificate_is_told(tmp_path: Path) -> None:
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
async def test_a_listener_of_operators_that_the_world_reaches_is_told(tmp_path: Path, bind: str, is_told: bool) -> None:
    found = await look("listener", deployment(tmp_path, **PUBLIC, operations={"bind": bind}))
    assert ("where /metrics asks for no token" in found.said) is is_told


async def test_a_log_that_names_the_proxy_for_every_caller_is_told(tmp_path: Path) -> None:
    found = await look("listener", deployment(tmp_path, **PUBLIC, log={"access": True}))
    assert "name the proxy in [server] trusted_proxies" in found.said
