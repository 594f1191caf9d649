import pytest
from addonkit.context import Module
from addonkit.descriptor.document import AddonFacts, build
from addonkit.descriptor.module_types import MODULE_TYPES

from tests.support.module_bodies import BODIES, PAGE, PANEL
from tests.support.schema_oracle import assert_valid

FACTS = AddonFacts(
    key="com.example.kit",
    name="Kit",
    base_url="https://kit.example.com/app",
    description="A box of things",
    vendor={"name": "Example", "url": "https://example.com"},
    licensing=True,
)

TOOL = BODIES["jiraDevelopmentTool"] | {"key": "a"}


def module(type_):
    keyed = {} if type_ == "webhooks" else {"key": f"kit-{type_.lower()}"}
    return Module(type_, "kit", keyed | BODIES.get(type_, PANEL))


@pytest.mark.parametrize("type_", MODULE_TYPES)
def test_schema_of_the_host_accepts_what_passes_the_checks(type_):
    merged = build(FACTS, [module(type_)], {"kit": frozenset({"READ"})})
    assert list(merged.document["modules"]) == [type_]
    assert_valid(merged.document)


def test_schemas_of_the_host_accept_a_descriptor_with_every_module():
    everything = build(FACTS, [module(type_) for type_ in MODULE_TYPES], {"kit": frozenset({"READ", "ACT_AS_USER"})})
    assert_valid(everything.document)


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": "com/example"},
        {"scopes": ["EVERYTHING"]},
        {"enableLicensing": "yes"},
        {"modules": {"zebras": []}},
        {"modules": {"webPanels": [{"key": "a"}]}},
        {"modules": {"webPanels": []}},
        {"modules": {"adminPages": [PAGE | {"key": "a", "conditions": [{"type": "xor", "conditions": []}]}]}},
        {"modules": {"adminPages": [PAGE | {"key": "a", "conditions": 17}]}},
        {"modules": {"adminPages": [PAGE | {"key": "a", "conditions": [{"condition": None}]}]}},
        {"modules": {"adminPages": [PAGE | {"key": "a", "conditions": [{"type": "or", "conditions": [5]}]}]}},
        {"modules": {"adminPages": [PAGE | {"key": "a b"}]}},
        {"modules": {"adminPages": [PAGE | {"key": "a", "weight": "x"}]}},
        {"modules": {"adminPages": [PAGE | {"key": "a", "weight": True}]}},
        {"modules": {"adminPages": [PAGE | {"key": "a", "icon": {"width": 16}}]}},
        {"modules": {"adminPages": [PAGE | {"key": "a", "name": "Text"}]}},
        {"modules": {"adminPages": [PAGE | {"key": "a", "colour": "red"}]}},
        {"modules": {"adminPages": ["a"]}},
        {"modules": {"webhooks": [{"event": "jira:issue_created"}]}},
        {"modules": {"jiraDevelopmentTool": TOOL | {"capabilities": ["commit", 1]}}},
        {"modules": {"jiraDevelopmentTool": TOOL | {"capabilities": ["flag"]}}},
        {"authentication": {"type": "basic"}},
        {"lifecycle": {"installed": 5}},
        {"baseUrl": "ftp://kit.example.com"},
        {"name": "x" * 81},
    ],
)
def test_oracle_refuses_a_wrong_descriptor(wrong):
    with pytest.raises(AssertionError):
        assert_valid(build(FACTS, [], {}).document | wrong)


@pytest.mark.parametrize("field", ["key", "baseUrl", "authentication"])
def test_oracle_refuses_a_descriptor_without_a_required_field(field):
    document = {name: value for name, value in build(FACTS, [], {}).document.items() if name != field}
    with pytest.raises(AssertionError, match=f"{field}: missing"):
        assert_valid(document)
