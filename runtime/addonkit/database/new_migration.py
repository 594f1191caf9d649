"""Writes an app's next migration from its models, and refuses what fails on tables with rows.

A new column that is NOT NULL gets the model's default as a default of the database, in the migration only: the step
then works on tables with rows, and the previous release can still insert. Such a default stays when the model changes.
"""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

from tortoise.apps import Apps
from tortoise.context import TortoiseContext
from tortoise.exceptions import ConfigurationError
from tortoise.fields.base import Field
from tortoise.fields.data import IntField, JSONField
from tortoise.fields.relational import RelationalField
from tortoise.migrations.autodetector import MigrationAutodetector
from tortoise.migrations.migration import Migration
from tortoise.migrations.operations import AlterField, Operation, RenameField
from tortoise.migrations.schema_generator.state import ModelState, State
from tortoise.migrations.writer import MigrationWriter, format_migration_name

from addonkit.database.columns import is_constant
from addonkit.database.connection import RUNTIME_APP, RUNTIME_MODULES, AppModules, tortoise_config
from addonkit.database.dropped_columns import drop_warnings
from addonkit.database.errors import error_summary
from addonkit.database.location import Location
from addonkit.database.migration_faults import StepFault, step_faults
from addonkit.database.migration_files import check_graph
from addonkit.database.model_states import project_state
from addonkit.database.schema_editors import Loader, StepFailed
from addonkit.errors import PluginError

PLAIN = (bool, int, float, str, Decimal)


class Autodetector(MigrationAutodetector):
    """Tortoise's comparison of models and migrations, with defaults of the database for new columns."""

    _before: State

    def __init__(self, apps: Apps, apps_config: dict[str, dict[str, Any]]) -> None:
        super().__init__(apps, apps_config)
        self.loader = Loader(apps_config, self.loader.recorder)

    async def _project_state(self) -> State:
        self._before = await project_state(self.loader, self._full_plan())
        return self._before.clone()

    def _current_state(self) -> State:
        state = super()._current_state()
        for key, model in state.models.items():
            before = self._before.models.get(key) or self._same_table(model)
            if before is not None:
                _keep_defaults(before, model)
        return state

    def _same_table(self, model: ModelState) -> ModelState | None:
        same = (one for one in self._before.models.values() if (one.app, one.table) == (model.app, model.table))
        return next(same, None)

    async def writer_of(self, app: str) -> MigrationWriter | None:
        """Return the writer of an app's next migration; None if its models have not changed."""
        for writer in await self.changes():
            if writer.app_label == app:
                current = self._current_state()
                writer.operations = list(_with_kept_columns(writer.operations, current, app))
                return writer
        return None

    def state_before(self) -> State:
        """Return the models as the migrations leave them, once the next migration was written."""
        return self._before.clone()

    async def released_faults(self, app: str) -> list[StepFault]:
        """Find the faults of an app's migrations."""
        await self.loader.build_graph()
        state = await project_state(self.loader, [])
        faults = []
        for key in self._full_plan():
            migration = self.loader.graph.nodes[key]
            assert isinstance(migration, Migration)  # noqa: S101 - the graph was validated; for the type checker
            found = step_faults(key.app_label, key.name, migration.operations, state)
            faults += found if key.app_label == app else []
        return faults


def _keep_defaults(before: ModelState, model: ModelState) -> None:
    for name, field in model.fields.items():
        if isinstance(field, RelationalField) or field.pk or field.null or field.has_db_default():
            continue
        known = before.fields.get(name)
        if known is None:
            value = _constant_default(field)
            if value is not None:
                field.db_default = value
        elif known.has_db_default() and field.default is not None:
            field.db_default = known.db_default


def _constant_default(field: Field[Any]) -> Any:
    """Return a model's default as a constant of the database; None if it is none."""
    default = field.default
    if isinstance(field, JSONField):
        default = default() if default in (dict, list) else default
        return default if isinstance(default, (dict, list)) else None
    if isinstance(default, Enum):
        default = default.value
    if not isinstance(default, PLAIN) or not is_constant(default):
        return None
    # PostgreSQL does not take TRUE for a number.
    return int(default) if isinstance(default, bool) and isinstance(field, IntField) else default


def _with_kept_columns(operations: Iterable[Operation], state: State, app: str) -> Iterable[Operation]:
    """Let a renamed field with ``source_field`` keep its column, which Tortoise's RenameField renames."""
    for operation in operations:
        yield operation
        if isinstance(operation, RenameField):
            field = state.models[(app, operation.model_name)].fields[operation.new_name]
            if field.source_field:
                yield AlterField(model_name=operation.model_name, name=operation.new_name, field=field)


async def make_migration(
    app: str,
    apps: Mapping[str, AppModules],
    name: str | None = None,
    *,
    force: bool = False,
    on_warning: Callable[[str], None] = lambda _: None,
) -> Path | None:
    """Write an app's next migration from its models; None if the models have not changed.

    Call it for one app at a time: initial migrations that are written together would not depend on each other.

    Args:
        app: The plugin's name.
        apps: Every installed plugin that has tables.
        name: What the migration does, in a few words; None names it after the time.
        force: Write steps that fail on tables with rows or break the previous release, instead of refusing them.
        on_warning: Called with a sentence for each column or table that the step drops.

    Raises:
        PluginError: The plugin has no tables, a step would fail, or the migrations of a plugin cannot be loaded.
    """
    modules = _modules_of(app, apps)
    _make_package(str(modules.migrations))
    check_graph(apps)
    async with TortoiseContext() as context, _named_steps():
        detector = await _detector(context, apps)
        if detector is None:
            return None
        try:
            writer = await _checked_writer(detector, app, name, force=force, on_warning=on_warning)
        except ConfigurationError as exc:
            raise PluginError(
                f"plugin '{app}': the step cannot be written, because a field takes a name that another still has "
                f"({exc}); give the new field a name, column and related_name of its own, and remove the old one in a "
                "later release",
                plugin=app,
            ) from exc
        return None if writer is None else Path(writer.write())


async def _checked_writer(
    detector: Autodetector, app: str, name: str | None, *, force: bool, on_warning: Callable[[str], None]
) -> MigrationWriter | None:
    writer = await detector.writer_of(app)
    if writer is not None and name and not writer.initial:
        writer.name = format_migration_name(int(writer.name.partition("_")[0]), name)
    if not force:
        before = detector.state_before()
        faults = list(_renamed_tables(app, writer.name if writer else "next", detector, before))
        _refuse(faults + (step_faults(app, writer.name, writer.operations, before) if writer else []), app)
    if writer is not None:
        for warning in drop_warnings(app, writer.operations, detector.state_before()):
            on_warning(warning)
    return writer


async def released_faults(app: str, apps: Mapping[str, AppModules]) -> list[StepFault]:
    """Find the migrations of an app that fail on tables with rows or break the previous release.

    Args:
        app: The plugin's name.
        apps: Every installed plugin that has tables.

    Raises:
        PluginError: The plugin has no tables, or the migrations of a plugin cannot be loaded.
    """
    _modules_of(app, apps)
    check_graph(apps)
    async with TortoiseContext() as context, _named_steps():
        detector = await _detector(context, apps)
        return [] if detector is None else await detector.released_faults(app)


@asynccontextmanager
async def _named_steps() -> AsyncIterator[None]:
    """Convert the error of a step into one that names its plugin.

    Raises:
        PluginError: A step does not fit those before it.
    """
    try:
        yield
    except StepFailed as failed:
        reason = error_summary(failed.__cause__ or failed)
        raise PluginError(
            f"plugin '{failed.app}' has the step '{failed.name}', which does not fit the steps before it ({reason}); "
            "correct it",
            plugin=failed.app,
        ) from failed


def _modules_of(app: str, apps: Mapping[str, AppModules]) -> AppModules:
    modules = {RUNTIME_APP: RUNTIME_MODULES, **apps}.get(app)
    if modules is None or modules.migrations is None:
        raise PluginError(f"plugin '{app}' has no models, so there is nothing to migrate; add models", plugin=app)
    return modules


async def _detector(context: TortoiseContext, apps: Mapping[str, AppModules]) -> Autodetector | None:
    # Models and files are compared; no connection is opened.
    config = tortoise_config(Location("sqlite://unused.db"), apps)
    await context.init(config=config, init_connections=False)
    return None if context.apps is None else Autodetector(context.apps, config["apps"])


def _renamed_tables(app: str, step: str, detector: Autodetector, before: State) -> Iterable[StepFault]:
    """Find models whose table was changed in their Meta, for which Tortoise writes no operation."""
    for (label, name), model in detector._current_state().models.items():  # noqa: SLF001 - of its own class
        known = before.models.get((label, name))
        table = known.options.get("table", known.table) if known else None
        if label == app and table and table != model.table:
            yield StepFault(
                app,
                step,
                str(table),
                f"the table is renamed to '{model.table}', so the previous release can neither read nor write it",
                "keep its name with 'table' in the model's Meta",
                "",
            )


def _refuse(faults: list[StepFault], app: str) -> None:
    if faults:
        lines = "\n".join(fault.describe(released=False) for fault in faults)
        raise PluginError(f"{lines}\nnothing was written; '--force' writes it all the same", plugin=app)


def _make_package(module: str) -> None:
    parent, _, last = module.rpartition(".")
    directory = Path(next(iter(importlib.import_module(parent).__path__))) / last
    directory.mkdir(exist_ok=True)
    init = directory / "__init__.py"
    if not init.exists():
        init.write_text('"""Migrations of this plugin\'s tables."""\n', encoding="utf-8")
    importlib.invalidate_caches()
