"""``addonkit check`` as operators meet it: a line for each check, exit codes, JSON, and a token on standard input."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from addonkit.app import Addon, Deployment
from addonkit.app.migrate import upgrade
from addonkit.testing import Host, InstallKeys

from tests.distributions.third_party import CommandResult, Terminal, environment, stored_in

LOCAL = ["configuration", "plugins", "descriptor", "scopes", "keys", "database", "listener", "outgoing"]
REMOTE = ["address", "tls", "headers", "key-hosts", "clock"]
KEY = f"test:{'A' * 43}="
NOWHERE = "http://localhost:9"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    terminal = Terminal(monkeypatch, capsys, tmp_path)
    terminal.write("stranger_notes", base_url=NOWHERE)
    return terminal


def lines(result: CommandResult) -> list[list[str]]:
    """State and check of each line."""
    return [line.split()[:2] for line in result.out.splitlines()]


def test_check_runs_all_local_checks_and_fails_for_a_missing_folder(terminal: Terminal) -> None:
    result = terminal("check", "--offline", ADDONKIT_DATABASE__URL="sqlite://gone/a.db")
    assert result.code == 1
    # A plugin that is not enabled has the table of another one.
    states = {"database": "wrong", "scopes": "-", "plugins": "warn"}
    assert lines(result) == [[states.get(name, "ok"), name] for name in LOCAL]


def test_check_runs_remote_checks_and_skips_them_on_loopback(terminal: Terminal) -> None:
    result = terminal("check")
    assert result.code == 0
    assert [name for _, name in lines(result)] == [*LOCAL, *REMOTE]
    assert lines(result)[len(LOCAL) :] == [["-", name] for name in REMOTE]


def test_check_prints_no_password_of_the_proxy(terminal: Terminal) -> None:
    for words in (["check"], ["check", "--offline"], ["check", "--json"]):
        result = terminal(*words, ADDONKIT_HOST__PROXY="http://user:hidden-word@proxy.example.com:3128")
        assert result.code == 0
        assert "through the proxy 'http://proxy.example.com:3128', with a user name" in result.out
        assert "hidden" not in result.out + result.err


def test_check_reports_authorities_that_cannot_be_read(terminal: Terminal) -> None:
    result = terminal("check", ADDONKIT_HOST__CA_FILE="missing.pem")
    assert result.code == 1
    assert ["wrong", "outgoing"] in lines(result)
    assert "missing.pem', which cannot be read: No such file or directory" in result.out


def test_check_reports_an_error_once(terminal: Terminal) -> None:
    terminal.write("stranger_notes", "at_import", base_url=NOWHERE)
    result = terminal("check", "--offline")
    assert result.code == 1
    assert [state for state, _ in lines(result)] == ["ok", "wrong", "-", "-", "ok", "warn", "ok", "ok"]
    assert "skipped, see plugins" in result.out


def test_check_prints_one_json_array(terminal: Terminal) -> None:
    found = orjson.loads(terminal("check", "--offline", "--json").out)
    assert [one["check"] for one in found] == LOCAL
    assert set(found[0]) == {"check", "state", "message"}


def test_check_changes_nothing(terminal: Terminal) -> None:
    before = sorted(file.name for file in terminal.directory.iterdir())
    terminal("check")
    assert sorted(file.name for file in terminal.directory.iterdir()) == before


def test_check_prints_no_secret(terminal: Terminal) -> None:
    secrets = {
        "ADDONKIT_SECURITY__ENCRYPTION_KEYS": orjson.dumps([KEY]).decode(),
        "ADDONKIT_OPERATIONS__METRICS_TOKEN": "geheim-geheim-geheim",
        "ADDONKIT_DATABASE__URL": "postgres://me:geheim@127.0.0.1:9/db",
    }
    result = terminal("check", **secrets)
    assert result.code == 1
    assert "AAAA" not in result.out + result.err
    assert "geheim" not in result.out + result.err


def test_check_with_a_request_but_without_token_is_invalid_usage(terminal: Terminal) -> None:
    result = terminal("check", "--request", "GET /page")
    assert result.code == 2
    assert "--request and --event can be used only with --token" in result.err


async def install(directory: Path) -> Host:
    """A site that installed the add-on of a folder, which has stopped since."""
    keys = InstallKeys()
    async with keys.serve() as url:
        overrides = {"host": {"install_keys": [url], "domains": ["127.0.0.1"]}}
        deployment = Deployment.read(directory / "addon.toml", overrides)
        await upgrade(deployment)
        async with Host(Addon(deployment), keys, NOWHERE) as host:
            await host.install()
            return host


def tell(terminal: Terminal, patch: pytest.MonkeyPatch, text: str, *words: str) -> CommandResult:
    """Run the command with this on standard input."""
    patch.setattr(sys, "stdin", io.StringIO(text))
    return terminal("check", "--token", *words)


@pytest.fixture
async def host(terminal: Terminal, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Host:
    for name, value in stored_in(terminal.directory).items():
        monkeypatch.setenv(name, value)
    host = await install(terminal.directory)
    capsys.readouterr()
    return host


def page_of(host: Host, terminal: Terminal, issued_at: int | None = None) -> str:
    """The address of the plugin's page as a browser is sent to it."""
    from addonkit.testing.variables import Variables

    descriptor = Deployment.read(terminal.directory / "addon.toml").descriptor.document
    variables = Variables.of(issue={"id": "10001"})
    return host.site.page_url(descriptor, "stranger-notes-panel", None, variables, "acc-1", issued_at=issued_at)


def test_check_token_accepts_a_whole_address(host: Host, terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    address = page_of(host, terminal)
    result = tell(terminal, monkeypatch, address + "\n")
    assert result.code == 0, result
    assert lines(result)[-1] == ["ok", "token"]
    assert f"accepted: site '{host.site.base_url}'" in result.out
    assert address.rpartition(".")[2] not in result.out


def test_check_token_exits_with_1_for_a_refused_token(
    host: Host, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = tell(terminal, monkeypatch, page_of(host, terminal, issued_at=1_700_000_000), "--json")
    assert result.code == 1
    assert orjson.loads(result.out)[-1]["check"] == "times"


def test_check_token_takes_the_request_as_an_option(
    host: Host, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, _, token = page_of(host, terminal).partition("&jwt=")
    result = tell(terminal, monkeypatch, token, "--request", request)
    assert result.code == 0, result


def test_check_token_refuses_a_token_in_the_arguments_without_repeating_it(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = tell(terminal, monkeypatch, "a.b.c", "--request", "GET /page?jwt=geheim.geheim.geheim")
    assert "which every user of this machine can read there" in result.sentence
    assert "geheim" not in result.err


@pytest.mark.sqlite
def test_check_token_needs_a_deployment_that_has_started(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    result = tell(terminal, monkeypatch, "a.b.c")
    assert result.sentence == "there is no encryption key yet, so no site has installed; start the add-on first"
    variables = {"ADDONKIT_SECURITY__ENCRYPTION_KEYS": orjson.dumps([KEY]).decode()}
    monkeypatch.setattr(sys, "stdin", io.StringIO("a.b.c"))
    assert "run 'addonkit migrate'" in terminal("check", "--token", **variables).sentence
    assert not list(terminal.directory.glob("*.db*"))


def test_check_token_does_not_echo_the_token_on_a_terminal(host: Host, terminal: Terminal) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "addonkit", "check", "--token"],
        cwd=terminal.directory,
        env=environment(**stored_in(terminal.directory)),
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        assert process.stdout is not None
        shown = os.read(ours, 1000)
        os.write(ours, page_of(host, terminal).encode() + b"\n")
        out, code = process.stdout.read(), process.wait(60)
        shown += os.read(ours, 1000)
    os.close(ours)
    assert b"Token or address:" in shown
    assert b"jwt" not in shown
    assert (code, b"accepted: site" in out) == (0, True)
