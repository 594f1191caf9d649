"""Sealing what is stored with another key, while sites come and go."""

import asyncio
import time

import pytest
from addonkit.errors import VaultLocked
from addonkit.jobs.lifecycle import enqueue_lifecycle_jobs
from addonkit.tenancy import key_rotation as rotations
from addonkit.tenancy.key_rotation import RotationResult, reencrypt
from addonkit.tenancy.key_usage import KeyState, KeyUse, count_expired_secrets, count_key_uses
from addonkit.tenancy.models import TenantRow
from addonkit.tenancy.store import TenantStore
from addonkit.tenancy.vault import Vault, key_id_of
from addonkit.tenant_data.connection import tenant_database
from addonkit.testing.databases import give_tables
from structlog.testing import capture_logs

from tests.support.encrypted_sites import NEW, OLD, OTHER, install, location_in, secret, secrets_in, vault_of

BEFORE, DURING, AFTER = vault_of(OLD), vault_of(NEW, OLD), vault_of(NEW)
LOST, FALSE = vault_of(OTHER), ("k1", b"z" * 32)


@pytest.fixture(autouse=True)
async def database(tmp_path):
    location = location_in(tmp_path)
    await give_tables(location, {})
    async with tenant_database(location, {}) as database:
        yield database


async def installed(count):
    for number in range(count):
        await install(number, BEFORE)


async def key_ids(column="shared_secret"):
    return {key_id_of(text) for text in await TenantRow.all().values_list(column, flat=True) if text is not None}


async def test_every_secret_is_sealed_with_the_first_key_and_stays_the_same():
    await installed(5)
    done = await reencrypt(DURING)
    assert (done.sites, done.checked, await key_ids()) == (5, 5, {"k2"})
    assert await secrets_in(AFTER) == [secret(n) for n in range(5)]


async def test_a_former_secret_that_is_still_taken_is_sealed_anew():
    await install(1, BEFORE)
    await install(1, BEFORE, turn=1)
    assert (await reencrypt(DURING)).former == 1
    record = await TenantStore(AFTER, enqueue=enqueue_lifecycle_jobs).find("site-1")
    assert record.former_secret.decode() == secret(1)
    assert record.former_until > time.time()


async def test_a_former_secret_that_has_expired_is_cleared():
    await install(1, BEFORE)
    await install(1, BEFORE, turn=1)
    await TenantRow.all().update(former_until=time.time() - 1)
    assert await count_expired_secrets() == 1
    assert (await reencrypt(DURING)).expired == 1
    row = await TenantRow.get(client_key="site-1")
    assert (row.former_secret, row.former_until) == (None, None)


async def test_a_second_run_changes_nothing():
    await installed(3)
    await reencrypt(DURING)
    before = await TenantRow.all().values_list("shared_secret", flat=True)
    assert await reencrypt(DURING) == RotationResult(checked=3)
    assert await TenantRow.all().values_list("shared_secret", flat=True) == before


async def test_a_run_in_batches_looks_at_every_site_once():
    await installed(7)
    told = []
    await reencrypt(DURING, batch=3, on_progress=lambda done: told.append((done.checked, done.sites)))
    assert told == [(3, 3), (6, 6), (7, 7)]


async def test_a_run_that_was_stopped_is_taken_up():
    await installed(7)

    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await reencrypt(DURING, batch=3, on_progress=stop)
    assert await TenantRow.filter(shared_secret__startswith="v1.k2.").count() == 3
    assert (await reencrypt(DURING, batch=3)).sites == 4


async def test_a_dry_run_counts_and_changes_nothing():
    await installed(3)
    assert (await reencrypt(DURING, dry_run=True)).sites == 3
    assert await key_ids() == {"k1"}


async def test_the_time_of_a_sites_last_change_stays():
    await install(1, BEFORE)
    before = (await TenantRow.get(client_key="site-1")).updated_at
    await reencrypt(DURING)
    assert (await TenantRow.get(client_key="site-1")).updated_at == before


async def test_an_install_that_comes_between_reading_and_writing_wins(monkeypatch):
    await installed(2)
    apply = rotations._apply

    async def late(changes, done, dry_run):
        await install(1, BEFORE, turn=1)
        await apply(changes, done, dry_run)

    monkeypatch.setattr(rotations, "_apply", late)
    done = await reencrypt(DURING)
    record = await TenantStore(DURING, enqueue=enqueue_lifecycle_jobs).find("site-1")
    assert (done.sites, done.superseded) == (1, 1)
    assert (record.secret.decode(), record.former_secret.decode()) == (secret(1, 1), secret(1))


async def test_installs_all_along_are_neither_lost_nor_overwritten():
    await installed(20)

    async def reinstall():
        for turn in range(1, 4):
            for number in range(20):
                await install(number, DURING, turn)

    await asyncio.gather(reinstall(), *(reencrypt(DURING, batch=2) for _ in range(3)))
    assert await secrets_in(DURING) == [secret(n, 3) for n in range(20)]
    await reencrypt(DURING)
    assert await secrets_in(AFTER) == [secret(n, 3) for n in range(20)]


async def test_two_runs_at_once_seal_each_secret_and_spoil_none():
    await installed(20)
    first, second = await asyncio.gather(reencrypt(DURING, batch=3), reencrypt(DURING, batch=3))
    assert (first.sites + second.sites, await key_ids()) == (20, {"k2"})
    assert await secrets_in(AFTER) == [secret(n) for n in range(20)]


async def test_a_secret_of_a_lost_key_is_left_as_it_is():
    await install(1, LOST)
    await install(2, BEFORE)
    done = await reencrypt(DURING)
    assert (done.sites, done.locked, await key_ids()) == (1, 1, {"k2", "k3"})


async def test_a_secret_of_a_key_that_is_lost_for_good_is_cleared_on_demand():
    await install(1, LOST)
    await install(2, BEFORE)
    done = await reencrypt(DURING, drop=["k3"])
    assert (done.sites, done.dropped, await key_ids()) == (1, 1, {"k2"})
    assert await TenantStore(AFTER, enqueue=enqueue_lifecycle_jobs).find("site-1") is None


async def test_a_site_whose_secret_was_cleared_comes_back_by_an_install():
    await install(1, LOST)
    number = (await TenantRow.get(client_key="site-1")).id
    await reencrypt(DURING, drop=["k3"])
    await install(1, DURING, turn=1)
    record = await TenantStore(DURING, enqueue=enqueue_lifecycle_jobs).find("site-1")
    assert (record.tenant.id, record.secret.decode()) == (number, secret(1, 1))


async def test_nothing_that_opens_is_cleared():
    await installed(2)
    done = await reencrypt(DURING, drop=["k1", "k2"])
    assert (done.sites, done.dropped) == (2, 0)


async def test_another_key_of_the_same_name_clears_what_it_does_not_open():
    await installed(1)
    done = await reencrypt(Vault([FALSE]), drop=["k1"])
    assert done.dropped == 1


async def test_each_key_is_told_with_what_it_seals():
    await installed(3)
    await install(0, BEFORE, turn=1)
    await install(9, LOST)
    assert await count_key_uses(DURING) == (
        KeyUse("k2", KeyState.ENCRYPTS),
        KeyUse("k1", KeyState.DECRYPTS, sites=3, former=1),
        KeyUse("k3", KeyState.MISSING, sites=1),
    )


async def test_a_former_secret_counts_while_it_is_taken():
    await install(1, BEFORE)
    await install(1, BEFORE, turn=1)
    await TenantRow.all().update(former_until=time.time() - 1)
    assert await count_key_uses(BEFORE) == (KeyUse("k1", KeyState.ENCRYPTS, sites=1),)


async def test_another_key_of_the_same_name_is_told():
    await installed(1)
    assert await count_key_uses(Vault([("k2", b"k" * 32), FALSE])) == (
        KeyUse("k2", KeyState.ENCRYPTS),
        KeyUse("k1", KeyState.DIFFERS, sites=1),
    )


@pytest.mark.parametrize("damaged", [0, 2])
async def test_one_damaged_secret_does_not_make_a_good_key_a_false_one(damaged):
    await installed(3)
    row = await TenantRow.get(client_key=f"site-{damaged}")
    sealed = vault_of(OLD).encrypt(b"x", client_key="another", column="shared_secret")
    await TenantRow.filter(id=row.id).update(shared_secret=sealed)
    with capture_logs() as logs:
        await TenantStore(BEFORE, enqueue=enqueue_lifecycle_jobs).check_keys()
    told = [(one["event"], one["log_level"], one["tenant"]) for one in logs]
    assert told == ([("secret.decrypt_failed", "warning", row.id)] if damaged else [])


async def test_keys_that_differ_by_a_capital_are_two():
    await install(1, Vault([("K1", b"c" * 32)]))
    await install(2, BEFORE)
    assert [use.key_id for use in await count_key_uses(BEFORE)] == ["k1", "K1"]


async def test_a_text_in_no_form_of_ours_is_nobodys():
    await install(1, BEFORE)
    await TenantRow.all().update(shared_secret="spoilt")
    assert (await count_key_uses(BEFORE))[1] == KeyUse("", KeyState.MISSING, sites=1)


async def test_a_start_without_a_key_that_seals_something_is_refused_with_the_count():
    await installed(2)
    await install(9, DURING)
    with pytest.raises(VaultLocked, match=r"\(secrets by key: 'k1': 2\).*rotate --drop-lost k1'"):
        await TenantStore(AFTER, enqueue=enqueue_lifecycle_jobs).check_keys()


async def test_a_start_looks_at_former_secrets_while_they_are_taken():
    await install(1, AFTER)
    former = BEFORE.encrypt(b"x", client_key="site-1", column="former_secret")
    await TenantRow.all().update(former_secret=former, former_until=time.time() + 60)
    with pytest.raises(VaultLocked, match=r"\(secrets by key: 'k1': 1\)"):
        await TenantStore(AFTER, enqueue=enqueue_lifecycle_jobs).check_keys()
    await TenantRow.all().update(former_until=time.time() - 1)
    await TenantStore(AFTER, enqueue=enqueue_lifecycle_jobs).check_keys()


async def test_a_start_is_good_in_every_step_of_a_rotation():
    await installed(2)
    for vault in (BEFORE, vault_of(OLD, NEW), DURING):
        await TenantStore(vault, enqueue=enqueue_lifecycle_jobs).check_keys()
    await reencrypt(DURING)
    for vault in (DURING, AFTER):
        await TenantStore(vault, enqueue=enqueue_lifecycle_jobs).check_keys()
