"""Loads the migration files of plugins, and finds faults before a migration begins.

A file may fail to import, or name a parent step that does not exist, and steps may form a cycle, in which Tortoise
would search for ever. Each fault is attributed to the plugin whose file has it. ``migration_faults`` finds steps that
load but would fail on tables with rows.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

from tortoise.migrations.migration import Migration

from addonkit.database.connection import RUNTIME_APP, RUNTIME_MODULES, AppModules
from addonkit.database.errors import error_summary
from addonkit.errors import PluginError

Step = tuple[str, str]
"""A migration: its app and its name."""
Steps = Mapping[str, Migration]
FIRST, LATEST = "__first__", "__latest__"
LOAD_FAULTS = (Exception, SystemExit)
"""What code may raise while it is imported."""


def load_steps(app: str, package: str) -> dict[str, Migration]:
    """Import the migrations of one plugin, and check them by themselves.

    Args:
        app: Name of the plugin.
        package: Dotted name of its package with migrations.

    Raises:
        PluginError: A file cannot be imported, is no migration, or its steps do not follow each other.
    """
    try:
        folders = list(import_module(package).__path__)
    except LOAD_FAULTS as error:
        raise _fault(app, f"has migrations that cannot be imported: {error_summary(error)}") from error
    steps = {name: _load(app, package, name) for name in _names(app, folders)}
    _check_parents(app, steps)
    _check_order([edge for edge in _edges({app: steps}) if edge.child[0] == edge.parent[0] == app])
    return steps


def check_known(app: str, steps: Steps, known: Collection[Step]) -> None:
    """Check that the steps of other apps exist on which a plugin's steps depend.

    Args:
        app: Name of the plugin.
        steps: Its migrations.
        known: All migrations of the installed code, by their file names.

    Raises:
        PluginError: One does not exist.
    """
    apps = {owner for owner, _ in known}
    for name, step in steps.items():
        for owner, other in (*step.dependencies, *step.run_before):
            if owner == app or (owner, other) in known or (owner in apps and other in (FIRST, LATEST)):
                continue
            raise _fault(app, f"has the step '{name}', which refers to '{owner}.{other}', which is not installed")


def check_steps(app: str, package: str, known: Collection[Step]) -> None:
    """Check the migrations of one plugin by themselves and with the runtime's.

    Args:
        app: Name of the plugin.
        package: Dotted name of its package with migrations.
        known: All migrations of the installed code, by their file names.

    Raises:
        PluginError: They cannot be applied.
    """
    steps = load_steps(app, package)
    check_known(app, steps, known)
    _check_order(list(_edges({RUNTIME_APP: _runtime_steps(), app: steps})))


def _runtime_steps() -> dict[str, Migration]:
    return load_steps(RUNTIME_APP, str(RUNTIME_MODULES.migrations))


def check_graph(apps: Mapping[str, AppModules]) -> None:
    """Check the migrations of these plugins together with the runtime's.

    Raises:
        PluginError: Those of one plugin cannot be applied; the message names it. Further ones may follow.
    """
    steps = {RUNTIME_APP: _runtime_steps()}
    for app, modules in apps.items():
        if modules.migrations is not None:
            steps[app] = load_steps(app, modules.migrations)
    known = {(app, name) for app, found in steps.items() for name in found}
    for app, found in steps.items():
        check_known(app, found, known)
    _check_order(list(_edges(steps)))


@dataclass(frozen=True, slots=True)
class _Edge:
    """One step that follows another, and the plugin whose file says so."""

    author: str
    child: Step
    parent: Step


def _names(app: str, folders: Iterable[str]) -> list[str]:
    """Return the names of the migrations; ``pending`` counts files, and Tortoise imports modules."""
    files = {file.stem for folder in folders for file in Path(folder).glob("*.py") if file.stem[0] not in "_~"}
    modules = {name for _, name, is_package in pkgutil.iter_modules(folders) if not is_package and name[0] not in "_~"}
    if files - modules:
        name = min(files - modules)
        raise _fault(app, f"has the file '{name}.py', whose name is no module's, or also that of a folder", "rename it")
    return sorted(modules)


def _load(app: str, package: str, name: str) -> Migration:
    try:
        found: Any = getattr(import_module(f"{package}.{name}"), "Migration", None)
        step = found(name, app) if isinstance(found, type) and issubclass(found, Migration) else None
    except LOAD_FAULTS as error:
        raise _fault(app, f"has the step '{name}', which cannot be imported: {error_summary(error)}") from error
    if step is None:
        raise _fault(app, f"has the step '{name}' without a class 'Migration' that derives from Tortoise's")
    for reference in (*step.dependencies, *step.run_before):
        if not _is_step(reference):
            raise _fault(app, f"has the step '{name}' with the dependency {reference!r}, expected (app, name)")
    return step


def _is_step(reference: object) -> bool:
    is_pair = isinstance(reference, tuple | list) and len(reference) == 2
    return is_pair and all(isinstance(part, str) for part in reference)  # type: ignore[attr-defined]


def _check_parents(app: str, steps: Steps) -> None:
    for name, step in steps.items():
        for owner, other in (*step.dependencies, *step.run_before):
            if owner == app and other not in steps and other != FIRST:
                raise _fault(app, f"has the step '{name}', which refers to '{app}.{other}', which does not exist")


def _edges(steps: Mapping[str, Steps]) -> Iterator[_Edge]:
    for app, found in steps.items():
        for name, step in found.items():
            own = (app, name)
            yield from (_Edge(app, own, parent) for parent in _resolved(app, step.dependencies, steps))
            yield from (_Edge(app, child, own) for child in _resolved(app, step.run_before, steps))


def _resolved(app: str, references: Iterable[Step], steps: Mapping[str, Steps]) -> Iterator[Step]:
    """Yield the steps that a step of an app refers to; like Tortoise, without the first one of the app itself."""
    for owner, name in references:
        if name not in (FIRST, LATEST):
            yield owner, name
        elif owner != app and steps.get(owner):
            yield owner, (min if name == FIRST else max)(steps[owner])


def _check_order(edges: Sequence[_Edge]) -> None:
    """Check that no steps wait for each other.

    Raises:
        PluginError: Some do. A cycle through several apps is the fault of a plugin that connects its app to another.
    """
    sorter: TopologicalSorter[Step] = TopologicalSorter()
    for edge in edges:
        sorter.add(edge.child, edge.parent)
    try:
        sorter.prepare()
    except CycleError as error:
        circle: list[Step] = error.args[1]
        pairs = set(pairwise(circle))
        inside = [edge for edge in edges if {(edge.parent, edge.child), (edge.child, edge.parent)} & pairs]
        between = [edge for edge in inside if edge.parent[0] != edge.child[0]]
        author = max(edge.author for edge in between or inside)
        shown = " → ".join(f"{owner}.{name}" for owner, name in circle)
        raise _fault(author, f"has steps that wait for each other: {shown}") from None


def _fault(app: str, what: str, remedy: str = "correct the plugin, or install another release") -> PluginError:
    return PluginError(f"plugin '{app}' {what}; {remedy}", plugin=app)
