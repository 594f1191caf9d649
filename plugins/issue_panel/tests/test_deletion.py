"""What becomes of a checklist whose issue is deleted."""

import pytest

ISSUE = {"id": "10001", "key": "AB-1"}
OTHER_ISSUE = {"id": "10002", "key": "AB-2"}


@pytest.fixture
def delete(host):
    """Deletes an issue as Jira does, and waits for what the add-on makes of it."""

    async def delete_it(*args, **options):
        assert [answer.status_code for answer in await host.fire("jira:issue_deleted", *args, **options)] == [204]
        await host.settled()

    return delete_it


async def test_the_checklist_of_a_deleted_issue_is_forgotten(page, add, texts, delete):
    await add(page, "One", "Two")
    await delete(issue=ISSUE)
    assert await texts(page) == []


async def test_other_issues_keep_their_checklists(page, add, texts, delete):
    await add(page, "One")
    await delete(issue=OTHER_ISSUE)
    assert await texts(page) == ["One"]


async def test_another_site_s_issue_of_the_same_number_keeps_its_checklist(host, page, add, texts, delete):
    await add(page, "One")
    await delete(site=await host.install(), issue=ISSUE)
    assert await texts(page) == ["One"]


async def test_the_issue_s_number_is_taken_from_the_signed_url_if_the_body_lacks_it(page, add, texts, delete):
    await add(page, "One")
    await delete({}, issue=ISSUE)
    assert await texts(page) == []


async def test_an_event_that_names_no_issue_changes_nothing(page, add, texts, delete):
    await add(page, "One")
    await delete({"webhookEvent": "jira:issue_deleted"})
    assert await texts(page) == ["One"]


async def test_the_same_event_twice_does_no_harm(page, add, texts, delete):
    await delete(issue=ISSUE, identifier="d-1")
    await add(page, "New")
    await delete(issue=ISSUE, identifier="d-1", retry=1)
    assert await texts(page) == ["New"]
