"""The systemd units in ``deploy``: valid commands, few privileges, and templates for several add-ons on a machine."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.deploy_folder import DEPLOY, SECRETS, parsed, plain_settings, shutdown_s, unit_values

UNITS = sorted(file.name for file in DEPLOY.glob("*.service"))
LONG_RUNNING = [unit for unit in UNITS if not unit.startswith("addonkit-migrate")]
TEMPLATES = {unit: unit.replace("@", "") for unit in UNITS if "@" in unit}
"""The templates for several add-ons on a machine, with the unit for one add-on that each follows."""


def instance_values() -> dict[str, str]:
    """The variables of the example file for an instance."""
    lines = (DEPLOY / "instance.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


COMMANDS = {"addonkit": "serve", "addonkit-migrate": "migrate", "addonkit-work": "work"}


@pytest.mark.parametrize("unit", UNITS)
def test_unit_runs_a_command_that_exists(unit: str) -> None:
    [line] = unit_values(unit, "ExecStart")
    for name, value in instance_values().items():
        line = line.replace(f"${{{name}}}", value)
    program, *words = line.replace("%i", "kit").split()
    assert program == "/opt/addonkit/bin/addonkit"
    assert parsed(words) == f"addonkit {COMMANDS[re.split('[@.]', unit)[0]]}"


def test_purge_needs_no_unit_since_the_runtime_schedules_it() -> None:
    assert not list(DEPLOY.glob("*.timer"))
    assert "purge" not in "".join((DEPLOY / unit).read_text() for unit in UNITS)


def test_units_are_all_tested() -> None:
    assert sorted(f"{name}{kind}.service" for name in COMMANDS for kind in ("", "@")) == UNITS


@pytest.mark.parametrize("unit", UNITS)
def test_unit_has_no_unneeded_privileges(unit: str) -> None:
    for key, value in {
        "DynamicUser": "yes",
        "NoNewPrivileges": "yes",
        "ProtectSystem": "strict",
        "CapabilityBoundingSet": "",
        "MemoryDenyWriteExecute": "yes",
        "UMask": "0077",
    }.items():
        assert unit_values(unit, key) == [value]


@pytest.mark.parametrize("unit", UNITS)
def test_unit_gets_its_secrets_as_files_named_like_settings(unit: str) -> None:
    names = {value.partition(":")[0] for value in unit_values(unit, "LoadCredential")}
    assert "ADDONKIT_SECRETS_DIR=%d" in unit_values(unit, "Environment")
    assert names <= SECRETS
    assert ("database__owner_url" in names) == unit.startswith("addonkit-migrate")
    for name in names:
        section, key = name.split("__")
        assert key in type(getattr(plain_settings(), section)).model_fields


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_units_are_valid_for_systemd(tmp_path: Path) -> None:
    for file in DEPLOY.glob("*.service"):
        text = file.read_text().replace("/opt/addonkit/bin/addonkit", sys.executable)
        (tmp_path / file.name).write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", *(str(file) for file in sorted(tmp_path.iterdir()))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def settings_of_unit(unit: str) -> list[str]:
    """The lines of a unit that systemd reads."""
    lines = (DEPLOY / unit).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("template", TEMPLATES)
def test_template_is_the_unit_of_one_add_on_with_names_of_its_own(template: str) -> None:
    text = "\n".join(settings_of_unit(template))
    text = re.sub(r"(Description=.*?)( of)? %i\b", r"\1", text)
    text = text.replace("--bind ${BIND} --workers ${WORKERS}", "--bind 127.0.0.1:8000 --workers 4")
    for own, shared in {
        "EnvironmentFile=/etc/addonkit/%i/instance.env\n": "",
        "/etc/addonkit/%i/": "/etc/addonkit/",
        "addonkit-migrate@%i.service": "addonkit-migrate.service",
        "StateDirectory=addonkit-%i": "StateDirectory=addonkit",
        "User=addonkit-m_%i\n": "",
        "User=addonkit_%i\n": "User=addonkit\n",
    }.items():
        text = text.replace(own, shared)
    assert text.splitlines() == settings_of_unit(TEMPLATES[template])


def users(template: str, name: str) -> list[str]:
    return [value.replace("%i", name) for value in unit_values(template, "User")]


def test_template_has_a_user_for_each_instance_that_no_other_unit_has() -> None:
    names = ["kit", "work", "migrate", "m_kit", "kit_m", "m", "_kit"]
    found = {
        (name, role): users(f"addonkit{role}@.service", name)[0] for name in names for role in ("", "-work", "-migrate")
    }
    assert all(found[name, ""] == found[name, "-work"] != found[name, "-migrate"] for name in names)
    assert len(set(found.values())) == 2 * len(names)
    assert set(found.values()).isdisjoint({"addonkit", "addonkit-work", "addonkit-migrate"})


def test_template_has_valid_users_for_names_up_to_the_documented_length() -> None:
    [longest] = re.findall(r"up to (\d+) letters, digits", (DEPLOY / "README.md").read_text())
    lengths = [len(users(template, "x" * int(longest))[0]) for template in TEMPLATES]
    assert max(lengths) == 31  # the longest name that systemd accepts


@pytest.mark.parametrize("unit", LONG_RUNNING)
def test_unit_has_a_state_folder_that_is_not_within_that_of_another(unit: str) -> None:
    [folder] = unit_values(unit, "StateDirectory")
    # systemd does not start a unit whose folder is within that of another unit with a dynamic user.
    assert "/" not in folder
    assert unit_values(unit, "User") == [folder.replace("-%i", "_%i")]


def test_instance_file_has_the_variables_of_the_template_and_no_secret() -> None:
    used = re.findall(r"\$\{(\w+)\}", (DEPLOY / "addonkit@.service").read_text())
    assert used == ["BIND", "WORKERS"]
    assert list(instance_values()) == [*used, "ADDONKIT_OPERATIONS__WORK_BIND"]
    assert instance_values()["BIND"] not in (DEPLOY / "addonkit.service").read_text()


@pytest.mark.parametrize("unit", LONG_RUNNING)
def test_unit_has_time_for_the_shutdown_of_the_add_on(unit: str) -> None:
    [seconds] = unit_values(unit, "TimeoutStopSec")
    assert int(seconds.removesuffix("s")) >= shutdown_s() + 5


@pytest.mark.parametrize("unit", LONG_RUNNING)
def test_unit_restarts_until_the_database_is_back(unit: str) -> None:
    migration = "addonkit-migrate@%i.service" if "@" in unit else "addonkit-migrate.service"
    assert unit_values(unit, "Requires") == []
    assert migration in unit_values(unit, "Wants")
    assert migration in unit_values(unit, "After")
    assert unit_values(unit, "Restart") == ["always"]
    assert unit_values(unit, "StartLimitIntervalSec") == ["0"]


@pytest.mark.parametrize("unit", LONG_RUNNING)
def test_unit_of_a_long_running_process_is_watched(unit: str) -> None:
    assert (unit_values(unit, "Type"), unit_values(unit, "NotifyAccess")) == (["notify"], ["main"])
    assert unit_values(unit, "WatchdogSec") == ["60s"]


def test_units_of_one_machine_have_probes_at_different_addresses() -> None:
    [own] = [value for value in unit_values("addonkit-work.service", "Environment") if "WORK_BIND" in value]
    name, _, address = own.partition("=")
    assert name == "ADDONKIT_OPERATIONS__WORK_BIND"
    assert len({address, instance_values()[name], plain_settings().operations.bind}) == 3
