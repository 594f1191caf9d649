"""``make bench``: what the add-on costs over its server, held against goals.

Exit status: 0 all goals met, 1 a goal missed or nothing to measure with, 2 a wrong command line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
from collections.abc import Sequence

from machine import BenchError, Sample, can_pin, find_wrk, keep_to_clients_core
from measures import MEASURES
from results import Clock, Result
from rich.console import Console
from rich.table import Table

FEWEST_PAIRS = 3
WIDTH = 140
CAPTION = "goals are held against the bold figure; by CPU: requests for each second that the server had its core"


def main() -> int:
    """Measure, show, and say whether all goals are met."""
    wanted = arguments()
    progress = Console(stderr=True)
    results: list[Result] = []
    failed = False
    try:
        find_wrk()
        keep_to_clients_core()
        asyncio.run(measure(wanted, results, progress))
    except BenchError as wrong:
        progress.print(f"bench: {wrong}", markup=False)
        failed = True
    if wanted.json:
        print(json.dumps([as_json(one) for one in results], indent=2))
    else:
        Console(width=None if sys.stdout.isatty() else WIDTH).print(table(results))
    missed = [one.name for one in results if one.is_met is False]
    if missed:
        progress.print(
            f"missed: {', '.join(missed)}; a busy machine may be the reason: run again alone, or with more --pairs",
            markup=False,
        )
    return 1 if missed or failed else 0


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description="Measure the add-on against the bare server, in pairs.")
    parser.add_argument("--only", default=",".join(MEASURES), help=f"some of: {','.join(MEASURES)}")
    parser.add_argument("--pairs", type=int, default=7, help="interleaved pairs for each measure [7]")
    parser.add_argument("--seconds", type=int, default=2, help="length of one run of wrk [2]")
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    wanted = parser.parse_args()
    wanted.only = wanted.only.split(",")
    unknown = [name for name in wanted.only if name not in MEASURES]
    if unknown:
        parser.error(f"--only names '{unknown[0]}', expected some of {', '.join(MEASURES)}")
    if wanted.pairs < FEWEST_PAIRS or wanted.seconds < 1:
        parser.error(f"--pairs has to be {FEWEST_PAIRS} or more and --seconds 1 or more")
    return wanted


async def measure(wanted: argparse.Namespace, results: list[Result], progress: Console) -> None:
    """Append the results of the measures that were asked for, each as it is there."""
    for name in wanted.only:
        with progress.status(f"measuring: {name}"):
            results += await MEASURES[name](wanted.pairs, wanted.seconds)


def table(results: Sequence[Result]) -> Table:
    """All results, one a row."""
    cores = "servers and wrk on cores of their own" if can_pin() else "servers and wrk share their cores"
    made = Table(title="Interleaved pairs: median, least..most", caption=f"{CAPTION}; {cores}")
    made.add_column("", no_wrap=True)
    for heading in ("ours", "other", "goal", "by CPU", "by clock", ""):
        made.add_column(heading, justify="right")
    for one in results:
        verdict = {True: "[green]pass[/]", False: "[red]miss[/]", None: ""}[one.is_met]
        columns = [middle(one, one.ours), middle(one, one.theirs), str(one.goal or "")]
        made.add_row(one.name, *columns, *(spread(one, clock) for clock in ("cpu", "clock")), verdict)
    return made


def middle(result: Result, side: Sequence[Sample]) -> str:
    """The median of one side by the clock, with its unit."""
    if not side:
        return ""
    value = statistics.median(sample.clock for sample in side)
    return f"{value:.2f} {result.unit}" if result.unit == "s" else f"{value:,.0f} {result.unit}"


def spread(result: Result, clock: Clock) -> str:
    """Median, least and most; the goal is held against the one in bold."""
    values = result.values(clock)
    median = f"{result.median(clock):.2f}"
    shown = f"[bold]{median}[/]" if result.goal and clock == result.judged_by else median
    return f"{shown}  {min(values):.2f}..{max(values):.2f}" if len(values) > 1 else shown


def as_json(one: Result) -> dict[str, object]:
    """One result for programs."""
    clocks = {
        clock: {
            "median": one.median(clock),
            "least": min(one.values(clock)),
            "most": max(one.values(clock)),
            "ours": [getattr(sample, clock) for sample in one.ours],
            "other": [getattr(sample, clock) for sample in one.theirs],
        }
        for clock in ("cpu", "clock")
    }
    goal = {"bound": one.goal.bound, "at": "least" if one.goal.least else "most"} if one.goal else None
    return {"name": one.name, "unit": one.unit, "goal": goal, "judged_by": one.judged_by, "met": one.is_met, **clocks}


if __name__ == "__main__":
    sys.exit(main())
