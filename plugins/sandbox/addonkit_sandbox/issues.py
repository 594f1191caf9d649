"""Issues as Jira's API returns them: by key, by JQL, and with comments, which are stored until the sandbox stops."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from addonkit_sandbox.current import current_simulation
from addonkit_sandbox.sample import ISSUES, PROJECT, USERS, Issue, User
from addonkit_sandbox.users import jira_user
from addonkit_sandbox.webhook_bodies import issue_json

_CLAUSE = re.compile(
    r"(?P<field>project|key|issuekey|status)\s*=\s*(?P<value>\"[^\"]*\"|'[^']*'|[\w-]+)", re.IGNORECASE
)


def find_issue(key: str) -> Issue | None:
    """Return the issue with this key or id; None if it does not exist or was deleted."""
    found = next((issue for issue in ISSUES.values() if key in (issue.key, issue.id)), None)
    return None if found is None or found.key in current_simulation().state.removed else found


def issue_with_assignee(issue: Issue) -> dict[str, Any]:
    """Return an issue as Jira's API returns it."""
    body = issue_json(issue)
    return {**body, "fields": {**body["fields"], "assignee": jira_user(USERS[issue.assignee])}}


def search(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return issues by JQL. Only comparisons of ``project``, ``key`` and ``status`` are evaluated.

    Args:
        parameters: ``jql``, ``maxResults`` and ``nextPageToken``.
    """
    clauses = _CLAUSE.finditer(str(parameters.get("jql", "")))
    wanted = {clause["field"].lower(): clause["value"].strip("\"'").lower() for clause in clauses}
    issues = [issue for issue in ISSUES.values() if find_issue(issue.key) and _matches(issue, wanted)]
    start, limit = _number(parameters.get("nextPageToken"), 0), max(1, _number(parameters.get("maxResults"), 50))
    more = {"nextPageToken": str(start + limit)} if start + limit < len(issues) else {}
    return {
        "issues": [issue_with_assignee(issue) for issue in issues[start : start + limit]],
        "isLast": not more,
        **more,
    }


def add_comment(issue: Issue, by: User | None, body: Any) -> dict[str, Any]:
    """Store a comment of a user or of the add-on, and return it.

    Args:
        issue: The issue.
        by: The author; None for the add-on.
        body: The comment in Atlassian Document Format.
    """
    simulation = current_simulation()
    stored = simulation.comments.setdefault(issue.id, [])
    addon = {"accountId": "addon", "accountType": "app", "displayName": simulation.name}
    author = jira_user(by) if by else addon
    comment = {
        "id": str(10_000 + len(stored)),
        "author": author,
        "body": body,
        "created": datetime.now(UTC).isoformat(),
    }
    stored.append(comment)
    return comment


def comments_of(issue: Issue, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return one page of the comments of an issue, oldest first.

    Args:
        issue: The issue.
        parameters: ``startAt`` and ``maxResults``.
    """
    stored = current_simulation().comments.get(issue.id, [])
    start, limit = _number(parameters.get("startAt"), 0), max(1, _number(parameters.get("maxResults"), 5000))
    return {"comments": stored[start : start + limit], "startAt": start, "maxResults": limit, "total": len(stored)}


def _matches(issue: Issue, wanted: dict[str, str]) -> bool:
    keys = {issue.key.lower(), issue.id}
    values = {"project": {PROJECT["key"].lower(), PROJECT["id"]}, "key": keys, "issuekey": keys}
    values["status"] = {issue.status.lower()}
    return all(value in values[field] for field, value in wanted.items())


def _number(value: Any, default: int) -> int:
    return int(value) if str(value).isdecimal() else default
