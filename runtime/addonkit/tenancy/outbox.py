"""Telling plugins what happened to a site, until they have taken it: at least once, in order, never given up.

The notices are written by the store, in the transaction of what they tell of. What a plugin does with one is its own.
Of several processes one claims a notice, by putting off when it is due; should it die, another one's turn comes then.
"""

import asyncio
import secrets
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from tortoise.expressions import Subquery
from tortoise.functions import Count, Min
from tortoise.queryset import QuerySet

from addonkit.context import LifecycleEvent, Tenant
from addonkit.errors import AddonkitError
from addonkit.log import structlog
from addonkit.tenancy.current import tenant_scope
from addonkit.tenancy.models import LifecycleNotice
from addonkit.tenancy.record import Notice
from addonkit.tenancy.store import TenantStore, storage_errors

DELIVERY_TIMEOUT_S = 60.0
FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 3600.0
# How often to look without being woken, for what other processes wrote.
LOOK_EVERY_S = 30.0
STORAGE_PAUSE_S = 5.0
# How much longer a claim lasts than a delivery may take.
CLAIM_MARGIN_S = 15.0
ERROR_LENGTH = 500
AT_ONCE = 100

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Waiting:
    """What one plugin is still to be told.

    Attributes:
        pending: How many notices there are.
        failing: How many of them it was told in vain.
    """

    pending: int = 0
    failing: int = 0


class Outbox:
    """Delivers the notices of the enabled plugins; those of others wait untouched.

    Args:
        deliver: Tells one plugin; called in the site's scope. An exception means: later again.
        store: Where the sites are.
        plugins: Names of the plugins that can be told.
        timeout_s: Longest time that one delivery may take.
    """

    def __init__(
        self,
        deliver: Callable[[Notice, Tenant], Awaitable[None]],
        store: TenantStore,
        plugins: Sequence[str],
        timeout_s: float = DELIVERY_TIMEOUT_S,
    ) -> None:
        self._deliver = deliver
        self._store = store
        self._timeout_s = timeout_s
        self._calls = {plugin: asyncio.Event() for plugin in sorted(plugins)}

    def wake(self) -> None:
        """Say that there is something new."""
        for call in self._calls.values():
            call.set()

    async def run(self) -> None:
        """Deliver until cancelled. Each plugin has a loop of its own: one that hangs keeps nobody else waiting."""
        async with asyncio.TaskGroup() as loops:
            for plugin, call in self._calls.items():
                loops.create_task(self._serve(plugin, call), name=f"outbox {plugin}")

    async def deliver_due(self, plugin: str) -> int:
        """Try once what is due for one plugin, the oldest of each site; give how many were tried.

        Raises:
            StorageUnavailable: The database did not answer; what was delivered may be delivered again.
        """
        rows = await self._oldest(plugin)
        due = [row for row in rows if row.due_at <= time.time()]
        for row in due:
            await self._try(row)
        return len(due)

    async def waiting(self) -> dict[str, Waiting]:
        """Give what each plugin is still to be told.

        Raises:
            StorageUnavailable: The database did not answer.
        """
        mine = LifecycleNotice.filter(plugin__in=list(self._calls))
        pending, failing = await _by_plugin(mine), await _by_plugin(mine.filter(attempts__gt=0))
        return {plugin: Waiting(pending.get(plugin, 0), failing.get(plugin, 0)) for plugin in self._calls}

    async def _serve(self, plugin: str, call: asyncio.Event) -> None:
        structlog.contextvars.bind_contextvars(plugin=plugin)
        while True:
            call.clear()
            try:
                tried = await self.deliver_due(plugin)
                pause = 0.0 if tried else await self._pause(plugin)
            except AddonkitError as exc:
                log.warning("outbox.storage", plugin=plugin, reason=str(exc))
                pause = STORAGE_PAUSE_S
            except Exception:
                # A fault here would end the loops of all plugins, and nobody would be told of anything any more.
                log.exception("outbox.stumbled", plugin=plugin)
                pause = STORAGE_PAUSE_S
            try:
                async with asyncio.timeout(pause):
                    await call.wait()
            except TimeoutError:
                continue

    async def _pause(self, plugin: str) -> float:
        rows = await self._oldest(plugin)
        soonest = min((row.due_at for row in rows), default=float("inf"))
        return min(LOOK_EVERY_S, max(0.0, soonest - time.time()))

    async def _oldest(self, plugin: str) -> list[LifecycleNotice]:
        """Give the first notice of each site: later ones wait for it."""
        with storage_errors():
            first = LifecycleNotice.filter(plugin=plugin).annotate(head=Min("id")).group_by("tenant_id").values("head")
            return await LifecycleNotice.filter(id__in=Subquery(first)).order_by("due_at", "id").limit(AT_ONCE)

    async def _try(self, row: LifecycleNotice) -> None:
        if not await self._claim(row):
            return
        try:
            await self._settle(row)
        except BaseException:
            with suppress(AddonkitError):
                await self._give_back(row)
            raise

    async def _claim(self, row: LifecycleNotice) -> bool:
        """Make a notice this process's own for a while; False if another one has it."""
        until = time.time() + self._timeout_s + CLAIM_MARGIN_S
        with storage_errors():
            return await LifecycleNotice.filter(id=row.id, due_at=row.due_at).update(due_at=until) == 1

    async def _give_back(self, row: LifecycleNotice) -> None:
        """Let whoever comes next have it at once."""
        with storage_errors():
            await LifecycleNotice.filter(id=row.id).update(due_at=row.due_at)

    async def _settle(self, row: LifecycleNotice) -> None:
        """Deliver a claimed notice, and keep what became of it."""
        tenant = await self._store.get(row.tenant_id)
        if tenant is not None:
            failure = await self._failure(row, tenant)
            if failure is not None:
                await self._postpone(row, tenant, failure)
                return
        # The end of a delivery and this line are two moments: a process that dies between them delivers again.
        with storage_errors():
            await row.delete()

    async def _failure(self, row: LifecycleNotice, tenant: Tenant) -> BaseException | None:
        """Deliver, and give what went wrong."""
        notice = Notice(row.id, row.plugin, LifecycleEvent(row.event, row.is_first, row.at), row.attempts)
        try:
            # what the plugin logs meanwhile is found by its site
            with structlog.contextvars.bound_contextvars(client_key=tenant.client_key), tenant_scope(tenant):
                async with asyncio.timeout(self._timeout_s):
                    await self._deliver(notice, tenant)
        except Exception as exc:
            return exc
        except asyncio.CancelledError as exc:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Nobody cancelled this loop: the plugin let a cancellation of its own get out.
            return exc
        return None

    async def _postpone(self, row: LifecycleNotice, tenant: Tenant, cause: BaseException) -> None:
        row.attempts += 1
        pause = back_off(row.attempts)
        row.due_at = time.time() + pause
        row.error = where_from(cause)
        log.warning(
            "outbox.failed",
            plugin=row.plugin,
            event_name=row.event,
            client_key=tenant.client_key,
            attempts=row.attempts,
            again_in_s=round(pause),
            error=row.error,
        )
        with storage_errors():
            # Not save(): a purge may have deleted it meanwhile, which is no fault of the database.
            changed = {"attempts": row.attempts, "due_at": row.due_at, "error": row.error}
            await LifecycleNotice.filter(id=row.id).update(**changed)


async def _by_plugin(notices: QuerySet[LifecycleNotice]) -> dict[str, int]:
    with storage_errors():
        rows = await notices.annotate(number=Count("id")).group_by("plugin").values("plugin", "number")
    return {row["plugin"]: row["number"] for row in rows}


def back_off(attempts: int) -> float:
    """Give the seconds to wait after so many attempts in vain: doubling, scattered, an hour at most."""
    longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(attempts - 1, 20))
    return longest * secrets.SystemRandom().uniform(0.5, 1.0)


def where_from(cause: BaseException) -> str:
    """Give what went wrong by its type and place, ``Type at module:function:line``, as text that any database holds.

    Its message is left out: it may hold addresses or what somebody typed, or fail to be made at all.
    """
    frames = list(traceback.walk_tb(cause.__traceback__))
    said = type(cause).__name__
    if frames:
        frame, line = frames[-1]
        said = f"{said} at {frame.f_globals.get('__name__')}:{frame.f_code.co_name}:{line}"
    return said.encode("utf-8", "replace").decode().replace("\0", "?")[:ERROR_LENGTH]
