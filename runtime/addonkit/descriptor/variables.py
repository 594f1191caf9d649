"""The host variables that parameters of handlers stand for, and a check for names that look like one.

The table is explicit: a parameter with a name from it is filled by the host only, never from request data.

Source: the host's pages on context parameters and its module schemas. Entries marked "recalled" are from memory of
those pages. The host replaces an unknown variable by an empty text, so a wrong entry shows as a missing value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from addonkit.text import near_matches

VARIABLES: Mapping[str, str] = MappingProxyType(
    {
        # Jira
        "issue_id": "issue.id",
        "issue_key": "issue.key",
        "issuetype_id": "issuetype.id",
        "project_id": "project.id",
        "project_key": "project.key",
        "version_id": "version.id",
        "component_id": "component.id",
        "profile_user_account_id": "profileUser.accountId",
        "dashboard_id": "dashboard.id",
        "dashboard_item_id": "dashboardItem.id",
        "dashboard_item_key": "dashboardItem.key",
        "dashboard_item_view_type": "dashboardItem.viewType",
        # Jira Software boards and sprints
        "board_id": "board.id",
        "board_type": "board.type",
        "board_screen": "board.screen",
        "board_mode": "board.mode",
        "sprint_id": "sprint.id",
        "sprint_state": "sprint.state",
        # Jira development tools, in the URL that creates a branch
        "issue_summary": "issue.summary",
        "issue_flags": "issue.flags",
        # Jira workflow
        "post_function_id": "postFunction.id",
        "post_function_config": "postFunction.config",
        "condition_id": "condition.id",
        "condition_config": "condition.config",
        "validator_id": "validator.id",
        "validator_config": "validator.config",
        # Jira Service Management: recalled
        "servicedesk_request_id": "servicedesk.requestId",
        "servicedesk_request_type_id": "servicedesk.requestTypeId",
        "servicedesk_service_desk_id": "servicedesk.serviceDeskId",
        "request_id": "request.id",
        "request_key": "request.key",
        # Confluence
        "content_id": "content.id",
        "content_version": "content.version",
        "content_type": "content.type",
        "content_plugin": "content.plugin",
        "space_id": "space.id",
        "space_key": "space.key",
        "page_id": "page.id",
        "page_version": "page.version",
        "page_type": "page.type",
        # Confluence macros; each macro parameter is a variable of its own name
        "macro_id": "macro.id",
        "macro_body": "macro.body",
        "macro_truncated": "macro.truncated",
        "output_type": "output.type",  # recalled
    }
)
"""Host variables by parameter: ``issue_key`` stands for ``issue.key``, written ``{issue.key}`` in a module's URL."""

WEBHOOK_VARIABLES: Mapping[str, str] = MappingProxyType(
    {
        "issue_id": "issue.id",
        "issue_key": "issue.key",
        "project_id": "project.id",
        "project_key": "project.key",
        "version_id": "version.id",
        "merged_version_id": "mergedVersion.id",
        "modified_user_account_id": "modifiedUser.accountId",
        "sprint_id": "sprint.id",
        "comment_id": "comment.id",
        # The host lists these for webhooks of worklogs, boards and attachments.
        "worklog_id": "worklog.id",
        "board_id": "board.id",
        "attachment_id": "attachment.id",
    }
)
"""Variables of webhooks by parameter, written ``${issue.id}`` in a webhook's URL. Only Jira fills them."""

IDS = frozenset(name for name in {**VARIABLES, **WEBHOOK_VARIABLES} if name.endswith("_id"))
"""Parameters that are ids. Their forms differ and are the host's business, but each is one short word."""
_ID = re.compile(r"[^\s\x00-\x1f\x7f/\\?#%]{1,128}")

_HEADS = ("issue_", "issuetype_", "project_", "content_", "space_", "macro_", "dashboard_", "board_", "sprint_")
# Common words (page_size, version_note): suspicious only if the name nearly matches a variable.
_EVERYDAY_HEADS = ("page_", "version_", "component_")


def malformed_id(objects: Mapping[str, str]) -> str | None:
    """Return the name of a parameter whose value cannot be an id: it is too long, or no single word."""
    return next((name for name in objects if name in IDS and not _ID.fullmatch(objects[name])), None)


def looks_like_variable(name: str) -> bool:
    """Return whether a parameter is not a host variable but looks like a misspelt one."""
    if name in VARIABLES:
        return False
    if name.startswith(_HEADS):
        return True
    return name.startswith(_EVERYDAY_HEADS) and bool(near_matches(name, VARIABLES, 0.85))
