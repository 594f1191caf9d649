"""Random ids: no two are equal, also after a process was forked."""

import re
import secrets
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from addonkit.random_id import DRAWN_AT_ONCE, new_id

FORKED = """
import os, sys
from addonkit.random_id import new_id
new_id()
for _ in range(3):
    if os.fork() == 0:
        print(*(new_id() for _ in range(300)))
        sys.stdout.flush()
        os._exit(0)
    os.wait()
print(*(new_id() for _ in range(300)))
"""


def test_random_id_is_16_hexadecimal_digits_and_never_repeated():
    drawn = [new_id() for _ in range(5 * DRAWN_AT_ONCE)]
    assert len(set(drawn)) == len(drawn)
    assert all(re.fullmatch("[0-9a-f]{16}", one) for one in drawn)


def test_random_id_of_a_forked_process_is_its_own():
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, check=True, timeout=60)
    drawn = done.stdout.split()
    assert (len(drawn), len(set(drawn))) == (1200, 1200)


def test_random_id_of_each_thread_is_its_own():
    with ThreadPoolExecutor(8) as pool:
        drawn = [one for part in pool.map(lambda _: [new_id() for _ in range(2000)], range(8)) for one in part]
    assert len(set(drawn)) == len(drawn)


def test_random_ids_are_drawn_many_at_a_time(monkeypatch):
    draws = []
    real = secrets.token_hex
    monkeypatch.setattr(secrets, "token_hex", lambda size: draws.append(size) or real(size))
    for _ in range(4 * DRAWN_AT_ONCE):
        new_id()
    assert len(draws) == 4
