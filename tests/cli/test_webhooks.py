"""``addonkit webhooks``: list, show, record and replay stored webhooks."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import pytest
from addonkit.database.location import Location
from addonkit.jobs.models import JobRow
from addonkit.tenant_data.connection import tenant_database
from addonkit.testing.databases import database_settings, run_sql

from tests.support.job_rows import JobsTerminal, jobs_terminal, refused


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> JobsTerminal:
    terminal = jobs_terminal(monkeypatch, capsys, tmp_path)
    terminal.install_webhook_plugin(monkeypatch)
    terminal.write("hooked")
    terminal.site("site-1")
    return terminal


@pytest.mark.parametrize("command", ["list", "show", "replay", "record"])
def test_help_of_every_command_names_the_configuration_option(terminal: JobsTerminal, command: str) -> None:
    result = terminal("webhooks", command, "--help")
    assert result.code == 0
    assert "--config" in result.out


def test_list_has_only_webhooks_with_their_events(terminal: JobsTerminal) -> None:
    terminal.jobs({})
    number = terminal.webhook()
    [row] = terminal.rows("webhooks", "list", "--event", "jira:issue_deleted")
    assert (row["id"], row["event"], row["objects"], row["tenant"]) == (
        *(number, "jira:issue_deleted", {"issue_id": "7"}),
        "site-1",
    )
    assert "jira:issue_deleted" in terminal("webhooks", "list").out


def test_list_without_webhooks_says_so(terminal: JobsTerminal) -> None:
    assert terminal("webhooks", "list").out == "no webhooks\n"


def test_event_that_is_misspelt_gets_a_suggestion(terminal: JobsTerminal) -> None:
    result = terminal("webhooks", "list", "--event", "jira:issue_delete")
    assert (
        result.sentence
        == "no enabled plugin listens to the event 'jira:issue_delete'; did you mean 'jira:issue_deleted'"
    )


def test_show_prints_the_body(terminal: JobsTerminal) -> None:
    number = terminal.webhook()
    [result] = terminal.rows("webhooks", "show", str(number))
    assert (result["event"], result["payload"]) == ("jira:issue_deleted", {"issue": {"id": "7"}})
    out = terminal("webhooks", "show", str(number)).out
    assert "jira:issue_deleted" in out
    assert "d-1" in out


@pytest.mark.parametrize("command", ["show", "replay"])
def test_job_that_is_not_a_webhook_is_refused(terminal: JobsTerminal, command: str) -> None:
    [number] = map(str, terminal.jobs({}))
    assert f"job {number} is not a webhook but a job" in terminal("webhooks", command, number).sentence


def test_replay_runs_a_done_webhook_again(terminal: JobsTerminal) -> None:
    number = terminal.webhook(finished_at=1.0)
    [other] = terminal.jobs({"state": "dead"})
    assert terminal("webhooks", "replay", str(number)).out == "1 job replayed\n"
    assert terminal.states() == {number: "ready", other: "dead"}


def test_replay_by_filter_takes_webhooks_only(terminal: JobsTerminal) -> None:
    number = terminal.webhook(finished_at=1.0)
    [other] = terminal.jobs({"state": "done", "plugin": "hooked"})
    assert terminal("webhooks", "replay", "--plugin", "hooked", "--yes").out == "1 job replayed\n"
    assert terminal.states() == {number: "ready", other: "done"}


@pytest.mark.parametrize(
    "words", [[], ["1", "--plugin", "hooked"], ["--file", "f"], ["1", "--file", "f", "--tenant", "1"]]
)
def test_replay_needs_ids_or_filters_or_a_file(terminal: JobsTerminal, words: list[str]) -> None:
    refused(terminal("webhooks", "replay", *words))


def test_record_and_replay_file_copy_webhooks_to_another_site(terminal: JobsTerminal) -> None:
    terminal.webhook()
    terminal.webhook(b"\xff")
    result = terminal("webhooks", "record", "out.jsonl", "--existing")
    assert (result.code, result.err) == (0, "2 webhooks recorded\n")
    file = terminal.directory / "out.jsonl"
    assert file.stat().st_mode & 0o777 == 0o600
    first, second = map(orjson.loads, file.read_bytes().splitlines())
    assert (first["event"], first["path"], first["body"]) == (
        *("jira:issue_deleted", "/webhooks/hooked/forget"),
        '{"issue": {"id": "7"}}',
    )
    assert second["body_base64"] == "/w=="
    terminal.site("site-2")
    words = ("webhooks", "replay", "--file", "out.jsonl", "--tenant", "site-2")
    assert terminal(*words, "--dry-run").out == "2 recorded webhooks would be enqueued\n"
    assert terminal(*words).out == "2 recorded webhooks enqueued\n"
    query = "SELECT kind, state, order_key, payload FROM addonkit_job WHERE tenant_id = 2 ORDER BY id"
    assert [(*row[:3], bytes(row[3])) for row in run_sql(terminal.directory, query)] == [
        ("webhook", "ready", "forget:7", b'{"issue": {"id": "7"}}'),
        ("webhook", "blocked", "forget:7", b"\xff"),
    ]
    terminal(*words)
    assert len(run_sql(terminal.directory, query)) == 4


def test_record_copies_webhooks_as_they_arrive(terminal: JobsTerminal, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal.webhook()

    async def come() -> None:
        [row] = await JobRow.all()
        await JobRow.create(**{key: value for key, value in row if key != "id"} | {"payload": b"second"})

    async def nothing() -> None:
        pass

    terminal.between_polls(monkeypatch, come, nothing)
    result = terminal("webhooks", "record", "out.jsonl", "--plugin", "hooked")
    assert (result.code, result.err) == (0, "\n1 webhook recorded\n")
    [line] = (terminal.directory / "out.jsonl").read_bytes().splitlines()
    assert orjson.loads(line)["body"] == "second"


def test_record_never_overwrites_a_file(terminal: JobsTerminal) -> None:
    (terminal.directory / "out.jsonl").write_text("mine")
    result = terminal("webhooks", "record", "out.jsonl", "--existing")
    assert (result.code, "exists already" in result.err) == (1, True)
    assert (terminal.directory / "out.jsonl").read_text() == "mine"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{}", "is not a webhook as 'addonkit webhooks record' writes it"),
        ("[1]", "is not a webhook as 'addonkit webhooks record' writes it"),
        ("nonsense", "is not a webhook as 'addonkit webhooks record' writes it"),
        ('{"plugin": "hooked", "name": "forget", "objects": {"a": 1}, "body": ""}', "is not a webhook as"),
        ('{"plugin": "macro", "name": "x", "objects": {}, "body": ""}', "is for 'macro.x', which no enabled plugin"),
    ],
)
def test_replay_file_with_an_invalid_line_changes_nothing(terminal: JobsTerminal, text: str, sentence: str) -> None:
    good = '{"plugin": "hooked", "name": "forget", "objects": {}, "body": ""}'
    (terminal.directory / "in.jsonl").write_text(f"{good}\n{text}\n")
    result = terminal("webhooks", "replay", "--file", "in.jsonl", "--tenant", "1").sentence
    assert result.startswith("line 2 of 'in.jsonl' ")
    assert sentence in result
    assert terminal.states() == {}


def test_replay_file_that_does_not_exist_is_reported(terminal: JobsTerminal) -> None:
    assert "cannot be read" in terminal("webhooks", "replay", "--file", "no", "--tenant", "1").sentence


def drop_payload(terminal: JobsTerminal) -> None:
    """Move done webhooks as the add-on does a minute later."""

    async def move() -> None:
        from addonkit.jobs.done import move_done

        async with tenant_database(Location(**database_settings(terminal.directory)), {}):
            await JobRow.all().update(finished_at=1.0)
            await move_done(0)

    asyncio.run(move())


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("replay", "1"), 1, "its payload was dropped; set [jobs] keep_payloads_hours"),
        (("replay", "--plugin", "hooked", "--yes"), 0, "1 webhook skipped"),
        (("replay", "--state", "done", "--dry-run"), 0, "set [jobs] keep_payloads_hours"),
        (("record", "out.jsonl", "--existing"), 0, "1 webhook skipped"),
        (("show", "1"), 0, "payload: dropped when the job was done; see [jobs] keep_payloads_hours"),
        (("list",), 0, "hooked"),
    ],
)
def test_commands_name_the_setting_for_a_webhook_without_payload(
    terminal: JobsTerminal, words: tuple[str, ...], code: int, message: str
) -> None:
    assert terminal.webhook() == 1
    drop_payload(terminal)
    result = terminal("webhooks", *words)
    assert result.code == code, result
    assert message in result.out + result.err
    if words[0] == "record":
        assert (terminal.directory / "out.jsonl").read_bytes() == b""


def test_show_prints_a_webhook_without_payload_as_json(terminal: JobsTerminal) -> None:
    terminal.webhook()
    drop_payload(terminal)
    [details] = terminal.rows("webhooks", "show", "1")
    assert (details["payload"], details["payload_bytes"], details["payload_format"]) == (None, None, "dropped")
