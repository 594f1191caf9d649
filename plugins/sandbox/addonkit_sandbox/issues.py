"""Issues as Jira's API gives them: one by one, found by JQL, with comments that are kept until the sandbox ends."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from addonkit_sandbox import people
from addonkit_sandbox.events import issue_of
from addonkit_sandbox.sample import ISSUES, PROJECT, USERS, Issue, User
from addonkit_sandbox.web import simulation

_CLAUSE = re.compile(
    r"(?P<field>project|key|issuekey|status)\s*=\s*(?P<value>\"[^\"]*\"|'[^']*'|[\w-]+)", re.IGNORECASE
)


def issue_or_none(key: str) -> Issue | None:
    """An issue that is there, by its key or number."""
    found = next((held for held in ISSUES.values() if key in (held.key, held.id)), None)
    return None if found is None or found.key in simulation().state.removed else found


def told(issue: Issue) -> dict[str, Any]:
    """An issue with who works on it."""
    whole = issue_of(issue)
    return {**whole, "fields": {**whole["fields"], "assignee": people.in_jira(USERS[issue.assignee])}}


def search(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Issues by JQL, as far as it says ``project``, ``key`` or ``status``; the rest of it is not looked at.

    Args:
        asked: ``jql``, ``maxResults`` and ``nextPageToken``.
    """
    clauses = _CLAUSE.finditer(str(asked.get("jql", "")))
    wanted = {one["field"].lower(): one["value"].strip("\"'").lower() for one in clauses}
    issues = [one for one in ISSUES.values() if issue_or_none(one.key) and _fits(one, wanted)]
    start, most = _number(asked.get("nextPageToken"), 0), max(1, _number(asked.get("maxResults"), 50))
    more = {"nextPageToken": str(start + most)} if start + most < len(issues) else {}
    return {"issues": [told(one) for one in issues[start : start + most]], "isLast": not more, **more}


def comment(issue: Issue, by: User | None, body: Any) -> dict[str, Any]:
    """Keep a comment of a user's, or of the add-on's own.

    Args:
        issue: Where.
        by: Who; None is the add-on.
        body: In Atlassian's document format.
    """
    kept = simulation().comments.setdefault(issue.id, [])
    addon = {"accountId": "addon", "accountType": "app", "displayName": simulation().name}
    author = people.in_jira(by) if by else addon
    made = {"id": str(10_000 + len(kept)), "author": author, "body": body, "created": datetime.now(UTC).isoformat()}
    kept.append(made)
    return made


def comments_of(issue: Issue) -> dict[str, Any]:
    """The issue's comments, oldest first."""
    kept = simulation().comments.get(issue.id, [])
    return {"comments": kept, "startAt": 0, "maxResults": max(50, len(kept)), "total": len(kept)}


def _fits(issue: Issue, wanted: dict[str, str]) -> bool:
    keys = {issue.key.lower(), issue.id}
    held = {"project": {PROJECT["key"].lower(), PROJECT["id"]}, "key": keys, "issuekey": keys}
    held["status"] = {issue.status.lower()}
    return all(value in held[field] for field, value in wanted.items())


def _number(said: Any, otherwise: int) -> int:
    return int(said) if str(said).isdecimal() else otherwise
