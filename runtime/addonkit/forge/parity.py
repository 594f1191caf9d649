"""What changes when an add-on moves to Forge: a statement for each module, webhook, scope and hook of each plugin.

The facts and their sources are in ``changes.json``, ``modules.json`` and ``events.json``; this file applies them to the
plugins of a deployment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from addonkit.context import Module, Product
from addonkit.descriptor.module_types import BOTH, FIELDS
from addonkit.descriptor.scopes import merge, with_included
from addonkit.extension.registry import Registry
from addonkit.forge.counterparts import (
    Counterpart,
    Note,
    event_counterpart,
    module_counterpart,
    notes_of,
)
from addonkit.forge.data import read_data
from addonkit.forge.products import key_of, possible_products
from addonkit.forge.scopes import scope_name, scopes_in
from addonkit.forge.statements import ADDON, WORST, Statement, Verdict, stated
from addonkit.settings.forge_section import Stage

_ASK_PRODUCT = Note(
    "Jira and Confluence both have it: say product= in the plugin, or its key in [forge] products", ("A",)
)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the report knows of one plugin.

    Attributes:
        name: The plugin's name.
        modules: Its modules and webhooks.
        scopes: The scopes that it needs, in upper case.
        hooks: The lifecycle hooks that it implements.
        licensed: Names of its routes that need a licence, and ``addon_admit`` if it decides about requests.
        siblings: Whether it reads the site's other product.
    """

    name: str
    modules: tuple[Module, ...] = ()
    scopes: frozenset[str] = frozenset()
    hooks: tuple[str, ...] = ()
    licensed: tuple[str, ...] = ()
    siblings: bool = False


@dataclass(frozen=True, slots=True)
class Addon:
    """What the report knows of the add-on.

    Attributes:
        plugins: Its plugins, sorted by name.
        licensing: Whether licences are sold for it.
        native: Keys of the modules that the stage ``hybrid`` declares as Forge modules.
        chosen: Products of modules by their keys.
    """

    plugins: tuple[Parts, ...]
    licensing: bool = False
    native: frozenset[str] = frozenset()
    chosen: Mapping[str, Product] = field(default_factory=dict)


def addon_of(registry: Registry) -> Addon:
    """Read what the report needs from the loaded plugins and their configuration."""
    forge = registry.settings.forge
    hooks = read_data("changes")["hooks"]
    plugins = tuple(
        Parts(
            name=name,
            modules=one.modules,
            scopes=one.scopes,
            hooks=tuple(hook for hook in hooks if name in registry.listeners(hook)),
            licensed=(
                *sorted({route.endpoint.partition(".")[2] for route in one.routes if route.licensed}),
                *(["addon_admit"] if name in registry.listeners("addon_admit") else []),
            ),
            siblings=one.siblings,
        )
        for name, one in registry.contributions.items()
    )
    return Addon(
        plugins,
        registry.settings.addon.licensing,
        frozenset(forge.native) if forge else frozenset(),
        forge.products if forge else {},
    )


def parity(addon: Addon, stage: Stage) -> tuple[Statement, ...]:
    """Return what becomes of each part of each plugin, and of the add-on, at a stage."""
    report = _Report(addon, stage)
    found = [statement for parts in addon.plugins for statement in report.of_plugin(parts)]
    return (*found, *report.of_addon(found))


class _Report:
    """The statements about one stage."""

    def __init__(self, addon: Addon, stage: Stage) -> None:
        self._addon, self._stage = addon, stage
        self._products = {parts.name: self._products_of(parts) for parts in addon.plugins}
        everywhere = frozenset[Product]().union(*self._products.values()) or BOTH
        for parts in addon.plugins:
            if parts.siblings or not self._products[parts.name]:
                self._products[parts.name] = everywhere

    def of_plugin(self, parts: Parts) -> Iterator[Statement]:
        """Yield the statements about one plugin."""
        for module in parts.modules:
            yield self._module(module, parts)
        yield from self._scopes(parts)
        for hook in parts.hooks:
            yield from self._stated(read_data("changes")["hooks"][hook], parts.name, "hook", hook)
        yield from self._licence(parts)

    def of_addon(self, found: Sequence[Statement]) -> Iterator[Statement]:
        """Yield the statements about the whole add-on."""
        for row in read_data("changes")["addon"]:
            yield from self._stated(row, ADDON, ADDON, row["name"])
        needed = sorted({scope for one in found for scope in one.scopes})
        if needed:
            is_new = any(one.verdict is Verdict.PERMISSION for one in found if one.scopes)
            verdict = Verdict.PERMISSION if is_new else Verdict.CHANGED
            yield self._of(
                ADDON, "scopes of events", verdict, kind=ADDON, becomes=", ".join(needed), scopes=needed, sources=("V",)
            )

    # ---- modules -------------------------------------------------------------------------------------------------

    def _module(self, module: Module, parts: Parts) -> Statement:
        """Return the worst of the statements about the products that the module may belong to."""
        products = sorted(self._products_of_module(module))
        if not products:
            note = Note("no such module type in a manifest", ("V",))
            return self._of_module(module, Verdict.LOST, "", ("V",), (note,))
        made = [self._module_in(module, product, parts) for product in products]
        worst = max(made, key=lambda one: WORST.index(one.verdict))
        if len(made) == 1:
            return worst
        is_field = module.type in FIELDS  # such a module goes to every product
        becomes = (" and " if is_field else " or ").join(dict.fromkeys(one.becomes for one in made if one.becomes))
        return replace(worst, becomes=becomes, notes=worst.notes if is_field else (_ASK_PRODUCT, *worst.notes))

    def _module_in(self, module: Module, product: Product, parts: Parts) -> Statement:
        is_webhook = module.type == "webhooks"
        if self._stage == "connect" or (self._stage == "hybrid" and module.key not in self._addon.native):
            notes: tuple[Note, ...] = (Note("with a generated key", ("A",)),) if is_webhook else ()
            return self._of_module(module, Verdict.KEPT, f"{product}:{module.type}", ("V", "D"), notes)
        if is_webhook:
            return self._event(module, event_counterpart(module.body, product), product, parts)
        found = module_counterpart(module.type, product, module.body)
        if found is None or found.how == "none":
            return self._without_counterpart(module, found)
        notes = found.notes
        if found.how == "redesign":
            notes = (Note("needs a redesign: no module takes its place as a whole", found.sources), *notes)
        return self._of_module(module, Verdict.CHANGED, " or ".join(found.names), found.sources, notes)

    def _event(self, module: Module, found: Counterpart | None, product: Product, parts: Parts) -> Statement:
        if found is None or found.how == "none":
            return self._without_counterpart(module, found)
        held = _included(parts.scopes, product)
        lacking = sorted(found.scopes - held)
        notes = found.notes
        if lacking:
            asked = ", ".join(sorted(parts.scopes)) or "none"
            note = Note(f"needs {', '.join(lacking)} (Connect: {asked}); administrators must approve it", ("V", "D"))
            notes = (note, *notes)
        verdict = Verdict.PERMISSION if lacking else Verdict.CHANGED
        made = self._of_module(module, verdict, ", ".join(found.names), found.sources, notes)
        return replace(made, scopes=tuple(sorted(found.scopes)))

    def _without_counterpart(self, module: Module, found: Counterpart | None) -> Statement:
        known = found or Counterpart((), "none", (), frozenset(), ("R",))
        note = Note("no counterpart known", known.sources)
        return self._of_module(module, Verdict.LOST, "", known.sources, (note, *known.notes))

    def _of_module(
        self, module: Module, verdict: Verdict, becomes: str, sources: tuple[str, ...], notes: tuple[Note, ...]
    ) -> Statement:
        is_webhook = module.type == "webhooks"
        name = str(module.body.get("event")) if is_webhook else module.key or module.type
        kind = "webhook" if is_webhook else "module"
        made = self._of(module.plugin, name, verdict, kind=kind, becomes=becomes, sources=sources, notes=notes)
        return replace(made, type=module.type)

    def _products_of(self, parts: Parts) -> frozenset[Product]:
        """Return the products of those modules of a plugin that certainly belong to one."""
        found = [self._said_of(module) for module in parts.modules if module.type not in FIELDS]
        return frozenset().union(*(products for products in found if len(products) == 1))

    def _products_of_module(self, module: Module) -> frozenset[Product]:
        """Return the product of a module; several if neither plugin, nor configuration, nor type decides."""
        said = self._said_of(module)
        used = frozenset[Product]().union(*self._products.values()) if len(said) > 1 else frozenset()
        return used if len(used) == 1 else said

    def _said_of(self, module: Module) -> frozenset[Product]:
        possible = possible_products(module)
        said = module.product or self._addon.chosen.get(key_of(module))
        return frozenset({said}) if said in possible else possible

    # ---- scopes, licences ----------------------------------------------------------------------------------------

    def _scopes(self, parts: Parts) -> Iterator[Statement]:
        products = self._products[parts.name]
        for scope in sorted(parts.scopes - {"NONE"}):
            connect = sorted(
                scope_name(product, one)
                for product in products
                for one in merge(scopes_in(product, {scope}))
                if one != "NONE"
            )
            if self._stage != "forge":
                yield self._of(
                    parts.name, scope, Verdict.KEPT, kind="scope", becomes=", ".join(connect), sources=("V",)
                )
                continue
            table = read_data("changes")["scopes"]
            included = sorted(frozenset().union(*(_included({scope}, product) for product in products)))
            notes = notes_of(*table["notes"]) if included else notes_of(table["impersonation"])
            yield self._of(
                parts.name,
                scope,
                Verdict.CHANGED if included else Verdict.PERMISSION,
                kind="scope",
                becomes=", ".join(included),
                sources=tuple(table["sources"]),
                notes=notes,
            )

    def _licence(self, parts: Parts) -> Iterator[Statement]:
        if not parts.licensed:
            return
        where = Note(f"in {', '.join(parts.licensed)}", ("A",))
        if self._addon.licensing:
            for made in self._stated(read_data("changes")["licence"], parts.name, "licence", "licence"):
                yield replace(made, notes=(where, *made.notes))
        else:
            notes = (where, Note("[addon] licensing is off, so no licence is sent", ("A",)))
            yield self._of(parts.name, "licence", Verdict.KEPT, kind="licence", sources=("A",), notes=notes)

    def _stated(self, row: Mapping[str, object], plugin: str, kind: str, name: str) -> Iterator[Statement]:
        made = stated(row, self._stage, plugin, kind, name)
        if made is not None:
            yield made

    def _of(
        self,
        plugin: str,
        name: str,
        verdict: Verdict,
        *,
        kind: str,
        sources: tuple[str, ...],
        becomes: str = "",
        scopes: Iterable[str] = (),
        notes: tuple[Note, ...] = (),
    ) -> Statement:
        return Statement(plugin, kind, name, "", self._stage, verdict, becomes, sources, tuple(scopes), notes)


def _included(scopes: Iterable[str], product: Product) -> frozenset[str]:
    """Return the scopes of a product's own API that scopes of Connect include, as far as is known."""
    table = read_data("changes")["scopes"]["includes"]
    held = with_included(scopes_in(product, scopes))
    return frozenset(name for scope in held for name in table.get(scope, {}).get(product, ()))
