"""Health and readiness probes."""

import asyncio
from dataclasses import replace

import pytest
import pytest_asyncio
import structlog
from addonkit.app import Addon
from addonkit.edge.readiness import Readiness
from addonkit.errors import StorageUnavailable
from addonkit.testing import Host, InstallKeys

from tests.support.plugin_under_test import deployment, running_addon
from tests.support.wire import Wire

ALL_GOOD = {"ready": True, "checks": {"database": "ok", "migrations": "ok", "engine": "ok"}}
SECRET_PLACE = "/srv/secret/place"


@pytest_asyncio.fixture
async def wire(tmp_path):
    """An add-on below a base path, new for each test."""
    async with running_addon(tmp_path, addon={"base_url": "http://localhost:8000/kit"}) as running:
        yield running


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("base", ["", "/kit"])
@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_probes_answer_with_and_without_the_base_path(wire, base, path, method):
    answer = await wire.ask(method, base + path)
    assert (answer.status, answer.header("cache-control")) == (200, "no-store")
    assert bool(answer.body) == (method == "GET")


@pytest.mark.parametrize("path", ["/healthz/", "/kit/kit/healthz", "/kitten/healthz", "/Healthz"])
async def test_probe_paths_have_no_other_spelling(wire, path):
    assert (await wire.ask("GET", path)).status in (401, 404)


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_probes_accept_only_get_and_head(wire, path):
    answer = await wire.ask("POST", path)
    assert (answer.status, answer.header("allow")) == (405, "GET, HEAD")


async def test_readiness_of_a_working_process_is_ok(wire):
    assert (await wire.ask("GET", "/readyz")).json() == ALL_GOOD


async def test_health_is_ok_before_the_process_is_ready(tmp_path):
    unstarted = Wire(Addon(deployment(tmp_path)), Host(None, InstallKeys()))
    assert (await unstarted.ask("GET", "/healthz")).status == 200
    answer = await unstarted.ask("GET", "/readyz")
    assert (answer.status, answer.json()["checks"]["engine"]) == (503, "stopped")


async def test_readiness_fails_while_the_process_drains(wire):
    wire.addon.draining = True
    answers = [await wire.ask("GET", path) for path in ("/healthz", "/readyz")]
    assert [answer.status for answer in answers] == [200, 503]
    assert answers[1].json() == {"ready": False, "checks": {"process": "draining"}}


async def test_readiness_shows_an_unavailable_database_in_one_word(wire):
    await wire.execute("ALTER TABLE tortoise_migrations RENAME TO elsewhere")
    answer = await wire.ask("GET", "/readyz")
    assert (answer.status, answer.json()["checks"]["database"]) == (503, "unavailable")
    assert "elsewhere" not in answer.text
    assert "tortoise" not in answer.text


async def test_readiness_fails_with_a_pending_migration(wire):
    await wire.execute("DELETE FROM tortoise_migrations WHERE name = '0001_initial'")
    answer = await wire.ask("GET", "/readyz")
    assert (answer.status, answer.json()["checks"]["migrations"]) == (503, "pending")


async def test_readiness_accepts_migrations_of_a_newer_release(wire):
    await wire.execute(
        "INSERT INTO tortoise_migrations (app, name, applied_at) VALUES ('addonkit', '9999_next', CURRENT_TIMESTAMP)"
    )
    assert (await wire.ask("GET", "/readyz")).json() == ALL_GOOD


async def test_readiness_fails_if_the_job_worker_has_stopped(wire):
    await wire.addon.background.stop(1)
    answer = await wire.ask("GET", "/readyz")
    assert (answer.status, answer.json()["checks"]["engine"]) == (503, "stopped")


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


class Looked:
    """A check that counts its runs and returns or raises the given result."""

    def __init__(self, word="ok"):
        self.word, self.times = word, 0

    async def __call__(self):
        self.times += 1
        await asyncio.sleep(0)
        if isinstance(self.word, Exception):
            raise self.word
        return self.word


async def test_readiness_checks_run_once_a_second():
    check, clock = Looked(), Clock()
    readiness = Readiness({"database": check}, clock=clock)
    await asyncio.gather(*(readiness.results() for _ in range(50)))
    clock.now += 0.9
    await readiness.results()
    assert check.times == 1
    clock.now += 0.2
    await readiness.results()
    assert check.times == 2


async def test_readiness_check_that_hangs_is_too_slow():
    readiness = Readiness({"database": asyncio.Event().wait}, timeout_s=0.01)
    assert await readiness.results() == {"database": "too slow"}


@pytest.mark.parametrize("wrong", [StorageUnavailable(SECRET_PLACE), RuntimeError(SECRET_PLACE)])
async def test_readiness_reasons_are_logged_and_not_shown(wrong):
    with structlog.testing.capture_logs() as logs:
        assert await Readiness({"database": Looked(wrong)}).results() == {"database": "unavailable"}
    assert [entry["event"] for entry in logs][-1] == "readiness.lost"


async def test_readiness_is_logged_only_when_it_changes():
    check, clock = Looked(), Clock()
    readiness = Readiness({"database": check}, clock=clock)
    with structlog.testing.capture_logs() as logs:
        for word in (StorageUnavailable("gone"), StorageUnavailable("gone"), "ok", "ok"):
            check.word = word
            await readiness.results()
            clock.now += 1
    assert [entry["event"] for entry in logs] == ["readiness.lost", "readiness.restored"]
    assert logs[0]["reasons"] == {"database": "gone"}


async def test_readiness_single_flight_survives_a_cancelled_caller():
    check = Looked()
    readiness = Readiness({"database": check})
    first = asyncio.create_task(readiness.results())
    second = asyncio.create_task(readiness.results())
    await asyncio.sleep(0)
    first.cancel()
    assert (await second, check.times) == ({"database": "ok"}, 1)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/healthz", 200),
        ("/readyz", 200),
        ("/metrics", 404),
        ("/atlassian-connect.json", 404),
        ("/under_test/open", 404),
    ],
)
async def test_operations_listener_serves_only_its_paths(wire, path, status):
    operators = replace(wire, addon=wire.addon.operations)
    assert (await operators.ask("GET", path)).status == status


async def test_refusal_without_a_database_has_a_retry_after_header(wire):
    wire.addon.directory.clear()
    await wire.execute("ALTER TABLE addonkit_tenant RENAME TO elsewhere")
    page = "/under_test/overview"
    answer = await wire.ask("GET", f"/kit{page}?jwt={wire.token('GET', page)}")
    assert (answer.status, answer.header("retry-after")) == (503, "5")
