"""Issues, pages and webhook bodies as the products write them."""

from __future__ import annotations

import time
from typing import Any

from addonkit_sandbox.sample import PROJECT, SPACE, Document, Issue, User


def issue_json(issue: Issue) -> dict[str, Any]:
    """Return an issue as Jira writes it."""
    fields = {
        "summary": issue.summary,
        "status": {"name": issue.status},
        "priority": {"name": issue.priority},
        "labels": issue.labels,
        "project": PROJECT,
    }
    return {"id": issue.id, "key": issue.key, "fields": fields}


def issue_deleted_body(issue: Issue, by: User, base_url: str) -> dict[str, Any]:
    """Return the body of ``jira:issue_deleted``."""
    return {
        "timestamp": _now_ms(),
        "webhookEvent": "jira:issue_deleted",
        "user": {"accountId": by.account_id, "displayName": by.name, "accountType": "atlassian"},
        "issue": {**issue_json(issue), "self": f"{base_url}/rest/api/2/issue/{issue.id}"},
    }


def page_removed_body(document: Document, by: User, base_url: str) -> dict[str, Any]:
    """Return the body of ``page_trashed`` and ``page_removed``."""
    return {
        "timestamp": _now_ms(),
        "userAccountId": by.account_id,
        "accountType": "customer",
        "page": {
            "id": int(document.id),
            "title": document.title,
            "spaceKey": SPACE["key"],
            "contentType": "page",
            "version": 1,
            "self": f"{base_url}/spaces/{SPACE['key']}/pages/{document.id}",
        },
    }


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
