"""Nothing of a former request answers a later one: requests between changes of two sites, in any order."""

import time
import uuid
from dataclasses import dataclass, field

import pytest
from addonkit.testing import Site
from addonkit.testing.site import fresh_secret
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support.wire import PAGE

pytestmark = pytest.mark.asyncio(loop_scope="module")
OVERVIEW = "/under_test/overview"
WHO = "/under_test/who"
LICENCES = {"active": "active", "none": "none", None: "unknown"}


@dataclass
class Known:
    """What is true of one site, and what its users hold."""

    site: Site
    issued_at: int
    state: str = "enabled"
    former: list[str] = field(default_factory=list)
    sessions: list[tuple[str, str]] = field(default_factory=list)

    @property
    def is_served(self) -> bool:
        return self.state in ("installed", "enabled")


class Scenario:
    """Sends requests and changes for two sites, and compares each answer with what is true at that moment."""

    def __init__(self, wire, sites, issued_at):
        self.wire, self.known, self.requests = wire, [Known(site, issued_at) for site in sites], 0

    def token(self, known, method, target, **changes):
        """Return a token that was issued before every change, so that it proves nothing new of a disabled site."""
        times = {"iat": known.issued_at, "exp": known.issued_at + 600}
        return self.wire.token(method, target, known.site, **times, **changes)

    async def change(self, known, event):
        site = known.site
        if event == "rotate":
            known.former.append(site.shared_secret)
            site.shared_secret, event = fresh_secret(), "installed"
        elif event == "rename":
            site.display_url, event = f"https://{uuid.uuid4().hex}.example.com", "installed"
        if event in ("installed", "uninstalled"):
            answer = await self.wire.send_lifecycle(event, *self.wire.installed(site, event, jti=str(uuid.uuid4())))
        else:
            answer = await self.wire.send_lifecycle(event, *self.wire.state_request(site, event))
        is_without_effect = known.state == "uninstalled" and event in ("enabled", "disabled")
        assert answer.status == 204 or is_without_effect, (event, known.state, answer.status)
        if not is_without_effect:
            known.state = event

    async def page(self, known, number):
        account, target = f"acc-{number}", f"/under_test/page?issue_key=AB-{number}"
        token = self.token(known, "GET", target, sub=account)
        answer = await self.wire.ask("GET", f"{target}&jwt={token}")
        assert answer.status == (200 if known.is_served else 401)
        if known.is_served:
            assert answer.text.endswith(f"AB-{number} for {account} on {known.site.client_key}</body>")
            policy = answer.header("content-security-policy")
            assert known.site.display_url.removesuffix("/") in policy.partition("frame-ancestors ")[2].split()
            session = answer.text.partition('addonkit-session" content="')[2].partition('"')[0]
            known.sessions.append((session, account))

    async def licence(self, known, number):
        sent = list(LICENCES)[number % len(LICENCES)]
        target = f"{OVERVIEW}?issue_key=L-{number}" + (f"&lic={sent}" if sent else "")
        answer = await self.wire.ask("GET", f"{target}&jwt={self.token(known, 'GET', target)}")
        expected = (200, f"overview {LICENCES[sent]} L-{number}") if known.is_served else (401, None)
        assert (answer.status, answer.text if answer.status == 200 else None) == expected

    async def session(self, known, number):
        if not known.sessions:
            return
        session, account = known.sessions[number % len(known.sessions)]
        for method in ("GET", "POST"):
            answer = await self.wire.send(f"Session {session}", method, WHO)
            assert answer.status == (200 if known.is_served else 401)
            if known.is_served:
                assert (answer.json()["tenant"], answer.json()["account"]) == (known.site.client_key, account)

    async def context(self, known, number):
        account = f"ctx-{number}"
        token = self.token(known, "GET", WHO, sub=account, qsh="context-qsh", context={})
        answer = await self.wire.send(f"JWT {token}", "GET", WHO)
        assert answer.status == (200 if known.is_served else 401)
        assert not known.is_served or answer.json()["account"] == account

    async def former(self, known, number):
        """A token that a former secret signed, in the header, where none is accepted; nor any in a page's URL."""
        if not known.former:
            return
        present = known.site.shared_secret
        known.site.shared_secret = known.former[number % len(known.former)]
        try:
            token = self.token(known, "GET", PAGE)
        finally:
            known.site.shared_secret = present
        assert (await self.wire.send(f"JWT {token}", "GET", PAGE)).status == 401
        if known.former[number % len(known.former)] != known.former[-1]:
            assert (await self.wire.ask("GET", f"{PAGE}&jwt={token}")).status == 401

    async def step(self, what, which, number):
        known = self.known[which]
        if what in ("page", "licence", "session", "context", "former"):
            self.requests += 1
            await getattr(self, what)(known, number)
        else:
            await self.change(known, what)


REQUESTS = ["page", "page", "licence", "session", "session", "context", "former"]
CHANGES = ["disabled", "enabled", "uninstalled", "installed", "rotate", "rename"]
steps = st.lists(
    st.tuples(st.sampled_from(REQUESTS * 2 + CHANGES), st.integers(0, 1), st.integers(0, 5)), min_size=20, max_size=60
)


@settings(max_examples=25, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(steps)
async def test_answer_is_of_what_is_true_when_it_is_given(wire, found):
    issued_at = int(time.time()) - 20
    scenario = Scenario(wire, [await wire.host.install(), await wire.host.install()], issued_at)
    for step in found:
        await scenario.step(*step)


@pytest.mark.parametrize("change", ["disabled", "uninstalled", "rotate", "rename"])
async def test_thousand_requests_before_a_change_leave_nothing_behind(wire, change):
    scenario = Scenario(wire, [await wire.host.install(), await wire.host.install()], int(time.time()) - 20)
    for number in range(60):
        for what in ("page", "licence", "session", "context"):
            await scenario.step(what, number % 2, number)
    held = scenario.known[0].sessions[:]
    await scenario.step(change, 0, 0)
    for number in range(60):
        for what in ("page", "licence", "session", "context", "former"):
            await scenario.step(what, number % 2, number)
    answers = {(await wire.send(f"Session {session}", "GET", WHO)).status for session, _ in held}
    assert answers == {200 if scenario.known[0].is_served else 401}
    assert scenario.requests >= 500
