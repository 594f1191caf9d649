"""Databases of tests: on SQLite, on a PostgreSQL server that the tests start, and on one that exists already."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from addonkit.app.deployment import Deployment
from addonkit.testing import databases
from addonkit.testing.databases import VARIABLE, database_settings, database_variables, drop_databases, run_sql
from addonkit.testing.postgresql import Server, run_in_thread

PROGRAM = """
import sys
from collections.abc import Iterator
from pathlib import Path
from addonkit.testing.databases import database_settings, run_sql
database_settings(Path("a"))
query = "SELECT current_user, datname FROM pg_database WHERE datname = current_database()"
print(run_sql(Path("a"), query), flush=True)
print(database_settings(Path("a"))["url"], flush=True)
sys.stdin.read()
"""


@pytest.fixture
def server() -> Server:
    return databases.server()


def program(variable: str, directory: Path) -> subprocess.Popen[str]:
    """Start a process that creates a database as a test run does, and waits until its standard input closes."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=directory,
        env={**os.environ, VARIABLE: variable},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def connects(url: str) -> bool:
    """Return whether a server accepts connections."""

    async def connected() -> None:
        connection = await asyncpg.connect(url, timeout=5)
        await connection.close()

    try:
        run_in_thread(connected())
    except (OSError, asyncpg.PostgresError):
        return False
    return True


@pytest.mark.sqlite
def test_database_is_a_sqlite_file_in_the_folder_by_default(tmp_path: Path) -> None:
    assert database_settings(tmp_path) == {"url": f"sqlite://{tmp_path / 'addonkit.db'}"}


def test_database_is_the_same_for_a_folder_and_another_for_another_folder(tmp_path: Path) -> None:
    first, second = database_settings(tmp_path), database_settings(tmp_path / "second")
    assert first == database_settings(tmp_path)
    assert first["url"] != second["url"]


def test_database_of_an_unknown_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "mysql")
    with pytest.raises(ValueError, match="neither 'sqlite' nor 'postgresql'"):
        databases.on_postgresql()


def test_database_is_passed_to_commands_in_their_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in database_variables(tmp_path).items():
        monkeypatch.setenv(name, value)
    (tmp_path / "addon.toml").write_text(
        '[addon]\nkey = "a"\nname = "A"\nbase_url = "http://localhost"\nplugins = ["x"]'
    )
    assert Deployment.read(tmp_path / "addon.toml").location.url == database_settings(tmp_path)["url"]


def test_database_copy_has_the_same_rows_and_is_independent(tmp_path: Path) -> None:
    source, copied = tmp_path / "source", tmp_path / "copied"
    for folder in (source, copied):
        folder.mkdir()
    database_settings(source)
    run_sql(source, "CREATE TABLE held (text text)")
    run_sql(source, "INSERT INTO held VALUES (?)", "word")
    databases.copy_database(source, copied)
    run_sql(source, "DELETE FROM held")
    assert run_sql(copied, "SELECT text FROM held") == [("word",)]


@pytest.mark.postgresql
def test_database_of_a_folder_is_dropped(tmp_path: Path, server: Server) -> None:
    url = database_settings(tmp_path)["url"]
    assert connects(url)
    drop_databases(tmp_path)
    assert not connects(url)


@pytest.mark.postgresql
def test_application_role_owns_nothing_and_cannot_bypass_policies(tmp_path: Path, server: Server) -> None:
    settings = database_settings(tmp_path)
    assert [urlsplit(settings[key]).username for key in ("url", "owner_url")] == [server.application, server.owner]
    rights = "SELECT rolsuper, rolbypassrls, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = ?"
    assert run_sql(tmp_path, rights, server.application) == [(False, False, False, False)]
    owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
    assert run_sql(tmp_path, owner) == [(server.owner,)]


@pytest.mark.parametrize("end", ["input", "interrupt", "kill"])
def test_server_stops_with_the_tests_however_they_end(tmp_path: Path, end: str) -> None:
    with program("postgresql", tmp_path) as tests:
        assert tests.stdin is not None
        assert tests.stdout is not None
        tests.stdout.readline()
        url = tests.stdout.readline().strip()
        assert connects(url)
        if end == "input":
            tests.stdin.close()
        else:
            tests.send_signal(signal.SIGINT if end == "interrupt" else signal.SIGKILL)
    folder = Path(dict(part.split("=") for part in urlsplit(url).query.split("&"))["host"])
    gone = [sys.executable, "-c", f"import os, time\nwhile os.path.exists({str(folder)!r}): time.sleep(0.02)"]
    subprocess.run(gone, timeout=30, check=True)
    assert not connects(url)


@pytest.fixture
def tester(server: Server) -> Iterator[str]:
    """A role that may create databases and roles, and nothing else."""
    role = f"{server.run}_tester"
    server.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{server.password}' CREATEDB CREATEROLE")
    yield role
    server.execute(f"DROP ROLE {role}")


@pytest.mark.postgresql
def test_server_that_existed_before_is_left_unchanged(tmp_path: Path, server: Server, tester: str) -> None:
    everything = "SELECT datname FROM pg_database UNION SELECT rolname FROM pg_roles"
    before = set(server.fetch(None, everything))
    with program(server.url_of("postgres", tester), tmp_path) as tests:
        assert tests.stdout is not None
        assert tester in tests.stdout.readline()
        assert set(server.fetch(None, everything)) > before
        tests.communicate()
    assert (tests.returncode, set(server.fetch(None, everything))) == (0, before)


@pytest.fixture
def addonkit_config() -> dict[str, object]:
    return {"addon": {"plugins": ["issue_panel"]}}


@pytest.mark.postgresql
async def test_fixtures_for_plugins_isolate_tenants_by_policies(host, tmp_path):
    page = await host.open("issue-panel-panel", issue={"id": "10001", "key": "AB-1"})
    await page.fetch("items", "POST", {"text": "Ours"})
    database = databases._databases[tmp_path]
    application = Server(database.server.url_of(database.name, database.server.application))
    assert run_sql(tmp_path, "SELECT count(*) FROM issue_panel_item") == [(1,)]
    assert application.fetch(None, "SELECT count(*) FROM issue_panel_item") == [(0,)]
