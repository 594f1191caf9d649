"""Deletion of checklists with their project, and of those whose issue Jira no longer knows."""

import asyncio
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from addonkit.extension import stored_content
from addonkit.tenancy.models import TenantRow
from addonkit.tenant_data.scope import work_scope
from addonkit.testing import Reply, databases
from addonkit_issue_panel import issues
from addonkit_issue_panel.models import Item

ISSUE, OTHER_ISSUE = {"id": "10001", "key": "AB-1"}, {"id": "10002", "key": "AB-2"}
PROJECT, OTHER_PROJECT = {"id": "10000", "key": "AB"}, {"id": "20000", "key": "CD"}
ASKED = "/rest/api/3/issue/*"
MYSELF = "/rest/api/3/myself"

# Jira answers with 5xx in some tests, and host calls are repeated.
pytestmark = pytest.mark.usefixtures("fast_backoff")


@pytest.fixture(params=[1])
def days(request):
    """`[tenants] missing_content_days`."""
    return request.param


@pytest.fixture
def addonkit_config(days):
    return {"addon": {"plugins": ["issue_panel"]}, "tenants": {"missing_content_days": days}}


@pytest.fixture
def open_list(host):
    """Open the checklist of an issue."""

    async def open_it(issue=ISSUE, **options):
        return await host.open("issue-panel-panel", issue=issue, **options)

    return open_it


@pytest.fixture
async def page(open_list):
    """The checklist of the first issue."""
    return await open_list()


@pytest.fixture
def add():
    """Add items to a page's list."""

    async def add_them(page, *texts):
        for text in texts:
            response = await page.fetch("items", method="POST", json={"text": text})
            assert response.status_code == 201, response.text

    return add_them


@pytest.fixture
def scope(addon, host):
    """The scope of the plugin's code for one site."""

    async def enter(site=None):
        with addon.scope():
            tenant = (await TenantRow.get(client_key=(site or host.site).client_key)).as_tenant()

        @contextmanager
        def both():
            with addon.scope(), work_scope(tenant, "issue_panel", background=True):
                yield

        return both()

    return enter


@pytest.fixture
def check(host, scope):
    """Run the job that asks Jira, as the daily schedule does."""

    async def run(site=None):
        with await scope(site):
            await issues.check_soon()
        await host.settled()

    return run


@pytest.fixture
def pass_time(scope):
    """Move the times of all rows into the past."""

    async def move(site=None, **time):
        with await scope(site):
            for item in await Item.all():
                changed = {}
                for name in ("checked_at", "missing_since"):
                    if getattr(item, name) is not None:
                        changed[name] = getattr(item, name) - timedelta(**time)
                await Item.filter(id=item.id).update(**changed)

    return move


@pytest.fixture
def respond(host):
    """Let Jira answer with a status, whichever issue is asked for."""

    def set_status(status, path=ASKED):
        host.rest.answer("GET", path, {"errorMessages": ["said by the test"]}, status=status)

    return set_status


@pytest.fixture
def stored(tmp_path):
    """Read the checklists from the database: a list of issue id, project id and whether it is missing."""

    def read():
        query = "SELECT DISTINCT issue_id, project_id, missing_since IS NOT NULL FROM issue_panel_item ORDER BY 1, 2"
        return [(issue, project, bool(missing)) for issue, project, missing in databases.run_sql(tmp_path, query)]

    return read


@pytest.fixture
async def item(open_list, add):
    """A checklist with an item, opened in a project."""
    await add(await open_list(project=PROJECT), "One")


@pytest.fixture
async def old_item(host, scope):
    """A checklist of an earlier release: Jira has the issue, and the row has no project."""
    host.rest.resources.objects[host.site.client_key].add({"issue.id": "10001", "project.id": "10000"})
    with await scope():
        await Item.create(issue_id="10001", text="Old", rank=0, created_by="ann")


# ---- the project of a row


async def test_project_is_stored_with_the_item(item, stored):
    assert stored() == [("10001", "10000", False)]


async def test_project_is_asked_for_if_the_page_does_not_name_it(host, page, add, stored):
    await add(page, "One")
    await host.settled()
    assert stored() == [("10001", "10000", False)]


async def test_project_of_further_items_is_that_of_the_first(host, page, add, stored):
    await add(page, "One")
    await host.settled()
    await add(page, "Two", "Three")
    await host.settled()
    assert stored() == [("10001", "10000", False)]
    assert len(host.rest.requests_to("GET", ASKED)) == 1


async def test_project_of_old_items_is_filled_in_by_the_job(old_item, stored, check):
    await check()
    assert stored() == [("10001", "10000", False)]


async def test_project_of_old_items_is_filled_in_when_their_page_is_opened(old_item, open_list, stored):
    await open_list(project=PROJECT)
    assert stored() == [("10001", "10000", False)]


async def test_project_follows_an_issue_that_has_moved(item, open_list, stored):
    await open_list(project=OTHER_PROJECT)
    assert stored() == [("10001", "20000", False)]


@pytest.mark.parametrize("project_id", ["", "x" * 65, "1\0", "9" * 64])
async def test_project_of_an_odd_form_is_no_server_error(open_list, add, project_id):
    page = await open_list(project={"id": project_id})
    assert page.status in (200, 400)
    if page.status == 200:
        await add(page, "One")


async def test_rows_are_not_written_when_a_page_is_opened_again(item, open_list, tmp_path):
    query = "SELECT checked_at FROM issue_panel_item"
    before = databases.run_sql(tmp_path, query)
    await open_list(project=PROJECT)
    assert databases.run_sql(tmp_path, query) == before


# ---- deleted projects


async def test_checklists_of_a_deleted_project_are_deleted(host, item, open_list, add, stored):
    await add(await open_list(OTHER_ISSUE, project=PROJECT), "Two")
    await host.fire("project_deleted", project=PROJECT)
    await host.settled()
    assert stored() == []


@pytest.mark.parametrize(
    "body",
    [
        {"webhookEvent": "project_deleted", "project": PROJECT},
        {"project": {"id": 10000, "key": "AB"}},
        {"project": {"id": "10000"}},
    ],
    ids=["as Jira sends it", "number", "without a key"],
)
async def test_project_comes_from_the_event(host, item, stored, body):
    await host.fire("project_deleted", body)
    await host.settled()
    assert stored() == []


async def test_checklists_of_other_projects_and_sites_are_kept(host, item, open_list, add, stored):
    other = await host.install()
    await add(await open_list(site=other, project=PROJECT), "Theirs")
    await add(await open_list(OTHER_ISSUE, project=OTHER_PROJECT), "Two")
    await host.fire("project_deleted", project=PROJECT, site=other)
    await host.fire("project_deleted", project={"id": "30000", "key": "EF"})
    await host.fire("project_deleted", {})
    await host.settled()
    assert stored() == [("10001", "10000", False), ("10002", "20000", False)]


async def test_checklist_of_an_issue_that_moved_before_its_project_was_deleted_is_kept(host, item, stored):
    host.rest.resources.objects[host.site.client_key].add({"issue.id": "10001", "project.id": "20000"})
    await host.fire("project_deleted", project=PROJECT)
    await host.settled()
    assert stored() == [("10001", "20000", False)]


async def test_project_that_jira_still_has_deletes_nothing(host, item, stored, respond):
    respond(404)
    host.rest.answer("GET", "/rest/api/3/project/10000", {"id": "10000"})
    await host.fire("project_deleted", project=PROJECT)
    await host.settled()
    assert stored() == [("10001", "10000", False)]


@pytest.mark.parametrize("status", [200, 401, 403, 410, 500, 503])
@pytest.mark.parametrize("path", ["/rest/api/3/project/*", ASKED])
async def test_event_is_not_believed_unless_jira_answers_404(host, item, stored, respond, path, status):
    respond(status, path)
    await host.fire("project_deleted", project=PROJECT)
    await host.settled()
    assert len(stored()) == 1


async def test_many_checklists_of_a_project_are_deleted_a_few_at_a_time(
    host, open_list, add, check, stored, monkeypatch, tmp_path
):
    monkeypatch.setattr(stored_content, "BATCH_SIZE", 3)
    for number in range(1, 8):
        await add(await open_list({"id": str(number), "key": f"AB-{number}"}, project=PROJECT), "One")
    await host.fire("project_deleted", project=PROJECT)
    await host.settled()
    assert len(stored()) == 4
    [(name, state, pause)] = databases.run_sql(
        tmp_path, "SELECT name, state, due_at - created_at FROM addonkit_job WHERE state = 'waiting'"
    )
    assert (name, state) == ("check_issue_panel_item", "waiting")
    assert pause > stored_content.PAUSE_S - 1
    for left in (1, 0):
        changed = "UPDATE addonkit_job SET due_at = 0 WHERE state = 'waiting'"
        await asyncio.to_thread(databases.run_sql, tmp_path, changed)
        await check()
        assert len(stored()) == left


# ---- issues that Jira no longer knows


async def test_checklist_is_deleted_after_two_404s_a_day_apart(item, check, pass_time, respond, stored):
    respond(404)
    await pass_time(days=31)
    await check()
    assert stored() == [("10001", "10000", True)]
    await pass_time(hours=23)
    await check()
    assert stored() == [("10001", "10000", True)]
    await pass_time(hours=2)
    await check()
    assert stored() == []


@pytest.mark.parametrize("between", [200, 403, 410, 400])
async def test_any_other_answer_in_between_starts_over(item, check, pass_time, respond, stored, between):
    await pass_time(days=31)
    for status, missing in ((404, True), (between, False), (404, True)):
        respond(status)
        await check()
        assert stored() == [("10001", "10000", missing)]
        await pass_time(days=31)


@pytest.mark.parametrize("between", [401, 500, 501, 502, 408])
async def test_no_answer_in_between_changes_nothing(item, check, pass_time, respond, stored, between):
    await pass_time(days=31)
    respond(404)
    await check()
    await pass_time(days=2)
    respond(between)
    await check()
    assert stored() == [("10001", "10000", True)]
    respond(404)
    await check()
    assert stored() == []


async def test_rate_limit_postpones_the_job(host, item, check, pass_time, stored, tmp_path):
    await pass_time(days=31)
    host.rest.answer("GET", ASKED, by=lambda _: Reply({}, 429, {"retry-after": "3600"}))
    await check()
    assert stored() == [("10001", "10000", False)]
    [(pause,)] = databases.run_sql(tmp_path, "SELECT due_at - created_at FROM addonkit_job WHERE state = 'waiting'")
    assert pause > 3500


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, {"errorMessages": ["no such site"]}),
        (401, {}),
        (503, {}),
        (200, {"type": "anonymous"}),
        (200, []),
        (200, {"accountId": ""}),
    ],
    ids=["404", "401", "503", "anonymous", "a list", "no account"],
)
async def test_404s_do_not_count_while_the_site_does_not_recognise_the_add_on(
    host, item, check, pass_time, respond, stored, status, body
):
    respond(404)
    host.rest.answer("GET", MYSELF, body, status=status)
    for _ in range(3):
        await pass_time(days=31)
        await check()
        assert stored() == [("10001", "10000", False)]


async def test_checklist_that_a_user_opens_in_between_is_kept(item, open_list, check, pass_time, respond, stored):
    respond(404)
    await pass_time(days=31)
    await check()
    await pass_time(days=2)
    await open_list(project=PROJECT)
    assert stored() == [("10001", "10000", False)]
    await pass_time(days=31)
    await check()
    assert stored() == [("10001", "10000", True)]


async def test_checklist_to_which_an_item_is_added_in_between_is_kept(item, scope, check, pass_time, respond, stored):
    """A process of the release before this one writes the new item."""
    respond(404)
    await pass_time(days=31)
    await check()
    await pass_time(days=2)
    with await scope():
        await Item.create(issue_id="10001", text="New", rank=9, created_by="ann")
    await check()
    assert stored() == [("10001", "", True), ("10001", "10000", True)]


@pytest.mark.parametrize("days", [90], indirect=True)
async def test_checklist_is_kept_for_as_long_as_the_operator_says(item, check, pass_time, respond, stored):
    respond(404)
    await pass_time(days=31)
    await check()
    for _ in range(3):
        await pass_time(days=29)
        await check()
        assert stored() == [("10001", "10000", True)]
    await pass_time(days=4)
    await check()
    assert stored() == []


async def test_checklists_of_other_sites_are_not_asked_about(host, item, open_list, add, check, pass_time, stored):
    other = await host.install()
    await add(await open_list(OTHER_ISSUE, site=other, project=PROJECT), "Theirs")
    await pass_time(days=31)
    await pass_time(other, days=31)
    host.rest.requests.clear()
    await check()
    assert [call.path for call in host.rest.requests_to("GET", ASKED)] == ["/rest/api/3/issue/10001"]


async def test_issue_is_asked_about_again_after_a_month_only(host, item, check, pass_time):
    for wait, calls in ((1, 0), (28, 0), (2, 1), (1, 1), (30, 2)):
        await pass_time(days=wait)
        await check()
        assert len(host.rest.requests_to("GET", ASKED)) == calls


async def test_job_asks_about_a_few_issues_and_goes_on_after_a_pause(host, scope, check, tmp_path):
    with await scope():
        for number in range(50):
            await Item.create(issue_id=str(number), text="Old", rank=0, created_by="ann")
            await Item.create(issue_id=str(number), text="Older", rank=1, created_by="ann")
    await check()
    assert len(host.rest.requests_to("GET", ASKED)) == stored_content.BATCH_SIZE
    waiting = "SELECT count(*) FROM addonkit_job WHERE name = 'check_issue_panel_item' AND state = 'waiting'"
    assert databases.run_sql(tmp_path, waiting) == [(1,)]
    await check()
    assert len(host.rest.requests_to("GET", ASKED)) == stored_content.BATCH_SIZE


async def test_deletion_that_fails_does_not_keep_the_job_from_other_issues(
    host, item, open_list, add, check, pass_time, respond, stored, monkeypatch
):
    await add(await open_list(OTHER_ISSUE, project=PROJECT), "Two")
    respond(404)
    await pass_time(days=31)
    await check()
    await pass_time(days=2)
    delete = issues._delete

    async def fail_once(issue_id):
        if issue_id == "10001":
            raise LookupError("cannot delete")
        await delete(issue_id)

    monkeypatch.setattr(issues, "_delete", fail_once)
    await check()
    assert [issue for issue, _, _ in stored()] == ["10001"]


async def test_daily_job_is_scheduled_for_each_site(addon, host, item, tmp_path):
    [(rule, next_at)] = databases.run_sql(
        tmp_path, "SELECT rule, next_at FROM addonkit_schedule WHERE name = 'check_issue_panel_item_daily'"
    )
    assert rule == "1d"
    assert next_at > datetime.now(UTC).timestamp()


async def test_webhook_for_deleted_projects_is_signed_for_the_project(host):
    webhooks = (await host.descriptor())["modules"]["webhooks"]
    assert {
        "event": "project_deleted",
        "url": "/webhooks/issue_panel/project_deleted_issue_panel_item?project_id=${project.id}",
    } in webhooks
