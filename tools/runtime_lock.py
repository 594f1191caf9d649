"""Writes the lock files of a deployment: what the runtime and the plugins need to run, with the hash of every file.

``deploy/runtime.lock`` has the dependencies of all packages that are deployed, and ``deploy/runtime-EXTRA.lock`` what
an extra of the runtime adds to them. Versions and hashes are those of ``requirements.lock``, with which the tests run.
A release has one more file, ``addonkit-VERSION.lock``, which also contains the packages themselves.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

from projects import DEVELOPMENT, ROOT, ReleaseError, dependencies, extras, normalized

SOURCE = ROOT / "requirements.lock"
LOCK = ROOT / "deploy" / "runtime.lock"
ENTRY = re.compile(r"(?m)^([A-Za-z0-9._-]+==[^ ;\\\n]+)([^\\\n]*)\\?\n((?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)*)")
COMPILE = [
    *(sys.executable, "-m", "uv", "pip", "compile", "-", "--quiet", "--universal", "--python-version", "3.11"),
    *("--no-header", "--no-annotate", "--no-emit-index-url", "--constraints", str(SOURCE)),
]


def main() -> int:
    """Write all lock files and give the exit status."""
    try:
        found = locks()
    except ReleaseError as error:
        print(f"lock: {error}", file=sys.stderr)
        return 1
    for old in LOCK.parent.glob("runtime*.lock"):
        old.unlink()
    for name, text in found.items():
        (LOCK.parent / name).write_text(text)
    return 0


def locks() -> dict[str, str]:
    """Resolve the content of every lock file, by name."""
    needed = _resolve(dependencies())
    found = {LOCK.name: with_hashes(needed, SOURCE.read_text())}
    for extra, more in extras().items():
        added = [line for line in _resolve([*dependencies(), *more]) if line not in needed]
        found[f"{LOCK.stem}-{extra}{LOCK.suffix}"] = with_hashes(added, SOURCE.read_text())
    return found


def _resolve(requirements: list[str]) -> list[str]:
    """Choose a version of each package within those of ``requirements.lock``, for every platform and Python."""
    done = subprocess.run(COMPILE, input="\n".join(requirements), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ReleaseError(f"the dependencies cannot be resolved within requirements.lock:\n{done.stderr}")
    return done.stdout.splitlines()


def with_hashes(lines: list[str], source: str) -> str:
    """Return lines such as ``h11==0.16.0 ; marker`` with the hashes that another lock has for these versions.

    Raises:
        ReleaseError: The other lock does not have one of the versions.
    """
    hashes = {pinned: block for pinned, _, block in ENTRY.findall(source)}
    text = ""
    for line in lines:
        pinned = line.partition(" ")[0]
        if not hashes.get(pinned):
            raise ReleaseError(f"'{pinned}' is not in requirements.lock; run 'make lock'")
        text += f"{line} \\\n{hashes[pinned]}"
    return text


def release_lock(dist: Path, number: str) -> Path:
    """Write the lock of a release beside its packages: the runtime's lock, and the packages with their hashes."""
    made: dict[str, list[str]] = {}
    for file in sorted([*dist.glob("*.whl"), *dist.glob("*.tar.gz")]):
        name = normalized(re.split(rf"-{re.escape(number)}[-.]", file.name)[0])
        if name not in DEVELOPMENT:
            made.setdefault(name, []).append(hashlib.sha256(file.read_bytes()).hexdigest())
    text = LOCK.read_text()
    for name, digests in sorted(made.items()):
        text += (
            " \\\n    ".join([f"{name}=={number}", *(f"--hash=sha256:{digest}" for digest in sorted(digests))]) + "\n"
        )
    path = dist / f"addonkit-{number}.lock"
    path.write_text(text)
    return path


if __name__ == "__main__":
    sys.exit(main())
