"""Fixtures for pytest, there wherever addonkit is installed.

Asynchronous ones: they want pytest-asyncio in its automatic mode. Everything else is imported when a fixture is asked
for, since every run of pytest on the machine loads this module.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from addonkit.testing.asgi import Application
    from addonkit.testing.host import Host
    from addonkit.testing.keys import InstallKeys
    from addonkit.testing.rest import RestApi

BASE_URL = "http://localhost:8000"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """Drop the database that a test had in its own folder, so that a long run takes no more room than a short one."""
    folder = getattr(item, "funcargs", {}).get("tmp_path")
    try:
        return (yield)
    finally:
        databases = sys.modules.get("addonkit.testing.databases")
        if databases is not None and folder is not None:
            databases.drop_databases(folder)


@pytest.fixture
def addonkit_config() -> Mapping[str, Any]:
    """What a deployment's configuration file would say; a plugin's ``conftest.py`` replaces it."""
    return {}


@pytest.fixture
def addonkit_install_keys() -> InstallKeys:
    """The key pair that installations are signed with."""
    from addonkit.testing.keys import InstallKeys

    return InstallKeys()


@pytest.fixture
def addonkit_rest(addonkit_install_keys: InstallKeys) -> RestApi:
    """The REST API of the host's sites; ``host.rest`` is the same."""
    from addonkit.testing.rest import RestApi

    return RestApi(addonkit_install_keys)


@pytest.fixture
async def addon(
    addonkit_config: Mapping[str, Any], addonkit_rest: RestApi, tmp_path: Path
) -> AsyncIterator[Application]:
    """The add-on of ``addonkit_config``, on an empty database as ``ADDONKIT_TEST_DATABASE`` says, not yet started."""
    async with addonkit_rest.serve() as url:
        yield await assemble(completed(addonkit_config, url, tmp_path), tmp_path)


@pytest.fixture
async def host(addon: Application, addonkit_install_keys: InstallKeys, addonkit_rest: RestApi) -> AsyncIterator[Host]:
    """A simulated host of the add-on, installed on one Jira site: ``host.site``."""
    from addonkit.testing.host import Host

    async with Host(addon, addonkit_install_keys, BASE_URL, addonkit_rest) as host:
        await host.install()
        yield host


async def assemble(config: Mapping[str, Any], directory: Path) -> Application:
    """The add-on that this configuration describes, on a database with its tables.

    Args:
        config: Tables by name, as in ``addon.toml``.
        directory: Where the configuration file would lie.
    """
    from addonkit.app import create_addon
    from addonkit.app.migrate import enabled_apps
    from addonkit.testing.databases import create_tables

    addon = create_addon(config, directory)
    await create_tables(addon.deployment.location, enabled_apps(addon.deployment))
    return addon


def completed(config: Mapping[str, Any], server: str, directory: Path) -> dict[str, Any]:
    """The configuration with what every test wants, where it does not say otherwise itself.

    Args:
        config: Tables by name.
        server: The host's: of installation keys, and of users' tokens.
        directory: Where the configuration file would lie.
    """
    from addonkit.testing.databases import database_settings

    defaults: dict[str, dict[str, Any]] = {
        "addon": {"key": "com.example.test", "name": "Test", "base_url": BASE_URL},
        "database": {} if "url" in config.get("database", {}) else database_settings(directory, create=False),
        "host": {"install_keys": [server], "token_server": server, "domains": ["127.0.0.1"]},
    }
    whole = {name: {**table, **config.get(name, {})} for name, table in defaults.items()}
    return {**config, **whole}
