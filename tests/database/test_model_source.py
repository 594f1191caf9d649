"""Models whose source Tortoise need not parse at each start, for comments above fields that they do not have."""

import importlib
import inspect
from pathlib import Path

import pytest
from tortoise import models
from tortoise.models import Model

MODULES = [
    "addonkit.database.models",
    "addonkit.jobs.models",
    "addonkit.tenancy.models",
    "addonkit.tenant_data.model",
    "addonkit_issue_panel.models",
    "addonkit_macro.models",
]


@pytest.mark.parametrize("name", MODULES)
def test_models_of_the_runtime_and_of_shipped_plugins_are_not_parsed(name):
    module = importlib.import_module(name)
    found = [one for one in vars(module).values() if inspect.isclass(one) and issubclass(one, Model)]
    own = [one for one in found if one.__module__ == name]
    assert own
    assert [one.__name__ for one in own if not vars(one).get("_no_comments")] == []
    assert "#:" not in Path(module.__file__).read_text()


@pytest.mark.parametrize("is_parsed", [False, True], ids=["marked", "not marked"])
def test_tortoise_parses_the_models_that_are_not_marked(monkeypatch, is_parsed):
    parsed = []
    monkeypatch.setattr(models, "_get_comments", lambda which: parsed.append(which.__name__) or {})
    attributes = {"__module__": __name__} | ({} if is_parsed else {"_no_comments": True})
    type(Model)("Made", (Model,), attributes | {"Meta": type("Meta", (), {"abstract": True})})
    assert parsed == (["Made"] if is_parsed else [])
