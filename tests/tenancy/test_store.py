"""The tenant store: effects of lifecycle requests on tenants, secrets and jobs."""

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from addonkit.context import TenantState
from addonkit.errors import StorageUnavailable, TenantUnknown, TokenInvalid, VaultLocked
from addonkit.jobs.lifecycle import enqueue_lifecycle_jobs
from addonkit.jobs.models import JobRow
from addonkit.tenancy import installs as installs_module
from addonkit.tenancy import store as store_module
from addonkit.tenancy.models import TenantIdentity, TenantRow, UsedToken
from addonkit.tenancy.record import IdentityKind, Installation, TokenUse
from addonkit.tenancy.store import TenantStore
from addonkit.tenancy.vault import Vault
from addonkit.tenant_data.connection import tenant_database
from addonkit.tenant_data.scope import in_open_transaction
from addonkit.testing.databases import run_sql

from tests.support.database_content import database_content
from tests.support.statements import recorded_statements

VAULT = Vault([("k1", b"k" * 32)])
# when the tests were collected: what shall not expire before they have run lasts longer than all of them
NOW = int(time.time())
FIRST, SECOND = "f" * 40, "s" * 40


@pytest.fixture
async def store(location):
    async with tenant_database(location, {}):
        yield TenantStore(VAULT, enqueue=enqueue_lifecycle_jobs)


def call(secret=FIRST, key="site-1", base_url="https://one.atlassian.net"):
    return Installation(key, "jira", base_url, secret, oauth_client_id="oauth-1")


def use(name, issued_at=NOW, expires_at=NOW + 9000):
    return TokenUse.of(f"head.{name}.signature", issued_at=issued_at, expires_at=expires_at)


async def lifecycle_jobs():
    rows = await JobRow.all().order_by("id")
    return [(row.plugin, row.name.removeprefix("addon_"), '"first":true' in row.facts) for row in rows]


async def test_tenant_is_found_with_its_secret_after_an_install(store):
    tenant = await store.install(call(), use("a"), [])
    record = await store.find(IdentityKind.CLIENT_KEY, "site-1")
    assert (record.tenant, record.secret, record.former_secret) == (tenant, FIRST.encode(), None)
    assert (tenant.state, tenant.base_url, record.oauth_client_id) == (
        TenantState.INSTALLED,
        "https://one.atlassian.net",
        "oauth-1",
    )


async def test_tenant_that_never_installed_is_not_found(store):
    assert await store.find(IdentityKind.CLIENT_KEY, "site-9") is None


async def test_secret_is_not_in_the_database_in_plain_text(store, tmp_path):
    await store.install(call(), use("a"), [])
    assert b"site-1" in (held := database_content(tmp_path))
    assert FIRST.encode() not in held


async def test_installation_repr_has_no_secret():
    record = call()
    assert FIRST not in repr(record)


async def test_record_repr_has_no_secret(store):
    await store.install(call(), use("a"), [])
    await store.install(call(SECOND), use("b"), [])
    shown = repr(await store.find(IdentityKind.CLIENT_KEY, "site-1"))
    assert FIRST not in shown
    assert SECOND not in shown


@pytest.mark.parametrize("kind", [IdentityKind.KEY, IdentityKind.CLIENT_KEY, IdentityKind.CLOUD])
@pytest.mark.parametrize(
    ("name", "asks"),
    [("unknown", True), ("x" * 300, True), ("x" * 301, False), ("a\0b", False), ("\ud800", False), ("a\udfffb", False)],
    ids=["unknown", "longest", "too long", "null", "surrogate", "surrogate within"],
)
async def test_name_that_the_database_cannot_hold_is_unknown_without_a_query(store, kind, name, asks):
    async with recorded_statements() as statements:
        assert await store.find(kind, name) is None
    assert bool(statements) is asks


async def test_find_costs_one_query(store):
    await store.install(call(), use("a"), [])
    async with recorded_statements() as asked:
        await store.find(IdentityKind.CLIENT_KEY, "site-1")
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, None),
        (None, "https://help.example"),
        ("https://help.example", None),
        ("https://help.example", "https://other.example"),
        ("https://help.example", "https://help.example"),
    ],
)
async def test_install_replaces_the_help_center(store, before, after):
    await store.install(replace(call(), help_center_url=before), use("a"), [])
    tenant = await store.install(replace(call(), help_center_url=after), use("b"), [])
    record = await store.find(IdentityKind.CLIENT_KEY, "site-1")
    assert (tenant.help_center_url, record.tenant.help_center_url) == (after, after)


async def test_install_enqueues_a_job_for_each_listener(store):
    await store.install(call(), use("a"), ["issues", "macros"])
    assert await lifecycle_jobs() == [("issues", "installed", True), ("macros", "installed", True)]


async def test_install_job_of_a_second_install_is_not_first(store):
    await store.install(call(), use("a"), [])
    await store.install(call(), use("b"), ["issues"])
    assert await lifecycle_jobs() == [("issues", "installed", False)]


async def test_replay_of_an_install_token_is_refused_and_changes_nothing(store):
    await store.install(call(), use("a"), [])
    with pytest.raises(TokenInvalid, match="used before"):
        await store.install(call(SECOND), use("a"), ["issues"])
    assert (await store.find(IdentityKind.CLIENT_KEY, "site-1")).secret == FIRST.encode()
    assert await lifecycle_jobs() == []


async def test_replay_with_another_encoding_of_the_signature_is_refused(store):
    await store.install(call(), TokenUse.of("head.body.sig-A", issued_at=NOW, expires_at=NOW + 9000), [])
    with pytest.raises(TokenInvalid, match="used before"):
        await store.install(call(), TokenUse.of("head.body.sig-B", issued_at=NOW, expires_at=NOW + 9000), [])


async def test_replay_of_a_token_older_than_the_last_install_is_refused(store):
    await store.install(call(), use("a", NOW), [])
    with pytest.raises(TokenInvalid, match="before the token of"):
        await store.install(call(SECOND), use("b", NOW - 1), [])


async def test_token_of_the_same_second_is_accepted(store):
    await store.install(call(), use("a", NOW), [])
    await store.install(call(SECOND), use("b", NOW), [])
    assert (await store.find(IdentityKind.CLIENT_KEY, "site-1")).secret == SECOND.encode()


async def test_token_that_is_refused_is_not_recorded_as_used(store):
    await store.install(call(), use("a", NOW), [])
    with pytest.raises(TokenInvalid):
        await store.install(call(), use("b", NOW - 1), [])
    assert await UsedToken.all().count() == 1


async def test_former_secret_is_kept_for_five_minutes(store):
    await store.install(call(), use("a"), [])
    await store.install(call(SECOND), use("b"), [])
    record = await store.find(IdentityKind.CLIENT_KEY, "site-1")
    assert (record.secret, record.former_secret) == (SECOND.encode(), FIRST.encode())
    assert 295 < record.former_until - time.time() <= 300


@pytest.mark.parametrize(("later_s", "is_kept"), [(0.0, True), (299.5, True), (300.0, False), (300.5, False)])
async def test_former_secret_ends_five_minutes_after_its_replacement(store, monkeypatch, later_s, is_kept):
    now = float(NOW)
    monkeypatch.setattr(time, "time", lambda: now)
    await store.install(call(), use("a"), [])
    await store.install(call(SECOND), use("b"), [])
    now += later_s
    record = await store.find(IdentityKind.CLIENT_KEY, "site-1")
    assert record.former_secret == (FIRST.encode() if is_kept else None)


async def test_former_secret_expires(store):
    await store.install(call(), use("a"), [])
    await store.install(call(SECOND), use("b"), [])
    await TenantRow.all().update(former_until=time.time() - 1)
    record = await store.find(IdentityKind.CLIENT_KEY, "site-1")
    assert (record.former_secret, record.former_until) == (None, 0.0)


async def test_former_secret_is_not_set_by_the_same_secret(store):
    await store.install(call(), use("a"), [])
    await store.install(call(), use("b"), [])
    assert (await store.find(IdentityKind.CLIENT_KEY, "site-1")).former_secret is None


async def test_tenant_number_stays_when_a_site_is_renamed(store):
    before = await store.install(call(), use("a"), [])
    after = await store.install(call(base_url="https://two.atlassian.net"), use("b"), [])
    assert (after.id, after.base_url) == (before.id, "https://two.atlassian.net")


async def test_install_keeps_an_enabled_tenant_enabled(store):
    await store.install(call(), use("a"), [])
    await store.set_enabled("site-1", True, use("switch-0"), [])
    assert (await store.install(call(SECOND), use("b"), [])).state is TenantState.ENABLED


async def test_install_makes_a_disabled_tenant_installed(store):
    await store.install(call(), use("a"), [])
    await store.set_enabled("site-1", False, use("switch-1"), [])
    assert (await store.install(call(SECOND), use("b"), [])).state is TenantState.INSTALLED


async def test_uninstall_keeps_the_row_and_clears_the_former_secret(store):
    await store.install(call(), use("a"), [])
    await store.install(call(SECOND), use("b"), [])
    assert await store.uninstall("site-1", use("c"), ["issues"]) is True
    record = await store.find(IdentityKind.CLIENT_KEY, "site-1")
    assert (record.tenant.state, record.former_secret) == (TenantState.UNINSTALLED, None)
    assert await lifecycle_jobs() == [("issues", "uninstalled", False)]


async def test_uninstall_changes_nothing_the_second_time(store):
    await store.install(call(), use("a"), [])
    await store.uninstall("site-1", use("b"), [])
    assert await store.uninstall("site-1", use("c"), ["issues"]) is False
    assert await lifecycle_jobs() == []


async def test_replay_of_an_uninstall_token_is_refused_after_a_new_install(store):
    await store.install(call(), use("a"), [])
    await store.uninstall("site-1", use("b"), [])
    await store.install(call(), use("c"), [])
    with pytest.raises(TokenInvalid, match="used before"):
        await store.uninstall("site-1", use("b"), [])


async def test_replay_of_an_install_older_than_an_uninstall_is_refused(store):
    await store.install(call(), use("a", NOW), [])
    await store.uninstall("site-1", use("b", NOW + 2), [])
    with pytest.raises(TokenInvalid, match="before the token of"):
        await store.install(call(), use("c", NOW + 1), [])


async def test_replay_of_an_uninstall_older_than_an_install_is_refused(store):
    await store.install(call(), use("a", NOW), [])
    with pytest.raises(TokenInvalid, match="before the token of"):
        await store.uninstall("site-1", use("b", NOW - 1), ["issues"])
    assert (await store.find(IdentityKind.CLIENT_KEY, "site-1")).tenant.state is TenantState.INSTALLED
    assert await lifecycle_jobs() == []


@pytest.mark.parametrize(("later_s", "expected_s"), [(-5, 0), (0, 0), (1, 1), (60, 60)])
async def test_disable_that_is_repeated_keeps_the_time_of_the_latest(store, later_s, expected_s):
    """Tokens from before that time are refused, except those that enable the site."""
    await store.install(call(), use("a", NOW - 90), [])
    await store.set_enabled("site-1", False, use("b", NOW), [])
    assert await store.set_enabled("site-1", False, use("c", NOW + later_s), []) is False
    assert (await store.find(IdentityKind.CLIENT_KEY, "site-1")).disabled_iat == NOW + expected_s
    assert await store.set_enabled("site-1", True, use("d", NOW + 61), []) is True
    assert (await store.find(IdentityKind.CLIENT_KEY, "site-1")).disabled_iat is None


@pytest.mark.parametrize(("length", "queries"), [(1, 1), (300, 1), (301, 0), (5000, 0)])
async def test_name_of_over_300_characters_is_not_searched_for(store, length, queries):
    async with recorded_statements() as asked:
        assert await store.find(IdentityKind.CLIENT_KEY, "x" * length) is None
    assert len(asked) == queries


async def test_former_secret_is_not_kept_across_an_uninstall(store):
    before = await store.install(call(), use("a"), [])
    await store.uninstall("site-1", use("b"), [])
    after = await store.install(call(SECOND), use("c"), [])
    assert (after.id, after.state) == (before.id, TenantState.INSTALLED)
    assert (await store.find(IdentityKind.CLIENT_KEY, "site-1")).former_secret is None


async def test_uninstall_of_an_unknown_tenant_changes_nothing(store):
    assert await store.uninstall("site-9", use("a"), ["issues"]) is False
    assert await store.find(IdentityKind.CLIENT_KEY, "site-9") is None
    assert await JobRow.all().count() == 0


async def test_replay_of_an_uninstall_of_an_unknown_tenant_is_refused(store):
    await store.uninstall("site-9", use("a"), [])
    with pytest.raises(TokenInvalid):
        await store.uninstall("site-9", use("a"), [])


async def test_enable_of_an_unknown_tenant_is_refused(store):
    with pytest.raises(TenantUnknown):
        await store.set_enabled("site-9", True, use("switch-2"), [])


@pytest.mark.parametrize(("enabled", "state"), [(True, "enabled"), (False, "disabled")])
async def test_enable_and_disable_enqueue_jobs_once(store, enabled, state):
    await store.install(call(), use("a"), [])
    assert await store.set_enabled("site-1", enabled, use("switch-3"), ["issues"]) is True
    assert await store.set_enabled("site-1", enabled, use("switch-4"), ["issues"]) is False
    assert (await store.find(IdentityKind.CLIENT_KEY, "site-1")).tenant.state == state
    assert await lifecycle_jobs() == [("issues", state, False)]


@pytest.mark.parametrize("enabled", [True, False])
async def test_replay_of_an_enable_or_disable_token_is_refused(store, enabled):
    await store.install(call(), use("a"), [])
    await store.set_enabled("site-1", enabled, use("b"), [])
    await store.set_enabled("site-1", not enabled, use("c"), [])
    with pytest.raises(TokenInvalid, match="used before"):
        await store.set_enabled("site-1", enabled, use("b"), ["issues"])
    assert await lifecycle_jobs() == []


async def test_token_that_changed_nothing_is_recorded_as_used(store):
    await store.install(call(), use("a"), [])
    await store.uninstall("site-1", use("b"), [])
    await store.set_enabled("site-1", False, use("c"), [])
    await store.install(call(), use("d"), [])
    with pytest.raises(TokenInvalid, match="used before"):
        await store.set_enabled("site-1", False, use("c"), [])


async def test_disable_accepts_a_token_older_than_the_install(store):
    await store.install(call(), use("a", NOW), [])
    assert await store.set_enabled("site-1", False, use("b", NOW - 9), []) is True


@pytest.mark.parametrize("enabled", [True, False])
async def test_enable_and_disable_do_not_change_an_uninstalled_tenant(store, enabled):
    await store.install(call(), use("a"), [])
    await store.uninstall("site-1", use("b"), [])
    assert await store.set_enabled("site-1", enabled, use("switch-5"), ["issues"]) is False
    assert (await store.find(IdentityKind.CLIENT_KEY, "site-1")).tenant.state is TenantState.UNINSTALLED


async def test_used_tokens_are_deleted_after_their_expiry(store):
    await UsedToken.create(digest="old", expires_at=NOW - 1000)
    await UsedToken.create(digest="just", expires_at=int(time.time()) - 10)
    await store.install(call(), use("a"), [])
    assert "old" not in await UsedToken.all().values_list("digest", flat=True)
    assert await UsedToken.exists(digest="just")


async def test_used_tokens_are_deleted_in_limited_numbers(store):
    await UsedToken.bulk_create([UsedToken(digest=str(number), expires_at=1) for number in range(150)])
    await store.install(call(), use("a"), [])
    assert await UsedToken.all().count() == 51


async def test_install_makes_one_row_of_concurrent_first_installs(store):
    calls = [store.install(call(f"{number:040}"), use(f"t{number}"), ["issues"]) for number in range(8)]
    tenants = await asyncio.gather(*calls)
    assert len({tenant.id for tenant in tenants}) == 1
    assert sum(first for _, _, first in await lifecycle_jobs()) == 1


async def test_replay_protection_accepts_one_of_many_concurrent_uses(store):
    calls = [store.install(call(), use("a"), []) for _ in range(8)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(result, TokenInvalid) for result in results) == 7


@pytest.mark.parametrize("uninstall_first", [True, False])
async def test_disable_and_uninstall_at_once_end_uninstalled(store, uninstall_first):
    await store.install(call(), use("a"), [])
    calls = [store.uninstall("site-1", use("b"), []), store.set_enabled("site-1", False, use("switch-6"), [])]
    await asyncio.gather(*(calls if uninstall_first else reversed(calls)))
    assert (await store.find(IdentityKind.CLIENT_KEY, "site-1")).tenant.state is TenantState.UNINSTALLED


async def test_install_recovers_a_tenant_with_a_lost_key(store):
    other = TenantStore(Vault([("k2", b"x" * 32)]), enqueue=enqueue_lifecycle_jobs)
    await store.install(call(), use("a"), [])
    with pytest.raises(VaultLocked, match="'k1'"):
        await other.find(IdentityKind.CLIENT_KEY, "site-1")
    await other.install(call(SECOND), use("b"), [])
    assert (await other.find(IdentityKind.CLIENT_KEY, "site-1")).secret == SECOND.encode()


async def test_secret_copied_to_another_row_cannot_be_decrypted(store):
    await store.install(call(), use("a"), [])
    await store.install(call(SECOND, key="site-2"), use("b"), [])
    stolen = (await TenantRow.get(client_key="site-1")).shared_secret
    await TenantRow.filter(client_key="site-2").update(shared_secret=stolen)
    with pytest.raises(VaultLocked):
        await store.find(IdentityKind.CLIENT_KEY, "site-2")


async def test_store_reports_a_failing_database(store, tmp_path):
    run_sql(tmp_path, "DROP TABLE addonkit_tenant")
    with pytest.raises(StorageUnavailable, match="the database did not answer"):
        await store.install(call(), use("a"), [])
    assert await UsedToken.all().count() == 0


async def test_install_survives_reopening_the_database(location):
    async with tenant_database(location, {}):
        await TenantStore(VAULT, enqueue=enqueue_lifecycle_jobs).install(call(), use("a"), ["issues"])
    async with tenant_database(location, {}):
        reopened = TenantStore(VAULT, enqueue=enqueue_lifecycle_jobs)
        assert (await reopened.find(IdentityKind.CLIENT_KEY, "site-1")).secret == FIRST.encode()
        assert await lifecycle_jobs() == [("issues", "installed", True)]


async def test_key_check_accepts_the_keys_of_the_stored_secrets(store):
    await store.check_keys()
    await store.install(call(), use("a"), [])
    await store.check_keys()


@pytest.mark.parametrize("keys", [[("k2", b"k" * 32)], [("k1", b"x" * 32)]])
async def test_key_check_refuses_other_keys_than_those_of_the_stored_secrets(store, keys):
    await store.install(call(), use("a"), [])
    with pytest.raises(VaultLocked, match="restore the key file or the entry"):
        await TenantStore(Vault(keys), enqueue=enqueue_lifecycle_jobs).check_keys()


async def test_notification_is_sent_in_the_transaction_of_each_change(store, monkeypatch):
    announced = []

    async def hear(client_key):
        announced.append((client_key, in_open_transaction()))

    for module in (store_module, installs_module):
        monkeypatch.setattr(module, "notify_change", hear)
    await store.install(call(), use("a"), [])
    await store.set_enabled("site-1", True, use("b"), [])
    await store.set_enabled("site-1", True, use("c"), [])
    await store.uninstall("site-1", use("d"), [])
    assert announced == [("site-1", True)] * 3


@pytest.mark.parametrize(("ago", "is_updated"), [(timedelta(hours=23), False), (timedelta(days=2), True)], ids=str)
@pytest.mark.parametrize("event", ["installed", "enabled", "disabled", "uninstalled"])
async def test_lifecycle_request_updates_when_the_client_key_was_last_seen_once_a_day(store, event, ago, is_updated):
    await store.install(call(), use("a"), [])
    before = datetime.now(UTC) - ago
    await TenantIdentity.filter(value="site-1").update(last_seen=before)
    if event == "installed":
        await store.install(call(), use("b"), [])
    elif event == "uninstalled":
        await store.uninstall("site-1", use("b"), [])
    else:
        await store.set_enabled("site-1", event == "enabled", use("b"), [])
    found = await TenantIdentity.get(value="site-1")
    assert (found.last_seen > before + timedelta(hours=1)) is is_updated
