"""How commands print what they list: a table for people, one JSON array for programs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click
import orjson

from addonkit.text import one_line


def print_json(value: Any) -> None:
    """Print a value for programs."""
    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def show(rows: Sequence[dict[str, Any]], columns: Sequence[str], as_json: bool) -> None:
    """Print rows as a table for people, or as one JSON array for programs.

    Args:
        rows: Values by column.
        columns: What people see, in this order; a column without a value in any row is left out.
        as_json: Whether programs read it; they get all that the rows hold.
    """
    if as_json:
        print_json(rows)
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    shown = [column for column in columns if any(_is_said(row[column]) for row in rows)]
    for column in shown:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(escape(one_line(_cell(row[column]))) for column in shown))
    # a file or a pipe gets each row on one line
    Console(width=None if sys.stdout.isatty() else 10_000).print(table)


def _is_said(value: Any) -> bool:
    # A count of nothing says something.
    return value is not False and value not in (None, "", [])


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(one) for one in value)
    return "" if value is None else str(value)
