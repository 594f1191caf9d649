"""All plugins in a simulated Jira and Confluence, as `make run` starts them, in a real browser."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import sys
from pathlib import Path

import pytest
from addonkit.testing.databases import database_variables

ROOT = Path(__file__).parent.parent.parent
CONFIG = ROOT / "examples" / "team-kit" / "addon.toml"


def free_ports(count):
    """Return ports that are not in use."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture
async def sandbox(tmp_path):
    """The URLs that the sandbox prints once it is ready, by name."""
    if not (ROOT / "node_modules" / "atlassian-connect-js").exists():
        pytest.skip("the host's JavaScript is not installed; run 'npm ci --ignore-scripts'")
    shutil.copy(CONFIG, tmp_path)
    port, host_port = free_ports(2)
    command = ["sandbox", "--config", str(tmp_path / "addon.toml"), "--port", str(port), "--host-port", str(host_port)]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "addonkit", *command, "--deployment-database"),
        cwd=ROOT,
        env={**os.environ, **database_variables(tmp_path)},
        stdout=asyncio.subprocess.PIPE,
    )
    urls = {}
    async with asyncio.timeout(60):
        while "Ctrl+C" not in (line := (await process.stdout.readline()).decode()):
            assert line, "the sandbox exited before it was ready"
            if found := re.match(r"  (\w[\w ]*?) +(http\S+)", line):
                urls[found[1]] = found[2]
    yield urls
    process.terminate()
    assert await asyncio.wait_for(process.wait(), 60) == 0


@pytest.fixture
async def tab(chromium):
    """A browser tab; after the test, its console must be empty."""
    context = await chromium.new_context(viewport={"width": 1280, "height": 800})
    page = await context.new_page()
    page.set_default_timeout(15_000)
    messages = []
    page.on("console", lambda message: messages.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: messages.append(f"error: {error}"))
    page.messages = messages
    yield page
    # Chromium itself reports pages that respond with 403, as the test of licences expects.
    assert [line for line in messages if "status of 403" not in line] == []
    await context.close()


def frame_of(tab, part):
    return tab.frame_locator(f"iframe[src*='{part}']")


async def follow(tab, link):
    """Click a link and wait until the new page has loaded."""
    async with tab.expect_navigation():
        await tab.get_by_role("link", name=link).click()


async def select(tab, label, option):
    """Select an option in the sandbox's bar and wait for the new page, because the old one stays for a while."""
    async with tab.expect_navigation():
        await tab.get_by_label(label).select_option(option)


async def test_checklist_keeps_its_items_after_a_reload(sandbox, tab):
    await tab.goto(sandbox["Jira issue"])
    panel = frame_of(tab, "/issue_panel/panel")
    await panel.get_by_label("New item").fill("Write the release notes")
    await panel.get_by_role("button", name="Add", exact=True).click()
    await panel.get_by_role("checkbox", name="Write the release notes").check()
    await panel.get_by_text("All done").wait_for()
    await tab.reload()
    assert await frame_of(tab, "/issue_panel/panel").get_by_role("checkbox").is_checked()
    assert tab.messages == []


async def test_checklist_names_colleagues_and_hides_controls_from_readers(sandbox, tab):
    await tab.goto(sandbox["Jira issue"])
    panel = frame_of(tab, "/issue_panel/panel")
    await panel.get_by_label("New item").fill("Write the release notes")
    await panel.get_by_role("button", name="Add", exact=True).click()
    await panel.get_by_text("Added by you").wait_for()
    await select(tab, "User", "Noor Haddad")
    panel = frame_of(tab, "/issue_panel/panel")
    await panel.get_by_text("Added by Mia Krystof").wait_for()
    assert await panel.locator(".checklist-picture").evaluate(
        "image => image.decode().then(() => image.naturalWidth > 0)"
    )
    assert await panel.get_by_label("New item").count() == 0
    assert await tab.get_by_role("button", name="Delete issue").count() == 0
    assert tab.messages == []


async def test_poll_is_inserted_and_counts_votes(sandbox, tab):
    await tab.goto(sandbox["Confluence page"])
    await insert_poll(tab, "Where do we eat?", "Canteen", "Noodle bar")
    poll = frame_of(tab, "/macro/poll")
    await poll.get_by_text("Where do we eat?").wait_for()
    await poll.get_by_label("Noodle bar").check()
    await poll.get_by_role("button", name="Vote").click()
    await poll.get_by_text("100").first.wait_for()
    await select(tab, "User", "Emma Richards")
    poll = frame_of(tab, "/macro/poll")
    await poll.get_by_label("Canteen").check()
    await poll.get_by_role("button", name="Vote").click()
    await poll.get_by_text("50").first.wait_for()
    assert tab.messages == []


async def insert_poll(tab, question, *options):
    await follow(tab, "Edit")
    await tab.get_by_role("button", name="Insert macro").click()
    await tab.get_by_role("button", name="Poll").click()
    editor = frame_of(tab, "/macro/editor")
    await editor.get_by_label("Question").fill(question)
    fields = editor.locator(".editor-option input[type=text]")
    for place, option in enumerate(options):
        await fields.nth(place).fill(option)
    await tab.get_by_role("button", name=re.compile("Insert|Save")).last.click()
    await frame_of(tab, "/macro/poll").get_by_text(question).wait_for()
    await follow(tab, "Done")


async def test_unlicensed_site_sees_what_to_do_instead_of_the_feature(sandbox, tab):
    await tab.goto(sandbox["Jira issue"])
    await frame_of(tab, "/issue_panel/panel").get_by_label("New item").wait_for()
    await select(tab, "Licence", "none")
    panel = frame_of(tab, "/issue_panel/panel")
    await panel.get_by_role("heading", name="Team kit has no active licence on this site").wait_for()
    assert await panel.get_by_label("New item").count() == 0
    await select(tab, "Licence", "active")
    await frame_of(tab, "/issue_panel/panel").get_by_label("New item").wait_for()


async def test_poll_shows_anonymous_readers_results_without_voting(sandbox, tab):
    await tab.goto(sandbox["Confluence page"])
    await insert_poll(tab, "Tea or coffee?", "Tea", "Coffee")
    await select(tab, "User", "Anonymous")
    poll = frame_of(tab, "/macro/poll")
    await poll.get_by_text("Tea or coffee?").wait_for()
    assert await poll.get_by_role("button", name="Vote").count() == 0
    assert tab.messages == []
