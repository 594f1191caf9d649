"""Base path: matched by whole segments, and not part of the query hash."""

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


async def test_base_path_is_not_part_of_the_query_hash(wire):
    token = wire.token("GET", PAGE)
    assert (await wire.ask("GET", f"/kit{PAGE}&jwt={token}")).status == 200


async def test_base_path_is_required_in_requests_for_pages(wire):
    assert (await wire.ask("GET", f"{PAGE}&jwt={wire.token('GET', PAGE)}")).status == 404


@pytest.mark.parametrize("base", ["/kitten", "/ki", "/KIT", "/%6Bit", "/kit/kit", "//kit", "/kit/."])
async def test_base_path_ends_at_a_whole_segment(wire, base):
    answer = await wire.ask("GET", f"{base}{PAGE}&jwt={wire.token('GET', PAGE)}")
    assert answer.status in (401, 404)


async def test_base_path_in_the_query_hash_is_refused(wire):
    token = wire.token("GET", f"/kit{PAGE}")
    assert (await wire.ask("GET", f"/kit{PAGE}&jwt={token}")).status == 401


@pytest.mark.parametrize("path", ["/kit", "/kit/"])
async def test_base_path_itself_is_not_found(wire, path):
    assert (await wire.ask("GET", path)).status == 404


async def test_base_path_prefixes_the_descriptor(wire):
    assert (await wire.ask("GET", "/kit/atlassian-connect.json")).json()["baseUrl"] == BASE_URL
    assert (await wire.ask("GET", "/atlassian-connect.json")).status == 404


async def test_base_path_prefixes_static_files_and_the_base_meta_tag(wire):
    opened = await wire.host.open("under-test-page", issue={"key": "AB-1"})
    assert opened.meta("addonkit-base") == "/kit"
    script = "/kit" + wire.addon.edge.assets["addonkit"].url("addonkit.js")
    assert f'src="{script}"' in opened.text
    assert (await wire.ask("GET", script)).status == 200


async def test_base_path_prefixes_session_requests_and_renewal(wire):
    opened = await wire.host.open("under-test-page", issue={"key": "AB-1", "id": "1"})
    assert (await opened.fetch("who")).status_code == 200
    assert (await opened.renew()).status_code == 200


async def test_base_path_may_be_stripped_by_a_proxy(wire):
    edge = wire.addon.edge
    wire.addon.edge = replace(edge, base_path_stripped=True)
    try:
        answers = [await wire.ask("GET", f"{PAGE}&jwt={wire.token('GET', PAGE)}"), await wire.ask("GET", f"/kit{PAGE}")]
    finally:
        wire.addon.edge = edge
    assert [answer.status for answer in answers] == [200, 404]
    assert 'content="/kit"' in answers[0].text


async def test_base_path_is_independent_of_the_servers_root_path(wire):
    token = wire.token("GET", PAGE)
    assert (await wire.ask("GET", f"/kit{PAGE}&jwt={token}", root_path="/elsewhere")).status == 200
