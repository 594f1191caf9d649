"""A plugin package with models and migrations, installed in a folder, whose files a test breaks in one way each."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

NAME = "own"
MODELS = """
from addonkit import TenantModel
from tortoise import fields
from tortoise.manager import Manager
from tortoise.models import Model


class Thing(TenantModel):
    id = fields.IntField(primary_key=True)
    title = fields.CharField(50)
{more}
    class Meta:
        table = "own_thing"
"""
INITIAL = """
from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    initial = True
    operations = [
        ops.CreateModel(
            name="Thing",
            fields=[
                ("tenant_id", fields.IntField(db_index=True)),
                ("id", fields.IntField(primary_key=True, unique=True, db_index=True)),
                ("title", fields.CharField(max_length=50)),
            ],
            options={"table": "own_thing", "app": "own", "pk_attr": "id"},
            bases=["TenantModel"],
        ),
    ]
"""
STEP = """
from tortoise import migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = {dependencies}
    run_before = {run_before}
    operations = {operations}
"""
PLUGIN = """
from addonkit import Plugin

plugin = Plugin("own", __name__, models="addonkit_own.models")
{more}
"""


def step(dependencies: object = (("own", "0001_initial"),), operations: str = "[]", run_before: object = ()) -> str:
    """Return the text of a migration."""
    return STEP.format(dependencies=list(dependencies), operations=operations, run_before=list(run_before))  # type: ignore[call-overload]


@dataclass(frozen=True, slots=True)
class FaultyPlugin:
    """The package of the plugin ``own``.

    Attributes:
        path: Its folder.
    """

    path: Path

    @classmethod
    def install(cls, folder: Path) -> FaultyPlugin:
        """Create and install the package, without a fault, in a folder that is on the path."""
        plugin = cls(folder / "addonkit_own")
        (plugin.path / "migrations").mkdir(parents=True)
        (plugin.path / "migrations" / "__init__.py").touch()
        plugin.write("__init__.py", PLUGIN.format(more=""))
        plugin.write("models.py", MODELS.format(more=""))
        plugin.write("migrations/0001_initial.py", INITIAL)
        info = folder / "addonkit_own-1.4.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: addonkit-own\nVersion: 1.4.0\n")
        (info / "entry_points.txt").write_text("[addonkit]\nown = addonkit_own:plugin\n")
        return plugin

    def write(self, name: str, text: str) -> None:
        """Write one file of the package."""
        (self.path / name).write_text(text, encoding="utf-8")

    def add_to_models(self, field: str = "", *, after: str = "") -> None:
        """Add a field to the model ``Thing``, and more code behind it."""
        self.write("models.py", MODELS.format(more=field and f"    {field}\n") + after)

    def add_to_plugin(self, code: str) -> None:
        """Add code to the module with the ``Plugin``."""
        self.write("__init__.py", PLUGIN.format(more=code))


def forget(patch: pytest.MonkeyPatch) -> None:
    """Forget the imported package, so that the next command imports it again."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "addonkit_own"]:
        patch.delitem(sys.modules, name)


Break = Callable[[FaultyPlugin], None]
TAG = """

class Tag({base}):
    id = fields.IntField(primary_key=True)

    class Meta:
        table = "{table}"
"""
MIGRATION_FAULTS: dict[str, tuple[Break, str]] = {
    "runtime error": (
        lambda own: own.write("migrations/0002_x.py", "raise RuntimeError('not today')"),
        "'0002_x', which cannot be imported: RuntimeError: not today",
    ),
    "syntax": (
        lambda own: own.write("migrations/0002_x.py", "def ("),
        "'0002_x', which cannot be imported: SyntaxError",
    ),
    "import": (
        lambda own: own.write("migrations/0002_x.py", "import not_installed_here"),
        "ModuleNotFoundError: No module named 'not_installed_here'",
    ),
    "exit": (lambda own: own.write("migrations/0002_x.py", "raise SystemExit(3)"), "SystemExit: 3"),
    "no class": (lambda own: own.write("migrations/0002_x.py", "pass"), "'0002_x' without a class 'Migration'"),
    "other class": (
        lambda own: own.write("migrations/0002_x.py", "class Migration: pass"),
        "'0002_x' without a class 'Migration'",
    ),
    "bytes": (
        lambda own: (own.path / "migrations/0002_x.py").write_bytes(b"\xff\xfe\x00"),  # type: ignore[func-returns-value]
        "'0002_x', which cannot be imported",
    ),
    "missing parent": (
        lambda own: own.write("migrations/0002_x.py", step([("own", "0009_gone")])),
        "refers to 'own.0009_gone', which does not exist",
    ),
    "missing parent of the runtime": (
        lambda own: own.write("migrations/0002_x.py", step([("addonkit", "0099_later")])),
        "refers to 'addonkit.0099_later', which is not installed",
    ),
    "missing plugin": (
        lambda own: own.write("migrations/0002_x.py", step([("gone", "0001_initial")])),
        "refers to 'gone.0001_initial', which is not installed",
    ),
    "missing child": (
        lambda own: own.write("migrations/0002_x.py", step(run_before=[("gone", "0001_initial")])),
        "refers to 'gone.0001_initial'",
    ),
    "malformed dependency": (
        lambda own: own.write("migrations/0002_x.py", step(["own.0001_initial"])),
        "with the dependency 'own.0001_initial', expected (app, name)",
    ),
    "cycle": (
        lambda own: (  # type: ignore[func-returns-value]
            own.write("migrations/0002_x.py", step([("own", "0003_y")])),
            own.write("migrations/0003_y.py", step([("own", "0002_x")])),
        ),
        "steps that wait for each other",
    ),
    "cycle of one": (
        lambda own: own.write("migrations/0002_x.py", step([("own", "0002_x")])),
        "steps that wait for each other",
    ),
    "cycle with the runtime": (
        lambda own: own.write(
            "migrations/0002_x.py",
            step([("addonkit", "0003_jobs")], run_before=[("addonkit", "0002_history_and_releases")]),
        ),
        "steps that wait for each other",
    ),
    "two of a name": (
        lambda own: (  # type: ignore[func-returns-value]
            own.write("migrations/0002_x.py", step()),
            (own.path / "migrations/0002_x").mkdir(),
            (own.path / "migrations/0002_x/__init__.py").touch(),
        ),
        "'0002_x.py', whose name",
    ),
    "package": (
        lambda own: own.write("migrations/__init__.py", "raise RuntimeError('not today')"),
        "has migrations that cannot be imported: RuntimeError: not today",
    ),
}
FAILING_STEPS: dict[str, tuple[Break, str]] = {
    "statement": (
        lambda own: own.write("migrations/0002_x.py", step(operations="[ops.RunSQL('CREATE TABLE nonsense (')]")),
        "step '0002_x' of plugin 'own'",
    ),
    "code": (
        lambda own: own.write(
            "migrations/0002_x.py",
            step(operations="[ops.RunPython(code)]").replace("class", "async def code(*_):\n    1 / 0\n\n\nclass", 1),
        ),
        "ZeroDivisionError",
    ),
    "model that does not exist": (
        lambda own: own.write("migrations/0002_x.py", step(operations="[ops.DeleteModel(name='Nothing')]")),
        "step '0002_x' of plugin 'own'",
    ),
    "field that does not exist": (
        lambda own: own.write(
            "migrations/0002_x.py", step(operations="[ops.RemoveField(model_name='Thing', name='nothing')]")
        ),
        "step '0002_x' of plugin 'own'",
    ),
    "model twice": (
        lambda own: own.write(
            "migrations/0002_x.py", INITIAL.replace("initial = True", "dependencies = [('own', '0001_initial')]")
        ),
        "step '0002_x' of plugin 'own'",
    ),
}
MODEL_FAULTS: dict[str, tuple[Break, str]] = {
    "missing model": (
        lambda own: own.add_to_models('other = fields.ForeignKeyField("own.Nope", null=True)'),
        "relates 'Thing.other' to 'own.Nope', which is none of its models",
    ),
    "missing plugin": (
        lambda own: own.add_to_models('other = fields.ForeignKeyField("gone.Nope", null=True)'),
        "relates 'Thing.other' to 'gone.Nope'",
    ),
    "missing model of one to one": (
        lambda own: own.add_to_models('other = fields.OneToOneField("own.Nope", null=True)'),
        "relates 'Thing.other' to 'own.Nope'",
    ),
    "other plugin": (
        lambda own: own.add_to_models('note = fields.ForeignKeyField("stranger_notes.Note", null=True)'),
        "relates 'Thing.note' to 'stranger_notes.Note'",
    ),
    "other plugin by its class": (
        lambda own: own.write(
            "models.py",
            "from stranger_notes.models import Note\n"
            + MODELS.format(more="    note = fields.ForeignKeyField(Note, null=True)\n"),
        ),
        "relates 'Thing.note' to 'stranger_notes.Note'",
    ),
    "runtime": (
        lambda own: own.add_to_models('site = fields.ForeignKeyField("addonkit.TenantRow", null=True)'),
        "relates 'Thing.site' to 'addonkit.TenantRow'",
    ),
    "many to many": (
        lambda own: own.add_to_models(
            'tags = fields.ManyToManyField("own.Tag")', after=TAG.format(base="TenantModel", table="own_tag")
        ),
        "gives 'Thing' the many-to-many relation 'tags'",
    ),
    "many to many of another plugin": (
        lambda own: own.add_to_models('notes = fields.ManyToManyField("stranger_notes.Note")'),
        "gives 'Thing' the many-to-many relation 'notes'",
    ),
    "plain model": (
        lambda own: own.add_to_models(after=TAG.format(base="Model", table="own_tag")),
        "has the model 'Tag', which is not tenant-bound; derive it from 'TenantModel'",
    ),
    "manager": (
        lambda own: own.add_to_models("things = Manager()"),
        "gives 'Thing' the manager 'things', which does not filter by tenant",
    ),
    "inherited manager": (
        lambda own: own.write(
            "models.py",
            MODELS.format(more="").replace(
                "class Thing(", "class Mixin:\n    every = Manager()\n\n\nclass Thing(Mixin, "
            ),
        ),
        "gives 'Thing' the manager 'every'",
    ),
    "field of a relation": (
        lambda own: own.add_to_models(
            'tag = fields.ForeignKeyField("own.Tag", to_field="nothing", null=True)',
            after=TAG.format(base="TenantModel", table="own_tag"),
        ),
        "to the field 'nothing' of 'own.Tag'",
    ),
    "two relations of a name": (
        lambda own: own.add_to_models(
            'a = fields.ForeignKeyField("own.Tag", related_name="x", null=True)\n'
            '    b = fields.ForeignKeyField("own.Tag", related_name="x", null=True)',
            after=TAG.format(base="TenantModel", table="own_tag"),
        ),
        "has models whose relations do not fit",
    ),
    "table": (
        lambda own: own.add_to_models(after=TAG.format(base="TenantModel", table="tag")),
        "'tag'",
    ),
    "exit": (
        lambda own: own.write("models.py", "raise SystemExit(0)"),
        "SystemExit: 0",
    ),
    "syntax": (lambda own: own.write("models.py", "def ("), "SyntaxError"),
}
