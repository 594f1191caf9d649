"""The standby of ``deploy/compose-standby.yaml``: its secrets, its scripts, and a commit on both servers."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from addonkit.database.server_url import parse_server_url
from addonkit.testing.postgresql import Server

from tests.support.deploy_folder import DEPLOY, compose, made_secrets
from tests.support.postgresql_pair import SYNCHRONOUS, Node, program, run, two_nodes, until

STUBS = {
    "gosu": '#!/bin/sh\nshift\nexec "$@"\n',
    "docker-entrypoint.sh": '#!/bin/sh\necho "$@"\n',
    "chown": "#!/bin/sh\n",
}
"""Programs of PostgreSQL's image; the account that runs these tests is the server's already."""


def standby() -> str:
    return (DEPLOY / "compose-standby.yaml").read_text()


def test_standby_gets_a_secret_that_is_generated_for_two_servers(tmp_path: Path) -> None:
    made = {file.name for file in made_secrets(tmp_path / "two", "database,standby", "kit").iterdir()}
    single = {file.name for file in made_secrets(tmp_path / "one", "database", "kit").iterdir()}
    assert made - single == {"replication_password"}
    assert set(re.findall(r"file: \./secrets/(\w+)", compose() + standby())) == made


@pytest.mark.parametrize("name", ["database__url", "database__owner_url"])
def test_secrets_for_two_servers_name_the_services_of_both_files(tmp_path: Path, name: str) -> None:
    folder = made_secrets(tmp_path / "secrets", "database,standby", "kit")
    url = parse_server_url((folder / name).read_text())
    assert (url.hosts, url.target) == ("database,standby", "read-write")
    services = re.findall(r"^  ([\w-]+):$", compose() + standby(), re.MULTILINE)
    assert {"database", "standby"} <= set(services)


def test_files_of_the_standby_exist_and_its_image_is_that_of_the_primary() -> None:
    mounted = re.findall(r"- \./([\w./-]+):", standby())
    assert mounted == ["postgresql/standby.sh", "postgresql/start-standby"]
    assert all((DEPLOY / name).stat().st_mode & 0o111 for name in mounted)
    assert re.findall(r"image: (.*)", standby()) == re.findall(r"image: (postgres.*)", compose())
    # The image runs the scripts by name, and the roles must exist before a commit waits for the standby.
    assert "roles.sql" < "standby.sh"


@dataclass(frozen=True)
class Scripts:
    """The scripts of ``deploy/postgresql`` in a folder that the server's account can read.

    Attributes:
        folder: The folder, with the secrets and stubs for programs of PostgreSQL's image.
        primary: The server to prepare and to copy.
    """

    folder: Path
    primary: Node

    @classmethod
    def copied(cls, secrets: Path, primary: Node) -> Scripts:
        """Copy scripts and secrets beside the primary's data."""
        folder, user = primary.data.parent, primary.user
        for source in (secrets, DEPLOY / "postgresql"):
            shutil.copytree(source, folder / source.name)
        if user is not None:
            shutil.chown(folder / secrets.name, user)
        (folder / "bin").mkdir()
        for name, text in STUBS.items():
            (folder / "bin" / name).write_text(text)
            (folder / "bin" / name).chmod(0o755)
        return cls(folder, primary)

    def run(self, name: str, *words: str, data: Path) -> str:
        """Run a script and return its output."""
        variables = {
            "PATH": f"{self.folder / 'bin'}:{program('psql').parent}:/usr/bin:/bin",
            "SECRETS": str(self.folder / "secrets"),
            "PGDATA": str(data),
            "PGPORT": str(self.primary.port),
            "PGHOST": str(self.primary.data),
        }
        command = ["sh", str(self.folder / "postgresql" / name), *words]
        user = self.primary.user
        done = subprocess.run(command, env=variables, user=user, cwd="/", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.mark.postgresql
def test_standby_is_built_by_its_scripts_and_can_be_promoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = made_secrets(tmp_path / "secrets", "database,standby", "kit")
    monkeypatch.setenv("PGPASSWORD", (made / "postgres_password").read_text())
    with two_nodes() as (primary, copy):
        scripts = Scripts.copied(made, primary)
        password = f"--pwfile={scripts.folder / 'secrets/postgres_password'}"
        login = ("--auth-local=trust", "--auth-host=scram-sha-256", password)
        run("initdb", "-D", primary.data, "-U", "postgres", "--no-sync", *login, user=primary.user)
        primary.start("primary")
        scripts.run("standby.sh", data=primary.data)
        primary.stop()
        primary.start("primary")
        assert scripts.run("start-standby", "127.0.0.1", data=copy.data) == "postgres\n"
        copy.start("standby")
        server, promoted = Server(primary.url), Server(copy.url)
        until(lambda: server.fetch(None, SYNCHRONOUS) == [(1,)], "the standby is not synchronous")
        server.execute("CREATE TABLE kept AS SELECT 1 AS number")
        primary.kill()
        copy.promote()
        promoted.execute("INSERT INTO kept VALUES (2)")
        assert promoted.fetch(None, "SELECT number FROM kept ORDER BY 1") == [(1,), (2,)]
        assert promoted.fetch(None, "SHOW synchronous_standby_names") == [("",)]
        # Started again, it copies nothing.
        assert scripts.run("start-standby", "127.0.0.1", data=copy.data) == "postgres\n"
