"""An add-on with an app at Forge: its configuration, and the command line beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.distributions.third_party import Terminal

APP = "ari:cloud:ecosystem::app/8a3b0b9c-1d2e-4f50-8a6b-7c8d9e0f1a2b"
FORGE = f'[forge]\napp_id = "{APP}"\n'
PLUGINS = ("issue_panel", "macro")
PUBLIC = {"base_url": "https://kit.example.com"}


def forge_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    """Return the command line in a folder with the add-on's configuration; a fixture of the modules that need it."""
    terminal = Terminal(monkeypatch, capsys, tmp_path)
    terminal.write(*PLUGINS, more=FORGE, **PUBLIC)
    return terminal
