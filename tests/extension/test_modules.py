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


def test_filled_names_are_those_of_the_pages_url():
    _, filled = checked_modules("demo", [panel("/demo/panel?issue_key={issue.key}")], frozenset())
    assert filled == {"/demo/panel": frozenset({"issue_key"})}


def test_host_variable_may_not_be_filled_by_a_link():
    with pytest.raises(PluginError, match=r"fills 'issue_id' with '\{ac\.issue\}'"):
        checked_modules("demo", [panel("/demo/panel?issue_id={ac.issue}")], frozenset())


def test_filled_names_do_not_include_a_fixed_value():
    _, filled = checked_modules("demo", [panel("/demo/panel?view=wide")], frozenset({"view"}))
    assert filled == {"/demo/panel": frozenset()}


@pytest.mark.parametrize(
    "url",
    [
        "demo/panel?issue_key={issue.key}",
        "/demo/panel?issue_key={issue.key}#top",
        "demo/panel?issue_key={issue.key}#/{issue.id}?issue_id={issue.id}",
        "/demo/panel?issue_key={issue.key}#",
    ],
)
def test_filled_names_go_by_the_path_that_is_requested(url):
    _, filled = checked_modules("demo", [panel(url)], frozenset())
    assert filled == {"/demo/panel": frozenset({"issue_key"})}


@pytest.mark.parametrize("url", ["panel", "other/panel", "/other/panel#/demo/", "demo", "demo?x=/demo/", "#/demo/"])
@pytest.mark.parametrize("type_", ["webPanels", "profilePages"])
def test_page_of_another_plugin_is_refused(type_, url):
    module = Module(type_, "demo", panel(url).body)
    with pytest.raises(PluginError, match="is not a path of this plugin; begin it with '/demo/'"):
        checked_modules("demo", [module], frozenset())


def test_module_of_an_unknown_type_is_an_error_if_strict():
    module = Module("profilePages", "demo", panel("/demo/panel").body)
    assert checked_modules("demo", [module], frozenset())[0] == (module,)
    with pytest.raises(PluginError, match="'profilePages' 'demo-panel' is not a module type of the host"):
        checked_modules("demo", [module], frozenset(), strict=True)


@pytest.mark.parametrize("name", ["issue_id", "account_id", "tenant", "context"])
def test_binding_of_a_known_name_to_another_variable_is_refused(plugin, name):
    with pytest.raises(PluginError, match=f"maps '{name}' to 'ac.x', but that name stands for"):
        plugin.bindings.bind({name: "ac.x"})


def test_binding_of_one_name_to_two_variables_is_refused(plugin):
    plugin.bindings.bind({"view": "dashboardItem.viewType"})
    with pytest.raises(PluginError, match=r"stands for 'dashboardItem\.viewType'; rename the parameter"):
        plugin.bindings.bind({"view": "dashboard.id"})


def test_verified_names_exclude_what_a_link_chooses(plugin):
    plugin.bindings.bind({"poll": "poll", "tab": "ac.tab"})
    assert plugin.bindings.verified == {"poll"}


def test_licence_given_at_a_second_route_is_not_dropped(plugin):
    async def items():
        """Both read and written."""

    plugin.post("/items")(items)
    with pytest.raises(PluginError, match="has two routes with different options"):
        plugin.get("/items", licensed=True)(items)


def test_public_route_keeps_the_limits_that_it_was_given(plugin):
    @plugin.post("/hook", max_body=10, timeout_s=1)
    @public
    async def hook():
        """Open."""

    guard = guard_of(hook)
    assert (guard.demand, guard.max_body, guard.timeout_s) == (Demand.NOTHING, 10, 1)


def test_route_that_is_licensed_and_public_is_refused(plugin):
    async def page():
        """Sold, and asked for without a token."""

    with pytest.raises(PluginError, match="is licensed and public"):
        plugin.page(licensed=True, cacheable=True)(page)


def test_path_with_the_name_of_a_verified_fact_is_refused(plugin):
    with pytest.raises(PluginError, match="'issue_id' is filled from verified facts, never from the path"):

        @plugin.get("/x/<issue_id>")
        async def read(issue_id: str):
            """In vain."""


def test_scopes_given_as_a_text_are_refused():
    with pytest.raises(PluginError, match=r"write \{'READ'\}"):
        Plugin("demo", __name__, scopes="READ")


def test_account_id_misspelt_is_not_filled_by_the_caller(plugin):
    @plugin.post("/vote")
    async def vote(acount_id: str):
        """Whose vote?"""

    with pytest.raises(PluginError, match="did you mean 'account_id'"):
        plugin.check()
