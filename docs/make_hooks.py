"""Write ``hooks.md`` from the docstrings of the hooks: ``python docs/make_hooks.py``."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from types import FunctionType

from addonkit.extension import hookspecs

PAGE = Path(__file__).parent / "hooks.md"


def reference() -> str:
    """The page's text."""
    parts = ["# Hooks", inspect.cleandoc(hookspecs.__doc__ or "").replace("``", "`")]
    source = inspect.getsource(hookspecs)
    for piece in re.split(r"(?m)^# -+\n# (?=\w)", source)[1:]:
        parts.append(f"## {piece.partition(chr(10))[0].partition(':')[0]}")
        parts.append(f"{_capital(piece.partition(chr(10))[0].partition(': ')[2])}.")
        parts += [_entry(getattr(hookspecs, name)) for name in re.findall(r"(?m)^(?:async )?def (addon_\w+)", piece)]
    return "\n\n".join(parts) + "\n"


def _entry(hook: FunctionType) -> str:
    word = "async def" if inspect.iscoroutinefunction(hook) else "def"
    return f"### `{hook.__name__}`\n\n```python\n{word} {hook.__name__}{_signature(hook)}: ...\n```\n\n{_prose(hook)}"


def _signature(hook: FunctionType) -> str:
    return str(inspect.signature(hook)).replace("'", "")


def _prose(hook: FunctionType) -> str:
    """The docstring with its sections as Markdown."""
    text = re.sub(r"``([^`]*)``", r"`\1`", inspect.getdoc(hook) or "")
    text = re.sub(r"(?m)^When: ", "**When:** ", text)
    text = re.sub(r"(?m)^(Args|Returns):\n", lambda found: f"**{found[1]}:**\n\n", text)
    text = re.sub(r"(?m)^    (\w+): ", r"- `\1`: ", text)
    return re.sub(r"(?m)^ {4,8}", "", text)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
