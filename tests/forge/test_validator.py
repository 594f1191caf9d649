"""Node.js runs the validator within limits: what it answers, how it fails, and what it is given."""

from __future__ import annotations

import os
from pathlib import Path
from shutil import rmtree

import pytest
from addonkit.errors import SettingsInvalid
from addonkit.forge.findings import Finding
from addonkit.forge.package_folder import TESTED_VERSION, find_package, named_package
from addonkit.forge.validator import BODIES, Report, validate

from tests.support.fake_forge_package import ACCEPTS, PROCESSORS, make_package


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "app" / "manifest.yml"
    path.parent.mkdir()
    path.write_text("app: {}\n")
    return path


def refusing(errors: str) -> str:
    return f"return {{ success: false, errors: {errors} }};"


def test_validator_answers_for_each_processor_and_for_the_modules(tmp_path: Path, manifest: Path):
    (report,) = validate(make_package(tmp_path), [manifest])
    assert [(verdict.part, verdict.accepted) for verdict in report.verdicts] == [
        *((name, True) for name in PROCESSORS),
        (BODIES, True),
    ]
    assert report.failure is None


def test_validator_answers_with_levels_and_lines(tmp_path: Path, manifest: Path):
    errors = "[{level: 'error', message: 'a', line: 3}, {level: 'warning', message: 'b'}, {message: 'c', line: 0}]"
    (report,) = validate(make_package(tmp_path, refusing(errors)), [manifest])
    assert report.verdicts[0].findings == (
        Finding("error", "", "a", 3),
        Finding("warning", "", "b"),
        Finding("error", "", "c"),
    )


def test_validator_runs_in_the_folder_of_each_manifest(tmp_path: Path, manifest: Path):
    other = tmp_path / "other" / "manifest.yml"
    other.parent.mkdir()
    other.write_text("app: {}\n")
    reports = validate(make_package(tmp_path, refusing("[{message: process.cwd()}]")), [manifest, other])
    assert [report.verdicts[0].findings[0].message for report in reports] == [str(manifest.parent), str(other.parent)]


@pytest.mark.parametrize(
    ("process", "index", "expected"),
    [
        ("throw new Error('boom')", "", "boom"),
        ("null.x", "", "TypeError"),
        ("return null", "", "TypeError"),
        ("process.exit(3)", "", "ended with the code 3"),
        ("return { success: true, errors: 7 }", "", "TypeError"),
        (ACCEPTS, "throw new Error('no loading');", "no loading"),
        (ACCEPTS, "require('not-installed');", "it lacks not-installed"),
        (ACCEPTS, "require('./missing.js');", "Cannot find module './missing.js'"),
        (ACCEPTS, "process.exit(0);", "its answer has an unknown form"),
        (ACCEPTS, "process.abort();", "ended with the code"),
        (ACCEPTS, "process.stdout.write('{}');", "its answer has an unknown form"),
        (ACCEPTS, "syntax error", "SyntaxError"),
    ],
)
def test_validator_that_fails_is_a_failure_with_words(
    tmp_path: Path, manifest: Path, process: str, index: str, expected: str
):
    (report,) = validate(make_package(tmp_path, process, index=index), [manifest])
    assert expected in (report.failure or "")
    assert "\n" not in (report.failure or "")


def test_validator_that_fails_for_one_manifest_answers_for_the_others(tmp_path: Path, manifest: Path):
    other = manifest.with_name("other.yml")
    other.write_text("app: {}\n")
    process = f"if (file.endsWith('other.yml')) throw new Error('boom'); {ACCEPTS}"
    first, second = validate(make_package(tmp_path, process), [manifest, other])
    assert first.failure is None
    assert "boom" in (second.failure or "")


def test_validator_that_does_not_end_is_stopped(tmp_path: Path, manifest: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("addonkit.forge.validator.TIME_LIMIT_S", 0.5)
    (report,) = validate(make_package(tmp_path, index="for (;;);"), [manifest])
    assert "did not end" in (report.failure or "")


def test_validator_output_is_bounded(tmp_path: Path, manifest: Path):
    noise = "for (let i = 0; i < 3000; i++) console.log('x'.repeat(1000)); console.error('y'.repeat(1e6));"
    errors = "Array.from({length: 5000}, (_, i) => ({message: `${i} ${'z'.repeat(1e4)}`}))"
    (report,) = validate(make_package(tmp_path, noise + refusing(errors)), [manifest])
    assert report.failure is None
    assert len(report.verdicts[0].findings) == 100
    assert max(len(finding.message) for finding in report.verdicts[0].findings) < 500


def test_validator_messages_are_one_line_without_control_characters(tmp_path: Path, manifest: Path):
    errors = r"[{message: 'a\nb\u001b[31mc\u202e\ud83d'}]"
    (report,) = validate(make_package(tmp_path, refusing(errors)), [manifest])
    assert report.verdicts[0].findings[0].message == r"a b\x1b[31mc\u202e" + "\ufffd"


def test_validator_gets_no_secret_of_the_environment(tmp_path: Path, manifest: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ADDONKIT_KEYS__SECRET", "secret")
    monkeypatch.setenv("NODE_OPTIONS", "--no-such-option")
    errors = "Object.keys(process.env).map((name) => ({message: name}))"
    variables = {"KIT_URL": "https://kit.example.com", "NODE_OPTIONS": "--no-such-option", "LD_PRELOAD": "x"}
    (report,) = validate(make_package(tmp_path, refusing(errors)), [manifest], variables)
    assert {finding.message for finding in report.verdicts[0].findings} == {"PATH", "KIT_URL"}


def test_validator_without_a_processor_says_which(tmp_path: Path, manifest: Path):
    package = make_package(tmp_path)
    (package.folder / "out/processor/remote-compute-validation-processor.js").unlink()
    (report,) = validate(package, [manifest])
    assert "it has no RemoteComputeValidationProcessor" in (report.failure or "")
    assert len(report.verdicts) == 4


@pytest.mark.parametrize(
    ("name", "present"),
    [("tslib", True), ("@scope/name", True), ("tslib/sub", True), ("ajv", False), ("ajv-formats", False)],
)
def test_validator_names_each_module_that_is_not_installed_once(
    tmp_path: Path, manifest: Path, name: str, present: bool
):
    package = make_package(tmp_path)
    if present:
        for file in (package.folder / "out/processor").iterdir():
            file.write_text(f"require('{name}');" + file.read_text())
    else:
        rmtree(package.folder / "node_modules" / name)
    assert validate(package, [manifest] * 2) == (Report(failure=f"it lacks {name}", absent=(name,)),) * 2


@pytest.mark.parametrize(
    ("mode", "is_loaded"), [(0o755, True), (0o700, True), (0o777, False), (0o1777, False), (0o757, False)]
)
@pytest.mark.parametrize("part", ["", "node_modules"])
def test_validator_loads_nothing_from_a_folder_that_others_can_change(
    tmp_path: Path, manifest: Path, part: str, mode: int, is_loaded: bool
):
    package = make_package(tmp_path / "app/node_modules", index="require('tslib');")
    planted = tmp_path / "node_modules/tslib/index.js"
    planted.parent.mkdir(parents=True)
    planted.write_text("")
    (tmp_path / part).chmod(mode)
    (report,) = validate(package, [manifest])
    assert report.absent == (() if is_loaded else ("tslib",))


@pytest.mark.parametrize("part", ["", "node_modules"])
def test_validator_loads_from_the_named_folder_whoever_can_change_it(tmp_path: Path, manifest: Path, part: str):
    package = make_package(tmp_path / "app/node_modules", index="require('tslib');")
    planted = tmp_path / "app/node_modules/tslib/index.js"
    planted.parent.mkdir()
    planted.write_text("")
    (tmp_path / "app" / part).chmod(0o777)
    assert validate(package, [manifest])[0].failure is None


@pytest.mark.parametrize("node", [None, "/no/such/node"], ids=["not on the path", "missing"])
def test_validator_without_node_says_so(
    tmp_path: Path, manifest: Path, monkeypatch: pytest.MonkeyPatch, node: str | None
):
    monkeypatch.setattr("shutil.which", lambda _name: None)
    (report,) = validate(make_package(tmp_path), [manifest], node=node)
    assert "install version 20 or later" in (report.failure or "")


@pytest.mark.parametrize("depth", ["", "a", "a/b/c"])
def test_package_is_found_in_the_folder_and_those_above(tmp_path: Path, depth: str):
    package = make_package(tmp_path / "node_modules", version="14.1.0")
    folder = tmp_path / depth
    folder.mkdir(parents=True, exist_ok=True)
    assert find_package([folder]) == (package, ())


def test_package_of_the_first_folder_wins(tmp_path: Path):
    first = make_package(tmp_path / "first/node_modules")
    make_package(tmp_path / "second/node_modules", version="1.0.0")
    assert find_package([tmp_path / "none", tmp_path / "first", tmp_path / "second"])[0] == first


@pytest.mark.parametrize("part", ["", "node_modules", "node_modules/@forge", "node_modules/@forge/manifest"])
def test_package_that_others_can_write_is_passed_over(tmp_path: Path, part: str):
    package = make_package(tmp_path / "app/node_modules")
    trusted = make_package(tmp_path / "node_modules")
    (tmp_path / "app" / part).chmod(0o777)
    assert find_package([tmp_path / "app"]) == (trusted, (package.folder.parent.parent,))


def test_package_of_another_user_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    make_package(tmp_path / "node_modules")
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    if tmp_path.stat().st_uid == 0:
        os.chown(tmp_path / "node_modules", 54321, -1)
    assert find_package([tmp_path]) == (None, (tmp_path / "node_modules",))


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{", '{"version": 3}', '{"name": "x"}', "\x00"],
    ids=["empty", "list", "cut", "number", "none", "nul"],
)
def test_package_with_a_broken_description_is_no_failure(tmp_path: Path, content: str):
    package = make_package(tmp_path / "node_modules")
    (package.folder / "package.json").write_text(content)
    found, _ = find_package([tmp_path])
    assert found is None or found.version == "of no version"


@pytest.mark.parametrize("named", [".", "node_modules"])
def test_package_is_named_by_its_folder_or_node_modules(tmp_path: Path, named: str):
    package = make_package(tmp_path / "node_modules")
    assert named_package(tmp_path / named) == package


def test_package_that_is_not_in_the_named_folder_is_an_error(tmp_path: Path):
    with pytest.raises(SettingsInvalid, match=f"npm install .*@forge/manifest@{TESTED_VERSION} tslib"):
        named_package(tmp_path)
