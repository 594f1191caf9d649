"""Reading of settings from file, environment and secrets directory, and the errors that the command line prints."""

from __future__ import annotations

import os
from pathlib import Path

import orjson
import pytest
from addonkit.app.deployment import Deployment
from addonkit.testing.databases import run_sql

from tests.distributions.third_party import Terminal, run

KEY = "a:" + "A" * 43 + "="
PUBLIC = "https://kit.example.com"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    terminal = Terminal(monkeypatch, capsys, tmp_path)
    terminal.write("stranger_marker")
    return terminal


FAULTS = {
    "[adon]\nx = 1": "addon.toml: 'adon' is not a setting; did you mean 'addon'",
    '[database]\nurll = "x"': "addon.toml: 'database.urll' is not a setting; did you mean 'url'",
    "[tenants]\npurge_hours = -1": "'tenants.purge_hours': input should be greater than or equal to 0, found -1",
    "[tenants]\npurge_hours = 169": "'tenants.purge_hours': input should be less than or equal to 168, found 169",
    '[log]\nlevel = "loud"': "'log.level': input should be 'debug', 'info', 'warning' or 'error', found 'loud'",
    "[log": "is not valid TOML: Expected ']' at the end of a table declaration (at line 7, column 5); correct the file",
    '[security]\nencryption_keys = ["2026a:c2VjcmV0"]': (
        "addon.toml: 'security.encryption_keys': entry 1 ('2026a') has 6 bytes, expected 32; create a key with "
        "'addonkit keys new'"
    ),
    '[security]\nencryption_keys = ["correct-horse"]': (
        "addon.toml: 'security.encryption_keys': entry 1 is not '<id>:<base64>'; create a key with 'addonkit keys new'"
    ),
    "[security]\nencryption_keys = [12345]": (
        "addon.toml: 'security.encryption_keys.0': input should be a valid string"
    ),
}


@pytest.mark.parametrize("lines", FAULTS)
def test_setting_that_is_invalid_is_one_sentence(terminal: Terminal, lines: str) -> None:
    terminal.write("stranger_marker", more=f"{lines}\n")
    assert terminal("descriptor").sentence.endswith(FAULTS[lines])


@pytest.mark.parametrize(
    ("base_url", "result"),
    [
        ("http://kit.example.com", "is not https; use https, or http on localhost during development"),
        ("https://kit.example.com?x=1", "has a query or a fragment; remove it"),
        ("kit.example.com", "is not a plain http or https URL without user information"),
        ("https://me:secret@kit.example.com", "is not a plain http or https URL without user information"),
    ],
)
def test_base_url_that_is_invalid_is_refused(terminal: Terminal, base_url: str, result: str) -> None:
    terminal.write("stranger_marker", base_url=base_url)
    sentence = terminal("descriptor").sentence
    assert sentence.endswith(result)
    assert "secret" not in sentence


@pytest.mark.parametrize(
    ("url", "result"),
    [
        (
            "http://old.example.com",
            "'http://old.example.com', which is not a public https URL",
        ),
        (
            "http://localhost:8000",
            "allowed_base_urls contains 'http://localhost:8000', which is not",
        ),
        ("https://127.0.0.1", "allowed_base_urls contains 'https://127.0.0.1', which is not a public https URL"),
        ("https://old.example.com?x=1", "has a query or a fragment; remove it"),
        ("*", "is not a plain http or https URL without user information"),
        ("https://*.example.com", "is not a plain http or https URL without user information"),
    ],
)
def test_allowed_base_url_that_is_invalid_is_refused(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, url: str, result: str
) -> None:
    monkeypatch.setenv("ADDONKIT_ADDON__ALLOWED_BASE_URLS", orjson.dumps([url]).decode())
    terminal.write("stranger_marker", base_url=PUBLIC)
    assert result in terminal("descriptor").sentence


def test_base_url_loses_its_trailing_slash(terminal: Terminal) -> None:
    terminal.write("stranger_marker", base_url=f"{PUBLIC}/kit/")
    assert orjson.loads(terminal("descriptor").out)["baseUrl"] == f"{PUBLIC}/kit"


def test_setting_that_is_missing_is_named(terminal: Terminal) -> None:
    (terminal.directory / "addon.toml").write_text('[addon]\nname = "X"\n')
    assert terminal("descriptor").sentence == (
        "addon.toml: 'addon.key' is missing; set it in the file or in the environment (and 2 more)"
    )


def test_file_that_is_missing_is_named(terminal: Terminal) -> None:
    result = terminal("descriptor", "--config", "nowhere.toml").sentence
    assert result == (
        f"no configuration at '{terminal.directory / 'nowhere.toml'}'; create one, or name another with --config or "
        "ADDONKIT_CONFIG"
    )


def test_environment_names_the_configuration_file(terminal: Terminal) -> None:
    terminal.write("stranger_marker").rename(terminal.directory / "other.toml")
    assert terminal("descriptor", ADDONKIT_CONFIG="other.toml").code == 0


def test_environment_has_lists_as_json(terminal: Terminal) -> None:
    out = terminal("plugins", "--json", ADDONKIT_ADDON__PLUGINS='["stranger_notes"]').out
    states = {row["plugin"]: row["state"] for row in orjson.loads(out)}
    assert (states["stranger_notes"], states["stranger_marker"]) == ("on", "off")


def test_environment_list_that_is_not_json_is_reported_by_its_variable(terminal: Terminal) -> None:
    assert terminal("plugins", ADDONKIT_ADDON__PLUGINS="stranger_notes").sentence == (
        "ADDONKIT_ADDON__PLUGINS: 'addon.plugins': input should be a valid list, found 'stranger_notes'; write it as "
        "JSON"
    )


VARIABLES = {
    "ADDONKIT_ADON__NAME": "did you mean 'ADDONKIT_ADDON__…'",
    "ADDONKIT_BASE_URL": "did you mean 'ADDONKIT_ADDON__BASE_URL'",
    "ADDONKIT_ZZZ__NAME": (
        "write it as ADDONKIT_<section>__<key>, with a section of addon, database, host, security, "
        "tenants, log, operations, jobs, server, forge, plugin"
    ),
}


@pytest.mark.parametrize("variable", VARIABLES)
def test_environment_variable_that_is_unknown_is_refused_with_a_near_match(terminal: Terminal, variable: str) -> None:
    assert terminal("descriptor", **{variable: "x"}).sentence == (
        f"the environment contains '{variable}', which is not a setting; {VARIABLES[variable]}"
    )


def test_environment_key_that_is_unknown_is_refused_with_a_near_match(terminal: Terminal) -> None:
    assert terminal("descriptor", ADDONKIT_ADDON__NAM="x").sentence == (
        "ADDONKIT_ADDON__NAM: 'addon.nam' is not a setting; did you mean 'name'"
    )


def test_secret_comes_from_a_file(terminal: Terminal) -> None:
    folder = terminal.directory / "secrets"
    folder.mkdir()
    (folder / "security__encryption_keys").write_text(f'["{KEY}"]\n')
    (folder / "..data").mkdir()
    assert "1 key" in terminal("check", ADDONKIT_SECRETS_DIR=str(folder)).out


def test_missing_secrets_folder_is_named(terminal: Terminal) -> None:
    assert terminal("check", ADDONKIT_SECRETS_DIR="gone").sentence == (
        "ADDONKIT_SECRETS_DIR names 'gone', which cannot be read: No such file or directory; name a folder with one "
        "file for each value"
    )


def test_environment_overrides_secrets_and_secrets_override_the_file(terminal: Terminal) -> None:
    folder = terminal.directory / "secrets"
    folder.mkdir()
    (folder / "addon__name").write_text("From a secret")
    (folder / "addon__description").write_text("From a secret")
    out = terminal("descriptor", ADDONKIT_SECRETS_DIR=str(folder), ADDONKIT_ADDON__NAME="From the environment").out
    document = orjson.loads(out)
    assert (document["name"], document["description"]) == ("From the environment", "From a secret")


def test_encryption_key_is_required_for_a_public_add_on(terminal: Terminal) -> None:
    terminal.write("stranger_marker", base_url=PUBLIC)
    # in a process of its own: what serves keeps its log
    assert run(terminal.directory, "serve", "--bind", "127.0.0.1:0").sentence == (
        f"[security] encryption_keys is empty, but '{PUBLIC}' is not on loopback; generate a key with 'addonkit keys "
        "new' and add it there"
    )


def test_key_file_that_is_damaged_is_reported_and_not_replaced(terminal: Terminal) -> None:
    file = terminal.directory / "addonkit.key"
    file.write_text("not a key")
    assert "holds no key; restore the file that encrypted the database" in terminal("check").out
    assert file.read_text() == "not a key"


def test_key_file_is_created_once_and_for_the_owner_only(terminal: Terminal) -> None:
    first = Deployment.read(terminal.directory / "addon.toml").encryption_keys()
    assert Deployment.read(terminal.directory / "addon.toml").encryption_keys() == first
    assert (terminal.directory / "addonkit.key").stat().st_mode & 0o777 == 0o600
    assert len(list(terminal.directory.glob("addonkit.key*"))) == 1


def test_key_file_is_not_created_by_check(terminal: Terminal) -> None:
    assert "the first start creates a key file" in terminal("check").out
    assert not (terminal.directory / "addonkit.key").exists()


DATABASES = {
    "mysql://u:geheim@db/x": "[database] url begins with 'mysql://', expected 'sqlite://addonkit.db' or 'postgres://",
    "sqlite://gone/addonkit.db": "gone' does not exist; create it",
    "sqlite://:memory:": "does not name a plain file",
}


@pytest.mark.parametrize("url", DATABASES)
def test_database_url_that_is_invalid_is_refused(terminal: Terminal, url: str) -> None:
    result = terminal("migrate", ADDONKIT_DATABASE__URL=url).sentence
    assert DATABASES[url] in result
    assert "geheim" not in result


def test_database_in_a_read_only_folder_is_refused(terminal: Terminal) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    (terminal.directory / "locked").mkdir(mode=0o500)
    assert "is read-only for this user" in terminal("migrate", ADDONKIT_DATABASE__URL="sqlite://locked/a.db").sentence


def test_database_newer_than_the_code_is_refused(terminal: Terminal) -> None:
    assert terminal("migrate").code == 0
    run_sql(
        terminal.directory,
        "UPDATE tortoise_migrations SET name = '9999_later' WHERE name LIKE '0002%' AND app = 'addonkit'",
    )
    assert terminal("migrate", "--check").sentence == (
        "the database was migrated by a newer release: it has the migration '9999_later' of 'addonkit', which the "
        "installed release lacks; install the newer release again"
    )


@pytest.mark.sqlite
def test_relative_database_lies_beside_the_configuration(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    terminal.write("stranger_notes")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert terminal("migrate", "--config", str(terminal.directory / "addon.toml")).code == 0
    assert (terminal.directory / "addonkit.db").is_file()
