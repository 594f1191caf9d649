"""Pending migrations: what a database lacks, read without Tortoise and without importing a plugin."""

import sys

import pytest
from addonkit.database.location import Location
from addonkit.database.pending import pending
from addonkit.errors import StorageUnavailable


@pytest.mark.sqlite
async def test_pending_check_creates_no_file(location):
    pending(location, {})
    assert not location.path.exists()


async def test_pending_check_imports_no_plugin(package, tmp_path):
    await package.make_migration()
    for module in [name for name in sys.modules if name.startswith(package.path.name)]:
        del sys.modules[module]
    package.pending()
    assert not [name for name in sys.modules if name.startswith(package.path.name)]


async def test_pending_check_refuses_a_file_with_other_contents(tmp_path):
    location = Location("sqlite://addonkit.db", directory=tmp_path)
    location.path.write_bytes(b"not a database, not at all" * 100)
    with pytest.raises(StorageUnavailable, match="cannot be read"):
        pending(location, {})
