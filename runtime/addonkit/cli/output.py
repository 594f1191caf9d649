"""Output of commands: tables and JSON on standard output, progress on standard error, times."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import click
import orjson

from addonkit.text import one_line, with_json_escapes
from addonkit.timestamps import utc_time

PROGRESS_INTERVAL_S = 2.0
WIDE = 10_000
"""Columns of a file or a pipe, so that each row of a table stays on one line."""


def print_json(value: Any) -> None:
    """Print a value as indented JSON, in which no character of a text controls the terminal."""
    click.echo(with_json_escapes(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()))


def count_of(number: int, noun: str) -> str:
    """Return a number with its noun, such as ``1 site`` or ``2 sites``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def print_rows(rows: Sequence[dict[str, Any]], columns: Sequence[str], as_json: bool) -> None:
    """Print rows as a table, or as one JSON array.

    Args:
        rows: Values by column name.
        columns: The table's columns, in this order; a column that is empty in every row is omitted.
        as_json: Print JSON, with every value of the rows and not only ``columns``.
    """
    if as_json:
        print_json(rows)
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    shown = [column for column in columns if any(_has_text(row[column]) for row in rows)]
    for column in shown:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(escape(one_line(_cell_text(row[column]))) for column in shown))
    Console(width=None if sys.stdout.isatty() else WIDE).print(table)


def progress_printer(interval_s: float = PROGRESS_INTERVAL_S) -> Callable[[str], None]:
    """Return a function that prints progress lines to standard error, at most one per interval.

    The first line is printed after one interval, so that short work prints nothing. Lines in between are dropped.
    """
    printed_at = time.monotonic()

    def print_progress(line: str) -> None:
        nonlocal printed_at
        if time.monotonic() - printed_at >= interval_s:
            printed_at = time.monotonic()
            click.echo(one_line(line), err=True)

    return print_progress


def iso_time(at: float | datetime | None) -> str | None:
    """Format a time as ISO 8601 in UTC, to the second: ``2026-05-01T12:00:00Z``.

    Args:
        at: Unix time in seconds, or a datetime with a time zone.

    Returns:
        The text; None without a time, or for one that no calendar has.
    """
    moment = at.astimezone(UTC) if isinstance(at, datetime) else utc_time(at)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z") if moment else None


def _has_text(value: Any) -> bool:
    # The number 0 is shown; False, None and empty values are not.
    return value is not False and value not in (None, "", [])


def _cell_text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    return "" if value is None else str(value)
