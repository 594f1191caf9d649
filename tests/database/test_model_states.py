"""States of the models between migration steps: they equal Tortoise's own, and render each model once per change."""

from copy import deepcopy

import pytest
from addonkit.database.model_states import ModelStates, RenderedModels
from addonkit.tenant_data.connection import tenant_database
from tortoise import fields
from tortoise.migrations import operations as ops
from tortoise.migrations.schema_generator.state import ModelState, State
from tortoise.migrations.schema_generator.state_apps import StateApps

CONNECTIONS = {"shop": "default"}
START = [
    ops.CreateModel("Item", [("id", fields.IntField(primary_key=True)), ("title", fields.CharField(50))]),
    ops.CreateModel("Shelf", [("id", fields.IntField(primary_key=True)), ("row", fields.IntField(null=True))]),
    ops.CreateModel(
        "Part",
        [
            ("id", fields.IntField(primary_key=True)),
            ("item", fields.ForeignKeyField("shop.Item", related_name="parts")),
            ("size", fields.IntField()),
        ],
    ),
]
CHANGES = {
    "add a field": [ops.AddField("Item", "size", fields.IntField(null=True))],
    "add a relation": [ops.AddField("Shelf", "item", fields.ForeignKeyField("shop.Item", null=True))],
    "remove a field": [ops.RemoveField("Part", "size")],
    "remove a relation": [ops.RemoveField("Part", "item")],
    "alter a field": [ops.AlterField("Item", "title", fields.TextField())],
    "rename a field": [ops.RenameField("Item", "title", "heading")],
    "rename a model": [ops.RenameModel("Item", "Thing")],
    "delete a model": [ops.DeleteModel("Part")],
    "delete a model and create it again": [ops.DeleteModel("Part"), START[2]],
    "create a model before the model it refers to": [
        ops.CreateModel(
            "Box", [("id", fields.IntField(primary_key=True)), ("tag", fields.ForeignKeyField("shop.Tag"))]
        ),
        ops.CreateModel("Tag", [("id", fields.IntField(primary_key=True))]),
    ],
    "create a model before one of the models it refers to": [
        ops.CreateModel(
            "Box",
            [
                ("id", fields.IntField(primary_key=True)),
                ("item", fields.ForeignKeyField("shop.Item", related_name="boxes")),
                ("tag", fields.ForeignKeyField("shop.Tag")),
            ],
        ),
        ops.CreateModel("Tag", [("id", fields.IntField(primary_key=True))]),
    ],
    "change options": [ops.AlterModelOptions("Shelf", {"table_description": "shelves"})],
}


@pytest.fixture
async def connected(location):
    """An open database, without which no queries are prepared."""
    async with tenant_database(location, {}):
        yield


def changed(state, operations):
    for operation in deepcopy(operations):
        operation.state_forward("shop", state)
    return state


def ours():
    return changed(ModelStates(models={}, apps=RenderedModels(default_connections=CONNECTIONS)), START)


def original():
    return changed(State(models={}, apps=StateApps(default_connections=CONNECTIONS)), START)


def shown(state):
    """What operations and queries read of the classes of a state."""
    return {
        name: (
            model._meta.db_table,
            {key: type(field).__name__ for key, field in model._meta.fields_map.items()},
            model._meta.db_fields,
            model._meta.fetch_fields,
            sorted(model._meta.filters),
            sorted(model._meta.basequery_all_fields.get_sql().split(" FROM ")[0].removeprefix("SELECT ").split(",")),
        )
        for name, model in state.apps.apps["shop"].items()
    }


@pytest.mark.usefixtures("connected")
@pytest.mark.parametrize("operations", CHANGES.values(), ids=CHANGES)
async def test_state_equals_that_of_tortoise_after_a_change(operations):
    assert shown(changed(ours(), operations)) == shown(changed(original(), operations))


@pytest.mark.usefixtures("connected")
@pytest.mark.parametrize("operations", CHANGES.values(), ids=CHANGES)
async def test_copy_of_a_state_is_not_affected_by_later_changes(operations):
    state = ours()
    copy, copy_of_copy = state.clone(), state.clone().clone()
    changed(state, operations)
    assert shown(copy) == shown(copy_of_copy) == shown(original().clone())
    assert shown(state) == shown(changed(original(), operations))


@pytest.mark.usefixtures("connected")
async def test_state_that_is_copied_before_each_change_renders_one_model_per_change(monkeypatch):
    state, rendered, render = ours(), [], ModelState.render
    monkeypatch.setattr(
        ModelState, "render", lambda self, *given, **named: rendered.append(self.name) or render(self, *given, **named)
    )
    for number in range(10):
        state.clone()
        changed(state, [ops.AddField("Shelf", f"size{number}", fields.IntField(null=True))])
    assert rendered == ["Shelf"] * 10
