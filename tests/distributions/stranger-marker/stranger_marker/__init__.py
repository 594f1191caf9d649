"""A plugin that creates a file when it is imported."""

import os
from pathlib import Path

from addonkit import Plugin

if "STRANGER_MARKER" in os.environ:
    Path(os.environ["STRANGER_MARKER"]).touch()
plugin = Plugin("stranger_marker", __name__)
