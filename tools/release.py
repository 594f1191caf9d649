"""Builds and checks the packages of this repository, which all have one version.

``python tools/release.py check`` fails if the versions differ; ``set 0.2.0`` writes one into every ``pyproject.toml``;
``build DIST`` makes wheels and source distributions; ``verify DIST`` checks them with twine, compares each source
distribution with its wheel, installs the wheels into a fresh environment and runs the example add-on from there.
Nothing is published.
"""

from __future__ import annotations

import argparse
import os
import re
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

ROOT = Path(__file__).parent.parent
PACKAGES = [ROOT / "runtime", *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))]
VERSION_LINE = re.compile(r'(?m)^version = "([^"]+)"$')
VERSION = re.compile(r"\d+\.\d+\.\d+((a|b|rc)\d+)?")
START_S = 60.0


class ReleaseError(Exception):
    """Something that keeps the packages from being released, as one sentence."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and give its exit status."""
    parser = argparse.ArgumentParser(description="Build and check the packages of this repository.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check", help="fail unless all packages have one version")
    commands.add_parser("set", help="write a version into all packages").add_argument("version")
    commands.add_parser("build", help="build wheels and source distributions").add_argument("dist", type=Path)
    commands.add_parser("verify", help="check, install and run what was built").add_argument("dist", type=Path)
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "set":
            set_version(chosen.version)
        elif chosen.command == "build":
            build(chosen.dist)
        elif chosen.command == "verify":
            verify(chosen.dist)
        print(f"version {version()}")
    except ReleaseError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    return 0


def version() -> str:
    """Return the version that all packages have.

    Raises:
        ReleaseError: They differ, or one has none.
    """
    found: dict[str, str] = {}
    for package in PACKAGES:
        line = VERSION_LINE.search((package / "pyproject.toml").read_text())
        if line is None:
            raise ReleaseError(f"{package.name}/pyproject.toml has no line 'version = \"…\"'; add one")
        found[package.name] = line[1]
    if len(set(found.values())) != 1:
        listed = ", ".join(f"{name} {number}" for name, number in found.items())
        raise ReleaseError(f"the packages have different versions ({listed}); run 'release.py set VERSION'")
    return found["runtime"]


def set_version(number: str) -> None:
    """Write a version into every ``pyproject.toml``.

    Raises:
        ReleaseError: It is not a version such as ``1.2.3`` or ``1.2.3rc1``.
    """
    if VERSION.fullmatch(number) is None:
        raise ReleaseError(f"'{number}' is not a version; expected three numbers such as 0.2.0, or 0.2.0rc1")
    for package in PACKAGES:
        path = package / "pyproject.toml"
        path.write_text(VERSION_LINE.sub(f'version = "{number}"', path.read_text(), count=1))


def build(dist: Path) -> None:
    """Build a wheel and a source distribution of each package into an empty folder."""
    version()
    dist.mkdir(parents=True, exist_ok=True)
    if any(dist.iterdir()):
        raise ReleaseError(f"'{dist}' is not empty; delete what an earlier build left there")
    for package in PACKAGES:
        _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(dist), str(package))


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
        _run_example(wheels, Path(folder) / "fresh")


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


def _run_example(wheels: list[Path], folder: Path) -> None:
    """Install the wheels with the dependencies that they declare, and serve the example add-on."""
    venv.create(folder, with_pip=True)
    python, command = str(folder / "bin" / "python"), str(folder / "bin" / "addonkit")
    _run(python, "-m", "pip", "install", "--quiet", *map(str, wheels))
    port = _free_port()
    config = folder / "addon.toml"
    config.write_text((ROOT / "examples" / "team-kit" / "addon.toml").read_text())
    environment = os.environ | {"ADDONKIT_ADDON__BASE_URL": f"http://localhost:{port}"}
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
