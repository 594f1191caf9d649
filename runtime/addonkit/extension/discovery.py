"""Finds plugins through the entry points of installed distributions, without importing any: ``loading`` does.

Nothing here imports the web framework, which commands that only read the database do not need.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

from addonkit.errors import PluginError
from addonkit.text import near_matches

PROJECT = "addonkit"
"""Name of the entry points' group, and of the project in pluggy."""
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
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
    """An installed plugin, from the metadata of its distribution; none of its code is imported.

    Attributes:
        name: The entry point's name, which is the plugin's.
        distribution: The distribution's name, such as ``addonkit-issue-panel``.
        version: The distribution's version.
        entry: The entry point.
    """

    name: str
    distribution: str
    version: str
    entry: EntryPoint

    @property
    def root(self) -> str:
        """The name of its top-level package or module; empty if the entry point does not name one."""
        return self.entry.value.partition(":")[0].strip().partition(".")[0]

    @property
    def package(self) -> Path | None:
        """The folder of its top-level package, found without an import; None if it is a single file or is missing."""
        try:
            spec = find_spec(self.root)
        except (ImportError, ValueError):
            return None
        return Path(spec.origin).parent if spec and spec.origin and spec.submodule_search_locations else None


def installed() -> dict[str, tuple[Installed, ...]]:
    """Return all installed plugins by name, sorted by name; ``choose`` refuses a name that several plugins have."""
    found: dict[str, list[Installed]] = {}
    for entry in entry_points(group=PROJECT):
        distribution = entry.dist.name if entry.dist else "an unnamed distribution"
        version = entry.dist.version if entry.dist else "0"
        found.setdefault(entry.name, []).append(Installed(entry.name, distribution, version, entry))
    return {name: tuple(found[name]) for name in sorted(found)}


def choose(name: str, known: Mapping[str, tuple[Installed, ...]]) -> Installed:
    """Return the one installed plugin with this name.

    Raises:
        PluginError: It is not installed, its name cannot be used, or two distributions have it.
    """
    found = next((one.name for many in known.values() for one in many if one.distribution == name), None)
    if found is not None and name not in known:
        raise PluginError(f"'{name}' is the name of a package, not of a plugin; use '{found}'", plugin=name)
    if name in RESERVED or not NAME.fullmatch(name):
        why = "is a path or command of the runtime" if name in RESERVED else "is not lower-case words joined by '_'"
        raise PluginError(f"plugin '{name}' cannot be used: the name {why}; rename its entry point", plugin=name)
    match known.get(name, ()):
        case (one,):
            return one
        case ():
            raise PluginError(f"plugin '{name}' is not installed; {_suggestion(name, known)}", plugin=name)
        case many:
            claimants = " and ".join(sorted(f"'{one.distribution}'" for one in many))
            raise PluginError(f"plugin '{name}' is in two packages, {claimants}; uninstall one of them", plugin=name)


def _suggestion(name: str, known: Iterable[str]) -> str:
    if close := near_matches(name, known):
        return f"did you mean '{close[0]}'"
    names = ", ".join(f"'{one}'" for one in known) or "none"
    return f"install the package that contains it, or remove it from [addon] plugins (installed: {names})"


def is_usable(name: str, known: Mapping[str, tuple[Installed, ...]]) -> bool:
    """Whether exactly one installed plugin has this name, and it can be one."""
    try:
        choose(name, known)
    except PluginError:
        return False
    return True


@contextmanager
def plugin_errors(plugin: str, message: str) -> Iterator[None]:
    """Turn what a plugin's code raises into a ``PluginError``; one that is raised already passes unchanged.

    Args:
        plugin: The plugin's name.
        message: The new error's message, in which ``{cause}`` stands for the type and the message of what was raised.
    """
    try:
        yield
    except PluginError:
        raise
    except (Exception, SystemExit) as error:
        raise PluginError(message.replace("{cause}", cause_of(error)), plugin=plugin) from error


def cause_of(error: BaseException) -> str:
    """Describe an exception that a plugin raised: its type and the first line of its message."""
    message = str(error).strip().partition("\n")[0].rstrip(" .:") or "no message"
    return f"{type(error).__name__}: {message}"
