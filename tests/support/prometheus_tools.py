"""Prometheus and promtool, if they are installed: on Debian, both are in the package ``prometheus``."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from addonkit.testing import loopback

from tests.support.served import until

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool")
needs_prometheus = pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs prometheus")


def promtool(*words: str | Path) -> None:
    """Run promtool, which must succeed."""
    done = subprocess.run(["promtool", *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def texts_of_firing(rules: Path, directory: Path, alert: str, series: Mapping[str, str], minutes: int) -> str:
    """Evaluate rules on series, and return the alerts with their texts as promtool describes them."""
    wrong = {"eval_time": f"{minutes}m", "alertname": alert, "exp_alerts": []}
    file = _test_file(rules, directory, alert, series, {"alert_rule_test": [wrong]})
    done = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    return done.stdout + done.stderr


def check_firing(rules: Path, directory: Path, alert: str, series: Mapping[str, str], minutes: int, count: int) -> None:
    """Evaluate rules on series, a sample a minute; so many alerts of one name must be firing."""
    expression = f'count(ALERTS{{alertname="{alert}", alertstate="firing"}}) or vector(0)'
    expected = {"expr": expression, "eval_time": f"{minutes}m", "exp_samples": [{"labels": "{}", "value": count}]}
    promtool("test", "rules", _test_file(rules, directory, alert, series, {"promql_expr_test": [expected]}))


def _test_file(
    rules: Path, directory: Path, alert: str, series: Mapping[str, str], expected: Mapping[str, Any]
) -> Path:
    given = [{"series": name, "values": values} for name, values in series.items()]
    test = {"interval": "1m", "input_series": given, **expected}
    file = directory / f"{alert}.yaml"
    # JSON is YAML.
    file.write_text(json.dumps({"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": [test]}))
    return file


@asynccontextmanager
async def prometheus(
    rules: Path, directory: Path, targets: Mapping[str, str], interval_s: int = 1
) -> AsyncIterator[httpx2.AsyncClient]:
    """Run Prometheus with rules; yields a client of its API.

    Args:
        rules: The file of rules.
        directory: Folder for its configuration and data.
        targets: Addresses to scrape, by the name of their job.
        interval_s: How often it scrapes and evaluates rules.
    """
    jobs = [{"job_name": name, "static_configs": [{"targets": [address]}]} for name, address in targets.items()]
    times = dict.fromkeys(("scrape_interval", "scrape_timeout", "evaluation_interval"), f"{interval_s}s")
    config = {"global": times, "rule_files": [str(rules)], "scrape_configs": jobs}
    file = directory / "prometheus.yaml"
    file.write_text(json.dumps(config))
    with loopback.bind() as sock:
        address = "{}:{}".format(*sock.getsockname())
    process = await asyncio.create_subprocess_exec(
        *("prometheus", f"--config.file={file}", f"--storage.tsdb.path={directory}/data"),
        *(f"--web.listen-address={address}", "--log.level=error"),
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        async with httpx2.AsyncClient(base_url=f"http://{address}", trust_env=False) as client:
            await until(lambda: _is_ready(client))
            yield client
    finally:
        process.terminate()
        await process.wait()


async def _is_ready(client: httpx2.AsyncClient) -> bool:
    try:
        return (await client.get("/-/ready")).status_code == 200
    except httpx2.TransportError:
        return False


async def answer(client: httpx2.AsyncClient, path: str, **parameters: str) -> Any:
    """Return the data of a response of the API, which must be a success."""
    response = await client.get(f"/api/v1/{path}", params=parameters)
    body = response.json()
    assert body["status"] == "success", body
    return body["data"]
