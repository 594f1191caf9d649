"""Records the scopes that host calls need, each kind of call once, in a file that ``addonkit check`` reads."""

from __future__ import annotations

import os
from pathlib import Path

import orjson

from addonkit.errors import SettingsInvalid
from addonkit.log import structlog

MAX_RECORDED = 10_000

log = structlog.get_logger(__name__)


class ScopeRecording:
    """Appends to a file, one JSON object per line; lines of earlier runs are kept.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._recorded: set[tuple[str, str, str]] = set()

    def record(self, plugin: str, scope: str, resource: str) -> None:
        """Write one kind of call, unless this process has written it already; a write error does not stop the call."""
        entry = (plugin, scope, resource)
        if entry in self._recorded or len(self._recorded) >= MAX_RECORDED:
            return
        self._recorded.add(entry)
        line = orjson.dumps({"plugin": plugin, "scope": scope, "call": resource}) + b"\n"
        try:
            # A short line is appended with a single write, so that processes do not interleave their lines.
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(file, line)
            finally:
                os.close(file)
        except OSError as error:
            log.warning("scope_recording.write_failed", file=self._path.name, reason=error.strerror)


def read_recording(path: Path) -> dict[str, frozenset[str]]:
    """Read the scopes that recorded calls needed, by plugin.

    Raises:
        SettingsInvalid: The file cannot be read, or contains something else.
    """
    scopes: dict[str, set[str]] = {}
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise SettingsInvalid(
            f"'{path}' cannot be read ({error.strerror}); set [host] record_calls to a readable file"
        ) from None
    for number, line in enumerate(lines, start=1):
        try:
            entry = orjson.loads(line)
            scopes.setdefault(str(entry["plugin"]), set()).add(str(entry["scope"]))
        except (orjson.JSONDecodeError, KeyError, TypeError):
            raise SettingsInvalid(
                f"line {number} of '{path}' is not a recorded call; delete the file, or set [host] record_calls to "
                "another one"
            ) from None
    return {plugin: frozenset(needed) for plugin, needed in scopes.items()}
