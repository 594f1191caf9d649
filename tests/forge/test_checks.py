"""The runtime's own rules for a whole manifest: the verdicts of all variants, and manifests of any form."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from addonkit.forge.checks import check_manifest

from tests.support.forge_variants import BASE, VARIANTS, Variant, make_files, put


@pytest.mark.parametrize("variant", VARIANTS, ids=[variant.name for variant in VARIANTS])
def test_variant_has_the_verdict_of_our_own_rules(variant: Variant, tmp_path: Path):
    make_files(tmp_path)
    findings = check_manifest(variant.document(), folder=tmp_path)
    levels = {finding.level for finding in findings}
    assert ("error" if "error" in levels else "warning" if levels else "ok") == variant.ours
    assert variant.pointer is None or variant.pointer in {finding.pointer for finding in findings}


def test_variants_that_the_validator_refuses_are_refused_by_our_own_rules_too():
    assert [variant.name for variant in VARIANTS if not variant.accepted and variant.ours != "error"] == []


@pytest.mark.parametrize(
    "path",
    [
        "app",
        "app id",
        "app connect",
        "app runtime",
        "remotes",
        "remotes 0",
        "remotes 0 auth",
        "permissions",
        "permissions external",
        "permissions content",
        "connectModules",
        "modules",
        "modules trigger 0 events",
        "resources",
        "environment",
    ],
)
@pytest.mark.parametrize("value", [None, 3, "text", [], {}, [None], [[[]]], {"a": {"b": None}}, True], ids=repr)
def test_manifest_of_any_form_is_checked_without_a_failure(path: str, value: Any, tmp_path: Path):
    document = deepcopy(BASE)
    put(path, value)(document)
    assert isinstance(check_manifest(document, folder=tmp_path), tuple)


@pytest.mark.parametrize("document", [None, 3, "text", [], {}, [{}], {"app": None}, {3: 4, "app": {}}], ids=repr)
def test_document_that_is_no_manifest_is_an_error(document: Any):
    assert any(finding.level == "error" for finding in check_manifest(document))


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("conectModules", "did you mean 'connectModules'"),
        ("permission", "did you mean 'permissions'"),
        ("remote", "did you mean 'remotes'"),
        ("resource", "did you mean 'resources'"),
        ("zebra", "remove it"),
    ],
)
def test_unknown_part_of_a_manifest_is_an_error_with_advice(name: str, advice: str):
    document = deepcopy(BASE) | {name: BASE.get(advice.split("'")[1] if "'" in advice else "", [])}
    if "'" in advice:
        document.pop(advice.split("'")[1], None)
    messages = [finding.message for finding in check_manifest(document) if finding.pointer == f"/{name}"]
    assert len(messages) == 1
    assert advice in messages[0]
