"""The command: errors before anything is served, its output, and the stored state."""

import stat
from pathlib import Path
from types import SimpleNamespace

import pytest
from addonkit.testing import bind
from addonkit_sandbox import plugin
from addonkit_sandbox.command import PortTaken, addresses, run
from addonkit_sandbox.state import Macro, State, StateUnreadable
from click.testing import CliRunner


@pytest.fixture
def deployment(tmp_path, library):
    """A stand-in for a deployment with the one attribute that the command reads before it serves."""
    return SimpleNamespace(directory=tmp_path)


@pytest.fixture
def taken():
    with bind() as sock:
        sock.listen()
        yield sock.getsockname()[1]


async def test_port_of_the_add_on_in_use_is_an_error(deployment, taken):
    with pytest.raises(PortTaken, match=f"port {taken} is in use .*; choose another with --port$"):
        await run(deployment, taken, 0)


async def test_port_of_the_host_in_use_is_an_error(deployment, taken):
    with pytest.raises(PortTaken, match=f"port {taken} is in use .*; choose another with --host-port$"):
        await run(deployment, 0, taken)


def test_command_has_the_name_of_the_plugin():
    (command,) = plugin.addon_commands()
    assert command.name == "sandbox"
    shown = CliRunner().invoke(command, ["--help"]).output
    assert "--port" in shown
    assert "--host-port" in shown


def test_addresses_are_printed_one_on_each_line(simulation):
    printed = addresses(simulation)
    assert "  Jira issue       http://127.0.0.1:9000/browse/DEMO-42\n" in printed
    assert "  Confluence page  http://127.0.0.1:9000/wiki/spaces/SHOP/pages/98347\n" in printed


def test_state_keeps_sites_keys_and_macros_across_restarts(tmp_path):
    first = State(tmp_path, "http://127.0.0.1:9000")
    first.put_macro("98347", Macro("1", "poll", {"poll": "7"}))
    second = State(tmp_path, "http://127.0.0.1:9001")
    assert second.macros == first.macros
    assert second.keys.public_pem == first.keys.public_pem
    for name in ("jira", "confluence"):
        assert second.sites[name].client_key == first.sites[name].client_key
        assert second.sites[name].shared_secret == first.sites[name].shared_secret


@pytest.mark.parametrize(
    "written",
    [
        b"{",
        b"\xff",
        b"[]",
        b'{"macros": 7}',
        b'{"sites": {"jira": {"x": 1}}}',
        b'{"install_key": {"private_pem": "x"}}',
    ],
)
def test_state_file_that_is_not_valid_is_an_error(tmp_path, written):
    folder = tmp_path / ".sandbox"
    folder.mkdir()
    (folder / "state.json").write_bytes(written)
    with pytest.raises(StateUnreadable) as broken:
        State(folder, "http://127.0.0.1:9000")
    file = folder / "state.json"
    assert str(broken.value) == f"'{file}' is not valid; delete the folder '.sandbox' to start afresh"


def test_state_file_is_readable_by_its_owner_only(tmp_path):
    State(tmp_path / "s", "http://127.0.0.1:9000").save()
    assert stat.S_IMODE(Path(tmp_path / "s" / "state.json").stat().st_mode) == 0o600
