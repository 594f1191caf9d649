"""Serving beside and with a plugin whose models, migrations or start have a fault."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from tests.distributions.third_party import installed
from tests.support.faulty_plugin import FAILING_STEPS, MIGRATION_FAULTS, MODEL_FAULTS, FaultyPlugin
from tests.support.served import Served, configure, serving

FAULTS = {
    "syntax": MIGRATION_FAULTS["syntax"],
    "cycle": MIGRATION_FAULTS["cycle"],
    "missing parent": MIGRATION_FAULTS["missing parent"],
    "missing model": MODEL_FAULTS["missing model"],
    "plain model": MODEL_FAULTS["plain model"],
    "statement": FAILING_STEPS["statement"],
}
STARTUP = """
@plugin.hook
def addon_startup(app):
    raise RuntimeError("not today")
"""


@pytest.fixture
def own(tmp_path: Path) -> FaultyPlugin:
    return FaultyPlugin.install(tmp_path / "installed")


@pytest.fixture(params=["hypercorn", "granian"])
def server(request: pytest.FixtureRequest) -> str:
    if request.param == "granian":
        pytest.importorskip("granian", reason="granian is an extra")
    return str(request.param)


@asynccontextmanager
async def beside(own: FaultyPlugin, directory: Path, *options: str) -> AsyncIterator[Served]:
    """Serve a deployment with the plugin on the path."""
    path = os.pathsep.join([str(installed("stranger-slow")), str(own.path.parent)])
    async with serving(directory, *options, PYTHONPATH=path) as served:
        yield served


async def keys_in_descriptor(served: Served) -> int:
    async with httpx2.AsyncClient() as client:
        answer = await client.get(f"{served.url}/atlassian-connect.json")
        assert (await client.get(f"{served.url}/stranger_slow/word")).status_code == 200
        assert (await client.get(f"{served.url}/readyz")).status_code == 200
    return answer.status_code


@pytest.mark.parametrize(
    ("server", "fault"), [*[("hypercorn", fault) for fault in FAULTS], ("granian", "syntax")], indirect=["server"]
)
async def test_serve_goes_on_without_a_faulty_plugin_that_is_off(
    own: FaultyPlugin, tmp_path: Path, server: str, fault: str
) -> None:
    FAULTS[fault][0](own)
    configure(tmp_path)
    async with beside(own, tmp_path, "--server", server) as served:
        assert await keys_in_descriptor(served) == 200
    assert served.errors().count("addonkit: skipped: ") == 1
    assert "plugin 'own'" in served.errors()
    assert "Traceback" not in served.errors()


@pytest.mark.parametrize("fault", ["syntax", "missing model"])
async def test_serve_without_migrations_warns_of_a_faulty_plugin_that_is_off(
    own: FaultyPlugin, tmp_path: Path, fault: str
) -> None:
    FAULTS[fault][0](own)
    configure(tmp_path)
    async with beside(own, tmp_path, "--no-migrate") as served:
        assert await keys_in_descriptor(served) == 200
    assert [entry["plugin"] for entry in served.log() if entry["event"] == "migration.pending"] == ["own"]


@pytest.mark.parametrize("fault", ["syntax", "missing model", "start"])
async def test_serve_skips_a_faulty_plugin_where_the_deployment_allows_it(
    own: FaultyPlugin, tmp_path: Path, server: str, fault: str
) -> None:
    if fault == "start":
        own.add_to_plugin(STARTUP)
    else:
        FAULTS[fault][0](own)
    configure(tmp_path, addon={"plugins": ["stranger_slow", "own"], "on_plugin_error": "skip"})
    async with beside(own, tmp_path, "--server", server) as served:
        assert await keys_in_descriptor(served) == 200
    assert [entry["plugin"] for entry in served.log() if entry["event"] == "plugin.skipped"] == ["own"]
    assert "Traceback" not in served.errors()


@pytest.mark.parametrize("command", ["serve", "work"])
@pytest.mark.parametrize("fault", ["syntax", "missing model", "start"])
@pytest.mark.postgresql
async def test_process_does_not_start_with_a_faulty_plugin(
    own: FaultyPlugin, tmp_path: Path, command: str, fault: str
) -> None:
    if fault == "start":
        own.add_to_plugin(STARTUP)
    else:
        FAULTS[fault][0](own)
    configure(tmp_path, addon={"plugins": ["stranger_slow", "own"]})
    path = os.pathsep.join([str(installed("stranger-slow")), str(own.path.parent)])
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "addonkit", command),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    last = errors.decode().splitlines()[-1]
    assert process.returncode == 1
    assert last.startswith("addonkit: plugin 'own' ")
    assert b"Traceback" not in errors


@pytest.mark.postgresql
@pytest.mark.parametrize("fault", ["syntax", "missing model", "statement"])
async def test_workers_start_beside_a_faulty_plugin_that_is_off(own: FaultyPlugin, tmp_path: Path, fault: str) -> None:
    FAULTS[fault][0](own)
    configure(tmp_path)
    async with beside(own, tmp_path, "--workers", "2") as served:
        assert await keys_in_descriptor(served) == 200
    assert "addonkit: skipped: " in served.errors()
