"""The lock by name, for a check before an insert."""

import asyncio

import pytest
from addonkit.errors import TenantMissing
from addonkit.tenant_data.scope import tenant_scope
from addonkit.tenant_data.transaction_lock import transaction_lock
from tortoise.transactions import in_transaction

from tests.support.notes.models import Slug
from tests.support.tenants import tenant

MINE, OTHER = tenant(1), tenant(2)


async def add_below(limit, key, owner):
    """Add a row if there are fewer than the limit; give whether there were."""
    with tenant_scope(owner):
        async with in_transaction():
            await transaction_lock(*key)
            if await Slug.filter(value=str(key)).count() >= limit:
                return False
            await asyncio.sleep(0.01)
            await Slug.create(slug=f"{key} {asyncio.current_task().get_name()}", value=str(key))
            return True


KEYS = [("checklist", "10001"), ("",), ("a", 1), ("a", -(2**80)), ("x" * 10_000,), ("\0", "\ud800")]


@pytest.mark.parametrize("key", [("checklist", "10001"), ("",), ("a", 1), ("a", "1"), ("two", "words", 3)])
async def test_lock_lets_transactions_with_a_key_run_one_after_another(notes, key):
    added = await asyncio.gather(*(add_below(3, key, MINE) for _ in range(12)))
    assert sum(added) == 3


async def test_lock_is_of_each_key_and_tenant(notes):
    added = await asyncio.gather(
        *(add_below(2, key, owner) for _ in range(4) for key in (("a",), ("b",)) for owner in (MINE, OTHER))
    )
    assert sum(added) == 8


@pytest.mark.postgresql
async def test_lock_of_another_key_is_not_waited_for(notes):
    held, release = asyncio.Event(), asyncio.Event()

    async def hold():
        with tenant_scope(MINE):
            async with in_transaction():
                await transaction_lock("a")
                held.set()
                await release.wait()

    holder = asyncio.create_task(hold())
    await held.wait()
    assert await add_below(1, ("b",), MINE)
    assert await add_below(1, ("a",), OTHER)
    release.set()
    await holder
    assert await add_below(1, ("a",), MINE)


@pytest.mark.parametrize("key", KEYS)
async def test_lock_accepts_any_key(notes, key):
    with tenant_scope(MINE):
        async with in_transaction():
            await transaction_lock(*key)
            await transaction_lock(*key)


async def test_lock_outside_of_a_transaction_is_refused(notes):
    with tenant_scope(MINE), pytest.raises(RuntimeError, match="outside of a transaction"):
        await transaction_lock("a")


async def test_lock_without_a_tenant_is_refused(notes):
    async with in_transaction():
        with pytest.raises(TenantMissing):
            await transaction_lock("a")
