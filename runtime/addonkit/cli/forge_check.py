"""``addonkit forge check``: checks the manifest that the plugins give, or a file, by our rules and by Forge's own."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from addonkit.cli.group import with_config
from addonkit.cli.output import print_json
from addonkit.errors import ManifestInvalid, PluginError, SettingsInvalid
from addonkit.text import one_line

if TYPE_CHECKING:
    from addonkit.app.deployment import Deployment
    from addonkit.forge.findings import Finding
    from addonkit.forge.manifest_parser import ManifestFile
    from addonkit.forge.package_folder import Package
    from addonkit.forge.validator import Report

STATES = {"error": "wrong", "warning": "warn"}
PARTS = ("manifest", "app", "remotes", "connectModules", "modules", "permissions")
"""Parts that have a line even if nothing is wrong in them."""
OTHER_PARTS = ("resources", "environment", "providers", "services", "translations", "overrides")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the output.

    Attributes:
        check: The part of the manifest, or what it is compared with.
        state: ``ok``, ``warn``, ``wrong``, or ``-`` for what was not checked.
        message: A sentence without a full stop.
        pointer: The place in the manifest, as a JSON pointer; None for a line about no place.
        line: The line in the file; None without a file.
    """

    check: str
    state: str
    message: str
    pointer: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """The manifest to check.

    Attributes:
        document: As JSON values.
        file: Its file; None for the one that the plugins give.
    """

    document: Mapping[str, Any]
    file: ManifestFile | None = None

    @property
    def path(self) -> Path | None:
        """The path of its file; None without a file."""
        return self.file.path if self.file else None

    def row(self, check: str, finding: Finding, prefix: str = "") -> Row:
        """Return the line of output for a finding."""
        line = finding.line
        if line is None and self.file:
            line = self.file.line_of(finding.pointer)
        return Row(check, STATES[finding.level], prefix + finding.message, finding.pointer or None, line)


@with_config
@click.command(short_help="Check the manifest by our rules and by Forge's own.")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
@click.option(
    "--node-modules",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder with the npm package @forge/manifest. [default: searched here and beside addon.toml, and upwards]",
)
def check(config: Path | None, file: Path | None, as_json: bool, node_modules: Path | None) -> None:
    """Check FILE, or without it the manifest that the plugins give now. Exits with 1 if something is wrong.

    FILE is a manifest.yml, perhaps changed by hand; it is also compared with the configuration. If the npm package
    @forge/manifest is installed, it is asked as well. Nothing is changed, and nothing is sent over a network.

    Each line begins with ok, warn, wrong, or - for what was not checked.
    """
    from addonkit.forge.package_folder import named_package

    deployment = _deployment(config, optional=file is not None)
    package = named_package(node_modules) if node_modules else None
    states = {row.state for row in _print(_rows(deployment, file, package), file, as_json)}
    sys.exit(1 if "wrong" in states else 0)


def _deployment(config: Path | None, *, optional: bool) -> Deployment | None:
    """Read the configuration; None if it is optional, none is named, and the default file does not exist."""
    from addonkit.app.deployment import Deployment
    from addonkit.cli.logs import configure_for
    from addonkit.settings import configuration_at

    if optional and config is None and not os.environ.get("ADDONKIT_CONFIG") and not configuration_at().exists():
        return None
    deployment = Deployment.read(config)
    configure_for(deployment)
    return deployment


def _print(rows: Iterable[Row], file: Path | None, as_json: bool) -> list[Row]:
    """Print each row when it is found, or all of them as one array at the end."""
    printed = []
    for row in rows:
        printed.append(row)
        if not as_json:
            place = f"{file}:{row.line}: " if row.line is not None else f"{row.pointer}: " if row.pointer else ""
            click.echo(f"{row.state:5} {row.check:14} {one_line(place + row.message)}")
    if as_json:
        print_json([{name: getattr(row, name) for name in Row.__slots__} for row in printed])
    return printed


def _rows(deployment: Deployment | None, file: Path | None, package: Package | None) -> Iterator[Row]:
    try:
        subject = _subject(deployment, file)
    except (ManifestInvalid, PluginError, SettingsInvalid) as problem:
        yield Row("manifest", "wrong", str(problem))
        return
    yield from _by_our_rules(subject)
    if deployment is None:
        yield Row("configuration", "-", "not compared, since there is no addon.toml here; name one with --config")
    elif file:
        yield from _compared(subject, deployment)
    yield from _by_the_validator(subject, deployment, package)


def _subject(deployment: Deployment | None, file: Path | None) -> Subject:
    from addonkit.forge.manifest_file import read

    if file is not None:
        found = read(file)
        return Subject(found.document, found)
    return Subject(_generated(deployment) if deployment else {})


def _generated(deployment: Deployment) -> Mapping[str, Any]:
    from addonkit.forge.manifest import manifest_of

    return manifest_of(deployment.registry).document


def _by_our_rules(subject: Subject) -> Iterator[Row]:
    from addonkit.forge.checks import check_manifest

    folder = subject.path.absolute().parent if subject.path else None
    findings = check_manifest(subject.document, folder=folder, environment=os.environ)
    by_part: dict[str, list[Finding]] = {part: [] for part in (*PARTS, *OTHER_PARTS)}
    for finding in findings:
        part = finding.pointer.split("/")[1] if finding.pointer else ""
        by_part[part if part in by_part else "manifest"].append(finding)
    for part, found in by_part.items():
        if found:
            yield from (subject.row(part, finding) for finding in found)
        elif part in PARTS and (summary := _summary(subject, part)):
            yield Row(part, "ok", summary)


def _summary(subject: Subject, part: str) -> str:
    """Return what a part without findings holds; empty for a part that the manifest does not have."""
    from addonkit.forge.findings import mapping_at, objects_at
    from addonkit.forge.rules.remotes import base_urls
    from addonkit.forge.rules.scopes import scopes_of

    document = subject.document
    if part == "manifest":
        return str(subject.path) if subject.path else "made from the plugins"
    if part not in document:
        return ""
    if part == "app":
        app = mapping_at(document, "app")
        key = mapping_at(app, "connect").get("key")
        return f"{app['id']}, Connect key '{key}'" if key else str(app["id"])
    if part == "remotes":
        urls = (f"{remote['key']} {' '.join(base_urls(remote).values())}" for _, remote in objects_at(document, part))
        return "; ".join(urls)
    if part == "permissions":
        return ", ".join(sorted(scopes_of(document)))
    types = mapping_at(document, part)
    count = sum(len(bodies) for bodies in types.values() if isinstance(bodies, list))
    return f"{count} module{'s' * (count != 1)} of {len(types)} type{'s' * (len(types) != 1)}" if types else ""


def _compared(subject: Subject, deployment: Deployment) -> Iterator[Row]:
    """Compare a file with the configuration, and with what the plugins give now."""
    from addonkit.forge.comparison import MOST_PLACES, compare_with_settings, differences
    from addonkit.forge.rules.variables import replace_variables

    document = replace_variables(subject.document, os.environ)
    found = [subject.row("configuration", one) for one in compare_with_settings(document, deployment.settings)]
    yield from found or [Row("configuration", "ok", f"key, base URL and licensing are those of {deployment.path}")]
    if deployment.settings.forge is None:
        yield Row(
            "plugins", "-", "not compared with what the plugins give, since the configuration has no [forge] table"
        )
        return
    try:
        places = differences(document, _generated(deployment))
    except (PluginError, SettingsInvalid) as problem:
        yield Row("plugins", "-", f"not compared with what the plugins give: {problem}")
        return
    if places:
        more = f" and {len(places) - MOST_PLACES} more" if len(places) > MOST_PLACES else ""
        yield Row(
            "plugins",
            "warn",
            f"differs from what the plugins give now at {', '.join(places[:MOST_PLACES])}{more}; run 'addonkit forge "
            "manifest', unless you made these changes",
        )
    else:
        yield Row("plugins", "ok", "what the plugins give now")


def _by_the_validator(subject: Subject, deployment: Deployment | None, package: Package | None) -> Iterator[Row]:
    """Ask the named package, or the one that is found beside the configuration or in the current folder."""
    from addonkit.forge.package_folder import PACKAGE, TESTED_VERSION, find_package

    if package is None:
        package, passed_over = find_package([*([deployment.directory] if deployment else []), Path.cwd()])
        for folder in passed_over:
            reason = "since another user of this machine can change it; name it with --node-modules if you trust it"
            yield Row("validator", "warn", f"{folder} is not used, {reason}")
    if package is None:
        yield Row("validator", "-", _without_package(subject))
        return
    if package.version != TESTED_VERSION:
        yield Row(
            "validator",
            "warn",
            f"{package.folder} is {PACKAGE} {package.version}, tested with {TESTED_VERSION}; its answers may differ",
        )
    yield from _answers(subject, package, _ask(subject, package))


def _without_package(subject: Subject) -> str:
    """Return why Forge's own checks did not run, with the remedy; code beside a file may be as foreign as the file."""
    from addonkit.forge.package_folder import INSTALL, PACKAGE, find_package

    beside, _ = find_package([subject.path.absolute().parent]) if subject.path else (None, ())
    if beside is None:
        return f"{PACKAGE} is not installed, so Forge's own checks did not run; run '{INSTALL}'"
    return (
        f"{beside.folder.parent.parent} was not run, since whoever made the file may have made it too, so Forge's own "
        "checks did not run; name it with --node-modules if you trust it"
    )


def _ask(subject: Subject, package: Package) -> Report:
    """Ask the validator about the file; the manifest that the plugins give is written to a file of its own."""
    from addonkit.forge.manifest import Manifest
    from addonkit.forge.manifest_file import render
    from addonkit.forge.rules.variables import declared_variables
    from addonkit.forge.validator import validate

    variables = {name: os.environ[name] for name in declared_variables(subject.document) if name in os.environ}
    if subject.path:
        return validate(package, [subject.path], variables)[0]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "manifest.yml"
        path.write_text(render(Manifest(dict(subject.document), {})), encoding="utf-8")
        return validate(package, [path], variables)[0]


def _answers(subject: Subject, package: Package, report: Report) -> Iterator[Row]:
    """Return the validator's findings, each with the part that has it; a line number exists only for a file."""
    from addonkit.forge.package_folder import INSTALL, PACKAGE

    rows = [
        subject.row("validator", finding, f"{verdict.part}: ")
        for verdict in report.verdicts
        for finding in verdict.findings
    ]
    # The full validator refuses some manifests with findings that it calls warnings.
    refused = [one.part for one in report.verdicts if not one.accepted]
    if refused and not any(row.state == "wrong" for row in rows):
        rows.append(Row("validator", "wrong", f"{', '.join(refused)} refuses the manifest with the warnings above"))
    if report.failure:
        names = " and ".join(f"'{name}'" for name in report.absent)
        fault = f"cannot load {names}" if names else f"gave no answer: {report.failure}"
        rows.append(Row("validator", "wrong", f"{PACKAGE} {package.version} {fault}; run '{INSTALL}'"))
    for row in rows:
        yield row if subject.path else Row(row.check, row.state, row.message, row.pointer)
    if not rows:
        parts = ", ".join(verdict.part for verdict in report.verdicts)
        yield Row("validator", "ok", f"{PACKAGE} {package.version} accepts it: {parts}")
