"""Recognising the routes of a blueprint by the code that Quart defers for each."""

from __future__ import annotations

import pytest
from addonkit.errors import PluginError
from addonkit.extension import isolation
from addonkit.extension.guard import public
from quart import Blueprint


def blueprint_with_route() -> Blueprint:
    blueprint = Blueprint("raw", __name__, url_prefix="/raw")
    blueprint.add_url_rule("/x", "x", public(lambda: "x"))
    return blueprint


def test_route_code_is_that_of_every_route() -> None:
    blueprint = blueprint_with_route()
    assert [one.__code__ for one in blueprint.deferred_functions] == [isolation.ROUTE_CODE]
    assert [route.endpoint for route in isolation.routes_of("raw", blueprint, [])] == ["raw.x"]


def test_deferred_function_with_the_name_of_a_route_is_refused() -> None:
    blueprint = blueprint_with_route()

    def disguised(state: object) -> None: ...

    disguised.__qualname__ = blueprint.deferred_functions[0].__qualname__
    blueprint.record(disguised)
    with pytest.raises(PluginError, match="plugins must not use"):
        isolation.routes_of("raw", blueprint, [])


def test_route_code_is_not_found_in_an_unknown_release_of_quart(monkeypatch: pytest.MonkeyPatch) -> None:
    class OtherBlueprint(Blueprint):
        def add_url_rule(self, *args: object, **options: object) -> None:
            """Keep the route in another way."""

    monkeypatch.setattr(isolation, "Blueprint", OtherBlueprint)
    with pytest.raises(ImportError, match=r"Quart 0\.\d+\.\d+ with Flask .* install Quart 0\.22 and Flask 3\.1"):
        isolation._route_code()
