"""An add-on as deployed: a configuration, its plugins, sites that installed it, and signed addresses of its pages."""

from __future__ import annotations

import base64
import itertools
import os
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
from machine import HERE, Server, free_port, serving

DESCRIPTOR = "/atlassian-connect.json"
TENANTS, TOKENS, ITEMS = 64, 256, 10
IN_MEMORY = 16_384
"""Sites that a process keeps, which is what it does unless told otherwise."""
ISSUE = {"id": "10001", "key": "AB-1"}
KEY = bytes(range(32))
PAGES = ("bench_page", "issue_panel")
ENTRY_POINT = "[addonkit]\nbench_page = addonkit_bench_page:plugin\n"
METADATA = "Metadata-Version: 2.1\nName: addonkit-bench-page\nVersion: 0\n"


@dataclass(frozen=True, slots=True)
class Deployed:
    """A folder with ``addon.toml``, its database, and the port that it is served on.

    Attributes:
        folder: With SQLite the database lies in it.
        port: On the loopback interface.
        database: URL of a PostgreSQL database as an account that may do everything there; None with SQLite.
    """

    folder: Path
    port: int
    database: str | None = None

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


def deploy(
    folder: Path,
    plugins: Sequence[str],
    install_keys: str = "http://127.0.0.1:1/",
    server: PostgreSQL | None = None,
    more: str = "",
) -> Deployed:
    """Write a deployment on a free port, with a database of its own: on the server, or else of SQLite.

    Further tables are given as text.
    """
    port = free_port()
    dist_info = folder / "plugins" / "addonkit_bench_page-0.dist-info"
    dist_info.mkdir(parents=True)
    (dist_info / "METADATA").write_text(METADATA, encoding="utf-8")
    (dist_info / "entry_points.txt").write_text(ENTRY_POINT, encoding="utf-8")
    names = ", ".join(f'"{name}"' for name in plugins)
    database, table = (None, "") if server is None else made_on(server, f"bench_{port}")
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

[tenants]
in_memory = {IN_MEMORY}
{table}{more}"""
    (folder / "addon.toml").write_text(text, encoding="utf-8")
    return Deployed(folder, port, database)


def made_on(server: PostgreSQL, name: str) -> tuple[str, str]:
    """A new database: its URL, and how a deployment names it, with row-level security as it should be."""
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
    """A deployment in a folder that goes away, installed on so many sites, each with a checklist; not served now."""
    keys = InstallKeys()
    rest = RestApi(keys)
    with tempfile.TemporaryDirectory() as folder, rest.serve_in_thread():
        deployed = deploy(Path(folder), plugins, f"{rest.url}/", server, more)
        with deployed.served():
            async with Host(None, keys, deployed.base_url, rest) as host:
                for _ in range(tenants):
                    await fill_checklist(host, await host.install("jira"), items)
                audience = Audience(tuple(host.sites), await host.descriptor())
        yield deployed, audience


@asynccontextmanager
async def installed(
    engine: str = "hypercorn", server: PostgreSQL | None = None, more: str = ""
) -> AsyncIterator[tuple[Server, Audience]]:
    """The same, served for the block."""
    async with populated(server=server, more=more) as (deployed, audience):
        with deployed.served(engine) as running:
            yield running, audience


async def fill_checklist(host: Host, site: Site, items: int) -> None:
    """Write so many items as the page's own script would."""
    if items:
        page = await host.open("issue-panel-panel", site, issue=ISSUE)
        for item in range(items):
            await page.fetch("items", method="POST", json={"text": f"Step {item + 1} of this issue"})
