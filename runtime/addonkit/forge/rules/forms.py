"""The form of a manifest's parts except modules: objects and lists where they belong, and no unknown fields.

The fields and their values are those of @forge/manifest 13.7.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from addonkit.forge.data import read_data
from addonkit.forge.findings import Finding, called, child, error, meant, shown, warning


@dataclass(frozen=True, slots=True)
class Fields:
    """An object with these fields, each with its form; those in ``required`` must be there.

    Another field is an error if the object is ``closed``, else a warning, since Forge ignores it.
    """

    known: Mapping[str, Any]
    required: tuple[str, ...] = ()
    closed: bool = True


@dataclass(frozen=True, slots=True)
class Items:
    """A list whose items have one form."""

    form: Any
    at_least: int = 0


@dataclass(frozen=True, slots=True)
class Text:
    """A text that matches a pattern, of at most so many characters."""

    pattern: str = r"(?s).*"
    rule: str = ""
    longest: int = 1000


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of these values."""

    values: tuple[Any, ...]


class Anything:
    """A part that other rules check, or none."""


MAX_TEXT = 1 << 20
"""Longest text where Forge names no limit."""
ANYTHING = Anything()
ITEMS = Items(ANYTHING)
YES_NO = OneOf((True, False))
_NAME = r"[a-zA-Z0-9_-]+"
_NAME_RULE = "letters, digits, '-' and '_'"
_ENABLED = Fields({"enabled": YES_NO}, ("enabled",))
TOKENS = Fields({"appSystemToken": _ENABLED, "appUserToken": _ENABLED})
"""The tokens that a remote or an endpoint gets."""
_REQUIRED = Fields({"required": YES_NO})

_APP = Fields(
    {
        "id": Text(r"ari:cloud:ecosystem::app/\S+", "'ari:cloud:ecosystem::app/<uuid>', as 'forge register' prints it"),
        "name": ANYTHING,  # deprecated, so the validator warns only
        "description": Text(),
        "runtime": Fields(
            {
                "name": OneOf(tuple(read_data("limits")["runtimes"])),
                "architecture": OneOf(("x86_64", "arm64")),
                "memoryMB": ANYTHING,
            },
            ("name",),
        ),
        "connect": Fields(
            {
                "key": Text(r"[a-zA-Z0-9._-]+", "letters, digits, '-', '.' and '_'", 90),
                "remote": Text(_NAME, _NAME_RULE, 23),
                "authentication": OneOf(("jwt",)),
            },
            ("key",),
        ),
        "licensing": Fields(
            {"enabled": YES_NO, "editionsEnabled": YES_NO, "modes": Items(OneOf(("user-access",)))}, ("enabled",)
        ),
        "compatibility": Fields(
            {
                "jira": _REQUIRED,
                "confluence": _REQUIRED,
                "compass": _REQUIRED,
                "bitbucket": Fields({"required": OneOf((False,))}, ("required",)),
            }
        ),
        "access": Fields({"userAccess": YES_NO}, ("userAccess",)),
        "features": Fields({"autoUserConsent": YES_NO}),
        "storage": ANYTHING,
        "package": ANYTHING,
    },
    ("id", "runtime"),
)
_REMOTE = Fields(
    {
        "key": Text(_NAME, _NAME_RULE, 23),
        "baseUrl": ANYTHING,
        "operations": Items(OneOf(("storage", "compute", "fetch", "other")), 1),
        "auth": TOKENS,
        "storage": Fields({"inScopeEUD": YES_NO}, ("inScopeEUD",)),
        "configurable": Fields(
            {"name": Text(), "description": Text(), "supportedPatterns": Items(Text(), 1)}, ("name", "description")
        ),
    },
    ("key",),
)
_RESOURCE = Fields(
    {
        "key": Text(_NAME, _NAME_RULE, 23),
        "path": Text(longest=MAX_TEXT),
        "bundler": OneOf(("manual@2026",)),
        "entry": Fields({}),
        "tunnel": Fields({"port": ANYTHING}, ("port",)),
    },
    ("key", "path"),
)
_PERMISSIONS = Fields(
    {
        "scopes": ANYTHING,
        "content": Fields({"scripts": Items(Text(longest=128)), "styles": Items(OneOf(("unsafe-inline",)))}),
        "external": ANYTHING,
        "enforcement": OneOf(("app-managed",)),
        "sandbox": Items(OneOf(("allow-storage-access-by-user-activation",))),
    }
)
MANIFEST = Fields(
    {
        "app": _APP,
        "remotes": Items(_REMOTE),
        "connectModules": ANYTHING,
        "modules": ANYTHING,
        "permissions": _PERMISSIONS,
        "resources": Items(_RESOURCE),
        "environment": Fields({"variables": ITEMS}),
        "providers": ANYTHING,
        "services": ANYTHING,
        "translations": ANYTHING,
        "overrides": ANYTHING,
    },
    ("app",),
)


def check_forms(document: Any) -> Iterator[Finding]:
    """Yield what does not have the form of a manifest."""
    yield from check_form("", document, MANIFEST)


def check_form(pointer: str, value: Any, form: Any) -> Iterator[Finding]:
    """Yield what in a value does not have a form, the outermost fault first."""
    match form:
        case Fields():
            yield from _check_fields(pointer, value, form)
        case Items():
            yield from _check_items(pointer, value, form)
        case OneOf() if not any(
            value is known or (value == known and type(value) is type(known)) for known in form.values
        ):
            known = " or ".join(shown(one) for one in form.values)
            yield error(pointer, f"{called(pointer)} is {shown(value)}, expected {known}; correct it")
        case Text():
            yield from _check_text(pointer, value, form)


def _check_fields(pointer: str, value: Any, form: Fields) -> Iterator[Finding]:
    if not isinstance(value, Mapping):
        yield error(pointer, f"{called(pointer)} is {shown(value)}, expected an object; write its fields below it")
        return
    for name in form.required:
        if name not in value:
            yield error(pointer, f"{called(pointer)} lacks '{name}', which Forge requires; add it")
    for name, item in value.items():
        place = child(pointer, name)
        if form.known and name not in form.known:
            level, does = (error, "does not know") if form.closed else (warning, "ignores")
            advice = meant(str(name), set(form.known) - set(value), "remove it")
            yield level(place, f"{called(pointer)} has the field {shown(name)}, which Forge {does}; {advice}")
        elif name in form.known:
            yield from check_form(place, item, form.known[name])


def _check_items(pointer: str, value: Any, form: Items) -> Iterator[Finding]:
    if not isinstance(value, list):
        yield error(pointer, f"{called(pointer)} is {shown(value)}, expected a list; write each item after '- '")
    elif len(value) < form.at_least:
        yield error(pointer, f"{called(pointer)} is an empty list; add an item, or remove it")
    else:
        for place, item in enumerate(value):
            yield from check_form(child(pointer, place), item, form.form)


def _check_text(pointer: str, value: Any, form: Text) -> Iterator[Finding]:
    name = called(pointer)
    if not isinstance(value, str):
        yield error(pointer, f"{name} is {shown(value)}, expected a text; put it in quotes")
    elif len(value) > form.longest:
        yield error(pointer, f"{name} has {len(value)} characters; shorten it to {form.longest} at most")
    elif not re.fullmatch(form.pattern, value):
        yield error(pointer, f"{name} is {shown(value)}, expected {form.rule}; correct it")
