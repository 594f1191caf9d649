"""The host's JavaScript library (atlassian-connect-js): its location, and the ``all.js`` built from it.

The library is not part of this package; npm installs it beside the project.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from addonkit import AddonkitError

_FOLDER = Path("node_modules/atlassian-connect-js/dist")
_VERSION = "5.3.190"
_TAIL = Path(__file__).parent / "static" / "all-tail.js"
_EXTERNAL_CDN = 'var CDN_URL = "https://" + CDN_DOMAIN;'
_LOCAL_CDN = 'var CDN_URL = new URL("cdn", document.currentScript.src).href;'
# Removed, because the library logs its own timings to the console of every page.
_METRICS_LOG = 'console.log("[web-vitals] Sending metrics triggered by: " + source, metrics);'


class BridgeMissing(AddonkitError):
    """The library is not installed, or in a version that the sandbox does not support."""


class Bridge:
    """The library in one folder.

    Args:
        folder: The library's ``dist`` folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def find(cls, starts: Iterable[Path]) -> Bridge:
        """Find the library in the ``node_modules`` of these folders and their parents.

        Raises:
            BridgeMissing: None of the folders has the library.
        """
        starts = [start.resolve() for start in starts]
        for start in starts:
            for folder in (start, *start.parents):
                if (folder / _FOLDER / "connect-host.js").is_file():
                    return cls(folder / _FOLDER)
        places = " or ".join(f"'{start}'" for start in dict.fromkeys(starts))
        raise BridgeMissing(
            f"'node_modules/atlassian-connect-js' was not found in {places} or a parent folder; {_remedy(starts[0])}"
        )

    def all_js(self) -> str:
        """Return ``all.js`` for the add-on's pages: the library's frame part with the products' additions.

        Raises:
            BridgeMissing: The library has another version, which would load stylesheets from an external server.
        """
        library = (self.folder / "iframe.js").read_text()
        if library.count(_EXTERNAL_CDN) != 1:
            raise BridgeMissing(
                f"'{self.folder / 'iframe.js'}' is not from version {_VERSION}; {_remedy(self.folder.parents[2])}"
            )
        return f"{library.replace(_EXTERNAL_CDN, _LOCAL_CDN).replace(_METRICS_LOG, '')}\n{_TAIL.read_text()}"

    def file(self, name: str) -> Path | None:
        """Return the library's file of this name if it is a stylesheet or the host part, else None."""
        path = (self.folder / name).resolve()
        allowed = path.suffix == ".css" or path.name == "connect-host.js"
        return path if allowed and path.is_relative_to(self.folder.resolve()) and path.is_file() else None


def _remedy(folder: Path) -> str:
    return (
        "run 'npm ci --ignore-scripts' in the folder with package.json, "
        f"or 'npm install --ignore-scripts atlassian-connect-js@{_VERSION}' in '{folder}'"
    )
