"""Metrics in prometheus_client: documented, per worker, and shared by worker processes."""

import asyncio
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import pytest_asyncio
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from tests.support.plugin_under_test import running_addon
from tests.support.public_address import Authority
from tests.support.scraped_metrics import BEARER, TOKEN, value
from tests.support.wire import PAGE

pytestmark = pytest.mark.asyncio(loop_scope="module")
REQUESTS, REFUSALS = "addonkit_inbound_requests_total", "addonkit_inbound_refusals_total"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wire(tmp_path_factory):
    directory = tmp_path_factory.mktemp("addon")
    certificate, key = Authority(directory).certify("localhost", days=30)
    server = {"tls_certificate": str(certificate), "tls_key": str(key)}
    async with running_addon(directory, operations={"metrics_token": TOKEN}, server=server) as running:
        yield running


OPERATIONS = Path(__file__).parent.parent.parent / "docs" / "operations.md"


async def test_metrics_are_all_documented(wire):
    await wire.open(PAGE)
    text = (await wire.ask("GET", "/metrics", BEARER)).text
    found = {family.name for family in text_string_to_metric_families(text)}
    cells = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|.*\|.*\|", OPERATIONS.read_text(), re.MULTILINE)
    documented = {name for cell in cells for name in re.findall(r"\w+", cell)}
    assert found == {name.removesuffix("_total") for name in documented if name.startswith(("addonkit_", "process_"))}


OF_ONE_PROCESS = {
    "addonkit_directory_tenants",
    "addonkit_event_loop_lag_seconds",
    "addonkit_webhook_intake_rows",
    "addonkit_webhook_intake_bytes",
    "addonkit_webhook_intake_rows_max",
    "addonkit_webhook_intake_bytes_max",
    "addonkit_tls_certificate_expiry_timestamp_seconds",
    "addonkit_job_slots_free",
    "addonkit_database_connections_in_use",
    "addonkit_database_connections_max",
    "addonkit_database_connections_waiting",
}


async def test_metrics_of_one_process_alone_have_the_worker_label(wire):
    await wire.open(PAGE)
    found = text_string_to_metric_families((await wire.ask("GET", "/metrics", BEARER)).text)
    labelled = {family.name for family in found for sample in family.samples if "worker" in sample.labels}
    assert {name for name in labelled if not name.startswith("process_")} == OF_ONE_PROCESS
    assert "process_resident_memory_bytes" in labelled


async def test_metrics_show_the_versions_of_runtime_and_plugins(wire):
    assert await value(wire, "addonkit_build_info") == 1
    assert await value(wire, "addonkit_plugin_info", plugin="under_test", version="1") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
async def test_metrics_measure_the_process(wire):
    assert await value(wire, "process_resident_memory_bytes") > 1e6
    assert await value(wire, "process_cpu_seconds_total") > 0


COUNTING = """
import asyncio, sys
from addonkit.edge.request import InboundRequest
from addonkit.edge.metrics import Metrics

class Directory:
    hits = misses = 1
    def __len__(self):
        return 1

async def waiting():
    return None

metrics = Metrics(directory=Directory(), queue_stats=waiting, versions={}, host_requests=(), addon=sys.argv[1] or None)
request = InboundRequest("GET", "/", "", [], "id")
request.record.status = 200
metrics.count(request, 0.1)
print(asyncio.run(metrics.text())[1].decode(), flush=True)
sys.stdin.read()
"""


class Worker:
    """A process that counts one request, prints all metrics, and runs until its input is closed."""

    def __init__(self, folder, number, addon=""):
        env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder), "ADDONKIT_WORKER": number}
        command = [sys.executable, "-c", COUNTING, addon]
        self.process = subprocess.Popen(
            command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.text = ""
        while (line := self.process.stdout.readline()) != "\n":
            assert line, self.process.communicate()[1]
            self.text += line

    def __enter__(self):
        return self

    def __exit__(self, *_):
        assert self.process.communicate(timeout=20)[1] == ""

    def counted(self, name):
        families = text_string_to_metric_families(self.text)
        found = [sample for family in families for sample in family.samples if sample.name == name]
        if [sample.labels.get("worker") for sample in found] == [None]:
            return found[0].value
        return {sample.labels["worker"]: sample.value for sample in found}


async def test_metrics_of_all_workers_are_shown_by_each(tmp_path):
    with Worker(tmp_path, "0"), Worker(tmp_path, "1") as second:
        assert second.counted(REQUESTS) == 2
        assert second.counted("addonkit_directory_tenants") == {"0": 1, "1": 1}
        assert second.counted("process_open_fds").keys() == {"0", "1"}


async def test_metrics_of_a_restarted_worker_continue(tmp_path):
    for _ in range(2):
        with Worker(tmp_path, "0"):
            pass
    with Worker(tmp_path, "0") as third:
        assert third.counted(REQUESTS) == 3
    assert len(list(tmp_path.glob("counter_*.db"))) == 1


async def test_metrics_of_two_processes_of_one_worker_number_have_separate_files(tmp_path):
    with Worker(tmp_path, "0"), Worker(tmp_path, "0") as successor:
        assert successor.counted(REQUESTS) == 2
        assert len(list(tmp_path.glob("counter_*.db"))) == 2


async def test_metrics_of_an_ended_worker_have_no_gauges(tmp_path):
    with Worker(tmp_path, "0"):
        pass
    with Worker(tmp_path, "1") as second:
        assert second.counted("addonkit_directory_tenants") == {"1": 1}
        assert second.counted(REQUESTS) == 2


async def test_prometheus_client_is_not_imported_if_nothing_is_counted():
    code = "import sys, addonkit.app.addon; sys.exit('prometheus_client' in sys.modules)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await process.wait() == 0


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text"], ids=["prometheus", "openmetrics"])
@pytest.mark.parametrize("has_label", [True, False], ids=["labelled", "default"])
async def test_metrics_have_the_addon_label_if_it_is_switched_on(tmp_path, accept, has_label):
    operations = {"metrics_token": TOKEN, **({"addon_label": True} if has_label else {})}
    async with running_addon(tmp_path, operations=operations) as wire:
        await wire.ask("GET", "/metrics", [*BEARER, ("accept", accept)])
        await wire.open(PAGE)
        text = (await wire.ask("GET", "/metrics", [*BEARER, ("accept", accept)])).text
    read = openmetrics_families if accept != "text/plain" else text_string_to_metric_families
    found = [sample for family in read(text) for sample in family.samples]
    assert {sample.labels.get("addon") for sample in found} == {"com.example.test" if has_label else None}
    assert {"addonkit_jobs_pending", "addonkit_build_info", "process_start_time_seconds"} <= {one.name for one in found}
    assert any(sample.exemplar for sample in found) is (accept != "text/plain")


async def test_metrics_of_all_workers_have_the_addon_label(tmp_path):
    with Worker(tmp_path, "1", addon="kit"), Worker(tmp_path, "2", addon="kit") as second:
        assert second.text.count('addon="kit"') == len(re.findall(r"^[^#]", second.text, re.MULTILINE))
        assert second.counted(REQUESTS) == 2


async def test_metrics_show_when_the_certificate_expires(wire):
    expiry = await value(wire, "addonkit_tls_certificate_expiry_timestamp_seconds", worker="0")
    assert expiry - time.time() == pytest.approx(30 * 86400, abs=3600)
