"""Lets tests import the modules of ``benchmarks/``, which is a folder of programs and no package."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
