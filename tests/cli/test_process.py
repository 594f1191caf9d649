"""The garbage collector during the start of processes that serve."""

import gc

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
