"""The command as a developer runs it: one process, real servers, a real installation."""

import os
import signal
import subprocess
import sys

import httpx2
import pytest
from addonkit.testing import databases

CONFIG = """
[addon]
key = "com.example.test"
name = "Test"
base_url = "http://localhost:8000"
plugins = ["sandbox"]
"""


@pytest.fixture
def started(library, tmp_path):
    """Start the sandbox of an add-on on free ports; return the process and the lines that it printed."""
    (tmp_path / "addon.toml").write_text(CONFIG)
    command = [sys.executable, "-m", "addonkit", "sandbox", "--port", "0", "--host-port", "0", "--deployment-database"]
    processes = []

    def start():
        environment = {
            **os.environ,
            "ADDONKIT_CONFIG": str(tmp_path / "addon.toml"),
            **databases.database_variables(tmp_path),
        }
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        printed = []
        for line in process.stdout:
            printed.append(line.rstrip())
            if line.startswith("Press Ctrl+C"):
                break
        return process, printed

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()


def address(printed, name):
    (line,) = [line for line in printed if line.strip().startswith(name)]
    return line.split()[-1]


def end(process):
    process.send_signal(signal.SIGTERM)
    return process.wait(timeout=20)


def test_sandbox_serves_the_printed_addresses_and_installs_the_add_on(started):
    process, printed = started()
    assert printed[0] == "Test is installed on a simulated Jira and Confluence"
    with httpx2.Client(trust_env=False) as client:
        assert client.get(address(printed, "Jira issue")).status_code == 200
        assert client.get(address(printed, "Confluence page")).status_code == 200
        assert client.get(address(printed, "Add-on")).json()["key"] == "com.example.test"
        assert client.get(address(printed, "Start")).text.count(">enabled<") == 2
    assert end(process) == 0


def test_sandbox_restart_installs_again_on_the_same_sites(started, tmp_path):
    state = tmp_path / ".sandbox" / "state.json"
    process, _ = started()
    assert end(process) == 0
    before = state.read_text()
    process, printed = started()
    assert printed[0].startswith("Test is installed")
    assert end(process) == 0
    assert _client_keys(state.read_text()) == _client_keys(before)


def _client_keys(state):
    return [line for line in state.splitlines() if "client_key" in line]
