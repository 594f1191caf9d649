"""Packages of the workspace, built as they are published: what a wheel and a source distribution contain."""

from __future__ import annotations

import atexit
import shutil
import tarfile
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from zipfile import ZipFile

from tests.distributions.third_party import ROOT, build

PACKAGES = {"runtime": "addonkit", **{f"plugins/{p.name}": f"addonkit_{p.name}" for p in (ROOT / "plugins").iterdir()}}
"""The import name of each package, by its folder."""


@dataclass(frozen=True, slots=True)
class Built:
    """The files of a wheel or of a source distribution, by their name below its top folder."""

    files: dict[str, bytes]
    metadata_name: str
    license_name: str

    @property
    def metadata(self) -> Message:
        """The core metadata, as package indexes and ``pip show`` read them; the payload is the description."""
        return message_from_bytes(self.files[self.metadata_name])

    @property
    def description(self) -> str:
        """The long description."""
        content = self.metadata.get_payload(decode=True)
        assert isinstance(content, bytes)
        return content.decode()


@cache
def wheel_of(folder: str) -> Built:
    """Build the wheel of a package; it is built once per test run."""
    with ZipFile(build(ROOT / folder, _target())) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    [info] = {name.partition("/")[0] for name in files if ".dist-info/" in name}
    return Built(files, f"{info}/METADATA", f"{info}/licenses/LICENSE")


@cache
def source_of(folder: str) -> Built:
    """Build the source distribution of a package; it is built once per test run."""
    from hatchling.builders.sdist import SdistBuilder

    [made] = SdistBuilder(str(ROOT / folder)).build(directory=str(_target()), versions=["standard"])
    with tarfile.open(made) as archive:
        members = {member.name.partition("/")[2]: archive.extractfile(member) for member in archive.getmembers()}
        files = {name: content.read() for name, content in members.items() if content is not None}
    return Built(files, "PKG-INFO", "LICENSE")


def _target() -> Path:
    folder = Path(mkdtemp(prefix="packages-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
