"""Output of the reports about Forge: wrapped lines, and what the marks of sources mean."""

from __future__ import annotations

from collections.abc import Collection
from textwrap import TextWrapper

import click

from addonkit.text import one_line

WIDTH = 110
"""Columns of the reports."""


def print_wrapped(text: str, indent: str, further: int) -> None:
    """Print a text after its indent.

    Args:
        text: The text; names in it are not broken.
        indent: What the first line begins with.
        further: Columns by which the other lines are indented.
    """
    wrapper = TextWrapper(
        WIDTH,
        initial_indent=indent,
        subsequent_indent=" " * further,
        break_long_words=False,
        break_on_hyphens=False,
    )
    click.echo(wrapper.fill(one_line(text)))


def print_marks(marks: Collection[str]) -> None:
    """Print what each of the marks means; nothing without marks."""
    from addonkit.forge.data import read_data

    known = read_data("marks")["marks"]
    if marks:
        click.echo("The marks in brackets are sources:")
    for mark in known:
        if mark in marks:
            click.echo(f"  {mark}  {known[mark]['means']}")
