"""Manifests as YAML: what is written is read back, lines are right, and other files are refused with a sentence."""

from __future__ import annotations

import math
import os
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any

import pytest
from addonkit.errors import ManifestInvalid
from addonkit.forge.manifest import Manifest
from addonkit.forge.manifest_file import FIRST_LINE, read, render, write
from addonkit.forge.manifest_parser import parse
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

FILE = Path("manifest.yml")

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.sampled_from(
    [
        "",
        "on",
        "Yes",
        "n",
        "012",
        "0o17",
        "1_000",
        "1:30",
        "2026-01-01",
        "1e3",
        ".5",
        "~",
        "<<",
        "- a",
        "a: b",
        "#",
        "!t",
    ]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(texts, below, max_size=3),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(texts, values, max_size=4))
def test_manifest_is_read_as_it_was_written(document: dict[str, Any]) -> None:
    assert parse(render(Manifest(document, {})), FILE).document == document


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(texts, texts, max_size=4))
def test_manifest_is_the_same_for_parsers_of_yaml_1_1(document: dict[str, Any]) -> None:
    parser = YAML(typ="safe", pure=True)
    parser.version = (1, 1)
    assert parser.load(render(Manifest(document, {}))) == document


def test_manifest_names_the_plugin_above_each_part() -> None:
    document = {"connectModules": {"jira:webhooks": [{"key": "a"}, {"key": "b"}]}, "permissions": {"scopes": ["c"]}}
    sources = {
        "/connectModules/jira:webhooks/0": "macro",
        "/connectModules/jira:webhooks/1": "issue_panel",
        "/permissions/scopes/0": "issue_panel, macro",
    }
    assert render(Manifest(document, sources)) == (
        f"{FIRST_LINE}\n"
        "connectModules:\n"
        "  jira:webhooks:\n"
        "    # plugin: macro\n"
        "    - key: a\n"
        "    # plugin: issue_panel\n"
        "    - key: b\n"
        "permissions:\n"
        "  scopes:\n"
        "    # plugins: issue_panel, macro\n"
        "    - c\n"
    )


def test_line_of_a_pointer_is_the_line_of_its_key() -> None:
    manifest = parse("app:\n  id: x\nmodules:\n  trigger:\n    - key: a\n\n    - key: b\n      'a/b~c': 1\n", FILE)
    lines = {
        "/app/id": 2,
        "/modules/trigger/1": 7,
        "/modules/trigger/1/key": 7,
        "/modules/trigger/1/a~1b~0c": 8,
        "/modules/trigger/1/missing/deep": 7,
        "/missing": 1,
    }
    assert {pointer: manifest.line_of(pointer) for pointer in lines} == lines


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("2026-01-01", "2026-01-01", id="date"),
        pytest.param("yes", "yes", id="yes"),
        pytest.param("0o17", 15, id="octal"),
        pytest.param("017", 17, id="leading-zero"),
        pytest.param("1_000", "1_000", id="underscore"),
        pytest.param("0x1F", 31, id="hexadecimal"),
        pytest.param("'1'", "1", id="quoted"),
        pytest.param("!!str 1", "1", id="tagged"),
        pytest.param("~", None, id="null"),
        pytest.param("-1.5e3", -1500.0, id="float"),
        pytest.param("{<<: {b: 1}}", {"<<": {"b": 1}}, id="merge-key"),
        pytest.param(".inf", math.inf, id="infinity"),
        pytest.param("-.INF", -math.inf, id="negative-infinity"),
        pytest.param("{true: 1, ~: 2, 1.5: 3}", {"true": 1, "": 2, "1.5": 3}, id="keys-that-are-not-texts"),
        pytest.param(r'"\ud83d\ude00"', "\U0001f600", id="surrogate-pair"),
        pytest.param(r'"\ud800"', "\ufffd", id="half-of-a-surrogate-pair"),
        pytest.param("[&a 1, *a, &a 2, *a]", [1, 1, 2, 2], id="anchor-twice"),
    ],
)
def test_values_are_read_as_yaml_1_2(text: str, value: Any) -> None:
    assert parse(f"a: {text}", FILE).document == {"a": value}


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{below}'] * 10)}]\n" for below, name in ["ab", "bc", "cd", "de", "ef", "fg", "gh"]
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("app: {}\napp: {}\n", "manifest.yml:2 has the key 'app' a second time", id="key-twice"),
        pytest.param("a:\n  - {b: 1,\n     b: 2}\n", "manifest.yml:3 has the key 'b' a second time", id="deep-twice"),
        pytest.param("app: [\n", "is not YAML", id="unclosed"),
        pytest.param("\tapp: 1\n", "is not YAML", id="tab"),
        pytest.param("a: 1\n---\nb: 2\n", "is not YAML", id="two-documents"),
        pytest.param("a: *b\n", "is not YAML", id="unknown-alias"),
        pytest.param("a: \x00\n", "is not YAML", id="control-character"),
        pytest.param("", "holds no manifest", id="empty"),
        pytest.param("- a\n", "holds no manifest", id="list"),
        pytest.param("text", "holds no manifest", id="text"),
        pytest.param("? [a]\n: 1\n", "a key that is not a text", id="list-as-key"),
        pytest.param("a: &a [*a]\n", "without end", id="endless"),
        pytest.param(BOMB, "beyond 50000 values", id="aliases-of-aliases"),
        pytest.param("a: " + "[" * 150 + "]" * 150, "manifest.yml:1 nests more than 100", id="nested-lists"),
        pytest.param("\n".join(" " * depth + "a:" for depth in range(150)), "nests more than 100", id="nested-objects"),
        pytest.param("a: {1: b, 0x1: c}\n", "has the key '1' a second time", id="number-twice"),
        pytest.param('a: {"\\e[31m": b, "\\e[31m": c}\n', "has the key '\\x1b[31m' a second time", id="escape-twice"),
        pytest.param('- "\\e[31m"\n', "found ['\\x1b[31m']", id="escape"),
        pytest.param("a: {}\nb: {}\rc: {}\n", "manifest.yml:2 has a line that ends with CR", id="carriage-return"),
        pytest.param("[" * 5000, "manifest.yml", id="nested"),
    ],
)
def test_other_texts_are_refused_with_a_sentence(text: str, words: str) -> None:
    with pytest.raises(ManifestInvalid) as refusal:
        parse(text, FILE)
    assert words in str(refusal.value)
    assert str(refusal.value).startswith("manifest.yml")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(None, "cannot be read", id="missing"),
        pytest.param(b"a: \xff", "not UTF-8 at byte 3", id="latin-1"),
        pytest.param(b"#" * (2 * 1024 * 1024 + 1), "more than", id="large"),
    ],
)
def test_unreadable_files_are_refused_with_a_sentence(tmp_path: Path, content: bytes | None, words: str) -> None:
    file = tmp_path / "manifest.yml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ManifestInvalid, match=words):
        read(file)


@pytest.fixture(params=["pipe", "device", "folder", "link to a pipe", "link to itself"])
def irregular(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Make something that is not a regular file."""
    file = tmp_path / "manifest.yml"
    match request.param:
        case "pipe":
            os.mkfifo(file)
        case "device":
            file.symlink_to("/dev/zero")
        case "folder":
            file.mkdir()
        case "link to a pipe":
            os.mkfifo(tmp_path / "pipe")
            file.symlink_to("pipe")
        case _:
            file.symlink_to(file.name)
    return file


def test_file_that_is_not_a_regular_one_is_refused_without_waiting(irregular: Path) -> None:
    with pytest.raises(ManifestInvalid, match=r"cannot be read: (it is|Too many)"):
        read(irregular)


@pytest.mark.parametrize("force", [False, True], ids=["kept", "forced"])
def test_file_that_is_not_a_regular_one_is_not_replaced(irregular: Path, force: bool) -> None:
    mode = irregular.lstat().st_mode
    with pytest.raises(ManifestInvalid, match=r"cannot be written: (it is|Too many)"):
        write(MADE, irregular, force=force)
    assert irregular.lstat().st_mode == mode


def test_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / "manifest.yml").write_bytes(b"\xef\xbb\xbfapp: {id: x}\r\n")
    assert read(tmp_path / "manifest.yml").document == {"app": {"id": "x"}}


MADE = Manifest({"app": {"id": "ari:cloud:ecosystem::app/x"}, "remotes": []}, {})


def test_file_is_written_with_its_folders_in_utf_8_with_lf(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "manifest.yml"
    assert write(Manifest({"app": {"id": "ü"}}, {}), file) == "created"
    assert file.read_bytes() == f"{FIRST_LINE}\napp:\n  id: ü\n".encode()
    assert [path.name for path in file.parent.iterdir()] == ["manifest.yml"]


def test_file_of_an_earlier_manifest_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "manifest.yml"
    assert [write(made, file) for made in (MADE, MADE, Manifest({"app": {}}, {}))] == [
        *("created", "unchanged", "replaced"),
    ]
    file.chmod(0o600)
    assert write(MADE, file) == "replaced"
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("\n", id="empty"),
        pytest.param("app:\n  id: ari:cloud:ecosystem::app/x\n", id="registered"),
        pytest.param("# a comment\r\napp: {id: 'ari:cloud:ecosystem::app/x'}\r\n", id="registered-with-crlf"),
        pytest.param(f"{FIRST_LINE}\r\nanything: [\n", id="generated-and-changed"),
        pytest.param("# Generated by 'addonkit forge manifest'. In other words.\n", id="of-another-release"),
    ],
)
def test_file_that_holds_nothing_of_its_own_is_replaced(tmp_path: Path, text: str) -> None:
    file = tmp_path / "manifest.yml"
    file.write_text(text, newline="")
    assert write(MADE, file) == "replaced"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"app: {id: ari:cloud:ecosystem::app/other}\n", id="another-app"),
        pytest.param(b"app: {id: ari:cloud:ecosystem::app/x, runtime: {name: nodejs22.x}}\n", id="more-fields"),
        pytest.param(b"app: {id: ari:cloud:ecosystem::app/x}\nmodules: {}\n", id="modules"),
        pytest.param(b"\xff\xfe", id="not-utf-8"),
        pytest.param(b"app: [\n", id="not-yaml"),
        pytest.param(b"#" * (2 * 1024 * 1024 + 2), id="larger-than-a-manifest"),
        pytest.param(f"\n{FIRST_LINE}\n".encode(), id="mark-in-another-line"),
    ],
)
def test_file_of_somebody_else_is_replaced_only_by_force(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "manifest.yml"
    file.write_bytes(content)
    with pytest.raises(ManifestInvalid, match="was not generated by addonkit"):
        write(MADE, file)
    assert file.read_bytes() == content
    assert write(MADE, file, force=True) == "replaced"


def test_file_behind_a_link_is_replaced_and_the_link_kept(tmp_path: Path) -> None:
    write(MADE, tmp_path / "real.yml")
    (tmp_path / "manifest.yml").symlink_to("real.yml")
    assert write(Manifest({"app": {}}, {}), tmp_path / "manifest.yml") == "replaced"
    assert (tmp_path / "manifest.yml").is_symlink()


def test_file_that_cannot_be_written_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ManifestInvalid, match="cannot be written"):
        write(MADE, tmp_path / "file" / "manifest.yml")
    (tmp_path / "manifest.yml").mkdir()
    with pytest.raises(ManifestInvalid, match="cannot be written"):
        write(MADE, tmp_path / "manifest.yml")


class Word(StrEnum):
    """A text of a class that the YAML writer does not know."""

    PAGE = "on"


class Size(IntEnum):
    """A number of such a class."""

    LARGE = 3


def test_values_of_other_classes_are_written_as_what_they_are() -> None:
    text = render(Manifest({"a": Word.PAGE, "b": Size.LARGE, "c": True}, {}))
    assert parse(text, FILE).document == {"a": "on", "b": 3, "c": True}
