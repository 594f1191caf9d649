"""Cost of a warm page: one lookup in memory, one token parsed and verified, no query, no unneeded signature."""

import hmac

import jwt
import pytest
import pytest_asyncio
from addonkit.edge.install_keys import InstallKeys
from addonkit.protocol import token_format
from addonkit.tenancy import store
from addonkit.tenancy.directory import Directory
from jwt.algorithms import HMACAlgorithm

from tests.support.statements import recorded_statements

pytestmark = pytest.mark.asyncio(loop_scope="module")
WITH_SESSION = "/under_test/page?issue_key=AB-1"
WITHOUT = "/under_test/overview"


@pytest.fixture
def counted(monkeypatch):
    """Count the calls of a method, which still runs."""
    counts = {}

    def count(owner, name):
        real = getattr(owner, name)

        def counting(*args, **kwargs):
            counts[name] = counts.get(name, 0) + 1
            return real(*args, **kwargs)

        monkeypatch.setattr(owner, name, counting)
        counts[name] = 0
        return counts

    return count


@pytest_asyncio.fixture(loop_scope="module")
async def queries(wire):
    """Collect the statements that are sent to the database."""
    async with recorded_statements() as seen:
        yield seen


async def test_warm_page_reads_its_tenant_from_memory_once(wire, counted, queries):
    request = wire.token("GET", WITHOUT)
    await wire.ask("GET", f"{WITHOUT}?jwt={request}")
    queries.clear()
    counts = counted(Directory, "get")
    counted(Directory, "_read")
    assert (await wire.ask("GET", f"{WITHOUT}?jwt={request}")).status == 200
    assert (counts, queries) == ({"get": 1, "_read": 0}, [])


async def test_query_counter_counts_queries(wire, queries):
    wire.addon.directory.forget(wire.site.client_key)
    assert (await wire.open(WITHOUT)).status == 200
    assert len(queries) == 1


@pytest.mark.parametrize(("page", "signed"), [(WITHOUT, 0), (WITH_SESSION, 1)])
async def test_warm_page_parses_its_token_once_and_signs_only_its_session(wire, counted, page, signed):
    await wire.open(page)
    token = wire.token("GET", page, jti="not parsed before")
    counts = counted(token_format, "check_claims")
    counted(HMACAlgorithm, "verify")
    counted(HMACAlgorithm, "sign")
    counted(HMACAlgorithm, "prepare_key")
    mark = "&" if "?" in page else "?"
    assert (await wire.ask("GET", f"{page}{mark}jwt={token}")).status == 200
    # PyJWT verifies a signature by signing again
    assert counts == {"check_claims": 1, "verify": 1, "sign": 1 + signed, "prepare_key": 0}


async def test_secret_is_checked_when_its_tenant_is_read(wire, counted):
    wire.addon.directory.forget(wire.site.client_key)
    token = wire.token("GET", WITHOUT)
    counts = counted(store, "checked_secret")
    for _ in range(3):
        assert (await wire.ask("GET", f"{WITHOUT}?jwt={token}")).status == 200
    assert counts == {"checked_secret": 1}


async def test_session_needs_one_signature_and_one_tenant_lookup(wire, counted, queries):
    session = f"Session {await wire.session()}"
    queries.clear()
    counts = counted(HMACAlgorithm, "sign")
    counted(Directory, "get")
    assert (await wire.send(session, "GET", "/under_test/who")).status == 200
    assert (counts, queries) == ({"sign": 1, "get": 1}, [])


async def test_descriptor_and_static_files_need_no_tenant_lookup(wire, counted):
    counts = counted(Directory, "get")
    counted(token_format, "check_claims")
    counted(HMACAlgorithm, "verify")
    for target in ("/atlassian-connect.json", wire.addon.edge.assets["addonkit"].url("addonkit.js")):
        assert (await wire.ask("GET", target)).status == 200
    assert counts == {"get": 0, "check_claims": 0, "verify": 0}


async def test_flood_of_invalid_tokens_reads_a_tenant_a_few_times_a_second(wire, queries):
    token = jwt.encode(wire.claims("GET", WITHOUT), "x" * 48, algorithm="HS256")
    queries.clear()
    for _ in range(50):
        assert (await wire.ask("GET", f"{WITHOUT}?jwt={token}")).status == 401
    assert len(queries) <= 10


async def test_flood_for_an_unknown_site_queries_a_few_times_a_second(wire, queries):
    token = wire.token("GET", WITHOUT, iss="nobody-of-this-name")
    queries.clear()
    for _ in range(50):
        assert (await wire.ask("GET", f"{WITHOUT}?jwt={token}")).status == 401
    assert len(queries) <= 10


async def test_install_key_that_is_cached_is_not_fetched_again(wire, counted):
    counts = counted(InstallKeys, "_fetch")
    await wire.host.install()
    assert counts == {"_fetch": 0}


async def test_query_hash_is_compared_in_constant_time(wire, counted):
    counts = counted(hmac, "compare_digest")
    assert (await wire.open(WITHOUT)).status == 200
    # one comparison of the signature, one of the query hash
    assert counts["compare_digest"] == 2
