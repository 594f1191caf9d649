"""Asks Forge's own npm package @forge/manifest about manifests, in a Node.js process with limits.

The package is the user's: it is not part of addonkit, and is run only where it is installed. ``validate.mjs`` runs its
processors and the schema of each Connect module, which no processor applies.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import IO, Any

import orjson

from addonkit.foreign_json import loads
from addonkit.forge.findings import Finding
from addonkit.forge.package_folder import Package, foreign_folders
from addonkit.text import shortened

TIME_LIMIT_S = 120.0
"""Longest run of Node.js; a manifest takes about five seconds."""
MAX_OUTPUT = 8 * 1024 * 1024
"""Most bytes of its output that are read."""
BODIES = "schemas of Connect modules"
"""Name of the part that checks each Connect module."""

_ERROR = re.compile(r"[A-Z]\w*Error\b|Error\b")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one part of the validator says about a manifest.

    Attributes:
        part: The name of a processor, or ``BODIES``.
        accepted: Whether it accepts the manifest.
        findings: Its findings; those that an earlier part had are left out.
    """

    part: str
    accepted: bool
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What the validator says about one manifest.

    Attributes:
        verdicts: By part.
        failure: Why there is no verdict, or not one of every part; None if there is.
        absent: Modules that the package needs and that are not installed; then there is no verdict.
    """

    verdicts: tuple[Verdict, ...] = ()
    failure: str | None = None
    absent: tuple[str, ...] = ()


def validate(
    package: Package, manifests: Sequence[Path], variables: Mapping[str, str] | None = None, *, node: str | None = None
) -> tuple[Report, ...]:
    """Run the validator on manifests, all in one process, and return a report for each.

    Args:
        package: The npm package.
        manifests: Files; what a manifest names is looked up in its folder.
        variables: Values of variables for ``${VARIABLE}``.
        node: The executable of Node.js; by default the one on the path.
    """
    executable = node or shutil.which("node")
    if executable is None:
        return _failed(len(manifests), "Node.js is not installed; install version 20 or later")
    given = orjson.dumps(
        {
            "files": [str(path.absolute()) for path in manifests],
            "foreign": [str(path) for path in foreign_folders(package)],
        }
    )
    with as_file(files("addonkit.forge").joinpath("validate.mjs")) as script:
        output, failure = _run([executable, str(script), str(package.folder)], given, _environment(variables or {}))
    if failure:
        return _failed(len(manifests), failure)
    try:
        return _reports(loads(output), len(manifests))
    except (ValueError, KeyError, TypeError, AttributeError):
        return _failed(len(manifests), "its answer has an unknown form")


def _failed(count: int, failure: str) -> tuple[Report, ...]:
    return (Report(failure=failure),) * count


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of Node.js: no secret of the add-on, and nothing that changes Node.js itself."""
    values = {name: value for name, value in variables.items() if not name.startswith(("NODE_", "LD_"))}
    return values | {"PATH": os.environ.get("PATH", os.defpath)}


def _run(command: Sequence[str], given: bytes, environment: Mapping[str, str]) -> tuple[bytes, str | None]:
    """Run a program; return its output, and why it failed."""
    with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        asked.write(given)
        asked.seek(0)
        try:
            # The command is an executable of the user's and a script of this package.
            process = subprocess.Popen(command, stdin=asked, stdout=out, stderr=err, env=dict(environment))  # noqa: S603
        except OSError as error:
            return b"", f"Node.js cannot be started ({error.strerror}); install version 20 or later"
        try:
            code = process.wait(TIME_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return b"", f"it did not end within {TIME_LIMIT_S:.0f} s and was stopped"
        if code:
            return b"", f"Node.js ended with the code {code}: {_last_words(err)}"
        return _content(out), None


def _content(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read(MAX_OUTPUT)


def _last_words(file: IO[bytes]) -> str:
    """Return the line of an error output that names the error."""
    lines = [line for line in _content(file).decode(errors="replace").splitlines() if line.strip()]
    named = next(filter(_ERROR.match, lines), lines[-1] if lines else "no message")
    return shortened(named.strip(), 300)


def _reports(answer: Any, count: int) -> tuple[Report, ...]:
    if "absent" in answer:
        absent = tuple(shortened(str(one), 100) for one in answer["absent"])
        return (Report(failure=f"it lacks {' and '.join(absent)}", absent=absent),) * count
    missing = "; ".join(f"it has no {shortened(str(one), 300)}" for one in answer["missing"]) or None
    reports = tuple(_report(one, missing) for one in answer["reports"])
    return reports if len(reports) == count else _failed(count, "it left out a manifest")


def _report(answer: Any, missing: str | None) -> Report:
    if "failure" in answer:
        return Report(failure=f"it failed: {shortened(str(answer['failure']), 300)}")
    verdicts = [
        Verdict(str(one["processor"]), one["success"] is True, tuple(map(_finding, one["findings"])))
        for one in answer["results"]
    ]
    bodies = tuple(map(_finding, answer["bodies"]))
    return Report((*verdicts, Verdict(BODIES, not bodies, bodies)), missing)


def _finding(answer: Any) -> Finding:
    line = answer.get("line")
    return Finding(
        "warning" if answer["level"] == "warning" else "error",
        str(answer.get("pointer", "")),
        shortened(str(answer["message"]), 500),
        line if isinstance(line, int) else None,
    )
