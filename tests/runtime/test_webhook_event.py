"""What a webhook's event gives to its handler, by bodies that the products send."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from addonkit.context import Tenant, TenantState
from addonkit.webhook_event import WebhookEvent, filled

PAYLOADS = json.loads((Path(__file__).parent.parent / "vectors" / "webhook-payloads.json").read_text())
EUGENE = "557058:d092c978-5ab7-4c8a-8d87-32ffac22c584"
LEO = "99:27935d01-92a7-4687-8272-a9b8d3b2ae2e"
HEMANTH = "5c76b994e1bcdf6294d0eb0f"
FACTS = (
    "account_id",
    "subject_account_id",
    "issue_id",
    "issue_key",
    "project_id",
    "project_key",
    "comment_id",
    "worklog_id",
    "attachment_id",
    "board_id",
    "content_id",
    "space_key",
)
EXPECTED: dict[str, dict[str, str]] = {
    "jira issue updated": {
        "account_id": "99:27935d01-92a7-4687-8272-a9b8d3b2ae2e",
        "issue_id": "99291",
        "issue_key": "JRA-20002",
        "comment_id": "10000",
    },
    "jira comment updated": {
        "account_id": HEMANTH,
        "issue_id": "10000",
        "issue_key": "SP-1",
        "project_id": "10000",
        "project_key": "SP",
        "comment_id": "10000",
    },
    "jira comment deleted": {
        "account_id": HEMANTH,
        "issue_id": "10000",
        "issue_key": "SP-1",
        "project_id": "10000",
        "project_key": "SP",
        "comment_id": "10000",
    },
    "jira worklog updated": {"account_id": LEO, "issue_id": "10014", "worklog_id": "10066"},
    "jira attachment created": {"account_id": HEMANTH, "attachment_id": "10000"},
    "jira sprint updated": {"board_id": "9"},
    "jira issue link created": {},
    "jira user updated": {"subject_account_id": "5f03c8345ee2c300232945de"},
    "jira version released": {"project_id": "10001"},
    "jira post function triggered": {
        "issue_id": "10000",
        "issue_key": "TEST-1",
        "project_id": "10000",
        "project_key": "TEST",
    },
    "confluence page created (before gdpr)": {"content_id": "16777227", "space_key": "~admin"},
    "confluence comment created (before gdpr)": {
        "comment_id": "16777228",
        "content_id": "16777227",
        "space_key": "~admin",
    },
    "confluence page updated": {"account_id": EUGENE, "content_id": "1188560897", "space_key": "~323528440"},
    "confluence page removed": {"account_id": EUGENE, "content_id": "1188560897", "space_key": "~323528440"},
    "confluence content updated": {"account_id": EUGENE, "content_id": "1188593679", "space_key": "~323528440"},
    # The body names who changed it last, and that need not be who removed it.
    "confluence content removed": {"content_id": "1188593679", "space_key": "~323528440"},
    "confluence comment created": {
        "account_id": "a-1",
        "comment_id": "22",
        "content_id": "21",
        "space_key": "TEAM",
    },
    "confluence attachment created": {
        "account_id": "a-1",
        "attachment_id": "31",
        "content_id": "21",
        "space_key": "TEAM",
    },
    "confluence attachment removed": {
        "account_id": "a-1",
        "attachment_id": "31",
        "content_id": "21",
        "space_key": "TEAM",
    },
    "confluence label added": {"account_id": "a-1", "content_id": "21", "space_key": "TEAM"},
    "confluence label removed": {"account_id": "a-1", "content_id": "21"},
    "confluence space updated": {"account_id": "a-1", "space_key": "TEAM"},
}


def event_of(product: Any, name: str, body: Any, **objects: str) -> WebhookEvent:
    url = "https://one.example.net" + ("/wiki" if product == "confluence" else "")
    tenant = Tenant(1, "one", product, url, url, TenantState.ENABLED, "one")
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return WebhookEvent(name, tenant, content, datetime.now(UTC), objects)


def facts_of(event: WebhookEvent) -> dict[str, str]:
    return {name: value for name in FACTS if (value := getattr(event, name)) is not None}


@pytest.mark.parametrize("name", [name for name in PAYLOADS if name != "_headers"])
def test_event_gives_the_facts_of_its_body(name: str) -> None:
    case = PAYLOADS[name]
    event = event_of(case["product"], case["event"], case["body"])
    assert facts_of(event) == EXPECTED[name]
    assert (event.at is not None) == ("timestamp" in case["body"])


AUTHOR, UPDATER = {"accountId": "author"}, {"accountId": "updater"}


@pytest.mark.parametrize(
    ("product", "name", "body", "account"),
    [
        ("jira", "comment_created", {"comment": {"author": AUTHOR, "updateAuthor": UPDATER}}, "updater"),
        ("jira", "comment_created", {"comment": {"author": AUTHOR}}, "author"),
        ("jira", "worklog_deleted", {"worklog": {"author": AUTHOR, "updateAuthor": None}}, "author"),
        ("jira", "jira:worklog_updated", {"user": UPDATER, "worklog": {"author": AUTHOR}}, "updater"),
        ("jira", "attachment_deleted", {"attachment": {"author": AUTHOR}}, "author"),
        ("jira", "jira:issue_updated", {"user": UPDATER, "comment": {"author": AUTHOR}}, "updater"),
        # A comment within another event may be an old one.
        ("jira", "jira:issue_updated", {"comment": {"author": AUTHOR}}, None),
        ("jira", "project_created", {"project": {"projectLead": AUTHOR}}, None),
        ("jira", "comment_created", {"comment": {"author": {"accountId": ""}}}, None),
        ("confluence", "comment_updated", {"comment": {"creatorAccountId": "author"}}, "author"),
        ("confluence", "page_updated", {"page": {"lastModifierAccountId": "updater"}}, "updater"),
        ("confluence", "attachment_created", {"attachments": [{"creatorAccountId": "author"}]}, "author"),
        ("confluence", "content_created", {"history": {"createdBy": AUTHOR}}, "author"),
        # An anonymous visitor: the last author did not cause it.
        ("confluence", "page_viewed", {"page": {"lastModifierAccountId": "updater"}}, None),
        ("confluence", "content_permissions_updated", {"version": {"by": UPDATER}}, None),
    ],
)
def test_event_names_the_account_that_caused_it(product: str, name: str, body: Any, account: str | None) -> None:
    assert event_of(product, name, body).account_id == account


@pytest.mark.parametrize(
    ("product", "name", "body", "subject"),
    [
        ("jira", "user_created", {"user": {"accountId": "new"}}, "new"),
        ("jira", "user_updated", {"user": {"accountId": "changed"}}, "changed"),
        ("jira", "user_deleted", {"user": {"accountId": "gone"}}, "gone"),
        ("jira", "user_deleted", {"user": {"name": "admin"}}, None),
        ("confluence", "user_deactivated", {"userAccountId": "gone"}, "gone"),
        ("confluence", "user_removed", {"userAccountId": "x", "userProfile": {"accountId": "gone"}}, "gone"),
        ("confluence", "user_followed", {"userAccountId": "follower"}, None),
    ],
)
def test_event_about_a_user_names_the_user_as_its_subject(
    product: str, name: str, body: Any, subject: str | None
) -> None:
    event = event_of(product, name, body)
    assert event.subject_account_id == subject
    assert event.account_id is None


def test_event_about_a_user_prefers_the_signed_subject() -> None:
    event = event_of("jira", "user_deleted", {"user": {"accountId": "forged"}}, modified_user_account_id="signed")
    assert event.subject_account_id == "signed"


def test_event_of_another_kind_has_no_subject() -> None:
    assert event_of("jira", "jira:issue_updated", {"user": {"accountId": "a"}}).subject_account_id is None


BODY = {
    "issue": {"id": "10001", "key": "AB-1"},
    "project": {"id": "7", "key": "AB"},
    "comment": {"id": "5"},
    "worklog": {"id": "8"},
    "board": {"id": 9},
    "attachment": {"id": "6"},
}


@pytest.mark.parametrize(
    ("name", "variable", "found"),
    [
        ("issue_id", "issue.id", "10001"),
        ("issue_key", "issue.key", "AB-1"),
        ("project_id", "project.id", "7"),
        ("project_key", "project.key", "AB"),
        ("comment_id", "comment.id", "5"),
        ("worklog_id", "worklog.id", "8"),
        ("board_id", "board.id", "9"),
        ("attachment_id", "attachment.id", "6"),
    ],
)
def test_event_prefers_a_signed_value_but_not_an_unfilled_one(name: str, variable: str, found: str) -> None:
    for unfilled in ("", f"${{{variable}}}"):
        event = event_of("jira", "jira:issue_updated", BODY, **{name: unfilled})
        assert getattr(event, name) == found
        assert event.objects == {}
    assert getattr(event_of("jira", "jira:issue_updated", BODY, **{name: "signed"}), name) == "signed"


@pytest.mark.parametrize("body", [b"", b"{}", b'{"issue": null, "comment": [], "attachments": [], "user": "admin"}'])
@pytest.mark.parametrize("product", ["jira", "confluence"])
def test_event_without_facts_has_none(product: str, body: bytes) -> None:
    for name in ("comment_created", "attachment_created", "content_updated", "user_deleted", "label_added"):
        assert facts_of(event_of(product, name, body)) == {}


def test_event_of_jira_has_no_content() -> None:
    event = event_of("jira", "attachment_created", {"attachment": {"id": "1", "spaceKey": "X"}, "space": {"key": "X"}})
    assert event.content_id is None
    assert event.space_key is None


def test_filled_values_are_those_that_the_host_filled() -> None:
    objects = {"issue_id": "${issue.id}", "issue_key": "AB-1", "project_id": "", "comment_id": "$5", "board_id": "{9}"}
    assert filled(objects) == {"issue_key": "AB-1", "comment_id": "$5", "board_id": "{9}"}


@pytest.mark.parametrize(
    "timestamp", [10**18, -(10**18), 10**30, -(10**30), True, None, "1606480436302", [], {}, 1.7e308, "\ud83d"]
)
def test_event_with_an_absurd_time_has_none(timestamp: Any) -> None:
    assert event_of("jira", "jira:issue_updated", {"timestamp": timestamp}).at is None


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"1" + b"0" * 400])
def test_event_with_a_number_beyond_64_bits_is_read(number: bytes) -> None:
    event = event_of("jira", "jira:issue_updated", b'{"issue": {"id": "7"}, "timestamp": ' + number + b"}")
    assert event.at is None
    assert event.issue_id == "7"


def test_event_with_a_fraction_of_a_millisecond_has_its_time() -> None:
    event = event_of("jira", "jira:issue_updated", {"timestamp": 1606480436302.5})
    assert event.at == datetime.fromtimestamp(1606480436.3025, UTC)


@pytest.mark.parametrize(
    "body",
    [
        rb'{"page": {"id": 5, "title": "cut \ud83d"}}',
        rb'{"\udc00": 1, "page": {"id": "5"}}',
        b'{"page": {"id": "5", "title": "\xed\xa0\xbd"}}',
        rb'{"page": {"id": "5", "labels": [["\uDFFF\uD800"]]}}',
        rb'{"page": {"id": "5"}, "note": "\ud83d\ude00 \ud83d"}',
    ],
    ids=["end", "name", "bytes", "list", "after a pair"],
)
def test_event_with_half_a_surrogate_pair_is_read(body: bytes) -> None:
    event = event_of("confluence", "page_removed", body)
    assert event.content_id == "5"
    json.dumps(dict(event.json), ensure_ascii=False).encode()
