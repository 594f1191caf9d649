"""What the metrics of one process make of each request, call and attempt, without an add-on that serves."""

import asyncio
import re
from pathlib import Path

import pytest
from addonkit.edge import metrics as metrics_module
from addonkit.edge.metrics import Metrics
from addonkit.edge.prometheus import Increments
from addonkit.edge.request import InboundRequest
from addonkit.errors import StorageUnavailable
from addonkit.jobs.counts import JobCounts
from addonkit.jobs.statistics import QueueStatistics
from prometheus_client import Counter
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from tests.support.loop_clock import LoopClock
from tests.support.paused_clock import PausedClock

TICK = 0.001
TRACE = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
OPERATIONS = Path(__file__).parent.parent.parent / "docs" / "operations.md"
HOST_REQUESTS = (("lifecycle", "installed"), ("webhook", "jira:issue_created"))


class Tenants:
    """Numbers of the in-memory cache of tenants."""

    hits = misses = size = 0

    def __len__(self):
        return self.size


class Queue:
    """The state of the queue, or an error, as the database gives it."""

    def __init__(self, *results):
        self.results, self.reads = list(results), 0

    async def __call__(self):
        self.reads += 1
        result = self.results.pop(0) if len(self.results) > 1 else self.results[0]
        if isinstance(result, Exception):
            raise result
        return result


STATE = QueueStatistics({"p": JobCounts(ready=3, dead=1)}, 12.0, {("p", "nightly"): 4.0})


@pytest.fixture
def made():
    def make(queue=None, **more):
        options = {"versions": {"p": "1.2", "q": "3"}, "host_requests": HOST_REQUESTS} | more
        return Metrics(directory=Tenants(), queue_stats=queue or Queue(STATE), **options)

    return make


async def samples(metrics, accept=None):
    """All samples by name and labels, without those of this process."""
    kind, text = await metrics.text(accept)
    families = openmetrics_families if kind.startswith(b"application/openmetrics") else text_string_to_metric_families
    return {
        (one.name, *sorted((key, value) for key, value in one.labels.items() if key != "worker")): one
        for family in families(text.decode())
        for one in family.samples
    }


async def value(metrics, name, **labels):
    found = (await samples(metrics)).get((name, *sorted(labels.items())))
    return None if found is None else found.value


def answered(status, **facts):
    request = InboundRequest("GET", "/x", "", [], "0123456789abcdef")
    request.record.answered_by("p", "p.page")
    request.record.status = status
    for name, fact in facts.items():
        setattr(request.record, name, fact)
    return request


@pytest.mark.parametrize(
    ("status", "kind", "outcome"),
    [
        (0, "aborted", "unavailable"),
        (100, "1xx", "unavailable"),
        (199, "1xx", "unavailable"),
        (200, "2xx", "accepted"),
        (204, "2xx", "accepted"),
        (299, "2xx", "accepted"),
        (300, "3xx", "refused"),
        (399, "3xx", "refused"),
        (400, "4xx", "refused"),
        (499, "4xx", "refused"),
        (500, "5xx", "unavailable"),
        (599, "5xx", "unavailable"),
        (600, "5xx", "unavailable"),
        (999, "5xx", "unavailable"),
    ],
)
async def test_request_is_counted_by_the_class_of_its_status(made, status, kind, outcome):
    metrics = made()
    for _ in range(2):
        metrics.count(answered(status, host_request=HOST_REQUESTS[0], refused="signature"), 0.5)
    metrics.count(answered(status), 0.25)
    of_page = {"plugin": "p", "route": "p.page"}
    assert await value(metrics, "addonkit_inbound_requests_total", **of_page, status=kind) == 3
    assert await value(metrics, "addonkit_inbound_request_duration_seconds_sum", **of_page) == 1.25
    of_event = {"kind": "lifecycle", "event": "installed"}
    assert await value(metrics, "addonkit_inbound_host_requests_total", **of_event, outcome=outcome) == 2
    assert await value(metrics, "addonkit_inbound_host_request_duration_seconds_sum", **of_event) == 1.0
    assert await value(metrics, "addonkit_inbound_refusals_total", reason="signature") == 2


async def test_series_of_things_that_are_rare_begin_with_zero(made):
    """An alert on their growth needs a value from before."""
    found = await samples(made())
    expected = [
        *(
            ("addonkit_inbound_host_requests_total", ("event", event), ("kind", kind), ("outcome", outcome))
            for kind, event in HOST_REQUESTS
            for outcome in ("accepted", "refused", "unavailable")
        ),
        *(("addonkit_webhooks_refused_total", ("product", one)) for one in ("jira", "confluence", "unknown")),
        *(
            ("addonkit_job_retries_total", ("plugin", one), ("reason", "process_died"))
            for one in ("p", "q", "addonkit")
        ),
    ]
    assert {key: found[key].value for key in expected if key in found} == dict.fromkeys(expected, 0)


async def test_versions_are_series_with_the_value_one(made):
    found = await samples(made())
    assert found["addonkit_plugin_info", ("plugin", "p"), ("version", "1.2")].value == 1
    assert found["addonkit_plugin_info", ("plugin", "q"), ("version", "3")].value == 1
    assert [one.value for key, one in found.items() if key[0] == "addonkit_build_info"] == [1]


@pytest.mark.parametrize(("sent", "retries"), [(0, None), (1, None), (2, 1), (5, 4)])
async def test_host_call_is_counted_with_its_retries(made, sent, retries):
    metrics = made()
    metrics.count_call("p", "2xx", 0.5, sent)
    assert await value(metrics, "addonkit_rest_requests_total", plugin="p", outcome="2xx") == 1
    assert await value(metrics, "addonkit_rest_request_duration_seconds_sum", plugin="p") == 0.5
    assert await value(metrics, "addonkit_rest_retries_total", plugin="p") == retries


async def test_attempts_at_jobs_are_counted_with_their_times(made):
    metrics = made()
    metrics.job_started("p", 3.0)
    metrics.job_ended("p", "n", "done", 0.5, job_id=7, traceparent=None)
    metrics.job_retried("p", "timeout")
    metrics.count_refused_webhook("jira")
    assert await value(metrics, "addonkit_job_wait_seconds_sum", plugin="p") == 3.0
    assert await value(metrics, "addonkit_job_attempts_total", plugin="p", outcome="done") == 1
    assert await value(metrics, "addonkit_job_duration_seconds_sum", plugin="p", job_name="n") == 0.5
    assert await value(metrics, "addonkit_job_retries_total", plugin="p", reason="timeout") == 1
    assert await value(metrics, "addonkit_webhooks_refused_total", product="jira") == 1


@pytest.mark.parametrize("asks_first", [False, True])
@pytest.mark.parametrize("traceparent", [None, TRACE, "no trace"])
async def test_job_is_named_in_its_bucket_once_somebody_has_asked_for_openmetrics(made, asks_first, traceparent):
    metrics, accept = made(), "application/openmetrics-text"
    if asks_first:
        await metrics.text(accept)
    metrics.job_ended("p", "n", "done", 0.3, job_id=7, traceparent=traceparent)
    found = [one.exemplar.labels for one in (await samples(metrics, accept)).values() if one.exemplar]
    expected = {"job": "7"} | ({"trace_id": TRACE[3:35]} if traceparent == TRACE else {})
    assert found == ([expected] if asks_first else [])


@pytest.mark.parametrize("name", ["hits", "misses"])
async def test_lookups_of_tenants_are_added_up_and_their_number_is_shown(made, name):
    metrics = made()
    result = {"hits": "hit", "misses": "miss"}[name]
    for number in (0, 3, 10, 10):
        setattr(metrics._directory, name, number)
        metrics._directory.size = number
        assert await value(metrics, "addonkit_directory_lookups_total", result=result) == number
        assert await value(metrics, "addonkit_directory_tenants") == number


@pytest.mark.parametrize(
    ("numbers", "total"), [([], 0), ([5], 5), ([5, 5], 5), ([5, 8], 8), ([5, 0], 5), ([5, 0, 2], 7), ([0, 1], 1)]
)
def test_number_that_is_counted_elsewhere_may_restart_at_zero(numbers, total):
    counter, left = Counter("x", "x", registry=None), list(numbers)
    increments = Increments(counter, lambda: left.pop(0))
    for _ in numbers:
        increments.refresh()
    assert counter._value.get() == total


async def test_numbers_that_are_followed_are_read_at_each_scrape(made):
    metrics, numbers = made(), iter([3.0, 4.0])
    metrics.follow("intake", "Rows that wait", lambda: next(numbers))
    assert [await value(metrics, "addonkit_intake") for _ in range(2)] == [3.0, 4.0]


async def test_buckets_are_those_that_operators_read_about(made):
    metrics = made()
    metrics.count(answered(200, host_request=HOST_REQUESTS[0]), 0.1)
    metrics.count_call("p", "2xx", 0.1, 1)
    metrics.job_started("p", 0.1)
    metrics.job_ended("p", "n", "done", 0.1, job_id=1, traceparent=None)
    metrics.prometheus.event_loop_lag.observe(0.1)
    found = {}
    for key, one in (await samples(metrics)).items():
        if key[0].endswith("_bucket"):
            found.setdefault(key[0].removesuffix("_bucket"), set()).add(float(one.labels["le"]))
    rows = re.findall(
        r"^\| ((?:`addonkit_\w+_seconds`(?:, )?)+) \| ([0-9., ]+) \|$", OPERATIONS.read_text(), re.MULTILINE
    )
    documented = {
        name: {*map(float, bounds.split(", ")), float("inf")}
        for names, bounds in rows
        for name in re.findall(r"\w+", names)
    }
    assert found == documented


@pytest.mark.parametrize(("interval_s", "injected"), [(1.0, None), (7.0, 7.0)], ids=["as shipped", "changed"])
@pytest.mark.parametrize(("late_s", "lag_s"), [(0.0, 0.0), (0.3, 0.3), (2.0, 2.0), (-0.1, 0.0)])
async def test_lag_is_how_late_a_timer_of_the_event_loop_is(made, monkeypatch, interval_s, injected, late_s, lag_s):
    if injected is not None:
        monkeypatch.setattr(metrics_module, "LAG_INTERVAL_S", injected)
    metrics = made()
    assert metrics.prometheus is metrics.prometheus
    clock = PausedClock(monkeypatch, most=3)
    advance = clock._pause

    async def pause(seconds):
        await advance(seconds)
        clock.now += late_s

    monkeypatch.setattr(asyncio, "sleep", pause)
    with pytest.raises(asyncio.CancelledError):
        await metrics.measure_lag()
    assert clock.pauses == [interval_s] * 3
    monkeypatch.undo()
    assert await value(metrics, "addonkit_event_loop_lag_seconds_sum") == pytest.approx(2 * lag_s)
    assert await value(metrics, "addonkit_event_loop_lag_seconds_count") == 2


@pytest.fixture
def now(monkeypatch):
    class Now:
        at = 1000.0

    monkeypatch.setattr(metrics_module.time, "monotonic", lambda: Now.at)
    return Now


@pytest.mark.parametrize(
    ("name", "life_s", "injected", "state"),
    [
        ("QUEUE_STATS_LIFE_S", 5.0, None, STATE),
        ("QUEUE_STATS_LIFE_S", 60.0, 60.0, STATE),
        ("FIRST_READ_PAUSE_S", 0.2, None, None),
        ("FIRST_READ_PAUSE_S", 9.0, 9.0, None),
    ],
    ids=["read", "read, changed", "not counted yet", "not counted yet, changed"],
)
@pytest.mark.parametrize(("late_s", "reads"), [(-TICK, 1), (TICK, 2)], ids=["below", "above"])
async def test_queue_is_read_again_after_a_time(made, monkeypatch, now, name, life_s, injected, state, late_s, reads):
    if injected is not None:
        monkeypatch.setattr(metrics_module, name, injected)
    queue = Queue(state)
    metrics = made(queue)
    await metrics.text()
    now.at += life_s + late_s
    await metrics.text()
    assert queue.reads == reads


async def test_queue_keeps_its_last_values_with_their_age_while_the_database_does_not_answer(made, now):
    outage = StorageUnavailable("the database did not answer")
    metrics = made(Queue(STATE, outage, outage, QueueStatistics({}, 0.0, {})))
    with capture_logs() as lines:
        for age_s, ready in [(0.0, 3), (10.0, 3), (20.0, 3), (0.0, None)]:
            assert await value(metrics, "addonkit_queue_values_age_seconds") == age_s
            assert await value(metrics, "addonkit_jobs_ready", plugin="p") == ready
            now.at += 10.0
    events = [(line["event"], line.get("reason")) for line in lines]
    assert events == [("metrics.queue_not_read", str(outage)), ("metrics.queue_read_again", None)]


async def test_queue_that_was_never_read_has_no_series(made, now):
    found = await samples(made(Queue(StorageUnavailable("no"))))
    assert not [key for key in found if key[0].startswith(("addonkit_jobs_", "addonkit_queue_"))]


async def test_queue_has_its_numbers_by_plugin_and_schedule(made, now):
    metrics = made()
    assert await value(metrics, "addonkit_jobs_dead", plugin="p") == 1
    assert await value(metrics, "addonkit_jobs_pending", plugin="p") == 3
    assert await value(metrics, "addonkit_jobs_oldest_due_seconds") == 12.0
    assert await value(metrics, "addonkit_schedule_lag_seconds", plugin="p", schedule="nightly") == 4.0


@pytest.mark.parametrize(("timeout_s", "injected"), [(2.0, None), (30.0, 30.0)], ids=["as shipped", "changed"])
@pytest.mark.parametrize(("late_s", "is_read"), [(-TICK, True), (TICK, False)], ids=["below", "above"])
async def test_scrape_waits_for_the_queue_up_to_its_time(made, monkeypatch, timeout_s, injected, late_s, is_read):
    if injected is not None:
        monkeypatch.setattr(metrics_module, "QUEUE_STATS_TIMEOUT_S", injected)
    answers = asyncio.Event()

    async def slow():
        await answers.wait()
        return STATE

    metrics, clock = made(slow), LoopClock(monkeypatch)
    with capture_logs() as lines:
        reading = asyncio.create_task(metrics._refresh_queue_stats())
        await clock.advance(0)
        await clock.advance(timeout_s + late_s)
        answers.set()
        await reading
    reason = f"the database did not answer within {timeout_s:g} s"
    assert [line["reason"] for line in lines if "reason" in line] == ([] if is_read else [reason])
    await metrics.close()


async def test_add_on_is_a_label_of_all_metrics_if_it_has_a_name(made):
    for addon in (None, "com.example"):
        metrics = made(addon=addon)
        labels = [dict(key[1:]).get("addon") for key in await samples(metrics)]
        assert set(labels) == {addon}
