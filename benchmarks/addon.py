"""A deployed add-on: its configuration, its plugins, the sites that installed it, and signed URLs of its pages."""

from __future__ import annotations

import base64
import http.client
import itertools
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from addonkit.testing import Host, InstallKeys, RestApi, Site, Variables
from addonkit.testing.postgresql import Server as PostgreSQL
from machine import HERE, BenchError, Server, free_port, serving

DESCRIPTOR = "/atlassian-connect.json"
TENANTS, TOKENS, ITEMS = 64, 2_048, 10
ROWS = 10
"""Rows of a list."""
ISSUES = {"issue-panel-panel": 1, "bench-rows": 10}
"""Number of issues that have content for a module's page; the pages of other modules are of a new issue each."""
ISSUE = {"id": "10001", "key": "AB-1"}
KEY = bytes(range(32))
SESSIONS = 512
SESSION = re.compile(r'<meta name="addonkit-session" content="([^"]+)"')
PAGES = ("bench_page", "issue_panel")
GROWN = (*(f"grown_{number}" for number in range(1, 8)), "routes_10", "routes_100", "routes_1000")
"""Plugins of ``addonkit_bench_grown``."""
ENTRY_POINTS = "\n".join(
    [
        "[addonkit]",
        "bench_page = addonkit_bench_page:plugin",
        *(f"{name} = addonkit_bench_grown:{name}" for name in GROWN),
    ]
)
METADATA = "Metadata-Version: 2.1\nName: addonkit-bench-page\nVersion: 0\n"


@dataclass(frozen=True, slots=True)
class Deployed:
    """A deployment: a folder with ``addon.toml``, a database, and a port.

    Attributes:
        folder: Contains the configuration and, with SQLite, the database.
        port: Port on the loopback interface.
        database: URL of the PostgreSQL database with a superuser's account; None with SQLite.
    """

    folder: Path
    port: int
    database: str | None = None

    @property
    def base_url(self) -> str:
        """The base URL in the descriptor."""
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def served(self, server: str = "hypercorn") -> Iterator[Server]:
        """Run ``addonkit serve`` for the duration of the block."""
        command = [Path(sys.executable).with_name("addonkit"), "serve", "--config", self.folder / "addon.toml"]
        command += ["--bind", f"127.0.0.1:{self.port}", "--server", server]
        with serving(command, self.port, DESCRIPTOR, environment(self.folder)) as running:
            yield running


@dataclass(frozen=True, slots=True)
class Audience:
    """The sites that have installed the add-on, and the descriptor that their users' pages come from."""

    sites: Sequence[Site]
    descriptor: Mapping[str, Any]

    def paths(self, module: str, tokens: int = TOKENS) -> list[str]:
        """Return signed paths of a module's page: each for another user, the sites in turn, with fresh tokens."""
        issues = ISSUES.get(module, tokens)
        sites = itertools.islice(itertools.cycle(self.sites), tokens)
        urls = (
            site.page_url(
                self.descriptor, module, None, issue(number % issues), account=f"acc-{number}", licence="active"
            )
            for number, site in enumerate(sites)
        )
        return [f"{parts.path}?{parts.query}" for parts in map(urlsplit, urls)]

    def calls(self, server: Server, path: str, count: int = SESSIONS) -> list[str]:
        """Return requests of pages' scripts to a path, each with the session token of a page that was opened for it.

        Raises:
            BenchError: A page has no session token.
        """
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        lines = []
        for page in self.paths("bench-session", count):
            connection.request("GET", page)
            found = SESSION.search(connection.getresponse().read().decode())
            if found is None:
                raise BenchError(f"'{page.partition('?')[0]}' has no session token")
            lines.append(f"{path}\tSession {found[1]}")
        connection.close()
        return lines


def issue(number: int) -> Variables:
    """Return the variables of an issue, numbered from 0."""
    return Variables.of(issue={"id": str(10001 + number), "key": f"AB-{number + 1}"})


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of a server: without add-on settings, and with the benchmark's plugin on the path."""
    folders = [str(folder / "plugins"), str(HERE / "plugin"), os.environ.get("PYTHONPATH", "")]
    path = os.pathsep.join(filter(None, folders))
    return {name: value for name, value in os.environ.items() if not name.startswith("ADDONKIT_")} | {
        "PYTHONPATH": path
    }


def deploy(
    folder: Path,
    plugins: Sequence[str],
    install_keys: str = "http://127.0.0.1:1/",
    server: PostgreSQL | None = None,
    more: str = "",
) -> Deployed:
    """Write a deployment with a free port and a database of its own.

    Args:
        folder: An empty folder.
        plugins: Names of the plugins to enable.
        install_keys: URL from which install keys are fetched.
        server: Create the database on this PostgreSQL server; None: use SQLite.
        more: Further tables of ``addon.toml``, as text.
    """
    port = free_port()
    dist_info = folder / "plugins" / "addonkit_bench_page-0.dist-info"
    dist_info.mkdir(parents=True)
    (dist_info / "METADATA").write_text(METADATA, encoding="utf-8")
    (dist_info / "entry_points.txt").write_text(ENTRY_POINTS, encoding="utf-8")
    names = ", ".join(f'"{name}"' for name in plugins)
    database, table = (None, "") if server is None else create_database(server, f"bench_{port}")
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
{table}{more}"""
    (folder / "addon.toml").write_text(text, encoding="utf-8")
    return Deployed(folder, port, database)


def create_database(server: PostgreSQL, name: str) -> tuple[str, str]:
    """Create a database; return its URL, and the table ``[database]`` with two roles, so row-level security is on."""
    server.create(name)
    urls = {"url": server.url_of(name, server.application), "owner_url": server.url_of(name, server.owner)}
    return server.url_of(name), "\n[database]\n" + "".join(f'{key} = "{url}"\n' for key, url in urls.items())


@asynccontextmanager
async def populated(
    plugins: Sequence[str] = PAGES,
    server: PostgreSQL | None = None,
    tenants: int = TENANTS,
    items: int = ITEMS,
    more: str = "",
) -> AsyncIterator[tuple[Deployed, Audience]]:
    """Yield a deployment in a temporary folder, installed on a number of sites with a checklist each; not served."""
    keys = InstallKeys()
    rest = RestApi(keys)
    with tempfile.TemporaryDirectory() as folder, rest.serve_in_thread():
        deployed = deploy(Path(folder), plugins, f"{rest.url}/", server, more)
        with deployed.served():
            async with Host(None, keys, deployed.base_url, rest) as host:
                for _ in range(tenants):
                    site = await host.install("jira")
                    if items:
                        await fill_checklist(host, site, items)
                        await fill_lists(host, site)
                audience = Audience(tuple(host.sites), await host.descriptor())
        yield deployed, audience


@asynccontextmanager
async def installed(
    engine: str = "hypercorn", server: PostgreSQL | None = None, more: str = ""
) -> AsyncIterator[tuple[Server, Audience]]:
    """Yield such a deployment while it is served."""
    async with populated(server=server, more=more) as (deployed, audience):
        with deployed.served(engine) as running:
            yield running, audience


async def fill_checklist(host: Host, site: Site, items: int) -> None:
    """Add items to a checklist with requests like those of the page's script."""
    page = await host.open("issue-panel-panel", site, issue=ISSUE)
    for item in range(items):
        await page.fetch("items", method="POST", json={"text": f"Step {item + 1} of this issue"})


async def fill_lists(host: Host, site: Site) -> None:
    """Add rows to the lists of a site's issues."""
    page = await host.open("bench-session", site, issue=ISSUE)
    await page.fetch("rows", method="POST", json={"issues": ISSUES["bench-rows"], "rows": ROWS})
