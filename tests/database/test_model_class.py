"""Model classes are created without parsing their source, and keep the comments of their fields."""

import importlib
import inspect
import sys

import pytest
from addonkit.database.model_class import ModelClass
from addonkit.database.models import AppliedRelease
from addonkit.jobs.models import JobRow
from addonkit.tenancy.models import TenantRow
from addonkit.tenant_data.model import TenantModel
from tortoise import models

SOURCE = """
from addonkit import TenantModel
from tortoise import fields

{before}
class Item(TenantModel):
    {comment}
    title = fields.TextField()

    class Meta:
        table = "commented_item"
"""


@pytest.fixture
def parsed(monkeypatch):
    """The classes whose source is parsed."""
    classes = []
    real = inspect.getsource

    def getsource(which):
        classes.append(which.__name__)
        return real(which)

    monkeypatch.setattr(models.inspect, "getsource", getsource)
    return classes


@pytest.fixture
def load(tmp_path, monkeypatch):
    """A function that imports a module with a model."""
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("commented", None)

    def make(comment, before=""):
        (tmp_path / "commented.py").write_text(SOURCE.format(comment=comment, before=before))
        importlib.invalidate_caches()
        return importlib.import_module("commented").Item

    yield make
    sys.modules.pop("commented", None)


@pytest.mark.parametrize(
    ("comment", "before", "description"),
    [
        ("#: The title.", "", "The title."),
        ("#: The title of a {{model}}.", "", "The title of a Item."),
        ("#: The title.\n    #: In one line.", "", "The title."),
        ("# A private comment.", "#: Of something else.\nLIMIT = 1\n", None),
    ],
    ids=["comment", "with the class", "two lines", "elsewhere"],
)
def test_comment_above_a_field_is_its_description(load, parsed, comment, before, description):
    model = load(comment.replace("{{", "{").replace("}}", "}"), before)
    assert model._meta.fields_map["title"].description == description
    assert parsed == ["Item"]


@pytest.mark.parametrize("comment", ["", "# A private comment.", "#A: private"], ids=["none", "private", "spelling"])
def test_model_without_comments_is_not_parsed(load, parsed, comment):
    assert load(comment)._meta.fields_map["title"].description is None
    assert parsed == []


def test_model_of_a_module_without_a_file_is_created(parsed):
    made = ModelClass("Made", (TenantModel,), {"__module__": "nowhere"})
    assert "tenant_id" in made._meta.fields_map
    assert parsed == ["Made"]


@pytest.mark.parametrize("model", [TenantRow, JobRow, AppliedRelease, TenantModel], ids=lambda model: model.__name__)
def test_models_of_the_runtime_are_not_parsed(model):
    assert model._no_comments
