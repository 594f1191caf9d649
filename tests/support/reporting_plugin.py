"""Two plugins that implement ``addon_failed``, one async and one not, and keep what they receive."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from addonkit import FailureFacts, Plugin
from addonkit.current import current_work

patient = Plugin("patient", __name__)
threaded = Plugin("threaded", __name__)

received: list[tuple[str, BaseException, FailureFacts]] = []
scopes: list[Any] = []
threads: list[str] = []
behaviour: dict[str, Any] = {}


@patient.hook
async def addon_failed(error: BaseException, facts: FailureFacts) -> None:
    if behaviour.get("patient") == "raises":
        raise RuntimeError("hunter2-hunter2")
    if behaviour.get("patient") == "hangs":
        await asyncio.Event().wait()
    work = current_work()
    scopes.append((work.tenant, work.plugin, work.background, work.request_id))
    received.append(("patient", error, facts))


def _failed_in_thread(error: BaseException, facts: FailureFacts) -> None:
    threads.append(threading.current_thread().name)
    if behaviour.get("threaded") == "raises":
        raise RuntimeError("hunter2-hunter2")
    received.append(("threaded", error, facts))


_failed_in_thread.__name__ = "addon_failed"
threaded.hook(_failed_in_thread)


def clear() -> None:
    for kept in (received, scopes, threads, behaviour):
        kept.clear()
