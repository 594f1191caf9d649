"""Writes the tables about Forge's manifests from the installed npm package @forge/manifest, for a new version of it.

usage: make forge && .venv/bin/python tools/forge_data.py

Only facts are taken: names, JSON types, required fields, values and scopes; the package's schema is not copied.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "tests/forge/node_modules/@forge/manifest"
DATA = ROOT / "runtime/addonkit/forge/data"
CONNECT = "connect-"
SCOPES = ("shipyard-scopes", "deprecated-shipyard-scopes")
MODULE_TYPE = re.compile(r'AllModuleTypes\["(?!CoreService")\w+"\] = "([^"]+)"')
VERSION = re.compile(r"(?<=@forge/manifest )[0-9.]*[0-9]")

Facts = tuple[str, tuple[str, ...], tuple[str, ...]]
"""JSON type, required fields and values of a field."""


class Schema:
    """The package's schema of manifests."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._definitions = content["definitions"]
        self.modules: Mapping[str, Any] = self._definitions["ModuleSchema"]["properties"]

    def resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """Follow references to definitions; "#", a condition within a condition, is left."""
        while schema.get("$ref", "#") != "#":
            rest = {name: value for name, value in schema.items() if name != "$ref"}
            schema = {**self._definitions[schema["$ref"].rpartition("/")[2]], **rest}
        return schema

    def fields(self, schema: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Facts]]:
        """Yield the facts of each field below a schema by path; alternatives and themes are not entered."""
        schema = self.resolved(schema)
        if "$ref" in schema or path == "key" or path.startswith("lookAndFeel."):
            return
        if path:
            yield path, (schema["type"], tuple(schema.get("required", ())), _values(schema.get("enum", ())))
        if "anyOf" in schema:
            return
        for name, below in schema.get("properties", {}).items():
            yield from self.fields(below, f"{path}.{name}" if path else name)
        if isinstance(schema.get("items"), dict):
            yield from self.fields(schema["items"], f"{path}.*")


def _values(given: list[str]) -> tuple[str, ...]:
    """Return values without those that are another one in upper case."""
    return tuple(value for value in given if value == value.lower() or value.upper() not in given)


def connect_fields(schema: Schema) -> dict[str, Any]:
    """Return the fields of Connect modules: what most types have at a path, and the exceptions by type."""
    facts: dict[str, dict[str, Facts]] = defaultdict(dict)
    for name, module in schema.modules.items():
        if name.startswith(CONNECT):
            for path, found in schema.fields(module["items"]):
                facts[path].setdefault(name.partition(":")[2], found)
    common: dict[str, Any] = {}
    exceptions: dict[str, dict[str, dict[str, Any]]] = {}
    for place, kind in enumerate(("types", "required", "values")):
        common[kind], exceptions[kind] = _table(facts, place)
    for path in sorted(facts):
        parent, _, below = path.rpartition(".")
        for type_ in sorted(set(facts[parent]) - set(facts[path])) if below and parent else ():
            exceptions["types"].setdefault(type_, {}).setdefault(path, None)
    return {**common, "exceptions": {kind: _sorted(found) for kind, found in exceptions.items()}}


def _sorted(exceptions: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {type_: dict(sorted(found.items())) for type_, found in sorted(exceptions.items())}


def _table(facts: Mapping[str, Mapping[str, Facts]], place: int) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    common: dict[str, Any] = {}
    exceptions: dict[str, dict[str, Any]] = {}
    for path in sorted(facts):
        usual = Counter(found[place] for found in facts[path].values()).most_common(1)[0][0]
        if usual:
            common[path] = usual if isinstance(usual, str) else list(usual)
        for type_, found in facts[path].items():
            if found[place] != usual:
                value = found[place]
                exceptions.setdefault(type_, {})[path] = value if isinstance(value, str) else list(value)
    return common, exceptions


def tables(package: Path) -> dict[str, dict[str, Any]]:
    """Return the content of each data file by its name, without its source."""
    events = _read(package / "out/mapping/product-event-to-scope-mapping.json")["mapping"]
    scopes = {event["productEvent"]: event["oAuthScopes"] for event in events}
    names = (name for file in SCOPES for name in _read(package / f"out/scopes/{file}.json"))
    types = set(MODULE_TYPE.findall((package / "out/types/module-types.js").read_text(encoding="utf-8")))
    return {
        "connect_fields": connect_fields(Schema(_read(package / "out/schema/manifest-schema.json"))),
        "event_scopes": {event: found["current"] for event, found in scopes.items()},
        "granular_scopes": {
            "events": {event: sorted(found["beta"]) for event, found in scopes.items() if found.get("beta")}
        },
        "module_names": {
            "names": sorted(re.sub(r"^(core|xen):", "", name) for name in types if not name.startswith(CONNECT))
        },
        "scope_names": {"names": sorted(set(names))},
    }


def with_source(stored: Mapping[str, Any], table: Mapping[str, Any], version: str) -> dict[str, Any]:
    """Return a table with the source of the stored one, whose version is replaced."""
    source = {"_source": VERSION.sub(version, stored["_source"])} if "_source" in stored else {}
    return source | dict(table)


def main() -> int:
    """Write the tables."""
    if not PACKAGE.exists():
        print("the package is not installed; run 'make forge'", file=sys.stderr)
        return 1
    version = _read(PACKAGE / "package.json")["version"]
    for name, table in tables(PACKAGE).items():
        path = DATA / f"{name}.json"
        text = json.dumps(with_source(_read(path), table, version), indent=1)
        path.write_text(f"{text}\n", encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main())
