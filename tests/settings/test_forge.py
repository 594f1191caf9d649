"""``[forge]``: what is accepted, and the sentence for everything else."""

from typing import get_args

import pytest
from addonkit.errors import SettingsInvalid
from addonkit.settings import read_settings
from addonkit.settings.forge_section import Region

APP = "ari:cloud:ecosystem::app/8a3b0b9c-1d2e-4f50-8a6b-7c8d9e0f1a2b"
ADDON = {"key": "kit", "name": "Kit", "base_url": "https://kit.example.com", "plugins": ["macro"]}


def read(**forge):
    return read_settings(None, {"addon": ADDON, "forge": {"app_id": APP} | forge}).forge


def test_forge_is_absent_without_its_table():
    assert read_settings(None, {"addon": ADDON}).forge is None


def test_forge_needs_the_app_id_alone():
    forge = read()
    assert (forge.stage, forge.environments, forge.native, forge.residency) == ("connect", ["production"], [], {})


def test_forge_accepts_every_setting():
    forge = read(
        stage="hybrid",
        environments=["production", "staging", "my-own-2"],
        native=["issue-panel-panel"],
        products={"greeting-page": "jira"},
        accepted_losses=["macro addonkit-poll"],
        migration_guide="https://kit.example.com/moving",
        will_migrate="yes",
        residency={"EU": "https://eu.kit.example.com"},
    )
    assert forge.products == {"greeting-page": "jira"}
    assert forge.residency == {"EU": "https://eu.kit.example.com"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"app_id": "8a3b0b9c-1d2e-4f50-8a6b-7c8d9e0f1a2b"}, "forge register", id="bare-uuid"),
        pytest.param({"app_id": APP + "/1"}, "forge register", id="longer-app-id"),
        pytest.param({"app_id": ""}, "forge register", id="empty-app-id"),
        pytest.param({"stage": "native"}, "found 'native'", id="stage"),
        pytest.param({"environments": []}, "environments", id="no-environment"),
        pytest.param({"environments": ["Production"]}, "'Production'", id="environment-in-capitals"),
        pytest.param({"environments": ["production", "production"]}, "twice", id="environment-twice"),
        pytest.param({"native": ["issue-panel-panel"]}, "stage = 'hybrid'", id="native-at-connect"),
        pytest.param({"stage": "hybrid", "native": ["a b"]}, "'a b'", id="native-key"),
        pytest.param({"products": {"page": "bitbucket"}}, "jira", id="product"),
        pytest.param({"migration_guide": "http://kit.example.com"}, "https", id="guide-over-http"),
        pytest.param({"migration_guide": "https://"}, "https", id="guide-without-host"),
        pytest.param({"migration_guide": "https://" + "a" * 2048}, "2048", id="guide-too-long"),
        pytest.param({"will_migrate": "yes"}, "migration_guide", id="will-migrate-alone"),
        pytest.param({"residency": {"MARS": "https://kit.example.com"}}, "MARS", id="region"),
        pytest.param({"migration_guide": "https://kit.example.com/\x1b[31m"}, "https", id="guide-with-escape"),
        pytest.param({"migration_guide": "https://kit.example.com/\u202e"}, "https", id="guide-with-direction"),
        pytest.param({"residency": {"EU": "http://localhost:8000"}}, "EU", id="loopback-region"),
        pytest.param({"residency": {"EU": "https://a.example", "eu": "https://b.example"}}, "twice", id="region-twice"),
        pytest.param({"residency": ["EU"]}, "residency", id="list-of-regions"),
        pytest.param({"residency": {"": "https://kit.example.com"}}, "not a region", id="empty-region"),
        pytest.param({"unknown": 1}, "known are", id="unknown-key"),
        pytest.param({"nativ": []}, "did you mean 'native'", id="misspelt-key"),
    ],
)
def test_forge_refuses_unusable_settings_with_a_sentence(changes, words):
    with pytest.raises(SettingsInvalid) as refusal:
        read(**changes)
    assert words in str(refusal.value)


def test_forge_requires_the_app_id():
    with pytest.raises(SettingsInvalid, match="app_id"):
        read_settings(None, {"addon": ADDON, "forge": {"stage": "connect"}})


@pytest.mark.parametrize("region", get_args(Region))
def test_forge_region_can_be_set_in_the_environment(monkeypatch, region):
    monkeypatch.setenv(f"ADDONKIT_FORGE__RESIDENCY__{region}", "https://region.kit.example.com")
    assert read().residency == {region: "https://region.kit.example.com"}


def test_forge_setting_that_is_misspelt_in_the_environment_gets_a_near_match(monkeypatch):
    monkeypatch.setenv("ADDONKIT_APP_ID", APP)
    with pytest.raises(SettingsInvalid, match="ADDONKIT_FORGE__APP_ID"):
        read_settings(None, {"addon": ADDON})


def test_vendor_setting_that_is_unknown_gets_the_known_ones():
    with pytest.raises(SettingsInvalid, match="name, url"):
        read_settings(None, {"addon": ADDON | {"vendor": {"name": "Kit", "url": "https://a", "zzz": 1}}})
