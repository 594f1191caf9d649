"""Which names the host fills, and on what terms a handler is served."""

import pytest
from addonkit.context import Demand, Module
from addonkit.errors import PluginError
from addonkit.extension.guard import guard_of, public
from addonkit.extension.modules import checked_modules
from addonkit.extension.plugin import Plugin

ICON = {"width": 16, "height": 16, "url": "/demo/static/icon.svg"}


@pytest.fixture
def plugin():
    return Plugin("demo", __name__)


def panel(url):
    return Module("webPanels", "demo", {"key": "demo-panel", "name": {"value": "Demo"}, "location": "x", "url": url})


def test_a_page_believes_the_names_that_its_url_declares_and_no_others():
    _, filled = checked_modules("demo", [panel("/demo/panel?issue_key={issue.key}")], frozenset())
    assert filled == {"/demo/panel": frozenset({"issue_key"})}


def test_a_name_of_the_table_may_not_be_filled_by_a_link():
    with pytest.raises(PluginError, match=r"fills 'issue_id' with '\{ac\.issue\}'"):
        checked_modules("demo", [panel("/demo/panel?issue_id={ac.issue}")], frozenset())


def test_a_fixed_value_in_a_url_is_nothing_that_the_host_filled():
    _, filled = checked_modules("demo", [panel("/demo/panel?view=wide")], frozenset({"view"}))
    assert filled == {"/demo/panel": frozenset()}


@pytest.mark.parametrize("name", ["issue_id", "account_id", "tenant", "context"])
def test_a_name_with_a_meaning_is_not_mapped_to_another(plugin, name):
    with pytest.raises(PluginError, match=f"maps '{name}' to 'ac.x', but that name stands for"):
        plugin.bindings.bind({name: "ac.x"})


def test_one_name_is_not_mapped_twice(plugin):
    plugin.bindings.bind({"view": "dashboardItem.viewType"})
    with pytest.raises(PluginError, match=r"stands for 'dashboardItem\.viewType'; rename the parameter"):
        plugin.bindings.bind({"view": "dashboard.id"})


def test_what_a_link_chooses_is_not_among_the_verified_names(plugin):
    plugin.bindings.bind({"poll": "poll", "tab": "ac.tab"})
    assert plugin.bindings.verified == {"poll"}


def test_a_licence_given_at_a_second_route_is_not_dropped(plugin):
    async def items():
        """Both read and written."""

    plugin.post("/items")(items)
    with pytest.raises(PluginError, match="has two routes with different options"):
        plugin.get("/items", licensed=True)(items)


def test_a_public_route_keeps_the_limits_that_it_was_given(plugin):
    @plugin.post("/hook", max_body=10, timeout_s=1)
    @public
    async def hook():
        """Open."""

    guard = guard_of(hook)
    assert (guard.demand, guard.max_body, guard.timeout_s) == (Demand.NOTHING, 10, 1)


def test_what_is_sold_is_not_open_to_everybody(plugin):
    async def page():
        """Sold, and asked for without a token."""

    with pytest.raises(PluginError, match="is licensed and public"):
        plugin.page(licensed=True, cacheable=True)(page)


def test_a_path_does_not_name_what_is_never_taken_from_it(plugin):
    with pytest.raises(PluginError, match="'issue_id' is filled from verified facts, never from the path"):

        @plugin.get("/x/<issue_id>")
        async def read(issue_id: str):
            """In vain."""


def test_scopes_are_not_a_text():
    with pytest.raises(PluginError, match=r"write \{'READ'\}"):
        Plugin("demo", __name__, scopes="READ")


def test_a_misspelt_account_is_not_left_to_the_caller(plugin):
    @plugin.post("/vote")
    async def vote(acount_id: str):
        """Whose vote?"""

    with pytest.raises(PluginError, match="did you mean 'account_id'"):
        plugin.check()
