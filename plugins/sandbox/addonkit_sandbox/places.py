"""The places where the simulated products show the descriptor's modules.

Conditions are not evaluated: every module of the descriptor is shown.
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
    """A module with the label of its frame.

    Attributes:
        type: The module type.
        key: The module's key.
        name: The module's name; its key if it has none.
        icon: Absolute URL of the icon; empty if there is none.
        module: The module as declared in the descriptor.
    """

    type: str
    key: str
    name: str
    icon: str
    module: Mapping[str, Any]

    def is_sidebar_panel(self) -> bool:
        """Return whether an issue shows the module in the column beside its description."""
        return self.type in ISSUE_ASIDE or "right" in str(self.module.get("location", ""))


def places_of(descriptor: Descriptor, types: Iterable[str]) -> list[Place]:
    """Return the modules of these types, in the descriptor's order."""
    wanted = frozenset(types)
    return [_place(descriptor, type_, module) for type_, module in modules_of(descriptor) if type_ in wanted]


def issue_panels(descriptor: Descriptor) -> list[Place]:
    """Return the panels of an issue: issue modules, and web panels with a location in Jira."""
    found = places_of(descriptor, ISSUE_BODY | ISSUE_ASIDE | {"webPanels"})
    return [place for place in found if place.type != "webPanels" or _is_in_jira(place)]


def page_panels(descriptor: Descriptor) -> list[Place]:
    """Return the web panels that a page in Confluence shows below its text."""
    return [place for place in places_of(descriptor, {"webPanels"}) if not _is_in_jira(place)]


def _is_in_jira(place: Place) -> bool:
    return "jira" in str(place.module.get("location", ""))


def _place(descriptor: Descriptor, type_: str, module: Mapping[str, Any]) -> Place:
    key = str(module.get("key", type_))
    name = (module.get("name") or {}).get("value") or key
    icon = str((module.get("icon") or {}).get("url", ""))
    if icon and "://" not in icon:
        icon = f"{descriptor['baseUrl']}/{icon.removeprefix('/')}"
    return Place(type_, key, name, icon, module)
