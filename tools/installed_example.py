"""Installs packages into a new virtual environment and serves the example add-on from there."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from projects import ROOT, ReleaseError

DEPLOYED = '["issue_panel", "macro", "licensing"]'
"""Plugins of the example that a deployment has: not the sandbox, which is not in the lock files of a deployment."""
START_S = 60.0


def run_example(
    python: str, folder: Path, installs: Sequence[Sequence[str]], variables: Mapping[str, str] | None = None
) -> None:
    """Serve the example add-on with packages that were installed into a new environment.

    Args:
        python: The interpreter.
        folder: Where to create the environment.
        installs: The words of each ``pip install``; together they must install all dependencies.
        variables: Further environment variables of the add-on.

    Raises:
        ReleaseError: A step failed.
    """
    run(python, "-m", "venv", str(folder))
    own, command = str(folder / "bin" / "python"), str(folder / "bin" / "addonkit")
    for words in installs:
        run(own, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *words)
    run(own, "-m", "pip", "check")
    port = _free_port()
    config = folder / "addon.toml"
    config.write_text((ROOT / "examples" / "team-kit" / "addon.toml").read_text())
    environment = {**os.environ, "ADDONKIT_ADDON__BASE_URL": f"http://localhost:{port}", **(variables or {})}
    run(command, "descriptor", "--config", str(config), env=environment)
    server = subprocess.Popen(
        [command, "serve", "--config", str(config), "--bind", f"127.0.0.1:{port}"], env=environment, cwd=folder
    )
    try:
        _wait_for(f"http://localhost:{port}/readyz", server)
    finally:
        server.send_signal(signal.SIGINT)
        code = server.wait(timeout=START_S)
    if code != 0:
        raise ReleaseError(f"'addonkit serve' ended with exit code {code}, expected 0")


def run(*command: str, env: Mapping[str, str] | None = None) -> None:
    """Run a command.

    Raises:
        ReleaseError: It failed; the message has its output.
    """
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=env)
    if done.returncode != 0:
        raise ReleaseError(f"'{' '.join(command[:4])} …' failed:\n{done.stdout}{done.stderr}")


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                if response.status == 200:
                    return
        except OSError:
            time.sleep(0.2)
    raise ReleaseError(f"'{url}' did not answer 200 within {START_S:g} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
