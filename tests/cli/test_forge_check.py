"""``addonkit forge check`` as operators meet it: the plugins' manifest, files changed by hand, and the npm package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from addonkit.forge.package_folder import INSTALL, TESTED_VERSION, Package

from tests.distributions.third_party import CommandResult, Terminal
from tests.support.fake_forge_package import ACCEPTS, make_package
from tests.support.forge_addon import APP, FORGE, PLUGINS, PUBLIC, forge_terminal

terminal = pytest.fixture(forge_terminal)


@pytest.fixture
def file(terminal: Terminal) -> Path:
    assert terminal("forge", "manifest", "--out", ".").code == 0
    return terminal.directory / "manifest.yml"


def change(file: Path, old: str, new: str) -> int:
    """Replace a text in a file, and return its line."""
    before, found, after = file.read_text().partition(old)
    assert found, f"{old!r} is not in the file"
    file.write_text(before + new + after)
    return before.count("\n") + 1


def lines_of(result: CommandResult, state: str) -> list[str]:
    return [line for line in result.out.splitlines() if line.split()[0] == state]


def test_check_of_the_plugins_needs_no_file(terminal: Terminal):
    result = terminal("forge", "check")
    assert result.code == 0
    assert [line.split()[:2] for line in result.out.splitlines()] == [
        ["ok", "manifest"],
        ["ok", "app"],
        ["ok", "remotes"],
        ["ok", "connectModules"],
        ["ok", "permissions"],
        ["-", "validator"],
    ]
    assert list(terminal.directory.glob("manifest*")) == []


def test_check_without_the_package_names_the_command_that_installs_it(terminal: Terminal):
    assert INSTALL in lines_of(terminal("forge", "check"), "-")[0]


def test_check_of_the_written_file_finds_nothing(terminal: Terminal, file: Path):
    result = terminal("forge", "check", "manifest.yml")
    assert (result.code, lines_of(result, "wrong"), lines_of(result, "warn")) == (0, [], [])
    assert "ok    plugins        what the plugins give now" in result.out


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        (
            "      target:\n        type: web_panel",
            "      target: 3\n      layout:\n        type: web_panel",
            "connectModules",
        ),
        ("connectModules:", "conectModules:", "manifest"),
        ("jira:webhooks:", "jira:webhook:", "connectModules"),
        ("baseUrl: https://kit.example.com", "baseUrl: http://kit.example.com", "remotes"),
        ("- read:connect-jira", "- READ:connect-jira", "permissions"),
        ("authentication: jwt", "authentication: oauth2", "app"),
    ],
    ids=["body", "part", "type", "url", "scope", "authentication"],
)
def test_check_of_a_changed_file_names_the_line(terminal: Terminal, file: Path, old: str, new: str, part: str):
    line = change(file, old, new)
    result = terminal("forge", "check", "manifest.yml")
    assert result.code == 1
    wrong = lines_of(result, "wrong")
    assert any(found.startswith(f"wrong {part:14} manifest.yml:") for found in wrong)
    assert any(abs(int(found.split("manifest.yml:")[1].split(":")[0]) - line) <= 1 for found in wrong)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("key: com.example.strangers", "key: com.example.other", "app.connect.key is 'com.example.other'"),
        ("baseUrl: https://kit.example.com", "baseUrl: https://other.example.com", "[addon] base_url is"),
        (f"id: {APP}", f"id: {APP[:-1]}0", "[forge] app_id is"),
        ("enabled: false", "enabled: true", "app is paid, but [addon] licensing is false"),
    ],
    ids=["key", "base url", "app", "licensing"],
)
def test_check_compares_a_file_with_the_configuration(terminal: Terminal, file: Path, old: str, new: str, message: str):
    change(file, old, new)
    result = terminal("forge", "check", "manifest.yml")
    assert result.code == 1
    assert any(message in line for line in lines_of(result, "wrong") if line.split()[1] == "configuration")


def test_check_accepts_an_allowed_base_url(terminal: Terminal, file: Path):
    terminal.write(
        *PLUGINS, more=FORGE, allowed_base_urls=["https://kit.example.com"], base_url="https://new.example.com"
    )
    result = terminal("forge", "check", "manifest.yml")
    assert result.code == 0
    assert "/remotes/0/baseUrl" in lines_of(result, "warn")[0]


def test_check_warns_of_a_file_that_the_plugins_no_longer_give(terminal: Terminal, file: Path):
    terminal.write("issue_panel", more=FORGE, **PUBLIC)
    result = terminal("forge", "check", "manifest.yml")
    assert result.code == 0
    (line,) = lines_of(result, "warn")
    assert line.startswith("warn  plugins        differs from what the plugins give now at /")
    assert "/connectModules/confluence:dynamicContentMacros" in line


def test_check_of_a_file_without_the_forge_table_does_not_compare_plugins(terminal: Terminal, file: Path):
    terminal.write(*PLUGINS, **PUBLIC)
    result = terminal("forge", "check", "manifest.yml")
    assert result.code == 0
    assert "[forge]" in lines_of(result, "-")[0]


def test_check_as_json_has_pointers_and_lines(terminal: Terminal, file: Path):
    line = change(file, "jira:webhooks:", "jira:webhook:")
    result = terminal("forge", "check", "manifest.yml", "--json")
    (row,) = [row for row in json.loads(result.out) if row["check"] == "connectModules"]
    assert (row["state"], row["pointer"], row["line"]) == ("wrong", "/connectModules/jira:webhook", line)
    assert json.loads(terminal("forge", "check", "--json").out)[0]["line"] is None


@pytest.mark.parametrize(
    "text",
    ["", "[]", "app: {\n", "app: {}\napp: {}\n", "app: &a [*a]\n", "\x00", "app: !!python/object:os.system x\n", "x"],
    ids=["empty", "list", "cut", "twice", "cycle", "nul", "tag", "text"],
)
def test_check_of_a_file_that_is_no_manifest_is_wrong_without_a_traceback(terminal: Terminal, text: str):
    (terminal.directory / "manifest.yml").write_text(text)
    result = terminal("forge", "check", "manifest.yml")
    assert result.code == 1
    assert lines_of(result, "wrong") != []
    assert "Traceback" not in result.out + result.err


@pytest.mark.parametrize(
    "key",
    [r"\e[31mred", r"a\nok    plugins", r"\ud800", r"\x9b2J", r"a\u202eb", r"a\rb", "a" * 500],
    ids=["escape", "line", "surrogate", "c1", "direction", "return", "long"],
)
def test_check_prints_keys_of_a_file_without_control_characters(terminal: Terminal, file: Path, key: str):
    file.write_text(file.read_text() + f'"{key}": 1\n')
    text, array = terminal("forge", "check", "manifest.yml"), terminal("forge", "check", "manifest.yml", "--json")
    assert (text.code, array.code) == (1, 1)
    assert len(lines_of(text, "wrong")) == 1
    assert all(one.replace("\n", "").isprintable() for one in (text.out, array.out))
    assert [row["state"] for row in json.loads(array.out)].count("wrong") == 1


def test_check_of_a_missing_file_says_so(terminal: Terminal):
    result = terminal("forge", "check", "nothing.yml")
    assert result.code == 1
    assert "nothing.yml" in lines_of(result, "wrong")[0]


@pytest.mark.parametrize(
    ("more", "addon", "message"),
    [("", PUBLIC, "[forge]"), (FORGE, {}, "base_url"), (FORGE + 'stage = "forge"\n', PUBLIC, "stage")],
    ids=["no table", "loopback", "stage"],
)
def test_check_of_plugins_without_a_manifest_says_why(
    terminal: Terminal, more: str, addon: dict[str, Any], message: str
):
    terminal.write(*PLUGINS, more=more, **addon)
    result = terminal("forge", "check")
    assert result.code == 1
    assert message in lines_of(result, "wrong")[0]


def test_check_asks_the_package_beside_the_configuration(terminal: Terminal):
    make_package(terminal.directory / "node_modules")
    result = terminal("forge", "check")
    assert result.code == 0
    assert f"@forge/manifest {TESTED_VERSION} accepts it: FullValidationProcessor" in lines_of(result, "ok")[-1]


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["text", "json"])
@pytest.mark.parametrize("with_configuration", [True, False], ids=["configuration", "none"])
@pytest.mark.parametrize("place", ["clone/node_modules", "clone/app/node_modules"], ids=["above", "beside"])
def test_check_does_not_run_a_package_that_came_with_the_file(
    terminal: Terminal, file: Path, place: str, with_configuration: bool, options: tuple[str, ...]
):
    clone = terminal.directory / "clone/app/manifest.yml"
    clone.parent.mkdir(parents=True)
    file.rename(clone)
    if not with_configuration:
        (terminal.directory / "addon.toml").unlink()
    modules = terminal.directory / place
    make_package(modules, index="process.exit(3);")
    result = terminal("forge", "check", "clone/app/manifest.yml", *options)
    assert result.code == 0
    assert f"{modules} was not run, since whoever made the file may have made it too" in result.out
    assert "--node-modules" in result.out


def test_check_names_a_module_that_the_package_lacks(terminal: Terminal):
    package = make_package(terminal.directory / "node_modules", index="require('tslib');")
    assert package.version == TESTED_VERSION
    result = terminal("forge", "check")
    assert result.code == 1
    (line,) = lines_of(result, "wrong")
    assert line == f"wrong validator      @forge/manifest {TESTED_VERSION} cannot load 'tslib'; run '{INSTALL}'"


def test_check_asks_the_named_package(terminal: Terminal, tmp_path_factory: pytest.TempPathFactory):
    other = tmp_path_factory.mktemp("other")
    make_package(other / "node_modules", "return {success: false, errors: [{level: 'error', message: 'm', line: 2}]}")
    result = terminal("forge", "check", "--node-modules", str(other))
    assert result.code == 1
    assert lines_of(result, "wrong") == ["wrong validator      FullValidationProcessor: m"]


def test_check_of_a_file_gives_the_line_of_the_package(terminal: Terminal, file: Path):
    make_package(terminal.directory / "node_modules", "return {success: false, errors: [{message: 'm', line: 2}]}")
    result = terminal("forge", "check", "manifest.yml")
    assert lines_of(result, "wrong") == ["wrong validator      manifest.yml:2: FullValidationProcessor: m"]


def test_check_is_wrong_if_the_package_refuses_by_a_warning(terminal: Terminal):
    make_package(
        terminal.directory / "node_modules", "return {success: false, errors: [{level: 'warning', message: 'm'}]}"
    )
    result = terminal("forge", "check")
    assert result.code == 1
    assert lines_of(result, "warn") == ["warn  validator      FullValidationProcessor: m"]


def test_check_accepts_warnings_of_the_package(terminal: Terminal):
    make_package(
        terminal.directory / "node_modules", "return {success: true, errors: [{level: 'warning', message: 'm'}]}"
    )
    assert terminal("forge", "check").code == 0


@pytest.mark.parametrize("process", ["throw new Error('boom')", "process.exit(2)", "return null"])
def test_check_with_a_package_that_fails_is_wrong_with_the_command_to_install(terminal: Terminal, process: str):
    make_package(terminal.directory / "node_modules", process)
    result = terminal("forge", "check")
    assert result.code == 1
    assert INSTALL in lines_of(result, "wrong")[0]


def test_check_warns_of_another_version(terminal: Terminal):
    make_package(terminal.directory / "node_modules", ACCEPTS, version="14.0.0")
    result = terminal("forge", "check")
    assert result.code == 0
    assert f"@forge/manifest 14.0.0, tested with {TESTED_VERSION}" in lines_of(result, "warn")[0]


def test_check_does_not_run_a_package_that_others_can_change(terminal: Terminal):
    make_package(terminal.directory / "node_modules", index="process.exit(3);")
    (terminal.directory / "node_modules").chmod(0o777)
    result = terminal("forge", "check")
    assert result.code == 0
    assert "--node-modules" in lines_of(result, "warn")[0]


def test_check_with_a_folder_without_the_package_is_an_error(terminal: Terminal):
    assert "does not contain @forge/manifest" in terminal("forge", "check", "--node-modules", ".").sentence


def test_check_reads_variables_of_the_environment(terminal: Terminal, file: Path):
    change(file, "baseUrl: https://kit.example.com", "baseUrl: ${KIT_URL}")
    file.write_text(file.read_text() + "environment:\n  variables:\n    - KIT_URL\n")
    assert "'KIT_URL' has no value" in terminal("forge", "check", "manifest.yml").out
    assert terminal("forge", "check", "manifest.yml", KIT_URL="https://kit.example.com").code == 0


def test_check_of_files_that_the_manifest_names_looks_beside_it(terminal: Terminal, file: Path):
    file.write_text(file.read_text() + "resources:\n  - key: ui\n    path: ui\n")
    assert "'ui', which does not exist" in terminal("forge", "check", "manifest.yml").out
    (terminal.directory / "ui").mkdir()
    (terminal.directory / "ui" / "index.html").write_text("x")
    assert terminal("forge", "check", "manifest.yml").code == 0


def test_check_with_forges_package_accepts_the_plugins(terminal: Terminal, forge_package: Package):
    result = terminal("forge", "check", "--node-modules", str(forge_package.folder.parent.parent))
    assert (result.code, lines_of(result, "wrong"), lines_of(result, "warn")) == (0, [], [])
    assert "accepts it" in result.out


def test_check_of_a_file_needs_no_configuration(terminal: Terminal, file: Path):
    (terminal.directory / "addon.toml").unlink()
    result = terminal("forge", "check", "manifest.yml")
    assert (result.code, lines_of(result, "wrong")) == (0, [])
    assert lines_of(result, "-")[0].startswith("-     configuration  not compared")


@pytest.mark.parametrize("words", [(), ("manifest.yml", "--config", "other.toml")], ids=["no file", "named"])
def test_check_with_a_configuration_that_is_missing_is_an_error(terminal: Terminal, file: Path, words: tuple[str, ...]):
    (terminal.directory / "addon.toml").unlink()
    assert "no configuration at" in terminal("forge", "check", *words).sentence


UNUSUAL = {
    "half a surrogate pair": '"a\\ud83d": 1\nmodules: {"b\\ud83d": [{key: "c\\ud83d"}]}\n',
    "escape sequences": 'app: {id: "\\e[31mred"}\nmodules: {"\\e[2J": [3]}\n',
    "direction marks": 'app: {id: "\\u202eevil"}\n',
    "no app": "a: 1\n",
    "numbers as names": "1: {2: 3}\n",
    "a long path": f"resources: [{{key: ui, path: {'a' * 5000}}}]\n",
    "only lists": "app: []\nmodules: []\nconnectModules: []\nremotes: {}\npermissions: []\n",
}


@pytest.mark.parametrize("json_option", [(), ("--json",)], ids=["text", "json"])
@pytest.mark.parametrize("text", UNUSUAL.values(), ids=UNUSUAL)
def test_check_of_an_unusual_file_is_wrong_without_a_traceback(
    terminal: Terminal, text: str, json_option: tuple[str, ...]
):
    (terminal.directory / "manifest.yml").write_text(text)
    result = terminal("forge", "check", "manifest.yml", *json_option)
    assert result.code == 1
    assert "Traceback" not in result.err
    assert not set("\x1b\u202e\ud83d") & set(result.out)
