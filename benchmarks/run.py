"""``make bench``: measures the add-on against a bare server and compares the results with goals.

Exit status: 0 if all goals are met, 1 if a goal is missed or a benchmark cannot run, 2 for a wrong command line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
from collections.abc import Sequence

from machine import BenchError, Sample, can_pin, pin_to_clients_core
from measures import MEASURES
from results import Clock, Result
from rich.console import Console
from rich.table import Table
from written import write
from wrk import find_wrk

MIN_PAIRS = 3
WIDTH = 140
CAPTION = "goals apply to the bold figure; by CPU: requests per second of CPU time of the server"


def main() -> int:
    """Run the measures, print the results and return the exit status."""
    options = parse_options()
    progress = Console(stderr=True)
    results: list[Result] = []
    failed = False
    try:
        find_wrk()
        pin_to_clients_core()
        asyncio.run(measure(options, results, progress))
    except BenchError as error:
        progress.print(f"bench: {error}", markup=False)
        failed = True
    if options.json:
        print(json.dumps([as_json(one) for one in results], indent=2))
    else:
        Console(width=None if sys.stdout.isatty() else WIDTH).print(table(results))
    for one in results:
        if one.failed:
            progress.print(f"failed requests: {one.failed:,} in '{one.name}'", markup=False)
            failed = True
    missed = [one.name for one in results if one.is_met is False]
    if missed:
        progress.print(
            f"missed: {', '.join(missed)}; if the machine was busy, run again when it is idle, or with more --pairs",
            markup=False,
        )
    return 1 if missed or failed else 0


def parse_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description="Compare the add-on with a bare server, in interleaved pairs.")
    parser.add_argument("--only", default=",".join(MEASURES), help=f"comma-separated measures: {','.join(MEASURES)}")
    parser.add_argument("--pairs", type=int, default=7, help="interleaved pairs for each measure [7]")
    parser.add_argument("--seconds", type=int, default=2, help="length of one run of wrk [2]")
    parser.add_argument("--write", action="store_true", help="write the tables of docs/performance.md")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    options.only = options.only.split(",")
    unknown = [name for name in options.only if name not in MEASURES]
    if unknown:
        parser.error(f"unknown measure '{unknown[0]}' in --only; expected some of {', '.join(MEASURES)}")
    if options.pairs < MIN_PAIRS or options.seconds < 1:
        parser.error(f"--pairs must be at least {MIN_PAIRS} and --seconds at least 1")
    return options


async def measure(options: argparse.Namespace, results: list[Result], progress: Console) -> None:
    """Run the chosen measures; append the results of each as soon as it ends, so that a failure keeps the others."""
    for name in options.only:
        with progress.status(f"measuring: {name}"):
            found = await MEASURES[name](options.pairs, options.seconds)
        results += found
        if options.write and write(name, found):
            progress.print(f"wrote the table of '{name}' into docs/performance.md", markup=False)


def table(results: Sequence[Result]) -> Table:
    """Return a table with one row for each result."""
    cores = "servers and wrk on separate cores" if can_pin() else "servers and wrk on the same cores"
    made = Table(title="Interleaved pairs: median, minimum..maximum", caption=f"{CAPTION}; {cores}")
    made.add_column("", no_wrap=True)
    for heading in ("ours", "other", "goal", "by CPU", "by clock", ""):
        made.add_column(heading, justify="right")
    for one in results:
        verdict = {True: "[green]pass[/]", False: "[red]miss[/]", None: ""}[one.is_met]
        columns = [middle(one, one.ours), middle(one, one.theirs), str(one.goal or "")]
        made.add_row(one.name, *columns, *(spread(one, clock) for clock in ("cpu", "clock")), verdict)
    return made


def middle(result: Result, side: Sequence[Sample]) -> str:
    """Return the median of one side with its unit: by clock, but times per request by the clock that is judged."""
    if not side:
        return ""
    clock = result.judged_by if result.unit == "µs" else "clock"
    value = statistics.median(getattr(sample, clock) for sample in side)
    return f"{value:.2f} {result.unit}" if result.unit == "s" else f"{value:,.0f} {result.unit}"


def spread(result: Result, clock: Clock) -> str:
    """Return median, minimum and maximum; the figure that the goal applies to is bold."""
    values = result.values(clock)
    places = 2 if max(map(abs, values)) < 100 else 0
    median = f"{result.median(clock):,.{places}f}"
    shown = f"[bold]{median}[/]" if result.goal and clock == result.judged_by else median
    return f"{shown}  {min(values):,.{places}f}..{max(values):,.{places}f}" if len(values) > 1 else shown


def as_json(one: Result) -> dict[str, object]:
    """Return one result as JSON."""
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
    goal = {"bound": one.goal.bound, "at": "least" if one.goal.is_minimum else "most"} if one.goal else None
    verdict = {"judged_by": one.judged_by, "compared": one.compared, "failed": one.failed, "met": one.is_met}
    return {"name": one.name, "unit": one.unit, "goal": goal, **verdict, **clocks}


if __name__ == "__main__":
    sys.exit(main())
