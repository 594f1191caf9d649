"""The tenant scope: a context variable with the current tenant, per task and transaction."""

import asyncio

import pytest
from addonkit.errors import TenantMissing
from addonkit.tenant_data.scope import current_tenant, in_open_transaction, tenant_scope
from tortoise.transactions import in_transaction

from tests.support.notes.models import Note
from tests.support.tenants import tenant

MINE, OTHER = tenant(1), tenant(2)


def test_tenant_scope_is_empty_outside_of_a_block():
    with pytest.raises(TenantMissing, match="no tenant is in scope"):
        current_tenant()


def test_tenant_scope_ends_with_its_block():
    with tenant_scope(MINE):
        assert current_tenant() is MINE
        with tenant_scope(OTHER):
            assert current_tenant() is OTHER
        assert current_tenant() is MINE
    with pytest.raises(TenantMissing):
        current_tenant()


async def test_tenant_scope_is_separate_in_concurrent_tasks():
    async def stay(site):
        with tenant_scope(site):
            await asyncio.sleep(0)
            return current_tenant().id

    assert await asyncio.gather(*(stay(tenant(number)) for number in range(9))) == list(range(9))


async def test_tenant_scope_of_another_tenant_in_a_transaction_is_refused(notes):
    with tenant_scope(MINE):
        async with in_transaction():
            with pytest.raises(TenantMissing, match="inside an open transaction"), tenant_scope(OTHER):
                pass


async def test_tenant_scope_first_entered_in_a_transaction_is_refused(notes):
    async with in_transaction():
        with pytest.raises(TenantMissing, match="of no tenant"), tenant_scope(MINE):
            pass


async def test_tenant_scope_of_the_same_tenant_in_a_transaction_is_allowed(notes):
    with tenant_scope(MINE):
        async with in_transaction():
            with tenant_scope(MINE):
                await Note.create(title="inner")


async def test_tenant_scope_of_another_tenant_after_a_transaction_is_allowed(notes):
    with tenant_scope(MINE):
        async with in_transaction():
            await Note.create(title="inner")
        with tenant_scope(OTHER):
            assert await Note.all().count() == 2


async def test_task_that_outlives_a_transaction_is_not_in_it(notes):
    seen = []

    async def outlive(ended):
        await ended.wait()
        seen.append(in_open_transaction())
        async with in_transaction():
            await Note.create(title="late")
        seen.append(await Note.all().count())

    ended = asyncio.Event()
    with tenant_scope(MINE):
        async with in_transaction():
            assert in_open_transaction()
            task = asyncio.create_task(outlive(ended))
        ended.set()
        await task
    assert seen == [False, 3]


async def test_tasks_of_two_tenants_never_mix(notes):
    async def work(site):
        for _ in range(20):
            with tenant_scope(site):
                await Note.create(title="more")
                assert {row.tenant_id for row in await Note.all()} == {site.id}

    await asyncio.gather(*(work(tenant(number)) for number in range(1, 6)))
