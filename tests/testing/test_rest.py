"""The simulated REST API: what it answers to anybody."""

import httpx2
import pytest
from addonkit.testing import InstallKeys, RestApi, Site

CLOUD_ID = "11223344-a1b2-3b33-c444-def123456789"


@pytest.fixture
async def rest():
    rest = RestApi(InstallKeys())
    async with rest.serve():
        yield rest


async def ask(rest, **headers):
    async with httpx2.AsyncClient(trust_env=False) as client:
        return await client.get(f"{rest.url}/_edge/tenant_info", headers=headers)


async def test_site_states_its_cloud_id_to_anybody(rest):
    rest.sites.append(Site(rest.keys, "jira", rest.url, cloud_id=CLOUD_ID))
    response = await ask(rest)
    assert (response.status_code, response.json()) == (200, {"cloudId": CLOUD_ID})
    assert rest.rejected == []
    [request] = rest.requests_to("GET", "/_edge/tenant_info")
    assert request.site is rest.sites[0]


async def test_site_at_another_origin_states_nothing(rest):
    rest.sites.append(Site(rest.keys, "jira", "http://127.0.0.1:9000"))
    assert (await ask(rest)).status_code == 404
    assert (await ask(rest, host="127.0.0.1:9000")).json() == {"cloudId": rest.sites[0].cloud_id}


async def test_cloud_id_can_be_replaced_by_another_response(rest):
    rest.sites.append(Site(rest.keys, "jira", rest.url))
    rest.answer("GET", "/_edge/tenant_info", status=302, headers={"location": "https://two.atlassian.net"})
    assert (await ask(rest)).status_code == 302
    rest.status = 503
    assert (await ask(rest)).status_code == 503


def test_cloud_id_is_the_same_for_both_products_of_a_site():
    keys = InstallKeys()
    jira, wiki, other = (
        Site(keys, product, f"https://{name}.atlassian.net{path}")
        for product, name, path in (("jira", "one", ""), ("confluence", "one", "/wiki"), ("jira", "two", ""))
    )
    assert jira.cloud_id == wiki.cloud_id != other.cloud_id
