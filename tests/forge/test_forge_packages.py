"""Manifests before Forge's own npm package: the verdicts of the validator, beside those of our own rules."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from addonkit.app.deployment import Deployment
from addonkit.descriptor.document import AddonFacts
from addonkit.descriptor.module_types import MODULE_TYPES
from addonkit.forge.checks import check_manifest
from addonkit.forge.data import read_data
from addonkit.forge.manifest import Manifest, build, manifest_of
from addonkit.forge.manifest_file import render
from addonkit.forge.package_folder import TESTED_VERSION, Package
from addonkit.forge.rules.fields import FieldTable
from addonkit.forge.validator import BODIES, Report, validate
from addonkit.settings.forge_section import ForgeSettings

from tests.support.all_modules import TYPES, all_modules
from tests.support.forge_addon import APP
from tests.support.forge_variants import BASE, VARIANTS, Document, Variant, make_files
from tests.support.module_bodies import BODIES as MODULE_BODIES
from tests.support.module_bodies import PANEL
from tools.forge_data import tables, with_source

ROOT = Path(__file__).parent.parent.parent
FULL, TRIGGERS = "FullValidationProcessor", "ProductTriggerValidationProcessor"
PLUGINS = ("issue_panel", "macro", "licensing")
NEEDING_SCOPES = (
    "trigger avi:jira:deleted:issue, no read:jira-work",
    "trigger avi:confluence:trashed:page, scope added",
)
WRONG_BODIES = ("connect module body with wrong field", "webhook without key")

pytestmark = pytest.mark.usefixtures("forge_package")


def of_plugins(*plugins: str, **forge: Any) -> Document:
    """Return the manifest of the example add-on with some of its plugins."""
    # A plugin that demands a licence needs another one that knows them.
    addon = {"base_url": "https://kit.example.com", "plugins": list(plugins), "licensing": "licensing" in plugins}
    overrides = {"addon": addon, "forge": {"app_id": APP} | forge}
    return manifest_of(Deployment.read(ROOT / "examples/team-kit/addon.toml", overrides).registry).document


def of_all_modules() -> Document:
    facts = AddonFacts(key="com.example.kit", name="Kit", base_url="https://kit.example.com")
    return build(facts, ForgeSettings(app_id=APP), all_modules(), {"kit": frozenset({"READ", "ACT_AS_USER"})}).document


def changed(**parts: Any) -> Document:
    return deepcopy(BASE) | parts


def wrong_fields() -> list[dict[str, str]]:
    """Return a field of every module type, until each field had its turn: type to field."""
    rounds: list[dict[str, str]] = []
    for known in MODULE_TYPES.values():
        fields = [field for field in (*known.required, *known.optional) if FieldTable(known.name).json_type(field)]
        for place, field in enumerate(field for field in fields if field != "key"):
            rounds += [{}] * (place + 1 - len(rounds))
            rounds[place] = rounds[place] | {f"{min(known.products)}:{known.name}": field}
    return rounds


def with_wrong_fields(fields: dict[str, str]) -> Document:
    modules: dict[str, list[Any]] = {}
    for name, field in fields.items():
        type_ = name.partition(":")[2]
        wrong: Any = {} if FieldTable(type_).json_type(field) == "array" else []
        modules[name] = [{"key": type_} | MODULE_BODIES.get(type_, PANEL) | {field: wrong}]
    return changed(connectModules=modules)


def mutations(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield the path of each value with what is put there; ``...`` removes it."""
    for place, item in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield from (((*path, place), one) for one in (..., 3, {}))
        yield from mutations(item, (*path, place))


def mutated(path: tuple[Any, ...], value: Any) -> Document:
    document = deepcopy(BASE)
    target: Any = document
    for step in path[:-1]:
        target = target[step]
    if value is ...:
        del target[path[-1]]
    else:
        target[path[-1]] = value
    return document


def with_events(*, with_scopes: bool) -> Document:
    events = read_data("event_scopes")
    document = deepcopy(BASE)
    document["modules"]["trigger"].append({"key": "all", "endpoint": "addonkit-events", "events": sorted(events)})
    if with_scopes:
        document["permissions"]["scopes"] += sorted({scope for scopes in events.values() for scope in scopes})
    return document


MANIFESTS = {
    **{f"plugin {name}": lambda name=name: of_plugins(name) for name in PLUGINS},
    "plugins together": lambda: of_plugins(*PLUGINS),
    "a migration guide": lambda: of_plugins(
        *PLUGINS, migration_guide="https://kit.example.com/moving", will_migrate="yes"
    ),
    "regions": lambda: of_plugins(*PLUGINS, residency={"EU": "https://eu.kit.example.com"}),
    "all modules": of_all_modules,
    "all scopes": lambda: changed(permissions={"scopes": read_data("scope_names")["names"]}),
    "all events": lambda: with_events(with_scopes=True),
}
"""Manifests that both checkers accept."""
ROUNDS, MUTATIONS = wrong_fields(), list(mutations(BASE))


@pytest.fixture(scope="module")
def documents() -> dict[str, Document]:
    """All manifests of this module by name; one process checks them, since compiling the schema takes seconds."""
    return {
        **{name: make() for name, make in MANIFESTS.items()},
        **{f"variant {variant.name}": variant.document() for variant in VARIANTS},
        **{f"fields {place}": with_wrong_fields(fields) for place, fields in enumerate(ROUNDS)},
        **{f"mutation {place}": mutated(path, value) for place, (path, value) in enumerate(MUTATIONS)},
        "events without scopes": with_events(with_scopes=False),
    }


@pytest.fixture(scope="module")
def reports(
    forge_package: Package, documents: dict[str, Document], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Report]:
    folder = tmp_path_factory.mktemp("manifests")
    make_files(folder)
    paths = [folder / f"{place}.yml" for place in range(len(documents))]
    for path, document in zip(paths, documents.values(), strict=True):
        path.write_text(render(Manifest(document, {})), encoding="utf-8")
    return dict(zip(documents, validate(forge_package, paths), strict=True))


def accepted(report: Report, part: str) -> bool:
    assert report.failure is None
    (verdict,) = [verdict for verdict in report.verdicts if verdict.part == part]
    return verdict.accepted


def findings(report: Report) -> list[str]:
    assert report.failure is None
    return [f"{verdict.part}: {found.message}" for verdict in report.verdicts for found in verdict.findings]


def test_package_is_of_the_tested_version(forge_package: Package):
    assert forge_package.version == TESTED_VERSION


def test_data_files_are_those_that_the_package_gives(forge_package: Package):
    for name, table in tables(forge_package.folder).items():
        stored = dict(read_data(name))
        assert with_source(stored, table, TESTED_VERSION) == stored, f"run tools/forge_data.py: {name} differs"


@pytest.mark.parametrize("name", MANIFESTS)
def test_manifest_is_accepted_by_every_processor_every_schema_and_our_rules(
    name: str, reports: dict[str, Report], documents: dict[str, Document]
):
    assert findings(reports[name]) == []
    assert all(verdict.accepted for verdict in reports[name].verdicts)
    assert check_manifest(documents[name]) == ()


def test_manifest_of_all_modules_has_the_83_types(documents: dict[str, Document]):
    assert set(documents["all modules"]["connectModules"]) == TYPES
    assert len(TYPES) == 83


@pytest.mark.parametrize("variant", VARIANTS, ids=[variant.name for variant in VARIANTS])
def test_variant_has_the_verdict_of_the_validator(variant: Variant, reports: dict[str, Report]):
    report = reports[f"variant {variant.name}"]
    assert accepted(report, FULL) is variant.accepted
    assert accepted(report, BODIES) is (variant.name not in WRONG_BODIES)
    if variant.accepted:
        assert accepted(report, TRIGGERS) is (variant.name not in NEEDING_SCOPES)


def test_field_of_a_wrong_type_is_refused_by_the_schemas_and_by_our_rules(
    reports: dict[str, Report], documents: dict[str, Document]
):
    for place, fields in enumerate(ROUNDS):
        wrong = {f"/connectModules/{name}/0/{field}" for name, field in fields.items()}
        assert {found.pointer for found in reports[f"fields {place}"].verdicts[-1].findings} >= wrong
        assert {found.pointer for found in check_manifest(documents[f"fields {place}"])} >= wrong


def test_change_that_the_package_refuses_is_refused_by_our_rules(
    reports: dict[str, Report], documents: dict[str, Document], tmp_path: Path
):
    """Remove or replace each value of a manifest in turn."""
    make_files(tmp_path)
    missed = []
    for place, (path, value) in enumerate(MUTATIONS):
        report = reports[f"mutation {place}"]
        is_refused = report.failure is not None or not all(verdict.accepted for verdict in report.verdicts)
        ours = check_manifest(documents[f"mutation {place}"], folder=tmp_path)
        if is_refused and not any(finding.level == "error" for finding in ours):
            missed.append((path, value))
    assert len(MUTATIONS) > 300
    assert missed == []


def test_event_without_its_scopes_is_refused_by_the_package_and_by_our_rules(
    reports: dict[str, Report], documents: dict[str, Document]
):
    report, events = reports["events without scopes"], read_data("event_scopes")
    assert accepted(report, FULL)
    assert not accepted(report, TRIGGERS)
    assert len(check_manifest(documents["events without scopes"])) == len(events)
