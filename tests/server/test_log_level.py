"""The socket by which the level of the log is changed: who may use it, and what it refuses."""

import asyncio
import json
import os
import socket
from contextlib import suppress
from typing import get_args

import pytest
from addonkit.cli.log_level import LEVELS as COMMAND_LEVELS
from addonkit.server import log_level_socket
from addonkit.server.log_level import LEVELS, LONGEST_S, LogLevel
from addonkit.server.log_level_socket import SILENT, adjustable, ask_all
from addonkit.settings import LEVEL_VARIABLE, LogSettings


@pytest.fixture
def level(monkeypatch):
    monkeypatch.delenv(LEVEL_VARIABLE, raising=False)
    applied = []
    found = LogLevel("warning", applied.append)
    found.applied = applied
    yield found
    found.reset()


async def asked(path, *words, **options):
    return await asyncio.to_thread(ask_all, path, *words, **options)


async def sent(path, data):
    """Send a request and return the answer."""
    [name] = log_level_socket._names(path)
    reader, writer = await asyncio.open_unix_connection(f"\0{name}")
    writer.write(data)
    if not data.endswith(b"\n"):
        writer.write_eof()
    answer = b""
    with suppress(ConnectionResetError):  # a request that is too long is not read to its end
        answer = await reader.read()
    writer.close()
    with suppress(ConnectionResetError):
        await writer.wait_closed()
    return answer


async def test_level_has_the_same_names_everywhere():
    assert LEVELS == COMMAND_LEVELS == get_args(LogSettings.model_fields["level"].annotation)


async def test_level_is_changed_and_ends(tmp_path, level):
    async with adjustable(tmp_path / "addon.toml", level, "serve"):
        [answer] = await asked(tmp_path / "addon.toml", ("debug", 3600.0))
        assert (answer.process, answer.pid, answer.level) == ("serve", os.getpid(), "debug")
        [again] = await asked(tmp_path / "addon.toml", ("info", 7200.0))
        assert again.until > answer.until
        assert os.environ[LEVEL_VARIABLE].startswith("info ")
        [reset] = await asked(tmp_path / "addon.toml", reset=True)
        assert (reset.level, reset.until) == ("warning", None)
        assert LEVEL_VARIABLE not in os.environ
    assert level.applied == ["debug", "info", "warning"]
    assert await asked(tmp_path / "addon.toml") == []


@pytest.mark.parametrize(
    "data",
    [
        b"\n",
        b"debug\n",
        b"[]\n",
        b'{"level": "trace", "seconds": 60, "reset": false}\n',
        b'{"level": "debug", "seconds": 0, "reset": false}\n',
        b'{"level": "debug", "seconds": 86401, "reset": false}\n',
        b'{"level": "debug", "seconds": 1e999, "reset": false}\n',
        b'{"level": "debug", "seconds": NaN, "reset": false}\n',
        b'{"level": ["debug"], "seconds": 60, "reset": false}\n',
        b'{"level": "debug"}\n',
        b"[" * 900 + b"\n",
        b'{"level": "debug", "seconds": 60, "reset": false}',
        b"x" * 2000,
        b"",
    ],
    ids=[str(number) for number in range(14)],
)
async def test_level_stays_after_an_invalid_request(tmp_path, level, data):
    async with adjustable(tmp_path / "addon.toml", level, "serve"):
        assert await sent(tmp_path / "addon.toml", data) == b""
        [answer] = await asked(tmp_path / "addon.toml")
        assert (answer.level, level.applied) == ("warning", [])


@pytest.mark.parametrize(
    ("user", "own", "may"),
    [
        (0, 1000, True),
        (1000, 1000, True),
        (1001, 1000, False),
        (65534, 65534, False),
        (65534, 1000, False),
        (0, 0, True),
        (1000, 0, False),
    ],
    ids=["root", "same", "other", "unmapped", "nobody", "root-of-root", "user-of-root"],
)
async def test_level_is_changed_by_root_and_the_same_user_alone(tmp_path, level, monkeypatch, user, own, may):
    monkeypatch.setattr(os, "geteuid", lambda: own)

    class Credentials:
        size = log_level_socket.CREDENTIALS.size

        @staticmethod
        def unpack(_):
            return (1, user, 0)

    monkeypatch.setattr(log_level_socket, "CREDENTIALS", Credentials)
    async with adjustable(tmp_path / "addon.toml", level, "serve"):
        [answer] = await asked(tmp_path / "addon.toml", ("debug", 60.0))
    assert (answer != SILENT, level.applied) == (may, ["debug"] * may)


async def test_level_is_changed_while_another_caller_is_silent(tmp_path, level):
    async with adjustable(tmp_path / "addon.toml", level, "serve"):
        [name] = log_level_socket._names(tmp_path / "addon.toml")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as silent:
            silent.connect(f"\0{name}")
            [answer] = await asked(tmp_path / "addon.toml", ("debug", 60.0))
    assert answer.level == "debug"


@pytest.mark.parametrize(
    "text",
    ["", "debug", "debug x", "debug 0", "debug 99999999999", "debug nan", "debug inf", "loud 9e9", "debug 1 2"],
    ids=repr,
)
async def test_level_of_a_parent_that_is_invalid_or_over_is_ignored(level, monkeypatch, text):
    monkeypatch.setenv(LEVEL_VARIABLE, text)
    level.inherit()
    assert (level.level, level.applied) == ("warning", [])


async def test_level_of_a_parent_is_inherited_with_its_end(level, monkeypatch):
    parent = LogLevel("info", lambda _: None)
    parent.change("debug", LONGEST_S)
    level.inherit()
    assert (level.level, level.until) == ("debug", pytest.approx(parent.until, abs=2))
    parent.reset()


async def test_level_cannot_be_changed_without_a_configuration_file(level):
    async with adjustable(None, level, "serve"):
        assert json.dumps(level.applied) == "[]"
