"""Builds and checks the packages of this repository, which all have one version.

``python tools/release.py check`` fails if the versions or the addresses differ; ``set 0.2.0`` writes a version and
``address URL`` the repository's address into every ``pyproject.toml``; ``build DIST`` makes wheels, source
distributions and the lock file of the release; ``verify DIST`` checks them with twine, compares source distributions
with their wheels, and runs the example add-on from two new environments: one with the locked dependencies, one with the
newest that the packages accept. Nothing is published.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import zipfile
from pathlib import Path

from installed_example import DEPLOYED, run, run_example
from projects import FILES, ReleaseError, address, is_reserved, set_address, set_version, version
from runtime_lock import release_lock

PACKAGES = [file.parent for file in FILES]
UNPUBLISHABLE = (
    "the project URLs begin with '{}', in a domain that belongs to nobody; before you publish, run "
    "'python tools/release.py address URL' with the address of the repository, and build again"
)


def main(arguments: list[str] | None = None) -> int:
    """Run one command and give its exit status."""
    parser = argparse.ArgumentParser(description="Build and check the packages of this repository.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check", help="fail unless all packages have one version and one address")
    commands.add_parser("set", help="write a version into all packages").add_argument("version")
    commands.add_parser("address", help="write the repository's address into all packages").add_argument("url")
    commands.add_parser("build", help="build wheels, source distributions and a lock file").add_argument(
        "dist", type=Path
    )
    commands.add_parser("verify", help="check, install and run what was built").add_argument("dist", type=Path)
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "set":
            set_version(chosen.version)
        elif chosen.command == "address":
            set_address(chosen.url)
        elif chosen.command == "build":
            build(chosen.dist)
        elif chosen.command == "verify":
            verify(chosen.dist)
        common = address()
        print(f"version {version()}")
        if chosen.command == "verify" and is_reserved(common):
            print(f"release: warning: {UNPUBLISHABLE.format(common)}", file=sys.stderr)
    except ReleaseError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    return 0


def build(dist: Path) -> None:
    """Build a wheel and a source distribution of each package, and the lock file, into an empty folder."""
    version()
    dist.mkdir(parents=True, exist_ok=True)
    if any(dist.iterdir()):
        raise ReleaseError(f"'{dist}' is not empty; delete what an earlier build left there")
    for package in PACKAGES:
        run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(dist), str(package))
    release_lock(dist, version())


def verify(dist: Path) -> None:
    """Check what was built, install it into a fresh environment and serve the example from there.

    Raises:
        ReleaseError: A package is missing, damaged, or does not run.
    """
    wheels, sources = sorted(dist.glob("*.whl")), sorted(dist.glob("*.tar.gz"))
    if len(wheels) != len(PACKAGES) or len(sources) != len(PACKAGES):
        raise ReleaseError(
            f"'{dist}' holds {len(wheels)} wheels and {len(sources)} source distributions, expected "
            f"{len(PACKAGES)} of each; run 'release.py build {dist}'"
        )
    run(sys.executable, "-m", "twine", "check", "--strict", *map(str, [*wheels, *sources]))
    with tempfile.TemporaryDirectory() as folder:
        for source in sources:
            _compare(source, wheels, Path(folder))
        run_example(sys.executable, Path(folder) / "locked", [_locked(dist)], {"ADDONKIT_ADDON__PLUGINS": DEPLOYED})
        run_example(sys.executable, Path(folder) / "newest", [[str(wheel) for wheel in wheels]])


def _locked(dist: Path) -> list[str]:
    """The words with which pip installs the lock file of a release, and nothing that is not in it."""
    lock = dist / f"addonkit-{version()}.lock"
    if not lock.exists():
        raise ReleaseError(f"'{lock}' does not exist; run 'release.py build {dist}'")
    return ["--no-deps", "--require-hashes", "--only-binary=:all:", f"--find-links={dist}", f"--requirement={lock}"]


def _compare(source: Path, wheels: list[Path], folder: Path) -> None:
    """Fail unless the wheel built from a source distribution has the same files as the wheel beside it."""
    rebuilt = folder / "rebuilt" / source.name
    run(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(rebuilt),
        str(source),
    )
    [made] = rebuilt.glob("*.whl")
    given = next(wheel for wheel in wheels if wheel.name == made.name)
    differing = _names(made) ^ _names(given)
    if differing:
        raise ReleaseError(f"'{source.name}' and its wheel differ in {', '.join(sorted(differing))}")


def _names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


if __name__ == "__main__":
    sys.exit(main())
