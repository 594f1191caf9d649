"""Deletion of polls with their space, and of those whose page Confluence no longer knows."""

from contextlib import contextmanager
from datetime import timedelta

import pytest
from addonkit.tenancy.models import TenantRow
from addonkit.tenant_data.scope import work_scope
from addonkit.testing import databases
from addonkit_macro import pages
from addonkit_macro.models import Place, Poll

from plugins.macro.tests.conftest import Wiki, key_of

PAGE, COPY = {"id": "98347"}, {"id": "98360"}
SPACE, OTHER_SPACE = {"key": "SHOP", "id": "1"}, {"key": "~557058:9a1c", "id": "2"}
ASKED = "/rest/api/content/*"

# Confluence answers with 500 in one test, and host calls are repeated.
pytestmark = pytest.mark.usefixtures("fast_backoff")


@pytest.fixture
def addonkit_config():
    return {"addon": {"plugins": ["macro"]}, "tenants": {"missing_content_days": 1}}


@pytest.fixture
async def wiki(host):
    return Wiki(host, await host.install(product="confluence"))


@pytest.fixture
async def other_wiki(host, wiki):
    return Wiki(host, await host.install(product="confluence"))


@pytest.fixture
async def scope(addon, wiki):
    """The scope of the plugin's code for the site."""
    with addon.scope():
        tenant = (await TenantRow.get(client_key=wiki.site.client_key)).as_tenant()

    @contextmanager
    def enter():
        with addon.scope(), work_scope(tenant, "macro", background=True):
            yield

    return enter


@pytest.fixture
def check(host, scope):
    """Run the job that asks Confluence, as the daily schedule does."""

    async def run():
        with scope():
            await pages.check_soon()
        await host.settled()

    return run


@pytest.fixture
def pass_time(scope):
    """Move the times of all rows into the past."""

    async def move(**time):
        with scope():
            for place in await Place.all():
                names = [name for name in ("checked_at", "missing_since") if getattr(place, name) is not None]
                moved = {name: getattr(place, name) - timedelta(**time) for name in names}
                await Place.filter(id=place.id).update(**moved)

    return move


@pytest.fixture
def stored(tmp_path):
    """Read the pages that show a poll: content id, space key and whether the page is missing."""

    def read():
        query = "SELECT content_id, space_key, missing_since IS NOT NULL FROM macro_place ORDER BY 1"
        return [(content, space, bool(missing)) for content, space, missing in databases.run_sql(tmp_path, query)]

    return read


@pytest.fixture
async def poll(wiki):
    """The key of a poll that was opened on a page of a space."""
    key = await wiki.make()
    page = await wiki.open(key, content=PAGE, space=SPACE)
    assert (await page.fetch("vote", "PUT", {"choices": [key_of("Tea")]})).status_code == 200
    return key


async def is_there(wiki, poll):
    return "Tea or coffee?" in (await wiki.open(poll, content={})).text


async def test_space_is_stored_with_the_page(poll, stored):
    assert stored() == [("98347", "SHOP", False)]


async def test_space_is_asked_for_if_the_page_does_not_name_it(host, wiki, stored):
    await wiki.open(await wiki.make())
    await host.settled()
    assert stored() == [("98347", "TEST", False)]


async def test_space_follows_a_page_that_has_moved(wiki, poll, stored):
    await wiki.open(poll, content=PAGE, space=OTHER_SPACE)
    assert stored() == [("98347", "~557058:9a1c", False)]


async def test_space_of_old_pages_is_filled_in_by_the_job(host, wiki, scope, check, stored):
    key = await wiki.make()
    with scope():
        poll = await Poll.get(key=key)
        await Place.create(poll_id=poll.id, content_id="98347")
    host.rest.resources.objects[wiki.site.client_key].add({"content.id": "98347", "space.key": "SHOP"})
    await check()
    assert stored() == [("98347", "SHOP", False)]


@pytest.mark.parametrize("key", ["", "x" * 256, "1\0", "🙂", "a b"])
async def test_space_of_an_odd_form_is_no_server_error(wiki, key):
    page = await wiki.open(await wiki.make(), space={"key": key})
    assert page.status in (200, 400)


async def test_polls_of_a_deleted_space_are_deleted(host, wiki, poll, tmp_path):
    await host.fire("space_removed", {"timestamp": 1, "userAccountId": "admin", "space": SPACE}, wiki.site)
    await host.settled()
    for table in ("macro_poll", "macro_place", "macro_option", "macro_vote", "macro_choice"):
        assert databases.run_sql(tmp_path, f"SELECT count(*) FROM {table}") == [(0,)]


async def test_poll_is_kept_for_its_copy_in_another_space(host, wiki, poll, stored):
    await wiki.open(poll, content=COPY, space=OTHER_SPACE)
    await host.fire("space_removed", {"space": SPACE}, wiki.site)
    await host.settled()
    assert stored() == [("98360", "~557058:9a1c", False)]
    assert await is_there(wiki, poll)
    await host.fire("space_removed", {"space": OTHER_SPACE}, wiki.site)
    await host.settled()
    assert not await is_there(wiki, poll)


@pytest.mark.parametrize(
    "body",
    [{}, {"space": {}}, {"space": {"key": ""}}, {"space": OTHER_SPACE}, {"space": {"key": "shop"}}, {"space": "SHOP"}],
    ids=["empty", "no key", "empty key", "another space", "another spelling", "a text"],
)
async def test_event_about_another_space_changes_nothing(host, wiki, poll, body):
    await host.fire("space_removed", body, wiki.site)
    await host.settled()
    assert await is_there(wiki, poll)


async def test_poll_of_another_site_with_the_same_space_is_kept(host, wiki, other_wiki, poll):
    await host.fire("space_removed", {"space": SPACE}, other_wiki.site)
    await host.settled()
    assert await is_there(wiki, poll)


@pytest.mark.parametrize("status", [200, 401, 403, 410, 500])
@pytest.mark.parametrize("path", ["/rest/api/space/*", ASKED])
async def test_event_is_not_believed_unless_confluence_answers_404(host, wiki, poll, path, status):
    host.rest.answer("GET", path, {}, status=status)
    await host.fire("space_removed", {"space": SPACE}, wiki.site)
    await host.settled()
    assert await is_there(wiki, poll)


async def test_poll_is_deleted_after_two_404s_a_day_apart(host, wiki, poll, check, pass_time, stored):
    host.rest.answer("GET", ASKED, {"message": "No content found"}, status=404)
    await pass_time(days=31)
    await check()
    assert stored() == [("98347", "SHOP", True)]
    await pass_time(hours=23)
    await check()
    assert await is_there(wiki, poll)
    await pass_time(hours=2)
    await check()
    assert not await is_there(wiki, poll)


async def test_poll_of_a_page_that_the_add_on_may_not_see_is_kept_while_it_is_opened(
    host, wiki, poll, check, pass_time, stored
):
    host.rest.answer("GET", ASKED, {"message": "No content found"}, status=404)
    for _ in range(3):
        await pass_time(days=31)
        await check()
        assert stored() == [("98347", "SHOP", True)]
        await wiki.open(poll, content=PAGE, space=SPACE)
        assert stored() == [("98347", "SHOP", False)]


async def test_content_in_the_trash_is_asked_for_as_well(host, poll, check, pass_time):
    await pass_time(days=31)
    await check()
    [call] = host.rest.requests_to("GET", ASKED)
    assert call.query == {"status": ["any"], "expand": ["space"]}
