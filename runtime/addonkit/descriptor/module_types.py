"""The host's module types as a table: the products that read each, its required and optional fields, and its URLs.

Rules for the values of fields are in ``checks``.

Source: the Connect module schemas of Jira (61 names) and Confluence (22 names) as shipped with the host's manifest
tooling in October 2026, and the Jira descriptor schema of 2020 for what is a list and what a single object. Where the
latter is silent, the providers are single objects and the rest lists, as recalled from the host's documentation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from addonkit.context import Product

Box = Literal["list", "single", "field"]


# Compared by identity (eq=False), which also halves the time to create the class.
@dataclass(frozen=True, slots=True, eq=False)
class ModuleType:
    """One module type of the host.

    Attributes:
        name: Its name, such as ``jiraIssueContents``.
        products: The products that read it.
        box: Whether ``modules`` holds a list of them or one object, or the descriptor has one as a field at its top.
        required: Fields that the host requires.
        optional: The other fields that the host reads; it ignores all others.
        urls: Dotted paths of the fields with URLs of the add-on; ``*`` matches each key or each index of a list.
        page_url: The field with the URL of its page, ``url`` or ``target.url``; None for types without a page, and for
            types with several, whose URLs the plugin sets itself.
    """

    name: str
    products: frozenset[Product]
    box: Box
    required: tuple[str, ...]
    optional: tuple[str, ...]
    urls: tuple[str, ...]
    page_url: str | None

    @property
    def may_link(self) -> bool:
        """Whether its ``url`` may also link into the product or to another site, depending on ``context``."""
        return "context" in self.optional and "url" in self.urls


JIRA: frozenset[Product] = frozenset({"jira"})
CONFLUENCE: frozenset[Product] = frozenset({"confluence"})
BOTH: frozenset[Product] = JIRA | CONFLUENCE

# One row per type: name | box | required | optional | URL fields. ``@`` marks the URL field that holds the page; a
# backslash continues a row.
_BOTH = """
adminPages | list | name url key | icon weight fullPage cacheable location conditions params | @url
configurePage | single | name url key | icon weight fullPage cacheable location conditions params | @url
dialogs | list | url key | options cacheable | @url
generalPages | list | name url key | icon weight cacheable location conditions params | @url
keyboardShortcuts | list | shortcut name target key | context |
postInstallPage | single | name url key | icon weight cacheable location conditions params | @url
webhooks | list | event url | key filter excludeBody conditions propertyKeys | url
webItems | list | name location key | styleClasses tooltip icon weight params url target context cacheable \
    conditions | @url
webPanels | list | name location url key | layout tooltip weight cacheable supportsNative conditions params | @url
webSections | list | name location key | tooltip weight conditions params |
"""

_JIRA = """
assetPanels | list | name url key | | @url
automationActions | list | webhook name key | configForm requires | webhook.url configForm.url
jiraBackgroundScripts | list | location url key | | @url
jiraBuildInfoProvider | single | homeUrl name key | documentationUrl actions logoUrl |
jiraDashboardItems | list | name description url thumbnailUrl key | conditions configurable refreshable | @url
jiraDeploymentGating | list | name callback key | | callback.url
jiraDeploymentInfoProvider | single | homeUrl name key | documentationUrl actions logoUrl | actions.*.templateUrl
jiraDevelopmentTool | single | capabilities application name url logoUrl key | actions | actions.*.templateUrl
jiraDevOpsComponentProvider | single | homeUrl name key | logoUrl documentationUrl actions | actions.*.templateUrl
jiraEntityProperties | list | name key | entityType keyConfigurations |
jiraFeatureFlagInfoProvider | single | homeUrl name key | documentationUrl actions logoUrl | actions.*.templateUrl
jiraGlobalPermissions | list | name description key | defaultGrants anonymousAllowed |
jiraIssueContents | list | icon tooltip name target key | conditions contentPresentConditions \
    jiraNativeAppsEnabled | @target.url
jiraIssueContexts | list | icon name content target key | conditions jiraNativeAppsEnabled | @target.url
jiraIssueFields | list | name description type key | template property extractions | template.url
jiraIssueGlances | list | icon name content target key | conditions jiraNativeAppsEnabled | @target.url
jiraIssueTabPanels | list | name url key | weight conditions params | @url
jiraIssueTypes | list | name description type key | |
jiraJqlFunctions | list | types operators name arguments url key | | url
jiraOperationsInfoProvider | single | homeUrl name key | logoUrl documentationUrl actions | actions.*.templateUrl
jiraProjectAdminTabPanels | list | name url key | weight location conditions params | @url
jiraProjectPages | list | name url key | weight iconUrl conditions | @url
jiraProjectPermissions | list | name description key | category conditions |
jiraProjectTabPanels | list | name url key | weight conditions params | @url
jiraRemoteLinkInfoProvider | single | homeUrl name key | documentationUrl actions logoUrl | actions.*.templateUrl
jiraReports | list | name description url key | reportCategory thumbnailUrl | @url
jiraSearchRequestViews | list | name url key | weight description conditions params | @url
jiraSecurityInfoProvider | single | key | name homeUrl logoUrl documentationUrl actions | actions.*.templateUrl
jiraTimeTrackingProviders | list | name key | adminPageKey |
jiraWorkflowConditions | list | expression name key | view edit evaluationContext description create | create.url \
    edit.url view.url
jiraWorkflowPostFunctions | list | triggered name key | view edit description create | create.url edit.url \
    triggered.url view.url
jiraWorkflowValidators | list | expression errorMessage name key | view edit evaluationContext description create \
    | create.url edit.url view.url
serviceDeskOrganizationActions | list | name key | tooltip weight conditions url target | @url
serviceDeskOrganizationPanels | list | url key | weight conditions | @url
serviceDeskPortalFooters | list | url key | weight conditions pages | @url
serviceDeskPortalHeaders | list | url key | weight conditions pages | @url
serviceDeskPortalProfileActions | list | name url key | context weight conditions target | @url
serviceDeskPortalProfilePanels | list | url key | weight conditions | @url
serviceDeskPortalRequestCreatePropertyPanels | list | url key | weight conditions | @url
serviceDeskPortalRequestViewActions | list | name url key | icon context weight conditions target | @url
serviceDeskPortalRequestViewDetailsPanels | list | url key | weight conditions | @url
serviceDeskPortalRequestViewPanels | list | url key | weight conditions | @url
serviceDeskPortalSubHeaders | list | url key | weight conditions pages | @url
serviceDeskPortalUserMenuActions | list | name url key | context weight conditions target | @url
serviceDeskQueueGroups | list | name key | weight conditions |
serviceDeskQueues | list | name key | weight conditions url group | @url
serviceDeskReportGroups | list | name key | weight conditions |
serviceDeskReports | list | name key | weight conditions url group | @url
"""

_CONFLUENCE = """
blueprints | list | template name key | icon description createResult | template.url template.blueprintContext.url
confluenceContentProperties | list | name key | keyConfigurations |
confluenceThemes | list | name key | routes lookAndFeel icon routeOverride description availableGlobally | routes.*.url
contentBylineItems | list | name key | context tooltip icon cacheable conditions params contentPropertyKey url \
    target | @url
customContent | list | uiSupport name apiSupport key | description |
dynamicContentMacros | list | name url key | bodyType editor featured aliases hidden renderModes documentation \
    icon description outputType propertyPanel autoconvert imagePlaceholder refDataSchema width cacheable \
    categories parameters height | @url editor.url propertyPanel.url renderModes.*.url
publishConditions | list | errorMessage name key | dialog context conditions params | dialog.url
spaceToolsTabs | list | name url key | weight location conditions params | @url
staticContentMacros | list | name url key | bodyType editor featured aliases hidden documentation icon description \
    outputType propertyPanel autoconvert imagePlaceholder renderingMethod categories parameters | @url editor.url \
    propertyPanel.url
"""

# Modules of manifests that are fields at the top of a descriptor, without a key. Source: the descriptor's and the
# manifest's schemas.
_FIELDS = """
cloudAppMigration | field | migrationWebhookPath | | migrationWebhookPath
translations | field | paths | |
"""

_UNKNOWN_URLS = ("url", "target.url")
"""Where most types keep the URL of their page."""

ELSEWHERE: Mapping[str, str] = MappingProxyType(
    {
        "lifecycle": "'lifecycle' at its top, which the runtime fills; implement 'addon_installed' "
        "and the other lifecycle hooks",
    }
)
"""Modules of manifests that the runtime itself adds to a descriptor, as top-level fields: what to do instead."""


_BOXES: Mapping[str, Box] = {"list": "list", "single": "single", "field": "field"}


def _read(table: str, products: frozenset[Product]) -> Iterator[tuple[str, ModuleType]]:
    for line in table.strip().splitlines():
        name, box, required, optional, urls = (cell.strip() for cell in line.split("|"))
        page = next((url[1:] for url in urls.split() if url.startswith("@")), None)
        yield (
            name,
            ModuleType(
                name=name,
                products=products,
                box=_BOXES[box],
                required=tuple(required.split()),
                optional=tuple(optional.split()),
                urls=tuple(url.removeprefix("@") for url in urls.split()),
                page_url=page,
            ),
        )


MODULE_TYPES: Mapping[str, ModuleType] = MappingProxyType(
    dict((*_read(_BOTH, BOTH), *_read(_JIRA, JIRA), *_read(_CONFLUENCE, CONFLUENCE)))
)
"""Every type of the descriptor's ``modules`` that a plugin can declare, by name."""
FIELDS: Mapping[str, ModuleType] = MappingProxyType(dict(_read(_FIELDS, BOTH)))
"""Fields at the top of a descriptor that a plugin can declare like a module, by name."""
DECLARABLE: Mapping[str, ModuleType] = MappingProxyType({**MODULE_TYPES, **FIELDS})
"""Everything that a plugin can declare, by name."""


def module_type(name: str) -> ModuleType:
    """Return a module type; for a name that is not in the table, a list of modules with a page at ``url``.

    The host may have types that this release does not know. Their ``url`` may also be a link.
    """
    return DECLARABLE.get(name) or ModuleType(name, BOTH, "list", (), ("context",), _UNKNOWN_URLS, "url")
