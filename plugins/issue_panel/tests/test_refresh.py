"""The refresh of the list: 304 without the list while the viewer would see the same, by its ETag."""

import pytest

OTHER_ISSUE = {"id": "10002", "key": "AB-2"}


async def refresh(page, etag=None, **headers):
    """Request the list as the page's script does, with the ETag of the list that it has."""
    sent = {"authorization": f"Session {page.session}", "accept": "application/json", **headers}
    if etag is not None:
        sent["if-none-match"] = etag
    return await page.client.get(page.prefix + "items", headers=sent)


async def etag_of(page):
    response = await refresh(page)
    assert response.status_code == 200
    return response.headers["etag"]


FORMS = {
    "the ETag": "{}",
    "weak": "W/{}",
    "one of several": '"x", {}, "y"',
    "every": "*",
}


@pytest.mark.parametrize("form", FORMS)
async def test_refresh_of_the_same_list_is_answered_without_it(page, add, form):
    await add(page, "One")
    response = await refresh(page, FORMS[form].format(await etag_of(page)))
    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["etag"] == await etag_of(page)


async def test_refresh_is_never_stored_by_a_cache(page, add):
    await add(page, "One")
    for response in (await refresh(page), await refresh(page, await etag_of(page))):
        assert response.headers.get_list("cache-control") == ["no-store"]
        assert "frame-ancestors" in response.headers["content-security-policy"]
        assert "last-modified" not in response.headers


@pytest.mark.parametrize("etag", ['"other"', "x", "", '"', "W/", "\xff", '"a" "b"', "," * 1000])
async def test_refresh_with_another_or_a_broken_etag_is_the_list(page, add, etag):
    await add(page, "One")
    response = await refresh(page, etag.encode("latin-1"))
    assert [item["text"] for item in response.json()["items"]] == ["One"]


CHANGES = {
    "added": lambda page, _: page.fetch("items", method="POST", json={"text": "Two"}),
    "done": lambda page, item: page.fetch(f"items/{item}/done", method="PUT", json={"version": 1, "done": True}),
    "edited": lambda page, item: page.fetch(f"items/{item}/text", method="PUT", json={"version": 1, "text": "Uno"}),
    "moved": lambda page, item: page.fetch(f"items/{item}/place", method="PUT", json={"version": 1}),
    "removed": lambda page, item: page.fetch(f"items/{item}?version=1", method="DELETE"),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_refresh_after_a_change_is_the_new_list(page, colleague, add, change):
    item = await add(page, "One")
    known = await etag_of(page)
    assert (await CHANGES[change](colleague, item["id"])).is_success
    response = await refresh(page, known)
    assert response.status_code == 200
    assert response.headers["etag"] != known


async def test_refresh_is_the_list_again_after_a_change_and_its_reversal(page, add):
    item = await add(page, "One")
    known = await etag_of(page)
    for version, done in ((1, True), (2, False)):
        await page.fetch(f"items/{item['id']}/done", method="PUT", json={"version": version, "done": done})
    assert (await refresh(page, known)).json()["items"][0]["version"] == 3


async def test_viewers_who_see_different_names_have_different_etags(page, colleague, open_list, add):
    await add(page, "One")
    etags = [await etag_of(page), await etag_of(colleague), await etag_of(await open_list(account=None))]
    assert len(set(etags)) == 3
    assert (await refresh(colleague, etags[0])).json()["items"][0]["stamp"]["who"] == "User acc-1"


async def test_refresh_with_the_etag_of_another_issue_or_site_is_the_own_list(host, page, open_list, add):
    await add(page, "Ours")
    known = await etag_of(page)
    for theirs in (await open_list(OTHER_ISSUE), await open_list(site=await host.install())):
        response = await refresh(theirs, known)
        assert (response.status_code, response.json()) == (200, {"items": []})


async def test_refresh_without_a_session_is_refused_whatever_its_etag(page, add):
    await add(page, "One")
    known = await etag_of(page)
    for etag in (known, "*"):
        response = await refresh(page, etag, authorization="Session x")
        assert response.status_code == 401
