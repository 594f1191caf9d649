"""Write ``parity.md``, what changes for the three plugins on Forge: ``python docs/make_parity.py``."""

from __future__ import annotations

from pathlib import Path

from addonkit.cli.group import cli
from click.testing import CliRunner

PAGE = Path(__file__).parent / "parity.md"
CONFIG = Path(__file__).parent.parent / "examples" / "team-kit" / "addon.toml"
HEAD = """# What changes for the three plugins on Forge

What `addonkit forge parity` prints for [examples/team-kit](../examples/team-kit/addon.toml), at the first and at the
last stage. [Moving to Forge](forge.md#what-changes) explains it.
"""


def report() -> str:
    """The page's text."""
    parts = [HEAD]
    for stage in ("connect", "forge"):
        words = ["forge", "parity", "--config", str(CONFIG), "--stage", stage]
        done = CliRunner().invoke(cli, words, catch_exceptions=False)
        title, _, text = done.output.partition("\n")
        parts.append(f"## {title[:1].upper()}{title[1:]}\n\n```text\n{text.strip()}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(report(), encoding="utf-8")
