"""A deployment with this plugin alone, and an issue to try it on."""

from collections.abc import Mapping
from typing import Any

import pytest

ISSUE = {"id": "10001", "key": "AB-1"}
OTHER_ISSUE = {"id": "10002", "key": "AB-2"}


@pytest.fixture
def addonkit_config() -> Mapping[str, Any]:
    """Nothing but the checklist."""
    return {"addon": {"plugins": ["issue_panel"]}}


@pytest.fixture
def open_list(host):
    """Opens the checklist of an issue, as ``host.open`` does."""

    async def open_it(issue=ISSUE, **options):
        return await host.open("issue-panel-panel", issue=issue, **options)

    return open_it


@pytest.fixture
async def page(open_list):
    """The checklist of the first issue as its first user sees it."""
    return await open_list()


@pytest.fixture
async def colleague(open_list):
    """The same checklist in another user's browser."""
    return await open_list(account="acc-2")


@pytest.fixture
def add():
    """Puts items on a page's list and gives what the last answer says."""

    async def add_them(page, *texts):
        for text in texts:
            response = await page.fetch("items", method="POST", json={"text": text})
            assert response.status_code == 201, response.text
        return response.json()

    return add_them


@pytest.fixture
def texts():
    """The texts that a page's list holds, in order."""

    async def read_them(page):
        return [item["text"] for item in (await page.fetch("items")).json()["items"]]

    return read_them
