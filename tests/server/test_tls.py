"""HTTPS: certificate and key from files, and protocol versions."""

import asyncio
import ssl
import time
from contextlib import nullcontext

import httpx2
import pytest
from addonkit.errors import SettingsInvalid
from addonkit.server.tls import certificate_expiry, load_tls
from addonkit.settings import read_settings
from addonkit.settings.sections import ServerSettings

from tests.distributions.third_party import run, write_config
from tests.support.https import Plain, https_server, write_pair
from tests.support.public_address import Authority
from tests.support.served import configure, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")


def refusal(directory, **settings):
    with pytest.raises(SettingsInvalid) as refused:
        load_tls(ServerSettings(**settings), directory)
    return str(refused.value)


async def test_certificate_without_its_key_is_refused():
    addon = {"key": "k", "name": "n", "base_url": "http://localhost:8000", "plugins": ["a"]}
    with pytest.raises(SettingsInvalid, match="tls_certificate is set without tls_key; set both, or neither"):
        read_settings(None, {"addon": addon, "server": {"tls_certificate": "a.pem"}})


async def test_tls_is_off_without_a_certificate(tmp_path):
    assert load_tls(ServerSettings(), tmp_path) is None


async def test_certificate_expiry_is_that_of_the_first_of_the_chain_to_expire(tmp_path):
    authority = Authority(tmp_path)
    pair = [authority.certify("localhost", days=days)[0].read_text() for days in (90, 20)]
    (tmp_path / "chain.pem").write_text("".join(pair))
    expiry = certificate_expiry(ServerSettings(tls_certificate="chain.pem", tls_key="chain.key"), tmp_path)
    assert expiry - time.time() == pytest.approx(20 * 86400, abs=3600)


@pytest.mark.parametrize("content", [None, b"", b"hello", b"\x00\xff", b"-----BEGIN CERTIFICATE-----\n"], ids=repr)
async def test_certificate_that_cannot_be_read_has_no_expiry(tmp_path, content):
    if content is not None:
        (tmp_path / "chain.pem").write_bytes(content)
    assert certificate_expiry(ServerSettings(tls_certificate="chain.pem", tls_key="chain.key"), tmp_path) is None


async def test_certificate_file_that_is_missing_is_named(tmp_path):
    pair = write_pair(tmp_path)
    assert refusal(tmp_path, **{**pair, "tls_key": "gone.key"}) == (
        f"[server] tls_key is '{tmp_path}/gone.key', which cannot be read: No such file or directory; "
        "set [server] tls_certificate and tls_key to a PEM certificate and its key"
    )


async def test_key_of_another_certificate_is_refused(tmp_path):
    pair, other = write_pair(tmp_path), write_pair(tmp_path, "other")
    result = refusal(tmp_path, **{**pair, "tls_key": other["tls_key"]})
    assert "cannot be used: the key does not belong to the certificate; set [server]" in result


async def test_certificate_file_with_other_content_is_refused(tmp_path):
    pair = write_pair(tmp_path)
    (tmp_path / "localhost.pem").write_text("hello")
    assert "cannot be used: " in refusal(tmp_path, **pair)


async def test_key_with_a_password_is_refused_without_a_prompt(tmp_path):
    pair = write_pair(tmp_path, password=b"open sesame")
    assert "localhost.key' is encrypted; use a key without a password" in refusal(tmp_path, **pair)


async def test_serve_reports_an_unusable_certificate_in_one_sentence(tmp_path):
    write_config(tmp_path, "stranger_notes", more='[server]\ntls_certificate = "a.pem"\ntls_key = "a.key"\n')
    result = await asyncio.to_thread(run, tmp_path, "serve", "--bind", "127.0.0.1:0")
    assert result.sentence.startswith(f"[server] tls_certificate is '{tmp_path}/a.pem', which cannot be read")


def trusting(directory, **options):
    context = ssl.create_default_context(cafile=directory / "localhost.pem")
    return httpx2.AsyncClient(verify=context, trust_env=False, timeout=20, **options)


@pytest.mark.parametrize("server", ["hypercorn", "granian"])
async def test_serve_speaks_http_2_and_1_over_tls(tmp_path, server):
    if server == "granian":
        pytest.importorskip("granian", reason="granian is an extra")
    configure(tmp_path, server={"drain_s": 0, **write_pair(tmp_path)})
    async with serving(tmp_path, "--server", server) as served:
        url = f"https://localhost:{served.address.rpartition(':')[2]}/stranger_slow/wait"
        for speaks, version in ((True, "HTTP/2"), (False, "HTTP/1.1")):
            async with trusting(tmp_path, http2=speaks) as client:
                answer = await client.get(url)
            assert (answer.status_code, answer.http_version) == (200, version)


@pytest.mark.parametrize(("version", "is_taken"), [("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)])
async def test_tls_is_1_2_or_later(tmp_path, version, is_taken):
    async with https_server(Plain(), tmp_path) as (_, port):
        context = ssl.create_default_context(cafile=tmp_path / "localhost.pem")
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        with nullcontext() if is_taken else pytest.warns(DeprecationWarning, match="TLSv1_1"):
            context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, version)
        connecting = asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
        if not is_taken:
            with pytest.raises((ssl.SSLError, OSError)):
                await connecting
            return
        _, writer = await connecting
        assert writer.get_extra_info("ssl_object").version() == version.replace("_", ".")
        writer.close()
