"""Key rotation: secrets are re-encrypted with the first key while sites install."""

import asyncio
import itertools
import time
from types import SimpleNamespace

import pytest
from addonkit.errors import VaultLocked
from addonkit.jobs.lifecycle import enqueue_lifecycle_jobs
from addonkit.tenancy import key_rotation as rotations
from addonkit.tenancy.key_rotation import RotationResult, reencrypt
from addonkit.tenancy.key_usage import KeyState, KeyUse, count_expired_secrets, count_key_uses
from addonkit.tenancy.models import TenantRow
from addonkit.tenancy.record import IdentityKind
from addonkit.tenancy.store import TenantStore
from addonkit.tenancy.vault import Vault, key_id_of
from addonkit.tenant_data.connection import tenant_database
from addonkit.testing.databases import create_tables
from structlog.testing import capture_logs

from tests.support.encrypted_sites import NEW, OLD, OTHER, install, location_in, secret, secrets_in, vault_of

BEFORE, DURING, AFTER = vault_of(OLD), vault_of(NEW, OLD), vault_of(NEW)
LOST_KEY, DIFFERENT_KEY = vault_of(OTHER), ("k1", b"z" * 32)


@pytest.fixture(autouse=True)
async def database(tmp_path):
    location = location_in(tmp_path)
    await create_tables(location, {})
    async with tenant_database(location, {}) as database:
        yield database


@pytest.fixture
def notified(monkeypatch):
    """The keys of the tenants that other processes are notified of."""
    keys = []

    async def note(key):
        keys.append(key)

    monkeypatch.setattr(rotations, "notify_change", note)
    return keys


async def installed(count):
    for number in range(count):
        await install(number, BEFORE)


async def key_ids(column="shared_secret"):
    return {key_id_of(text) for text in await TenantRow.all().values_list(column, flat=True) if text is not None}


async def test_rotation_reencrypts_every_secret_with_the_first_key():
    await installed(5)
    done = await reencrypt(DURING)
    assert (done.sites, done.checked, await key_ids()) == (5, 5, {"k2"})
    assert await secrets_in(AFTER) == [secret(n) for n in range(5)]


async def test_rotation_reencrypts_a_valid_former_secret():
    await install(1, BEFORE)
    await install(1, BEFORE, turn=1)
    assert (await reencrypt(DURING)).former == 1
    record = await TenantStore(AFTER, enqueue=enqueue_lifecycle_jobs).find(IdentityKind.CLIENT_KEY, "site-1")
    assert record.former_secret.decode() == secret(1)
    assert record.former_until > time.time()


async def test_rotation_clears_an_expired_former_secret():
    await install(1, BEFORE)
    await install(1, BEFORE, turn=1)
    await TenantRow.all().update(former_until=time.time() - 1)
    assert await count_expired_secrets() == 1
    assert (await reencrypt(DURING)).expired == 1
    row = await TenantRow.get(client_key="site-1")
    assert (row.former_secret, row.former_until) == (None, None)


async def test_rotation_changes_nothing_the_second_time():
    await installed(3)
    await reencrypt(DURING)
    before = await TenantRow.all().values_list("shared_secret", flat=True)
    assert await reencrypt(DURING) == RotationResult(checked=3)
    assert await TenantRow.all().values_list("shared_secret", flat=True) == before


async def test_rotation_in_batches_checks_every_tenant_once():
    await installed(7)
    events = []
    await reencrypt(DURING, batch=3, on_progress=lambda done: events.append((done.checked, done.sites)))
    assert events == [(3, 3), (6, 6), (7, 7)]


async def test_rotation_continues_after_an_interruption():
    await installed(7)

    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await reencrypt(DURING, batch=3, on_progress=stop)
    assert await TenantRow.filter(shared_secret__startswith="v1.k2.").count() == 3
    assert (await reencrypt(DURING, batch=3)).sites == 4


async def test_rotation_dry_run_counts_and_changes_nothing():
    await installed(3)
    assert (await reencrypt(DURING, dry_run=True)).sites == 3
    assert await key_ids() == {"k1"}


async def test_rotation_keeps_the_time_of_the_last_change():
    await install(1, BEFORE)
    before = (await TenantRow.get(client_key="site-1")).updated_at
    await reencrypt(DURING)
    assert (await TenantRow.get(client_key="site-1")).updated_at == before


async def test_rotation_does_not_overwrite_a_concurrent_install(monkeypatch):
    await installed(2)
    apply = rotations._apply

    async def late(changes, done, dry_run):
        await install(1, BEFORE, turn=1)
        await apply(changes, done, dry_run)

    monkeypatch.setattr(rotations, "_apply", late)
    done = await reencrypt(DURING)
    record = await TenantStore(DURING, enqueue=enqueue_lifecycle_jobs).find(IdentityKind.CLIENT_KEY, "site-1")
    assert (done.sites, done.superseded) == (1, 1)
    assert (record.secret.decode(), record.former_secret.decode()) == (secret(1, 1), secret(1))


async def test_rotation_loses_no_install_of_many():
    await installed(20)

    async def reinstall():
        for turn in range(1, 4):
            for number in range(20):
                await install(number, DURING, turn)

    await asyncio.gather(reinstall(), *(reencrypt(DURING, batch=2) for _ in range(3)))
    assert await secrets_in(DURING) == [secret(n, 3) for n in range(20)]
    await reencrypt(DURING)
    assert await secrets_in(AFTER) == [secret(n, 3) for n in range(20)]


async def test_rotation_can_run_twice_at_once():
    await installed(20)
    first, second = await asyncio.gather(reencrypt(DURING, batch=3), reencrypt(DURING, batch=3))
    assert (first.sites + second.sites, await key_ids()) == (20, {"k2"})
    assert await secrets_in(AFTER) == [secret(n) for n in range(20)]


async def test_rotation_keeps_a_secret_of_a_missing_key():
    await install(1, LOST_KEY)
    await install(2, BEFORE)
    done = await reencrypt(DURING)
    assert (done.sites, done.locked, await key_ids()) == (1, 1, {"k2", "k3"})


async def test_rotation_clears_a_secret_of_a_lost_key_on_request():
    await install(1, LOST_KEY)
    await install(2, BEFORE)
    done = await reencrypt(DURING, drop=["k3"])
    assert (done.sites, done.dropped, await key_ids()) == (1, 1, {"k2"})
    record = await TenantStore(AFTER, enqueue=enqueue_lifecycle_jobs).find(IdentityKind.CLIENT_KEY, "site-1")
    assert record.secret is None


async def test_tenant_with_a_cleared_secret_recovers_by_an_install():
    await install(1, LOST_KEY)
    number = (await TenantRow.get(client_key="site-1")).id
    await reencrypt(DURING, drop=["k3"])
    await install(1, DURING, turn=1)
    record = await TenantStore(DURING, enqueue=enqueue_lifecycle_jobs).find(IdentityKind.CLIENT_KEY, "site-1")
    assert (record.tenant.id, record.secret.decode()) == (number, secret(1, 1))


async def test_rotation_never_clears_a_secret_that_can_be_decrypted():
    await installed(2)
    done = await reencrypt(DURING, drop=["k1", "k2"])
    assert (done.sites, done.dropped) == (2, 0)


async def test_rotation_clears_secrets_of_a_different_key_with_the_same_id_on_request():
    await installed(1)
    done = await reencrypt(Vault([DIFFERENT_KEY]), drop=["k1"])
    assert done.dropped == 1


@pytest.mark.parametrize(
    ("dry_run", "batch", "pauses"),
    [(False, 1, [2.0, 2.0, 2.0]), (False, 2, [2.0, 2.0]), (False, 3, [2.0]), (True, 1, [0, 0, 0]), (True, 3, [0])],
    ids=["three batches", "two batches", "one batch", "dry run", "dry run of one batch"],
)
async def test_rotation_pauses_after_each_batch_for_as_long_as_it_took(monkeypatch, dry_run, batch, pauses):
    await installed(3)
    times, slept = itertools.count(start=1000.0, step=2.0), []

    async def sleep(seconds):
        slept.append(seconds)

    monkeypatch.setattr(rotations, "time", SimpleNamespace(monotonic=lambda: next(times), time=time.time))
    monkeypatch.setattr(rotations, "asyncio", SimpleNamespace(sleep=sleep))
    await reencrypt(DURING, batch=batch, dry_run=dry_run)
    assert slept == pauses


@pytest.mark.parametrize(
    ("sites", "drop", "expected"),
    [
        ([BEFORE, BEFORE], [], []),
        ([BEFORE, LOST_KEY], [], []),
        ([LOST_KEY, BEFORE], ["k3"], ["site-0"]),
        ([LOST_KEY, LOST_KEY], ["k3"], ["site-0", "site-1"]),
        ([BEFORE, BEFORE], ["k1", "k2"], []),
    ],
    ids=["reencrypted", "locked", "one dropped", "two dropped", "nothing to drop"],
)
async def test_processes_are_notified_which_tenants_have_lost_their_secret(notified, sites, drop, expected):
    """A tenant whose secret is encrypted with another key keeps its secret, so that no process has to read it again."""
    for number, vault in enumerate(sites):
        await install(number, vault)
    await reencrypt(DURING, drop=drop)
    assert sorted(notified) == expected


async def test_processes_are_not_notified_of_a_secret_that_a_concurrent_install_has_replaced(notified):
    await install(1, LOST_KEY)
    row = await TenantRow.get(client_key="site-1")
    update = rotations.SecretUpdate(row, "shared_secret", "read before the install", None, "dropped")
    assert (await rotations._replace(update), notified) == (False, [])


async def test_key_usage_counts_the_secrets_of_each_key():
    await installed(3)
    await install(0, BEFORE, turn=1)
    await install(9, LOST_KEY)
    assert await count_key_uses(DURING) == (
        KeyUse("k2", KeyState.ENCRYPTS),
        KeyUse("k1", KeyState.DECRYPTS, sites=3, former=1),
        KeyUse("k3", KeyState.MISSING, sites=1),
    )


async def test_key_usage_counts_a_former_secret_while_it_is_accepted():
    await install(1, BEFORE)
    await install(1, BEFORE, turn=1)
    await TenantRow.all().update(former_until=time.time() - 1)
    assert await count_key_uses(BEFORE) == (KeyUse("k1", KeyState.ENCRYPTS, sites=1),)


async def test_key_usage_detects_a_different_key_with_the_same_id():
    await installed(1)
    assert await count_key_uses(Vault([("k2", b"k" * 32), DIFFERENT_KEY])) == (
        KeyUse("k2", KeyState.ENCRYPTS),
        KeyUse("k1", KeyState.DIFFERS, sites=1),
    )


@pytest.mark.parametrize("damaged", [0, 2])
async def test_key_usage_tolerates_one_damaged_secret(damaged):
    await installed(3)
    row = await TenantRow.get(client_key=f"site-{damaged}")
    encrypted = vault_of(OLD).encrypt(b"x", tenant_key="another", column="shared_secret")
    await TenantRow.filter(id=row.id).update(shared_secret=encrypted)
    with capture_logs() as logs:
        await TenantStore(BEFORE, enqueue=enqueue_lifecycle_jobs).check_keys()
    events = [(one["event"], one["log_level"], one["tenant"]) for one in logs]
    assert events == ([("secret.decrypt_failed", "warning", row.id)] if damaged else [])


async def test_key_usage_distinguishes_upper_and_lower_case_ids():
    await install(1, Vault([("K1", b"c" * 32)]))
    await install(2, BEFORE)
    assert [use.key_id for use in await count_key_uses(BEFORE)] == ["k1", "K1"]


async def test_key_usage_counts_malformed_values_without_a_key():
    await install(1, BEFORE)
    await TenantRow.all().update(shared_secret="spoilt")
    assert (await count_key_uses(BEFORE))[1] == KeyUse("", KeyState.MISSING, sites=1)


async def test_key_check_refuses_a_start_with_a_missing_key():
    await installed(2)
    await install(9, DURING)
    with pytest.raises(VaultLocked, match=r"\(secrets by key: 'k1': 2\).*rotate --drop-lost k1'"):
        await TenantStore(AFTER, enqueue=enqueue_lifecycle_jobs).check_keys()


async def test_key_check_includes_former_secrets_while_they_are_accepted():
    await install(1, AFTER)
    former = BEFORE.encrypt(b"x", tenant_key="site-1", column="former_secret")
    await TenantRow.all().update(former_secret=former, former_until=time.time() + 60)
    with pytest.raises(VaultLocked, match=r"\(secrets by key: 'k1': 1\)"):
        await TenantStore(AFTER, enqueue=enqueue_lifecycle_jobs).check_keys()
    await TenantRow.all().update(former_until=time.time() - 1)
    await TenantStore(AFTER, enqueue=enqueue_lifecycle_jobs).check_keys()


async def test_key_check_passes_at_every_step_of_a_rotation():
    await installed(2)
    for vault in (BEFORE, vault_of(OLD, NEW), DURING):
        await TenantStore(vault, enqueue=enqueue_lifecycle_jobs).check_keys()
    await reencrypt(DURING)
    for vault in (DURING, AFTER):
        await TenantStore(vault, enqueue=enqueue_lifecycle_jobs).check_keys()


async def test_rotation_notifies_other_processes_of_cleared_secrets_alone(notified, monkeypatch):
    """The others are encrypted differently, and are the same."""
    await install(1, LOST_KEY)
    await install(2, BEFORE)
    await install(3, BEFORE)
    await install(3, BEFORE, turn=1)
    await TenantRow.filter(client_key="site-3").update(former_until=1.0)
    done = await reencrypt(DURING, drop=["k3"])
    assert (done.sites, done.dropped, done.expired, notified) == (2, 1, 1, ["site-1"])
    await install(4, LOST_KEY)
    monkeypatch.setattr(rotations.TenantRow, "filter", classmethod(no_longer(rotations.TenantRow.filter)))
    assert ((await reencrypt(DURING, drop=["k3"])).superseded, notified) == (1, ["site-1"])


def no_longer(real):
    """A filter that finds no row by an encrypted text, as if another process had just replaced it."""

    def find(_, **conditions):
        return real(**(conditions | {"id": 0} if "shared_secret" in conditions else conditions))

    return find
