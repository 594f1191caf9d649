"""Calls ``addon_failed`` of the plugins in the background: a failure is answered, logged and retried as without it."""

from __future__ import annotations

import asyncio
import inspect
import threading
from contextvars import copy_context
from typing import Any

from addonkit.context import Tenant
from addonkit.current import Runtime, current_work
from addonkit.extension.registry import Registry
from addonkit.failure import FailureFacts
from addonkit.jobs.executor import error_place
from addonkit.log import structlog
from addonkit.origin import Origin
from addonkit.tenant_data.scope import work_scope

HOOK = "addon_failed"
TIMEOUT_S = 10.0
"""Longest time of one call."""
MAX_CALLS = 100
"""Most calls that run at the same time; further failures are only logged."""
CLOSE_S = 5.0
"""Longest time at the end of a process for calls that still run."""

log = structlog.get_logger(__name__)


class FailureReports:
    """Calls the hook of each plugin that implements it, each call in a task of its own.

    Args:
        registry: The enabled plugins.
        runtime: The add-on.
    """

    def __init__(self, registry: Registry, runtime: Runtime) -> None:
        self._registry, self._runtime = registry, runtime
        hook = registry.manager.hook.addon_failed
        self._is_async = {one.plugin_name: inspect.iscoroutinefunction(one.function) for one in hook.get_hookimpls()}
        self._calls: set[asyncio.Task[None]] = set()
        self._has_skipped = False

    def report(self, error: BaseException, facts: FailureFacts, tenant: Tenant | None) -> None:
        """Start a call of each plugin's hook."""
        origin = current_work().origin
        for plugin in self._registry.listeners(HOOK):
            if len(self._calls) >= MAX_CALLS:
                self._skip(facts)
                return
            # A context of its own: the transaction and the span of the failed work have ended.
            call = self._call(plugin, error, facts, tenant, origin)
            task = asyncio.create_task(call, name=f"{HOOK} of {plugin}", context=self._runtime.context())
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)
        self._has_skipped = False

    async def close(self) -> None:
        """Wait a limited time for the calls that still run, and cancel them."""
        if self._calls:
            await asyncio.wait(set(self._calls), timeout=CLOSE_S)
        for task in list(self._calls):
            task.cancel()

    def _skip(self, facts: FailureFacts) -> None:
        if not self._has_skipped:
            log.warning("failure_hook.skipped", calls=len(self._calls), plugin=facts.plugin, name=facts.name)
        self._has_skipped = True

    async def _call(
        self, plugin: str, error: BaseException, facts: FailureFacts, tenant: Tenant | None, origin: Origin | None
    ) -> None:
        values = {"request_id": facts.request_id, "job_id": facts.job_id, "tenant": facts.tenant}
        known = {name: value for name, value in values.items() if value is not None}
        with structlog.contextvars.bound_contextvars(**known, plugin=plugin):
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    with work_scope(tenant, plugin, background=True, origin=origin):
                        await self._ask(plugin, {"error": error, "facts": facts})
            except Exception as exc:
                # The failure itself is in the log already; an error here must not be reported again.
                log.warning("failure_hook.failed", reason=error_place(exc), kind=str(facts.kind), name=facts.name)

    async def _ask(self, plugin: str, arguments: dict[str, Any]) -> None:
        if self._is_async.get(plugin, True):
            await self._registry.ask(plugin, HOOK, **arguments)
        else:
            await _in_thread(lambda: self._registry.ask(plugin, HOOK, **arguments))


async def _in_thread(function: Any) -> None:
    """Run a function in a daemon thread, whose end neither the event loop nor the process waits for."""
    loop, context = asyncio.get_running_loop(), copy_context()
    ended: asyncio.Future[None] = loop.create_future()

    def settle(error: Exception | None) -> None:
        if ended.done():
            return
        if error is None:
            ended.set_result(None)
        else:
            ended.set_exception(error)

    def run() -> None:
        error: Exception | None = None
        try:
            context.run(function)
        except Exception as exc:
            error = exc
        try:
            loop.call_soon_threadsafe(settle, error)
        except RuntimeError:  # the loop has ended meanwhile
            return

    threading.Thread(target=run, name=HOOK, daemon=True).start()
    await ended
