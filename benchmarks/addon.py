"""An add-on as deployed: a configuration, its plugins, sites that installed it, and signed addresses of its pages."""

from __future__ import annotations

import base64
import itertools
import os
import sqlite3
import sys
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from addonkit.tenancy import Vault
from addonkit.testing import Host, InstallKeys, Site, Variables
from addonkit.testing.site import fresh_secret
from machine import HERE, Server, free_port, serving

DESCRIPTOR = "/atlassian-connect.json"
TENANTS, TOKENS, ITEMS = 64, 256, 10
ISSUE = {"id": "10001", "key": "AB-1"}
KEY = bytes(range(32))
PAGES = ("bench_page", "issue_panel")
ENTRY_POINT = "[addonkit]\nbench_page = addonkit_bench_page:plugin\n"
METADATA = "Metadata-Version: 2.1\nName: addonkit-bench-page\nVersion: 0\n"


@dataclass(frozen=True, slots=True)
class Deployed:
    """A folder with ``addon.toml`` and a database, and the port that it is served on."""

    folder: Path
    port: int

    @property
    def base_url(self) -> str:
        """As the host sees it."""
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def served(self, server: str = "hypercorn") -> Iterator[Server]:
        """``addonkit serve``, for the block."""
        command = [Path(sys.executable).with_name("addonkit"), "serve", "--config", self.folder / "addon.toml"]
        command += ["--bind", f"127.0.0.1:{self.port}", "--server", server]
        with serving(command, self.port, DESCRIPTOR, environment(self.folder)) as running:
            yield running


@dataclass(frozen=True, slots=True)
class Audience:
    """Sites that have installed the add-on, and how their users come to its pages."""

    sites: Sequence[Site]
    descriptor: Mapping[str, Any]

    def paths(self, module: str, tokens: int = TOKENS) -> list[str]:
        """Addresses of a module's page, each signed now for another user, the sites in turn."""
        variables = Variables.of(issue=ISSUE)
        sites = itertools.islice(itertools.cycle(self.sites), tokens)
        urls = (
            site.page_url(self.descriptor, module, None, variables, account=f"acc-{number}", licence="active")
            for number, site in enumerate(sites)
        )
        return [f"{parts.path}?{parts.query}" for parts in map(urlsplit, urls)]


def environment(folder: Path) -> dict[str, str]:
    """The environment of a server: ours, without settings of ours, with the benchmark's plugin on the path."""
    places = [str(folder / "plugins"), str(HERE / "plugin"), os.environ.get("PYTHONPATH", "")]
    path = os.pathsep.join(filter(None, places))
    return {name: value for name, value in os.environ.items() if not name.startswith("ADDONKIT_")} | {
        "PYTHONPATH": path
    }


def deploy(folder: Path, plugins: Sequence[str], install_keys: str = "http://127.0.0.1:1/") -> Deployed:
    """Write a deployment on a free port."""
    port = free_port()
    dist_info = folder / "plugins" / "addonkit_bench_page-0.dist-info"
    dist_info.mkdir(parents=True)
    (dist_info / "METADATA").write_text(METADATA, encoding="utf-8")
    (dist_info / "entry_points.txt").write_text(ENTRY_POINT, encoding="utf-8")
    names = ", ".join(f'"{name}"' for name in plugins)
    text = f"""[addon]
key = "com.example.bench"
name = "Bench"
base_url = "http://127.0.0.1:{port}"
plugins = [{names}]
licensing = {"true" if "licensing" in plugins else "false"}
vendor = {{ name = "Example", url = "https://example.com" }}

[host]
domains = ["127.0.0.1"]
install_keys = ["{install_keys}"]

[security]
encryption_keys = ["bench:{base64.b64encode(KEY).decode()}"]
"""
    (folder / "addon.toml").write_text(text, encoding="utf-8")
    return Deployed(folder, port)


@asynccontextmanager
async def installed(folder: Path, plugins: Sequence[str] = PAGES) -> AsyncIterator[tuple[Deployed, Server, Audience]]:
    """A served deployment that ``TENANTS`` sites have installed, each with a checklist of ``ITEMS`` items."""
    keys = InstallKeys()
    with ExitStack() as stack:
        async with keys.serve() as key_server:
            deployed = deploy(folder, plugins, f"{key_server}/")
            server = stack.enter_context(deployed.served())
            async with Host(None, keys, deployed.base_url) as host:
                for number in range(TENANTS):
                    site = await host.install("jira", f"http://127.0.0.1:{9000 + number}")
                    page = await host.open("issue-panel-panel", site, issue=ISSUE)
                    for item in range(ITEMS):
                        await page.fetch("items", method="POST", json={"text": f"Step {item + 1} of this issue"})
                audience = Audience(tuple(host.sites), await host.descriptor())
        yield deployed, server, audience


def add_sites(deployed: Deployed, pattern: Site, count: int) -> list[Site]:
    """Sites written into the database as rows like the pattern's, each with a secret of its own."""
    vault = Vault([("bench", KEY)])
    with sqlite3.connect(deployed.folder / "addonkit.db") as database:
        database.row_factory = sqlite3.Row
        row = dict(
            database.execute("SELECT * FROM addonkit_tenant WHERE client_key = ?", (pattern.client_key,)).fetchone()
        )
        del row["id"]
        sites = [
            Site(pattern.keys, "jira", pattern.base_url, client_key=str(uuid.uuid4()), shared_secret=fresh_secret())
            for _ in range(count)
        ]
        rows = (
            row
            | {
                "client_key": site.client_key,
                "shared_secret": vault.seal(
                    site.shared_secret.encode(), client_key=site.client_key, column="shared_secret"
                ),
            }
            for site in sites
        )
        columns, values = ", ".join(row), ", ".join(f":{name}" for name in row)
        database.executemany(f"INSERT INTO addonkit_tenant ({columns}) VALUES ({values})", rows)
    return sites
