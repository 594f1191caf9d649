"""The folder for files that the runtime writes beside its database."""

from __future__ import annotations

from pathlib import Path

import pytest
from addonkit.app import Deployment
from addonkit.settings import Settings

SERVER = "postgres://kit:word@database.example.com/kit"


def data_directory(url: str, directory: Path) -> Path:
    addon = {"key": "com.example.kit", "name": "Kit", "base_url": "http://localhost:8000", "plugins": ["kit"]}
    return Deployment(Settings.model_validate({"addon": addon, "database": {"url": url}}), directory).data_directory


def test_data_directory_is_that_of_the_sqlite_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    assert data_directory("sqlite://rows/kit.db", tmp_path / "configuration") == tmp_path / "configuration" / "rows"


def test_data_directory_on_postgresql_is_that_of_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    assert data_directory(SERVER, tmp_path) == tmp_path


@pytest.mark.parametrize("more", ["", ":/var/lib/other", ":"])
def test_data_directory_on_postgresql_is_the_first_state_directory_of_a_unit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str
) -> None:
    state = tmp_path / "addonkit-kit"
    state.mkdir()
    monkeypatch.setenv("STATE_DIRECTORY", f"{state}{more}")
    assert data_directory(SERVER, tmp_path) == state


@pytest.mark.parametrize("unusable", ["", ":", "state", "/nowhere/addonkit", ":/tmp", "."])
def test_data_directory_that_cannot_be_written_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unusable: str
) -> None:
    (tmp_path / "state").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STATE_DIRECTORY", unusable)
    assert data_directory(SERVER, tmp_path / "configuration") == tmp_path / "configuration"
