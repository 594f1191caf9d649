"""``addonkit backup`` and ``restore`` as operators use them, also beside an add-on that serves."""

from __future__ import annotations

import asyncio
import signal
import socket
from contextlib import closing
from pathlib import Path

import orjson
import pytest
from addonkit.app.deployment import Deployment
from addonkit.jobs.lifecycle import enqueue_lifecycle_jobs
from addonkit.tenancy.record import IdentityKind
from addonkit.tenancy.store import TenantStore
from addonkit.tenancy.vault import Vault
from addonkit.tenant_data.connection import tenant_database
from addonkit.testing import Host, InstallKeys

from tests.distributions.third_party import Terminal, installed, run
from tests.support.encrypted_sites import NEW, OLD, give_sites, secret, secrets_of
from tests.support.served import configure, serving, until


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    terminal = Terminal(monkeypatch, capsys, tmp_path)
    terminal.write("stranger_bare")
    return terminal


@pytest.fixture
def key(terminal: Terminal) -> Path:
    file = terminal.directory / "addonkit.key"
    file.write_text(f"{OLD}\n")
    return file


def with_keys(*keys: str) -> dict[str, str]:
    """The variable that puts keys into the configuration."""
    return {"ADDONKIT_SECURITY__ENCRYPTION_KEYS": orjson.dumps(keys).decode()}


@pytest.mark.sqlite
def test_backup_prints_its_content_and_that_it_contains_the_key(terminal: Terminal, key: Path) -> None:
    give_sites(terminal.directory, 2, OLD)
    said = terminal("backup", "team.tar")
    first, second = said.out.splitlines()
    assert first.startswith(f"wrote '{terminal.directory / 'team.tar'}', 0.")
    assert "MB: 2 sites, " in first
    assert second == "it contains the key file: anyone who can read the backup can read every secret in it"


@pytest.mark.sqlite
def test_backup_without_keys_names_the_keys_to_keep(terminal: Terminal) -> None:
    give_sites(terminal.directory, 2, OLD)
    assert terminal("backup", "team.tar", **with_keys(NEW, OLD)).out.splitlines()[1] == (
        "it contains no key: its secrets need 'k1' of [security] encryption_keys; keep the two apart"
    )


@pytest.mark.sqlite
def test_backup_with_a_missing_key_is_written_and_names_it(terminal: Terminal) -> None:
    give_sites(terminal.directory, 2, OLD)
    assert terminal("backup", "team.tar", **with_keys(NEW)).out.endswith("; this deployment lacks 'k1'\n")


@pytest.mark.sqlite
def test_backup_overwrites_nothing(terminal: Terminal, key: Path) -> None:
    give_sites(terminal.directory, 1, OLD)
    (terminal.directory / "team.tar").touch()
    assert terminal("backup", "team.tar").sentence == (
        f"'{terminal.directory / 'team.tar'}' already exists, and backups overwrite nothing; name another file"
    )


@pytest.mark.sqlite
def test_restore_prints_its_result_and_what_is_left_to_do(terminal: Terminal, key: Path) -> None:
    give_sites(terminal.directory, 2, OLD)
    terminal("backup", "team.tar")
    give_sites(terminal.directory, 1, NEW)
    first, second, third = terminal("restore", "team.tar", "--replace").out.splitlines()
    assert first.startswith(f"restored '{terminal.directory / 'addonkit.db'}': 2 sites, ")
    [aside] = terminal.directory.glob("addonkit.db.*.old")
    assert second == f"the previous file is now '{aside}'"
    assert third.endswith("migrations are pending; 'addonkit serve' or 'addonkit migrate' applies them")
    assert secrets_of(terminal.directory, OLD) == [secret(0), secret(1)]


@pytest.mark.sqlite
def test_restore_on_a_new_machine_brings_the_key(terminal: Terminal, key: Path) -> None:
    give_sites(terminal.directory, 2, OLD)
    terminal("backup", "team.tar")
    for gone in (key, *terminal.directory.glob("addonkit.db*")):
        gone.unlink()
    assert f"the archive's keys are now the first in '{key}'" in terminal("restore", "team.tar").out
    assert terminal("keys", "status").code == 0


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_backup_and_restore_name_the_tools_of_postgresql(terminal: Terminal, command: str) -> None:
    url = "postgres://kit:geheim@db.invalid/kit"
    assert terminal(command, "team.tar", ADDONKIT_DATABASE__URL=url).sentence == (
        "'addonkit backup' and 'restore' are for SQLite, but [database] url names PostgreSQL; use pg_dump or "
        "pg_basebackup, and keep [security] encryption_keys separate from their output"
    )


def free_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.mark.sqlite
async def test_backup_of_a_serving_add_on_contains_all_acknowledged_installs(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    keys, bind = InstallKeys(), f"127.0.0.1:{free_port()}"
    async with keys.serve() as url:
        configure(here, url, addon={"base_url": f"http://{bind}"})
        async with serving(here, bind=bind) as served, Host(None, keys, f"http://{bind}") as host:
            installing = asyncio.create_task(_install_for_ever(host))
            await until(lambda: len(host.sites) >= 3)
            before = list(host.sites)
            said = await asyncio.to_thread(
                run, here, "backup", str(tmp_path / "a.tar"), site=installed("stranger-slow")
            )
            assert said.code == 0, said.err
            refused = await asyncio.to_thread(
                run, here, "restore", str(tmp_path / "a.tar"), "--replace", site=installed("stranger-slow")
            )
            assert "the add-on is being served on" in refused.sentence
            reached = len(host.sites)
            await until(lambda: len(host.sites) > reached)
            installing.cancel()
            await asyncio.wait([installing])
            served.send(signal.SIGTERM)
            assert await served.ended() == 0
        there.mkdir()
        configure(there, url, addon={"base_url": f"http://{bind}"})
        said = await asyncio.to_thread(
            run, there, "restore", str(tmp_path / "a.tar"), "--replace", site=installed("stranger-slow")
        )
        assert said.code == 0, said.err
    restored = Deployment.read(there / "addon.toml")
    async with tenant_database(restored.location, {}):
        store = TenantStore(Vault(restored.encryption_keys()), enqueue=enqueue_lifecycle_jobs)
        assert [(await store.find(IdentityKind.CLIENT_KEY, site.client_key)).secret.decode() for site in before] == [
            site.shared_secret for site in before
        ]


async def _install_for_ever(host: Host) -> None:
    while True:
        await host.install()
        # the machine is the add-on's as well
        await asyncio.sleep(0.02)
