"""Pending migrations at a start without ``--migrate``: those of plugins that are not in use only cause a warning."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog
from addonkit import Deployment
from addonkit.app.migrate import refuse_pending
from addonkit.app.readiness import readiness_checks
from addonkit.errors import SettingsInvalid
from addonkit.tenant_data.connection import tenant_database
from addonkit.testing.databases import run_sql

from tests.distributions.third_party import Terminal, give_tables, stored_in

NOTES = "app = 'stranger_notes'"
BARE = "app = 'stranger_bare'"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    give_tables(tmp_path)
    terminal = Terminal(monkeypatch, capsys, tmp_path)
    for name, value in stored_in(tmp_path).items():
        monkeypatch.setenv(name, value)
    return terminal


def deployment(terminal: Terminal, enabled: tuple[str, ...], pending: str) -> Deployment:
    """Return a deployment with these plugins, whose database lacks the migrations that match a condition."""
    if pending:
        run_sql(terminal.directory, f"DELETE FROM tortoise_migrations WHERE {pending}")
    return Deployment.read(terminal.write(*enabled, on_plugin_error="skip"))


@pytest.mark.parametrize(
    ("enabled", "pending", "plugins"),
    [
        (("stranger_bare",), "", []),
        (("stranger_bare",), NOTES, ["stranger_notes"]),
        (("stranger_bare", "stranger_clash"), "app = 'stranger_clash'", ["stranger_clash"]),
        (("stranger_notes",), BARE, ["stranger_bare"]),
        (("stranger_marker",), f"{NOTES} OR {BARE}", ["stranger_bare", "stranger_notes"]),
    ],
    ids=["none", "off", "skipped", "other-plugin", "two-plugins"],
)
async def test_pending_migrations_of_plugins_that_are_off_cause_a_warning(
    terminal: Terminal, enabled: tuple[str, ...], pending: str, plugins: list[str]
) -> None:
    found = deployment(terminal, enabled, pending)
    with structlog.testing.capture_logs() as logs:
        refuse_pending(found)
    warnings = [entry for entry in logs if entry["event"] == "migration.pending"]
    # The migration of 'stranger_clash' cannot be applied, so it is always pending.
    assert [entry["plugin"] for entry in warnings] == sorted({*plugins, "stranger_clash"})
    assert {entry["log_level"] for entry in warnings} == {"warning"}
    assert all(step.startswith(f"{entry['plugin']}.") for entry in warnings for step in entry["migrations"])
    async with tenant_database(found.location, {}):
        assert await readiness_checks(found, lambda: True)["migrations"]() == "ok"


@pytest.mark.parametrize(
    ("enabled", "pending", "first"),
    [
        (("stranger_notes",), NOTES, "stranger_notes.0001_initial"),
        (("stranger_notes",), f"{NOTES} OR {BARE}", "stranger_notes.0001_initial"),
        (("stranger_bare", "stranger_notes"), NOTES, "stranger_notes.0001_initial"),
        (("stranger_bare",), "app = 'addonkit' AND name LIKE '0003_%'", "addonkit.0003_jobs"),
        (("stranger_bare",), f"{NOTES} OR app = 'addonkit' AND name LIKE '0003_%'", "addonkit.0003_jobs"),
    ],
    ids=["enabled", "enabled-and-off", "second-enabled", "runtime", "runtime-and-off"],
)
def test_pending_migrations_in_use_stop_the_start(
    terminal: Terminal, enabled: tuple[str, ...], pending: str, first: str
) -> None:
    found = deployment(terminal, enabled, pending)
    with structlog.testing.capture_logs() as logs, pytest.raises(SettingsInvalid) as refused:
        refuse_pending(found)
    assert f"first '{first}'; run 'addonkit migrate'" in str(refused.value)
    assert not [entry for entry in logs if entry["event"] == "migration.pending"]
