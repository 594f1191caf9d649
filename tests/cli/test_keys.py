"""``addonkit keys`` as operators use it: rotation from one key to the next, and the output if a key is lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import pytest
from addonkit.settings import parse_key
from addonkit.tenant_data.connection import tenant_database
from addonkit.testing.databases import create_tables

from tests.distributions.third_party import CommandResult, Terminal, run, write_config
from tests.support.encrypted_sites import (
    NEW,
    OLD,
    OTHER,
    give_sites,
    install,
    location_in,
    secret,
    secrets_in,
    secrets_of,
    vault_of,
)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    terminal = Terminal(monkeypatch, capsys, tmp_path)
    terminal.write("stranger_bare")
    return terminal


def with_keys(terminal: Terminal, *words: str, keys: tuple[str, ...]) -> CommandResult:
    """Run a command line with these keys in the configuration."""
    return terminal(*words, ADDONKIT_SECURITY__ENCRYPTION_KEYS=orjson.dumps(keys).decode())


def key_file(terminal: Terminal, *keys: str) -> Path:
    """Write the key file."""
    file = terminal.directory / "addonkit.key"
    file.write_text("".join(f"{key}\n" for key in keys))
    return file


def next_step(result: CommandResult) -> str:
    """What the last line tells to do."""
    return result.out.splitlines()[-1].removeprefix("Next: ")


def test_keys_new_uses_the_given_id(terminal: Terminal) -> None:
    assert parse_key(terminal("keys", "new", "--id", "autumn").out.strip())[0] == "autumn"


def test_keys_new_needs_no_configuration(terminal: Terminal) -> None:
    (terminal.directory / "addon.toml").unlink()
    assert terminal("keys", "new").code == 0


def test_keys_new_refuses_an_invalid_id(terminal: Terminal) -> None:
    assert terminal("keys", "new", "--id", "a:b").sentence == (
        "'a:b' is not a valid key id; use letters, digits, '-' and '_'"
    )


def test_keys_status_shows_what_each_key_encrypts(terminal: Terminal) -> None:
    give_sites(terminal.directory, 2, OLD)
    result = with_keys(terminal, "keys", "status", keys=(NEW, OLD))
    assert result.code == 0
    assert [line.split() for line in result.out.splitlines()[1:3]] == [
        ["k2", "encrypts", "0", "0"],
        ["k1", "decrypts", "2", "0"],
    ]


def test_keys_status_prints_one_json_object(terminal: Terminal) -> None:
    give_sites(terminal.directory, 2, OLD)
    printed = orjson.loads(with_keys(terminal, "keys", "status", "--json", keys=(OLD,)).out)
    assert printed["keys"] == [{"key_id": "k1", "state": "encrypts", "sites": 2, "former": 0}]
    assert printed["expired"] == 0
    assert printed["next"].startswith("nothing to do")


def test_keys_status_fails_for_a_missing_key_and_names_it(terminal: Terminal) -> None:
    give_sites(terminal.directory, 2, OLD)
    result = with_keys(terminal, "keys", "status", keys=(NEW,))
    assert result.code == 1
    assert result.out.splitlines()[2].split() == ["k1", "missing", "2", "0"]
    assert next_step(result) == (
        "2 secrets cannot be decrypted with the available keys: restore 'k1' in [security] encryption_keys, or, if "
        "lost for good, run 'addonkit keys rotate --drop-lost k1' and have those sites install again"
    )


def test_keys_status_before_the_first_start_creates_nothing(terminal: Terminal) -> None:
    result = terminal("keys", "status")
    assert (result.code, next_step(result)) == (0, "nothing to do: the first start creates a key file")
    assert [file.name for file in terminal.directory.iterdir()] == ["addon.toml"]


def test_keys_status_without_the_key_file_creates_none(terminal: Terminal) -> None:
    give_sites(terminal.directory, 1, OLD)
    result = terminal("keys", "status")
    assert (result.code, result.out.splitlines()[1].split()[0]) == (1, "k1")
    assert not (terminal.directory / "addonkit.key").exists()


def test_rotation_shows_the_next_step_after_each_step(terminal: Terminal) -> None:
    give_sites(terminal.directory, 2, OLD)
    for keys, step in [
        ((OLD,), "nothing to do. To rotate, append the output of 'addonkit keys new'"),
        ((OLD, NEW), "'k2' encrypts nothing: if it is new, once every process has it, move it to the front"),
        (
            (NEW, OLD),
            "2 secrets are not encrypted with 'k2' yet; once every process has been restarted with 'k2' first, the "
            "add-on re-encrypts them within the hour, or run 'addonkit keys rotate' to do it now",
        ),
    ]:
        assert next_step(with_keys(terminal, "keys", "status", keys=keys)).startswith(step)
    done = with_keys(terminal, "keys", "rotate", keys=(NEW, OLD))
    assert done.out.splitlines()[0] == "2 secrets re-encrypted with 'k2'; 2 sites checked"
    assert "if it is retired, a day after the rotation, remove it and restart" in next_step(done)
    assert next_step(with_keys(terminal, "keys", "status", keys=(NEW,))).startswith("nothing to do")
    assert secrets_of(terminal.directory, NEW) == [secret(0), secret(1)]


@pytest.mark.parametrize(
    ("behind", "step"),
    [
        (
            "20270101beef",
            "encrypts nothing yet: once every process has it, move it to the front and restart",
        ),
        ("20250101beef", "encrypts nothing any more: a day after the rotation, remove it and restart"),
    ],
)
def test_rotation_recognises_new_and_retired_keys_by_date(terminal: Terminal, behind: str, step: str) -> None:
    first, second = (f"{key_id}:{OLD.partition(':')[2]}" for key_id in ("20260101cafe", behind))
    give_sites(terminal.directory, 1, first)
    assert next_step(with_keys(terminal, "keys", "status", keys=(first, second))) == f"'{behind}' {step}"


def test_rotation_dry_run_counts_and_changes_nothing(terminal: Terminal) -> None:
    give_sites(terminal.directory, 2, OLD)
    result = with_keys(terminal, "keys", "rotate", "--dry-run", keys=(NEW, OLD))
    assert result.out.splitlines()[0] == "2 secrets would be re-encrypted with 'k2'; 2 sites checked"
    assert secrets_of(terminal.directory, OLD) == [secret(0), secret(1)]


def test_rotation_prints_one_json_object(terminal: Terminal) -> None:
    give_sites(terminal.directory, 2, OLD)
    printed = orjson.loads(with_keys(terminal, "keys", "rotate", "--json", keys=(NEW, OLD)).out)
    assert (printed["dry_run"], printed["checked"], printed["sites"], printed["locked"]) == (False, 2, 2, 0)


def test_rotation_fails_for_what_it_cannot_decrypt_and_does_the_rest(terminal: Terminal) -> None:
    give_sites(terminal.directory, 2, OLD)
    give_sites(terminal.directory, 1, OTHER)
    result = with_keys(terminal, "keys", "rotate", keys=(NEW, OLD))
    assert result.code == 1
    assert result.out.splitlines()[0] == (
        "1 secrets re-encrypted with 'k2', 1 cannot be decrypted and stay; 2 sites checked"
    )


def test_rotation_clears_secrets_of_a_lost_key_on_request(terminal: Terminal) -> None:
    give_sites(terminal.directory, 2, OLD)
    result = with_keys(terminal, "keys", "rotate", "--drop-lost", "k1", keys=(NEW,))
    assert result.out.splitlines()[0] == "0 secrets re-encrypted with 'k2', 2 cleared as lost; 2 sites checked"
    assert with_keys(terminal, "keys", "status", keys=(NEW,)).code == 0


@pytest.mark.parametrize("key_id", ["k1", "k9"])
def test_rotation_does_not_drop_a_key_that_is_not_missing(terminal: Terminal, key_id: str) -> None:
    give_sites(terminal.directory, 1, OLD)
    assert with_keys(terminal, "keys", "rotate", "--drop-lost", key_id, keys=(OLD,)).sentence == (
        f"'{key_id}' is not the id of a missing key (none is missing); omit it"
    )


def test_rotation_without_a_key_is_refused_and_creates_none(terminal: Terminal) -> None:
    give_sites(terminal.directory, 1, OLD)
    assert terminal("keys", "rotate").sentence.startswith("there is no key to encrypt with")
    assert not (terminal.directory / "addonkit.key").exists()


def test_rotation_before_the_first_start_has_nothing_to_do(terminal: Terminal) -> None:
    result = with_keys(terminal, "keys", "rotate", keys=(NEW,))
    assert result.out.splitlines()[0] == "0 secrets re-encrypted with 'k2'; 0 sites checked"


async def test_rotation_loses_no_install_of_another_process(tmp_path: Path) -> None:
    write_config(tmp_path, "stranger_bare")
    location, turn = location_in(tmp_path), 0
    await create_tables(location, {})
    keys = {"ADDONKIT_SECURITY__ENCRYPTION_KEYS": orjson.dumps([NEW, OLD]).decode()}
    async with tenant_database(location, {}):
        for number in range(60):
            await install(number, vault_of(OLD))
        rotating = asyncio.create_task(asyncio.to_thread(run, tmp_path, "keys", "rotate", **keys))
        while not rotating.done():
            turn += 1
            for number in (0, 30, 59):
                await install(number, vault_of(NEW, OLD), turn)
        assert (await rotating).code == 0, rotating.result().err
        expected = [secret(number, turn if number in (0, 30, 59) else 0) for number in range(60)]
        assert await secrets_in(vault_of(NEW)) == expected


def test_rotation_of_a_key_file_is_done_by_commands(terminal: Terminal) -> None:
    file = key_file(terminal, OLD)
    give_sites(terminal.directory, 2, OLD)
    made = terminal("keys", "new", "--to-file", "--id", "k2").out
    assert made == f"appended 'k2' to '{file}'; restart, then run 'addonkit keys use k2'\n"
    assert "run 'addonkit keys use k2' and restart" in next_step(terminal("keys", "status"))
    assert "is now first" in terminal("keys", "use", "k2").out
    assert "'addonkit keys remove k1'" in next_step(terminal("keys", "rotate"))
    assert terminal("keys", "remove", "k1").code == 0
    assert secrets_of(terminal.directory, file.read_text().strip()) == [secret(0), secret(1)]


def test_keys_new_to_file_does_not_print_the_key(terminal: Terminal) -> None:
    result = terminal("keys", "new", "--to-file", "--id", "k1")
    assert result.out == f"created '{terminal.directory / 'addonkit.key'}' with the key 'k1'\n"
    [line] = (terminal.directory / "addonkit.key").read_text().splitlines()
    assert line.partition(":")[2] not in result.out + result.err


def test_keys_remove_refuses_a_key_that_encrypts_something(terminal: Terminal) -> None:
    key_file(terminal, NEW, OLD)
    give_sites(terminal.directory, 2, OLD)
    assert terminal("keys", "remove", "k1").sentence == "'k1' encrypts 2 secrets; run 'addonkit keys rotate' first"


@pytest.mark.parametrize("words", [("new", "--to-file"), ("use", "k1"), ("remove", "k1")])
def test_keys_commands_do_not_change_the_configuration(terminal: Terminal, words: tuple[str, ...]) -> None:
    assert with_keys(terminal, "keys", *words, keys=(OLD,)).sentence == (
        "the keys of this deployment are in [security] encryption_keys, not in a key file; change them there"
    )


def test_keys_commands_print_no_key(terminal: Terminal) -> None:
    give_sites(terminal.directory, 1, OLD)
    results = [
        with_keys(terminal, "keys", *words, keys=(NEW, OLD)) for words in (["status"], ["rotate"], ["remove", "k2"])
    ]
    printed = "".join(one.out + one.err for one in results)
    assert not any(key.partition(":")[2] in printed for key in (OLD, NEW))
