"""Telling plugins what happened: at least once, in order, each on its own."""

import asyncio
import itertools
import time

import pytest
import structlog
from addonkit.tenancy import Database, Installation, Outbox, TenantStore, TokenUse, Vault, current_tenant
from addonkit.tenancy import outbox as outbox_module
from addonkit.tenancy.models import LifecycleNotice, TenantRow
from addonkit.tenancy.outbox import back_off

NOW = int(time.time())
NUMBERS = itertools.count()


@pytest.fixture
async def store(location):
    async with Database(location, {}):
        yield TenantStore(Vault([("k1", b"k" * 32)]))


def use():
    return TokenUse.of(f"head.{next(NUMBERS)}.sig", issued_at=NOW, expires_at=NOW + 9000)


async def install(store, listeners, key="site-1"):
    return await store.install(Installation(key, "jira", "https://one.atlassian.net", "f" * 40), use(), listeners)


class Plugins:
    """Plugins that remember what they were told and fail when they shall."""

    def __init__(self):
        self.told = []
        self.failing = set()
        self.hanging = set()
        self.cancelling = set()
        self.more = asyncio.Event()

    async def __call__(self, notice, tenant):
        if notice.plugin in self.failing:
            raise ValueError("no room for 'x'")
        if notice.plugin in self.cancelling:
            raise asyncio.CancelledError
        if notice.plugin in self.hanging:
            await asyncio.Event().wait()
        assert current_tenant() == tenant
        self.told.append((notice.plugin, tenant.client_key, notice.event.name))
        self.more.set()

    async def until(self, count):
        async with asyncio.timeout(10):
            while len(self.told) < count:
                self.more.clear()
                await self.more.wait()


async def running(outbox, plugins, count):
    task = asyncio.create_task(outbox.run())
    try:
        await plugins.until(count)
        await asyncio.sleep(0.05)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_notice_is_delivered_in_the_sites_scope_and_gone(store):
    plugins = Plugins()
    await install(store, ["issues", "macros"])
    await running(Outbox(plugins, store, ["issues", "macros"]), plugins, 2)
    assert sorted(plugins.told) == [("issues", "site-1", "installed"), ("macros", "site-1", "installed")]
    assert await LifecycleNotice.all().count() == 0


async def test_the_event_says_when_and_whether_it_is_the_first(store):
    events = []

    async def deliver(notice, tenant):
        events.append(notice.event)

    await install(store, ["issues"])
    await Outbox(deliver, store, ["issues"]).deliver_due("issues")
    assert (events[0].name, events[0].first) == ("installed", True)
    assert abs(events[0].at.timestamp() - time.time()) < 60


async def test_what_happened_to_a_site_is_told_in_order(store):
    plugins = Plugins()
    await install(store, ["issues"])
    for enabled in (True, False, True):
        await store.set_enabled("site-1", enabled, use(), ["issues"])
    await running(Outbox(plugins, store, ["issues"]), plugins, 4)
    assert [event for _, _, event in plugins.told] == ["installed", "enabled", "disabled", "enabled"]


async def test_a_waking_call_is_answered_at_once(store):
    plugins = Plugins()
    outbox = Outbox(plugins, store, ["issues"])
    task = asyncio.create_task(outbox.run())
    await asyncio.sleep(0.1)
    await install(store, ["issues"])
    outbox.wake()
    async with asyncio.timeout(2):
        await plugins.until(1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_failure_is_kept_with_its_type_and_place_and_put_off(store):
    plugins = Plugins()
    plugins.failing.add("issues")
    await install(store, ["issues"])
    assert await Outbox(plugins, store, ["issues"]).deliver_due("issues") == 1
    row = await LifecycleNotice.get()
    line = Plugins.__call__.__code__.co_firstlineno + 2
    assert (row.attempts, row.error) == (1, f"ValueError at {__name__}:__call__:{line}")
    assert row.due_at > time.time()


class Unspeakable(Exception):
    """One that cannot even be shown."""

    def __str__(self):
        raise RuntimeError("no words")

    __repr__ = __str__


ODD = [ValueError("half \ud800"), ValueError("a\0b"), Unspeakable(), ExceptionGroup("g", [Unspeakable()])]


@pytest.mark.parametrize("odd", ODD, ids=["half", "nul", "unspeakable", "group"])
async def test_an_odd_exception_of_one_plugin_keeps_nobody_from_being_told(store, odd):
    plugins = Plugins()

    async def deliver(notice, tenant):
        if notice.plugin == "issues":
            raise odd
        await plugins(notice, tenant)

    await install(store, ["issues"])
    outbox = Outbox(deliver, store, ["issues", "macros"])
    await outbox.deliver_due("issues")
    assert (await LifecycleNotice.get()).error.startswith(f"{type(odd).__name__} at {__name__}:deliver:")
    await install(store, ["issues", "macros"], "site-2")
    await running(outbox, plugins, 1)
    assert plugins.told == [("macros", "site-2", "installed")]


async def test_the_message_of_an_exception_is_not_kept(store):
    async def deliver(notice, tenant):
        raise ValueError("https://user:secret@one.example/?q=typed")

    await install(store, ["issues"])
    with structlog.testing.capture_logs() as logs:
        await Outbox(deliver, store, ["issues"]).deliver_due("issues")
    assert "secret" not in (await LifecycleNotice.get()).error
    assert "secret" not in str(logs)


async def test_a_fault_of_the_outbox_itself_is_logged_and_ends_nothing(store, monkeypatch):
    monkeypatch.setattr(outbox_module, "STORAGE_PAUSE_S", 0.01)
    plugins = Plugins()
    outbox = Outbox(plugins, store, ["issues", "macros"])
    get, faults = store.get, ["one", "two"]

    async def stumbling(tenant_id):
        if faults:
            raise RuntimeError(faults.pop())
        return await get(tenant_id)

    monkeypatch.setattr(store, "get", stumbling)
    await install(store, ["issues", "macros"])
    with structlog.testing.capture_logs() as logs:
        await running(outbox, plugins, 2)
    assert {entry["event"] for entry in logs} == {"outbox.stumbled"}
    assert sorted(plugin for plugin, _, _ in plugins.told) == ["issues", "macros"]


async def test_a_failed_notice_is_told_when_the_plugin_has_recovered(store):
    plugins = Plugins()
    outbox = Outbox(plugins, store, ["issues"])
    plugins.failing.add("issues")
    await install(store, ["issues"])
    await outbox.deliver_due("issues")
    plugins.failing.clear()
    await LifecycleNotice.all().update(due_at=time.time() - 1)
    await outbox.deliver_due("issues")
    assert plugins.told == [("issues", "site-1", "installed")]


async def test_later_notices_of_a_site_wait_for_the_one_that_failed(store):
    plugins = Plugins()
    outbox = Outbox(plugins, store, ["issues"])
    plugins.failing.add("issues")
    await install(store, ["issues"])
    await store.set_enabled("site-1", True, use(), ["issues"])
    await outbox.deliver_due("issues")
    plugins.failing.clear()
    assert await outbox.deliver_due("issues") == 0
    assert plugins.told == []


async def test_another_site_does_not_wait_for_the_one_that_failed(store):
    plugins = Plugins()
    outbox = Outbox(plugins, store, ["issues"])
    plugins.failing.add("issues")
    await install(store, ["issues"])
    await outbox.deliver_due("issues")
    plugins.failing.clear()
    await install(store, ["issues"], "site-2")
    await outbox.deliver_due("issues")
    assert plugins.told == [("issues", "site-2", "installed")]


async def test_a_plugin_that_hangs_keeps_no_other_waiting(store):
    plugins = Plugins()
    plugins.hanging.add("issues")
    await install(store, ["issues", "macros"])
    await running(Outbox(plugins, store, ["issues", "macros"]), plugins, 1)
    assert plugins.told == [("macros", "site-1", "installed")]


async def test_a_delivery_that_takes_too_long_has_failed(store):
    plugins = Plugins()
    plugins.hanging.add("issues")
    await install(store, ["issues"])
    await Outbox(plugins, store, ["issues"], timeout_s=0.05).deliver_due("issues")
    assert (await LifecycleNotice.get()).error.startswith("TimeoutError")


async def test_a_plugin_that_cancels_itself_has_failed_and_is_told_again(store):
    plugins = Plugins()
    plugins.cancelling.add("issues")
    await install(store, ["issues"])
    await Outbox(plugins, store, ["issues"]).deliver_due("issues")
    assert (await LifecycleNotice.get()).error.startswith("CancelledError")


async def test_notices_of_a_plugin_that_is_switched_off_wait_untouched(store):
    plugins = Plugins()
    await install(store, ["gone", "issues"])
    await running(Outbox(plugins, store, ["issues"]), plugins, 1)
    assert await LifecycleNotice.all().values_list("plugin", "attempts") == [("gone", 0)]


async def test_a_delivery_that_was_cut_off_is_made_again(store):
    plugins = Plugins()
    plugins.hanging.add("issues")
    await install(store, ["issues"])
    task = asyncio.create_task(Outbox(plugins, store, ["issues"]).run())
    await asyncio.sleep(0.2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (await LifecycleNotice.get()).attempts == 0
    plugins.hanging.clear()
    await running(Outbox(plugins, store, ["issues"]), plugins, 1)
    assert plugins.told == [("issues", "site-1", "installed")]


async def test_outboxes_side_by_side_deliver_each_notice_once(store):
    plugins = Plugins()
    for number in range(8):
        await install(store, ["issues"], f"site-{number}")
    await asyncio.gather(*(Outbox(plugins, store, ["issues"]).deliver_due("issues") for _ in range(4)))
    assert sorted(site for _, site, _ in plugins.told) == [f"site-{number}" for number in range(8)]
    assert await LifecycleNotice.all().count() == 0


async def test_a_notice_whose_process_died_is_delivered_when_its_claim_ends(store):
    plugins = Plugins()
    outbox = Outbox(plugins, store, ["issues"])
    await install(store, ["issues"])
    assert await outbox._claim(await LifecycleNotice.get())
    assert not await outbox._claim(LifecycleNotice(id=1, due_at=0))
    assert await outbox.deliver_due("issues") == 0
    (due_at,) = await LifecycleNotice.all().values_list("due_at", flat=True)
    assert due_at < time.time() + 80
    await LifecycleNotice.all().update(due_at=time.time() - 1)
    await outbox.deliver_due("issues")
    assert plugins.told == [("issues", "site-1", "installed")]


async def test_a_notice_survives_a_restart(location):
    plugins = Plugins()
    vault = Vault([("k1", b"k" * 32)])
    async with Database(location, {}):
        await install(TenantStore(vault), ["issues"])
    async with Database(location, {}):
        await running(Outbox(plugins, TenantStore(vault), ["issues"]), plugins, 1)
    assert plugins.told == [("issues", "site-1", "installed")]


async def test_notices_of_a_site_that_was_erased_go(store):
    plugins = Plugins()
    await install(store, ["issues"])
    await TenantRow.all().delete()
    await Outbox(plugins, store, ["issues"]).deliver_due("issues")
    assert plugins.told == []
    assert await LifecycleNotice.all().count() == 0


async def test_a_notice_that_was_deleted_while_its_delivery_failed_holds_nobody_up(store):
    async def deliver(notice, tenant):
        await LifecycleNotice.all().delete()
        raise ValueError

    await install(store, ["issues"])
    assert await Outbox(deliver, store, ["issues"]).deliver_due("issues") == 1
    assert await LifecycleNotice.all().count() == 0


async def test_a_notice_that_was_deleted_meanwhile_is_given_back_to_nobody(store):
    await install(store, ["issues"])
    row = await LifecycleNotice.get()
    await LifecycleNotice.all().delete()
    await Outbox(Plugins(), store, ["issues"])._give_back(row)
    assert await LifecycleNotice.all().count() == 0


async def test_a_cancelled_outbox_ends(store):
    task = asyncio.create_task(Outbox(Plugins(), store, ["issues"]).run())
    await asyncio.sleep(0.05)
    task.cancel()
    async with asyncio.timeout(2):
        await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()


def test_waiting_doubles_is_scattered_and_ends_at_an_hour():
    assert [1 <= back_off(1) <= 2, 2 <= back_off(2) <= 4, 1800 <= back_off(1000) <= 3600] == [True] * 3
    assert len({back_off(5) for _ in range(20)}) > 1
