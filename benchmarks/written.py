"""Tables of ``docs/performance.md`` that the benchmarks write: Markdown between two comments that name the measure."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from pathlib import Path

from machine import BenchError
from results import Result

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"


def write(measure: str, results: Sequence[Result], page: Path = PAGE) -> bool:
    """Replace the table of a measure in the page; return whether the page has one.

    Raises:
        BenchError: The page has the beginning of the table, but not its end.
    """
    text = page.read_text(encoding="utf-8")
    begin, end = f"<!-- bench: {measure} -->", "<!-- end -->"
    if begin not in text:
        return False
    block = re.compile(f"{re.escape(begin)}\n.*?{re.escape(end)}", re.DOTALL)
    made = f"{begin}\n{table(results)}\n{end}"
    text, replaced = block.subn(lambda _: made, text, count=1)
    if not replaced:
        raise BenchError(f"'{page.name}' has '{begin}' without '{end}' after it; add it where the table ends")
    page.write_text(text, encoding="utf-8")
    return True


def table(results: Sequence[Result]) -> str:
    """Return the results as a Markdown table."""
    rows = ["| measure | figure | compared with the first |", "|---|---|---|"]
    for one in results:
        clock = one.judged_by
        figure = statistics.median(getattr(sample, clock) for sample in one.ours)
        is_compared = bool(one.theirs) and one.theirs is not one.ours
        ratio = f"{one.median(clock):.2f} ({min(one.values(clock)):.2f} to {max(one.values(clock)):.2f})"
        places = 1 if figure < 10 else 0
        rows.append(f"| {one.name} | {figure:,.{places}f} {one.unit} | {ratio if is_compared else ''} |")
    return "\n".join(rows)
