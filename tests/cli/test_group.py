"""The command group: help texts, exit codes, the position of ``--config``, tables and JSON."""

from __future__ import annotations

from pathlib import Path

import click
import orjson
import pytest
from addonkit.cli.group import COMMANDS, cli
from addonkit.testing.databases import run_sql
from click.testing import CliRunner

from tests.distributions.third_party import Terminal, run, write_config


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    terminal = Terminal(monkeypatch, capsys, tmp_path)
    terminal.write("stranger_notes", "stranger_bare")
    return terminal


@pytest.mark.parametrize(
    "words",
    [["--config", "x.toml", "plugins"], ["plugins", "--config", "x.toml"], ["plugins", "--config=x.toml"]],
)
def test_config_is_accepted_before_and_after_the_command(terminal: Terminal, words: list[str]) -> None:
    (terminal.directory / "addon.toml").rename(terminal.directory / "x.toml")
    assert terminal(*words).code == 0


def test_json_list_is_one_array(terminal: Terminal) -> None:
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


def test_limit_bounds_a_list(terminal: Terminal) -> None:
    assert len(orjson.loads(terminal("plugins", "--json", "--limit", "2").out)) == 2
    assert terminal("plugins", "--limit", "0").code == 2


def test_descriptor_sources_are_a_list(terminal: Terminal) -> None:
    rows = orjson.loads(terminal("descriptor", "--sources", "--json").out)
    assert {"pointer": "/scopes/0", "plugin": "stranger_notes", "what": "WRITE"} in rows


def test_table_in_a_pipe_has_one_line_for_each_row(terminal: Terminal) -> None:
    lines = terminal("plugins").out.splitlines()
    assert len(lines) == 1 + len(orjson.loads(terminal("plugins", "--json").out))


def test_help_lists_the_commands_of_enabled_plugins(terminal: Terminal) -> None:
    out = terminal("--help").out
    assert "stranger_notes  Commands of the plugin 'stranger_notes'." in out
    assert "stranger_marker" not in out


def test_help_is_shown_without_a_configuration(terminal: Terminal) -> None:
    (terminal.directory / "addon.toml").unlink()
    result = terminal("--help")
    assert result.code == 0
    assert "migrate" in result.out


def _groups() -> list[str]:
    context = click.Context(cli)
    return [name for name in COMMANDS if isinstance(cli.get_command(context, name), click.Group)]


@pytest.mark.parametrize("group", ["", *_groups()])
def test_help_lists_commands_at_80_columns_without_cutting_a_line(group: str) -> None:
    out = CliRunner().invoke(cli, [*group.split(), "--help"], terminal_width=80).output
    listed = out.partition("Commands:\n")[2].splitlines()
    assert listed
    usage, *lines = out.splitlines()
    assert usage.startswith("Usage: ")
    assert [line for line in lines if line.endswith("...") or len(line) > 80] == []
    assert [line for line in listed if not line.endswith(".")] == []


@pytest.mark.parametrize("command", ["check", "descriptor", "makemigrations", "migrate", "plugins", "serve", "tenants"])
def test_command_has_help_and_accepts_config(terminal: Terminal, command: str) -> None:
    result = terminal(command, "--help")
    assert result.code == 0
    assert "--config" in result.out


def test_plugin_command_receives_the_deployment(terminal: Terminal) -> None:
    assert terminal("stranger_notes", "key", "--config", "addon.toml").out == "com.example.strangers\n"


def test_sandbox_is_a_command_once_it_is_enabled(terminal: Terminal) -> None:
    assert terminal("sandbox").sentence == (
        "plugin 'sandbox' is installed but not enabled; add it to [addon] plugins to use its commands"
    )
    terminal.write("stranger_notes", "sandbox")
    assert "--host-port" in terminal("sandbox", "--help").out


def test_misspelt_command_is_answered_with_the_nearest_one(terminal: Terminal) -> None:
    result = terminal("migrat")
    assert result.code == 2
    assert "no command 'migrat'; did you mean 'migrate'" in result.err


def test_interrupt_exits_with_130_and_no_traceback(terminal: Terminal) -> None:
    result = terminal("stranger_notes", "fail")
    assert result.code == 130
    assert "Traceback" not in result.err


def test_migrate_checks_applies_and_then_has_nothing_to_do(terminal: Terminal) -> None:
    assert terminal("migrate", "--check").code == 1
    assert "applied stranger_notes.0001_initial" in terminal("migrate").out
    assert terminal("migrate", "--check").out == "nothing is pending\n"
    assert terminal("migrate").out == "nothing to do; the database is up to date\n"


def test_migration_applied_by_hand_is_recorded_with_fake(terminal: Terminal) -> None:
    step = "stranger_notes.0001_initial"
    assert terminal("migrate").code == 0
    run_sql(terminal.directory, "DELETE FROM tortoise_migrations WHERE app = 'stranger_notes'")
    assert "already exists" in terminal("migrate").err
    assert terminal("migrate", "--fake", step).out == (
        f"recorded {step} as applied, without running it\ncheck that the tables match these migrations\n"
    )
    assert terminal("migrate", "--check").out == "nothing is pending\n"
    assert terminal("migrate", "--fake").out == "nothing to record; none is pending\n"


@pytest.mark.parametrize("words", [["stranger_notes.0001_initial"], ["--fake", "--check"]])
def test_migration_names_are_accepted_with_fake_only(terminal: Terminal, words: list[str]) -> None:
    result = terminal("migrate", *words)
    assert result.code == 2
    assert "--fake" in result.err


def test_keys_new_prints_a_usable_key_that_never_repeats(terminal: Terminal) -> None:
    first, second = (terminal("keys", "new").out.strip() for _ in range(2))
    assert first != second
    assert "1 key" in terminal("check", ADDONKIT_SECURITY__ENCRYPTION_KEYS=orjson.dumps([first]).decode()).out


def test_descriptor_command_imports_no_server_database_or_rich(tmp_path: Path) -> None:
    write_config(tmp_path, "stranger_marker")
    result = run(tmp_path, "descriptor", python=("-X", "importtime"))
    loaded = {line.rpartition("|")[2].strip() for line in result.err.splitlines()}
    assert "addonkit.descriptor.document" in loaded
    assert loaded & {"uvloop", "rich", "structlog", "tortoise", "addonkit.edge.asgi", "addonkit.testing"} == set()
