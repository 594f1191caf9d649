"""What outlives a run: the sites' names and secrets, the installation key, macros on pages, what was deleted."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from addonkit import AddonkitError
from addonkit.testing import InstallKeys, Site


class StateUnreadable(AddonkitError):
    """What an earlier run wrote down makes no sense."""


@dataclass(frozen=True, slots=True)
class Macro:
    """A macro as it stands on a page.

    Attributes:
        id: Unique on all pages.
        key: Key of its module.
        parameters: Values by the parameters' identifiers.
        body: Its body; empty for macros that take none.
    """

    id: str
    key: str
    parameters: dict[str, str] = field(default_factory=dict)
    body: str = ""

    def as_json(self) -> dict[str, Any]:
        """The macro as the page's script and the state file hold it."""
        return {"id": self.id, "key": self.key, "parameters": self.parameters, "body": self.body}


class State:
    """The sandbox's memory, one file beside the deployment's configuration.

    Args:
        directory: Where it is kept; made if need be.
        origin: Scheme, host and port of the simulated products.

    Raises:
        StateUnreadable: The file is there and is not what this class wrote.
    """

    def __init__(self, directory: Path, origin: str) -> None:
        self.directory = directory
        self._file = directory / "state.json"
        try:
            self._read(origin)
        except (OSError, ValueError, TypeError, AttributeError) as broken:
            raise StateUnreadable(
                f"'{self._file}' cannot be read; remove the folder '{directory.name}' to begin anew"
            ) from broken

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
        """What the add-on made of it, by issue key or page id."""

    def put(self, page: str, macro: Macro) -> None:
        """Place the macro at the end of the page, or in the place of the one with the same id."""
        macros = self.macros.setdefault(page, [])
        place = next((place for place, held in enumerate(macros) if held.id == macro.id), len(macros))
        macros[place : place + 1] = [macro]
        self.save()

    def remove(self, page: str, macro_id: str) -> None:
        """Take the macro off the page; one that is not there is no error."""
        self.macros[page] = [macro for macro in self.macros.get(page, []) if macro.id != macro_id]
        self.save()

    def drop(self, name: str, note: str) -> None:
        """Delete an issue by its key, or a page by its id with the macros on it."""
        self.removed[name] = note
        self.macros.pop(name, None)
        self.save()

    def restore(self, name: str) -> None:
        """Bring back an issue or a page as the sample has it; one that is there is no error."""
        self.removed.pop(name, None)
        self.save()

    def save(self) -> None:
        """Write everything down, readable for this user alone since it holds secrets."""
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
