"""Worker processes in logs and metrics: each has its number, which is a number everywhere."""

import re

import httpx2
import pytest

from tests.support.served import configure, serving, until

LABEL = re.compile(r'worker="([^"]*)"')


@pytest.mark.postgresql
async def test_worker_is_a_number_in_all_lines_and_metrics(tmp_path):
    configure(
        tmp_path, log={"format": "json", "level": "debug", "access": True}, operations={"metrics_token": "t" * 16}
    )
    async with serving(tmp_path, "--workers", "2") as served:
        async with httpx2.AsyncClient(trust_env=False, base_url=served.url) as client:
            await client.get("/nowhere")
            metrics = (await client.get("/metrics", headers={"authorization": f"Bearer {'t' * 16}"})).text
        await until(lambda: any(line["event"] == "request.completed" for line in served.log()))
    lines = served.log()
    events = {line["event"]: line for line in lines if "worker" in line}
    assert {"worker.started", "request.completed", "request.refused", "shutdown.started"} <= events.keys()
    assert {type(line["worker"]) for line in lines if "worker" in line} == {int}
    assert {line["worker"] for line in lines if line["event"] == "shutdown.started"} == {1, 2}
    assert set(LABEL.findall(metrics)) == {"1", "2"}
