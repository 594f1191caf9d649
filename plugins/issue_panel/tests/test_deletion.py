"""Deletion of a checklist after the webhook about its deleted issue."""

import pytest

ISSUE = {"id": "10001", "key": "AB-1"}
OTHER_ISSUE = {"id": "10002", "key": "AB-2"}


@pytest.fixture
def delete(host):
    """Send the webhook of a deleted issue as Jira does, and wait until its jobs have run."""

    async def delete_it(*args, **options):
        assert [answer.status_code for answer in await host.fire("jira:issue_deleted", *args, **options)] == [204]
        await host.settled()

    return delete_it


async def test_checklist_of_a_deleted_issue_is_deleted(page, add, texts, delete):
    await add(page, "One", "Two")
    await delete(issue=ISSUE)
    assert await texts(page) == []


async def test_checklists_of_other_issues_are_kept(page, add, texts, delete):
    await add(page, "One")
    await delete(issue=OTHER_ISSUE)
    assert await texts(page) == ["One"]


async def test_checklist_of_another_site_with_the_same_issue_id_is_kept(host, page, add, texts, delete):
    await add(page, "One")
    await delete(site=await host.install(), issue=ISSUE)
    assert await texts(page) == ["One"]


async def test_issue_id_comes_from_the_signed_url_if_the_body_lacks_it(page, add, texts, delete):
    await add(page, "One")
    await delete({}, issue=ISSUE)
    assert await texts(page) == []


async def test_event_without_an_issue_changes_nothing(page, add, texts, delete):
    await add(page, "One")
    await delete({"webhookEvent": "jira:issue_deleted"})
    assert await texts(page) == ["One"]


async def test_event_delivered_twice_is_harmless(page, add, texts, delete):
    await delete(issue=ISSUE, identifier="d-1")
    await add(page, "New")
    await delete(issue=ISSUE, identifier="d-1", retry=1)
    assert await texts(page) == ["New"]
