"""An add-on below a path: it takes that path at a segment's end only, and signs relative to it."""

from dataclasses import replace

import pytest
import pytest_asyncio

from tests.support.plugin_under_test import running_addon

pytestmark = pytest.mark.asyncio(loop_scope="module")
BASE_URL = "http://localhost:8000/kit"
PAGE = "/under_test/page?issue_key=AB-1"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wire(tmp_path_factory):
    async with running_addon(tmp_path_factory.mktemp("addon"), addon={"base_url": BASE_URL}) as running:
        yield running


async def test_a_page_below_the_base_path_is_signed_relative_to_it(wire):
    token = wire.token("GET", PAGE)
    assert (await wire.ask("GET", f"/kit{PAGE}&jwt={token}")).status == 200


async def test_a_page_is_not_served_beside_the_base_path(wire):
    assert (await wire.ask("GET", f"{PAGE}&jwt={wire.token('GET', PAGE)}")).status == 404


@pytest.mark.parametrize("base", ["/kitten", "/ki", "/KIT", "/%6Bit", "/kit/kit", "//kit", "/kit/."])
async def test_the_base_path_ends_with_its_segment(wire, base):
    answer = await wire.ask("GET", f"{base}{PAGE}&jwt={wire.token('GET', PAGE)}")
    assert answer.status in (401, 404)


async def test_a_hash_of_the_whole_path_is_refused(wire):
    token = wire.token("GET", f"/kit{PAGE}")
    assert (await wire.ask("GET", f"/kit{PAGE}&jwt={token}")).status == 401


@pytest.mark.parametrize("path", ["/kit", "/kit/"])
async def test_nothing_is_at_the_base_path_itself(wire, path):
    assert (await wire.ask("GET", path)).status == 404


async def test_the_descriptor_is_below_the_base_path(wire):
    assert (await wire.ask("GET", "/kit/atlassian-connect.json")).json()["baseUrl"] == BASE_URL
    assert (await wire.ask("GET", "/atlassian-connect.json")).status == 404


async def test_a_page_names_its_files_and_its_base_with_the_base_path(wire):
    opened = await wire.host.open("under-test-page", issue={"key": "AB-1"})
    assert opened.meta("addonkit-base") == "/kit"
    script = "/kit" + wire.addon.edge.assets["addonkit"].url("addonkit.js")
    assert f'src="{script}"' in opened.text
    assert (await wire.ask("GET", script)).status == 200


async def test_a_session_works_and_is_renewed_below_the_base_path(wire):
    opened = await wire.host.open("under-test-page", issue={"key": "AB-1", "id": "1"})
    assert (await opened.fetch("who")).status_code == 200
    assert (await opened.renew()).status_code == 200


async def test_a_proxy_that_strips_the_path_is_served_the_same(wire):
    edge = wire.addon.edge
    wire.addon.edge = replace(edge, base_path_stripped=True)
    try:
        answers = [await wire.ask("GET", f"{PAGE}&jwt={wire.token('GET', PAGE)}"), await wire.ask("GET", f"/kit{PAGE}")]
    finally:
        wire.addon.edge = edge
    assert [answer.status for answer in answers] == [200, 404]
    assert 'content="/kit"' in answers[0].text


async def test_a_root_path_of_the_servers_own_changes_nothing(wire):
    token = wire.token("GET", PAGE)
    assert (await wire.ask("GET", f"/kit{PAGE}&jwt={token}", root_path="/elsewhere")).status == 200
