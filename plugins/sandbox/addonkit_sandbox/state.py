"""State stored across runs: client keys and shared secrets, the install key, macros, and deleted issues and pages."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from addonkit import AddonkitError
from addonkit.testing import InstallKeys, Site


class StateUnreadable(AddonkitError):
    """The state file is not readable or not valid."""


@dataclass(frozen=True, slots=True)
class Macro:
    """A macro on a page.

    Attributes:
        id: Unique across all pages.
        key: Key of the module.
        parameters: Values by the parameters' identifiers.
        body: The body; empty for macros without one.
    """

    id: str
    key: str
    parameters: dict[str, str] = field(default_factory=dict)
    body: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the macro as JSON values, for the page's script and the state file."""
        return {"id": self.id, "key": self.key, "parameters": self.parameters, "body": self.body}


class State:
    """The sandbox's state in one JSON file beside the deployment's configuration.

    Args:
        directory: Folder of the file; created when the state is saved.
        origin: Scheme, host and port of the simulated products.

    Raises:
        StateUnreadable: The file exists but is not valid.
    """

    def __init__(self, directory: Path, origin: str) -> None:
        self.directory = directory
        self._file = directory / "state.json"
        try:
            self._read(origin)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise StateUnreadable(
                f"'{self._file}' is not valid; delete the folder '{directory.name}' to start afresh"
            ) from error

    def _read(self, origin: str) -> None:
        stored = json.loads(self._file.read_text()) if self._file.exists() else {}
        key, sites = stored.get("install_key", {}), stored.get("sites", {})
        self.keys = InstallKeys(key.get("private_pem"), key.get("kid"))
        self.sites: dict[str, Site] = {
            "jira": Site(self.keys, "jira", origin, **sites.get("jira", {})),
            "confluence": Site(self.keys, "confluence", f"{origin}/wiki", **sites.get("confluence", {})),
        }
        self.macros: dict[str, list[Macro]] = {
            page: [Macro(**macro) for macro in macros] for page, macros in stored.get("macros", {}).items()
        }

        self.removed: dict[str, str] = {str(name): str(note) for name, note in stored.get("removed", {}).items()}
        """A note about each deleted issue or page, by issue key or page id: how the add-on responded."""

    def put_macro(self, page: str, macro: Macro) -> None:
        """Append a macro to a page, or replace the one with the same id."""
        macros = self.macros.setdefault(page, [])
        index = next((index for index, other in enumerate(macros) if other.id == macro.id), len(macros))
        macros[index : index + 1] = [macro]
        self.save()

    def remove_macro(self, page: str, macro_id: str) -> None:
        """Remove a macro from a page, if it is there."""
        self.macros[page] = [macro for macro in self.macros.get(page, []) if macro.id != macro_id]
        self.save()

    def delete(self, name: str, note: str) -> None:
        """Delete an issue by its key, or a page by its id together with its macros."""
        self.removed[name] = note
        self.macros.pop(name, None)
        self.save()

    def restore(self, name: str) -> None:
        """Restore an issue or page of the sample, if it was deleted."""
        self.removed.pop(name, None)
        self.save()

    def save(self) -> None:
        """Write the file atomically. It contains secrets, so only its owner can read it."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self._file.with_suffix(".new")
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:  # noqa: PTH123  open() takes a descriptor
            json.dump(self._as_json(), file, indent=2)
        fresh.replace(self._file)

    def _as_json(self) -> dict[str, Any]:
        return {
            "install_key": {"kid": self.keys.kid, "private_pem": self.keys.private_pem},
            "sites": {
                name: {"client_key": site.client_key, "shared_secret": site.shared_secret}
                for name, site in self.sites.items()
            },
            "macros": {page: [macro.as_json() for macro in macros] for page, macros in self.macros.items()},
            "removed": self.removed,
        }
