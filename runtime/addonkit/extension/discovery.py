"""Where plugins come from: the entry points of installed distributions, loaded one by one and only if enabled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from addonkit.errors import PluginError
from addonkit.extension.hookspecs import PROJECT
from addonkit.extension.plugin import API_VERSION, NAME, Plugin
from addonkit.text import near_matches

RESERVED = frozenset(
    {
        "addonkit",
        "backup",
        "check",
        "descriptor",
        "healthz",
        "jobs",
        "keys",
        "lifecycle",
        "makemigrations",
        "metrics",
        "migrate",
        "plugins",
        "readyz",
        "restore",
        "serve",
        "tenants",
        "webhooks",
        "work",
    }
)


@dataclass(frozen=True, slots=True)
class Installed:
    """A plugin as its distribution announces it; nothing of it is imported.

    Attributes:
        name: The entry point's name, which is the plugin's.
        distribution: Who brings it, ``addonkit-issue-panel``.
        version: That distribution's version.
        entry: The entry point itself.
    """

    name: str
    distribution: str
    version: str
    entry: EntryPoint

    @property
    def package(self) -> Path | None:
        """The folder of its top-level package, found without importing it; None if it is a single file."""
        spec = find_spec(self.entry.module.partition(".")[0])
        return Path(spec.origin).parent if spec and spec.origin and spec.submodule_search_locations else None


def installed() -> dict[str, tuple[Installed, ...]]:
    """All installed plugins by name, names sorted; more than one behind a name is a clash."""
    found: dict[str, list[Installed]] = {}
    for entry in entry_points(group=PROJECT):
        distribution = entry.dist.name if entry.dist else "an unnamed distribution"
        version = entry.dist.version if entry.dist else "0"
        found.setdefault(entry.name, []).append(Installed(entry.name, distribution, version, entry))
    return {name: tuple(found[name]) for name in sorted(found)}


def choose(name: str, known: Mapping[str, tuple[Installed, ...]]) -> Installed:
    """The one installed plugin of this name.

    Raises:
        PluginError: It is not installed, its name cannot be used, or two distributions claim it.
    """
    if by := next((one.name for many in known.values() for one in many if one.distribution == name), None):
        raise PluginError(f"plugin '{name}' is the name of a package; its plugin is '{by}'", plugin=name)
    if name in RESERVED or not NAME.fullmatch(name):
        why = "is a path or command of the runtime" if name in RESERVED else "is no lower-case name joined by '_'"
        raise PluginError(f"plugin '{name}' cannot be used: the name {why}; rename its entry point", plugin=name)
    match known.get(name, ()):
        case (one,):
            return one
        case ():
            raise PluginError(f"plugin '{name}' is not installed; {_hint(name, known)}", plugin=name)
        case many:
            claimants = " and ".join(sorted(f"'{one.distribution}'" for one in many))
            raise PluginError(f"plugin '{name}' is claimed by {claimants}; uninstall one of them", plugin=name)


def _hint(name: str, known: Iterable[str]) -> str:
    close = near_matches(name, known)
    if close:
        return f"did you mean '{close[0]}'"
    there = ", ".join(f"'{one}'" for one in known) or "none"
    return f"install the distribution that brings it, or take it out of [addon] plugins (installed: {there})"


def load(one: Installed) -> Any:
    """What the entry point names: a ``Plugin``, or a module with hook implementations.

    Raises:
        PluginError: It does not import, was written for another API, or bears another name.
    """
    try:
        plugin = one.entry.load()
    except PluginError:
        raise
    except (Exception, SystemExit) as wrong:
        raise PluginError(
            f"plugin '{one.name}' ({one.distribution} {one.version}) does not import: {cause_of(wrong)}; "
            "mend or install what it needs, or take it out of [addon] plugins",
            plugin=one.name,
        ) from wrong
    _check_api(one, plugin)
    if isinstance(plugin, Plugin) and plugin.name != one.name:
        raise PluginError(
            f"plugin '{one.name}' calls itself '{plugin.name}'; give the entry point and Plugin(…) the same name",
            plugin=one.name,
        )
    return plugin


def cause_of(wrong: BaseException) -> str:
    """An exception of a plugin's in half a line, for a sentence about it."""
    said = str(wrong).strip().partition("\n")[0].rstrip(" .:") or "no message"
    return f"{type(wrong).__name__}: {said}"


def _check_api(one: Installed, plugin: Any) -> None:
    wanted = plugin.api if isinstance(plugin, Plugin) else getattr(plugin, "ADDONKIT_API", API_VERSION)
    if wanted == API_VERSION:
        return
    newer = isinstance(wanted, int) and wanted > API_VERSION
    cure = "addonkit" if newer else f"'{one.distribution}'"
    raise PluginError(
        f"plugin '{one.name}' ({one.distribution} {one.version}) was written for API {wanted}, this is API "
        f"{API_VERSION}; upgrade {cure}",
        plugin=one.name,
    )
