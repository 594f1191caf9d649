"""Names by which the host identifies tenants, what happens when they disagree, and tenants without a secret."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from addonkit.context import TenantState
from addonkit.errors import AddonkitError, ClientKeyMissing, IdentityConflict
from addonkit.jobs.lifecycle import enqueue_lifecycle_jobs
from addonkit.tenancy import installs
from addonkit.tenancy.directory import Directory
from addonkit.tenancy.history import history_of
from addonkit.tenancy.identities import (
    identities_of,
    is_former_installation,
    move_identities,
    record_identity,
    retire_identity,
)
from addonkit.tenancy.models import PresenceRow, TenantIdentity, TenantRow
from addonkit.tenancy.record import IdentityKind, Installation, TokenUse
from addonkit.tenancy.store import TenantStore
from addonkit.tenancy.vault import Vault
from addonkit.tenant_data.connection import tenant_database
from tortoise.transactions import in_transaction

from tests.support.statements import recorded_statements
from tests.support.tenant_rows import InstalledSites

VAULT = Vault([("k1", b"k" * 32)])
NOW = int(time.time())
KEY, CLIENT_KEY, CLOUD, INSTALLATION = IdentityKind
HOME = "https://one.atlassian.net"


@pytest.fixture
async def store(location):
    async with tenant_database(location, {}):
        yield TenantStore(VAULT, enqueue=enqueue_lifecycle_jobs)


def use(name):
    return TokenUse.of(f"head.{name}.signature", issued_at=NOW, expires_at=NOW + 9000)


_uses = iter(range(10_000))


async def install(
    store,
    key="site-1",
    installation=None,
    product="jira",
    *,
    base_url=HOME,
    secret="s" * 40,
    on_lost_key=lambda _: None,
):
    site = Installation(key, product, base_url, secret, installation_id=installation)
    return await store.install(site, use(next(_uses)), [], on_lost_key=on_lost_key)


async def born_elsewhere(**changes):
    """Store a tenant that did not install through Connect, as a later release will."""
    values = {
        "key": "forge:jira:c0ffee",
        "cloud_id": "c0ffee",
        "product": "jira",
        "base_url": "https://one.atlassian.net",
        "display_url": "https://one.atlassian.net",
        "state": "enabled",
        "installed_iat": 0,
    }
    row = await TenantRow.create(**(values | changes))
    now = datetime.now(UTC)
    for kind, value in (("cloud", "jira:c0ffee"), ("installation", "jira:ari:9")):
        await TenantIdentity.create(
            tenant_id=row.id, kind=kind, value=value, environment="production", first_seen=now, last_seen=now
        )
    return row


async def live(tenant_id):
    return [(one.kind, one.value) for one in await identities_of(tenant_id) if one.retired_at is None]


async def retired(tenant_id):
    return [(one.kind, one.value) for one in await identities_of(tenant_id) if one.retired_at is not None]


async def test_key_of_a_connect_tenant_is_its_client_key(store):
    tenant = await install(store)
    assert (tenant.key, tenant.client_key) == ("site-1", "site-1")
    assert (await TenantRow.get(id=tenant.id)).key == "site-1"


async def test_install_records_client_key_and_installation(store):
    tenant = await install(store, installation="ari:1")
    assert await live(tenant.id) == [("client_key", "site-1"), ("installation", "jira:ari:1")]


async def test_install_without_an_installation_id_records_the_client_key_alone(store):
    assert await live((await install(store)).id) == [("client_key", "site-1")]


async def test_installation_of_both_products_names_two_tenants(store):
    jira = await install(store, "site-1", "ari:1")
    wiki = await install(store, "site-2", "ari:1", "confluence")
    assert jira.id != wiki.id
    assert await live(wiki.id) == [("client_key", "site-2"), ("installation", "confluence:ari:1")]


async def test_reinstall_with_another_installation_retires_the_former_one(store):
    tenant = await install(store, installation="ari:1")
    assert (await install(store, installation="ari:2")).id == tenant.id
    assert await live(tenant.id) == [("client_key", "site-1"), ("installation", "jira:ari:2")]
    assert await retired(tenant.id) == [("installation", "jira:ari:1")]


async def test_retired_installation_does_not_block_the_next_tenant(store):
    first = await install(store, installation="ari:1")
    await install(store, installation="ari:2")
    second = await install(store, "site-2", "ari:1")
    assert await live(second.id) == [("installation", "jira:ari:1"), ("client_key", "site-2")]
    assert await live(first.id) == [("client_key", "site-1"), ("installation", "jira:ari:2")]


async def test_new_client_key_of_an_installation_at_its_base_url_attaches_to_its_tenant(store):
    first, lost = await install(store, "site-1", "ari:1"), []
    second = await install(store, "site-2", "ari:1", on_lost_key=lost.append)
    assert (second.id, second.key, second.client_key, lost) == (first.id, "site-2", "site-2", ["site-1"])
    assert await live(first.id) == [("installation", "jira:ari:1"), ("client_key", "site-2")]
    assert await retired(first.id) == [("client_key", "site-1")]
    entry = next(entry for entry in await history_of(first.id) if entry.what == "client key changed")
    assert (entry.detail, entry.key) == ("was 'site-1'", "site-2")


async def test_new_client_key_of_an_installation_has_its_own_secret_and_the_former_key_none(store):
    await install(store, "site-1", "ari:1", secret="a" * 40)
    await install(store, "site-2", "ari:1", secret="b" * 40)
    record = await store.find(CLIENT_KEY, "site-2")
    assert (record.secret, record.former_secret) == (b"b" * 40, None)
    assert await store.find(CLIENT_KEY, "site-1") is None
    assert await store.find(KEY, "site-1") is None


async def test_former_client_key_can_return_with_its_installation(store):
    first = await install(store, "site-1", "ari:1")
    await install(store, "site-2", "ari:1")
    assert (await install(store, "site-1", "ari:1")).id == first.id
    assert ("client_key", "site-1") in await live(first.id)
    assert await store.find(CLIENT_KEY, "site-2") is None


async def test_former_client_key_without_its_installation_is_a_new_tenant(store):
    first = await install(store, "site-1", "ari:1")
    await install(store, "site-2", "ari:1")
    again = await install(store, "site-1")
    assert again.id != first.id
    assert (await store.find(CLIENT_KEY, "site-1")).secret == b"s" * 40
    assert (await store.find(CLIENT_KEY, "site-2")).tenant.id == first.id


async def test_new_client_key_and_base_url_of_an_installation_are_refused_with_the_commands(store):
    first = await install(store, "site-1", "ari:1")
    before = await identities_of()
    number = next(one.id for one in before if one.kind == "installation")
    with pytest.raises(IdentityConflict) as refused:
        await install(store, "site-2", "ari:1", base_url="https://two.atlassian.net")
    message = str(refused.value)
    assert f"names tenant {first.id} ('site-1' at 'https://one.atlassian.net')" in message
    assert f"'addonkit tenants identities {first.id} --retire {number}'" in message
    assert f"'addonkit tenants adopt NEW --from {first.id} --despite base-url'" in message
    assert (await identities_of(), await TenantRow.all().count()) == (before, 1)
    await retire_identity(first.id, number)
    assert (await install(store, "site-2", "ari:1", base_url="https://two.atlassian.net")).id != first.id


@pytest.mark.parametrize(
    ("product", "installation"), [("confluence", "ari:1"), ("jira", "ari:2"), ("jira", None), ("jira", "ARI:1")]
)
async def test_new_client_key_without_the_installation_of_a_tenant_is_a_new_tenant(store, product, installation):
    first = await install(store, "site-1", "ari:1")
    assert (await install(store, "site-2", installation, product)).id != first.id
    assert await live(first.id) == [("client_key", "site-1"), ("installation", "jira:ari:1")]


async def test_client_key_and_installation_of_two_tenants_are_refused_with_both_and_the_commands(store):
    first = await install(store, "site-1", "ari:1")
    second = await install(store, "site-2")
    before = await identities_of()
    number = next(one.id for one in before if one.kind == "installation")
    with pytest.raises(IdentityConflict) as refused:
        await install(store, "site-2", "ari:1")
    assert refused.value.status == 409
    message = str(refused.value)
    assert f"names tenant {first.id} ('site-1')" in message
    assert f"names tenant {second.id}" in message
    assert f"'addonkit tenants adopt {second.id} --from {first.id}'" in message
    assert f"'addonkit tenants identities {first.id} --retire {number}'" in message
    assert await identities_of() == before
    assert await TenantRow.all().count() == 2


async def test_conflict_is_over_once_the_identity_is_retired(store):
    first = await install(store, "site-1", "ari:1")
    second = await install(store, "site-2")
    number = next(one.id for one in await identities_of(first.id) if one.kind == "installation")
    await retire_identity(first.id, number)
    await install(store, "site-2", "ari:1")
    assert ("installation", "jira:ari:1") in await live(second.id)
    assert [entry.what for entry in await history_of(first.id)][-1] == "identity retired"


async def test_retire_refuses_a_client_key_a_foreign_identity_and_a_second_time(store):
    first = await install(store, "site-1", "ari:1")
    second = await install(store, "site-2")
    client_key, installation = await identities_of(first.id)
    with pytest.raises(AddonkitError, match="is the client key of tenant"):
        await retire_identity(first.id, client_key.id)
    with pytest.raises(AddonkitError, match="has no identity"):
        await retire_identity(second.id, installation.id)
    await retire_identity(first.id, installation.id)
    with pytest.raises(AddonkitError, match="retired already"):
        await retire_identity(first.id, installation.id)


async def test_last_seen_is_written_at_most_once_a_day(store):
    tenant = await install(store, installation="ari:1")
    before = [one.last_seen for one in await identities_of(tenant.id)]
    await install(store, installation="ari:1")
    await store.set_enabled("site-1", True, use("a"), [])
    assert [one.last_seen for one in await identities_of(tenant.id)] == before
    past = datetime.now(UTC) - timedelta(days=2)
    await TenantIdentity.all().update(last_seen=past, first_seen=past)
    await store.set_enabled("site-1", False, use("b"), [])
    seen = {one.kind: one for one in await identities_of(tenant.id)}
    assert seen["client_key"].last_seen > past
    assert seen["installation"].last_seen == past
    await install(store, installation="ari:1")
    seen = {one.kind: one for one in await identities_of(tenant.id)}
    assert seen["installation"].last_seen > past
    assert seen["installation"].first_seen == past


async def test_client_key_of_a_tenant_without_one_raises_a_sentence_that_names_key(store):
    tenant = (await born_elsewhere()).as_tenant()
    assert tenant.key == "forge:jira:c0ffee"
    with pytest.raises(ClientKeyMissing, match=r"has no client key; use tenant\.key, which every tenant has"):
        _ = tenant.client_key


async def test_install_gives_its_client_key_to_the_tenant_that_its_installation_names(store):
    row = await born_elsewhere()
    tenant = await install(store, "site-1", "ari:9")
    assert (tenant.id, tenant.key, tenant.client_key) == (row.id, "forge:jira:c0ffee", "site-1")
    assert (await store.find(CLIENT_KEY, "site-1")).secret == b"s" * 40
    assert ("client_key", "site-1") in await live(row.id)


@pytest.mark.parametrize(
    ("kind", "value"), [(KEY, "forge:jira:c0ffee"), (CLOUD, "jira:c0ffee"), (INSTALLATION, "jira:ari:9")]
)
async def test_tenant_is_found_by_each_of_its_names_in_one_query(store, kind, value):
    row = await born_elsewhere()
    async with recorded_statements() as statements:
        record = await store.find(kind, value)
    assert (record.tenant.id, len(statements)) == (row.id, 1)


@pytest.mark.parametrize("kind", [CLIENT_KEY, CLOUD, INSTALLATION])
async def test_key_of_a_tenant_is_no_name_of_another_kind(store, kind):
    await born_elsewhere()
    directory = Directory(store)
    assert await directory.get(KEY, "forge:jira:c0ffee") is not None
    assert await directory.get(kind, "forge:jira:c0ffee") is None
    assert await store.find(kind, "forge:jira:c0ffee") is None


async def test_retired_name_and_other_environment_are_not_found(store):
    row = await born_elsewhere()
    assert await store.find(CLOUD, "jira:c0ffee", environment="staging") is None
    number = next(one.id for one in await identities_of(row.id) if one.kind == "cloud")
    await retire_identity(row.id, number)
    assert await store.find(CLOUD, "jira:c0ffee") is None


async def test_tenant_without_a_secret_is_found_without_one(store):
    await born_elsewhere()
    record = await store.find(KEY, "forge:jira:c0ffee")
    assert (record.secret, record.former_secret) == (None, None)


async def test_former_secret_of_a_tenant_without_a_secret_is_not_given(store):
    await install(store)
    await TenantRow.all().update(former_secret="v1.k1.AAAA", former_until=time.time() + 99, shared_secret=None)
    record = await store.find(CLIENT_KEY, "site-1")
    assert (record.secret, record.former_secret) == (None, None)


async def test_directory_finds_a_tenant_in_memory_by_key_client_key_and_identity(store):
    row = await born_elsewhere()
    await install(store, "site-1", "ari:9")
    directory = Directory(store)
    found = [await directory.get(kind, value) for kind, value in names()]
    assert {record.tenant.id for record in found} == {row.id}
    assert [directory.get_cached(kind, value) for kind, value in names()] == [found[-1]] * 4
    assert len(directory) == 1


@pytest.mark.parametrize("forgotten", ["forge:jira:c0ffee", "site-1"])
async def test_directory_forgets_a_tenant_by_all_of_its_names(store, forgotten):
    await born_elsewhere()
    await install(store, "site-1", "ari:9")
    directory, keys = Directory(store), []
    directory.subscribe(keys.append)
    for kind, value in names():
        await directory.get(kind, value)
    directory.forget(forgotten)
    assert [directory.get_cached(kind, value) for kind, value in names()] == [None] * 4
    assert keys == ["forge:jira:c0ffee"]


async def test_directory_forgets_a_tenant_by_the_client_key_that_it_has_lost(store):
    first = await install(store, "site-1", "ari:1")
    directory = Directory(store)
    assert (await directory.get(CLIENT_KEY, "site-1")).tenant.id == first.id
    await install(store, "site-2", "ari:1", on_lost_key=directory.forget)
    assert directory.get_cached(CLIENT_KEY, "site-1") is None
    assert await directory.get(CLIENT_KEY, "site-1") is None
    assert (await directory.get(INSTALLATION, "jira:ari:1")).tenant.key == "site-2"


async def test_session_key_and_client_key_of_a_connect_tenant_share_one_entry(store):
    await install(store)
    directory = Directory(store)
    record = await directory.get(CLIENT_KEY, "site-1")
    async with recorded_statements() as statements:
        assert await directory.get(KEY, "site-1") is record
    assert (statements, len(directory)) == ([], 1)


async def test_uninstalled_tenant_keeps_its_identities(store):
    tenant = await install(store, installation="ari:1")
    await store.uninstall("site-1", use("c"), [])
    assert len(await live(tenant.id)) == 2
    again = await install(store, installation="ari:1")
    assert (again.id, again.state) == (tenant.id, TenantState.ENABLED)


def names():
    return [
        (KEY, "forge:jira:c0ffee"),
        (CLOUD, "jira:c0ffee"),
        (INSTALLATION, "jira:ari:9"),
        (CLIENT_KEY, "site-1"),
    ]


@pytest.mark.parametrize("with_cloud", [False, True], ids=["without a cloud id", "with a cloud id"])
async def test_moved_identities_replace_the_live_ones_of_the_same_kinds(location, with_cloud):
    async with tenant_database(location, {}):
        sites = InstalledSites()
        for key, installation in (("old", "i-old"), ("new", "i-new")):
            await sites.install(key, f"https://{key}.atlassian.net", installation_id=installation)
        old, new = [await TenantRow.get(client_key=key) for key in ("old", "new")]
        now = datetime.now(UTC)
        for row in (old, new) if with_cloud else (old,):
            row.cloud_id = f"cloud-{row.client_key}"
            await row.save()
            await record_identity(row, IdentityKind.CLOUD, row.cloud_id, now)
        async with in_transaction():
            await move_identities(new, old)
        found = {(one.kind, one.value): one.retired_at is None for one in await TenantIdentity.filter(tenant_id=old.id)}
        live = {value for (_, value), is_live in found.items() if is_live}
        assert await TenantIdentity.filter(tenant_id=new.id).count() == 0
        installations = {value for kind, value in found if kind == IdentityKind.INSTALLATION}
        assert len(installations) == 2
        replaced = {"old", *(one for one in installations if "i-old" in one), *(["cloud-old"] if with_cloud else [])}
        assert live == {value for _, value in found} - replaced


@pytest.mark.parametrize(
    ("key", "installation", "notified"),
    [("site-1", "ari:1", ["site-1"]), ("site-2", "ari:1", ["site-1", "site-2"]), ("site-2", None, ["site-2"])],
    ids=["same", "another client key", "another tenant"],
)
async def test_install_notifies_the_processes_of_the_client_key_that_is_lost_too(
    store, monkeypatch, key, installation, notified
):
    keys = []

    async def notify(key):
        keys.append(key)

    await install(store, "site-1", "ari:1")
    monkeypatch.setattr(installs, "notify_change", notify)
    await install(store, key, installation)
    assert keys == notified


@pytest.mark.parametrize(
    ("stored", "asked", "is_former"),
    [
        (["ari:1"], "ari:1", False),
        (["ari:1", "ari:2"], "ari:1", True),
        (["ari:1", "ari:2"], "ari:2", False),
        (["ari:1", "ari:2"], "ari:3", False),
        (["ari:1", "ari:2", "ari:1"], "ari:2", True),
        ([None], "ari:1", False),
    ],
    ids=str,
)
async def test_installation_is_a_former_one_once_another_has_replaced_it(store, stored, asked, is_former):
    for installation in stored:
        tenant = await install(store, installation=installation)
    row = await TenantRow.get(id=tenant.id)
    assert await is_former_installation(row, asked) == is_former
    assert await store.uninstall("site-1", use(next(_uses)), [], asked) == (not is_former)


TWO = "https://two.atlassian.net"


@pytest.mark.parametrize("state", ["installed", "enabled", "disabled", "uninstalled"])
@pytest.mark.parametrize(("base_url", "is_renamed"), [(HOME, False), (TWO, True), (f"{HOME}/wiki", True)])
async def test_former_base_url_of_an_installed_site_is_kept_for_its_sibling(store, state, base_url, is_renamed):
    tenant = await install(store)
    await TenantRow.all().update(state=state)
    await install(store, base_url=base_url)
    row = await TenantRow.get(id=tenant.id)
    was_there = is_renamed and state != "uninstalled"
    assert (row.base_url, row.former_base_url) == (base_url, HOME if was_there else None)
    assert (row.renamed_at is not None) == was_there


async def test_new_site_has_no_former_base_url(store):
    row = await TenantRow.get(id=(await install(store)).id)
    assert (row.former_base_url, row.renamed_at) == (None, None)


@pytest.mark.parametrize("event", ["installed", "uninstalled"])
async def test_lifecycle_request_clears_the_evidence_that_its_site_is_gone(store, event):
    tenant = await install(store)
    await PresenceRow.create(tenant_id=tenant.id, next_at=1.0, is_failing=True, failed_days=3, failed_since=1.0)
    if event == "installed":
        await install(store)
    else:
        await store.uninstall("site-1", use(next(_uses)), [])
    row = await PresenceRow.get()
    assert (row.is_failing, row.failed_days, row.failed_since) == (False, 0, None)


async def test_install_clears_the_marks_of_scopes_that_were_not_approved(store):
    tenant = await install(store)
    await TenantRow.all().update(unapproved_scopes="READ WRITE", unapproved_at=5)
    await install(store)
    row = await TenantRow.get(id=tenant.id)
    assert (row.unapproved_scopes, row.unapproved_at) == (None, None)
    assert [entry.detail for entry in await history_of(tenant.id) if entry.what == "scopes approved"] == ["READ, WRITE"]
