"""The files in ``deploy``: existing commands, valid settings, and logs without queries."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx2
import pytest
from addonkit.app import Deployment
from addonkit.settings import read_settings
from ruamel.yaml import YAML

from tests.distributions.third_party import ROOT, environment, installed
from tests.support.deploy_folder import DEPLOY, SECRETS, compose, made_secrets, parsed, plain_settings, shutdown_s
from tests.support.plugin_under_test import running_addon
from tests.support.public_address import NAME, Authority, bind, public, resolve_to_loopback
from tests.support.served import configure, until
from tests.support.wire import PAGE


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


def test_images_are_named_without_a_registry() -> None:
    bases = re.findall(r"^ARG BASE=(.*)$", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)
    images = [*bases, *re.findall(r"^ +image: (.*)$", compose(), re.MULTILINE)]
    assert images == ["python:3.11-slim", "addonkit", "postgres:18"]


def test_containers_have_time_for_the_shutdown_of_the_add_on() -> None:
    [seconds] = re.findall(r"^x-serving.*?stop_grace_period: (\d+)s", compose(), re.MULTILINE | re.DOTALL)
    assert int(seconds) >= shutdown_s() + 5


def test_containers_run_commands_that_exist() -> None:
    lines = re.findall(r"^ +command: \[(.*)\]$", compose(), re.MULTILINE)
    assert [parsed(line.replace('"', "").split(", ")) for line in lines] == [
        "addonkit serve",
        "addonkit migrate",
        "addonkit work",
    ]


def test_containers_get_secrets_that_are_generated(tmp_path: Path) -> None:
    made = {file.name for file in made_secrets(tmp_path / "secrets").iterdir()}
    assert set(re.findall(r"file: \./secrets/(\w+)", compose())) == made
    given = [set(line.split(", ")) for line in re.findall(r"secrets: \[(.*)\]", compose())]
    serving, postgres, migrating = given
    assert serving == SECRETS - {"database__owner_url"}
    assert migrating == SECRETS
    assert postgres == made - SECRETS


def test_service_for_work_runs_the_jobs_that_serving_containers_leave_to_it() -> None:
    services = YAML(typ="safe").load(compose())["services"]
    work, serving = services["work"], services["addon-1"]
    for key in ("image", "environment", "secrets", "volumes", "depends_on", "read_only", "stop_grace_period"):
        assert work[key] == serving[key]
    assert work["environment"]["ADDONKIT_JOBS__IN_SERVER"] == "false"
    assert "ports" not in work


@pytest.mark.postgresql
async def test_service_for_work_is_healthy_while_it_runs(tmp_path: Path) -> None:
    work = YAML(typ="safe").load(compose())["services"]["work"]
    bind = work["environment"]["ADDONKIT_OPERATIONS__BIND"]
    kind, program, *words = work["healthcheck"]["test"]
    assert (kind, program, bind) == ("CMD", "python", "0.0.0.0:9100")
    port = free_port()
    own = [word.replace(":9100/", f":{port}/") for word in words]
    assert own != words
    configure(tmp_path)
    variables = {"ADDONKIT_JOBS__IN_SERVER": "false", "ADDONKIT_OPERATIONS__BIND": f"127.0.0.1:{port}"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "addonkit", *work["command"]),
        cwd=tmp_path,
        env=environment(installed("stranger-slow"), **variables),
    )
    try:
        await until(lambda: is_healthy(own), 60)
    finally:
        process.terminate()
        code = await process.wait()
    assert code == 0
    assert not await is_healthy(own)


async def is_healthy(words: list[str]) -> bool:
    """Whether a health check succeeds."""
    process = await asyncio.create_subprocess_exec(sys.executable, *words, stderr=asyncio.subprocess.DEVNULL)
    return await process.wait() == 0


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
    async with asyncio.timeout(60):
        while True:
            try:
                return await client.get(url)
            except httpx2.ConnectError:
                await asyncio.sleep(0.05)
