"""The command line as its users meet it: help, exit codes, ``--config`` anywhere, lists for people and programs."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from addonkit.testing.databases import ask

from tests.distributions.strangers import Terminal, run, write_config


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    terminal = Terminal(monkeypatch, capsys, tmp_path)
    terminal.write("stranger_notes", "stranger_bare")
    return terminal


@pytest.mark.parametrize(
    "words",
    [["--config", "x.toml", "plugins"], ["plugins", "--config", "x.toml"], ["plugins", "--config=x.toml"]],
)
def test_the_configuration_may_be_named_before_and_behind_the_command(terminal: Terminal, words: list[str]) -> None:
    (terminal.directory / "addon.toml").rename(terminal.directory / "x.toml")
    assert terminal(*words).code == 0


def test_a_list_is_one_json_array(terminal: Terminal) -> None:
    rows = orjson.loads(terminal("plugins", "--json").out)
    notes = next(row for row in rows if row["plugin"] == "stranger_notes")
    assert notes == {
        "plugin": "stranger_notes",
        "state": "on",
        "distribution": "stranger-notes 1.0",
        "modules": ["stranger-notes-panel"],
        "scopes": ["READ", "WRITE"],
        "reason": "",
    }


def test_a_list_can_be_limited(terminal: Terminal) -> None:
    assert len(orjson.loads(terminal("plugins", "--json", "--limit", "2").out)) == 2
    assert terminal("plugins", "--limit", "0").code == 2


def test_the_sources_of_a_descriptor_are_a_list(terminal: Terminal) -> None:
    rows = orjson.loads(terminal("descriptor", "--sources", "--json").out)
    assert {"pointer": "/scopes/0", "plugin": "stranger_notes", "what": "WRITE"} in rows


def test_a_piped_table_has_one_line_a_row(terminal: Terminal) -> None:
    lines = terminal("plugins").out.splitlines()
    assert len(lines) == 1 + len(orjson.loads(terminal("plugins", "--json").out))


def test_help_lists_the_commands_of_enabled_plugins(terminal: Terminal) -> None:
    out = terminal("--help").out
    assert "stranger_notes  Commands of the plugin 'stranger_notes'." in out
    assert "stranger_marker" not in out


def test_help_comes_without_a_configuration(terminal: Terminal) -> None:
    (terminal.directory / "addon.toml").unlink()
    said = terminal("--help")
    assert said.code == 0
    assert "migrate" in said.out


@pytest.mark.parametrize("command", ["check", "descriptor", "makemigrations", "migrate", "plugins", "serve", "tenants"])
def test_every_command_explains_itself_and_takes_a_configuration(terminal: Terminal, command: str) -> None:
    said = terminal(command, "--help")
    assert said.code == 0
    assert "--config" in said.out


def test_a_plugins_command_gets_the_deployment(terminal: Terminal) -> None:
    assert terminal("stranger_notes", "key", "--config", "addon.toml").out == "com.example.strangers\n"


def test_the_sandbox_is_a_command_once_it_is_enabled(terminal: Terminal) -> None:
    assert terminal("sandbox").sentence == (
        "plugin 'sandbox' is installed and not enabled; add it to [addon] plugins to use its commands"
    )
    terminal.write("stranger_notes", "sandbox")
    assert "--host-port" in terminal("sandbox", "--help").out


def test_a_misspelt_command_is_told_the_nearest(terminal: Terminal) -> None:
    said = terminal("migrat")
    assert said.code == 2
    assert "no command 'migrat'; did you mean 'migrate'" in said.err


def test_an_interruption_leaves_no_traceback(terminal: Terminal) -> None:
    said = terminal("stranger_notes", "fail")
    assert said.code == 130
    assert "Traceback" not in said.err


def test_migrate_checks_applies_and_then_has_nothing_to_do(terminal: Terminal) -> None:
    assert terminal("migrate", "--check").code == 1
    assert "applied stranger_notes.0001_initial" in terminal("migrate").out
    assert terminal("migrate", "--check").out == "nothing is pending\n"
    assert terminal("migrate").out == "nothing to do; the database is up to date\n"


def test_a_step_that_was_done_by_hand_is_recorded_and_said_so(terminal: Terminal) -> None:
    step = "stranger_notes.0001_initial"
    assert terminal("migrate").code == 0
    ask(terminal.directory, "DELETE FROM tortoise_migrations WHERE app = 'stranger_notes'")
    assert "already exists" in terminal("migrate").sentence
    assert terminal("migrate", "--fake", step).out == (
        f"recorded {step} as applied, without running it\nsee that the tables are what these say they are\n"
    )
    assert terminal("migrate", "--check").out == "nothing is pending\n"
    assert terminal("migrate", "--fake").out == "nothing to record; none is pending\n"


@pytest.mark.parametrize("words", [["stranger_notes.0001_initial"], ["--fake", "--check"]])
def test_a_migration_is_named_for_repair_alone(terminal: Terminal, words: list[str]) -> None:
    said = terminal("migrate", *words)
    assert said.code == 2
    assert "--fake" in said.err


def test_a_new_key_is_usable_and_never_the_same(terminal: Terminal) -> None:
    first, second = (terminal("keys", "new").out.strip() for _ in range(2))
    assert first != second
    assert "1 in use" in terminal("check", ADDONKIT_SECURITY__ENCRYPTION_KEYS=orjson.dumps([first]).decode()).out


def test_a_descriptor_loads_no_server_no_database_and_no_tables_for_people(tmp_path: Path) -> None:
    write_config(tmp_path, "stranger_marker")
    said = run(tmp_path, "descriptor", python=("-X", "importtime"))
    loaded = {line.rpartition("|")[2].strip() for line in said.err.splitlines()}
    assert "addonkit.descriptor.document" in loaded
    assert loaded & {"uvloop", "rich", "structlog", "tortoise", "addonkit.edge.asgi", "addonkit.testing"} == set()
