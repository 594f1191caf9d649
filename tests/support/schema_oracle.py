"""Validates a descriptor against the host's own schemas, if this machine has them; the project does not include them.

The schemas of modules belong to another format, in which every module is in a list and webhooks have keys. Both are
added before a descriptor is validated.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

_PRODUCTS = ("jira", "confluence")
# The schema of the whole descriptor is older than these fields and would refuse them.
_NEWER_FIELDS = frozenset({"modules", "apiMigrations"})


def schemas() -> Path | None:
    """Return the folder of the schemas next to this project; None if there is none."""
    for folder in Path(__file__).resolve().parents:
        found = folder / "shared" / "spec" / "schemas"
        if found.is_dir():
            return found
    return None


def module_schemas(product: str) -> Mapping[str, Any]:
    """Return the schemas of a product's module types by name; skip the test if there are no schemas."""
    found: Mapping[str, Any] = _modules(_folder(), product)["properties"]
    return found


def assert_valid(document: Mapping[str, Any]) -> None:
    """Fail unless the descriptor is valid for the host; skip the test if there are no schemas."""
    folder = _folder()
    faults = [
        f"{_where(fault)}: {fault.message}" for fault in _addon_validator(folder).iter_errors(_jsonable(document))
    ]
    for kind, box in document.get("modules", {}).items():
        validator = _module_validator(folder, kind)
        if validator is None:
            faults.append(f"modules.{kind}: unknown module type")
            continue
        listed = [_keyed(kind, place, one) for place, one in enumerate(box if isinstance(box, list) else [box])]
        faults += [f"modules.{kind}.{_where(fault)}: {fault.message}" for fault in validator.iter_errors(listed)]
    assert not faults, "\n".join(faults)


def _folder() -> Path:
    folder = schemas()
    if folder is None:
        pytest.skip("the host's schemas are not on this machine")
    return folder


def _jsonable(document: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps({name: value for name, value in document.items() if name != "modules"}))


def _keyed(kind: str, place: int, module: Mapping[str, Any]) -> Any:
    supplied = {"key": f"webhook-{place + 1}"} if kind == "webhooks" else {}
    return json.loads(json.dumps(supplied | dict(module)))


def _where(fault: Any) -> str:
    return ".".join(str(step) for step in fault.absolute_path) or "(whole)"


@cache
def _modules(folder: Path, product: str) -> dict[str, Any]:
    text = (folder / f"connect-modules-{product}-2026-10.json").read_text(encoding="utf-8")
    # "#" inside a composite condition means a composite condition, not the whole file.
    schema: dict[str, Any] = json.loads(text.replace('"$ref": "#"', '"$ref": "#/definitions/compositeCondition"'))
    return schema


@cache
def _module_validator(folder: Path, kind: str) -> Draft7Validator | None:
    for product in _PRODUCTS:
        schema = _modules(folder, product)
        if kind in schema["properties"]:
            return Draft7Validator({"definitions": schema["definitions"], **schema["properties"][kind]})
    return None


@cache
def _addon_validator(folder: Path) -> Draft7Validator:
    schema = json.loads((folder / "jira-global-schema-2020.json").read_text(encoding="utf-8"))
    fields = {name: rule for name, rule in schema["properties"].items() if name not in _NEWER_FIELDS}
    return Draft7Validator(
        {
            "type": "object",
            "required": schema["required"],
            "properties": fields,
            "definitions": schema["definitions"],
        }
    )
