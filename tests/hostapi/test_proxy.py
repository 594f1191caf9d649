"""Every request to other servers goes through ``[host] proxy`` and trusts ``[host] ca_file``."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import pytest_asyncio
from addonkit import HostError, HostUnavailable, SettingsInvalid
from addonkit.app import Addon
from addonkit.check import CheckContext, HttpProbe
from addonkit.check.context import State, summarize
from addonkit.check.run import LOCAL, REMOTE
from addonkit.hostapi.tenant_info import TenantInfo
from addonkit.http_client import Network, new_client
from addonkit.settings import read_settings
from addonkit.testing import Host, InstallKeys, RestApi, Site
from addonkit.testing.databases import create_tables, database_settings, drop_databases
from addonkit.testing.exchange import Reply
from structlog.testing import capture_logs

from tests.support.calling_plugin import BASE_URL, CallingAddon, CallingDeployment
from tests.support.forward_proxy import ForwardProxy
from tests.support.public_address import Authority, Plain, bind, public

pytestmark = pytest.mark.asyncio(loop_scope="module")
SITE, KEYS, TOKENS, FILES = "one.atlassian.net", "keys.example.com", "tokens.example.com", "media.example.com"
LOGIN, PASSWORD = "user:s3cret%2F-word", "s3cret/-word"


@asynccontextmanager
async def behind_a_proxy(directory, *, login=None, tls=False, **host_settings):
    """An add-on whose only way to its servers is a proxy, with certificates of a private authority."""
    authority, keys = Authority(directory), InstallKeys()
    rest, proxy = RestApi(keys), ForwardProxy(login=login and f"user:{PASSWORD}")
    rest.url = f"https://{TOKENS}"
    async with AsyncExitStack() as stack:
        for name, app in ((SITE, rest), (KEYS, rest), (TOKENS, rest), (FILES, Plain(200, {}, b"file"))):
            listener = bind()
            proxy.ports[name] = listener.getsockname()[1]
            await stack.enter_async_context(public(app, listener, authority.certify(name)))
        context = None
        if tls:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(*authority.certify("localhost"))
        await stack.enter_async_context(proxy.serve(context))
        settings = {
            "addon": {"key": "com.example.test", "name": "Test", "base_url": BASE_URL, "plugins": ["caller", "poor"]},
            "database": database_settings(directory, create=False),
            "host": {
                "install_keys": [f"https://{KEYS}"],
                "token_server": f"https://{TOKENS}",
                "domains": ["*.atlassian.net"],
                "proxy": proxy.url_with(LOGIN) if login else proxy.url,
                "ca_file": authority.file.name,
                **host_settings,
            },
        }
        addon = Addon(CallingDeployment(read_settings(None, settings), directory))
        await create_tables(addon.deployment.location, {})
        async with Host(addon, keys, BASE_URL, rest) as host:
            yield CallingAddon(addon, host, rest), proxy
    drop_databases(directory)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["plain", "password", "TLS"])
async def both(tmp_path_factory, request):
    """An add-on behind a proxy without a password, with one, and behind one with TLS."""
    directory = tmp_path_factory.mktemp("proxied")
    login = request.param == "password" or None
    async with behind_a_proxy(directory, login=login, tls=request.param == "TLS") as (addon, proxy):
        await addon.host.install("jira", f"https://{SITE}")
        yield addon, proxy


@pytest.fixture(autouse=True)
def no_names(monkeypatch):
    """No proxy is in the environment, and only names of this machine are resolved: the proxy knows the others."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    resolve = socket.getaddrinfo

    def found(host, *args, **options):
        text = host.decode() if isinstance(host, bytes) else host
        if text not in (None, "localhost", "127.0.0.1"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", found)
    monkeypatch.setattr("addonkit.hostapi.retry.backoff_s", lambda failures, **_: 0.02 * failures)


async def test_install_key_is_fetched_through_the_proxy(both):
    _addon, proxy = both
    assert KEYS in proxy.tunnels


async def test_host_call_goes_through_the_proxy(both):
    addon, proxy = both
    addon.rest.answer("GET", "/rest/api/3/myself", {"ok": 1})
    assert await addon(lambda host: host.get("/rest/api/3/myself")) == {"ok": 1}
    assert SITE in proxy.tunnels


async def test_token_of_a_user_is_requested_through_the_proxy(both):
    addon, proxy = both
    addon.rest.answer("GET", "/rest/api/3/myself", by=lambda sent: Reply({"as": sent.account_id}))
    assert await addon(lambda host: host.as_user().get("/rest/api/3/myself")) == {"as": "acc-1"}
    assert TOKENS in proxy.tunnels


async def test_cloud_id_is_read_through_the_proxy(both):
    addon, proxy = both
    proxy.tunnels.clear()
    deployment = addon.addon.deployment
    async with TenantInfo(deployment.settings.host.domains, deployment.user_agent, deployment.network) as sites:
        assert await sites.fetch(f"https://{SITE}") == addon.host.site.cloud_id
    assert proxy.tunnels == [SITE]


async def test_file_is_received_through_the_proxy(both):
    addon, proxy = both
    location = {"location": f"https://{FILES}/x?token=secret"}
    addon.rest.answer("GET", "/rest/api/3/attachment/content/1", status=302, headers=location)

    async def read(host):
        async with host.download(attachment="1") as file:
            return await file.read()

    assert await addon(read) == b"file"
    assert FILES in proxy.tunnels


async def test_proxy_gets_the_password_and_no_token(both):
    _addon, proxy = both
    for head in proxy.heads:
        assert head.startswith("CONNECT ")
        assert "\r\nauthorization:" not in head.lower()
        assert ("proxy-authorization" in head.lower()) == (proxy.login is not None)


@pytest.mark.parametrize(
    "location",
    [
        "https://127.0.0.1/x",
        "https://10.0.0.1/x",
        "https://127.1/x",
        "https://2130706433/x",
        "https://[::1]/x",
        "https://localhost/x",
        "https://LOCALHOST./x",
        "https://intranet/x",
        "https://169.254.169.254/x",
        "http://media.example.com/x",
    ],
)
async def test_attack_ssrf_redirect_into_the_network_of_the_proxy_is_not_followed(both, location):
    addon, proxy = both
    proxy.tunnels.clear()
    addon.rest.answer("GET", "/rest/api/3/attachment/content/1", status=302, headers={"location": location})

    async def read(host):
        async with host.download(attachment="1") as file:
            return await file.read()

    with pytest.raises(HostError, match="to a URL that is not followed"):
        await addon(read)
    assert set(proxy.tunnels) <= {SITE}


async def fails(directory, **settings):
    """The error of a host call behind a proxy, and all that was logged."""
    with capture_logs() as logged:
        async with behind_a_proxy(directory, login=True, **settings) as (addon, proxy):
            proxy.ports[SITE] = proxy.ports.pop(SITE)
            await addon.host.install("jira", f"https://{SITE}")
            proxy.login = "user:changed"
            await addon.clients._transport.close()
            with pytest.raises(HostUnavailable) as failed:
                await addon(lambda host: host.get("/rest/api/3/myself"))
    return failed.value, logged


async def test_password_is_in_no_error_and_no_log(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    error, logged = await fails(tmp_path)
    assert "refuses a connection to 'one.atlassian.net' (407; see [host] proxy)" in str(error)
    chain = [error]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    for text in (*map(str, chain), *map(repr, chain), repr(logged), caplog.text):
        assert PASSWORD not in text
        assert "s3cret" not in text


async def test_proxy_that_does_not_know_the_site_is_named(both):
    addon, proxy = both
    port = proxy.ports.pop(SITE)
    await addon.clients._transport.close()
    try:
        with pytest.raises(HostUnavailable, match=r"the proxy '.*' refuses a connection to .*\(502") as failed:
            await addon(lambda host: host.get("/rest/api/3/myself"))
    finally:
        proxy.ports[SITE] = port
        addon.clients.limits.mark_reachable(f"https://{SITE}")
    assert not failed.value.sent


async def test_site_with_a_certificate_of_an_unknown_authority_is_not_trusted(tmp_path, monkeypatch):
    async with behind_a_proxy(tmp_path, ca_file=None) as (addon, _):
        response = await addon.host.notify(await newcomer(addon), "installed")
    assert response.status_code == 503  # the key host is not trusted


async def newcomer(addon):
    site = Site(addon.host.keys, "jira", f"https://{SITE}")
    addon.rest.sites.append(site)
    return site


# ---- settings ----------------------------------------------------------------------------------------------------

ADDON = {"key": "k", "name": "n", "base_url": "https://a.example.com", "plugins": ["p"]}


@pytest.mark.parametrize(
    "proxy",
    [
        "http://proxy:3128",
        "http://127.0.0.1:3128",
        "https://proxy.example.com",
        "http://user:password@proxy.example.com:3128/",
        "http://user:p%40ss%2Fword@[::1]:3128",
    ],
)
async def test_proxy_is_accepted(proxy):
    assert read_settings(None, {"addon": ADDON, "host": {"proxy": proxy}}).host.proxy == proxy


@pytest.mark.parametrize(
    "proxy",
    [
        "socks5://user:hidden-word@proxy:1080",
        "proxy:3128",
        "user:hidden-word@proxy:3128",
        "http://user:hidden-word@",
        "http://user:hidden-word@proxy:port",
        "http://user:hidden-word@proxy:99999",
        "http://user:hidden-word@proxy:0",
        "http://user:hidden/word@proxy:3128",
        "http://user:hidden#word@proxy:3128",
        "http://user:hidden?word@proxy:3128",
        "http://user:hidden word@proxy:3128",
        "http://user:hidden-wörd@proxy:3128",
        "http://user:hidden-word@[proxy:3128",
        "",
        ["http://user:hidden-word@proxy:3128"],
        {"url": "http://user:hidden-word@proxy"},
        5,
    ],
)
async def test_proxy_that_cannot_be_used_is_refused_without_its_password(proxy):
    with pytest.raises(SettingsInvalid, match=r"host\.proxy") as wrong:
        read_settings(None, {"addon": ADDON, "host": {"proxy": proxy}})
    assert "hidden" not in str(wrong.value)


async def test_password_is_in_no_representation():
    settings = read_settings(None, {"addon": ADDON, "host": {"proxy": "http://user:hidden-word@proxy:3128"}})
    network = Network(settings.host.proxy)
    for shown in (repr(settings), str(settings), repr(settings.host), repr(network), network.proxy_name):
        assert "hidden" not in shown
    assert network.proxy_name == "http://proxy:3128"


@pytest.mark.parametrize("content", [None, b"", b"no certificate", b"\0\xff", b"-----BEGIN CERTIFICATE-----\nAA\n"])
async def test_authorities_that_cannot_be_read_stop_the_start(tmp_path, content):
    if content is not None:
        (tmp_path / "ca.pem").write_bytes(content)
    settings = read_settings(None, {"addon": ADDON, "host": {"ca_file": "ca.pem"}})
    with pytest.raises(SettingsInvalid, match=r"\[host\] ca_file names '.*', which (cannot be read|has no cert)"):
        _ = CallingDeployment(settings, tmp_path).network


async def test_environment_sets_no_proxy(monkeypatch):
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    client = new_client()
    assert not client._mounts
    await client.aclose()


async def test_library_logs_no_query(both, caplog):
    caplog.set_level(logging.DEBUG)
    addon, _ = both
    addon.rest.answer("GET", "/rest/api/3/myself", {})
    await addon(lambda host: host.get("/rest/api/3/myself", {"hidden": "word"}))
    assert "/rest/api/3/myself" in caplog.text
    assert "hidden=" not in caplog.text


# ---- addonkit check ----------------------------------------------------------------------------------------------


async def checked(directory, check, probe=None, **host):
    settings = {**ADDON, "base_url": "https://a.example.com"}
    sections = {"addon": settings, "host": host, "security": {"encryption_keys": [f"k:{'A' * 43}="]}}
    context = CheckContext(CallingDeployment(read_settings(None, sections), directory), probe)
    return summarize(check, [result async for result in {**LOCAL, **REMOTE}[check](context)])


async def test_check_reports_the_proxy_without_its_password(tmp_path):
    result = await checked(tmp_path, "outgoing", proxy="http://user:hidden-word@proxy:3128")
    assert (result.state, result.message) == (
        State.OK,
        "requests to other servers go through the proxy 'http://proxy:3128', with a user name",
    )


async def test_check_reports_the_authorities(tmp_path):
    authority = Authority(tmp_path)
    result = await checked(tmp_path, "outgoing", ca_file=authority.file.name)
    assert result.state is State.OK
    assert "go directly; the 1 certificate in" in result.message


@pytest.mark.parametrize(("days", "words"), [(10, "expires in"), (-3, "expired")])
async def test_check_warns_of_an_authority_that_expires(tmp_path, days, words):
    file, _ = Authority(tmp_path).certify("authority.example.com", days=days)
    result = await checked(tmp_path, "outgoing", ca_file=file.name)
    assert result.state is State.WARN
    assert words in result.message


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
async def test_check_warns_of_a_variable_without_effect(tmp_path, monkeypatch, name):
    monkeypatch.setenv(name, "http://user:hidden-word@proxy:3128")
    result = await checked(tmp_path, "outgoing")
    assert result.state is State.WARN
    assert f"the environment's {name} has no effect" in result.message
    assert "hidden" not in result.message


async def test_check_names_authorities_that_cannot_be_read(tmp_path):
    with pytest.raises(SettingsInvalid, match=r"\[host\] ca_file names"):
        await checked(tmp_path, "outgoing", ca_file="missing.pem")


@pytest.mark.parametrize("fault", ["none", "login", "unknown", "down", "certificate"])
async def test_check_requests_the_key_hosts_through_the_proxy(tmp_path, fault):
    authority, proxy, listener = Authority(tmp_path), ForwardProxy(login=f"user:{PASSWORD}"), bind()
    proxy.ports = {} if fault == "unknown" else {KEYS: listener.getsockname()[1]}
    async with public(Plain(404, {}), listener, authority.certify(KEYS)), proxy.serve():
        url = proxy.url_with("user:other" if fault == "login" else LOGIN)
        url = "http://127.0.0.1:1" if fault == "down" else url
        ca_file = None if fault == "certificate" else authority.file
        async with HttpProbe(network=Network(url, ca_file)) as probe:
            result = await checked(tmp_path, "key-hosts", probe, install_keys=[f"https://{KEYS}"], proxy=url)
    expected = {
        "none": "keys.example.com responds",
        "login": "the proxy refuses the connection (407; see [host] proxy)",
        "unknown": "the proxy refuses the connection (502; see [host] proxy)",
        "down": "through the proxy 'http://127.0.0.1:1', the connection failed",
        "certificate": "name its authority in [host] ca_file",
    }
    assert expected[fault] in result.message
    assert result.state is (State.OK if fault == "none" else State.WRONG)
    assert "s3cret" not in result.message


async def test_check_does_not_blame_the_address_behind_a_proxy(tmp_path):
    async with HttpProbe() as probe:
        result = await checked(tmp_path, "address", probe, proxy="http://proxy:3128")
    assert result.state is State.WARN
    assert "cannot be reached from this machine without the proxy" in result.message


async def test_tunnels_end_with_the_clients(both):
    addon, _ = both
    await addon.clients._transport.close()
    await asyncio.sleep(0)
    addon.rest.answer("GET", "/rest/api/3/myself", {"ok": 2})
    assert await addon(lambda host: host.get("/rest/api/3/myself")) == {"ok": 2}
