"""Which of the descriptor's modules show where in the simulated products.

Conditions are not evaluated: a module that stands in the descriptor is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from addonkit.testing import Descriptor, modules_of

ISSUE_BODY = frozenset({"jiraIssueContents", "jiraIssueTabPanels"})
ISSUE_ASIDE = frozenset({"jiraIssueContexts", "jiraIssueGlances"})
PAGES = frozenset({"generalPages", "adminPages", "configurePage", "postInstallPage"})
JIRA_PAGES = PAGES | {"jiraProjectPages", "jiraProjectAdminTabPanels", "jiraReports"}
CONFLUENCE_PAGES = PAGES | {"spaceToolsTabs"}
MACROS = frozenset({"dynamicContentMacros", "staticContentMacros"})


@dataclass(frozen=True, slots=True)
class Place:
    """A module with what its frame is labelled.

    Attributes:
        type: The module's type.
        key: Its key.
        name: Its name, or its key.
        icon: Absolute URL of its icon; empty without one.
        module: What stands in the descriptor.
    """

    type: str
    key: str
    name: str
    icon: str
    module: Mapping[str, Any]

    def is_beside_an_issue(self) -> bool:
        """Whether it stands in the column of an issue's details."""
        return self.type in ISSUE_ASIDE or "right" in str(self.module.get("location", ""))


def of_types(descriptor: Descriptor, types: Iterable[str]) -> list[Place]:
    """The modules of these types, in the descriptor's order."""
    wanted = frozenset(types)
    return [_place(descriptor, kind, module) for kind, module in modules_of(descriptor) if kind in wanted]


def on_issue(descriptor: Descriptor) -> list[Place]:
    """What an issue shows: its own kinds of panel, and web panels at a place in Jira."""
    found = of_types(descriptor, ISSUE_BODY | ISSUE_ASIDE | {"webPanels"})
    return [place for place in found if place.type != "webPanels" or _is_in_jira(place)]


def on_document(descriptor: Descriptor) -> list[Place]:
    """Web panels that a page in Confluence shows below its text."""
    return [place for place in of_types(descriptor, {"webPanels"}) if not _is_in_jira(place)]


def _is_in_jira(place: Place) -> bool:
    return "jira" in str(place.module.get("location", ""))


def _place(descriptor: Descriptor, kind: str, module: Mapping[str, Any]) -> Place:
    key = str(module.get("key", kind))
    name = (module.get("name") or {}).get("value") or key
    icon = str((module.get("icon") or {}).get("url", ""))
    if icon and "://" not in icon:
        icon = f"{descriptor['baseUrl']}{icon}"
    return Place(kind, key, name, icon, module)
