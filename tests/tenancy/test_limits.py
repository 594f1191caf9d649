"""Limits of the rooms of tenants at the limit: what is just below is kept or found, and what is just above is not."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from addonkit.context import Tenant, TenantState
from addonkit.database.sql import execute, fetch
from addonkit.errors import AddonkitError, TokenInvalid
from addonkit.tenancy import directory, identities, install_key_store, installs, names, presence, replay, states, store
from addonkit.tenancy.directory import Directory
from addonkit.tenancy.install_key_store import InstallKeyStore
from addonkit.tenancy.models import PresenceRow, TenantHistory, TenantIdentity, TenantRow, UsedToken
from addonkit.tenancy.names import find_tenant
from addonkit.tenancy.record import IdentityKind, StoredInstallKey, TenantRecord, TokenUse
from addonkit.tenancy.states import HELD, TenantStates
from addonkit.tenant_data.connection import tenant_database

from tests.support.directory_clock import DirectoryClock
from tests.support.statements import recorded_statements
from tests.support.tenant_rows import InstalledSites, unused_token

NOW = 1_800_000_000


@pytest.fixture
async def sites(location):
    async with tenant_database(location, {}):
        yield InstalledSites()


@pytest.mark.parametrize("more", [-1, 0, 1], ids=["below", "at", "above"])
@pytest.mark.parametrize(("most", "injected"), [(256, None), (2, 2), (5, 5)], ids=["as shipped", "2", "5"])
async def test_stored_install_keys_are_read_up_to_their_maximum_number(sites, monkeypatch, most, injected, more):
    if injected is not None:
        monkeypatch.setattr(install_key_store, "MAX_STORED", injected)
    store = InstallKeyStore()
    for number in range(most + more):
        await store.save(StoredInstallKey(f"k{number}", "PEM", 1000 - number))
    found = [key.key_id for key in await store.load()]
    assert found == [f"k{number}" for number in range(most + more)][:most]


@pytest.mark.parametrize(("most", "injected"), [(100, None), (3, 3)], ids=["as shipped", "changed"])
@pytest.mark.parametrize("more", [-1, 0, 1], ids=["below", "at", "above"])
async def test_expired_tokens_are_deleted_up_to_a_number_at_each_use(sites, monkeypatch, most, injected, more):
    if injected:
        monkeypatch.setattr(replay, "MAX_DELETED", injected)
    await UsedToken.bulk_create(UsedToken(digest=f"d{number}", expires_at=1) for number in range(most + more))
    await replay.use_token(TokenUse.of("head.new.signature", issued_at=NOW, expires_at=2 * NOW))
    assert await UsedToken.filter(expires_at=1).count() == max(more, 0)


@pytest.mark.parametrize(("margin_s", "injected"), [(300, None), (20, 20)], ids=["as shipped", "changed"])
@pytest.mark.parametrize(("late_s", "is_kept"), [(-1, True), (0, True), (1, False)], ids=["below", "at", "above"])
async def test_used_token_is_refused_until_its_margin_is_over(sites, monkeypatch, margin_s, injected, late_s, is_kept):
    if injected:
        monkeypatch.setattr(replay, "USED_TOKEN_MARGIN_S", injected)
    monkeypatch.setattr(replay.time, "time", lambda: NOW + 0.5)
    old = TokenUse.of("head.old.signature", issued_at=0, expires_at=NOW - margin_s - late_s)
    await UsedToken.create(digest=old.digest, expires_at=old.expires_at)
    await replay.use_token(TokenUse.of("head.new.signature", issued_at=NOW, expires_at=NOW + 180))
    if is_kept:
        with pytest.raises(TokenInvalid, match="was used before"):
            await replay.refuse_replayed(old)
    else:
        await replay.refuse_replayed(old)


@pytest.mark.parametrize(("pause_s", "injected"), [(3600, None), (7200, 7200.0)], ids=["as shipped", "changed"])
@pytest.mark.parametrize(("late_s", "is_due"), [(-60, False), (1, True)], ids=["below", "above"])
async def test_gone_site_is_called_again_after_its_pause(sites, monkeypatch, pause_s, injected, late_s, is_due):
    if injected:
        monkeypatch.setattr(presence, "ASK_AGAIN_S", injected)
    now = time.time()
    await PresenceRow.create(tenant_id=1, next_at=now + 9000, asked_at=now - pause_s - late_s)
    await presence.ask_soon(1)
    [row] = await fetch("SELECT next_at FROM addonkit_presence")
    assert (row["next_at"] < now + 8000) == is_due


@pytest.mark.parametrize(("age_s", "injected"), [(300, None), (40, 40)], ids=["as shipped", "changed"])
@pytest.mark.parametrize(("late_s", "is_known"), [(-1, True), (0, True), (1, False)], ids=["below", "at", "above"])
async def test_time_of_a_disabling_is_that_of_its_token_unless_that_is_too_old(
    sites, monkeypatch, age_s, injected, late_s, is_known
):
    """A token issued in between enables the site again if the time of the disabling is that of its token."""
    if injected:
        monkeypatch.setattr(states, "TOKEN_AGE_S", injected)
    site, received = await sites.install("one"), datetime.fromtimestamp(NOW, UTC)
    await TenantHistory.filter(tenant_id=site.id).delete()
    await TenantRow.filter(id=site.id).update(state=TenantState.DISABLED, disabled_iat=NOW - age_s - late_s)
    await TenantHistory.create(tenant_id=site.id, at=received, what="disabled", client_key="one", base_url="")
    enabled = await TenantStates(sites.store._enqueue).enable_by_token(site.id, NOW - 5, [])
    assert (enabled is not None) == is_known


@pytest.mark.parametrize(("later_s", "is_enabled"), [(-1, False), (0, False), (1, False), (2, True)])
async def test_token_enables_a_site_from_two_seconds_after_the_disabling(sites, later_s, is_enabled):
    """Both times are in whole seconds, and of two servers."""
    site = await sites.install("one")
    await TenantRow.filter(id=site.id).update(state=TenantState.DISABLED, disabled_iat=NOW)
    await TenantHistory.all().update(at=datetime.fromtimestamp(NOW, UTC))
    enabled = await TenantStates(sites.store._enqueue).enable_by_token(site.id, NOW + later_s, [])
    assert (enabled is not None and enabled.state is TenantState.ENABLED) == is_enabled


async def test_site_that_an_operator_has_disabled_is_enabled_by_no_token(sites):
    site = await sites.install("one")
    changes = TenantStates(sites.store._enqueue)
    await changes.set_by_operator(site.id, enabled=False, listeners=[])
    assert (await TenantRow.get(id=site.id)).disabled_iat == HELD
    assert await changes.enable_by_token(site.id, HELD - 1, []) is None


@pytest.mark.parametrize(("longest", "injected"), [(2000, None), (40, 40)], ids=["as shipped", "changed"])
@pytest.mark.parametrize("more", [-1, 0, 1], ids=["below", "at", "above"])
async def test_name_of_a_tenant_is_compared_up_to_its_maximum_length(sites, monkeypatch, longest, injected, more):
    if injected:
        monkeypatch.setattr(names, "MAX_NAME", injected)
    site, url = await sites.install("one"), "https://one.example/".ljust(longest + more, "x")
    await execute("UPDATE addonkit_tenant SET base_url = ? WHERE id = ?", [url, site.id])
    if more > 0:
        with pytest.raises(AddonkitError, match="no tenant matches"):
            await find_tenant(url)
    else:
        assert (await find_tenant(url)).id == site.id


@pytest.mark.parametrize("number", [2**31 - 1, 2**31, 10**10])
async def test_number_of_a_tenant_is_found_up_to_the_greatest_of_its_column(sites, number):
    site = await sites.install("one")
    if number < 2**31:
        await execute("UPDATE addonkit_tenant SET id = ? WHERE id = ?", [number, site.id])
        assert (await find_tenant(str(number))).id == number
    else:
        with pytest.raises(AddonkitError, match="no tenant matches"):
            await find_tenant(str(number))


@pytest.mark.parametrize(("most", "injected"), [(10, None), (3, 3)], ids=["as shipped", "changed"])
@pytest.mark.parametrize("more", [-1, 0, 1], ids=["below", "at", "above"])
async def test_ambiguous_name_lists_up_to_a_number_of_tenants(sites, monkeypatch, most, injected, more):
    if injected:
        monkeypatch.setattr(names, "MAX_LISTED", injected)
    for number in range(most + more):
        await sites.install(f"key-{number}", "https://same.example")
    with pytest.raises(AddonkitError) as refused:
        await find_tenant("same.example")
    assert [f"'key-{number}'" in str(refused.value) for number in range(most + more)] == ([True] * most + [False])[
        : most + more
    ]
    assert (" and 1 more;" in str(refused.value)) == (" more;" in str(refused.value)) == (more > 0)


@pytest.mark.parametrize(
    ("pause", "call"),
    [(timedelta(hours=13), timedelta()), (timedelta(hours=12), timedelta()), (timedelta(hours=11), timedelta(days=1))],
    ids=["above", "at", "below"],
)
def test_next_call_of_a_site_is_at_its_moment_of_a_day_after_half_a_day(pause, call):
    moment = presence.STRIDE_S * 3 % 86400
    day = 20_000 * 86400
    asked = day + moment - pause.total_seconds()
    assert presence.next_moment(3, asked) == day + moment + call.total_seconds()


@pytest.mark.parametrize(("kept_s", "injected"), [(300, None), (7, 7.0)], ids=["as shipped", "changed"])
@pytest.mark.parametrize(("late_s", "is_accepted"), [(-0.001, True), (0, False)], ids=["below", "at"])
async def test_former_secret_is_accepted_for_a_time_after_it_was_replaced(
    sites, monkeypatch, kept_s, injected, late_s, is_accepted
):
    if injected is not None:
        monkeypatch.setattr(installs, "FORMER_SECRET_S", injected)
    now = [time.time()]
    monkeypatch.setattr(time, "time", lambda: now[0])
    await sites.install("one", secret="a" * 40)
    await sites.install("one", secret="b" * 40)
    now[0] += kept_s + late_s
    record = await sites.store.find(IdentityKind.KEY, "one")
    assert record.secret == b"b" * 40
    assert record.former_secret == (b"a" * 40 if is_accepted else None)
    assert (record.former_until > 0) == is_accepted


@pytest.mark.parametrize(("longest", "injected"), [(300, None), (12, 12)], ids=["as shipped", "changed"])
@pytest.mark.parametrize("more", [-1, 0, 1], ids=["below", "at", "above"])
async def test_name_in_a_request_is_looked_up_up_to_its_maximum_length(sites, monkeypatch, longest, injected, more):
    if injected is not None:
        monkeypatch.setattr(store, "MAX_NAME", injected)
    async with recorded_statements() as statements:
        assert await sites.store.find(IdentityKind.KEY, "x" * (longest + more)) is None
    assert len(statements) == (more <= 0)


class Reads:
    """A store that counts how often each name is read, and knows the names that begin with "site"."""

    def __init__(self):
        self.names = []

    async def find(self, kind, value):
        self.names.append(value)
        if not value.startswith("site"):
            return None
        return TenantRecord(Tenant(1, value, "jira", "https://x", "https://x", TenantState.ENABLED, value), None)


@pytest.fixture
def clock(monkeypatch):
    return DirectoryClock(monkeypatch)


@pytest.mark.parametrize(("most", "options"), [(16_384, {}), (3, {"max_size": 3})], ids=["as shipped", "changed"])
@pytest.mark.parametrize(("more", "is_kept"), [(0, True), (1, False)], ids=["at", "above"])
async def test_tenants_are_cached_up_to_their_maximum_number(clock, most, options, more, is_kept):
    store = Reads()
    cache = Directory(store, **options)
    for number in range(most + more):
        await cache.get(IdentityKind.KEY, f"site-{number}")
    assert len(cache) == most
    assert (cache.get_cached(IdentityKind.KEY, "site-0") is not None) == is_kept
    assert (cache.last_known("site-0") is not None) == is_kept


@pytest.mark.parametrize(("age_s", "options"), [(60, {}), (7, {"max_age_s": 7})], ids=["as shipped", "changed"])
@pytest.mark.parametrize(("late_s", "is_kept"), [(-0.001, True), (0, False)], ids=["below", "at"])
async def test_tenant_is_read_again_at_its_maximum_age(clock, age_s, options, late_s, is_kept):
    cache = Directory(Reads(), **options)
    await cache.get(IdentityKind.KEY, "site-1")
    clock.now += age_s + late_s
    assert (cache.get_cached(IdentityKind.KEY, "site-1") is not None) == is_kept


@pytest.mark.parametrize(("most", "injected"), [(1024, None), (3, 3)], ids=["as shipped", "changed"])
@pytest.mark.parametrize(("more", "is_known"), [(0, True), (1, False)], ids=["at", "above"])
async def test_unknown_names_are_remembered_up_to_their_maximum_number(
    clock, monkeypatch, most, injected, more, is_known
):
    if injected is not None:
        monkeypatch.setattr(directory, "MAX_UNKNOWN", injected)
    store = Reads()
    cache = Directory(store)
    for number in range(most + more):
        assert await cache.get(IdentityKind.KEY, f"nobody-{number}") is None
    for _ in range(9):
        await cache.get(IdentityKind.KEY, "nobody-0")
    # One that is known to be unknown is only reread, at most four times a second.
    assert store.names.count("nobody-0") == 1 + 4 + (not is_known)


@pytest.mark.parametrize(("late_s", "is_written"), [(-1, False), (1, True)], ids=["below", "above"])
@pytest.mark.parametrize(
    ("every", "injected"), [(timedelta(days=1), None), (timedelta(hours=1),) * 2], ids=["shipped", "changed"]
)
@pytest.mark.parametrize("way", ["install", "enable"])
async def test_time_at_which_a_name_was_seen_is_written_once_in_a_while(
    sites, monkeypatch, every, injected, late_s, is_written, way
):
    if injected is not None:
        monkeypatch.setattr(identities, "SEEN_EVERY", injected)
    await sites.install("one")
    before = datetime.now(UTC) - every - timedelta(seconds=late_s * 60)
    await TenantIdentity.all().update(last_seen=before)
    if way == "install":
        await sites.install("one")
    else:
        await sites.store.set_enabled("one", False, unused_token(), [])
    assert ((await TenantIdentity.get()).last_seen > before) == is_written
