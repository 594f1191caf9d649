"""``addonkit log-level``: changes the level of running processes for a limited time, whichever they are."""

import asyncio
import json
import os
import signal
import sys

import httpx2
import pytest
from addonkit.settings import LEVEL_VARIABLE

from tests.distributions.third_party import environment, installed
from tests.support.job_processes import job_processes
from tests.support.served import configure, serving, until

JSON = {"format": "json"}


async def command(directory, *words, code=0, **variables):
    """Run the command in a folder; return what it prints, and its errors."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "addonkit", "log-level", *words),
        cwd=directory,
        env=environment(installed("stranger-slow"), **variables),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = (text.decode() for text in await process.communicate())
    assert process.returncode == code, errors
    return output, errors


async def levels(directory, *words):
    """Return process and level of each process, and whether it ends."""
    rows = json.loads((await command(directory, *words, "--json"))[0])
    return [(row["process"], row["level"], row["until"] is not None) for row in rows]


def events(lines, name):
    return [line for line in lines if line["event"] == name]


async def test_level_of_a_serving_process_is_changed_for_a_limited_time(tmp_path):
    configure(tmp_path, log={**JSON, "level": "error"})
    async with serving(tmp_path) as served, httpx2.AsyncClient(trust_env=False, base_url=served.url) as client:
        assert await levels(tmp_path) == [("serve", "error", False)]
        await client.get("/before")
        assert await levels(tmp_path, "debug", "--for", "2h") == [("serve", "debug", True)]
        await client.get("/during")
        await until(lambda: events(served.log(), "request.refused"))
        assert await levels(tmp_path, "info", "--for", "1s") == [("serve", "info", True)]
        await until(lambda: events(served.log(), "log.level_restored"))
        await client.get("/after")
        assert await levels(tmp_path) == [("serve", "error", False)]
    assert [line["path"] for line in events(served.log(), "request.refused")] == ["/during"]
    assert [line["new_level"] for line in events(served.log(), "log.level_changed")] == ["debug", "info"]
    assert [line["new_level"] for line in events(served.log(), "log.level_restored")] == ["error"]


async def test_level_is_reset_by_an_option(tmp_path):
    configure(tmp_path, log={**JSON, "level": "warning"})
    async with serving(tmp_path) as served:
        await command(tmp_path, "debug")
        assert await levels(tmp_path, "--reset") == [("serve", "warning", False)]
        assert await levels(tmp_path, "--reset") == [("serve", "warning", False)]
    assert len(events(served.log(), "log.level_restored")) == 1


@pytest.mark.postgresql
async def test_level_reaches_supervisor_and_workers_and_those_that_replace_them(tmp_path):
    configure(tmp_path, log={**JSON, "level": "warning"})
    async with serving(tmp_path, "--workers", "2") as served:
        found = await levels(tmp_path, "info", "--for", "1h")
        assert found == [("supervisor", "info", True), ("worker 1", "info", True), ("worker 2", "info", True)]
        rows = json.loads((await command(tmp_path, "--json"))[0])
        [pid] = [row["pid"] for row in rows if row["process"] == "worker 2"]
        os.kill(pid, signal.SIGKILL)

        async def replaced():
            now = json.loads((await command(tmp_path, "--json"))[0])
            others = [row for row in now if row["process"] == "worker 2" and row["pid"] not in (pid, None)]
            return [(row["level"], row["until"] is not None) for row in others]

        assert await until(replaced) == [("info", True)]
        assert await levels(tmp_path, "--reset") == [
            ("supervisor", "warning", False),
            ("worker 1", "warning", False),
            ("worker 2", "warning", False),
        ]
    changed = events(served.log(), "log.level_changed")
    assert sorted(line.get("worker", 0) for line in changed) == [0, 1, 2, 2]


@pytest.mark.postgresql
async def test_level_of_a_working_process_is_changed(tmp_path):
    async with job_processes(tmp_path, [["work", "--no-migrate"]], log={**JSON, "level": "error"}) as processes:
        await processes.start(0)
        await until(lambda: "runs jobs of" in (processes.folder / "log-0").read_text())
        assert await levels(processes.folder, "info") == [("work", "info", True)]
        assert await processes.end(0) == 0
        assert events(processes.log(0), "shutdown.started")


async def test_level_of_a_child_process_ends_with_that_of_its_parent(tmp_path):
    configure(tmp_path, log={**JSON, "level": "error"})
    async with serving(tmp_path, **{LEVEL_VARIABLE: "debug 99999999999"}):
        assert await levels(tmp_path) == [("serve", "error", False)]
    async with serving(tmp_path, **{LEVEL_VARIABLE: "nonsense"}):
        assert await levels(tmp_path) == [("serve", "error", False)]


async def test_level_of_another_configuration_is_not_changed(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        configure(tmp_path / name, log=JSON)
    async with serving(tmp_path / "one"):
        _, errors = await command(tmp_path / "two", "debug", code=1)
        assert f"no process with the configuration '{tmp_path}/two/addon.toml' runs" in errors
        assert await levels(tmp_path / "one") == [("serve", "info", False)]
        (tmp_path / "link").symlink_to(tmp_path / "one")
        assert await levels(tmp_path / "link") == [("serve", "info", False)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trace"], "'trace' is not one of"),
        (["debug", "--for", "10"], "'10' is not a time of up to a day"),
        (["debug", "--for", "2d"], "'2d' is not a time of up to a day"),
        (["debug", "--for", "0s"], "'0s' is not a time of up to a day"),
        (["--for", "10m"], "name a level, with or without --for, or use --reset alone"),
        (["debug", "--reset"], "name a level, with or without --for, or use --reset alone"),
    ],
    ids=["level", "unit", "long", "zero", "no-level", "both"],
)
async def test_level_command_refuses_wrong_input(tmp_path, words, message):
    _, errors = await command(tmp_path, *words, code=2)
    assert message in " ".join(errors.split())


async def test_level_command_is_for_a_running_add_on(tmp_path):
    _, errors = await command(tmp_path, code=1)
    assert errors.startswith("addonkit: no process with the configuration")
