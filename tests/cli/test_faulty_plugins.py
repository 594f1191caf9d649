"""A plugin whose models or migrations have a fault: commands name it, and go on without it if it is off."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import pytest
from addonkit.database.connection import Database, Location
from addonkit.tenant_data.connection import tenant_database
from addonkit.testing.databases import database_settings, run_sql

from tests.distributions.third_party import CommandResult, Terminal, give_tables
from tests.support.faulty_plugin import (
    FAILING_STEPS,
    MIGRATION_FAULTS,
    MODEL_FAULTS,
    Break,
    FaultyPlugin,
    forget,
    step,
)
from tests.support.tenant_rows import InstalledSites

FAULTS = {f"migration: {name}": fault for name, fault in MIGRATION_FAULTS.items()}
FAULTS |= {f"model: {name}": fault for name, fault in MODEL_FAULTS.items()}
STEPS = {f"step: {name}": fault for name, fault in FAILING_STEPS.items()}


def database_of(directory: Path) -> Database:
    """Return the database of a folder, without models of plugins."""
    return tenant_database(Location(**database_settings(directory, create=False)), {})


class Commands(Terminal):
    """The command line of a deployment beside an installed plugin ``own``."""

    def __call__(self, *words: str, **variables: str) -> CommandResult:
        """Run a command line, which imports the plugin anew."""
        forget(self._patch)
        result = super().__call__(*words, **variables)
        assert "Traceback" not in result.err + result.out
        return result

    def site(self, key: str) -> None:
        """Store a site that is due, with a row of each plugin."""

        async def stored() -> None:
            async with database_of(self.directory):
                sites = InstalledSites("stranger_bare")
                await sites.install(key)
                await sites.uninstall(key, 31)

        asyncio.run(stored())
        run_sql(self.directory, "INSERT INTO stranger_notes_note (tenant_id, text) VALUES (1, 'kept')")
        run_sql(self.directory, "INSERT INTO own_thing (id, tenant_id, title) VALUES (1, 1, 'ours')")


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Commands:
    commands = Commands(monkeypatch, capsys, tmp_path)
    commands.write("stranger_notes")
    give_tables(tmp_path)
    return commands


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FaultyPlugin:
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    folder = tmp_path / "installed"
    plugin = FaultyPlugin.install(folder)
    monkeypatch.syspath_prepend(str(folder))
    return plugin


def skipped(result: CommandResult) -> list[str]:
    """Return the lines that name the plugin as skipped."""
    return [line for line in result.err.splitlines() if line.startswith("addonkit: skipped: ") and "'own'" in line]


def test_plugin_that_is_off_is_migrated(commands: Commands, own: FaultyPlugin) -> None:
    result = commands("migrate")
    assert (result.code, skipped(result)) == (0, [])
    assert "applied own.0001_initial" in result.out
    assert run_sql(commands.directory, "SELECT count(*) FROM own_thing") == [(0,)]


@pytest.mark.parametrize(("break_", "reason"), {**FAULTS, **STEPS}.values(), ids=[*FAULTS, *STEPS])
def test_migrate_skips_a_faulty_plugin_that_is_off(
    commands: Commands, own: FaultyPlugin, break_: Break, reason: str
) -> None:
    break_(own)
    run_sql(commands.directory, "DELETE FROM tortoise_migrations WHERE app = 'stranger_bare'")
    run_sql(commands.directory, "DROP TABLE stranger_bare_visit")
    result = commands("migrate")
    assert result.code == 0
    [line] = skipped(result)
    assert reason in line
    assert "plugin 'own'" in line
    assert "applied stranger_bare.0001_initial" in result.out
    assert run_sql(commands.directory, "SELECT count(*) FROM stranger_bare_visit") == [(0,)]
    assert run_sql(commands.directory, "SELECT name FROM tortoise_migrations WHERE app = 'own'") == []


@pytest.mark.parametrize(("break_", "reason"), FAULTS.values(), ids=FAULTS)
def test_check_reports_a_faulty_plugin_that_is_off(
    commands: Commands, own: FaultyPlugin, break_: Break, reason: str
) -> None:
    break_(own)
    checked = orjson.loads(commands("check", "--offline", "--json").out)
    [plugins] = [one for one in checked if one["check"] == "plugins"]
    [database] = [one for one in checked if one["check"] == "database"]
    assert (plugins["state"], reason in plugins["message"], "'own'" in plugins["message"]) == ("warn", True, True)
    assert "own" not in database["message"]


@pytest.mark.parametrize(("break_", "reason"), FAULTS.values(), ids=FAULTS)
def test_rows_of_a_faulty_plugin_that_is_off_are_exported_and_purged(
    commands: Commands, own: FaultyPlugin, break_: Break, reason: str
) -> None:
    assert commands("migrate").code == 0
    commands.site("site-1")
    break_(own)
    exported = commands("tenants", "export", "1", "--to", "out", "--json")
    assert {"table": "own_thing", "rows": 1}.items() <= {
        key: value for row in orjson.loads(exported.out) if row["table"] == "own_thing" for key, value in row.items()
    }.items()
    shown = commands("tenants", "purge", "--due", "--dry-run")
    assert (shown.code, "would be purged" in shown.out, len(skipped(shown))) == (0, True, 1)
    done = commands("tenants", "purge", "--due", "--yes")
    assert (done.code, len(skipped(done))) == (0, 1)
    assert reason in skipped(done)[0]
    for table in ("own_thing", "stranger_notes_note", "addonkit_tenant"):
        assert run_sql(commands.directory, f"SELECT count(*) FROM {table}") == [(0,)]


HOOK = """
@plugin.hook
async def addon_purge(tenant):
    from addonkit_own.models import Thing
    raise LookupError(await Thing.all().count())
"""


@pytest.mark.parametrize("fault", ["model: missing model", "migration: syntax", "migration: cycle"])
def test_purge_does_not_call_a_plugin_that_cannot_read_its_rows(
    commands: Commands, own: FaultyPlugin, fault: str
) -> None:
    assert commands("migrate").code == 0
    commands.site("site-1")
    own.add_to_plugin(HOOK)
    FAULTS[fault][0](own)
    done = commands("tenants", "purge", "1", "--yes")
    assert (done.code, len(skipped(done))) == (0, 1)


@pytest.mark.parametrize("fault", ["model: missing model", "migration: syntax", "migration: missing parent"])
def test_adoption_goes_on_without_a_faulty_plugin(commands: Commands, own: FaultyPlugin, fault: str) -> None:
    async def stored() -> None:
        async with database_of(commands.directory):
            for key in ("old", "new"):
                await InstalledSites("stranger_bare").install(key)

    assert commands("migrate").code == 0
    asyncio.run(stored())
    for number in (1, 2):
        run_sql(commands.directory, f"INSERT INTO own_thing (id, tenant_id, title) VALUES ({number}, {number}, 'x')")
    FAULTS[fault][0](own)
    assert commands("tenants", "adopt", "new", "--from", "old", "--discard", "--dry-run").code == 0
    done = commands("tenants", "adopt", "new", "--from", "old", "--discard", "--yes")
    assert (done.code, len(skipped(done))) == (0, 1)
    assert run_sql(commands.directory, "SELECT tenant_id FROM own_thing") == [(1,)]


@pytest.mark.parametrize(("break_", "reason"), FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("words", ["descriptor", "migrate", "makemigrations own"])
def test_command_names_a_faulty_plugin_that_is_enabled(
    commands: Commands, own: FaultyPlugin, break_: Break, reason: str, words: str
) -> None:
    commands.write("stranger_notes", "own")
    break_(own)
    result = commands(*words.split())
    assert result.sentence.startswith("plugin 'own'")
    assert reason in result.sentence
    assert run_sql(commands.directory, "SELECT name FROM tortoise_migrations WHERE app = 'own'") == []


@pytest.mark.parametrize(
    "fault",
    [
        "model: plain model",
        "model: missing model",
        "migration: syntax",
        "migration: cycle",
        "migration: missing parent",
    ],
)
@pytest.mark.parametrize("words", ["plugins", "migrate --check", "migrate --fake", "makemigrations --check own"])
def test_other_commands_name_a_faulty_plugin_that_is_enabled(
    commands: Commands, own: FaultyPlugin, fault: str, words: str
) -> None:
    commands.write("stranger_notes", "own")
    break_, reason = FAULTS[fault]
    break_(own)
    assert reason in commands(*words.split()).sentence


@pytest.mark.parametrize(("break_", "reason"), FAULTS.values(), ids=FAULTS)
def test_faulty_plugin_is_skipped_where_the_deployment_allows_it(
    commands: Commands, own: FaultyPlugin, break_: Break, reason: str
) -> None:
    commands.write("stranger_notes", "own", on_plugin_error="skip")
    break_(own)
    rows = {row["plugin"]: row for row in orjson.loads(commands("plugins", "--json").out)}
    assert (rows["own"]["state"], rows["stranger_notes"]["state"]) == ("skipped", "on")
    assert reason in rows["own"]["reason"]
    assert commands("descriptor").code == 0
    assert commands("migrate").code == 0
    assert commands("migrate", "--check").code == 0
    assert "; skipped: plugin 'own'" in commands("check", "--offline").out


def test_step_of_an_enabled_plugin_that_fails_stops_the_migration(commands: Commands, own: FaultyPlugin) -> None:
    commands.write("stranger_notes", "own", on_plugin_error="skip")
    FAILING_STEPS["statement"][0](own)
    result = commands("migrate")
    assert result.code == 1
    assert "all rolled back: step '0002_x' of plugin 'own'" in result.err.splitlines()[-1]


def test_plugins_that_refer_to_a_skipped_one_are_skipped(commands: Commands, own: FaultyPlugin) -> None:
    """A cycle of two plugins is the fault of one of them, and the other one is migrated."""
    own.write("migrations/0002_x.py", step([("own", "0001_initial"), ("stranger_bare", "0001_initial")]))
    own.write("migrations/0003_y.py", step([("own", "0002_x")], run_before=[("stranger_bare", "0001_initial")]))
    result = commands("migrate")
    assert (result.code, len(skipped(result))) == (0, 1)


@pytest.mark.parametrize("name", ["addonkit", "Not-A-Name", "serve", "stranger_bare"])
def test_plugin_whose_name_cannot_be_used_does_not_affect_others(
    commands: Commands, own: FaultyPlugin, name: str
) -> None:
    info = own.path.parent / "addonkit_own-1.4.0.dist-info" / "entry_points.txt"
    info.write_text(f"[addonkit]\n{name} = addonkit_own:plugin\n")
    for words in (["migrate"], ["migrate", "--check"], ["plugins"], ["check", "--offline"], ["tenants", "list"]):
        assert commands(*words).code == 0


@pytest.mark.parametrize("value", ["", ":", "not a module", "addonkit-own:plugin", "gone.module:plugin", "sys"])
def test_entry_point_that_names_no_package_does_not_affect_others(
    commands: Commands, own: FaultyPlugin, value: str
) -> None:
    info = own.path.parent / "addonkit_own-1.4.0.dist-info" / "entry_points.txt"
    info.write_text(f"[addonkit]\nown = {value}\n")
    for words in (["migrate"], ["plugins"], ["check", "--offline"], ["tenants", "purge", "--due", "--yes"]):
        assert commands(*words).code == 0


def test_makemigrations_of_another_plugin_goes_on(commands: Commands, own: FaultyPlugin) -> None:
    MIGRATION_FAULTS["syntax"][0](own)
    result = commands("makemigrations", "stranger_notes")
    assert (result.code, result.out) == (0, "the models of 'stranger_notes' have not changed\n")
    assert len(skipped(result)) == 1


STARTUP = """
@plugin.hook
def addon_startup(app):
    {code}
"""
STARTUP_FAULTS = {
    "error": ("raise RuntimeError('not today\\nnor tomorrow')", "RuntimeError: not today"),
    "exit": ("raise SystemExit(0)", "SystemExit: 0"),
    "application": ("app.register_blueprint(1)", "AttributeError"),
    "attribute": ("app.nothing.at_all()", "AttributeError"),
    "assertion": ("assert not app", "AssertionError"),
}


@pytest.mark.parametrize(("code", "reason"), STARTUP_FAULTS.values(), ids=STARTUP_FAULTS)
@pytest.mark.parametrize("words", ["serve", "check --offline"])
def test_plugin_that_fails_at_its_start_is_named(
    commands: Commands, own: FaultyPlugin, code: str, reason: str, words: str
) -> None:
    commands.write("stranger_notes", "own")
    own.add_to_plugin(STARTUP.format(code=code))
    result = commands(*words.split())
    text = result.out if words.startswith("check") else result.err.splitlines()[-1]
    assert result.code == 1
    assert f"plugin 'own' raised {reason}" in text
    assert "in addon_startup; correct the plugin" in text


@pytest.mark.parametrize(("code", "reason"), STARTUP_FAULTS.values(), ids=STARTUP_FAULTS)
def test_plugin_that_fails_at_its_start_is_skipped_where_the_deployment_allows_it(
    commands: Commands, own: FaultyPlugin, code: str, reason: str
) -> None:
    commands.write("stranger_notes", "own", on_plugin_error="skip")
    own.add_to_plugin(STARTUP.format(code=code))
    result = commands("check", "--offline", "--json")
    [found] = [row for row in orjson.loads(result.out) if row["check"] == "plugins"]
    assert found["state"] == "warn"
    assert found["message"].startswith(f"stranger_notes; skipped: plugin 'own' raised {reason}")


@pytest.mark.parametrize("words", ["descriptor", "plugins", "plugins --json", "descriptor --sources", "migrate"])
def test_startup_of_plugins_is_not_run_by_commands_that_serve_nothing(
    commands: Commands, own: FaultyPlugin, words: str
) -> None:
    commands.write("stranger_notes", "own")
    own.add_to_plugin(STARTUP.format(code="raise RuntimeError('the settings of production are missing')"))
    result = commands(*words.split())
    assert (result.code, "production" in result.out + result.err) == (0, False)


def test_required_plugin_that_fails_at_its_start_is_not_skipped(commands: Commands, own: FaultyPlugin) -> None:
    commands.write("stranger_notes", "own", on_plugin_error="skip", required=["own"])
    own.add_to_plugin(STARTUP.format(code="raise RuntimeError('not today')"))
    result = commands("serve")
    assert (result.code, "Traceback" in result.err) == (1, False)
    assert result.err.endswith("; it is in [addon] required and cannot be skipped\n")
