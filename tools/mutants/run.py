"""Changes one thing at a time in the code of a room, and reports the changes that no test notices: ``make mutants``.

The tests of the room run once with coverage. Mutants are drawn at random from the lines that tests reach, and each is
tried with the tests that reach its line, the quickest first. Prints the surviving mutants as diffs and a summary; the
exit status is 1 if fewer than 90 % are killed. ``equivalent.toml`` lists mutants that change nothing a test could
notice; they do not count. Tests that fail without a mutant are named and left out, if they are few.
"""

from __future__ import annotations

import argparse
import difflib
import json
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reach import COMPARING_MODELS, HERE, ROOT, Reach, TestsFail, measure
from trial import Outcome, Trial, preload, try_all

ROOMS = ROOT / "runtime" / "addonkit"
EQUIVALENT = HERE / "equivalent.toml"
NEEDED = 0.9
SAMPLE = 200
WHOLE = {"protocol"}
"""Rooms of which all mutants are tried if no sample is asked for."""
MORE_TESTS = {
    "edge": ["tests/app/test_readiness.py", "tests/app/test_asgi.py"],
    "jobs": ["tests/cli/test_jobs.py", "tests/cli/test_webhooks.py", COMPARING_MODELS],
    "tenancy": [
        *("tests/edge/test_lifecycle_*.py", "tests/cli/test_tenant*.py", "tests/cli/test_keys.py"),
        *("tests/app/test_gone_sites.py", COMPARING_MODELS),
    ],
    "tenant_data": ["tests/app/test_purge.py", "tests/database/test_purge_guard.py", COMPARING_MODELS],
}
"""Tests of the room that are in other folders, because they go through a command or a request."""
Change = tuple[str, str, str]
"""File, lines before, and lines after."""


def main(arguments: list[str] | None = None) -> int:
    """Try the mutants of one room and give the exit status."""
    chosen = parsed(arguments)
    began = time.monotonic()
    sample = chosen.sample or (None if chosen.room in WHOLE else SAMPLE)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        try:
            reach = measure(ROOMS / chosen.room, chosen.tests or tests_of(chosen.room), Path(folder))
            preload(reach.modules)
            reach = checked(reach, Path(folder), chosen.seed)
            drawn, found = draw(reach, sample, chosen.seed)
            outcomes = tried(drawn, reach, chosen, Path(folder), began + chosen.minutes * 60)
        except TestsFail as error:
            print(f"{error}\nmutants: fix the tests first", file=sys.stderr)
            return 2
    return report(chosen, found, len(drawn), outcomes, time.monotonic() - began)


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    rooms = sorted(path.name for path in ROOMS.iterdir() if (ROOT / "tests" / path.name).is_dir())
    parser = argparse.ArgumentParser(prog="mutants", description="Find changes of a room that no test notices.")
    parser.add_argument("room", choices=rooms, metavar="ROOM", help=", ".join(rooms))
    parser.add_argument("--sample", type=int, help=f"mutants to draw; {SAMPLE} by default, of 'protocol' all")
    parser.add_argument("--seed", type=int, default=1, help="number that decides which are drawn")
    parser.add_argument("--minutes", type=float, default=30.0, help="time after which no further mutant is tried")
    parser.add_argument("--processes", type=int, default=2, help="mutants that are tried at the same time")
    parser.add_argument("--tests", nargs="*", help="tests to try with; those of the room by default")
    return parser.parse_args(arguments)


def tests_of(room: str) -> list[str]:
    """Return the files and folders with the tests of a room."""
    more = (str(path.relative_to(ROOT)) for pattern in MORE_TESTS.get(room, []) for path in ROOT.glob(pattern))
    return [f"tests/{room}", *sorted(more)]


def draw(reach: Reach, sample: int | None, seed: int) -> tuple[list[dict[str, Any]], int]:
    """Return random mutants of the lines that tests reach, and the number of all."""
    places = {path: sorted(lines) for path, lines in reach.tests.items()}
    request = json.dumps({"places": places, "sample": sample, "seed": seed})
    command = [str(ROOT / ".venv-mutants/bin/python"), str(HERE / "source.py")]
    done = subprocess.run(command, input=request, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    answer = json.loads(done.stdout)
    return answer["drawn"], answer["found"]


def tried(
    drawn: list[dict[str, Any]], reach: Reach, chosen: argparse.Namespace, folder: Path, ends_at: float
) -> list[tuple[dict[str, Any], Outcome]]:
    """Try the mutants that are not listed as equivalent, and return those that were tried, with their outcomes."""
    known = set(equivalents())
    outcomes = [(one, Outcome("equivalent")) for one in drawn if change(one) in known]
    others = [one for one in drawn if change(one) not in known]
    tests = [tuple(reach.of(one["path"], one["line"])) for one in others]
    trials = [
        Trial(one["path"], one["text"], names, sum(reach.seconds.get(name, 0.0) for name in names))
        for one, names in zip(others, tests, strict=True)
    ]
    for number, outcome in try_all(trials, folder, processes=chosen.processes, seed=chosen.seed, ends_at=ends_at):
        outcomes.append((others[number], outcome))
        if outcome.verdict in {"survived", "error"}:
            print(f"\n{outcome.verdict}: {others[number]['operator']}\n{diff(others[number])}", flush=True)
            print(outcome.output if outcome.verdict == "error" else f"tests that reach it: {len(tests[number])}")
    return outcomes


def checked(reach: Reach, folder: Path, seed: int) -> Reach:
    """Run all tests in the way in which mutants are tried, but without a mutant; return the reach of those that pass.

    Raises:
        TestsFail: The tests cannot run, or too many fail.
    """
    names, path = reach.names(), min(reach.tests)
    text = (ROOT / path).read_text(encoding="utf-8")
    unchanged = Trial(path, text, tuple(names), sum(reach.seconds.values()), all=True)
    [(_, outcome)] = try_all([unchanged], folder, processes=1, seed=seed, ends_at=float("inf"))
    if outcome.verdict != "survived" and not outcome.failed:
        raise TestsFail(f"{outcome.output}\nthe tests do not run without a mutant: {outcome.verdict}")
    return reach.without(outcome.failed, outcome.output)


def report(
    chosen: argparse.Namespace,
    found: int,
    drawn: int,
    outcomes: list[tuple[dict[str, Any], Outcome]],
    seconds: float,
) -> int:
    """Print the summary and give the exit status."""
    counts = Counter(outcome.verdict for _, outcome in outcomes)
    killed = counts["killed"] + counts["timeout"]
    counted = killed + counts["survived"] + counts["error"]
    share = killed / counted if counted else 0.0
    print(f"\nroom {chosen.room}, seed {chosen.seed}, {seconds / 60:.1f} minutes")
    rows = {
        "mutants of lines that tests reach": found,
        "drawn": drawn,
        "not tried for want of time": drawn - len(outcomes),
        "listed as equivalent": counts["equivalent"],
        "killed": counts["killed"],
        "timeouts": counts["timeout"],
        "survived": counts["survived"],
        "errors": counts["error"],
    }
    for name, number in rows.items():
        print(f"  {name:<36}{number:>6}")
    print(f"  {'killed or timeout, of those tried':<36}{share:>8.1%}")
    if counts["error"] or share < NEEDED:
        print(f"mutants: at least {NEEDED:.0%} must be killed; add tests, or list what changes nothing in {EQUIVALENT}")
        return 1
    return 0


def diff(mutant: dict[str, Any]) -> str:
    """Return the mutant as a unified diff."""
    before = (ROOT / mutant["path"]).read_text(encoding="utf-8").splitlines()
    lines = difflib.unified_diff(before, mutant["text"].splitlines(), mutant["path"], "mutant", lineterm="", n=1)
    return "\n".join(lines)


def change(mutant: dict[str, Any]) -> Change:
    """Return what identifies a mutant, wherever its lines are in the file and however they are spaced."""
    lines = diff(mutant).splitlines()[2:]
    before, after = ("".join(line[1:] for line in lines if line.startswith(sign)) for sign in "-+")
    return mutant["path"], _unspaced(before), _unspaced(after)


def _unspaced(text: str) -> str:
    return "".join(text.split())


def equivalents() -> Iterator[Change]:
    """Yield the mutants that are listed as equivalent."""
    for entry in tomllib.loads(EQUIVALENT.read_text(encoding="utf-8")).get("mutant", []):
        for after in entry["after"]:
            yield entry["file"], _unspaced(entry["before"]), _unspaced(after)


if __name__ == "__main__":
    sys.exit(main())
