"""What callers send, as a handler gets it: converted to what it says, refused with a sentence, never a credential."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from addonkit import Context, Plugin, PluginError, Tenant, exact, public
from addonkit.context import Demand
from addonkit.extension.arguments import HOST_PARAMETERS, request_arguments
from addonkit.settings import Section
from pydantic import BaseModel, Field
from quart import Quart


class Point(BaseModel):
    x: int
    y: int = 0


@pytest.fixture
def plugin() -> Plugin:
    return Plugin("sample", __name__)


def client_of(plugin: Plugin) -> Any:
    app = Quart(__name__, static_folder=None)
    app.register_blueprint(plugin)
    return app.test_client()


async def respond_to(plugin: Plugin, handler: Any, query: str = "", **options: Any) -> tuple[int, Any]:
    """What a public route with this handler answers: the status and, if it is well, the value."""
    plugin.route("/x", methods=["GET", "POST"])(public(handler))
    response = await client_of(plugin).open(f"/sample/x{query}", **options)
    body = await response.get_json() if response.status_code == 200 else await response.get_data(as_text=True)
    return response.status_code, body


async def number(value: int) -> dict[str, Any]:
    return {"got": value}


async def flag(value: bool) -> dict[str, Any]:
    return {"got": value}


async def many(value: list[int]) -> dict[str, Any]:
    return {"got": value}


async def perhaps_many(value: list[str] | None = None) -> dict[str, Any]:
    return {"got": value}


async def bounded(value: Annotated[str, Field(max_length=3)]) -> dict[str, Any]:
    return {"got": value}


async def chosen(value: Literal["a", "b"] = "a") -> dict[str, Any]:
    return {"got": value}


async def placed(value: Point) -> dict[str, Any]:
    return {"got": [value.x, value.y]}


async def whatever(value: Any = None) -> dict[str, Any]:
    return {"got": value}


@pytest.mark.parametrize(
    ("handler", "query", "got"),
    [
        (number, "?value=12", 12),
        (flag, "?value=true", True),
        (flag, "?value=0", False),
        (many, "?value=1", [1]),
        (many, "?value=1&value=2", [1, 2]),
        (perhaps_many, "?value=a", ["a"]),
        (perhaps_many, "", None),
        (chosen, "", "a"),
        (whatever, "?value=a", "a"),
    ],
)
async def test_query_is_converted_to_the_annotated_type(plugin: Plugin, handler: Any, query: str, got: Any) -> None:
    assert await respond_to(plugin, handler, query) == (200, {"got": got})


@pytest.mark.parametrize(
    ("handler", "sent", "got"),
    [(number, 12, 12), (many, [1, 2], [1, 2]), (placed, {"x": 1}, [1, 0]), (flag, False, False)],
)
async def test_body_is_converted_to_the_annotated_type(plugin: Plugin, handler: Any, sent: Any, got: Any) -> None:
    assert await respond_to(plugin, handler, method="POST", json={"value": sent}) == (200, {"got": got})


@pytest.mark.parametrize(
    ("handler", "query", "sentence"),
    [
        (number, "?value=many", "'value' is invalid: Input should be a valid integer"),
        (number, "?value=1&value=2", "'value' is invalid: Input should be a valid integer"),
        (number, "", "'value' is missing; send it in the query or in a JSON body"),
        (bounded, "?value=abcd", "'value' is invalid: String should have at most 3 characters"),
        (chosen, "?value=c", "'value' is invalid: Input should be 'a' or 'b'"),
        (many, "?value=1&value=b", "'value.1' is invalid: Input should be a valid integer"),
    ],
)
async def test_value_that_is_invalid_is_400_with_a_sentence(
    plugin: Plugin, handler: Any, query: str, sentence: str
) -> None:
    status, body = await respond_to(plugin, handler, query)
    assert status == 400
    assert sentence.replace("'", "&#39;") in body


async def test_name_in_query_and_body_is_refused(plugin: Plugin) -> None:
    status, _ = await respond_to(plugin, number, "?value=1", method="POST", json={"value": 1})
    assert status == 400


async def test_body_that_is_not_an_object_is_refused(plugin: Plugin) -> None:
    assert (await respond_to(plugin, number, method="POST", json=[1]))[0] == 400


async def test_host_parameters_do_not_conflict_with_a_body(plugin: Plugin) -> None:
    status, _ = await respond_to(plugin, number, "?jwt=a.b.c&lic=none", method="POST", json={"value": 1, "jwt": "x"})
    assert status == 200


@pytest.mark.parametrize("name", sorted(HOST_PARAMETERS))
def test_host_parameters_are_refused_in_handlers(plugin: Plugin, name: str) -> None:
    scope: dict[str, Any] = {}
    exec(f"async def x({name}: str) -> str: ...", scope)
    plugin.get("/x")(scope["x"])
    with pytest.raises(PluginError, match=f"handler 'x' has the parameter '{name}', which the host adds to its URLs"):
        plugin.check()


def test_settings_of_another_type_are_not_filled_by_the_caller(plugin: Plugin) -> None:
    async def x(settings: Point) -> None: ...

    plugin.post("/x")(x)
    with pytest.raises(
        PluginError, match="handler 'x' has the parameter 'settings' with another type than the plugin's"
    ):
        plugin.check()


def test_host_variables_are_never_taken_from_the_request() -> None:
    async def x(context: Context, tenant: Any, account_id: str, licence: Any, issue_key: str, poll: str) -> None: ...

    found = request_arguments(x, "sample", frozenset({"poll"}), Section, Demand.OWN_PAGE)
    assert [one.source for one in found] == ["context", "tenant", "account_id", "licence", "object", "object"]


def test_handler_with_two_different_guards_is_refused(plugin: Plugin) -> None:
    async def x() -> str:
        return ""

    plugin.module("generalPages", name="X")(x)
    with pytest.raises(PluginError, match="handler 'x' has two routes with different options; write one handler"):
        plugin.module("adminPages", key="other", name="X", licensed=True)(x)


def test_page_may_be_declared_twice_with_the_same_guard(plugin: Plugin) -> None:
    async def x() -> str:
        return ""

    plugin.module("generalPages", name="X")(x)
    plugin.module("adminPages", key="other", name="X")(x)
    assert [module.key for module in plugin.addon_modules()] == ["sample-x", "other"]


def test_tenant_is_injected_by_its_type_and_never_by_the_caller() -> None:
    async def x(site: Tenant) -> None: ...

    [found] = request_arguments(x, "sample", frozenset(), None, Demand.OWN_PAGE)
    assert found.source == "tenant"
    with pytest.raises(PluginError, match="is public, but 'site' exists on authenticated requests only"):
        request_arguments(x, "sample", frozenset(), None, Demand.NOTHING)


async def unrouted() -> str:
    return ""


other = Plugin("other", __name__)


@other.page
async def page_of_another_plugin() -> str:
    return ""


async def page() -> str:
    return ""


async def cacheable() -> str:
    return ""


async def data() -> str:
    return ""


@pytest.mark.parametrize(
    "pages",
    [
        pytest.param([unrouted], id="a function without a route"),
        pytest.param([page, unrouted], id="a page and a function"),
        pytest.param([page_of_another_plugin], id="a page of another plugin"),
        pytest.param([cacheable], id="a cacheable page"),
        pytest.param([data], id="a route"),
        pytest.param(["page"], id="the name of a page"),
        pytest.param([None], id="nothing in a list"),
        pytest.param(page, id="a page without a list"),
        pytest.param("page", id="a text"),
        pytest.param([], id="an empty list"),
        pytest.param(None, id="None"),
    ],
)
def test_pages_of_a_route_must_be_pages_with_a_session(pages: Any) -> None:
    plugin = Plugin("sample", __name__)
    plugin.page(page)
    plugin.page(cacheable=True)(cacheable)
    plugin.get("/data")(data)

    async def save() -> None: ...

    def declare() -> None:
        plugin.post("/save", pages=pages)(save)
        plugin.check()

    with pytest.raises(PluginError, match=r"'/save' has .*'pages'"):
        declare()


@pytest.mark.parametrize("mark", [public, exact], ids=["public", "exact"])
def test_pages_of_a_route_that_takes_no_session_are_refused(plugin: Plugin, mark: Any) -> None:
    @plugin.page
    async def page() -> str:
        return ""

    async def save() -> None: ...

    with pytest.raises(PluginError, match="has 'pages', but its route demands"):
        plugin.post("/save", pages=[page])(mark(save))


def test_pages_of_a_route_may_be_declared_before_the_page_is_linked(plugin: Plugin) -> None:
    @plugin.page
    async def page() -> str:
        return ""

    @plugin.post("/save", pages=(page,))
    async def save() -> None: ...

    plugin.check()
