"""The packages of the comparison with atlassian-connect-express: exact versions, from whatever registry npm uses."""

from __future__ import annotations

import asyncio
import json
import re

import express
import pytest

MANIFEST = json.loads((express.PEER / "package.json").read_text())["dependencies"]
LOCKED = json.loads((express.PEER / "package-lock.json").read_text())["packages"]


@pytest.mark.parametrize("name", sorted(MANIFEST))
def test_peer_packages_have_exact_versions(name):
    assert re.fullmatch(r"\d+\.\d+\.\d+", MANIFEST[name])
    assert LOCKED[f"node_modules/{name}"]["version"] == MANIFEST[name]


def test_peer_lock_names_hashes_and_no_registry():
    packages = [package for name, package in LOCKED.items() if name]
    assert [package for package in packages if "resolved" in package] == []
    assert all(package["integrity"].startswith("sha512-") for package in packages if not package.get("inBundle"))


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        pytest.param(None, "npm is not on PATH; install Node.js 20 or later", id="no npm"),
        pytest.param("echo unknown >&2; exit 1", "'npm ci --ignore-scripts' failed: unknown", id="no such version"),
        pytest.param(
            'test "$1" = ci || { echo "gyp ERR! no compiler" >&2; exit 1; }',
            "'npm rebuild sqlite3' failed: gyp ERR! no compiler",
            id="no compiler",
        ),
        pytest.param("exit 7", "'npm ci --ignore-scripts' failed: ", id="nothing said"),
        pytest.param("exec sleep 60", "'npm ci --ignore-scripts' did not end within 0.2 s", id="never ends"),
    ],
)
def test_comparison_is_left_out_with_a_reason(tmp_path, monkeypatch, capsys, script, reason):
    if script:
        npm = tmp_path / "npm"
        npm.write_text(f"#!/bin/sh\n{script}\n")
        npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin" if script else str(tmp_path))
    monkeypatch.setattr(express, "WORK", tmp_path / "work")
    monkeypatch.setattr(express, "INSTALL_S", 0.2 if script == "exec sleep 60" else 60)
    assert asyncio.run(express.express(3, 1)) == []
    assert reason in capsys.readouterr().err
