"""Which product each module of a manifest belongs to, and the key that it has there.

A descriptor does not say either: a type that both products have appears in both, and a webhook has no key.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from addonkit.context import Module, Product
from addonkit.descriptor.checks import MAX_KEY, RESERVED, label
from addonkit.descriptor.document import plain_value
from addonkit.descriptor.module_types import BOTH, DECLARABLE, FIELDS
from addonkit.errors import PluginError, SettingsInvalid
from addonkit.forge.counterparts import products_of_event
from addonkit.text import near_matches

PRODUCTS: tuple[Product, ...] = ("confluence", "jira")


@dataclass(frozen=True, slots=True)
class Placed:
    """A module at its place in a manifest.

    Attributes:
        module: The module.
        product: The product that it belongs to.
        key: Its key in the manifest: its own, or a generated one.
    """

    module: Module
    product: Product
    key: str

    @property
    def type(self) -> str:
        """Its type in a manifest, such as ``jira:webPanels``."""
        return f"{self.product}:{self.module.type}"

    @property
    def body(self) -> dict[str, Any]:
        """Its fields in a manifest, the key first."""
        body: dict[str, Any] = plain_value(self.module, self.module.body)
        return {"key": self.key} | {name: value for name, value in body.items() if name != "key"}


def place_modules(modules: Sequence[Module], chosen: Mapping[str, Product]) -> tuple[Placed, ...]:
    """Find the product and the key of each module.

    A field of the descriptor, such as ``translations``, goes to every product of the add-on.

    Args:
        modules: The modules of all plugins.
        chosen: ``[forge] products``: the products of modules by their keys.

    Raises:
        PluginError: A module has no product, or one that does not have its type.
        SettingsInvalid: ``chosen`` names a module that does not exist, or a product that does not have its type.
    """
    modules = _without_equal_webhooks(modules)
    _check_chosen(modules, chosen)
    found = [_product_of(module, chosen) for module in modules]
    used = {product for module, product in zip(modules, found, strict=True) if product and module.type not in FIELDS}
    placed: list[Placed] = []
    for module, product in zip(modules, found, strict=True):
        if module.type in FIELDS:
            products: Iterable[Product] = [product] if product else sorted(used) or PRODUCTS
            placed += [Placed(module, one, generated_key(module.type, one)) for one in products]
            continue
        product = product or (next(iter(used)) if len(used) == 1 else None)
        if product is None:
            raise _undecided(module, used)
        placed.append(Placed(module, product, key_of(module)))
    return tuple(placed)


def possible_products(module: Module) -> frozenset[Product]:
    """Return the products that have a module's type, or that send the event of a webhook; both for an unknown event."""
    if module.type == "webhooks":
        return products_of_event(str(module.body.get("event"))) or BOTH
    known = DECLARABLE.get(module.type)
    return known.products if known else frozenset()


def key_of(module: Module) -> str:
    """Return a module's key in a manifest; for a webhook without one, a key that only its own fields determine."""
    if module.key is not None:
        return module.key
    event, url = str(module.body.get("event", "")), str(module.body.get("url", ""))
    rest = {name: value for name, value in module.body.items() if name not in ("event", "url")}
    # Webhooks of one event and URL can differ by their filter.
    more = f"\n{json.dumps(plain_value(module, rest), sort_keys=True)}" if rest else ""
    digest = hashlib.sha256(f"{module.plugin}\n{event}\n{url}{more}".encode()).hexdigest()[:8]
    words = generated_key("webhook", module.plugin, event)[: MAX_KEY - len(digest) - 1].rstrip("-")
    return f"{words}-{digest}"


def generated_key(*words: str) -> str:
    """Return a key of the runtime's own; it begins with the reserved prefix."""
    return RESERVED + "-".join(re.sub(r"[^a-zA-Z0-9]+", "-", word).strip("-") for word in words if word)


def _without_equal_webhooks(modules: Iterable[Module]) -> list[Module]:
    """Leave out each webhook that its plugin declares a second time: it would have the same key."""
    seen: set[tuple[str, str]] = set()
    kept = []
    for module in modules:
        if module.type == "webhooks" and module.key is None:
            name = module.plugin, key_of(module)
            if name in seen:
                continue
            seen.add(name)
        kept.append(module)
    return kept


def _product_of(module: Module, chosen: Mapping[str, Product]) -> Product | None:
    """Return the product that the plugin, the configuration or the type says; None if none of them does."""
    possible = possible_products(module)
    if not possible:
        raise PluginError(
            f"{label(module)} is not a module type of a Forge manifest, so Forge would refuse the manifest; remove the "
            "module, or its plugin from [addon] plugins",
            plugin=module.plugin,
        )
    setting = chosen.get(key_of(module))
    if module.product and module.product not in possible:
        raise PluginError(
            f"{label(module)} has product='{module.product}', but only {_name(possible)} has it; correct product=",
            plugin=module.plugin,
        )
    if setting and setting not in possible:
        raise SettingsInvalid(
            f"[forge] products says '{setting}' for '{key_of(module)}', but {label(module)} exists in "
            f"{_name(possible)} only; remove the entry"
        )
    if setting and module.product and setting != module.product:
        raise SettingsInvalid(
            f"[forge] products says '{setting}' for '{key_of(module)}', but {label(module)} has "
            f"product='{module.product}'; remove the entry"
        )
    return module.product or setting or (next(iter(possible)) if len(possible) == 1 else None)


def _check_chosen(modules: Iterable[Module], chosen: Mapping[str, Product]) -> None:
    keys = {key_of(module) for module in modules if module.type not in FIELDS}
    for key in sorted(set(chosen) - keys):
        close = near_matches(key, keys)
        remedy = f"did you mean '{close[0]}'" if close else "remove it"
        raise SettingsInvalid(f"[forge] products names '{key}', which is the key of no module; {remedy}")


def _undecided(module: Module, used: set[Product]) -> PluginError:
    others = "modules of both" if used else "no module that only one of them has"
    return PluginError(
        f"{label(module)} exists in Jira and in Confluence, and the add-on has {others}, so the manifest needs its "
        f"product; write product='jira' or product='confluence' in the plugin, or add '{key_of(module)}' to "
        f'[forge] products, as in products = {{"{key_of(module)}" = "jira"}}',
        plugin=module.plugin,
    )


def _name(products: Iterable[Product]) -> str:
    return " and ".join(product.capitalize() for product in sorted(products))
