"""``[addon] allowed_base_urls``: while the add-on's address moves, tokens may be for each of its base URLs."""

import pytest
import pytest_asyncio
from addonkit.check.token import explain_with
from addonkit.check.token_input import InputInvalid, read_token
from addonkit.testing import Host, InstallKeys, Site

from tests.support.plugin_under_test import BASE_URL, addon_of, deployment, running_addon
from tests.support.wire import PAGE, Wire

pytestmark = pytest.mark.asyncio(loop_scope="module")
FORMER = ["https://old.example.com", "https://old.example.com/kit"]
VALID = [BASE_URL, *FORMER, f"{FORMER[0]}/", [FORMER[0], BASE_URL]]
FOREIGN = [
    *("https://old.example.com.evil.example", "https://old.example.com/other", "http://old.example.com"),
    *("https://OLD.example.com", "https://old.example.com:444", ["https://old.example.com", "https://other.example"]),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wire(tmp_path_factory):
    async with running_addon(tmp_path_factory.mktemp("moving"), addon={"allowed_base_urls": FORMER}) as running:
        yield running


@pytest.mark.parametrize("aud", VALID, ids=range(5))
@pytest.mark.parametrize("event", ["installed", "uninstalled"])
async def test_install_token_may_be_for_each_base_url(wire, event, aud):
    site = await wire.host.install()
    assert (await wire.send_lifecycle(event, *wire.installed(site, event, aud=aud))).status == 204


@pytest.mark.parametrize("aud", FOREIGN, ids=range(6))
@pytest.mark.parametrize("event", ["installed", "uninstalled"])
async def test_install_token_for_another_url_is_refused(wire, site, event, aud):
    assert (await wire.send_lifecycle(event, *wire.installed(site, event, aud=aud))).status == 401


@pytest.mark.parametrize("aud", [FORMER[0], FOREIGN[0]], ids=["former", "foreign"])
async def test_install_token_is_checked_in_the_same_way_before_its_key_is_known(tmp_path, aud):
    keys = InstallKeys()
    async with keys.serve() as url:
        addon = await addon_of(deployment(tmp_path, url, addon={"allowed_base_urls": FORMER}))
        async with Host(addon, keys, BASE_URL) as host:
            wire, site = Wire(addon, host), Site(keys, "jira", "http://127.0.0.1:9000")
            status = (await wire.send_lifecycle("installed", *wire.installed(site, aud=aud))).status
            assert status == (204 if aud in FORMER else 401)


@pytest.mark.parametrize("aud", VALID, ids=range(5))
async def test_tokens_of_a_site_may_be_for_each_base_url(wire, site, aud):
    assert (await wire.open(PAGE, site=site, aud=aud)).status == 200
    who = await wire.send(f"JWT {wire.token('GET', '/x', site, qsh='context-qsh', aud=aud)}", "GET", "/under_test/who")
    assert who.status == 200
    for event in ("disabled", "enabled"):
        token = wire.token("POST", f"/lifecycle/{event}", site, sub=None, aud=aud)
        assert (await wire.send_lifecycle(event, token, wire.payload(site, event))).status == 204


@pytest.mark.parametrize("aud", FOREIGN, ids=range(6))
async def test_tokens_of_a_site_for_another_url_are_refused(wire, site, aud):
    assert (await wire.open(PAGE, site=site, aud=aud)).status == 401
    context = wire.token("GET", "/x", site, qsh="context-qsh", aud=aud)
    assert (await wire.send(f"JWT {context}", "GET", "/under_test/who")).status == 401
    token = wire.token("POST", "/lifecycle/disabled", site, sub=None, aud=aud)
    assert (await wire.send_lifecycle("disabled", token, wire.payload(site, "disabled"))).status == 401


async def test_descriptor_names_the_present_base_url_alone(wire):
    assert (await wire.host.descriptor())["baseUrl"] == BASE_URL
    assert "old.example.com" not in (await wire.ask("GET", "/atlassian-connect.json")).text


@pytest.mark.parametrize("base_url", [BASE_URL, *FORMER])
async def test_check_explains_a_token_of_each_base_url(wire, site, base_url):
    text = f"{base_url}{PAGE}&jwt={wire.token('GET', PAGE, site, aud=base_url)}"
    given = read_token(text, None, BASE_URL, FORMER[::-1])
    assert [one async for one in explain_with(wire.addon, given, None)][-1].message.startswith("accepted")


async def test_check_refuses_the_address_of_another_add_on():
    with pytest.raises(InputInvalid, match=r"expected the base URL 'http://localhost:8000' or 'https://old\.example"):
        read_token("https://other.example/x?jwt=a.b.c", None, BASE_URL, FORMER)
