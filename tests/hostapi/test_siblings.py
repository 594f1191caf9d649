"""Host calls to the sibling of a tenant, through an add-on that is installed in both products of a site."""

import pytest

from tests.support.calling_plugin import calling_addon

SPACES = "/rest/api/space"


@pytest.fixture
async def caller(tmp_path):
    async with calling_addon(tmp_path) as running:
        running.rest.answer("GET", SPACES, {"results": ["DOC"]})
        yield running


async def test_sibling_host_is_called_with_the_secret_of_the_sibling(caller):
    wiki = await caller.host.install("confluence")
    page = await caller.host.open("caller-spaces", account="acc-1")
    assert page.response.json() == {"sibling": wiki.client_key, "spaces": {"results": ["DOC"]}}
    # the simulated host verifies the signature by the audience, which is the sibling's client key
    [request] = caller.rest.requests_to("GET", SPACES)
    assert request.site is wiki


async def test_sibling_host_is_not_called_without_a_sibling(caller):
    page = await caller.host.open("caller-spaces", account="acc-1")
    assert page.response.json() == {"sibling": None}
    assert caller.rest.requests_to("GET", SPACES) == []


async def test_sibling_host_is_refused_outside_the_scope_of_the_sibling(caller):
    await caller.host.install("confluence")
    page = await caller.host.open("caller-escaping", account="acc-1")
    assert page.response.status_code == 500
    assert caller.rest.requests_to("GET", SPACES) == []


async def test_sibling_is_refused_to_a_plugin_without_siblings(caller):
    await caller.host.install("confluence")
    page = await caller.host.open("poor-curious", account="acc-1")
    assert page.response.status_code == 500


async def test_sibling_host_is_not_called_once_the_sibling_is_disabled(caller):
    wiki = await caller.host.install("confluence")
    await caller.host.disable(wiki)
    page = await caller.host.open("caller-spaces", account="acc-1")
    assert page.response.json() == {"sibling": None}
