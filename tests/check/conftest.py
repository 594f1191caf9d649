"""Fixtures of the checks' tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.checks import (
    KEY_HOST,
    Outside,
)
from tests.support.public_address import NAME, Authority, resolve_to_loopback


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Outside:
    resolve_to_loopback(monkeypatch, NAME, KEY_HOST)
    return Outside(tmp_path, Authority(tmp_path))
