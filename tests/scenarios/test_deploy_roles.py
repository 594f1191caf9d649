"""Roles and databases that ``deploy/postgresql/roles.sql`` creates: row-level security, and nothing of each other."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from addonkit.app import Deployment
from addonkit.app.migrate import upgrade
from addonkit.check import CheckContext
from addonkit.check.database import database
from addonkit.testing import databases

from tests.support.deploy_folder import DEPLOY, made_secrets, plain_settings
from tests.support.postgresql_pair import program


@pytest.fixture
def roles(tmp_path: Path) -> Iterator[Path]:
    """A server with the two roles and the database of ``roles.sql``; gives the folder of their secrets."""
    with database_of(tmp_path, "kit") as folder:
        yield folder


@contextmanager
def database_of(directory: Path, name: str, *options: str) -> Iterator[Path]:
    """Run ``roles.sql`` and remove what it has created at the end; gives the folder of the secrets."""
    server = databases.server()
    folder = made_secrets(directory / f"secrets-{name}", "host", name)
    script = DEPLOY / "postgresql/roles.sql"
    command = [program("psql"), server.url, "--no-psqlrc", "--quiet", *options, "--file", script]
    try:
        subprocess.run(command, check=True, env={"SECRETS": str(folder), "PATH": "/usr/bin:/bin"})
        yield folder
    finally:
        server.execute(
            f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)',
            f'DROP ROLE IF EXISTS "{name}_owner"',
            f'DROP ROLE IF EXISTS "{name}_application"',
        )


@pytest.mark.postgresql
async def test_roles_are_restricted_by_row_level_security(roles: Path) -> None:
    both = {"url": as_role("kit_application", roles), "owner_url": as_role("kit_owner", roles)}
    await upgrade(on(both))
    for known in (both, {"url": both["url"]}):
        [result] = [one async for one in database(CheckContext(on(known)))]
        assert result.state == "ok", result
        assert result.message.endswith("; up to date")


@pytest.mark.postgresql
async def test_roles_do_not_let_the_application_create_tables(roles: Path) -> None:
    import asyncpg

    await upgrade(on({"url": as_role("kit_application", roles), "owner_url": as_role("kit_owner", roles)}))
    connection = await asyncpg.connect(as_role("kit_application", roles))
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("CREATE TABLE mine (id int)")
    finally:
        await connection.close()


@pytest.mark.postgresql
@pytest.mark.parametrize("name", ["jira-timer", "Polls", "kit_2", "select", "1-x"])
async def test_roles_of_one_add_on_cannot_connect_to_the_database_of_another(
    roles: Path, tmp_path: Path, name: str
) -> None:
    import asyncpg

    with database_of(tmp_path, name, "--set", f"database={name}") as folder:
        application, owner = (as_role(f"{name}_{role}", folder, name) for role in ("application", "owner"))
        await upgrade(on({"url": application, "owner_url": owner}))
        [result] = [one async for one in database(CheckContext(on({"url": application})))]
        assert result.state == "ok", result
        for role in ("application", "owner"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await asyncpg.connect(as_role(f"{name}_{role}", folder, "kit"))
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await asyncpg.connect(as_role(f"kit_{role}", roles, name))


def as_role(role: str, secrets: Path, name: str = "kit") -> str:
    """The URL of a database as a role, on the server of this run."""
    password = (secrets / f"{role.rpartition('_')[2]}_password").read_text()
    parts = urlsplit(databases.server().url_of(name))
    host = parts.netloc.rpartition("@")[2]
    return f"postgres://{role}:{password}@{host}/{name}?{parts.query}"


def on(settings: dict[str, str]) -> Deployment:
    """The deployment of the example on a database."""
    example = plain_settings()
    changed = {**example.database.model_dump(), "owner_url": None, **settings}
    return Deployment(example.model_copy(update={"database": type(example.database)(**changed)}), DEPLOY)
