"""The operations listener of ``addonkit work``: probes, metrics, and an address that two processes share."""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import asynccontextmanager

import httpx2
import pytest
from addonkit.errors import SettingsInvalid
from addonkit.server import operations_listener
from addonkit.server.operations_listener import OperationsListener, bound_operations_socket
from addonkit.server.sockets import AddressUnavailable, address_of, bound_socket
from addonkit.supervised_task import SupervisedTask
from structlog.testing import capture_logs

from tests.support.job_processes import job_processes
from tests.support.process_group import free_ports
from tests.support.served import until
from tests.support.service_manager import notified


async def answer(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6")]})
    await send({"type": "http.response.body", "body": b"worker"})


@pytest.fixture(autouse=True)
def short_retry(monkeypatch):
    monkeypatch.setattr(operations_listener, "RETRY_S", 0.05)


@asynccontextmanager
async def running(listener):
    task = SupervisedTask("operations listener", listener.run)
    try:
        yield listener
    finally:
        await task.cancel()


async def got(bind):
    transport = httpx2.AsyncHTTPTransport(uds=bind.removeprefix("unix:")) if bind.startswith("unix:") else None
    url = "http://localhost/" if transport else f"http://{bind}/"
    async with httpx2.AsyncClient(trust_env=False, transport=transport) as client:
        try:
            return (await client.get(url)).text
        except httpx2.HTTPError:
            return None


def free_bind(kind, folder):
    return f"unix:{folder}/operations.sock" if kind == "unix" else f"127.0.0.1:{free_ports(1)[0]}"


@pytest.mark.parametrize("kind", ["tcp", "unix"])
async def test_shared_address_is_handed_over_to_a_serving_process_and_taken_back(tmp_path, kind):
    bind = free_bind(kind, tmp_path)
    async with running(OperationsListener(answer, bind, is_shared=True)) as listener:
        await until(lambda: got(bind))
        served = await asyncio.to_thread(bound_operations_socket, bind)
        assert address_of(served) == bind
        assert listener.address is None
        served.close()
        await until(lambda: got(bind))
        assert listener.address == bind


@pytest.mark.parametrize("kind", ["tcp", "unix"])
async def test_shared_address_in_use_is_waited_for(tmp_path, kind):
    bind = free_bind(kind, tmp_path)
    served = bound_socket(bind)
    with capture_logs() as lines:
        listener = OperationsListener(answer, bind, is_shared=True)
        async with running(listener):
            assert listener.address is None
            await asyncio.sleep(0.2)
            served.close()
            await until(lambda: got(bind))
    [line] = [line for line in lines if line["event"] == "operations.not_bound"]
    assert bind in line["reason"]
    assert "work_bind" in line["remedy"]


async def test_shared_address_of_another_machine_does_not_keep_a_worker_from_working():
    assert OperationsListener(answer, "192.0.2.1:9100", is_shared=True).address is None


@pytest.mark.parametrize("bind", ["nonsense", "127.0.0.1", "127.0.0.1:99999", "unix:relative"])
@pytest.mark.parametrize("is_shared", [True, False])
def test_malformed_address_is_refused(bind, is_shared):
    with pytest.raises(SettingsInvalid, match="bind is '") as raised:
        OperationsListener(answer, bind, is_shared=is_shared)
    assert ("work_bind" in str(raised.value)) is not is_shared


def test_own_address_that_is_in_use_is_refused():
    bind = free_bind("tcp", None)
    with bound_socket(bind), pytest.raises(AddressUnavailable, match=r"\[operations\] work_bind"):
        OperationsListener(answer, bind, is_shared=False)


async def test_own_address_is_not_handed_over():
    bind = free_bind("tcp", None)
    async with running(OperationsListener(answer, bind, is_shared=False)):
        await until(lambda: got(bind))
        with pytest.raises(AddressUnavailable):
            await asyncio.to_thread(bound_operations_socket, bind)
        assert await got(bind) == "worker"


def test_address_that_another_program_uses_is_refused_at_once():
    bind = free_bind("tcp", None)
    with bound_socket(bind), pytest.raises(AddressUnavailable, match="stop the process that uses it"):
        bound_operations_socket(bind)


def word(processes, text, number=0):
    return text in (processes.folder / f"log-{number}").read_text()


@pytest.mark.postgresql
async def test_working_process_has_probes_metrics_and_reports_to_its_service_manager(tmp_path):
    bind = free_bind("tcp", None)
    operations = {"bind": bind}
    async with (
        job_processes(tmp_path, [["work", "--no-migrate"]], operations=operations, log={"format": "json"}) as processes,
        httpx2.AsyncClient(trust_env=False, base_url=f"http://{bind}") as client,
    ):
        with notified(tmp_path, watchdog_s=1.5) as seen:
            await processes.start(0, **seen.variables)
            await seen.until("READY")
            assert [one["STATUS"] for one in seen.received if "READY" in one] == ["runs jobs of stranger_jobs"]
            assert word(processes, f"Probes and metrics: {bind}")
            await seen.until_pinged(2)
            assert (await client.get("/healthz")).json() == {"alive": True}
            ready = {"ready": True, "checks": {"database": "ok", "migrations": "ok", "engine": "ok"}}
            assert (await client.get("/readyz")).json() == ready
            assert "addonkit_build_info" in (await client.get("/metrics")).text
            assert (await client.get("/atlassian-connect.json")).status_code == 404
            job = processes.put("last", processes.tenant(), 3)
            await processes.until_begun([job])
            processes.running[0].send_signal(signal.SIGTERM)
            await seen.until("READY", "STOPPING")
            draining = await client.get("/readyz")
            assert (draining.status_code, draining.json()["checks"]) == (503, {"process": "draining"})
            assert (await client.get("/healthz")).status_code == 200
            assert await processes.running[0].wait() == 0
        assert processes.row(job)["state"] == "done"


@pytest.mark.postgresql
async def test_working_and_serving_process_of_one_machine_start_in_any_order(tmp_path):
    bind = free_bind("tcp", None)
    words = [["work", "--no-migrate"], ["serve", "--bind", "127.0.0.1:0", "--no-migrate"]]
    async with (
        job_processes(tmp_path, words, operations={"bind": bind}, log={"format": "json"}) as processes,
        httpx2.AsyncClient(trust_env=False, base_url=f"http://{bind}") as client,
    ):
        await processes.start(0)
        await until(lambda: word(processes, f"Probes and metrics: {bind}"), 60)
        await processes.start(1)
        await until(lambda: word(processes, "listening on", 1), 60)
        text = (await client.get("/metrics")).text
        assert "addonkit_build_info" in text
        assert any(line["event"] == "operations.handed_over" for line in processes.log(0))
        processes.folder.joinpath("addon.toml").write_text(
            (processes.folder / "addon.toml")
            .read_text()
            .replace("[operations]\n", f"[operations]\nwork_bind = {json.dumps(free_bind('tcp', None))}\n")
        )
        assert await processes.end(0) == 0
        await processes.start(0)
        await until(lambda: (processes.folder / "log-0").read_text().count("Probes and metrics") == 2, 60)
