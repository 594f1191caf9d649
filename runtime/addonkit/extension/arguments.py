"""What a handler asks for, by the names of its parameters: where each is taken from, checked before anything is served.

Three kinds of names: what the request was proven to be about (the context, the site, the user, the host's objects),
what the deployment set (the plugin's settings), and what the caller sent (path, query, JSON body). A name of the first
kind is never filled from the third. The values themselves are gathered in ``handlers``.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Union

from pydantic import BaseModel, TypeAdapter

from addonkit.context import Context, Demand, Licence, Tenant
from addonkit.descriptor.variables import VARIABLES, looks_like_variable
from addonkit.errors import PluginError
from addonkit.extension.signature import signature_of
from addonkit.text import near_matches

IDENTITY = {"tenant": Tenant, "account_id": str, "licence": Licence}

# Source: what the host adds to the URL of every page; of a name that it adds, request data says nothing.
HOSTS_OWN = frozenset(
    {"jwt", "lic", "xdm_e", "xdm_c", "xdm_p", "xdm_deprecated_addon_key_do_not_use", "cp", "cv", "user_id", "user_key"}
)

Handler = Callable[..., Any]
Source = typing.Literal["context", "settings", "tenant", "account_id", "licence", "object", "request"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One name that a handler asks for.

    Attributes:
        name: As written in the handler.
        source: Where it is taken from.
        default: What it is when absent; ``inspect.Parameter.empty`` makes it mandatory.
        adapter: What turns the caller's value into the annotated type; None takes it as it is.
        nullable: Whether the annotation allows None.
        many: Whether the annotation is a list, a tuple or a set.
    """

    name: str
    source: Source
    default: Any
    adapter: TypeAdapter[Any] | None
    nullable: bool
    many: bool = False

    @property
    def mandatory(self) -> bool:
        """Whether its absence ends the request."""
        return self.default is inspect.Parameter.empty and not (self.nullable and self.source != "request")


def parameters_of(
    handler: Handler, plugin: str, variables: frozenset[str], settings: type[BaseModel] | None, demand: Demand
) -> tuple[Parameter, ...]:
    """What a handler asks for, checked.

    Args:
        handler: The function that the plugin's author wrote.
        plugin: The plugin's name.
        variables: Names that this plugin maps to variables of the host, beside the table's.
        settings: The plugin's settings model.
        demand: What its route demands.

    Raises:
        PluginError: A name looks like a variable of the host and is none, or cannot be had on this route.
    """
    found = []
    for parameter, hint in signature_of(handler, plugin):
        name = parameter.name
        source = _source(name, hint, variables, settings)
        _check(plugin, handler, name, source, demand)
        adapter = TypeAdapter(hint) if _is_converted(source, hint) else None
        found.append(Parameter(name, source, parameter.default, adapter, _is_nullable(hint), _takes_many(hint)))
    return tuple(found)


def _is_converted(source: Source, hint: Any) -> bool:
    """Whether a value is checked: the caller's always, the host's where it is to be more than text."""
    return hint is not Any and (source == "request" or (source == "object" and hint is not str))


def _takes_many(hint: Any) -> bool:
    """Whether a name that stands once in a query is still a list."""
    if typing.get_origin(hint) is typing.Annotated:
        return _takes_many(typing.get_args(hint)[0])
    if _is_nullable(hint):
        return any(_takes_many(one) for one in typing.get_args(hint))
    return (typing.get_origin(hint) or hint) in (list, tuple, set, frozenset)


def _is_nullable(hint: Any) -> bool:
    return typing.get_origin(hint) in (Union, types.UnionType) and type(None) in typing.get_args(hint)


def _source(name: str, hint: Any, variables: frozenset[str], settings: type[BaseModel] | None) -> Source:
    if hint is Context or name == "context":
        return "context"
    if settings is not None and hint is settings:
        return "settings"
    if name in IDENTITY:
        return typing.cast("Source", name)
    return "object" if name in VARIABLES or name in variables else "request"


def _check(plugin: str, handler: Handler, name: str, source: Source, demand: Demand) -> None:
    if demand is Demand.NOTHING and source not in ("request", "settings"):
        raise PluginError(
            f"plugin '{plugin}' opens '{handler.__name__}' to everybody and asks it for '{name}', which only a proven "
            "request has; drop @public or the parameter",
            plugin=plugin,
        )
    if source == "request" and name in HOSTS_OWN:
        raise PluginError(
            f"plugin '{plugin}' asks for '{name}' in '{handler.__name__}', which the host adds to its URLs itself and "
            "no handler gets; rename it",
            plugin=plugin,
        )
    if source == "request" and name == "settings":
        raise PluginError(
            f"plugin '{plugin}' asks for 'settings' in '{handler.__name__}' by another type than its settings model; "
            "annotate it with the class that Plugin(…, settings=…) got",
            plugin=plugin,
        )
    if source == "request" and (meant := [one for one in near_matches(name, IDENTITY) if name not in IDENTITY]):
        raise PluginError(
            f"plugin '{plugin}' asks for '{name}' in '{handler.__name__}', which the caller could send; did you mean "
            f"'{meant[0]}', or else rename it",
            plugin=plugin,
        )
    if source == "request" and looks_like_variable(name):
        close = near_matches(name, VARIABLES)
        hint = f"did you mean '{close[0]}'" if close else f"map it with variables={{'{name}': …}}, or rename it"
        raise PluginError(
            f"plugin '{plugin}' asks for '{name}' in '{handler.__name__}', which looks like a variable of the host and "
            f"is none; {hint}",
            plugin=plugin,
        )
