"""Sites of an add-on with a Forge manifest: lifecycle requests that are lost, late, repeated, or in another order.

The plugin ``stranger_bare`` stores a row for each event that it gets, so that its rows show both the jobs that ran and
the data that a tenant has kept.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from addonkit.app.addon import Addon
from addonkit.jobs.lifecycle import enqueue_lifecycle_jobs
from addonkit.tenancy.states import TenantStates
from addonkit.testing import Host, InstallKeys, RestApi, Site
from addonkit.testing.databases import run_sql

from tests.distributions.third_party import third_party_plugins

FIRST_S = 60
"""Seconds from the token of step 0 to now."""
ONE, TWO = "http://127.0.0.1:9001", "http://127.0.0.1:9002"
X, Y = "ari:cloud:ecosystem::installation/1", "ari:cloud:ecosystem::installation/2"


@dataclass(frozen=True)
class Step:
    """A lifecycle request.

    Attributes:
        event: The event.
        at: Second at which its token is issued.
        status: The response's status; None if the request is lost.
        changes: Attributes of the site from this request on.
    """

    event: str
    at: int
    status: int | None = 204
    changes: Mapping[str, Any] = field(default_factory=dict)


def step(event: str, at: int, status: int | None = 204, **changes: Any) -> Step:
    return Step(event, at, status, changes)


FRESH = ["installed jira True", "enabled jira"]
AGAIN = "installed jira False"
ENABLED = "enabled jira"
REMOVED = "uninstalled jira"

SCENARIOS: dict[str, tuple[Sequence[Step], list[str], str]] = {
    "installed": ([step("installed", 0)], FRESH, "enabled"),
    "installed, then enabled after all": ([step("installed", 0), step("enabled", 1)], FRESH, "enabled"),
    "enabled before installed": ([step("enabled", 0, 401), step("installed", 1)], FRESH, "enabled"),
    "installed lost": ([step("installed", 0, None), step("installed", 9)], FRESH, "enabled"),
    "installed lost, and uninstalled": ([step("installed", 0, None), step("uninstalled", 9)], [], ""),
    "installed repeated": ([step("installed", 0), step("installed", 1)], [*FRESH, AGAIN], "enabled"),
    "installed repeated in the same second": (
        [step("installed", 0), step("installed", 0), step("installed", 0)],
        [*FRESH, AGAIN, AGAIN],
        "enabled",
    ),
    "installed late, after a newer one": (
        [step("installed", 5, installation_id=Y), step("installed", 0, 401, installation_id=X)],
        FRESH,
        "enabled",
    ),
    "disabled all the same, then installed": (
        [step("installed", 0), step("disabled", 1), step("installed", 2)],
        [*FRESH, "disabled jira", AGAIN, ENABLED],
        "enabled",
    ),
    "moved from Connect": (
        [step("installed", 0, installation_id=None), step("enabled", 1), step("installed", 5, installation_id=X)],
        [*FRESH, AGAIN],
        "enabled",
    ),
    "moved from Connect, enabled lost": (
        [step("installed", 0, installation_id=None), step("installed", 5, installation_id=X)],
        ["installed jira True", AGAIN, ENABLED],
        "enabled",
    ),
    "moved from Connect while disabled": (
        [
            step("installed", 0, installation_id=None),
            step("enabled", 1),
            step("disabled", 2),
            step("installed", 5, installation_id=X),
        ],
        [*FRESH, "disabled jira", AGAIN, ENABLED],
        "enabled",
    ),
    "moved from Connect after an uninstall": (
        [step("installed", 0, installation_id=None), step("uninstalled", 2), step("installed", 5, installation_id=X)],
        ["installed jira True", REMOVED, AGAIN, ENABLED],
        "enabled",
    ),
    "moved from Connect, uninstalled of Connect late": (
        [
            step("installed", 0, installation_id=None),
            step("enabled", 1),
            step("installed", 5, installation_id=X),
            step("uninstalled", 4, 401, installation_id=None),
        ],
        [*FRESH, AGAIN],
        "enabled",
    ),
    "moved without a request": ([step("installed", 0, installation_id=None), step("enabled", 1)], FRESH, "enabled"),
    "renamed": ([step("installed", 0), step("installed", 5, base_url=TWO)], [*FRESH, AGAIN], "enabled"),
    "renamed, the first rename late": (
        [step("installed", 0), step("installed", 9, base_url=TWO), step("installed", 5, 401, base_url=ONE)],
        [*FRESH, AGAIN],
        "enabled",
    ),
    "renamed while moving": (
        [step("installed", 0, installation_id=None), step("installed", 5, installation_id=X, base_url=TWO)],
        ["installed jira True", AGAIN, ENABLED],
        "enabled",
    ),
    "reinstalled": (
        [step("installed", 0), step("uninstalled", 3), step("installed", 5, installation_id=Y)],
        [*FRESH, REMOVED, AGAIN, ENABLED],
        "enabled",
    ),
    "reinstalled with the same installation": (
        [step("installed", 0), step("uninstalled", 3), step("installed", 5)],
        [*FRESH, REMOVED, AGAIN, ENABLED],
        "enabled",
    ),
    "reinstalled, renamed in between": (
        [step("installed", 0), step("uninstalled", 3), step("installed", 5, installation_id=Y, base_url=TWO)],
        [*FRESH, REMOVED, AGAIN, ENABLED],
        "enabled",
    ),
    "reinstalled, uninstalled lost": (
        [step("installed", 0), step("uninstalled", 3, None), step("installed", 5, installation_id=Y)],
        [*FRESH, AGAIN],
        "enabled",
    ),
    "reinstalled, uninstalled late": (
        [
            step("installed", 0),
            step("installed", 5, installation_id=Y),
            step("uninstalled", 3, 401, installation_id=X),
        ],
        [*FRESH, AGAIN],
        "enabled",
    ),
    "reinstalled, uninstalled late and signed anew": (
        [step("installed", 0), step("installed", 5, installation_id=Y), step("uninstalled", 7, installation_id=X)],
        [*FRESH, AGAIN],
        "enabled",
    ),
    "reinstalled and uninstalled": (
        [step("installed", 0), step("installed", 5, installation_id=Y), step("uninstalled", 7)],
        [*FRESH, AGAIN, REMOVED],
        "uninstalled",
    ),
    "uninstalled by an installation that was never announced": (
        [step("installed", 0), step("uninstalled", 7, installation_id=Y)],
        [*FRESH, REMOVED],
        "uninstalled",
    ),
    "uninstalled repeated": (
        [step("installed", 0), step("uninstalled", 3), step("uninstalled", 4)],
        [*FRESH, REMOVED],
        "uninstalled",
    ),
    "enabled after uninstalled": (
        [step("installed", 0), step("uninstalled", 3), step("enabled", 4)],
        [*FRESH, REMOVED],
        "uninstalled",
    ),
    "new client key": ([step("installed", 0), step("installed", 5, client_key="other")], [*FRESH, AGAIN], "enabled"),
    "new client key after an uninstall": (
        [step("installed", 0), step("uninstalled", 3), step("installed", 5, client_key="other")],
        [*FRESH, REMOVED, AGAIN, ENABLED],
        "enabled",
    ),
    "new client key, uninstalled of the former one late": (
        [step("installed", 0), step("installed", 5, client_key="other"), step("uninstalled", 6, client_key="first")],
        [*FRESH, AGAIN],
        "enabled",
    ),
    "new client key, installed of the former one late": (
        [step("installed", 0), step("installed", 5, client_key="other"), step("installed", 4, 401, client_key="first")],
        [*FRESH, AGAIN],
        "enabled",
    ),
    "new client key and base URL": (
        [step("installed", 0), step("installed", 5, 409, client_key="other", base_url=TWO)],
        FRESH,
        "enabled",
    ),
}


@pytest.fixture
def addonkit_config(monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Any]:
    for name in [name for name in sys.modules if name.startswith("stranger_")]:
        del sys.modules[name]
    monkeypatch.syspath_prepend(str(third_party_plugins()))
    return {"addon": {"plugins": ["stranger_bare"]}, "plugin": {"stranger_bare": {"greeting": "Good day"}}}


@pytest.fixture
async def host(addon: Addon, addonkit_install_keys: InstallKeys, addonkit_rest: RestApi) -> AsyncIterator[Host]:
    """A host without sites."""
    async with Host(addon, addonkit_install_keys, rest=addonkit_rest) as host:
        yield host


@pytest.fixture
def site(addonkit_install_keys: InstallKeys) -> Site:
    return Site(addonkit_install_keys, "jira", ONE, client_key="first", installation_id=X)


class Forge:
    """Sends lifecycle requests, and shows what became of them.

    Attributes:
        accepted: The site as in its last accepted request.
    """

    def __init__(self, host: Host, site: Site, folder: Path) -> None:
        self.host, self.site, self.accepted, self.folder = host, site, site, folder
        self.start = int(time.time()) - FIRST_S

    async def send(self, step: Step, site: Site) -> int | None:
        """Send a request, wait for its jobs, and return the status."""
        descriptor = await self.host.descriptor()
        method, url, headers, body = site.lifecycle_request(descriptor, step.event, self.start + step.at)  # type: ignore[arg-type]
        if step.status is None:
            return None
        response = await self.host.client.request(method, url, headers=headers, content=body)
        await self.host.settled()
        return response.status_code

    async def run(self, steps: Sequence[Step]) -> None:
        """Send the requests; a refused one leaves the site's secret as it was."""
        for each in steps:
            self.site = replace(self.site, **each.changes)
            fresh = replace(self.site)
            assert await self.send(each, fresh) == each.status, each
            if each.status == 204 and each.event == "installed":
                self.site = self.accepted = fresh

    def tenants(self) -> list[tuple[Any, ...]]:
        return run_sql(self.folder, "SELECT id, state FROM addonkit_tenant ORDER BY id")

    def events(self, number: int = 1) -> list[str]:
        """Return what the plugin got and has stored."""
        found = run_sql(self.folder, "SELECT text FROM stranger_bare_visit WHERE tenant_id = ? ORDER BY id", number)
        return [text for (text,) in found]

    def history(self) -> list[str]:
        return [what for (what,) in run_sql(self.folder, "SELECT what FROM addonkit_tenant_history ORDER BY id")]


@pytest.fixture
def forge(host: Host, site: Site, tmp_path: Path) -> Forge:
    return Forge(host, site, tmp_path)


@pytest.mark.parametrize("name", SCENARIOS)
async def test_site_is_one_tenant_that_keeps_its_rows_and_gets_each_event_once(forge: Forge, name: str) -> None:
    steps, events, state = SCENARIOS[name]
    await forge.run(steps)
    assert forge.tenants() == ([(1, state)] if state else [])
    assert forge.events() == events
    if state == "enabled":
        page = await forge.host.open("bare-page", forge.accepted)
        assert (page.status, page.text) == (200, ", ".join(events))


@pytest.mark.parametrize("event", ["installed", "uninstalled"])
async def test_request_that_is_sent_again_unchanged_is_refused_and_calls_no_plugin(forge: Forge, event: str) -> None:
    await forge.run([step("installed", 0)])
    request = forge.site.lifecycle_request(await forge.host.descriptor(), event, forge.start + 1)  # type: ignore[arg-type]
    method, url, headers, body = request
    statuses = [(await forge.host.client.request(method, url, headers=headers, content=body)).status_code for _ in "ab"]
    await forge.host.settled()
    assert statuses == [204, 401]
    assert forge.events() == [*FRESH, AGAIN if event == "installed" else REMOVED]


@pytest.mark.parametrize("keys", [["first"] * 6, ["first", "second", "third", "fourth"]], ids=["one key", "four keys"])
async def test_installs_at_the_same_time_make_one_tenant_that_is_enabled_once(forge: Forge, keys: list[str]) -> None:
    sites = [replace(forge.site, client_key=key) for key in keys]
    statuses = await asyncio.gather(*(forge.send(step("installed", 0), site) for site in sites))
    assert set(statuses) == {204}
    await forge.host.settled()
    [(number, state)] = forge.tenants()  # a number may be lost with a transaction
    assert state == "enabled"
    assert sorted(forge.events(number)) == sorted([*FRESH, *[AGAIN] * (len(keys) - 1)])


async def test_products_with_one_installation_are_two_tenants_with_their_own_events(forge: Forge) -> None:
    wiki = replace(forge.site, product="confluence", base_url=f"{ONE}/wiki", client_key="wiki")
    assert [await forge.send(step("installed", 0), each) for each in (forge.site, wiki)] == [204, 204]
    await forge.send(step("uninstalled", 1), wiki)
    assert forge.tenants() == [(1, "enabled"), (2, "uninstalled")]
    assert forge.events(1) == FRESH
    assert forge.events(2) == ["installed confluence True", "enabled confluence", "uninstalled confluence"]


async def test_site_with_another_key_and_installation_is_another_tenant(forge: Forge) -> None:
    await forge.run([step("installed", 0), step("installed", 5, client_key="other", installation_id=Y)])
    assert forge.tenants() == [(1, "enabled"), (2, "enabled")]
    assert (forge.events(1), forge.events(2)) == (FRESH, FRESH)


async def test_site_that_an_operator_has_disabled_is_enabled_by_its_next_installed(forge: Forge, addon: Addon) -> None:
    await forge.run([step("installed", 0)])
    with addon.scope():
        await TenantStates(enqueue_lifecycle_jobs).set_by_operator(1, enabled=False, listeners=["stranger_bare"])
    addon.directory.clear()
    assert (await forge.host.open("bare-page", forge.accepted)).status == 401
    await forge.run([step("installed", 5)])
    assert forge.tenants() == [(1, "enabled")]
    assert forge.events() == [*FRESH, "disabled jira", AGAIN, ENABLED]


async def test_former_client_key_is_refused_at_once(forge: Forge) -> None:
    await forge.run([step("installed", 0)])
    former = forge.accepted
    assert (await forge.host.open("bare-page", former)).status == 200
    await forge.run([step("installed", 5, client_key="other")])
    assert (await forge.host.open("bare-page", former)).status == 401
    assert (await forge.host.open("bare-page", forge.accepted)).status == 200


async def test_history_names_the_move_the_rename_and_the_client_key(forge: Forge) -> None:
    await forge.run(
        [
            step("installed", 0, installation_id=None),
            step("installed", 1, installation_id=X),
            step("installed", 2, base_url=TWO),
            step("installed", 3, client_key="other"),
            step("installed", 4, installation_id=Y),
        ]
    )
    assert [what for what in forge.history() if what != "rotated"] == [
        "installed",
        "installation changed",
        "enabled",
        "renamed",
        "client key changed",
        "installation changed",
    ]
