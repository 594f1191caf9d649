"""Transactions and the tasks that are started inside them."""

import asyncio
from contextlib import suppress

import pytest
from addonkit.database.location import Location
from addonkit.database.task_bound import TransactionMisused
from addonkit.tenant_data.connection import tenant_database
from addonkit.tenant_data.scope import tenant_scope
from addonkit.testing.databases import create_tables, database_settings
from structlog.testing import capture_logs
from tortoise.exceptions import TransactionManagementError
from tortoise.signals import Signals
from tortoise.transactions import in_transaction

from tests.support.notes import APPS
from tests.support.notes.models import Note
from tests.support.tenants import tenant


@pytest.fixture
async def notes(tmp_path):
    """An open database with a tenant in scope."""
    location = Location(**database_settings(tmp_path, create=False))
    await create_tables(location, APPS)
    async with tenant_database(location, APPS):
        with tenant_scope(tenant(1)):
            yield


async def nested():
    async with in_transaction():
        await Note.create(title="nested")


async def titles():
    return await Note.all().order_by("id").values_list("title", flat=True)


async def in_gather(work):
    await asyncio.gather(work(), work())


async def in_group(work):
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(work(), name="inner")


async def in_task(work):
    await asyncio.create_task(work(), name="inner")


NESTED = {
    "transaction": nested,
    "get_or_create": lambda: Note.get_or_create(title="nested"),
    "update_or_create": lambda: Note.update_or_create({"size": 3}, title="nested"),
    "two levels": lambda: in_task(nested),
    "savepoint of a savepoint": lambda: in_gather(nested),
}


def leaves(error):
    return (
        [leaf for one in error.exceptions for leaf in leaves(one)] if isinstance(error, BaseExceptionGroup) else [error]
    )


async def transaction(*steps):
    """Run steps one after another in a transaction."""
    async with in_transaction():
        for step in steps:
            await step()


async def outer():
    await Note.create(title="outer")


async def fail():
    raise ValueError("undone")


@pytest.mark.parametrize("start", [in_gather, in_group, in_task])
@pytest.mark.parametrize("kind", NESTED)
async def test_nested_transaction_in_another_task_is_refused(notes, start, kind):
    name = asyncio.current_task().get_name()
    with pytest.raises((TransactionMisused, ExceptionGroup)) as refused:
        await transaction(outer, lambda: start(NESTED[kind]))
    for error in leaves(refused.value):
        assert isinstance(error, TransactionMisused)
        assert f"'{name}'" in str(error)
        assert "began a nested transaction" in str(error)
    assert await titles() == []
    await nested()
    assert await titles() == ["nested"]


async def test_error_names_both_tasks(notes):
    asyncio.current_task().set_name("outer")
    with pytest.raises(TransactionMisused, match=r"the task 'inner' began .* the task 'outer'"):
        await transaction(lambda: in_task(nested))


async def test_nested_transaction_in_the_same_task_is_allowed(notes):
    async with in_transaction():
        await nested()
        with pytest.raises(ValueError, match="undone"):
            await transaction(outer, fail)
        await Note.get_or_create(title="got")
    assert await titles() == ["nested", "got"]


async def test_statements_of_several_tasks_are_part_of_the_transaction(notes):
    async def create_five():
        await asyncio.gather(*(Note.create(title=str(number)) for number in range(5)))
        assert len(await titles()) == 5

    with pytest.raises(ValueError, match="undone"):
        await transaction(create_five, fail)
    assert await titles() == []


async def test_handler_of_a_signal_may_begin_a_nested_transaction(notes, monkeypatch):
    async def handle(_, row, *args):
        if row.title != "nested":
            await nested()

    monkeypatch.setitem(Note._listeners[Signals.pre_save], Note, [handle])
    async with in_transaction():
        await Note.create(title="outer")
    assert await titles() == ["nested", "outer"]


async def late(ended, work):
    await ended.wait()
    return await work()


WORK = {
    "create": lambda: Note.create(title="late"),
    "read": lambda: titles(),
    "update": lambda: Note.all().update(title="late"),
    "bulk_create": lambda: Note.bulk_create([Note(title="late")]),
    "transaction": nested,
    "get_or_create": lambda: Note.get_or_create(title="late"),
}


@pytest.mark.parametrize("kind", WORK)
async def test_task_that_outlives_a_transaction_rolled_back_is_refused(notes, kind):
    asyncio.current_task().set_name("outer")
    ended, tasks = asyncio.Event(), []

    async def start():
        tasks.append(asyncio.create_task(late(ended, WORK[kind]), name="inner"))

    with pytest.raises(ValueError, match="undone"):
        await transaction(start, outer, fail)
    ended.set()
    [task] = tasks
    with pytest.raises(TransactionMisused, match=r"the task 'inner' outlived the transaction of the task 'outer'"):
        await task
    assert await titles() == []


@pytest.mark.parametrize("kind", WORK)
async def test_task_that_outlives_a_committed_transaction_runs_outside_with_a_warning(notes, kind):
    ended = asyncio.Event()
    async with in_transaction():
        task = asyncio.create_task(late(ended, WORK[kind]), name="inner")
        await Note.create(title="outer")
    ended.set()
    with capture_logs() as logs:
        await task
    [warning] = [line for line in logs if line["event"] == "transaction.outlived"]
    assert "'inner'" in warning["task"]
    assert warning["log_level"] == "warning"


async def roll_back(began):
    """Begin a transaction, create a row and roll back a moment later."""
    async with in_transaction():
        await Note.create(title="other")
        began.set()
        await asyncio.sleep(0.1)
        raise ValueError("undone")


async def test_task_that_outlives_a_transaction_does_not_join_another(notes):
    began = asyncio.Event()
    async with in_transaction():
        task = asyncio.create_task(late(began, lambda: Note.create(title="late")))
        await Note.create(title="outer")
    with pytest.raises(ValueError, match="undone"):
        await roll_back(began)
    await task
    assert await titles() == ["outer", "late"]


async def test_end_of_a_transaction_waits_for_statements_of_other_tasks(notes):
    async with in_transaction():
        tasks = [asyncio.create_task(Note.create(title=str(number))) for number in range(8)]
        await asyncio.sleep(0)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    failed = [result for result in results if isinstance(result, Exception)]
    assert all(isinstance(error, TransactionMisused) for error in failed)
    assert len(await titles()) == len(results) - len(failed)


async def test_failed_gather_leaves_nothing_behind(notes):
    tasks = []

    async def slow():
        await asyncio.sleep(0.05)
        await Note.create(title="kept")

    async def start():
        tasks.append(asyncio.create_task(slow()))
        await asyncio.gather(fail(), *tasks)

    with pytest.raises(ValueError, match="undone"):
        await transaction(start)
    [task] = tasks
    with pytest.raises(TransactionMisused):
        await task
    assert await titles() == []


async def write_meanwhile(began, ended, work):
    await began.wait()
    try:
        await work()
    finally:
        ended.set()


WRITES = {kind: WORK[kind] for kind in ("create", "update", "bulk_create")} | {
    "save": lambda: Note(title="late").save(),
    "delete": lambda: Note.all().delete(),
}


@pytest.mark.parametrize("levels", [1, 2])
@pytest.mark.parametrize("kind", WRITES)
async def test_write_of_another_task_is_not_lost_in_silence_with_a_nested_transaction(notes, kind, levels):
    """The other task believes that its row is stored, so the whole transaction fails."""
    await Note.create(title="before")
    began, ended = asyncio.Event(), asyncio.Event()

    async def fail_inside():
        async with in_transaction():
            began.set()
            await ended.wait()
            if levels == 1:
                raise ValueError("undone")
        raise ValueError("undone")

    async def nested_failure():
        with suppress(ValueError):
            await (fail_inside() if levels == 1 else transaction(fail_inside))

    async def both():
        task = asyncio.create_task(write_meanwhile(began, ended, WRITES[kind]), name="inner")
        with suppress(TransactionMisused):  # the end of the outer transaction raises it again
            await nested_failure()
        await task

    with pytest.raises(TransactionMisused, match=r"the task 'inner' wrote while .* nested transaction open"):
        await transaction(both)
    assert await titles() == ["before"]
    await nested()
    assert await titles() == ["before", "nested"]


async def test_reading_task_and_own_tasks_do_not_disturb_a_nested_transaction(notes):
    began, ended = asyncio.Event(), asyncio.Event()

    async def nested_failure():
        with suppress(ValueError):
            async with in_transaction():
                await asyncio.gather(Note.create(title="a"), Note.create(title="b"))
                began.set()
                await ended.wait()
                raise ValueError("undone")

    async with in_transaction():
        task = asyncio.create_task(write_meanwhile(began, ended, titles))
        await nested_failure()
        await task
        await Note.create(title="kept")
    assert await titles() == ["kept"]


async def test_task_that_outlives_a_nested_transaction_rolled_back_is_refused(notes):
    ended = asyncio.Event()
    async with in_transaction():
        with suppress(ValueError):
            async with in_transaction():
                task = asyncio.create_task(late(ended, lambda: Note.create(title="late")), name="inner")
                await Note.create(title="nested")
                raise ValueError("undone")
        ended.set()
        with pytest.raises(TransactionMisused, match="the task 'inner' outlived"):
            await task
        await Note.create(title="outer")
    assert await titles() == ["outer"]


async def ended_by_a_task(error):
    context = in_transaction()
    await context.__aenter__()
    await Note.create(title="lost")
    await asyncio.create_task(context.__aexit__(*((type(error), error, None) if error else (None, None, None))))


async def generate():
    async with in_transaction():
        await Note.create(title="lost")
        yield 1
        yield 2


async def closed_by_a_task():
    generator = generate()
    await anext(generator)
    await asyncio.create_task(generator.aclose())


ENDS = {
    "task": lambda: ended_by_a_task(None),
    "task with an error": lambda: ended_by_a_task(ValueError("undone")),
    "task with Tortoise's error": lambda: ended_by_a_task(TransactionManagementError("undone")),
    "async generator": closed_by_a_task,
    "gather": lambda: asyncio.gather(ended_by_a_task(None)),
}


@pytest.mark.parametrize("kind", ENDS)
async def test_transaction_that_ends_in_another_task_is_rolled_back_and_blocks_nothing(notes, kind):
    for _ in range(12):  # more than the pool has connections
        with pytest.raises(TransactionMisused, match=r"began was ended by the task .* rolled back"):
            await ENDS[kind]()
    assert await titles() == []
    await nested()
    assert await titles() == ["nested"]


@pytest.mark.parametrize("error", [TransactionManagementError, ValueError, asyncio.CancelledError, GeneratorExit])
async def test_every_error_rolls_back(notes, error):
    async def fail_with_it():
        await Note.create(title="inner")
        raise error("undone")

    with pytest.raises(error):
        await transaction(outer, fail_with_it)
    async with in_transaction():
        with pytest.raises(error):
            await transaction(fail_with_it)
        await nested()
    assert await titles() == ["nested"]


@pytest.mark.postgresql
async def test_statement_of_another_thread_names_its_task(notes):
    async def name_itself():
        asyncio.current_task().set_name("inner")
        await Note.create(title="thread")

    async def in_thread():
        await asyncio.to_thread(lambda: asyncio.run(name_itself()))

    with pytest.raises(TransactionMisused, match="the task 'inner' in another thread"):
        await transaction(outer, in_thread)
    assert await titles() == []
