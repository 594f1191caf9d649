"""Tortoise's states of the models between migration steps, rendered once per change.

Tortoise copies the whole state before each operation and renders a class for every model in the copy, and after each
operation it prepares the queries of all models again. With every released step, both make a run slower quadratically.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

from tortoise.migrations.graph import MigrationKey
from tortoise.migrations.loader import MigrationLoader
from tortoise.migrations.migration import Migration
from tortoise.migrations.schema_generator.state import ModelState, State
from tortoise.migrations.schema_generator.state_apps import StateApps
from tortoise.models import Model


class RenderedModels(StateApps):
    """The classes of a state's models; the queries of a class are prepared once, unless it gets further fields."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._prepared: WeakKeyDictionary[type[Model], int] = WeakKeyDictionary()

    def _build_initial_querysets(self) -> None:
        everything = self.apps
        self.apps = {
            label: {name: model for name, model in models.items() if self._prepared.get(model, 0) != _size(model)}
            for label, models in everything.items()
        }
        try:
            super()._build_initial_querysets()
            self._prepared.update((model, _size(model)) for model in self.get_models_iterable())
        finally:
            self.apps = everything


def _size(model: type[Model]) -> int:
    """Return the number of a model's fields; 0 if its relations are not resolved yet, so that it has no queries."""
    meta = model._meta  # noqa: SLF001 - as Tortoise's own states do
    return len(meta.fields_map) if meta._inited else 0  # noqa: SLF001


class ModelStates(State):
    """A state whose copies render their classes when an operation asks for them; few do."""

    def clone(self) -> State:
        """Return a copy, which later changes of this state do not affect."""
        return _copy(self, self.apps)


class _Copy(ModelStates):
    def __init__(self, models: dict[tuple[str, str], ModelState], original: StateApps) -> None:
        self.models, self._original = models, original

    def clone(self) -> State:
        return _copy(self, self._original)

    @cached_property
    def apps(self) -> StateApps:  # type: ignore[override] # an attribute of the base class
        return self._original.clone(model_states=self.models)


def _copy(state: State, original: StateApps) -> State:
    return _Copy({key: model.clone() for key, model in state.models.items()}, original)


async def project_state(
    loader: MigrationLoader, plan: Iterable[MigrationKey], connections: Mapping[str, str] | None = None
) -> State:
    """Return the models as migrations leave them, without touching the database.

    Args:
        loader: Has loaded the migrations.
        plan: The migrations, in order.
        connections: Name of the connection by app; without it, the models cannot be queried.
    """
    state = ModelStates(models={}, apps=RenderedModels(default_connections=dict(connections or {})))
    for key in plan:
        migration = loader.graph.nodes[key]
        assert isinstance(migration, Migration)  # noqa: S101 - the graph was validated; for the type checker
        await migration.apply(state, dry_run=True, schema_editor=None)
    return state
