"""The patch for hypercorn in ``docs/decisions`` applies to the pinned version and changes no byte of a response."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.distributions.third_party import ROOT

PATCH = ROOT / "docs" / "decisions" / "hypercorn-0.18.0.patch"


@pytest.fixture
def patched(tmp_path):
    """Return a folder with the installed hypercorn after the patch."""
    spec = importlib.util.find_spec("hypercorn")
    shutil.copytree(Path(spec.origin).parent, tmp_path / "src" / "hypercorn")
    subprocess.run(["git", "apply", str(PATCH)], cwd=tmp_path, check=True, timeout=60)
    return tmp_path / "src"


def test_patched_hypercorn_answers_as_addonkits_protocol_does(patched):
    """The same tests show that this protocol answers as the installed hypercorn does."""
    assert run(patched, "-c", "import hypercorn; print(hypercorn.__file__)").startswith(str(patched))
    run(patched, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/server/test_http1.py")


def run(patched, *words):
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(patched)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    return done.stdout
