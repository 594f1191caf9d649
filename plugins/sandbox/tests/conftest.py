"""Fixtures: the simulated host's web application for a descriptor, with small files instead of the library."""

import pytest
from addonkit_sandbox.bridge import Bridge
from addonkit_sandbox.simulation import Simulation
from addonkit_sandbox.state import State
from addonkit_sandbox.web import create_web

ORIGIN = "http://127.0.0.1:9000"
DESCRIPTOR = {
    "key": "com.example.test",
    "name": "Test",
    "baseUrl": "http://localhost:8000",
    "scopes": ["READ"],
    "enableLicensing": True,
    "lifecycle": {
        "installed": "/installed",
        "enabled": "/enabled",
        "disabled": "/disabled",
        "uninstalled": "/uninstalled",
    },
    "modules": {
        "jiraIssueContents": [
            {"key": "contents", "name": {"value": "Checklist"}, "target": {"url": "/contents?key={issue.key}"}}
        ],
        "jiraIssueGlances": [{"key": "glance", "name": {"value": "Glance"}, "target": {"url": "/glance"}}],
        "jiraIssueContexts": [{"key": "context", "name": {"value": "Context"}, "target": {"url": "/context"}}],
        "webPanels": [
            {
                "key": "right",
                "name": {"value": "Right"},
                "location": "atl.jira.view.issue.right.context",
                "url": "/right",
            },
            {"key": "footer", "name": {"value": "Footer"}, "location": "atl.footer", "url": "/footer"},
        ],
        "configurePage": {"key": "configure", "name": {"value": "Configure"}, "url": "/configure"},
        "dynamicContentMacros": [
            {
                "key": "poll",
                "name": {"value": "Poll"},
                "url": "/poll?poll={poll}",
                "editor": {"url": "/editor?poll={poll}"},
            }
        ],
    },
}


@pytest.fixture
def library(tmp_path):
    """A folder with stand-ins for the files of the host's JavaScript library."""
    folder = tmp_path / "node_modules" / "atlassian-connect-js" / "dist"
    (folder / "themes").mkdir(parents=True)
    (folder / "connect-host.js").write_text("// the host's half")
    (folder / "iframe.js").write_text('  var CDN_URL = "https://" + CDN_DOMAIN;\n')
    (folder / "themes" / "light.css").write_text("html {}")
    return folder


@pytest.fixture
def simulation(tmp_path, library):
    """A simulation that has read the descriptor."""
    state = State(tmp_path / ".sandbox", ORIGIN)
    return Simulation(ORIGIN, "http://localhost:8000", state, Bridge(library), DESCRIPTOR)


@pytest.fixture
def ask(simulation):
    """Send a request to the simulated host with the headers that its own pages send."""
    client = create_web(simulation).test_client()

    async def ask_it(path, method="GET", headers=None, **options):
        own = {"Host": "127.0.0.1:9000", "Origin": ORIGIN, **(headers or {})}
        return await client.open(
            path, method=method, headers={k: v for k, v in own.items() if v is not None}, **options
        )

    return ask_it
