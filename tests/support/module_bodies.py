"""A body for each module type, with as many fields as a test needs; types without an entry have that of ``PANEL``."""

TEXT = {"value": "Text", "i18n": "kit.text"}
PAGE = {"name": TEXT, "url": "/kit/page?issue={issue.key}"}
ICON = {"width": 16, "height": 16, "url": "/kit/static/icon.svg"}
PANEL = {"url": "/kit/panel", "weight": 10, "conditions": [{"condition": "user_is_logged_in", "invert": False}]}
LABEL = {"type": "label", "label": TEXT}
PROVIDER = {"name": TEXT, "homeUrl": "https://kit.example.com", "logoUrl": "/kit/static/logo.svg"}
EITHER = [{"type": "or", "conditions": [{"condition": "user_is_admin"}, {"type": "and", "conditions": []}]}]
COMPONENT = {"moduleKey": "kit-page"}


def actions(*names):
    return {name: {"templateUrl": f"/kit/{name}"} for name in names}


BODIES = {
    "adminPages": PAGE | {"location": "advanced_menu_section/advanced_section", "conditions": EITHER},
    "configurePage": PAGE,
    "dialogs": {"url": "/kit/dialog", "options": {"size": "large", "header": TEXT}},
    "generalPages": PAGE | {"icon": ICON, "weight": 5},
    "keyboardShortcuts": {"shortcut": "abc", "name": TEXT, "target": {"key": "kit-page"}},
    "postInstallPage": PAGE,
    "webhooks": {"event": "jira:issue_created", "url": "/webhooks/kit/created", "excludeBody": False},
    "webItems": {"name": TEXT, "location": "x", "url": "kit-page", "context": "page", "target": {"type": "dialog"}},
    "webPanels": PAGE | {"location": "x", "layout": {"width": "100%", "height": "20px"}},
    "webSections": {"name": TEXT, "location": "x"},
    "assetPanels": PAGE,
    "automationActions": {"name": TEXT, "webhook": {"url": "/kit/run"}, "configForm": {"url": "/kit/form"}},
    "jiraBackgroundScripts": {"location": {"type": "issue_view"}, "url": "/kit/script"},
    "jiraBuildInfoProvider": PROVIDER,
    "jiraDashboardItems": PAGE | {"description": TEXT, "thumbnailUrl": "/kit/static/t.png", "configurable": True},
    "jiraDeploymentGating": {"name": TEXT, "callback": {"type": "jwt", "url": "/kit/gate"}},
    "jiraDeploymentInfoProvider": PROVIDER | {"actions": actions("listDeployments")},
    "jiraDevelopmentTool": {
        "name": TEXT,
        "application": TEXT,
        "capabilities": ["commit", "branch"],
        "url": "https://kit.example.com",
        "logoUrl": "https://kit.example.com/logo.svg",
        "actions": actions("createBranch", "searchRepositories"),
    },
    "jiraDevOpsComponentProvider": PROVIDER | {"actions": actions("associate", "disassociate")},
    "jiraEntityProperties": {"name": TEXT, "entityType": "issue"},
    "jiraFeatureFlagInfoProvider": PROVIDER | {"actions": actions("createFlag", "linkFlag", "listFlags")},
    "jiraGlobalPermissions": {"name": TEXT, "description": TEXT, "anonymousAllowed": False},
    "jiraIssueContents": {
        "name": TEXT,
        "tooltip": TEXT,
        "icon": ICON,
        "target": {"type": "web_panel", "url": "/kit/panel?issue_key={issue.key}"},
    },
    "jiraIssueContexts": {
        "name": TEXT,
        "icon": ICON,
        "content": LABEL,
        "target": {"type": "web_panel", "url": "/kit/c"},
    },
    "jiraIssueFields": {"name": TEXT, "description": TEXT, "type": "string"},
    "jiraIssueGlances": {
        "name": TEXT,
        "icon": ICON,
        "content": LABEL,
        "target": {"type": "web_panel", "url": "/kit/g"},
    },
    "jiraIssueTabPanels": PAGE | {"conditions": EITHER},
    "jiraIssueTypes": {"name": TEXT, "description": TEXT, "type": "standard"},
    "jiraJqlFunctions": {
        "name": "kitIssues",
        "types": ["issue"],
        "operators": ["in"],
        "arguments": [{"name": "a", "required": True}],
        "url": "/kit/jql",
    },
    "jiraOperationsInfoProvider": PROVIDER | {"actions": actions("fetchWorkspaces", "searchContainers")},
    "jiraProjectAdminTabPanels": PAGE | {"location": "projectgroup3"},
    "jiraProjectPages": PAGE | {"iconUrl": "/kit/static/icon.svg"},
    "jiraProjectPermissions": {"name": TEXT, "description": TEXT, "category": "projects"},
    "jiraProjectTabPanels": PAGE,
    "jiraRemoteLinkInfoProvider": PROVIDER
    | {"actions": [{"actionId": "a", "actionLabel": {"value": TEXT}, "templateUrl": "/kit/link"}]},
    "jiraReports": PAGE | {"description": TEXT, "reportCategory": "agile", "thumbnailUrl": "/kit/static/t.png"},
    "jiraSearchRequestViews": PAGE,
    "jiraSecurityInfoProvider": PROVIDER | {"actions": actions("fetchContainers", "onEntityAssociated")},
    "jiraTimeTrackingProviders": {"name": TEXT, "adminPageKey": "kit-page"},
    "jiraWorkflowConditions": {"name": TEXT, "expression": "true", "create": {"url": "/kit/create"}},
    "jiraWorkflowPostFunctions": {"name": TEXT, "triggered": {"url": "/kit/run"}, "edit": {"url": "/kit/edit"}},
    "jiraWorkflowValidators": {"name": TEXT, "expression": "true", "errorMessage": TEXT, "view": {"url": "/kit/view"}},
    "serviceDeskOrganizationActions": {"name": TEXT, "url": "/kit/organization"},
    "serviceDeskPortalFooters": PANEL | {"pages": ["portal"]},
    "serviceDeskPortalHeaders": PANEL | {"pages": ["help_center"]},
    "serviceDeskPortalProfileActions": PAGE,
    "serviceDeskPortalRequestViewActions": PAGE | {"context": "addon", "target": {"type": "dialog"}},
    "serviceDeskPortalSubHeaders": PANEL,
    "serviceDeskPortalUserMenuActions": PAGE,
    "serviceDeskQueueGroups": {"name": TEXT},
    "serviceDeskQueues": {"name": TEXT, "url": "/kit/queue", "group": "kit-queuegroups"},
    "serviceDeskReportGroups": {"name": TEXT},
    "serviceDeskReports": {"name": TEXT, "url": "/kit/report"},
    "blueprints": {"name": TEXT, "template": {"url": "/kit/template", "blueprintContext": {"url": "/kit/context"}}},
    "confluenceContentProperties": {"name": TEXT},
    "confluenceThemes": {"name": TEXT, "routes": {"spaceview": {"url": "/kit/space"}}},
    "translations": {"paths": {"en-US": "/kit/static/en.json", "de-DE": "https://kit.example.com/de.json"}},
    "cloudAppMigration": {"migrationWebhookPath": "/kit/migrated"},
    "contentBylineItems": {"name": TEXT, "url": "/kit/byline", "context": "addon", "tooltip": TEXT},
    "customContent": {
        "name": TEXT,
        "apiSupport": {"supportedContainerTypes": ["space"]},
        "uiSupport": {"contentViewComponent": COMPONENT, "icons": {"item": ICON}},
    },
    "dynamicContentMacros": PAGE
    | {
        "parameters": [{"identifier": "poll", "name": TEXT, "type": "string"}],
        "editor": {"url": "/kit/editor", "insertTitle": TEXT},
        "renderModes": {"pdf": {"url": "/kit/pdf"}, "default": {"url": "/kit/static-view"}},
    },
    "publishConditions": {"name": TEXT, "errorMessage": TEXT, "dialog": {"url": "/kit/publish"}},
    "spaceToolsTabs": PAGE,
    "staticContentMacros": PAGE | {"outputType": "block", "bodyType": "none"},
}
