"""The current add-on, tenant and plugin of the running code, in one context variable that holds a ``Work``.

A runtime is one add-on in this process. Everything that plugins reach without an argument (queue, hosts, settings,
templates, database) is found through the current work, which isolates two add-ons in one process. Tasks and threads
inherit the current work from the code that starts them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

from addonkit.errors import CallForbidden, SiblingForbidden, StorageUnavailable
from addonkit.host import Host

if TYPE_CHECKING:
    from jinja2 import Environment
    from pydantic import BaseModel

    from addonkit.context import Sibling, Tenant
    from addonkit.failure import FailureReporter
    from addonkit.origin import Origin
    from addonkit.spans import Tracer
    from addonkit.work import JobObserver, Queue


class Siblings(Protocol):
    """Finds the sibling of a tenant, for plugins with ``siblings=True``."""

    async def find(self, tenant: Tenant) -> Sibling | None:
        """Find the sibling of the current tenant."""


HostOf = Callable[["Tenant", "str | None"], Host]
"""Returns the REST API of a tenant's site for the user with this account id; None means the add-on itself."""
Asgi = Callable[[Any, Any, Any], Awaitable[None]]
"""An ASGI application."""


@dataclass(eq=False, repr=False, slots=True)  # the settings of plugins may hold secrets
class Runtime:
    """One add-on in this process: the objects that code working for it uses.

    Attributes:
        settings: The settings of each plugin, by plugin name.
        host_of: Returns the REST API of a site; None where no host can be called, as in most commands.
        queue: Accepts new jobs; None while the add-on does not run.
        notify_others: Wakes up the job workers of other processes soon; None where nothing does, as in most commands.
        job_observer: Counts attempts at jobs; None if nobody could read the numbers.
        tracer: Records spans; None unless tracing is on.
        failure_reporter: Calls ``addon_failed`` of plugins; None if no plugin implements it.
        siblings: Finds the siblings of tenants; None where no plugin runs.
        missing_content_days: Days for which the host must not know an object before rows about it are deleted.
        templates: The plugins' templates; None where no pages are served.
        orm_variable: The context variable in which Tortoise keeps its context; None if the ORM is not used.
        orm_context: Tortoise's context with this add-on's database; None while the database is not open.
    """

    settings: Mapping[str, BaseModel] = field(default_factory=dict)
    host_of: HostOf | None = None
    queue: Queue | None = None
    notify_others: Callable[[], None] | None = None
    job_observer: JobObserver | None = None
    tracer: Tracer | None = None
    failure_reporter: FailureReporter | None = None
    siblings: Siblings | None = None
    missing_content_days: int = 90
    templates: Environment | None = None
    orm_variable: ContextVar[Any] | None = None
    orm_context: Any = None
    _wakeups: list[Callable[[], None]] = field(default_factory=list)
    _idle: Work = field(init=False)

    def __post_init__(self) -> None:
        self._idle = Work(self)

    def scope(self) -> RuntimeScope:
        """Make this add-on and its database current for a ``with`` block, without tenant and plugin."""
        return RuntimeScope(self)

    def scoped(self, app: Asgi) -> Asgi:
        """Return an ASGI application for which this add-on is current, such as that of a second listener."""

        async def in_scope(scope: Any, receive: Any, send: Any) -> None:
            with self.scope():
                await app(scope, receive, send)

        return in_scope

    def enter(self) -> None:
        """Make this add-on current until this task or context ends."""
        _work.set(self._idle)
        if self.orm_variable is not None:
            # also without a database: code that runs here must not reach another add-on's database
            self.orm_variable.set(self.orm_context)

    def context(self) -> Context:
        """Return a new context for a separate task, in which only this add-on is current."""
        context = Context()
        context.run(self.enter)
        return context

    def notify(self) -> None:
        """Call the subscribed functions, which wake this add-on's job workers in this process: jobs may be ready."""
        for wakeup in self._wakeups:
            wakeup()

    @contextmanager
    def subscribed(self, wakeup: Callable[[], None]) -> Iterator[None]:
        """Subscribe a function to :meth:`notify` for the block."""
        self._wakeups.append(wakeup)
        try:
            yield
        finally:
            self._wakeups.remove(wakeup)


class Work(NamedTuple):
    """The add-on, tenant and plugin that the running code works for.

    Attributes:
        runtime: The add-on; None outside every add-on.
        tenant: The tenant in scope.
        plugin: The plugin whose code runs; ``addonkit`` is the runtime itself, empty means none.
        background: Whether no user waits for it; host calls of pages then have priority.
        origin: The inbound request and the trace that the work belongs to; None while no request or job runs.
        home: The tenant that the work is for, while the tenant in scope is its sibling; None otherwise.
    """

    runtime: Runtime | None = None
    tenant: Tenant | None = None
    plugin: str = ""
    background: bool = False
    origin: Origin | None = None
    home: Tenant | None = None

    @property
    def request_id(self) -> str | None:
        """The id of the inbound request, also in the jobs that it has enqueued; None if there is none."""
        return None if self.origin is None else self.origin.request_id


_work: ContextVar[Work] = ContextVar("addonkit_work", default=Work())  # noqa: B039 - immutable


class WorkScope:
    """Sets the context variable to a work for a ``with`` block."""

    __slots__ = ("_token", "_work")

    def __init__(self, work: Work) -> None:
        self._work = work

    def __enter__(self) -> Self:
        self._token = _work.set(self._work)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _work.reset(self._token)


class RuntimeScope:
    """Makes an add-on current for a ``with`` block, and restores the previous work and ORM context afterwards.

    It may be exited in another task than it was entered in, as in fixtures and lifespans.
    """

    __slots__ = ("_orm_before", "_runtime", "_work_before")

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def __enter__(self) -> Self:
        variable = self._runtime.orm_variable
        self._work_before = _work.get()
        self._orm_before = None if variable is None else variable.get()
        self._runtime.enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _work.set(self._work_before)
        if (variable := self._runtime.orm_variable) is not None:
            variable.set(self._orm_before)


def current_work() -> Work:
    """Return the work of the running code; an empty work outside every add-on."""
    return _work.get()


def current_runtime() -> Runtime:
    """Return the add-on that the running code works for.

    Raises:
        RuntimeError: No add-on is current.
    """
    runtime = _work.get().runtime
    if runtime is None:
        raise RuntimeError(
            "no add-on is current in this task; call this from a handler, a job or a hook, or within "
            "'with addon.scope():'"
        )
    return runtime


def current_caller() -> Work:
    """Return the current work of a plugin, whose scopes decide whether a host call is allowed.

    Raises:
        CallForbidden: The running code is not a plugin's code that the runtime called.
    """
    work = _work.get()
    if not work.plugin:
        raise CallForbidden("host calls need a plugin context; call from a route, job, webhook or lifecycle hook")
    return work


def current_queue() -> Queue:
    """Return the queue of the current add-on.

    Raises:
        StorageUnavailable: The add-on does not run, as in a command, or no add-on is current.
    """
    runtime = _work.get().runtime
    if runtime is None or runtime.queue is None:
        raise StorageUnavailable("no queue is open in this task; put jobs into it while the add-on runs")
    return runtime.queue


def host_of(tenant: Tenant, account_id: str | None) -> Host:
    """Return the REST API of a tenant's site.

    Raises:
        CallForbidden: No add-on that can call hosts is current.
    """
    runtime = _work.get().runtime
    if runtime is None or runtime.host_of is None:
        raise CallForbidden("no add-on runs in this task; call the host while one does")
    return runtime.host_of(tenant, account_id)


async def sibling_of(tenant: Tenant) -> Sibling | None:
    """Return the sibling of the current tenant.

    Raises:
        SiblingForbidden: No add-on is current, or its current plugin has no access to siblings.
    """
    runtime = _work.get().runtime
    if runtime is None or runtime.siblings is None:
        raise SiblingForbidden("no add-on runs in this task; read a tenant's sibling while one does")
    return await runtime.siblings.find(tenant)


def check_writable() -> None:
    """Check that the tenant in scope may be written to.

    Raises:
        SiblingForbidden: The tenant in scope is the sibling of the tenant that the work is for.
    """
    work = _work.get()
    if work.home is not None and work.tenant is not None:
        raise SiblingForbidden(
            f"tenant {work.tenant.id} is the sibling of tenant {work.home.id}, and a sibling's data is read-only; "
            "leave the sibling's scope to write"
        )


def plugin_scope(plugin: str, *, background: bool = False) -> WorkScope:
    """Make a plugin current for the block and for the tasks that it starts; the tenant does not change.

    Args:
        plugin: The plugin's name.
        background: Whether no user waits for the work.
    """
    work = _work.get()
    return WorkScope(Work(work.runtime, work.tenant, plugin, background, work.origin, work.home))


def origin_scope(origin: Origin) -> WorkScope:
    """Make a request and its trace the origin of the work in the block."""
    work = _work.get()
    return WorkScope(Work(work.runtime, work.tenant, work.plugin, work.background, origin, work.home))


def own_context() -> Context:
    """Return a new context with the current add-on only, without tenant, plugin and transaction."""
    runtime = _work.get().runtime
    return Context() if runtime is None else runtime.context()
