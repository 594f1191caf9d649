"""Macros whose poll does not exist: their key is whatever an author wrote into the page."""

import pytest

KEYS = {
    "unknown": "0" * 32,
    "a space too many": "0" * 32 + " ",
    "33 characters": "x" * 33,
    "very long": "x" * 2000,
    "NUL": "a\0b",
    "NUL alone": "\0",
    "emoji": "🙂" * 33,
}


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("part", [None, "editor"])
async def test_unknown_poll_is_a_page(wiki, kind, part):
    page = await wiki.open(KEYS[kind], part=part)
    assert page.status == 200


@pytest.mark.parametrize("kind", KEYS)
async def test_unknown_poll_is_not_found_by_the_routes(wiki, kind):
    page = await wiki.open(KEYS[kind])
    assert (await page.fetch("view")).status_code == 404
    assert (await page.fetch("vote", "PUT", {"choices": []})).status_code in (400, 404)
