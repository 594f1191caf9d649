"""Access of a site without an active licence, in a deployment that requires one."""

import pytest
from addonkit import Context, Licence, Route, hookimpl
from addonkit_macro import plugin


@pytest.fixture
def addonkit_config(monkeypatch):
    """A deployment whose admission refuses licensed routes without an active licence."""

    async def addon_admit(context: Context, route: Route) -> tuple[str, int] | None:
        return ("", 403) if route.licensed and context.licence is not Licence.ACTIVE else None

    monkeypatch.setattr(plugin, "addon_admit", hookimpl(addon_admit), raising=False)
    return {"addon": {"plugins": ["macro"], "licensing": True}}


async def test_editor_does_not_open_without_a_licence(wiki):
    assert (await wiki.open("", "author", "editor", licence="none")).status == 403


async def test_save_is_refused_without_a_licence(wiki, options):
    page = await wiki.open("", "author", "editor")
    page.context = {"license": {"active": False}}
    assert (await page.renew()).status_code == 200
    written = {"draft": "d" * 32, "question": "Tea?", "options": options("Yes", "No"), "several": False}
    assert (await page.fetch("save", "POST", written)).status_code == 403


async def test_poll_is_shown_without_a_licence(wiki):
    page = await wiki.open(await wiki.make(), licence="none")
    assert "Tea or coffee?</legend>" in page.text


async def test_votes_count_without_a_licence(wiki, results, key_of):
    page = await wiki.open(await wiki.make(), licence="none")
    response = await page.fetch("vote", "PUT", {"choices": [key_of("Tea")]})
    assert results(response.json()["html"])["Tea"] == "100%, 1 vote"


async def test_votes_are_withdrawn_and_results_shown_without_a_licence(wiki):
    page = await wiki.open(await wiki.make(), licence="none")
    assert (await page.fetch("vote", "DELETE")).status_code == 200
    assert (await page.fetch("view?part=results")).status_code == 200


async def test_static_output_is_rendered_without_a_licence(wiki):
    page = await wiki.open(await wiki.make(), account=None, part="renderModes.pdf", licence="none")
    assert "Tea or coffee?" in page.text
