"""Fixtures for pytest; pytest loads this module wherever addonkit is installed.

The fixtures ``addon`` and ``host`` are asynchronous and need pytest-asyncio with ``asyncio_mode = "auto"``. The rest of
addonkit is imported when a fixture is used, because every run of pytest on the machine loads this module.
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
    """Drop the database of a test after the test, so that a long run does not fill the server's disk."""
    folder = getattr(item, "funcargs", {}).get("tmp_path")
    try:
        return (yield)
    finally:
        databases = sys.modules.get("addonkit.testing.databases")
        if databases is not None and folder is not None:
            databases.drop_databases(folder)


@pytest.fixture
def addonkit_config() -> Mapping[str, Any]:
    """The tables of the configuration file, by name; override this fixture in a plugin's tests."""
    return {}


@pytest.fixture
def addonkit_install_keys() -> InstallKeys:
    """The RSA key pair that signs ``installed`` and ``uninstalled``."""
    from addonkit.testing.keys import InstallKeys

    return InstallKeys()


@pytest.fixture
def addonkit_rest(addonkit_install_keys: InstallKeys) -> RestApi:
    """The simulated REST API of the host's sites; ``host.rest`` is the same object."""
    from addonkit.testing.rest import RestApi

    return RestApi(addonkit_install_keys)


@pytest.fixture
async def addon(
    addonkit_config: Mapping[str, Any], addonkit_rest: RestApi, tmp_path: Path
) -> AsyncIterator[Application]:
    """The add-on of ``addonkit_config``, not started; its database has tables without rows.

    ``ADDONKIT_TEST_DATABASE`` selects SQLite or PostgreSQL.
    """
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
    """Create an add-on from a configuration, and a database with its tables.

    Args:
        config: Tables by name, as in ``addon.toml``.
        directory: The folder that relative paths in the configuration start from.
    """
    from addonkit.app import create_addon
    from addonkit.app.migrate import enabled_apps
    from addonkit.testing.databases import create_tables

    addon = create_addon(config, directory)
    await create_tables(addon.deployment.location, enabled_apps(addon.deployment))
    return addon


def completed(config: Mapping[str, Any], server: str, directory: Path) -> dict[str, Any]:
    """Return the configuration with default values for tests, which the configuration overrides.

    Args:
        config: Tables by name.
        server: URL of the simulated key host and token server.
        directory: The folder of the database on SQLite.
    """
    from addonkit.testing.databases import database_settings

    defaults: dict[str, dict[str, Any]] = {
        "addon": {"key": "com.example.test", "name": "Test", "base_url": BASE_URL},
        "database": {} if "url" in config.get("database", {}) else database_settings(directory, create=False),
        "host": {"install_keys": [server], "token_server": server, "domains": ["127.0.0.1"]},
    }
    whole = {name: {**table, **config.get(name, {})} for name, table in defaults.items()}
    return {**config, **whole}
