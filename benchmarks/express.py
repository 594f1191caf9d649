"""Comparison with atlassian-connect-express: the same pages, descriptor and webhooks, each server on one core."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from addon import DESCRIPTOR, ISSUES, ROWS, Audience, installed
from background import WEBHOOK_PATH, tokens
from machine import HERE, BenchError, Sample, Server, free_port, serving
from results import Goal, Result, paired
from wrk import pages_per_second, webhooks_per_second

PEER = HERE / "express"
WORK = HERE.parent / ".bench" / "express"
INSTALL_S = 600
GOALS = {
    ("page", "hypercorn"): 1.6,
    ("list of 10 rows", "hypercorn"): 1.6,
    ("descriptor", "hypercorn"): 1.3,
    ("page", "granian"): 2.3,
    ("list of 10 rows", "granian"): 2.0,
}
PAGES = {"page": "bench-session", "list of 10 rows": "bench-rows"}


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two servers with the users who visit it."""

    server: Server
    audience: Audience

    def rate(self, kind: str, seconds: int) -> Sample:
        """Return the requests of a kind that it answers per second."""
        if kind == "webhook stored":
            return webhooks_per_second(self.server, WEBHOOK_PATH, tokens(self.audience), seconds)[0]
        lines = self.audience.paths(PAGES[kind]) if kind in PAGES else [DESCRIPTOR]
        return pages_per_second(self.server, lines, seconds)

    def require_rows(self) -> None:
        """Check that the page with a list has all rows.

        Raises:
            BenchError: It has not.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=10)
        connection.request("GET", self.audience.paths(PAGES["list of 10 rows"], 1)[0])
        found = connection.getresponse().read().count(b"<li ")
        connection.close()
        if found != ROWS:
            raise BenchError(f"the list at port {self.server.port} has {found} rows, expected {ROWS}")


async def express(pairs: int, seconds: int) -> list[Result]:
    """Compare both servers with atlassian-connect-express; nothing where its packages cannot be installed."""
    try:
        installed_peer()
    except BenchError as error:
        print(f"left out: the comparison with atlassian-connect-express, because {error}", file=sys.stderr)
        return []
    results = []
    for engine in ("hypercorn", "granian"):
        async with installed(engine) as (addon, audience):
            with peer(audience) as theirs:
                ours = Side(addon, audience)
                for side in (ours, theirs):
                    side.require_rows()
                results += [
                    against(kind, engine, ours, theirs, pairs, seconds)
                    for kind in (*PAGES, "descriptor", "webhook stored")
                ]
    return results


def against(kind: str, engine: str, ours: Side, theirs: Side, pairs: int, seconds: int) -> Result:
    """Compare requests of one kind."""
    sides = paired(lambda: ours.rate(kind, seconds), lambda: theirs.rate(kind, seconds), pairs)
    bound = GOALS.get((kind, engine))
    goal = Goal(bound, True) if bound else None
    return Result(f"{kind}, {engine} : express", *sides, "req/s", goal, compared="ratio of medians")


def installed_peer() -> None:
    """Install the packages that ``package-lock.json`` names into a folder of their own, once.

    Raises:
        BenchError: npm is missing, or a package cannot be installed or built.
    """
    shutil.copytree(PEER, WORK, dirs_exist_ok=True)
    ready, lock = WORK / "ready", (PEER / "package-lock.json").read_bytes()
    if ready.exists() and ready.read_bytes() == lock:
        return
    if shutil.which("npm") is None:
        raise BenchError("npm is not on PATH; install Node.js 20 or later")
    print("installing atlassian-connect-express with npm; sqlite3 is built, which takes minutes", file=sys.stderr)
    options = ["--no-audit", "--no-fund", "--loglevel=error"]
    for command in (["npm", "ci", "--ignore-scripts", *options], ["npm", "rebuild", "sqlite3", *options]):
        try:
            done = subprocess.run(command, cwd=WORK, capture_output=True, text=True, check=False, timeout=INSTALL_S)
        except subprocess.TimeoutExpired:
            raise BenchError(f"'{' '.join(command[:3])}' did not end within {INSTALL_S} s") from None
        if done.returncode != 0:
            reason = (done.stderr.strip() or done.stdout.strip()).partition("\n")[0]
            raise BenchError(f"'{' '.join(command[:3])}' failed: {reason}")
    ready.write_bytes(lock)


@contextmanager
def peer(audience: Audience) -> Iterator[Side]:
    """Serve the application of ``express/`` in production mode, with the same sites, lists and descriptor."""
    port = free_port()
    base_url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        descriptor = {**audience.descriptor, "baseUrl": base_url}
        store = {"adapter": "sequelize", "dialect": "sqlite", "logging": False, "storage": "peer.db"}
        write(folder, "config.json", {"production": {"port": port, "localBaseUrl": base_url, "store": store}})
        write(folder, DESCRIPTOR.strip("/"), descriptor)
        sites = [
            {
                "key": descriptor["key"],
                "clientKey": site.client_key,
                "sharedSecret": site.shared_secret,
                "baseUrl": site.base_url,
                "productType": site.product,
            }
            for site in audience.sites
        ]
        write(folder, "sites.json", {"sites": sites, "issues": ISSUES["bench-rows"], "rows": ROWS})
        command = ["env", "-C", folder, "NODE_ENV=production", "node", WORK / "app.js"]
        with serving(command, port, DESCRIPTOR) as server:
            yield Side(server, Audience(audience.sites, descriptor))


def write(folder: str, name: str, content: object) -> None:
    """Write a JSON file."""
    Path(folder, name).write_text(json.dumps(content), encoding="utf-8")
