"""``addonkit tenants link`` and ``backfill``: cloud ids from operators and from sites, over real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from addonkit.app import cloud_ids
from addonkit.cli.output import progress_printer
from addonkit.context import Tenant
from addonkit.database.connection import AppModules
from addonkit.database.location import Location
from addonkit.tenancy.siblings import find_sibling
from addonkit.tenant_data.connection import tenant_database
from addonkit.testing import InstallKeys, RestApi, Site
from addonkit.testing.databases import create_tables, database_settings, run_sql

from tests.distributions.third_party import Terminal
from tests.support.faulty_servers import answer, faulty
from tests.support.tenant_rows import InstalledSites, unused_token

ONE, TWO = "11223344-a1b2-3b33-c444-def123456789", "00112233-a1b2-3b33-c444-def123456789"
APPS = {"stranger_bare": AppModules("stranger_bare.models", "stranger_bare.migrations")}
LOCAL = '[host]\ndomains = ["127.0.0.1", "localhost"]\n'
DEAD = "http://127.0.0.1:1"


class Operator(Terminal):
    """A command line, and a database with sites."""

    def change(self, change: Callable[[InstalledSites], Any]) -> Any:
        async def changed() -> Any:
            async with tenant_database(Location(**database_settings(self.directory, create=False)), {}):
                return await change(InstalledSites())

        return asyncio.run(changed())

    def site(self, key: str, base_url: str, product: str = "jira", *, removed: bool = False) -> Tenant:
        """Install and enable the add-on on a site."""

        async def installed(sites: InstalledSites) -> Tenant:
            tenant = await sites.install(key, base_url, product=product)
            await sites.store.set_enabled(key, True, unused_token(), ())
            if removed:
                await sites.uninstall(key)
            found = await sites.store.get(tenant.id)
            assert found is not None
            return found

        tenant: Tenant = self.change(installed)
        return tenant

    def rows(self, *words: str, code: int = 0) -> Any:
        result = self("tenants", *words, "--json")
        assert result.code == code, result
        return orjson.loads(result.out)

    def cloud_ids(self) -> list[str | None]:
        return [row["cloud_id"] for row in self.rows("list")]

    def identities(self) -> list[tuple[int, str]]:
        """Return tenant and value of each live cloud id."""
        found = run_sql(
            self.directory,
            "SELECT tenant_id, value FROM addonkit_identity WHERE kind = 'cloud' AND retired_at IS NULL ORDER BY id",
        )
        return [(number, value) for number, value in found]

    def history(self) -> list[tuple[int, str]]:
        query = "SELECT tenant_id, detail FROM addonkit_tenant_history WHERE what = 'linked' ORDER BY id"
        return [(number, detail) for number, detail in run_sql(self.directory, query)]


@pytest.fixture
def operator(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Operator:
    monkeypatch.setattr(cloud_ids, "START_PAUSE_S", 0)
    operator = Operator(monkeypatch, capsys, tmp_path)
    operator.write("stranger_bare", more=LOCAL)
    asyncio.run(create_tables(Location(**database_settings(tmp_path, create=False)), APPS))
    return operator


@contextmanager
def host(*cloud_ids: str) -> Iterator[list[tuple[str, RestApi]]]:
    """Serve sites, one at each of as many origins, and yield their URLs and APIs."""
    keys, served = InstallKeys(), list[tuple[str, RestApi]]()
    with ExitStack() as stack:
        for cloud_id in cloud_ids:
            rest = RestApi(keys)
            url = stack.enter_context(rest.serve_in_thread())
            rest.sites.append(Site(keys, "jira", url, cloud_id=cloud_id))
            served.append((url, rest))
        yield served


def requests_of(rest: RestApi) -> list[str]:
    return [f"{sent.method} {sent.path}" for sent in rest.requests]


def test_link_stores_the_cloud_id_as_an_identity_with_an_entry_in_the_history(operator: Operator) -> None:
    operator.site("site-1", DEAD)
    result = operator("tenants", "link", "site-1", ONE.upper())
    assert result.out == f"tenant 1 ('site-1'): linked to the cloud id '{ONE}'\n"
    assert (operator.cloud_ids(), operator.identities()) == ([ONE], [(1, f"jira:{ONE}")])
    assert operator.history() == [(1, f"cloud id '{ONE}', by an operator")]
    assert f"cloud id       {ONE}\n" in operator("tenants", "show", ONE).out


def test_link_a_second_time_changes_nothing(operator: Operator) -> None:
    operator.site("site-1", DEAD)
    first, second = (operator.rows("link", "1", ONE) for _ in "ab")
    assert [first[0]["result"], second[0]["result"]] == ["linked", "unchanged"]
    result = operator("tenants", "link", "1", ONE)
    assert result.out == f"tenant 1 ('site-1'): is linked already to the cloud id '{ONE}'\n"
    assert len(operator.history()) == 1


@pytest.mark.parametrize(
    "cloud_id",
    ["one", "", ONE.replace("-", ""), f"{ONE}0", f"jira:{ONE}", f"{'0' * 8}-0000-0000-0000-{'0' * 12}", "x" * 5000],
    ids=["word", "empty", "no hyphens", "too long", "with its product", "nil", "very long"],
)
def test_link_to_what_is_no_cloud_id_is_refused(operator: Operator, cloud_id: str) -> None:
    operator.site("site-1", DEAD)
    result = operator("tenants", "link", "1", cloud_id)
    assert "is not a cloud id, which is a UUID such as" in result.sentence
    assert operator.cloud_ids() == [None]


def test_link_of_a_linked_site_to_another_cloud_id_is_refused_until_the_identity_is_retired(operator: Operator) -> None:
    operator.site("site-1", DEAD)
    operator("tenants", "link", "1", ONE)
    number = operator.rows("identities", "1")[-1]["id"]
    refused = operator("tenants", "link", "1", TWO).sentence
    assert f"has the cloud id '{ONE}'" in refused
    assert f"'addonkit tenants identities 1 --retire {number}'" in refused
    operator("tenants", "identities", "1", "--retire", str(number))
    assert operator.cloud_ids() == [None]
    assert operator("tenants", "link", "1", TWO).code == 0
    assert operator.identities() == [(1, f"jira:{TWO}")]


def test_link_to_the_cloud_id_of_another_site_of_the_product_is_refused_with_the_commands(operator: Operator) -> None:
    operator.site("old", DEAD)
    operator.site("new", "http://127.0.0.1:2")
    operator("tenants", "link", "1", ONE)
    number = operator.rows("identities", "1")[-1]["id"]
    refused = operator("tenants", "link", "2", ONE).sentence
    assert f"'{ONE}' names tenant 1 ('old', enabled)" in refused
    assert "'addonkit tenants adopt 2 --from 1'" in refused
    assert f"'addonkit tenants identities 1 --retire {number}'" in refused
    assert operator.cloud_ids() == [ONE, None]
    operator("tenants", "identities", "1", "--retire", str(number))
    assert operator("tenants", "link", "2", ONE).code == 0
    assert (operator.cloud_ids(), operator.identities()) == ([None, ONE], [(2, f"jira:{ONE}")])


def test_link_of_an_old_site_proposes_the_installed_one_as_the_one_that_adopts(operator: Operator) -> None:
    operator.site("old", DEAD, removed=True)
    operator.site("new", "http://127.0.0.1:2")
    operator("tenants", "link", "2", ONE)
    assert "'addonkit tenants adopt 2 --from 1'" in operator("tenants", "link", "1", ONE).sentence


def test_link_of_two_removed_sites_proposes_no_adoption(operator: Operator) -> None:
    for number, key in enumerate(("old", "new")):
        operator.site(key, f"http://127.0.0.1:{number + 1}", removed=True)
    operator("tenants", "link", "1", ONE)
    refused = operator("tenants", "link", "2", ONE).sentence
    assert "adopt" not in refused
    assert "--retire" in refused


def test_link_of_both_products_to_one_cloud_id_makes_siblings_after_a_rename(operator: Operator) -> None:
    jira = operator.site("site-1", DEAD)
    operator.site("site-2", "http://127.0.0.1:2/wiki", "confluence")
    for number in ("1", "2"):
        assert operator("tenants", "link", number, ONE).code == 0
    sibling = operator.change(lambda _: find_sibling(jira))
    assert sibling.key == "site-2"
    refused = operator("tenants", "show", ONE).sentence
    assert refused.startswith(f"'{ONE}' matches 2 tenants: 1 by its cloud id")


def test_backfill_of_one_product_keeps_the_sibling_at_the_same_origin(operator: Operator) -> None:
    with host(ONE) as [(url, _)]:
        jira = operator.site("site-1", url)
        assert operator("tenants", "backfill").code == 0
        operator.site("site-2", f"{url}/wiki", "confluence")
    assert operator.cloud_ids() == [ONE, None]
    assert operator.change(lambda _: find_sibling(jira)).key == "site-2"


def test_backfill_links_each_site_to_what_it_states(operator: Operator) -> None:
    with host(ONE, TWO) as [(one, rest), (two, _)]:
        operator.site("site-1", one)
        operator.site("site-2", f"{one}/wiki", "confluence")
        operator.site("site-3", two)
        result = operator("tenants", "backfill")
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines() == [
        f"tenant 1 ('site-1' at {one}): linked to the cloud id '{ONE}'",
        f"tenant 2 ('site-2' at {one}/wiki): linked to the cloud id '{ONE}'",
        f"tenant 3 ('site-3' at {two}): linked to the cloud id '{TWO}'",
        "3 sites linked",
    ]
    assert operator.cloud_ids() == [ONE, ONE, TWO]
    assert operator.identities() == [(1, f"jira:{ONE}"), (2, f"confluence:{ONE}"), (3, f"jira:{TWO}")]
    assert operator.history()[0] == (1, f"cloud id '{ONE}', as '{one}/_edge/tenant_info' states")
    assert requests_of(rest) == ["GET /_edge/tenant_info"] * 2
    assert not {"authorization", "cookie"} & {name for sent in rest.requests for name in sent.headers}


def test_backfill_a_second_time_asks_nobody(operator: Operator) -> None:
    with host(ONE) as [(url, rest)]:
        operator.site("site-1", url)
        operator("tenants", "backfill")
        result = operator("tenants", "backfill")
        assert (result.code, result.out) == (0, "no site lacks a cloud id\n")
        assert operator.rows("backfill") == []
    assert len(rest.requests) == 1


def test_backfill_dry_run_asks_and_changes_nothing(operator: Operator) -> None:
    with host(ONE) as [(url, rest)]:
        operator.site("site-1", url)
        result = operator("tenants", "backfill", "--dry-run")
        [row] = operator.rows("backfill", "--dry-run")
    assert result.out.splitlines() == [
        f"tenant 1 ('site-1' at {url}): would be linked to the cloud id '{ONE}'",
        "1 site would be linked",
    ]
    assert (row["result"], row["cloud_id"], row["reason"]) == ("would link", ONE, None)
    assert (operator.cloud_ids(), operator.identities(), operator.history()) == ([None], [], [])
    assert len(rest.requests) == 2


@pytest.mark.parametrize("words", [(), ("--dry-run",)], ids=["run", "dry run"])
def test_backfill_reports_two_sites_of_a_product_with_one_cloud_id_and_links_the_first(
    operator: Operator, words: tuple[str, ...]
) -> None:
    with host(ONE, ONE) as [(one, _), (two, _)]:
        operator.site("site-1", one)
        operator.site("site-2", two)
        rows = operator.rows("backfill", *words, code=1)
    assert [row["result"] for row in rows] == ["would link" if words else "linked", "failed"]
    assert f"'{ONE}'" in rows[1]["reason"]
    assert "tenant 1" in rows[1]["reason"]
    assert operator.cloud_ids() == ([None, None] if words else [ONE, None])


def test_backfill_does_not_take_the_cloud_id_of_another_tenant(operator: Operator) -> None:
    with host(ONE) as [(url, _)]:
        operator.site("old", DEAD, removed=True)
        operator("tenants", "link", "1", ONE)
        operator.site("new", url)
        result = operator("tenants", "backfill")
    assert result.code == 1
    assert "'addonkit tenants adopt 2 --from 1'" in result.err
    assert operator.identities() == [(1, f"jira:{ONE}")]


def test_backfill_asks_no_site_whose_base_url_two_tenants_share(operator: Operator) -> None:
    with host(ONE) as [(url, rest)]:
        operator.site("old", url)
        operator.site("new", url)
        rows = operator.rows("backfill", code=1)
    assert [row["result"] for row in rows] == ["failed", "failed"]
    assert "the same base URL as tenant 2" in rows[0]["reason"]
    assert "'addonkit tenants adopt 2 --from 1'" in rows[1]["reason"]
    assert rest.requests == []


def test_backfill_skips_removed_sites_and_says_so(operator: Operator) -> None:
    with host(ONE) as [(url, rest)]:
        operator.site("old", url, removed=True)
        operator.site("new", url)
        result = operator("tenants", "backfill")
    assert result.code == 0
    assert result.out.splitlines()[-1] == "1 site linked, 1 skipped (uninstalled, gone or being purged)"
    assert (operator.cloud_ids(), len(rest.requests)) == ([None, ONE], 1)


def test_backfill_skips_a_site_that_is_being_purged(operator: Operator) -> None:
    operator.site("old", DEAD, removed=True)
    run_sql(operator.directory, "UPDATE addonkit_tenant SET key = '(purging 1)', client_key = '(purging 1)'")
    [row] = operator.rows("backfill")
    assert (row["result"], row["reason"]) == ("skipped", "being purged")
    assert "is being purged" in operator("tenants", "link", "number:1", ONE).sentence


def test_backfill_with_a_limit_is_continued_behind_sites_that_fail(operator: Operator) -> None:
    with host(ONE, TWO) as [(one, _), (two, _)]:
        for number, url in enumerate((DEAD, one, two), 1):
            operator.site(f"site-{number}", url)
        first = operator("tenants", "backfill", "--limit", "2")
        assert (first.code, operator.cloud_ids()) == (1, [None, ONE, None])
        assert first.err.splitlines()[-1] == "stopped at the limit; continue with '--after 2'"
        second = operator("tenants", "backfill", "--limit", "2", "--after", "2")
    assert (second.code, second.err) == (0, "")
    assert operator.cloud_ids() == [None, ONE, TWO]


def test_backfill_goes_on_after_a_site_that_fails_and_exits_with_1(operator: Operator) -> None:
    with host(ONE) as [(url, _)]:
        operator.site("site-1", DEAD)
        operator.site("site-2", url)
        result = operator("tenants", "backfill")
    assert result.code == 1
    failure = f"tenant 1 ('site-1' at {DEAD}): '{DEAD}/_edge/tenant_info' did not answer (ConnectError)\n"
    assert result.err == failure
    assert result.out.splitlines()[-1] == "1 site linked, 1 failed"
    assert operator.cloud_ids() == [None, ONE]


def test_backfill_asks_sites_in_the_configured_domains_only(operator: Operator) -> None:
    with host(ONE) as [(url, rest)]:
        operator.site("site-1", url)
        operator.write("stranger_bare", more='[host]\ndomains = ["*.atlassian.net"]\n')
        result = operator("tenants", "backfill")
    assert result.code == 1
    assert "is not in a domain of '[host] domains'; it was not asked" in result.err
    assert rest.requests == []


@pytest.mark.parametrize("words", [("--limit", "0"), ("--after", "-1"), ("--after", str(2**63)), ("--limit", "x")])
def test_backfill_with_a_number_that_it_cannot_use_is_refused(operator: Operator, words: tuple[str, str]) -> None:
    operator.site("site-1", DEAD)
    assert operator("tenants", "backfill", *words).code == 2


def test_backfill_sends_no_cookie_of_another_site(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud_ids, "CONCURRENT", 1)
    with host(ONE, TWO) as [(one, first), (two, second)]:
        first.answer("GET", "/_edge/tenant_info", {"cloudId": ONE}, headers={"set-cookie": "tenant=1; Path=/"})
        operator.site("site-1", one)
        operator.site("site-2", two)
        assert operator("tenants", "backfill").code == 0
    assert ["cookie" in sent.headers for sent in (*first.requests, *second.requests)] == [False, False]


def test_backfill_asks_all_sites_though_there_are_many(operator: Operator) -> None:
    with host(*[ONE[:-2] + f"{number:02}" for number in range(20)]) as sites:
        for number, (url, _) in enumerate(sites):
            operator.site(f"site-{number}", url)
        assert operator("tenants", "backfill").code == 0
    assert operator.cloud_ids() == [ONE[:-2] + f"{number:02}" for number in range(20)]


async def hang(*_: Any) -> None:
    await asyncio.sleep(60)


JSON = orjson.dumps({"cloudId": ONE})
WRONG: Mapping[str, tuple[Any, str]] = {
    "not found": (answer("404 Not Found"), "answered 404, expected 200"),
    "server error": (answer("503 Service Unavailable", JSON), "answered 503, expected 200"),
    "other success": (answer("204 No Content"), "answered 204, expected 200"),
    "redirect": (
        answer("302 Found", JSON, location="https://other.example/x?jwt=secret"),
        "answered 302, a redirect to 'https://other.example' that was not followed",
    ),
    "permanent redirect": (
        answer("308 Permanent Redirect", location="/login"),
        "answered 308, a redirect that was",
    ),
    "redirect nowhere": (answer("301 Moved Permanently"), "answered 301, expected 200"),
    "too long": (answer("200 OK", b'{"cloudId": "' + b"x" * 20_000), "answered with more than 16384 bytes"),
    "page": (answer("200 OK", b"<html>Log in</html>"), "something other than JSON"),
    "empty": (answer("200 OK"), "something other than JSON"),
    "cut": (answer("200 OK", JSON, length=500), "did not answer (RemoteProtocolError)"),
    "no HTTP": (b"SSH-2.0-x\r\n\r\n", "did not answer (RemoteProtocolError)"),
    "list": (answer("200 OK", b"[]"), "JSON that has no text 'cloudId'"),
    "other name": (answer("200 OK", b'{"cloud_id": "x"}'), "JSON that has no text 'cloudId'"),
    "number": (answer("200 OK", b'{"cloudId": 7}'), "JSON that has no text 'cloudId'"),
    "no UUID": (answer("200 OK", b'{"cloudId": "../../etc"}'), "'cloudId' that is not a cloud id"),
    "nil": (
        answer("200 OK", b'{"cloudId": "00000000-0000-0000-0000-000000000000"}'),
        "'cloudId' that is not a cloud id",
    ),
    "deep": (answer("200 OK", b"[" * 16_000), "something other than JSON"),
    "gzip": (answer("200 OK", b"\x1f\x8b\x08\x00", content_encoding="gzip"), "something other than JSON"),
    "silence": (hang, "did not answer within 0.2 s"),
}


@pytest.mark.parametrize("name", WRONG)
def test_backfill_stores_nothing_of_a_wrong_answer_and_says_what_it_was(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    sent, expected = WRONG[name]
    if name == "silence":
        monkeypatch.setattr("addonkit.hostapi.tenant_info.TIMEOUT_S", 0.2)
    with served(sent) as url:
        operator.site("site-1", url)
        result = operator("tenants", "backfill")
    assert result.code == 1
    assert result.err.count("\n") == 1
    assert expected in result.err
    assert "secret" not in result.err
    assert operator.cloud_ids() == [None]


def test_backfill_prints_progress_to_standard_error(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("addonkit.cli.cloud_ids.progress_printer", lambda: progress_printer(0))
    with host(ONE, TWO) as [(one, _), (two, _)]:
        operator.site("site-1", one)
        operator.site("site-2", two)
        result = operator("tenants", "backfill", "--json")
    assert result.err == "1 of 2 sites\n2 of 2 sites\n"


def test_export_has_the_cloud_id_and_a_purge_deletes_it(operator: Operator) -> None:
    operator.site("site-1", DEAD)
    operator("tenants", "link", "1", ONE)
    assert operator("tenants", "export", "1", "--to", "out").code == 0
    written = {file.stem: file.read_text() for file in (operator.directory / "out").iterdir()}
    assert f'"cloud_id":"{ONE}"' in written["addonkit_tenant"]
    assert f'"jira:{ONE}"' in written["addonkit_identity"]
    operator.change(lambda sites: sites.uninstall("site-1"))
    assert operator("tenants", "purge", "1", "--yes").code == 0
    operator.site("site-2", "http://127.0.0.1:2")
    assert operator("tenants", "link", "2", ONE).code == 0


@contextmanager
def served(sent: Any) -> Iterator[str]:
    """Serve a wrong answer from a thread, because the command blocks its own."""
    import threading
    from concurrent.futures import Future

    url: Future[str] = Future()
    stopped = threading.Event()

    async def serve() -> None:
        async with faulty(sent) as at:
            url.set_result(at)
            await asyncio.to_thread(stopped.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        yield url.result(10)
    finally:
        stopped.set()
        thread.join()
