"""Checks one module against the host's rules at start; an error names the plugin, the module, the fault and the remedy.

Conflicts between modules are in ``document``, the scopes that modules need in ``scopes``.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from addonkit.context import Module
from addonkit.descriptor.module_types import DECLARABLE, ELSEWHERE, ModuleType, module_type
from addonkit.descriptor.urls import fault_of_action, fault_of_link, fault_of_own, is_absolute
from addonkit.errors import DescriptorInvalid
from addonkit.text import near_matches

MAX_KEY = 100
"""Longest module key, in characters."""
MAX_TEXT = 1500
"""Longest text shown to users (``name``, ``tooltip``, ``description``), in characters."""
MAX_I18N_KEY = 300
"""Longest key of a translation, in characters."""
RESERVED = "addonkit-"
"""How keys of the runtime's own modules in a Forge manifest begin."""

_KEY = re.compile(r"[a-zA-Z0-9-]+")
_TEXTS = ("name", "tooltip", "description")
PLAIN_NAMES = frozenset({"jiraJqlFunctions"})
"""Types whose name is not a text for users but part of a query language."""
_LINKS = (
    "iconUrl",
    "icon.url",
    "thumbnailUrl",
    "logoUrl",
    "homeUrl",
    "documentationUrl",
    "documentation.url",
    "imagePlaceholder.url",
    "uiSupport.icons.*.url",
    "keyConfigurations.*.extractions.*.uiSupport.dataUri",
    "paths.*",
)
# Types whose keys are in the content or the settings of customers, so that nobody can rename a module.
_STORED_KEYS = frozenset(
    {
        *("dynamicContentMacros", "staticContentMacros", "customContent", "blueprints", "confluenceThemes"),
        *("jiraIssueFields", "jiraIssueTypes", "jiraGlobalPermissions", "jiraProjectPermissions", "jiraDashboardItems"),
        *("jiraWorkflowConditions", "jiraWorkflowPostFunctions", "jiraWorkflowValidators", "automationActions"),
        "jiraTimeTrackingProviders",
    }
)

log = logging.getLogger(__name__)


def check_module(module: Module, *, strict: bool = False) -> None:
    """Refuse a module that the host would refuse, and log a warning for an unknown type and each misspelt field.

    Args:
        module: The module.
        strict: Whether a module type that is not in the table is refused.

    Raises:
        DescriptorInvalid: The first rule that the module breaks.
    """
    if strict and module.type not in DECLARABLE:
        raise DescriptorInvalid(f"{label(module)} {_unknown(module.type)}", plugin=module.plugin)
    check_rules(module)
    for hint in hints(module):
        log.warning(hint)


def check_rules(module: Module) -> None:
    """Refuse a module that the host would refuse. Of an unknown type, only its key and its URLs are checked.

    Raises:
        DescriptorInvalid: The first rule that the module breaks.
    """
    for fault in module_faults(module):
        raise DescriptorInvalid(f"{label(module)} {fault}", plugin=module.plugin)


def hints(module: Module) -> tuple[str, ...]:
    """Return a warning for an unknown type, for each field that resembles one that the host reads, and for the key."""
    known = DECLARABLE.get(module.type)
    if known is None:
        return (f"{label(module)} {_unknown(module.type)}; it is passed on unchecked",)
    misspelt = (
        f"{label(module)} has the field '{name}', which the host does not read; did you mean '{near}'"
        for name, near in unread_fields(module)
    )
    return (*misspelt, *_reserved(module))


def _reserved(module: Module) -> Iterator[str]:
    if module.key and module.key.startswith(RESERVED) and module.type not in _STORED_KEYS:
        yield (
            f"{label(module)} has a key that begins with '{RESERVED}', as the runtime's own modules do in a Forge "
            "manifest; rename it"
        )


def unread_fields(module: Module) -> Iterator[tuple[str, str]]:
    """Yield each field that the host does not read but that resembles one that it reads, with that one's name."""
    known = module_type(module.type)
    fields = {*known.required, *known.optional, "key"}
    for name in module.body:
        if name not in fields and (close := near_matches(name, fields - set(module.body))):
            yield name, close[0]


def fields_at(body: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield each field at a dotted path, with its full path; absent fields are skipped.

    Args:
        body: A module's body, or a part of it.
        path: Such as ``target.url`` or ``actions.*.templateUrl``; ``*`` matches each key or each index of a list.
    """
    name, _, rest = path.partition(".")
    found: list[tuple[str, Any]] = []
    if isinstance(body, Mapping):
        found = list(body.items()) if name == "*" else [(name, body[name])] if name in body else []
    elif isinstance(body, list | tuple) and name == "*":
        found = [(str(place), value) for place, value in enumerate(body)]
    for step, value in found:
        if not rest:
            yield step, value
            continue
        for below, deeper in fields_at(value, rest):
            yield f"{step}.{below}", deeper


def label(module: Module) -> str:
    """Return the words that a message about a module begins with: its plugin, type, and key or event."""
    if not isinstance(module.body, Mapping):
        return f"plugin '{module.plugin}': '{module.type}'"
    name = module.body.get("key") or module.body.get("event")
    return f"plugin '{module.plugin}': '{module.type}'" + (f" '{name}'" if name else "")


def module_faults(module: Module, *, except_for: Collection[str] = ()) -> Iterator[str]:
    """Yield each fault as words that follow the module's label; later checks rely on earlier ones.

    Args:
        module: The module.
        except_for: Fields that are neither required nor checked; a Forge manifest has rules of its own for keys.
    """
    if module.type in ELSEWHERE:
        yield _unknown(module.type)
        return
    known = module_type(module.type)
    if not isinstance(module.body, Mapping):
        yield _not_an_object(known, module.body)
        return
    yield from _missing(known, module.body, except_for)
    if "key" not in except_for:
        yield from _bad_key(known, module.body)
    yield from _bad_paths(module)
    yield from _bad_product(known, module)
    if module.type in DECLARABLE:
        yield from _bad_texts(known, module.body)
        yield from _bad_urls(known, module.body)
    else:
        yield from _bad_urls_of_unknown(known, module.body)


def _unknown(name: str) -> str:
    if name in ELSEWHERE:
        return f"is a module in manifests only; a descriptor has {ELSEWHERE[name]}"
    matches = near_matches(name, DECLARABLE)
    if not matches:
        return "is not a module type of the host; look its name up in the host's documentation"
    meant = " or ".join(f"'{match}'" for match in matches)
    return f"is not a module type of the host; did you mean {meant}"


def _not_an_object(known: ModuleType, body: object) -> str:
    if known.box != "list" and isinstance(body, list | tuple):
        return "is given as a list, but a descriptor has one such module; pass the object itself"
    return f"has a body of type '{type(body).__name__}', but an object was expected; pass one mapping for each module"


def _missing(known: ModuleType, body: Mapping[str, Any], except_for: Collection[str]) -> Iterator[str]:
    for name in known.required:
        # Source: a Connect descriptor's webhooks have no key; only a manifest's do.
        if body.get(name) in (None, "") and name not in except_for and (known.name, name) != ("webhooks", "key"):
            yield f"lacks '{name}', which the host requires; add it"


def _bad_paths(module: Module) -> Iterator[str]:
    paths = module.body.get("paths") if module.type == "translations" else None
    if paths not in (None, "") and not (isinstance(paths, Mapping) and paths):
        yield "has 'paths' that do not map languages to URLs; write {'en-US': plugin.static('en-US.json')}"


def _bad_product(known: ModuleType, module: Module) -> Iterator[str]:
    if module.product is not None and module.product not in known.products:
        names = " and ".join(product.capitalize() for product in sorted(known.products))
        yield f"has product={module.product!r}, but it is a type of {names}; correct product="


def _bad_key(known: ModuleType, body: Mapping[str, Any]) -> Iterator[str]:
    if "key" not in body:
        return
    key = body["key"]
    if known.box == "field":
        yield f"has the key {key!r}, but it is a field of the descriptor, which has none; remove the key"
        return
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        yield f"has the key {key!r}, but only letters, digits and '-' are allowed; rename it"
    elif len(key) > MAX_KEY:
        yield f"has a key of {len(key)} characters; shorten it to {MAX_KEY} at most"


def _bad_texts(known: ModuleType, body: Mapping[str, Any]) -> Iterator[str]:
    for name in _TEXTS:
        if name not in body or (name == "name" and known.name in PLAIN_NAMES):
            continue
        text = body[name]
        if not isinstance(text, Mapping) or not isinstance(text.get("value"), str):
            yield f"has a '{name}' that is not a text for users; write it as {{'value': 'the text'}}"
            continue
        for part, longest in (("value", MAX_TEXT), ("i18n", MAX_I18N_KEY)):
            length = len(str(text.get(part, "")))
            if length > longest:
                yield f"has a '{name}' of {length} characters in '{part}'; shorten it to {longest} at most"


def _bad_urls(known: ModuleType, body: Mapping[str, Any]) -> Iterator[str]:
    for path in known.urls:
        for place, url in fields_at(body, path):
            if fault := _fault_of_url(known, body, place, url):
                yield f"has a '{place}' that {fault}"
    own_site = () if "url" in known.urls else ("url",)
    for path in (*_LINKS, *own_site):
        for place, url in fields_at(body, path):
            if fault := fault_of_link(url):
                yield f"has a '{place}' that {fault}"


def _bad_urls_of_unknown(known: ModuleType, body: Mapping[str, Any]) -> Iterator[str]:
    """Check the URLs of a type that is not in the table: a field of another form may be something else there."""
    for path in known.urls:
        for place, url in fields_at(body, path):
            fault = fault_of_link(url, plain=True) if is_absolute(url) else fault_of_own(url)
            if isinstance(url, str) and fault:
                yield f"has a '{place}' that {fault}"


def _fault_of_url(known: ModuleType, body: Mapping[str, Any], place: str, url: object) -> str | None:
    if place.endswith("templateUrl"):
        return fault_of_action(url)
    if place == "url" and known.may_link:
        if is_absolute(url):
            return fault_of_link(url, plain=True)
        if body.get("context") == "product":
            return fault_of_link(url if isinstance(url, str) and url.startswith("/") else f"/{url}")
        if body.get("context") == "page":
            return _fault_of_page(url)
    return fault_of_own(url)


def _fault_of_page(url: object) -> str | None:
    """Return why a value is not the key of a page module; None if it is. The context 'page' needs such a key."""
    if isinstance(url, str) and _KEY.fullmatch(url) and len(url) <= MAX_KEY:
        return None
    return f"is {url!r}, but the context 'page' takes the key of a page module; give its key"
