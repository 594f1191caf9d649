"""The caller's address behind trusted proxies."""

import pytest
from addonkit.cli.logs import configure
from addonkit.edge.forwarded import TrustedProxies, is_local
from addonkit.errors import SettingsInvalid
from addonkit.settings import LogSettings, read_settings

from tests.edge.test_access_log import accessed
from tests.support.plugin_under_test import running_addon

NEAR, FAR, CALLER = "10.0.0.1", "10.0.0.2", "203.0.113.9"
TRUSTED = ["10.0.0.0/8", "2001:db8::/32"]


def client(peer, *lines, trusted=TRUSTED):
    headers = [(b"x-forwarded-for", line.encode("latin-1")) for line in lines]
    found = TrustedProxies(trusted).client_of({"client": peer and (peer, 4711), "headers": headers})
    return found and found[0]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([CALLER], CALLER),
        ([f"{CALLER}, {FAR}"], CALLER),
        ([f"{CALLER},{FAR},\t{NEAR}"], CALLER),
        ([CALLER, FAR], CALLER),
        ([f"198.51.100.1, {CALLER}"], CALLER),
        ([f"{NEAR}, {CALLER}, {FAR}"], CALLER),
        ([f"{FAR}, {NEAR}"], FAR),
        (["203.0.113.9:1234"], CALLER),
        (["2001:db9::1"], "2001:db9::1"),
        (["[2001:db9::1]:443, 2001:db8::7"], "2001:db9::1"),
        (["::ffff:203.0.113.9"], CALLER),
        ([], NEAR),
        ([""], NEAR),
    ],
)
def test_forwarded_client_is_the_last_address_that_is_not_a_trusted_proxy(lines, expected):
    assert client(NEAR, *lines) == expected


@pytest.mark.parametrize(("proxies", "expected"), [(0, CALLER), (30, CALLER), (31, CALLER), (32, FAR), (5000, FAR)])
def test_forwarded_client_is_searched_among_the_last_32_entries(proxies, expected):
    """The first of the 32 is the best that is known of a request with more: a trusted proxy."""
    assert client(NEAR, ", ".join([CALLER] + [FAR] * proxies)) == expected


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("[2001:0db9:0000:0000:0000:0000:0000:0001]:65535", "2001:db9::1"),
        ("[0000:0000:0000:0000:0000:ffff:203.000.113.009]:65535", NEAR),
        ("[0000:0000:0000:0000:0000:ffff:203.100.113.109]:65535", "203.100.113.109"),
        ("203.0.113.9:655350", NEAR),
        (CALLER + "0" * 5000, NEAR),
    ],
)
def test_forwarded_entry_may_be_the_longest_address(entry, expected):
    assert client(NEAR, entry) == expected


@pytest.mark.parametrize(
    "entry",
    [
        "unknown",
        "_hidden",
        "203.0.113.999",
        "1.2.3",
        "203.0.113.9:port",
        "203.0.113.9:",
        "[2001:db9::1",
        "[2001:db9::1]x",
        "fe80::1%<script>",
        "localhost",
        "203.0.113.9 203.0.113.8",
        "\u00b2\u00b9.0.0.1",
        "for=203.0.113.9",
        "",
    ],
)
def test_forwarded_entry_that_is_not_an_address_ends_the_search(entry):
    assert client(NEAR, f"{CALLER}, {entry}, {FAR}") == FAR


def test_forwarded_header_of_an_untrusted_peer_is_ignored():
    assert client(CALLER, "198.51.100.1") == CALLER


def test_forwarded_peer_with_ipv4_mapped_address_is_trusted():
    assert client(f"::ffff:{NEAR}", CALLER) == CALLER


def test_forwarded_ignores_other_proxy_headers():
    headers = [(name, b"203.0.113.7") for name in (b"x-real-ip", b"forwarded", b"true-client-ip", b"x-client-ip")]
    assert TrustedProxies(TRUSTED).client_of({"client": (NEAR, 1), "headers": headers}) == (NEAR, 1)


@pytest.mark.parametrize(("trusted", "expected"), [(["unix"], CALLER), (TRUSTED, None)])
def test_forwarded_unix_socket_peer_is_trusted_only_if_named(trusted, expected):
    assert client(None, CALLER, trusted=trusted) == expected


def test_forwarded_reads_a_limited_number_of_entries():
    assert client(NEAR, ",".join([CALLER] + [FAR] * 10_000)) == FAR


@pytest.mark.parametrize("name", ["10.0.0.1/8", "proxy.example.com", "0.0.0.0/0", "::/0", "*", ""])
def test_trusted_proxy_that_is_not_an_address_fails_the_start(name):
    addon = {"key": "a.b", "name": "A", "base_url": "http://localhost:8000", "plugins": ["a"]}
    with pytest.raises(SettingsInvalid, match="trusted_proxies") as error:
        read_settings(None, {"addon": addon, "server": {"trusted_proxies": [name]}})
    assert f"'{name}'" in str(error.value)


async def test_forwarded_client_reaches_handlers_and_the_access_log(tmp_path, capfd):
    server, log = {"trusted_proxies": ["127.0.0.1"]}, {"access": True}
    async with running_addon(tmp_path, server=server, log=log) as wire:
        configure(LogSettings(format="json"))
        answer = await wire.ask("GET", "/under_test/address", [("x-forwarded-for", CALLER)])
        spoofed = [("x-forwarded-for", CALLER), ("x-forwarded-host", "evil"), ("x-forwarded-proto", "gopher")]
        await wire.ask("GET", "/under_test/address", spoofed, client=("198.51.100.1", 1))
    assert answer.text == f"{CALLER} http"
    assert [line["client"] for line in accessed(capfd)] == [CALLER, "198.51.100.1"]


@pytest.mark.parametrize(
    ("peer", "headers", "expected"),
    [
        (("127.0.0.1", 5), [(b"host", b"127.0.0.1:8000")], True),
        (("127.9.9.9", 5), [(b"host", b"localhost")], True),
        (("::1", 5), [(b"accept", b"*/*"), (b"host", b"[::1]:8000")], True),
        (("::ffff:127.0.0.1", 5), [(b"host", b"localhost:1")], True),
        ((CALLER, 5), [(b"host", b"localhost")], False),
        (None, [(b"host", b"localhost")], False),
        (("nonsense", 5), [(b"host", b"localhost")], False),
        (("", 5), [(b"host", b"localhost")], False),
        (("127.0.0.1", 5), [], False),
        (("127.0.0.1", 5), [(b"host", b"localhost"), (b"host", b"localhost")], False),
        (("127.0.0.1", 5), [(b"host", b"rebound.example.com")], False),
        (("127.0.0.1", 5), [(b"host", b"localhost"), (b"x-forwarded-for", b"127.0.0.1")], False),
        (("127.0.0.1", 5), [(b"forwarded", b"for=127.0.0.1"), (b"host", b"localhost")], False),
        (("127.0.0.1", 5), [(b"host", b"localhost"), (b"via", b"1.1 proxy")], False),
        (("127.0.0.1", 5), [(b"host", b"localhost"), (b"x-real-ip", b"127.0.0.1")], False),
    ],
    ids=str,
)
def test_forwarded_request_is_local_only_from_loopback_to_loopback_without_a_proxy(peer, headers, expected):
    assert is_local({"client": peer, "headers": headers}) is expected
