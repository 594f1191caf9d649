"""Properties that the host stores for add-ons."""

from __future__ import annotations

import asyncio

import pytest
import pytest_asyncio
from addonkit import CallForbidden, ResponseInvalid
from addonkit.hostapi.properties import MAX_VALUE_LENGTH
from pydantic import BaseModel, Field

pytestmark = pytest.mark.asyncio(loop_scope="module")
PLACES = [{}, {"issue": "10001"}, {"project": "AB"}, {"comment": "5"}, {"user": "acc-1"}]


@pytest_asyncio.fixture(loop_scope="module")
async def site(caller):
    """A Jira site of this test's own."""
    caller.rest.requests.clear()
    caller.rest.resources.denied.clear()
    return await caller.host.install()


@pytest_asyncio.fixture(loop_scope="module")
async def wiki(caller):
    caller.rest.resources.denied.clear()
    return await caller.host.install("confluence")


class Liking(BaseModel):
    """A value."""

    colour: str = "blue"
    words: list[str] = Field([], alias="someWords")


@pytest.mark.parametrize("entity", PLACES)
async def test_property_in_jira_is_stored_and_deleted(caller, site, entity):
    async def work(host):
        liking = host.property(Liking, "a liking/ü", **entity)
        assert await liking.get() is None
        await liking.put(Liking(colour="red", someWords=["ä"]))
        found = await liking.get()
        await liking.put(Liking())
        again = await liking.get()
        await liking.delete()
        await liking.delete()
        return found, again, await liking.get()

    found, again, gone = await caller(work, site=site)
    assert (found.colour, found.words, again.colour, gone) == ("red", ["ä"], "blue", None)


@pytest.mark.parametrize("entity", [{}, {"content": "98347"}, {"space": "SHOP"}])
async def test_property_in_confluence_is_stored_and_deleted(caller, wiki, entity):
    async def work(host):
        liking = host.property(Liking, "liking", **entity)
        await liking.put(Liking(colour="red"))
        await liking.put(Liking(colour="green"))
        found = await liking.get()
        await liking.delete()
        return found, await liking.get()

    found, gone = await caller(work, site=wiki)
    assert (found.colour, gone) == ("green", None)


async def test_property_of_the_add_on_needs_no_scope(caller, site):
    await caller(lambda host: host.property(Liking, "liking").put(Liking()), site=site, plugin="poor")


async def test_property_value_that_is_too_long_is_not_sent(caller, site):
    caller.rest.requests.clear()
    fits = MAX_VALUE_LENGTH - len(Liking(colour="").model_dump_json(by_alias=True))
    await caller(lambda host: host.property(Liking, "liking").put(Liking(colour="x" * fits)), site=site)
    assert len(caller.rest.requests) == 1
    with pytest.raises(CallForbidden, match="has 32769 characters, and the host accepts 32768"):
        await caller(lambda host: host.property(Liking, "liking").put(Liking(colour="x" * (fits + 1))), site=site)
    assert len(caller.rest.requests) == 1


async def test_property_value_of_another_model_is_refused(caller, site):
    with pytest.raises(TypeError, match="has the type 'dict', expected 'Liking'"):
        await caller(lambda host: host.property(Liking, "liking").put({"colour": "red"}), site=site)


async def test_property_value_that_does_not_match_is_invalid(caller, site):
    path = "/rest/api/3/issue/10001/properties/liking"
    await caller(lambda host: host.put(path, {"colour": ["no", "text"]}), site=site)
    with pytest.raises(ResponseInvalid, match="does not match 'Liking': 'colour': Input should be a valid string"):
        await caller(lambda host: host.property(Liking, "liking", issue="10001").get(), site=site)


@pytest.mark.parametrize(
    ("key", "entity", "message"),
    [
        ("", {}, "has 0 characters, expected 1 to 127"),
        ("k" * 128, {}, "has 128 characters"),
        ("k", {"issue": "1", "project": "2"}, "belongs to one entity, found issue and project; pass one"),
        ("k", {"content": "1"}, "Jira stores no properties of 'content', expected one of issue, project"),
        ("k", {"issue": ""}, "'issue' is empty; pass the entity's id or key"),
    ],
)
async def test_property_that_cannot_exist_is_refused(caller, site, key, entity, message):
    async def work(host):
        host.property(Liking, key, **entity)

    with pytest.raises(CallForbidden, match=message):
        await caller(work, site=site)


async def test_property_conflict_lets_both_writers_succeed(caller, wiki):
    async def work(host):
        one, two = (host.property(Liking, "shared", content="98347") for _ in range(2))
        await one.put(Liking(colour="first"))
        await asyncio.gather(one.put(Liking(colour="a")), two.put(Liking(colour="b")))
        return await one.get()

    assert (await caller(work, site=wiki)).colour in ("a", "b")
