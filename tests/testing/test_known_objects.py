"""Issues and pages of the simulated host: those that a test has opened exist until an event says otherwise."""

import pytest
from addonkit.testing.known_objects import KnownObjects

ISSUE = {"issue.id": "10001", "issue.key": "AB-1", "project.id": "7"}
PAGE = {"content.id": "98347", "space.key": "SHOP"}


@pytest.fixture
def objects():
    known = KnownObjects()
    known.add(ISSUE)
    known.add(PAGE)
    return known


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/rest/api/3/issue/10001", ("fields", "project", "id", "7")),
        ("/rest/api/3/issue/AB-1", ("fields", "project", "id", "7")),
        ("/rest/api/2/issue/AB-1", ("fields", "project", "key", "AB")),
        ("/rest/api/3/project/7", ("id", "7")),
        ("/rest/api/content/98347", ("space", "key", "SHOP")),
        ("/rest/api/space/SHOP", ("key", "SHOP")),
        ("/rest/api/3/myself", ("accountId", "addon")),
        ("/rest/api/user/current", ("accountId", "addon")),
    ],
)
def test_opened_object_is_found(objects, path, found):
    status, body = objects.reply(path)
    *names, value = found
    for name in names:
        body = body[name]
    assert (status, body) == (200, value)


@pytest.mark.parametrize(
    ("event", "values", "gone"),
    [
        ("jira:issue_deleted", {"issue.id": "10001"}, ["/rest/api/3/issue/10001"]),
        ("project_deleted", {"project.id": "7"}, ["/rest/api/3/issue/10001", "/rest/api/3/project/7"]),
        ("page_removed", {"page.id": "98347"}, ["/rest/api/content/98347"]),
        ("blog_removed", {"blog.id": "98347"}, ["/rest/api/content/98347"]),
        ("space_removed", {"space.key": "SHOP"}, ["/rest/api/content/98347", "/rest/api/space/SHOP"]),
        ("project_deleted", {"project.id": "8"}, []),
        ("page_trashed", {"page.id": "98347"}, []),
        ("jira:issue_updated", {"issue.id": "10001"}, []),
    ],
)
def test_object_is_gone_after_its_event(objects, event, values, gone):
    paths = [
        "/rest/api/3/issue/10001",
        "/rest/api/3/project/7",
        "/rest/api/content/98347",
        "/rest/api/space/SHOP",
    ]
    objects.remove(event, values)
    assert [path for path in paths if objects.reply(path) is None] == sorted(gone, key=paths.index)


def test_object_without_a_container_gets_one_and_keeps_it():
    known = KnownObjects()
    known.add({"issue.id": "1"})
    assert known.issues == {"1": ("10000", "")}
    known.add({"issue.id": "1", "project.id": "7"})
    known.add({"issue.id": "1"})
    assert known.issues == {"1": ("7", "")}


def test_other_resource_is_not_found(objects):
    for path in (
        "/rest/api/3/issue/10002",
        "/rest/api/3/issue/10001/comment",
        "/rest/api/content/1",
        "/rest/api/3/label",
    ):
        assert objects.reply(path) is None
