"""Processes that serve: the garbage collector during their start, and their end."""

import gc
import subprocess
import sys

import pytest
from addonkit.cli import serve as serve_command
from addonkit.cli.process import collector_paused, fast_loop
from addonkit.server.supervisor import Supervisor
from addonkit.settings import read_settings


@pytest.fixture(autouse=True)
def restored():
    yield
    gc.enable()
    gc.unfreeze()


@pytest.mark.parametrize("error", [None, ValueError, SystemExit, KeyboardInterrupt], ids=str)
def test_garbage_collector_is_enabled_after_a_start(error):
    @collector_paused()
    def start():
        assert not gc.isenabled()
        if error:
            raise error

    if error:
        with pytest.raises(error):
            start()
    else:
        start()
    assert gc.isenabled()


def test_garbage_collector_of_a_serving_process_ignores_what_the_start_has_created():
    with collector_paused(), fast_loop():
        assert gc.isenabled()
        assert gc.get_freeze_count() > 10_000


def test_garbage_collector_of_a_supervisor_is_enabled(tmp_path, monkeypatch):
    found = []

    async def run(*_):
        found.append(gc.isenabled())
        return True

    monkeypatch.setattr(Supervisor, "run", run)
    database = {"url": "postgres://nobody@127.0.0.1:9/none"}
    addon = {"key": "a", "name": "A", "base_url": "https://addon.example.com", "plugins": ["macro"]}
    settings = read_settings(None, {"addon": addon, "database": database})
    with collector_paused():
        assert serve_command._supervise(tmp_path / "addon.toml", settings, "127.0.0.1:0", 2, None, False)
    assert found == [True]


@pytest.mark.parametrize(
    ("code", "before", "output"),
    [
        (0, "print('text', end='')", "text"),
        (1, "sys.stderr.write('text')", "text"),
        (0, "atexit.register(print, 'at the end')", "at the end\n"),
        (3, "threading.Thread(target=time.sleep, args=[600]).start()", ""),
        (0, "sys.stdout.close()", ""),
        (0, "sys.stdout = sys.stderr = None", ""),
        (0, "os.close(1)", ""),
    ],
    ids=["output", "error", "atexit", "thread", "closed", "none", "no descriptor"],
)
def test_process_ends_at_once_after_what_was_written(code, before, output):
    imports = "import atexit, os, sys, threading, time\nfrom addonkit.cli.process import exit_at_once"
    script = f"{imports}\n{before}\nexit_at_once({code})"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout + ended.stderr) == (code, output)
