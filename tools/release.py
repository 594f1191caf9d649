"""Builds and checks the packages of this repository, which all have one version.

``python tools/release.py check`` fails if the versions or the addresses differ; ``set 0.2.0`` writes a version and
``address URL`` the repository's address into every ``pyproject.toml``; ``build DIST`` makes wheels, source
distributions and the lock file of the release; ``verify DIST`` checks them with twine, compares source distributions
with their wheels, and runs the example add-on from two new environments: one with the locked dependencies, one with the
newest that the packages accept. Nothing is published.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import venv
import zipfile
from pathlib import Path

from projects import FILES, ROOT, ReleaseError, address, is_reserved, set_address, set_version, version
from runtime_lock import release_lock

PACKAGES = [file.parent for file in FILES]
DEPLOYED = '["issue_panel", "macro", "licensing"]'
"""Plugins of the example that a deployment has: not the sandbox, which is not in the lock file of a release."""
START_S = 60.0
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
        _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(dist), str(package))
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
    _run(sys.executable, "-m", "twine", "check", "--strict", *map(str, [*wheels, *sources]))
    with tempfile.TemporaryDirectory() as folder:
        for source in sources:
            _compare(source, wheels, Path(folder))
        _run_example(Path(folder) / "locked", *_locked(dist), plugins=DEPLOYED)
        _run_example(Path(folder) / "newest", *map(str, wheels))


def _locked(dist: Path) -> list[str]:
    """The words with which pip installs the lock file of a release, and nothing that is not in it."""
    lock = dist / f"addonkit-{version()}.lock"
    if not lock.exists():
        raise ReleaseError(f"'{lock}' does not exist; run 'release.py build {dist}'")
    return ["--no-deps", "--require-hashes", "--only-binary=:all:", f"--find-links={dist}", f"--requirement={lock}"]


def _compare(source: Path, wheels: list[Path], folder: Path) -> None:
    """Fail unless the wheel built from a source distribution has the same files as the wheel beside it."""
    rebuilt = folder / "rebuilt" / source.name
    _run(
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


def _run_example(folder: Path, *packages: str, plugins: str | None = None) -> None:
    """Install packages into a new environment, where all dependencies must be present, and serve the example add-on."""
    venv.create(folder, with_pip=True)
    python, command = str(folder / "bin" / "python"), str(folder / "bin" / "addonkit")
    _run(python, "-m", "pip", "install", "--quiet", *packages)
    _run(python, "-m", "pip", "check")
    port = _free_port()
    config = folder / "addon.toml"
    config.write_text((ROOT / "examples" / "team-kit" / "addon.toml").read_text())
    environment = os.environ | {"ADDONKIT_ADDON__BASE_URL": f"http://localhost:{port}"}
    if plugins is not None:
        environment["ADDONKIT_ADDON__PLUGINS"] = plugins
    _run(command, "descriptor", "--config", str(config), env=environment)
    server = subprocess.Popen(
        [command, "serve", "--config", str(config), "--bind", f"127.0.0.1:{port}"], env=environment, cwd=folder
    )
    try:
        _wait_for(f"http://localhost:{port}/readyz", server)
    finally:
        server.send_signal(signal.SIGINT)
        code = server.wait(timeout=START_S)
    if code != 0:
        raise ReleaseError(f"'addonkit serve' ended with exit code {code}, expected 0")


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                if response.status == 200:
                    return
        except OSError:
            time.sleep(0.2)
    raise ReleaseError(f"'{url}' did not answer 200 within {START_S:g} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _run(*command: str, env: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=env)
    if done.returncode != 0:
        raise ReleaseError(f"'{' '.join(command[:4])} …' failed:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    sys.exit(main())
