"""The host's JavaScript library: where its files lie, and the ``all.js`` made from them.

The library is not part of this package; npm puts it beside the project.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from addonkit import AddonkitError

_FOLDER = Path("node_modules/atlassian-connect-js/dist")
_VERSION = "5.3.190"
_TAIL = Path(__file__).parent / "static" / "all-tail.js"
_OUTSIDE = 'var CDN_URL = "https://" + CDN_DOMAIN;'
_INSIDE = 'var CDN_URL = new URL("cdn", document.currentScript.src).href;'
# The library reports its own timings on every page's console, where a developer looks for what the page says.
_CHATTER = 'console.log("[web-vitals] Sending metrics triggered by: " + source, metrics);'


class BridgeMissing(AddonkitError):
    """The library's files are not there, or are not those that this package knows."""


class Bridge:
    """The library in one folder.

    Args:
        folder: Its ``dist``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def find(cls, starts: Iterable[Path]) -> Bridge:
        """The library in the ``node_modules`` of one of the folders or of what they lie in.

        Raises:
            BridgeMissing: It is in none of them.
        """
        starts = [start.resolve() for start in starts]
        for start in starts:
            for folder in (start, *start.parents):
                if (folder / _FOLDER / "connect-host.js").is_file():
                    return cls(folder / _FOLDER)
        places = " or ".join(f"'{start}'" for start in dict.fromkeys(starts))
        raise BridgeMissing(
            f"the sandbox found no 'node_modules/atlassian-connect-js' in {places} or above; {_remedy(starts[0])}"
        )

    def all_js(self) -> str:
        """What add-on pages load: the library's half, and what the products add to it.

        Raises:
            BridgeMissing: The library is another version, which would reach for stylesheets outside.
        """
        library = (self.folder / "iframe.js").read_text()
        if library.count(_OUTSIDE) != 1:
            raise BridgeMissing(
                f"'{self.folder / 'iframe.js'}' does not name its stylesheets' address as version {_VERSION} does; "
                f"{_remedy(self.folder.parents[2])}"
            )
        return f"{library.replace(_OUTSIDE, _INSIDE).replace(_CHATTER, '')}\n{_TAIL.read_text()}"

    def file(self, name: str) -> Path | None:
        """The library's file of this name, or None: stylesheets and the host's half alone are given out."""
        path = (self.folder / name).resolve()
        allowed = path.suffix == ".css" or path.name == "connect-host.js"
        return path if allowed and path.is_relative_to(self.folder.resolve()) and path.is_file() else None


def _remedy(folder: Path) -> str:
    return (
        "run 'npm ci --ignore-scripts' where package.json lies, "
        f"or 'npm install --ignore-scripts atlassian-connect-js@{_VERSION}' in '{folder}'"
    )
