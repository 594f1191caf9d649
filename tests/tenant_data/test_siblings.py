"""The sibling of a tenant: when there is one, and what a plugin can do with it."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from addonkit.context import TenantState
from addonkit.current import Runtime, Work, WorkScope, current_work
from addonkit.database.location import Location
from addonkit.errors import CrossTenantWrite, SiblingForbidden, TenantMissing
from addonkit.jobs.lifecycle import enqueue_lifecycle_jobs
from addonkit.jobs.queue import JobQueue
from addonkit.tenancy.models import TenantRow
from addonkit.tenancy.record import Installation, TokenUse
from addonkit.tenancy.store import TenantStore
from addonkit.tenancy.vault import Vault
from addonkit.tenant_data.connection import tenant_database
from addonkit.tenant_data.scope import current_tenant, tenant_scope, work_scope
from addonkit.tenant_data.siblings import Siblings
from addonkit.testing.databases import create_tables, database_settings
from addonkit.work import NewJob
from tortoise.transactions import in_transaction

from tests.support.notes import APPS
from tests.support.notes.models import Note

SITE, ELSEWHERE = "https://one.atlassian.net", "https://two.atlassian.net"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
VAULT = Vault([("k1", b"k" * 32)])
_numbers = iter(range(10_000))


class Sites:
    """Installs and enables tenants, and gives their siblings as a plugin reads them."""

    def __init__(self, runtime):
        self.store, self.runtime = TenantStore(VAULT, enqueue=enqueue_lifecycle_jobs), runtime

    async def install(self, key, product="jira", base_url=SITE, *, state="enabled", **columns):
        installation = Installation(key, product, base_url, "s" * 40)
        tenant = await self.store.install(installation, use(), [])
        await TenantRow.filter(id=tenant.id).update(state=state, **columns)
        return (await TenantRow.get(id=tenant.id)).as_tenant()

    async def rename(self, key, to=ELSEWHERE):
        """Install a site again at another base URL, and enable it."""
        row = await TenantRow.get(client_key=key)
        path = "/wiki" if row.product == "confluence" else ""
        await self.store.install(Installation(key, row.product, to + path, "s" * 40), use(), [])
        await TenantRow.filter(client_key=key).update(state="enabled")

    async def sibling(self, tenant, plugin="notes"):
        with work_scope(tenant, plugin):
            return await tenant.sibling()


def use():
    now = int(time.time())
    return TokenUse.of(f"head.{next(_numbers)}.signature", issued_at=now, expires_at=now + 180)


@pytest.fixture
async def sites(tmp_path):
    place = Location(**database_settings(tmp_path, create=False))
    await create_tables(place, APPS)
    runtime = Runtime(siblings=Siblings(["notes"]), host_of=lambda tenant, _: tenant, queue=JobQueue())
    async with tenant_database(place, APPS, runtime):
        with WorkScope(Work(runtime)):
            yield Sites(runtime)


@pytest.fixture
async def pair(sites):
    """A Jira and a Confluence tenant of one site, with a row of the plugin each."""
    jira = await sites.install("site-1")
    wiki = await sites.install("site-2", "confluence", f"{SITE}/wiki")
    for tenant in (jira, wiki):
        with tenant_scope(tenant):
            await Note.create(title=f"of {tenant.key}")
    return jira, wiki


async def test_sibling_is_the_tenant_of_the_other_product(sites, pair):
    jira, wiki = pair
    assert [(await sites.sibling(tenant)).key for tenant in pair] == ["site-2", "site-1"]
    found = await sites.sibling(jira)
    assert (found.product, found.base_url, found.display_url) == (wiki.product, wiki.base_url, wiki.display_url)


async def test_sibling_of_a_tenant_without_one_is_none(sites):
    assert await sites.sibling(await sites.install("site-1")) is None


@pytest.mark.parametrize("state", ["installed", "disabled", "uninstalled"])
@pytest.mark.parametrize("which", ["site-1", "site-2"])
async def test_sibling_is_none_unless_both_are_enabled(sites, pair, state, which):
    await TenantRow.filter(client_key=which).update(state=state)
    assert await sites.sibling(pair[0]) is None


@pytest.mark.parametrize("state", ["enabled", "disabled"])
@pytest.mark.parametrize(("product", "path"), [("confluence", "/wiki"), ("jira", "")])
async def test_sibling_is_none_with_two_candidates_on_either_side(sites, pair, state, product, path):
    await sites.install("site-3", product, SITE + path, state=state)
    assert await sites.sibling(pair[0]) is None


async def test_sibling_ignores_uninstalled_candidates(sites, pair):
    await sites.install("site-3", "confluence", f"{SITE}/wiki", state="uninstalled")
    assert (await sites.sibling(pair[0])).key == "site-2"


@pytest.mark.parametrize(
    "base_url",
    [
        "https://two.atlassian.net/wiki",
        "https://one.atlassian.net.evil.example/wiki",
        "https://one.atlassian.net:8443/wiki",
        "http://one.atlassian.net/wiki",
        "https://xone.atlassian.net/wiki",
        "https://one.atlassian/wiki",
        "https://o_e.atlassian.net/wiki",
        "https://xn--ne-fka.atlassian.net/wiki",
    ],
)
async def test_sibling_of_another_host_name_scheme_or_port_is_none(sites, base_url):
    jira = await sites.install("site-1")
    await sites.install("site-2", "confluence", base_url)
    assert await sites.sibling(jira) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://xn--bcher-kva.atlassian.net", "https://XN--BCHER-KVA.atlassian.net/wiki"),
        ("https://ONE.atlassian.net", "https://one.Atlassian.net/wiki"),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000/wiki"),
    ],
)
async def test_sibling_is_found_whatever_the_case_of_the_host_name(sites, one, other):
    jira = await sites.install("site-1", base_url=one)
    await sites.install("site-2", "confluence", other)
    assert (await sites.sibling(jira)).key == "site-2"


async def test_sibling_is_found_by_cloud_id_once_both_are_known(sites):
    jira = await sites.install("site-1", cloud_id="c1")
    await sites.install("site-2", "confluence", "https://renamed.atlassian.net/wiki", cloud_id="c1")
    assert (await sites.sibling(jira)).key == "site-2"


async def test_sibling_with_another_cloud_id_is_none_on_the_same_host(sites):
    jira = await sites.install("site-1", cloud_id="c1")
    await sites.install("site-2", "confluence", f"{SITE}/wiki", cloud_id="c2")
    assert await sites.sibling(jira) is None


async def test_sibling_is_found_after_a_backfill_of_one_of_the_two(sites):
    jira = await sites.install("site-1", cloud_id="c1")
    wiki = await sites.install("site-2", "confluence", f"{SITE}/wiki")
    assert [(await sites.sibling(tenant)).key for tenant in (jira, wiki)] == ["site-2", "site-1"]


async def test_sibling_is_found_by_a_common_installation_after_a_rename(sites):
    jira = await sites.install("site-1", installation_id="ari:1")
    wiki = await sites.install("site-2", "confluence", f"{ELSEWHERE}/wiki", installation_id="ari:1")
    assert [(await sites.sibling(tenant)).key for tenant in (jira, wiki)] == ["site-2", "site-1"]


async def test_sibling_of_another_installation_and_cloud_id_is_none(sites):
    jira = await sites.install("site-1", installation_id="ari:1", cloud_id="c1")
    await sites.install("site-2", "confluence", f"{SITE}/wiki", installation_id="ari:1", cloud_id="c2")
    assert await sites.sibling(jira) is None


@pytest.mark.parametrize("renamed", ["site-1", "site-2"])
async def test_sibling_is_found_while_one_of_the_two_is_renamed(sites, pair, renamed):
    await sites.rename(renamed)
    assert [(await sites.sibling(tenant)).key for tenant in pair] == ["site-2", "site-1"]


async def test_sibling_is_found_once_both_are_renamed(sites, pair):
    await sites.rename("site-1")
    await sites.rename("site-2")
    await TenantRow.all().update(renamed_at=LONG_AGO)
    assert (await sites.sibling(pair[0])).base_url == f"{ELSEWHERE}/wiki"


async def test_sibling_at_the_former_base_url_is_none_after_a_day(sites, pair):
    await sites.rename("site-1")
    await TenantRow.filter(client_key="site-1").update(renamed_at=datetime.now(UTC) - timedelta(hours=25))
    assert [await sites.sibling(tenant) for tenant in pair] == [None, None]


async def test_sibling_that_installed_at_the_former_base_url_after_the_rename_is_none(sites):
    jira = await sites.install("site-1")
    await sites.rename("site-1")
    wiki = await sites.install("site-2", "confluence", f"{SITE}/wiki")
    assert [await sites.sibling(tenant) for tenant in (jira, wiki)] == [None, None]


async def test_sibling_is_ambiguous_while_another_site_has_taken_the_former_base_url(sites, pair):
    await sites.rename("site-1")
    await sites.install("site-3")
    assert [await sites.sibling(tenant) for tenant in pair] == [None, None]


async def test_sibling_that_was_renamed_to_another_base_url_is_none(sites, pair):
    await sites.rename("site-1")
    await sites.rename("site-2", "https://third.atlassian.net")
    assert [await sites.sibling(tenant) for tenant in pair] == [None, None]


async def test_sibling_at_the_base_url_before_an_uninstall_is_none(sites, pair):
    await sites.store.uninstall("site-1", use(), [])
    await sites.rename("site-1")
    assert [await sites.sibling(tenant) for tenant in pair] == [None, None]


async def test_sibling_at_the_former_base_url_with_another_cloud_id_is_none(sites, pair):
    await sites.rename("site-1")
    for number, key in enumerate(("site-1", "site-2")):
        await TenantRow.filter(client_key=key).update(cloud_id=f"c{number}")
    assert await sites.sibling(pair[0]) is None


async def test_sibling_in_another_environment_is_none(sites):
    jira = await sites.install("site-1")
    await sites.install("site-2", "confluence", f"{SITE}/wiki", environment="staging")
    assert await sites.sibling(jira) is None


async def test_sibling_is_refused_to_a_plugin_without_access(sites, pair):
    with pytest.raises(SiblingForbidden, match=r"plugin 'other' .* write Plugin\(…, siblings=True\)"):
        await sites.sibling(pair[0], "other")


async def test_sibling_is_refused_outside_an_add_on(pair):
    with WorkScope(Work()), pytest.raises(SiblingForbidden, match="no add-on runs"):
        await pair[0].sibling()


async def test_sibling_of_a_tenant_that_is_not_current_is_refused(pair):
    jira, wiki = pair
    with work_scope(wiki, "notes"), pytest.raises(SiblingForbidden, match="not the current tenant"):
        await jira.sibling()


async def test_sibling_is_logged_with_both_keys(sites, pair, caplog, capsys):
    await sites.sibling(pair[0])
    logged = capsys.readouterr().out + capsys.readouterr().err + caplog.text
    for word in ("tenant.sibling_read", "site-1", "site-2", "notes"):
        assert word in logged


async def test_sibling_scope_reads_the_rows_of_the_sibling_and_no_others(sites, pair):
    jira, wiki = pair
    with work_scope(jira, "notes"):
        found = await jira.sibling()
        with found.scope() as tenant:
            assert (tenant, current_tenant()) == (wiki, wiki)
            assert [note.title for note in await Note.all()] == ["of site-2"]
        assert current_tenant() == jira
        assert [note.title for note in await Note.all()] == ["of site-1"]


async def test_sibling_scope_calls_the_host_of_the_sibling(pair):
    jira, wiki = pair
    with work_scope(jira, "notes"), (await jira.sibling()).scope() as tenant:
        assert tenant.host == wiki
        assert current_work().plugin == "notes"


async def create():
    await Note.create(title="x")


async def save():
    note = await Note.get()
    note.title = "x"
    await note.save()


async def delete():
    await (await Note.get()).delete()


async def bulk_update():
    await Note.bulk_update([await Note.get()], ["title"])


WRITES = {
    "create": create,
    "save": save,
    "delete": delete,
    "update many": lambda: Note.all().update(title="x"),
    "delete many": lambda: Note.all().delete(),
    "bulk create": lambda: Note.bulk_create([Note(title="x")]),
    "bulk update": bulk_update,
    "get or create": lambda: Note.get_or_create(title="x"),
    "update or create": lambda: Note.update_or_create({"title": "x"}, title="of site-2"),
    "enqueue": lambda: JobQueue().put(NewJob("notes", "later", "job", b"{}")),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
async def test_sibling_scope_refuses_to_write_rows_and_to_enqueue_jobs(pair, write):
    jira, wiki = pair
    with work_scope(jira, "notes"):
        with (await jira.sibling()).scope():
            with pytest.raises(SiblingForbidden, match="read-only"):
                await write()
            assert [note.title for note in await Note.all()] == ["of site-2"]
        await Note.create(title="mine again")
    with tenant_scope(wiki):
        assert [note.title for note in await Note.all()] == ["of site-2"]


async def test_sibling_row_cannot_be_written_after_its_scope(pair):
    jira, _ = pair
    with work_scope(jira, "notes"):
        with (await jira.sibling()).scope():
            note = await Note.get()
        with pytest.raises(CrossTenantWrite):
            await note.save()


async def test_sibling_scope_is_refused_inside_a_transaction_of_the_tenant(pair):
    jira, _ = pair
    with work_scope(jira, "notes"):
        found = await jira.sibling()
        async with in_transaction():
            with pytest.raises(TenantMissing), found.scope():
                pass
        with found.scope():
            async with in_transaction():
                assert [note.title for note in await Note.all()] == ["of site-2"]


async def test_sibling_scope_does_not_lead_on_to_another_sibling(pair):
    jira, _ = pair
    with work_scope(jira, "notes"):
        found = await jira.sibling()
        with found.scope() as tenant:
            with pytest.raises(SiblingForbidden):
                await tenant.sibling()
            with pytest.raises(SiblingForbidden), found.scope():
                pass


async def test_sibling_kept_for_later_opens_no_scope_in_another_tenants_work(sites, pair):
    jira, _ = pair
    other = await sites.install("site-3", base_url="https://other.atlassian.net")
    with work_scope(jira, "notes"):
        found = await jira.sibling()
    with work_scope(other, "notes"), pytest.raises(SiblingForbidden), found.scope():
        pass
    assert other.state is TenantState.ENABLED


async def test_sibling_scope_shows_no_rows_of_a_third_tenant(sites, pair):
    jira, _ = pair
    other = await sites.install("site-3", base_url="https://other.atlassian.net")
    with tenant_scope(other):
        third = await Note.create(title="of site-3")
    with work_scope(jira, "notes"), (await jira.sibling()).scope():
        assert await Note.get_or_none(id=third.id) is None
