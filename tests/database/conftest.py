"""Fixtures of the database tests: a database without tables, and a plugin package with models."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from addonkit.database.location import Location
from addonkit.testing.databases import database_settings

from tests.support.plugin_package import PluginPackage


@pytest.fixture
def location(tmp_path: Path) -> Location:
    """A database without tables."""
    return Location(**database_settings(tmp_path))


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PluginPackage:
    """An importable plugin package with models and no migrations."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(str(tmp_path))
    return PluginPackage(tmp_path)
