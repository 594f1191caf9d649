"""What surrounds one attempt: the context of the application, compared with Quart's own, and that of the log."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
import structlog
from addonkit.app.lean_quart import LeanQuart
from addonkit.context import Tenant, TenantState
from addonkit.errors import GiveUp
from addonkit.jobs.executor import JobExecutor
from addonkit.jobs.job import LeasedJob
from addonkit.work import JobKind, JobSpec
from pydantic import BaseModel
from quart import current_app, g, has_app_context
from quart.ctx import AppContext
from quart.globals import app_ctx
from quart.signals import appcontext_popped, appcontext_pushed, appcontext_tearing_down

TENANT = Tenant(7, "site-7", "jira", "https://a.example", "https://a.example", TenantState.ENABLED, "site-7")
SIGNALS = {"pushed": appcontext_pushed, "tearing down": appcontext_tearing_down, "popped": appcontext_popped}


class Settings(BaseModel):
    """The settings of a plugin without any."""


class Ctx(AppContext):
    """A context of an application that makes its own."""


class Globals:
    """An application's own class of ``g``."""


def leased(**changes):
    values = {"id": 5, "tenant_id": 7, "plugin": "p", "name": "act", "kind": JobKind.JOB, "payload": b"{}"}
    values |= {"version": 1, "facts": {}, "dedupe": None, "order": None, "starts": 1, "failures": 0}
    return LeasedJob(**values | {"created_at": 0.0, "tenant": TENANT, "request_id": "f" * 16} | changes)


def executor_of(app, handler, **options):
    async def run(_):
        await handler()

    specs = {("p", "act"): JobSpec("p", "act", JobKind.JOB, run, **options)}
    return JobExecutor(specs, {"p": Settings()}, app.work_context)


# ---- the context of the application ------------------------------------------------------------------------------


async def returns():
    g.seen = 1
    return


async def raises():
    raise LookupError("nothing")


async def gives_up():
    raise GiveUp("never")


async def cancels_itself():
    raise asyncio.CancelledError


async def hangs():
    await asyncio.sleep(60)


async def enters_another():
    async with current_app.app_context():
        g.inner = 1
    assert not hasattr(g, "inner")


async def reads_the_context():
    assert has_app_context()
    assert app_ctx.app is current_app._get_current_object()


HANDLERS = [returns, raises, gives_up, cancels_itself, hangs, enters_another, reads_the_context]


def nothing(app, note):
    """Register nothing."""


def teardown(app, note):
    app.teardown_appcontext(lambda error: note("teardown", error))


def teardown_that_waits(app, note):
    @app.teardown_appcontext
    async def end(error):
        await asyncio.sleep(0)
        note("teardown", error, has_app_context(), hasattr(g, "seen"))


def teardown_that_fails(app, note):
    @app.teardown_appcontext
    async def end(error):
        raise ValueError("not torn down")


def signal(app, note, *, name):
    def received(sender, **values):
        note(name, sender is app, *map(str, values.values()), has_app_context())

    app.extensions["receiver"] = received
    SIGNALS[name].connect(received, app)


def server_name(app, note):
    app.config["SERVER_NAME"] = "kit.example"
    app.teardown_appcontext(lambda _: note(app_ctx.url_adapter is not None))


def no_server_name(app, note):
    app.teardown_appcontext(lambda _: note(app_ctx.url_adapter is None))


def own_class_of_g(app, note):
    app.app_ctx_globals_class = Globals
    app.teardown_appcontext(lambda _: note(type(app_ctx.g).__name__))


def own_context(app, note):
    app.app_context = partial(Ctx, app)
    app.teardown_appcontext(lambda _: note(type(app_ctx._get_current_object()).__name__))


def own_url_adapter(app, note):
    app.create_url_adapter = lambda _: "mine"
    app.teardown_appcontext(lambda _: note(app_ctx.url_adapter))


REGISTERED = {
    **{made.__name__: made for made in (nothing, teardown, teardown_that_waits, teardown_that_fails)},
    **{f"signal {name}": partial(signal, name=name) for name in SIGNALS},
    **{made.__name__: made for made in (server_name, no_server_name, own_class_of_g, own_context, own_url_adapter)},
}


AT_ENTRY = {"server_name", "own_class_of_g", "own_context", "own_url_adapter"}


async def attempted(handler, register, *, is_lean, late=False):
    """Run an attempt, and return all that can be observed of it."""
    app, events = LeanQuart("kit"), []
    assert app.is_lean
    app.is_lean = is_lean

    def note(*values):
        events.append([repr(value) for value in values])

    async def act():
        if late:
            register(app, note)
        await handler()

    if not late:
        register(app, note)
    try:
        result = await executor_of(app, act, timeout_s=0.02 if handler is hangs else 60.0).run(leased())
    except asyncio.CancelledError:
        result = None
    finally:
        for one in SIGNALS.values():
            one.disconnect(app.extensions.get("receiver"))
    error = (result.error or "").partition("\n")[0]
    return events, str(result.state), error, has_app_context()


@pytest.mark.parametrize(
    ("registered", "late"),
    [
        *[pytest.param(name, False, id=f"{name}-before") for name in REGISTERED],
        # Quart makes the context by what is registered at entry.
        *[pytest.param(name, True, id=f"{name}-by the handler") for name in REGISTERED if name not in AT_ENTRY],
    ],
)
@pytest.mark.parametrize("handler", HANDLERS, ids=lambda handler: handler.__name__)
async def test_application_context_of_a_job_is_as_quart_makes_it(handler, registered, late):
    """A function may also be registered by a job, for instance by an extension that sets itself up when it is used."""
    register = REGISTERED[registered]
    lean = await attempted(handler, register, is_lean=True, late=late)
    assert lean == await attempted(handler, register, is_lean=False, late=late)
    assert lean[-1] is False


async def test_registered_things_are_seen_by_jobs():
    """The comparison above would hold as well if neither way called them."""
    events, state, _, _ = await attempted(returns, teardown_that_waits, is_lean=True)
    assert (events, state) == ([["'teardown'", "None", "True", "True"]], "done")
    events, _, _, _ = await attempted(raises, teardown, is_lean=True)
    assert events[0][1].startswith("LookupError")
    for name in SIGNALS:
        events, _, _, _ = await attempted(returns, REGISTERED[f"signal {name}"], is_lean=True)
        assert events[0][:2] == [repr(name), "True"]


@pytest.mark.parametrize("is_lean", [True, False], ids=["lean", "quart"])
async def test_contexts_of_jobs_that_run_at_the_same_time_are_separate(is_lean):
    app, found, gate = LeanQuart("kit"), [], asyncio.Event()
    app.is_lean = is_lean

    async def act():
        assert not hasattr(g, "number")
        g.number = number = len(found)
        found.append(g.number)
        await gate.wait()
        assert g.number == number

    tasks = [asyncio.create_task(executor_of(app, act).run(leased())) for _ in range(5)]
    await asyncio.sleep(0)
    gate.set()
    assert {str((await task).state) for task in tasks} == {"done"}


@pytest.mark.parametrize("is_lean", [True, False], ids=["lean", "quart"])
async def test_cancelled_attempt_is_torn_down_and_raises(is_lean):
    app, errors = LeanQuart("kit"), []
    app.is_lean = is_lean
    app.teardown_appcontext(lambda error: errors.append(type(error).__name__))
    task = asyncio.create_task(executor_of(app, hangs).run(leased()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert errors == ["CancelledError"]


# ---- the context of the log --------------------------------------------------------------------------------------

KNOWN = {"plugin": "p", "job": "act 5", "job_id": 5, "tenant": "site-7", "request_id": "f" * 16}
log = structlog.get_logger()


async def logs_and_returns():
    log.info("from the handler")


async def logs_and_raises():
    log.info("from the handler")
    raise LookupError


async def logs_in_a_task():
    async def other():
        log.info("from the handler")

    await asyncio.create_task(other())


async def logs_in_a_thread():
    await asyncio.to_thread(log.info, "from the handler")


async def binds_more():
    structlog.contextvars.bind_contextvars(plugin="other", own=1)
    log.info("from the handler")
    structlog.contextvars.unbind_contextvars("plugin", "own")


async def clears_all():
    log.info("from the handler")
    structlog.contextvars.clear_contextvars()


LOGGING = [logs_and_returns, logs_and_raises, logs_in_a_task, logs_in_a_thread, binds_more, clears_all]
JOBS = {
    "of a request": ({}, {}),
    "of a schedule": ({"request_id": None}, {"request_id": None}),
    "of the deployment": ({"tenant_id": 0, "tenant": None}, {"tenant": None}),
    "of a trace": ({"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}, {"trace_id": "a" * 32}),
    "tried before": ({"failures": 3}, {}),
}


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("handler", LOGGING, ids=lambda handler: handler.__name__)
async def test_log_lines_of_an_attempt_have_its_ids_and_later_ones_have_not(handler, job):
    changes, facts = JOBS[job]
    before = {"worker": "w", "job_id": "outer"}
    with (
        structlog.contextvars.bound_contextvars(**before),
        structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines,
    ):
        await executor_of(LeanQuart("kit"), handler).run(leased(**changes))
        after = structlog.contextvars.get_contextvars()
        log.info("after the attempt")
    *own, last = lines
    assert own
    for line in own:
        expected = KNOWN | {"worker": "w"} | facts
        if handler is binds_more:
            expected |= {"plugin": "other", "own": 1}
        assert {name: line.get(name) for name in expected} == expected
        assert "trace_id" in line or line["request_id"]
    if handler is not clears_all:
        assert after == before
        assert last == before | {"event": "after the attempt", "log_level": "info"}
