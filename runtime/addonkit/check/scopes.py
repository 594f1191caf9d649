"""Scopes that are asked for and that no recorded call has needed."""

from __future__ import annotations

from collections.abc import AsyncIterator

from addonkit.check.context import CheckContext
from addonkit.check.result import Remark, left_out, ok, warn
from addonkit.descriptor.scopes import IMPLIED, check_sufficient
from addonkit.errors import DescriptorInvalid
from addonkit.extension.contribution import Contribution


async def scopes(case: CheckContext) -> AsyncIterator[Remark]:
    """What each plugin asks for, held against what its calls needed in recorded runs.

    Raises:
        PluginError: A plugin cannot be used.
        SettingsInvalid: The record is none.
    """
    from addonkit.hostapi.scope_recording import read_recording

    named = case.deployment.settings.host.record_calls
    if named is None:
        yield left_out("no calls are recorded; [host] record_calls names a file for a run that uses everything")
        return
    file = case.deployment.directory / named
    if not file.exists():
        yield left_out(f"'{named}' is not there yet; use the add-on once, so that its calls are recorded")
        return
    needed, unused = read_recording(file), []
    for name, one in case.deployment.registry.contributions.items():
        idle = [
            scope for scope in sorted(one.scopes - {"NONE"}) if not _is_used(scope, one, needed.get(name, frozenset()))
        ]
        unused += [f"'{scope}' of plugin '{name}'" for scope in idle]
    if unused:
        yield warn(f"no recorded call needed {', '.join(unused)}; drop what the add-on can do without")
    else:
        yield ok(f"each was needed by a call in '{named}'")


def _is_used(scope: str, plugin: Contribution, needed: frozenset[str]) -> bool:
    """Whether a call or a module needed the scope, or one that only it gives of all that the plugin asks for."""
    others = plugin.scopes - {scope}
    held = others.union(*(IMPLIED.get(other, frozenset()) for other in others))
    if scope in needed or scope in held or (needed & IMPLIED.get(scope, frozenset())) - held:
        return True
    try:
        for module in plugin.modules:
            check_sufficient(module, others)
    except DescriptorInvalid:
        return True
    return False
