"""The packages of the comparison with other queues, and what is compared."""

from __future__ import annotations

import re
import sys

import engines
import pytest
from machine import BenchError, Sample
from worker_log import Recovery

LOCK = (engines.FOLDER / "requirements.lock").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", engines.PEERS)
def test_engine_packages_have_exact_versions_and_hashes(name):
    assert re.search(rf"^{name}==\d[\d.]* \\\n +--hash=sha256:", LOCK, re.MULTILINE)


def test_engine_lock_names_no_registry():
    assert "://" not in LOCK
    assert "--index" not in LOCK


def measured(name, title, rates, waits, recoveries=()):
    engine = engines.Engine(name, title, sys.executable, lambda: "")
    engine.rates += [Sample(*rate) for rate in rates]
    engine.waits += [Sample(wait, wait) for wait in waits]
    engine.recoveries += recoveries
    return engine


def test_results_compare_our_queue_on_postgresql_with_each_engine():
    ours = measured("addonkit", "PostgreSQL", [(6000, 9000), (7000, 10000)], [10, 12], [Recovery(12.0, 0, 0)])
    lite = measured("addonkit", "SQLite", [(8000, 9000), (8000, 9000)], [30, 40], [Recovery(1.0, 0, 1)])
    peer = measured("peer", "peer", [(600, 1000), (700, 1000)], [1000, 1200])
    found = {one.name: one for one in engines.results([ours, lite, peer])}
    assert found["no-op jobs, addonkit on PostgreSQL"].is_met
    assert not found["lone site, addonkit on SQLite"].is_met
    assert found["no-op jobs : peer"].median("clock") == 10
    assert found["CPU of a job : peer"].median("cpu") == pytest.approx((1 / 9000 + 1 / 10000) * 1000 / 2)
    assert found["jobs completed twice, addonkit on SQLite"].median("clock") == 1
    assert "recovery, peer" not in found


def test_engine_that_fails_is_named_with_its_last_line(tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "FOLDER", tmp_path)
    (tmp_path / "driver.py").write_text("import sys; sys.exit('no table\\nno queue')", encoding="utf-8")
    engine = engines.Engine("peer", "Peer", sys.executable, lambda: "")
    with pytest.raises(BenchError, match="Peer failed in 'rate': no queue"):
        engine.run("database", "rate", 5)
