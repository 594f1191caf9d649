"""Changes of a tenant's state that no lifecycle request makes, from each state that it can have."""

import time
from datetime import UTC, datetime

import pytest
from addonkit.context import TenantState
from addonkit.errors import AddonkitError
from addonkit.tenancy import states as states_module
from addonkit.tenancy.history import history_of
from addonkit.tenancy.models import PresenceRow, TenantRow
from addonkit.tenancy.states import HELD, TenantStates
from addonkit.tenant_data.connection import tenant_database

from tests.support.tenant_rows import InstalledSites

NOW = int(time.time())
THEN = datetime(2024, 1, 1, tzinfo=UTC)
STATES = {
    "installed": {"state": "installed"},
    "enabled": {"state": "enabled"},
    "disabled": {"state": "disabled", "disabled_iat": NOW - 1000},
    "uninstalled": {"state": "uninstalled", "uninstalled_at": THEN},
    "gone": {"state": "uninstalled", "uninstalled_at": THEN, "gone_at": THEN},
    "gone without a secret": {"state": "uninstalled", "uninstalled_at": THEN, "gone_at": THEN, "shared_secret": None},
}


class Changes:
    """Changes of one site, with the jobs, notifications and history that they make."""

    def __init__(self, site):
        self.site, self.jobs, self.notified = site, [], []
        self.states = TenantStates(self._enqueue)

    async def _enqueue(self, tenant, event, listeners, *, first=False):
        self.jobs.append((event, tuple(listeners), str(tenant.state)))

    async def notify(self, key):
        self.notified.append(key)

    async def history(self):
        return [entry.what for entry in await history_of(self.site.id)][1:]

    async def is_unchanged(self, before):
        assert (self.jobs, self.notified, await self.history()) == ([], [], [])
        return dict(await TenantRow.get(id=self.site.id)) == before


@pytest.fixture
async def changes(location, monkeypatch):
    async with tenant_database(location, {}):
        changes = Changes(await InstalledSites().install("one"))
        monkeypatch.setattr(states_module, "notify_change", changes.notify)
        yield changes


async def put(changes, name):
    await TenantRow.filter(id=changes.site.id).update(**STATES[name])
    return dict(await TenantRow.get(id=changes.site.id))


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("installed", "installed"),
        ("enabled", "enabled"),
        ("disabled", "enabled"),
        ("uninstalled", None),
        ("gone", None),
    ],
)
async def test_token_enables_a_disabled_site_alone(changes, name, state):
    before = await put(changes, name)
    found = await changes.states.enable_by_token(changes.site.id, NOW + 1000, ["p"])
    assert (None if found is None else str(found.state)) == state
    if name != "disabled":
        assert await changes.is_unchanged(before)
        return
    row = await TenantRow.get(id=changes.site.id)
    assert (row.state, row.disabled_iat) == ("enabled", None)
    assert (changes.jobs, changes.notified) == ([("enabled", ("p",), "enabled")], ["one"])
    assert await changes.history() == ["enabled"]


@pytest.mark.parametrize(
    ("name", "is_gone"),
    [("installed", True), ("enabled", True), ("disabled", False), ("uninstalled", False), ("gone", False)],
)
@pytest.mark.parametrize(
    ("failing", "days", "enough"),
    [(True, 3, True), (True, 4, True), (True, 2, False), (False, 3, False), (None, 0, False)],
    ids=["enough", "more", "too few", "has answered", "never asked"],
)
async def test_active_site_is_marked_as_gone_after_enough_failing_days(changes, name, is_gone, failing, days, enough):
    before = await put(changes, name)
    if failing is not None:
        await PresenceRow.create(
            tenant_id=changes.site.id,
            next_at=1.0,
            is_failing=failing,
            failed_days=days,
            failed_since=1.0,
            failed_at=2.0,
        )
    found = await changes.states.mark_gone(changes.site.id, 3, ["p"])
    if not (is_gone and enough):
        assert found is None
        assert await changes.is_unchanged(before)
        return
    row = await TenantRow.get(id=changes.site.id)
    assert (found.state, row.state, row.gone_at) == (TenantState.GONE, "uninstalled", row.uninstalled_at)
    assert row.gone_at is not None
    assert (changes.jobs, changes.notified) == ([("uninstalled", ("p",), "gone")], ["one"])
    assert await changes.history() == ["gone"]


async def test_gone_site_keeps_no_former_secret(changes):
    await TenantRow.all().update(state="enabled", former_secret="v1.k1.x", former_until=9e9)
    await PresenceRow.create(
        tenant_id=changes.site.id, next_at=1.0, is_failing=True, failed_days=3, failed_since=1.0, failed_at=2.0
    )
    await changes.states.mark_gone(changes.site.id, 3, [])
    row = await TenantRow.get(id=changes.site.id)
    assert (row.former_secret, row.former_until) == (None, None)


@pytest.mark.parametrize("name", STATES)
async def test_gone_site_alone_is_restored(changes, name):
    before = await put(changes, name)
    await PresenceRow.create(tenant_id=changes.site.id, next_at=1.0, is_failing=True, failed_days=3, failed_since=1.0)
    found = await changes.states.restore(changes.site.id, 200, {"installed": ["a"], "enabled": ["b"]})
    if name != "gone":
        assert found is None
        assert await changes.is_unchanged(before)
        assert (await PresenceRow.get()).is_failing
        return
    row = await TenantRow.get(id=changes.site.id)
    assert (found.state, row.state) == (TenantState.ENABLED, "enabled")
    assert (row.uninstalled_at, row.gone_at, row.disabled_iat) == (None, None, None)
    assert changes.jobs == [("installed", ("a",), "installed"), ("enabled", ("b",), "enabled")]
    assert (changes.notified, await changes.history()) == (["one"], ["reinstalled", "enabled"])
    evidence = await PresenceRow.get()
    assert (evidence.is_failing, evidence.failed_days) == (False, 0)


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("name", ["installed", "enabled", "disabled"])
async def test_operator_enables_or_disables_an_installed_site(changes, name, enabled):
    await put(changes, name)
    state = "enabled" if enabled else "disabled"
    found = await changes.states.set_by_operator(changes.site.id, enabled=enabled, listeners=["p"])
    row = await TenantRow.get(id=changes.site.id)
    assert (str(found.state), row.state, row.disabled_iat) == (state, state, None if enabled else HELD)
    changed = name != state
    assert changes.jobs == [(state, ("p",), state)] * changed
    assert (changes.notified, await changes.history()) == (["one"] * changed, [state] * changed)


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize(("name", "word"), [("uninstalled", "uninstalled"), ("gone", "gone")])
async def test_operator_cannot_change_a_site_that_is_not_installed(changes, name, word, enabled):
    before = await put(changes, name)
    with pytest.raises(AddonkitError, match=rf"tenant {changes.site.id} \('one'\) is {word}; only an install"):
        await changes.states.set_by_operator(changes.site.id, enabled=enabled, listeners=[])
    assert await changes.is_unchanged(before)


@pytest.mark.parametrize("number", [0, 99])
async def test_site_that_does_not_exist_is_not_changed(changes, number):
    assert await changes.states.enable_by_token(number, NOW, []) is None
    assert await changes.states.mark_gone(number, 1, []) is None
    assert await changes.states.restore(number, 200, {}) is None
    with pytest.raises(AddonkitError, match=f"there is no tenant {number}"):
        await changes.states.set_by_operator(number, enabled=True, listeners=[])


@pytest.mark.parametrize(
    ("earlier_s", "counts_s"), [(None, 0), (0, 0), (100, 100), (300, 300), (301, 0), (9999, 0)], ids=str
)
async def test_token_must_be_newer_than_what_is_known_of_the_disabling(changes, earlier_s, counts_s):
    """Without a time, or with one of an earlier event, it is the time of the entry in the history."""
    received = int((await history_of(changes.site.id))[0].at.timestamp())
    await TenantRow.all().update(state="disabled", disabled_iat=None if earlier_s is None else received - earlier_s)
    for late_s, is_enabled in [(0, False), (1, False), (2, True)]:
        found = await changes.states.enable_by_token(changes.site.id, received - counts_s + late_s, [])
        assert (found is not None) == is_enabled
