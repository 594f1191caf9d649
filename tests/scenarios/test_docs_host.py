"""Runs the examples of docs/host.md as one plugin: its handlers and single lines call a simulated host."""

from __future__ import annotations

import importlib.util
import re
import sys
import textwrap
from functools import cached_property
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import pytest_asyncio
from addonkit import Context, Licence
from addonkit.app import Addon, Deployment
from addonkit.current import plugin_scope
from addonkit.extension.discovery import Installed
from addonkit.settings import read_settings
from addonkit.tenancy.record import IdentityKind
from addonkit.tenant_data.scope import tenant_scope
from addonkit.testing import Host, InstallKeys, RestApi
from addonkit.testing.databases import create_tables, database_settings
from addonkit.testing.exchange import Reply

ROOT = Path(__file__).parent.parent.parent
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PREAMBLE = "from pydantic import BaseModel\n\n\n"
START = """
from quart import render_template_string


@plugin.module("generalPages", name="Start")
async def start(issue_id: str, project_id: str) -> str:
    return await render_template_string("<html><head>{{ addonkit_head() }}</head></html>")
"""

pytestmark = pytest.mark.asyncio(loop_scope="module")


def source():
    """Return the source of the plugin; examples that are single lines become functions."""
    parts = []
    for number, block in enumerate(BLOCK.findall((ROOT / "docs" / "host.md").read_text())):
        is_single_line = re.search(r"\b(await|async for)\b", block) and not re.search(
            r"^async def", block, re.MULTILINE
        )
        if is_single_line:
            body = textwrap.indent(block, "    ")
            head = f"async def single_{number}(context, issue_id='10001', content_id='5'):"
            block = f"{head}\n{body}    return dict(locals())\n"
        parts.append(block)
    return PREAMBLE + "\n\n".join([*parts, START])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shown(tmp_path_factory):
    directory = tmp_path_factory.mktemp("host")
    (directory / "shown_summary.py").write_text(source())
    spec = importlib.util.spec_from_file_location("shown_summary", directory / "shown_summary.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["shown_summary"] = module
    spec.loader.exec_module(module)
    module.plugin.scopes |= {"ACT_AS_USER"}
    entry = EntryPoint("summary", "shown_summary:plugin", "addonkit")

    class Shown(Deployment):
        @cached_property
        def installed(self):
            return {"summary": (Installed("summary", "addonkit-summary", "1", entry),)}

    keys = InstallKeys()
    rest = RestApi(keys)
    async with rest.serve() as url:
        settings = {
            "addon": {"key": "a", "name": "A", "base_url": "http://localhost:8000", "plugins": ["summary"]},
            "database": database_settings(directory, create=False),
            "host": {"install_keys": [url], "token_server": url, "domains": ["127.0.0.1"]},
        }
        addon = Addon(Shown(read_settings(None, settings), directory))
        await create_tables(addon.deployment.location, {})
        async with Host(addon, keys, "http://localhost:8000", rest) as host:
            await host.install()
            module.host, module.addon = host, addon
            yield module
    del sys.modules["shown_summary"]


@pytest_asyncio.fixture(loop_scope="module")
async def page(shown):
    return await shown.host.open(
        "summary-start", issue={"id": "10001", "key": "AB-1"}, project={"id": "7", "key": "AB"}
    )


async def test_docs_page_shows_the_issue_or_the_error(shown, page):
    shown.host.rest.answer("GET", "/rest/api/3/issue/10001", {"fields": {"summary": "A bike"}})
    assert (await page.fetch("summary")).json() == {"summary": "A bike"}
    shown.host.rest.answer("GET", "/rest/api/3/issue/10001", {"errorMessages": ["Not yours"]}, status=404)
    assert (await page.fetch("summary")).json() == {"summary": "", "why": "Not yours"}


async def test_docs_job_labels_the_issue(shown):
    shown.host.rest.answer("PUT", "/rest/api/3/issue/10001", status=204)
    record = await shown.addon.directory.get(IdentityKind.CLIENT_KEY, shown.host.site.client_key)
    with tenant_scope(record.tenant):
        await shown.label.enqueue(issue_id="10001")
    await shown.host.settled()
    [call] = shown.host.rest.requests_to("PUT", "/rest/api/3/issue/10001")
    assert call.json() == {"update": {"labels": [{"add": "seen"}]}}


async def test_docs_comment_is_made_as_the_user(shown, page):
    shown.host.rest.answer("POST", "/rest/api/3/issue/10001/comment", {"id": "1"}, status=201)
    assert (await page.fetch("comment", "POST", {"text": "Hello"})).status_code == 204
    [call] = shown.host.rest.requests_to("POST", "/rest/api/3/issue/10001/comment")
    assert call.account_id == "acc-1"
    assert call.json()["body"]["content"][0]["content"] == [{"type": "text", "text": "Hello"}]


async def test_docs_renaming_requires_a_permission(shown, page):
    assert (await page.fetch("rename", "POST", {"name": "x"})).status_code == 204
    shown.host.rest.resources.deny("ADMINISTER_PROJECTS", "acc-2")
    other = await shown.host.open("summary-start", account="acc-2", issue={"id": "1"}, project={"id": "7"})
    assert (await other.fetch("rename", "POST", {"name": "x"})).status_code == 403


async def test_docs_job_copies_a_file(shown):
    rest = shown.host.rest
    rest.answer("GET", "/rest/api/3/attachment/content/5", content=b"file", headers={"content-type": "image/png"})
    rest.answer("POST", "/rest/api/3/issue/10001/attachments", [{"id": "6", "filename": "copy.png"}])
    record = await shown.addon.directory.get(IdentityKind.CLIENT_KEY, shown.host.site.client_key)
    with tenant_scope(record.tenant):
        await shown.copy.enqueue(number="5", issue_id="10001")
    await shown.host.settled()
    [call] = rest.requests_to("POST", "/rest/api/3/issue/10001/attachments")
    assert b"Content-Type: image/png\r\n\r\nfile" in call.body


async def test_docs_review_tells_a_hidden_page_from_a_forbidden_one(shown):
    rest = shown.host.rest
    wiki = await shown.host.install("confluence")
    record = await shown.addon.directory.get(IdentityKind.CLIENT_KEY, wiki.client_key)

    async def review(account, content_id):
        with plugin_scope("summary"):
            answer = await shown.review(Context(record.tenant, account, Licence.UNKNOWN), content_id)
        return answer["answer"]

    assert await review("acc-1", "5") == "thank you"
    rest.resources.deny("read", "acc-2")
    assert await review("acc-2", "5") == "you have no access to the page"
    rest.answer("POST", "/rest/api/content/6/permission/check", status=403)
    assert await review("acc-1", "6") == "ask an administrator to give this app access to the page"


async def test_docs_single_lines_run(shown):
    rest = shown.host.rest
    rest.answer("GET", "/rest/api/3/search/jql", by=lambda _: Reply({"issues": [{"id": "1"}], "isLast": True}))
    wiki = await shown.host.install("confluence")
    singles = [getattr(shown, name) for name in vars(shown) if name.startswith("single_")]
    found = {}
    for lines in singles:
        site = wiki if "may_read" in lines.__code__.co_names else shown.host.site
        record = await shown.addon.directory.get(IdentityKind.CLIENT_KEY, site.client_key)
        with plugin_scope("summary"):
            found |= await lines(Context(record.tenant, "acc-1", Licence.UNKNOWN))
    assert (len(singles), found["allowed"], found["readable"]) == (5, True, True)
    assert found["editable"] == {"10001", "10002"}
    assert found["users"]["5b10a2844c20165700ede21g"].name.startswith("User ")
