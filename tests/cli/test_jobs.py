"""``addonkit jobs``: list, show, retry, delete and follow jobs."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import orjson
import pytest
from addonkit.jobs.models import JobRow
from addonkit.testing.databases import run_sql

from tests.support.job_rows import JobsTerminal, jobs_terminal, refused

DEAD = {
    "state": "dead",
    "failures": 8,
    "deaths": 1,
    "error": "LookupError: no such page\n  at home",
    "finished_at": 1.0,
}


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> JobsTerminal:
    return jobs_terminal(monkeypatch, capsys, tmp_path)


@pytest.mark.parametrize("command", ["list", "show", "retry", "drop", "tail"])
def test_help_of_every_command_names_the_configuration_option(terminal: JobsTerminal, command: str) -> None:
    result = terminal("jobs", command, "--help")
    assert result.code == 0
    assert "--config" in result.out


def test_list_prints_the_newest_first_with_state_and_error(terminal: JobsTerminal) -> None:
    terminal.site("site-1")
    first, second = terminal.jobs({"tenant_id": 1}, DEAD)
    rows = terminal.rows("jobs", "list")
    assert [(row["id"], row["tenant"], row["state"], row["failures"]) for row in rows] == [
        (second, None, "dead", 8),
        (first, "site-1", "ready", 0),
    ]
    out = terminal("jobs", "list").out
    assert "LookupError: no such page" in out
    assert "at home" not in out
    assert "(deployment)" in out


def test_list_without_jobs_says_so(terminal: JobsTerminal) -> None:
    assert terminal("jobs", "list").out == "no jobs\n"
    assert terminal.rows("jobs", "list") == []


@pytest.mark.parametrize(
    ("words", "places"),
    [
        (["--state", "dead"], [1]),
        (["--state", "dead", "--state", "done"], [2, 1]),
        (["--plugin", "macro"], [2]),
        (["--name", "sweep"], [3]),
        (["--kind", "schedule"], [3]),
        (["--tenant", "site-1"], [0]),
        (["--tenant", "0"], [3, 2, 1]),
        (["--tenant", "number:0"], [3, 2, 1]),
        (["--tenant", "number:1"], [0]),
        (["--error", "NO SUCH"], [1]),
        (["--error", "%"], []),
        (["--since", "1h"], [3, 1, 0]),
        (["--since", "2001-01-01"], [3, 1, 0]),
        (["--limit", "1"], [3]),
    ],
)
def test_list_applies_each_filter_option(terminal: JobsTerminal, words: list[str], places: list[int]) -> None:
    terminal.site("site-1")
    sweep = {"name": "sweep", "kind": "schedule"}
    numbers = terminal.jobs({"tenant_id": 1}, DEAD, {"plugin": "macro", "state": "done", "created_at": 1.0}, sweep)
    assert [row["id"] for row in terminal.rows("jobs", "list", *words)] == [numbers[place] for place in places]


def test_list_count_gives_numbers_by_plugin_name_and_state(terminal: JobsTerminal) -> None:
    terminal.jobs(DEAD, DEAD, {})
    assert terminal.rows("jobs", "list", "--count") == [
        {"plugin": "stranger_bare", "name": "tidy", "state": "dead", "jobs": 2},
        {"plugin": "stranger_bare", "name": "tidy", "state": "ready", "jobs": 1},
    ]
    assert "dead" in terminal("jobs", "list", "--count").out


def test_list_notes_jobs_of_plugins_that_are_not_enabled(terminal: JobsTerminal) -> None:
    terminal.jobs({"plugin": "macro"}, {"plugin": "macro", "state": "held"}, {"plugin": "macro", "state": "done"})
    assert terminal("jobs", "list").err == "2 jobs wait for plugin 'macro', which is not enabled\n"


def test_since_that_is_not_a_time_is_a_usage_error(terminal: JobsTerminal) -> None:
    assert "is not a time; write an age such as 15m" in refused(terminal("jobs", "list", "--since", "yesterday"))


def test_show_prints_payload_and_whole_error(terminal: JobsTerminal) -> None:
    [number] = terminal.jobs(DEAD)
    [result] = terminal.rows("jobs", "show", str(number))
    assert (result["payload"], result["payload_format"], result["payload_bytes"]) == ({"n": 1}, "json", 8)
    out = terminal("jobs", "show", str(number)).out
    assert "  at home" in out
    assert '"n": 1' in out


def test_show_truncates_a_long_payload_without_full(terminal: JobsTerminal) -> None:
    [text, raw] = map(str, terminal.jobs({"payload": orjson.dumps({"t": "x" * 9000})}, {"payload": b"\xff" * 9000}))
    assert len(terminal.rows("jobs", "show", text)[0]["payload"]) == 4000
    assert terminal.rows("jobs", "show", text, "--full")[0]["payload"] == {"t": "x" * 9000}
    assert terminal.rows("jobs", "show", raw)[0]["payload_format"] == "base64"
    assert "--full prints all" in terminal("jobs", "show", raw).out


def test_control_characters_of_a_job_are_escaped(terminal: JobsTerminal) -> None:
    [number] = terminal.jobs({**DEAD, "payload": b"a\x1b[31mb", "error": "a\x1b[31mb"})
    for words in (["list"], ["show", str(number)]):
        assert "\x1b" not in terminal("jobs", *words).out


@pytest.mark.parametrize("words", [["show", "99"], ["retry", "99"], ["drop", "99"]])
def test_id_that_does_not_exist_is_reported(terminal: JobsTerminal, words: list[str]) -> None:
    assert terminal("jobs", *words).sentence == "there is no job with id 99; 'addonkit jobs list' shows the stored jobs"


def test_retry_resets_failures_and_keeps_the_error(terminal: JobsTerminal) -> None:
    [number] = terminal.jobs(DEAD)
    assert terminal("jobs", "retry", str(number)).out == "1 job retried\n"
    query = "SELECT state, failures, deaths, finished_at, error FROM addonkit_job"
    assert run_sql(terminal.directory, query)[0] == ("ready", 0, 0, None, DEAD["error"])


@pytest.mark.parametrize("state", ["running", "done", "blocked", "ready"])
def test_retry_refuses_jobs_in_other_states_and_changes_nothing(terminal: JobsTerminal, state: str) -> None:
    dead, other = terminal.jobs(DEAD, {"state": state})
    result = terminal("jobs", "retry", str(dead), str(other))
    assert result.sentence == f"job {other} is {state}; only jobs that are dead, held or waiting can be retried"
    assert terminal.states()[dead] == "dead"


def test_retry_keeps_the_sequence_of_an_order_key(terminal: JobsTerminal) -> None:
    """Also before what has only waited behind them."""
    order = {"order_key": "issue:7"}
    numbers = terminal.jobs({**DEAD, **order}, {**DEAD, **order}, order, {**DEAD, "order_key": "issue:8"})
    terminal("jobs", "retry", "--state", "dead", "--yes")
    assert [terminal.states()[number] for number in numbers] == ["ready", "blocked", "blocked", "ready"]


def test_retry_blocks_a_job_behind_a_running_one_of_its_order_key(terminal: JobsTerminal) -> None:
    order = {"order_key": "issue:7"}
    dead, _ = terminal.jobs({**DEAD, **order}, {"state": "running", **order})
    terminal("jobs", "retry", str(dead))
    assert terminal.states()[dead] == "blocked"


def test_retry_of_many_jobs_runs_in_steps(terminal: JobsTerminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("addonkit.jobs.admin.STEP_ROWS", 2)
    terminal.jobs(*[DEAD] * 5, {"state": "running"}, {"plugin": "macro", **DEAD})
    result = terminal.rows("jobs", "retry", "--plugin", "stranger_bare", "--yes")
    assert result["retried"] == 5
    assert sorted(terminal.states().values()) == ["dead", *["ready"] * 5, "running"]


@pytest.mark.parametrize("command", ["retry", "drop"])
def test_dry_run_changes_nothing(terminal: JobsTerminal, command: str) -> None:
    terminal.jobs(DEAD)
    result = terminal("jobs", command, "--state", "dead", "--dry-run")
    assert result.out.startswith("1 job would be ")
    assert list(terminal.states().values()) == ["dead"]


@pytest.mark.parametrize("command", ["retry", "drop"])
@pytest.mark.parametrize("words", [[], ["1", "--state", "dead"]])
def test_jobs_are_selected_either_by_id_or_by_filter(terminal: JobsTerminal, command: str, words: list[str]) -> None:
    assert "select jobs either by ID or by filter options" in refused(terminal("jobs", command, *words))


def test_confirmation_without_a_terminal_needs_yes(terminal: JobsTerminal) -> None:
    terminal.jobs(DEAD)
    result = terminal("jobs", "drop", "--state", "dead")
    assert result.sentence.endswith("will be deleted; there is no terminal to confirm this, add --yes")
    assert "1 job (1 dead of 'stranger_bare.tidy')" in result.sentence
    assert len(terminal.states()) == 1


@pytest.mark.parametrize(("answer", "left"), [("n", 1), ("y", 0)])
def test_confirmation_is_asked_on_a_terminal(
    terminal: JobsTerminal, monkeypatch: pytest.MonkeyPatch, answer: str, left: int
) -> None:
    terminal.jobs(DEAD)
    keyboard = io.StringIO(f"{answer}\n")
    monkeypatch.setattr(keyboard, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", keyboard)
    assert "Continue?" in terminal("jobs", "drop", "--state", "dead").err
    assert len(terminal.states()) == left


def test_drop_never_deletes_a_running_job(terminal: JobsTerminal) -> None:
    running, _ = terminal.jobs({"state": "running"}, {})
    assert "is running; only jobs that are" in terminal("jobs", "drop", str(running)).sentence
    assert terminal("jobs", "drop", "--state", "running", "--yes").out == "no jobs deleted\n"
    assert terminal("jobs", "drop", "--plugin", "stranger_bare", "--yes").out == "1 job deleted\n"
    assert terminal.states() == {running: "running"}


def test_drop_unblocks_the_next_job_of_the_order_key(terminal: JobsTerminal) -> None:
    first, second = terminal.jobs({"state": "held", "order_key": "7"}, {"state": "blocked", "order_key": "7"})
    terminal("jobs", "drop", str(first))
    assert terminal.states() == {second: "ready"}


def test_tail_prints_changes_as_json_until_ctrl_c(terminal: JobsTerminal, monkeypatch: pytest.MonkeyPatch) -> None:
    [old] = terminal.jobs({})

    async def come() -> None:
        now = (await JobRow.get(id=old)).due_at
        await JobRow.create(
            tenant_id=0,
            plugin="macro",
            name="draw",
            kind="job",
            payload=b"",
            state="ready",
            due_at=now,
            created_at=now,
        )

    async def begin() -> None:
        await JobRow.filter(plugin="macro").update(state="running", starts=1)

    async def fail() -> None:
        await JobRow.filter(plugin="macro").update(state="waiting", failures=1, error="OSError: away\n  at home")

    async def nothing() -> None:
        pass

    terminal.between_polls(monkeypatch, come, begin, nothing, fail)
    result = terminal("jobs", "tail", "--json")
    lines: list[Any] = [orjson.loads(line) for line in result.out.splitlines()]
    assert [(line["name"], line["state"]) for line in lines] == [
        ("draw", "ready"),
        ("draw", "running"),
        ("draw", "waiting"),
    ]
    assert result.code == 0


def test_tail_prints_one_line_per_change(terminal: JobsTerminal, monkeypatch: pytest.MonkeyPatch) -> None:
    [number] = terminal.jobs({"state": "running"})

    async def die() -> None:
        from time import time

        await JobRow.all().update(state="dead", finished_at=time(), error="OSError: away\n  at home")

    terminal.between_polls(monkeypatch, die)
    out = terminal("jobs", "tail", "--plugin", "stranger_bare").out
    assert out.endswith(f"Z {number} (deployment) stranger_bare.tidy dead: OSError: away\n")
