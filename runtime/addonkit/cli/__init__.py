"""The command ``addonkit``."""

from addonkit.cli.group import main

__all__ = ["main"]
