"""The issues and pages that a simulated site has: those that a test opened or sent events about."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

StatusAndBody = tuple[int, Any]
"""HTTP status and JSON body."""
PROJECT_ID, SPACE_KEY = "10000", "TEST"
"""The project and the space of objects that a test opens without one."""
_ISSUE = re.compile(r"/rest/api/[23]/issue/([^/]+)")
_PROJECT = re.compile(r"/rest/api/[23]/project/([^/]+)")
_CONTENT = re.compile(r"/rest/api/content/([^/]+)")
_SPACE = re.compile(r"/rest/api/space/([^/]+)")


@dataclass(slots=True)
class KnownObjects:
    """The objects of one site.

    Attributes:
        issues: Project id and issue key by issue id.
        contents: Space key by id of a page or blog post.
        projects: Ids of projects.
        spaces: Keys of spaces.
    """

    issues: dict[str, tuple[str, str]] = field(default_factory=dict)
    contents: dict[str, str] = field(default_factory=dict)
    projects: set[str] = field(default_factory=set)
    spaces: set[str] = field(default_factory=set)

    def add(self, values: Mapping[str, str]) -> None:
        """Add the objects in the host variables of an opened page; one that moved gets its new container."""
        if issue := values.get("issue.id"):
            project = values.get("project.id") or self.issues.get(issue, (PROJECT_ID, ""))[0]
            self.issues[issue] = (project, values.get("issue.key", ""))
            self.projects.add(project)
        if content := values.get("content.id"):
            space = values.get("space.key") or self.contents.get(content, SPACE_KEY)
            self.contents[content] = space
            self.spaces.add(space)

    def remove(self, event: str, values: Mapping[str, str]) -> None:
        """Remove the objects that an event says were deleted, with everything in a deleted project or space."""
        if event == "jira:issue_deleted":
            self.issues.pop(values.get("issue.id", ""), None)
        elif event in ("page_removed", "blog_removed"):
            self.contents.pop(values.get(f"{event.partition('_')[0]}.id", ""), None)
        elif event == "project_deleted":
            gone = values.get("project.id", "")
            self.issues = {issue: known for issue, known in self.issues.items() if known[0] != gone}
            self.projects.discard(gone)
        elif event == "space_removed":
            gone = values.get("space.key", "")
            self.contents = {content: space for content, space in self.contents.items() if space != gone}
            self.spaces.discard(gone)

    def reply(self, path: str) -> StatusAndBody | None:
        """Return the response to GET of an object or of the add-on's own account; None for other resources."""
        if path in ("/rest/api/3/myself", "/rest/api/2/myself", "/rest/api/user/current"):
            return 200, {"accountId": "addon", "accountType": "app", "type": "known", "displayName": "Add-on"}
        resources = (_ISSUE, self._issue), (_PROJECT, self._project), (_CONTENT, self._content), (_SPACE, self._space)
        for pattern, body_of in resources:
            if match := pattern.fullmatch(path):
                body = body_of(unquote(match[1]))
                return None if body is None else (200, body)
        return None

    def _issue(self, name: str) -> dict[str, Any] | None:
        for issue, (project, key) in self.issues.items():
            if name in (issue, key):
                fields = {"project": {"id": project, "key": key.rpartition("-")[0]}}
                return {"id": issue, "key": key, "fields": fields}
        return None

    def _project(self, name: str) -> dict[str, Any] | None:
        return {"id": name} if name in self.projects else None

    def _content(self, name: str) -> dict[str, Any] | None:
        space = self.contents.get(name)
        return None if space is None else {"id": name, "type": "page", "status": "current", "space": {"key": space}}

    def _space(self, name: str) -> dict[str, Any] | None:
        return {"key": name} if name in self.spaces else None
