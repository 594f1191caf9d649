"""Every hook is documented, and every hook of a bare module is asked when its documentation says."""

from __future__ import annotations

import asyncio
import inspect
import runpy
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from addonkit.app.addon import Addon
from addonkit.extension import hookspecs
from addonkit.jobs.missed import record_missed
from addonkit.testing import Host
from click.testing import CliRunner

from tests.distributions.third_party import ROOT, third_party_plugins

HOOKS = sorted(name for name in vars(hookspecs) if name.startswith("addon_"))


@pytest.fixture(autouse=True)
def _strangers_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("stranger_")]:
        del sys.modules[name]
    monkeypatch.syspath_prepend(str(third_party_plugins()))


@pytest.fixture
def addonkit_config(_strangers_are_installed: None) -> Mapping[str, Any]:
    return {
        "addon": {"plugins": ["stranger_bare", "stranger_notes"]},
        "plugin": {"stranger_bare": {"greeting": "Good day"}},
    }


async def noted(host: Host, wanted: str) -> str:
    """Wait until a hook of the plugin has stored a visit, and return the texts of all visits."""
    async with asyncio.timeout(60):
        while wanted not in (page := await host.open("bare-page")).text:  # noqa: ASYNC110 - plainer than an event
            await asyncio.sleep(0.02)
    return page.text


@pytest.mark.parametrize("name", HOOKS)
def test_hook_documents_when_it_is_called_and_what_an_exception_means(name: str) -> None:
    hook = getattr(hookspecs, name)
    text = inspect.getdoc(hook) or ""
    assert "\nWhen: " in text
    assert "\nAn exception " in text
    assert ("\nArgs:\n" in text) == bool(inspect.signature(hook).parameters)
    assert ("\nReturns:\n" in text) == (inspect.signature(hook).return_annotation != "None")


@pytest.mark.parametrize("name", HOOKS)
def test_hook_documents_every_argument(name: str) -> None:
    hook = getattr(hookspecs, name)
    assert all(f"    {argument}: " in (inspect.getdoc(hook) or "") for argument in inspect.signature(hook).parameters)


def test_hook_reference_matches_the_code() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "make_hooks.py"))["reference"]()
    assert (ROOT / "docs" / "hooks.md").read_text(encoding="utf-8") == made, "run 'python docs/make_hooks.py'"


def test_hook_tests_cover_every_hook() -> None:
    tests = " ".join(name for name in globals() if name.startswith("test_addon_"))
    assert [name for name in HOOKS if f"test_{name}_" not in tests] == []


def test_addon_modules_and_scopes_reach_the_descriptor(addon: Addon) -> None:
    document = addon.deployment.descriptor.document
    assert document["modules"]["generalPages"][0]["key"] == "bare-page"


def test_addon_jobs_are_known_by_their_names(addon: Addon) -> None:
    [(name, spec)] = addon.deployment.registry.contributions["stranger_bare"].jobs.items()
    assert (name, spec.plugin, spec.kind) == ("count", "stranger_bare", "job")


def test_addon_scopes_are_merged(addon: Addon) -> None:
    assert addon.deployment.registry.contributions["stranger_bare"].scopes == {"READ"}
    assert addon.deployment.descriptor.document["scopes"] == ["WRITE"]


def test_addon_settings_are_filled_from_the_plugins_table(addon: Addon) -> None:
    settings: Any = addon.deployment.registry.contributions["stranger_bare"].settings
    assert settings.greeting == "Good day"


def test_addon_models_have_their_tables(addon: Addon) -> None:
    assert addon.deployment.registry.contributions["stranger_bare"].models == "stranger_bare.models"


async def test_addon_blueprint_is_served_under_the_plugins_name(host: Host) -> None:
    assert (await host.request("GET", "/stranger_bare/open")).status_code == 200
    assert (await host.request("GET", "/stranger_bare/visits")).status_code == 401


async def test_addon_startup_may_prepare_the_application(host: Host) -> None:
    assert (await host.request("GET", "/stranger_bare/open")).text == "come in"


def test_addon_commands_may_be_one_with_the_plugins_name(addon: Addon) -> None:
    from addonkit.cli.group import plugin_command

    command = plugin_command("stranger_bare", addon.deployment)
    assert command is not None
    assert CliRunner().invoke(command, []).output == "at your service\n"


async def test_addon_admit_refuses_in_the_plugins_own_words(host: Host) -> None:
    refused = await host.open("bare-page", account="acc-banned")
    assert (refused.status, refused.text) == (403, "no stranger_bare.page for you")
    assert (await host.open("bare-page")).status == 200


async def test_addon_installed_knows_whether_the_site_is_new(host: Host) -> None:
    await host.reinstall()
    assert "installed jira False" in await noted(host, "installed jira False")
    assert "installed jira True" in await noted(host, "installed jira True")


async def test_addon_enabled_is_called_after_the_installation(host: Host) -> None:
    assert await noted(host, "enabled jira") == "installed jira True, enabled jira"


async def test_addon_disabled_is_called(host: Host) -> None:
    await host.disable()
    await host.enable()
    assert "disabled jira" in await noted(host, "disabled jira")


async def test_addon_uninstalled_is_called_and_rows_are_kept(host: Host) -> None:
    await host.uninstall()
    await host.reinstall()
    result = await noted(host, "uninstalled jira")
    assert "uninstalled jira" in result
    assert "installed jira True" in result


async def test_addon_missed_is_called_after_an_outage(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("addonkit.jobs.missed.QUIET_S", 0.0)
    with host._addon.scope():
        await record_missed({1: 86400.0 * 365}, ["stranger_bare"])
    assert "missed jira 1971-01-01" in await noted(host, "missed")


async def test_addon_purge_is_called_in_the_tenant_scope_while_rows_exist(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    from addonkit.app.purge import call_purge_hooks, installed_hooks
    from addonkit.tenant_data.scope import tenant_scope

    deployment = host._addon.deployment
    await noted(host, "enabled jira")
    tenant = await host._addon.store.get(1)
    with tenant_scope(tenant):
        assert await call_purge_hooks(installed_hooks("addon_purge", ["stranger_bare"], deployment), tenant) is None
    assert capsys.readouterr().err.endswith(f"forgets {host.site.client_key} with 3 visits\n")


async def test_addon_failed_is_called_in_the_tenants_scope(host: Host) -> None:
    assert (await host.open("bare-page", account="acc-broken")).status == 503
    assert "failed admission stranger_bare stranger_bare.page LookupError" in await noted(host, "failed")
