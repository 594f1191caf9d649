"""Fixtures: a deployment with only this plugin, and the checklist of an issue in a simulated Jira."""

from collections.abc import Mapping
from typing import Any

import pytest

ISSUE = {"id": "10001", "key": "AB-1"}
OTHER_ISSUE = {"id": "10002", "key": "AB-2"}


@pytest.fixture
def addonkit_config() -> Mapping[str, Any]:
    """A configuration with only the checklist plugin."""
    return {"addon": {"plugins": ["issue_panel"]}}


@pytest.fixture
def open_list(host):
    """Open the checklist of an issue with ``host.open``."""

    async def open_it(issue=ISSUE, **options):
        return await host.open("issue-panel-panel", issue=issue, **options)

    return open_it


@pytest.fixture
async def page(open_list):
    """The checklist of the first issue, opened by the first user."""
    return await open_list()


@pytest.fixture
async def colleague(open_list):
    """The same checklist, opened by another user."""
    return await open_list(account="acc-2")


@pytest.fixture
def add():
    """Add items to a page's list; return the JSON of the last response."""

    async def add_them(page, *texts):
        for text in texts:
            response = await page.fetch("items", method="POST", json={"text": text})
            assert response.status_code == 201, response.text
        return response.json()

    return add_them


@pytest.fixture
def texts():
    """Return the texts of the items in a page's list, in order."""

    async def read_them(page):
        return [item["text"] for item in (await page.fetch("items")).json()["items"]]

    return read_them
