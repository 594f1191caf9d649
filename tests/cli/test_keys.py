"""``addonkit keys`` as operators use it: from one key to the next, and what is told when one is lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import pytest
from addonkit.settings import parse_key
from addonkit.tenant_data.connection import tenant_database
from addonkit.testing.databases import give_tables

from tests.distributions.strangers import Said, Terminal, run, write_config
from tests.support.sealed_sites import (
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


def with_keys(terminal: Terminal, *words: str, keys: tuple[str, ...]) -> Said:
    """Run a command line with these keys in the configuration."""
    return terminal(*words, ADDONKIT_SECURITY__ENCRYPTION_KEYS=orjson.dumps(keys).decode())


def key_file(terminal: Terminal, *keys: str) -> Path:
    """Write the key file."""
    file = terminal.directory / "addonkit.key"
    file.write_text("".join(f"{key}\n" for key in keys))
    return file


def next_step(said: Said) -> str:
    """What the last line tells to do."""
    return said.out.splitlines()[-1].removeprefix("Next: ")


def test_a_new_key_has_the_id_that_is_asked_for(terminal: Terminal) -> None:
    assert parse_key(terminal("keys", "new", "--id", "autumn").out.strip())[0] == "autumn"


def test_a_new_key_needs_no_configuration(terminal: Terminal) -> None:
    (terminal.directory / "addon.toml").unlink()
    assert terminal("keys", "new").code == 0


def test_an_id_that_cannot_be_one_is_refused(terminal: Terminal) -> None:
    assert terminal("keys", "new", "--id", "a:b").sentence == (
        "'a:b' is no id for a key; use letters, digits, '-' and '_'"
    )


def test_status_tells_what_each_key_seals(terminal: Terminal) -> None:
    give_sites(terminal.directory, 2, OLD)
    said = with_keys(terminal, "keys", "status", keys=(NEW, OLD))
    assert said.code == 0
    assert [line.split() for line in said.out.splitlines()[1:3]] == [
        ["k2", "seals", "0", "0"],
        ["k1", "opens", "2", "0"],
    ]


def test_status_is_one_object_for_programs(terminal: Terminal) -> None:
    give_sites(terminal.directory, 2, OLD)
    told = orjson.loads(with_keys(terminal, "keys", "status", "--json", keys=(OLD,)).out)
    assert told["keys"] == [{"key_id": "k1", "state": "seals", "sites": 2, "former": 0}]
    assert told["expired"] == 0
    assert told["next"].startswith("nothing is to be done")


def test_status_of_a_lost_key_fails_and_names_it(terminal: Terminal) -> None:
    give_sites(terminal.directory, 2, OLD)
    said = with_keys(terminal, "keys", "status", keys=(NEW,))
    assert said.code == 1
    assert said.out.splitlines()[2].split() == ["k1", "not", "at", "hand", "2", "0"]
    assert next_step(said) == (
        "2 secrets open with no key at hand: bring 'k1' back into [security] encryption_keys, or, lost for good, run "
        "'addonkit keys rotate --drop-lost k1' and have those sites install anew"
    )


def test_status_before_the_first_start_makes_nothing(terminal: Terminal) -> None:
    said = terminal("keys", "status")
    assert (said.code, next_step(said)) == (0, "nothing is to be done: the first start makes a key file")
    assert [file.name for file in terminal.directory.iterdir()] == ["addon.toml"]


def test_status_of_a_database_without_its_key_file_makes_none(terminal: Terminal) -> None:
    give_sites(terminal.directory, 1, OLD)
    said = terminal("keys", "status")
    assert (said.code, said.out.splitlines()[1].split()[0]) == (1, "k1")
    assert not (terminal.directory / "addonkit.key").exists()


def test_every_step_of_a_rotation_says_the_next(terminal: Terminal) -> None:
    give_sites(terminal.directory, 2, OLD)
    for keys, told in [
        ((OLD,), "nothing is to be done; to change the key, add what 'addonkit keys new' prints, as the last"),
        ((OLD, NEW), "'k2' seals nothing: if it is new, once every process has it, move it first"),
        (
            (NEW, OLD),
            "2 secrets are not encrypted with 'k2' yet; once every process has been restarted with 'k2' first, the "
            "add-on re-encrypts them within the hour, or run 'addonkit keys rotate' to do it now",
        ),
    ]:
        assert next_step(with_keys(terminal, "keys", "status", keys=keys)).startswith(told)
    done = with_keys(terminal, "keys", "rotate", keys=(NEW, OLD))
    assert done.out.splitlines()[0] == "2 secrets sealed with 'k2'; 2 sites looked at"
    assert "if it is retired, a day after the rotation, take it out and restart" in next_step(done)
    assert next_step(with_keys(terminal, "keys", "status", keys=(NEW,))).startswith("nothing is to be done")
    assert secrets_of(terminal.directory, NEW) == [secret(0), secret(1)]


@pytest.mark.parametrize(
    ("behind", "told"),
    [
        ("20270101beef", "'20270101beef' seals nothing yet: once every process has it, move it first and restart"),
        ("20250101beef", "'20250101beef' seals nothing any more: a day after the rotation, take it out and restart"),
    ],
)
def test_the_dates_of_two_keys_tell_which_follows(terminal: Terminal, behind: str, told: str) -> None:
    first, second = (f"{key_id}:{OLD.partition(':')[2]}" for key_id in ("20260101cafe", behind))
    give_sites(terminal.directory, 1, first)
    assert next_step(with_keys(terminal, "keys", "status", keys=(first, second))) == told


def test_a_dry_run_counts_and_changes_nothing(terminal: Terminal) -> None:
    give_sites(terminal.directory, 2, OLD)
    said = with_keys(terminal, "keys", "rotate", "--dry-run", keys=(NEW, OLD))
    assert said.out.splitlines()[0] == "2 secrets would be sealed with 'k2'; 2 sites looked at"
    assert secrets_of(terminal.directory, OLD) == [secret(0), secret(1)]


def test_a_rotation_is_one_object_for_programs(terminal: Terminal) -> None:
    give_sites(terminal.directory, 2, OLD)
    told = orjson.loads(with_keys(terminal, "keys", "rotate", "--json", keys=(NEW, OLD)).out)
    assert (told["dry_run"], told["looked_at"], told["sites"], told["locked"]) == (False, 2, 2, 0)


def test_a_rotation_fails_for_what_it_cannot_open_and_does_the_rest(terminal: Terminal) -> None:
    give_sites(terminal.directory, 2, OLD)
    give_sites(terminal.directory, 1, OTHER)
    said = with_keys(terminal, "keys", "rotate", keys=(NEW, OLD))
    assert said.code == 1
    assert said.out.splitlines()[0] == (
        "1 secrets sealed with 'k2', 1 open with no key at hand and stay; 2 sites looked at"
    )


def test_what_a_lost_key_sealed_is_cleared_on_demand(terminal: Terminal) -> None:
    give_sites(terminal.directory, 2, OLD)
    said = with_keys(terminal, "keys", "rotate", "--drop-lost", "k1", keys=(NEW,))
    assert said.out.splitlines()[0] == "0 secrets sealed with 'k2', 2 cleared as lost; 2 sites looked at"
    assert with_keys(terminal, "keys", "status", keys=(NEW,)).code == 0


@pytest.mark.parametrize("key_id", ["k1", "k9"])
def test_a_key_that_is_not_missing_is_not_dropped(terminal: Terminal, key_id: str) -> None:
    give_sites(terminal.directory, 1, OLD)
    assert with_keys(terminal, "keys", "rotate", "--drop-lost", key_id, keys=(OLD,)).sentence == (
        f"'{key_id}' is not the id of a missing key (none is missing); leave it out"
    )


def test_a_rotation_without_a_key_is_refused_and_makes_none(terminal: Terminal) -> None:
    give_sites(terminal.directory, 1, OLD)
    assert terminal("keys", "rotate").sentence.startswith("there is no key to seal with")
    assert not (terminal.directory / "addonkit.key").exists()


def test_a_rotation_before_the_first_start_has_nothing_to_do(terminal: Terminal) -> None:
    said = with_keys(terminal, "keys", "rotate", keys=(NEW,))
    assert said.out.splitlines()[0] == "0 secrets sealed with 'k2'; 0 sites looked at"


async def test_a_rotation_in_a_process_of_its_own_loses_no_install_of_another(tmp_path: Path) -> None:
    write_config(tmp_path, "stranger_bare")
    location, turn = location_in(tmp_path), 0
    await give_tables(location, {})
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


def test_a_key_file_goes_from_one_key_to_the_next_by_commands(terminal: Terminal) -> None:
    file = key_file(terminal, OLD)
    give_sites(terminal.directory, 2, OLD)
    made = terminal("keys", "new", "--to-file", "--id", "k2").out
    assert made == f"added 'k2' to '{file}', as the last; restart, then run 'addonkit keys use k2'\n"
    assert "run 'addonkit keys use k2' and restart" in next_step(terminal("keys", "status"))
    assert "is first" in terminal("keys", "use", "k2").out
    assert "'addonkit keys remove k1'" in next_step(terminal("keys", "rotate"))
    assert terminal("keys", "remove", "k1").code == 0
    assert secrets_of(terminal.directory, file.read_text().strip()) == [secret(0), secret(1)]


def test_a_new_key_in_the_file_is_not_printed(terminal: Terminal) -> None:
    said = terminal("keys", "new", "--to-file", "--id", "k1")
    assert said.out == f"made '{terminal.directory / 'addonkit.key'}' with the key 'k1'\n"
    [line] = (terminal.directory / "addonkit.key").read_text().splitlines()
    assert line.partition(":")[2] not in said.out + said.err


def test_a_key_that_seals_something_is_not_taken_out(terminal: Terminal) -> None:
    key_file(terminal, NEW, OLD)
    give_sites(terminal.directory, 2, OLD)
    assert terminal("keys", "remove", "k1").sentence == "'k1' seals 2 secrets; run 'addonkit keys rotate' first"


@pytest.mark.parametrize("words", [("new", "--to-file"), ("use", "k1"), ("remove", "k1")])
def test_keys_in_the_configuration_are_not_changed_by_commands(terminal: Terminal, words: tuple[str, ...]) -> None:
    assert with_keys(terminal, "keys", *words, keys=(OLD,)).sentence == (
        "the keys of this deployment are in [security] encryption_keys and not in a key file; change them there"
    )


def test_no_key_is_told_by_any_command(terminal: Terminal) -> None:
    give_sites(terminal.directory, 1, OLD)
    said = [
        with_keys(terminal, "keys", *words, keys=(NEW, OLD)) for words in (["status"], ["rotate"], ["remove", "k2"])
    ]
    told = "".join(one.out + one.err for one in said)
    assert not any(key.partition(":")[2] in told for key in (OLD, NEW))
