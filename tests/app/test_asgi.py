"""An add-on inside somebody's own application: where it is mounted, how it starts and stops, and the examples."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from pathlib import Path

import pytest
from addonkit import SettingsInvalid, asgi
from addonkit.app import Deployment
from addonkit.app.migrate import upgrade_in_subprocess
from addonkit.edge.request import below, mount_of
from addonkit.testing.asgi import running
from addonkit.testing.databases import drop_databases

from tests.support.mounts import Mounts, installed, product
from tests.support.twin import twin

ROOT = Path(__file__).parents[2]
OUTER = "http://localhost:8000"
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs/serving.md").read_text(), re.M | re.S)
NAMES = ("starlette", "quart", "plain", "two add-ons")


@pytest.fixture(scope="module")
def migrated(tmp_path_factory):
    """An SQLite file with the tables of all installed plugins."""
    folder = tmp_path_factory.mktemp("migrated")
    (folder / "addon.toml").write_text(configuration(folder, "kit", {"install_keys": ["http://127.0.0.1:1"]}))
    upgrade_in_subprocess(Deployment.read(folder / "addon.toml"))
    yield folder / "kit.db"
    drop_databases(folder)


def configuration(folder, name, host):
    return f"""
[addon]
key = "com.example.{name}"
name = "Kit {name}"
base_url = "{OUTER}/{name}"
plugins = ["issue_panel"]

[database]
url = "sqlite://{folder}/{name}.db"

[host]
install_keys = {host["install_keys"]}
token_server = "{host.get("token_server", "")}"
domains = ["127.0.0.1"]
""".replace('token_server = ""\n', "").replace("'", '"')


@pytest.fixture
async def twin_on_path(tmp_path):
    async with product() as (keys, rest, host):
        database = {"url": f"sqlite://{tmp_path}/addonkit.db"}
        yield await twin(tmp_path, "kit", f"{OUTER}/kit", {"database": database, "host": host}), keys, rest


def load(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    monkeypatch.syspath_prepend(str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, path.stem, module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.sqlite
@pytest.mark.parametrize("name", NAMES)
async def test_example_of_serving_page_runs(name, migrated, tmp_path, monkeypatch):
    assert len(EXAMPLES) == len(NAMES)
    example = EXAMPLES[NAMES.index(name)]
    if "starlette" in example:
        pytest.importorskip("starlette")
    async with product() as (keys, rest, host):
        paths = {"kit": "addon.toml"} if name != "two add-ons" else {"kit": "jira.toml", "pages": "pages.toml"}
        for path, file in paths.items():
            shutil.copy(migrated, tmp_path / f"{path}.db")
            (tmp_path / file).write_text(configuration(tmp_path, path, host))
        (tmp_path / "our_application.py").write_text(example)
        app = load(tmp_path / "our_application.py", monkeypatch).app
        async with running(app):
            for path in paths:
                async with installed(app, keys, rest, f"{OUTER}/{path}") as outer:
                    page = await outer.open("issue-panel-panel", issue={"id": "10001", "key": "AB-1"})
                    assert page.status == 200
                    assert f'"/{path}/issue_panel/static/' in page.text
                    if name != "two add-ons":
                        assert (await outer.client.get(f"{OUTER}/")).text == "our own page"


async def test_addon_below_a_path_answers_there_alone(twin_on_path):
    addon, keys, rest = twin_on_path
    outer = Mounts({"/kit": addon}, addon.running)
    async with running(outer), installed(outer, keys, rest, f"{OUTER}/kit") as host:
        assert (await host.open("notes-page")).status == 200
        assert (await host.request("GET", "/healthz")).status_code == 200
        for path in ("/", "/notes/page", "/atlassian-connect.json", "/kitten"):
            assert (await host.client.get(OUTER + path)).text == "our own page"
        assert (await host.request("GET", "/kit/atlassian-connect.json")).status_code == 404
        assert (await host.request("GET", "/notes/page")).status_code == 401


async def test_page_calls_its_own_routes_below_the_mount(twin_on_path):
    addon, keys, rest = twin_on_path
    outer = Mounts({"/kit": addon}, addon.running)
    async with running(outer), installed(outer, keys, rest, f"{OUTER}/kit") as host:
        page = await host.open("notes-page")
        assert 'data-base="/kit"' in page.text
        assert (await page.fetch("nothing")).json() == {"word": "kit"}


async def test_mount_that_removes_its_path_is_understood(twin_on_path):
    addon, keys, rest = twin_on_path

    async def stripping(scope, receive, send):
        if scope["type"] == "http":
            path = scope["path"].removeprefix("/kit")
            scope = {**scope, "path": path, "raw_path": path.encode(), "root_path": "/kit"}
        await addon(scope, receive, send)

    async with running(stripping), installed(stripping, keys, rest, f"{OUTER}/kit") as host:
        page = await host.open("notes-page")
        assert (await page.fetch("nothing")).json() == {"word": "kit"}


async def test_mount_in_a_mount_is_the_base_path(tmp_path):
    async with product() as (keys, rest, host):
        database = {"url": f"sqlite://{tmp_path}/addonkit.db"}
        addon = await twin(tmp_path, "kit", f"{OUTER}/apps/kit", {"database": database, "host": host})
        outer = Mounts({"/apps": Mounts({"/kit": addon})}, addon.running)
        async with running(outer), installed(outer, keys, rest, f"{OUTER}/apps/kit") as one:
            assert (await one.open("notes-page")).status == 200


@pytest.mark.parametrize(
    ("raw", "place", "expected"),
    [
        ("/kit/page", "/kit", "/page"),
        ("/kit", "/kit", "/"),
        ("/kit/", "/kit", "/"),
        ("/kitten/page", "/kit", None),
        ("/page", "/kit", None),
        ("", "/kit", None),
        ("/k%C3%A4se/page", "/k%C3%A4se", "/page"),
        ("/kit//page", "/kit", "//page"),
        ("/kit/..%2fpage", "/kit", "/..%2fpage"),
    ],
)
def test_path_below_a_mount_is_as_it_was_sent(raw, place, expected):
    assert below(raw, place) == expected


@pytest.mark.parametrize(
    ("root_path", "expected"), [("", ""), ("/kit", "/kit"), ("/kit/", "/kit"), ("/käse", "/k%C3%A4se"), ("/", "")]
)
def test_mount_is_compared_as_it_is_sent(root_path, expected):
    assert mount_of({"root_path": root_path}) == expected
    assert mount_of({}) == ""


@pytest.mark.parametrize("path", ["//notes/page", "/..%2fnotes/page", "/x/../notes/page", "/notes%2fpage"])
async def test_path_that_can_be_read_in_two_ways_is_refused_below_a_mount(twin_on_path, path):
    addon, keys, rest = twin_on_path
    outer = Mounts({"/kit": addon}, addon.running)
    async with running(outer), installed(outer, keys, rest, f"{OUTER}/kit"):
        messages = []

        async def send(message):
            messages.append(message)

        raw = f"/kit{path}".encode()
        scope = {
            "type": "http",
            "method": "GET",
            "path": f"/kit{path.replace('%2f', '/')}",
            "raw_path": raw,
            "query_string": b"",
            "headers": [],
            "client": ("127.0.0.1", 1),
            "scheme": "http",
            "http_version": "1.1",
        }
        await outer(scope, None, send)
        assert messages[0]["status"] == 404


async def test_request_before_the_start_names_the_lifespan(twin_on_path):
    addon, _, _ = twin_on_path
    with pytest.raises(RuntimeError, match=r"enter 'addon\.running\(\)' in the lifespan"):
        await addon({"type": "http"}, None, None)


async def test_start_in_two_places_is_refused(twin_on_path):
    addon, _, _ = twin_on_path
    async with addon.running():
        with pytest.raises(RuntimeError, match="started already"):
            await addon.start()


async def test_start_can_be_repeated_after_a_stop(twin_on_path):
    addon, keys, rest = twin_on_path
    for _ in range(2):
        outer = Mounts({"/kit": addon}, addon.running)
        async with running(outer), installed(outer, keys, rest, f"{OUTER}/kit") as host:
            assert (await host.open("notes-page")).status == 200


async def test_served_directly_it_has_a_lifespan_of_its_own(twin_on_path):
    addon, keys, rest = twin_on_path
    async with running(addon), installed(addon, keys, rest, f"{OUTER}/kit") as host:
        assert (await host.open("notes-page")).status == 200


@pytest.mark.sqlite
async def test_pending_migration_stops_the_start_of_the_outer_application(tmp_path):
    (tmp_path / "addon.toml").write_text(configuration(tmp_path, "kit", {"install_keys": ["http://127.0.0.1:1"]}))
    addon = asgi(tmp_path / "addon.toml")
    with pytest.raises(SettingsInvalid, match="run 'addonkit migrate'"):
        await addon.start()
    with pytest.raises(RuntimeError, match="addonkit migrate"):
        async with running(Mounts({"/kit": addon}, addon.running)):
            pass


@pytest.mark.sqlite
async def test_pending_migration_is_applied_where_asked_for(tmp_path):
    (tmp_path / "addon.toml").write_text(configuration(tmp_path, "kit", {"install_keys": ["http://127.0.0.1:1"]}))
    async with asgi(tmp_path / "addon.toml", migrate=True).running():
        assert (tmp_path / "kit.db").exists()


def test_configuration_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(SettingsInvalid):
        asgi(tmp_path / "nowhere.toml")
