"""Addresses: one spelling, and nobody's site but the host's."""

import pytest
from addonkit.protocol import canonical_base_url, check_host_url, is_loopback, origin, path_of

CLOUD = ["*.atlassian.net", "*.jira.com"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://X.Atlassian.NET", "https://x.atlassian.net"),
        ("HTTPS://x.atlassian.net:443/wiki?a=b#c", "https://x.atlassian.net"),
        ("http://127.0.0.1:80/", "http://127.0.0.1"),
        ("http://127.0.0.1:9000/a/b", "http://127.0.0.1:9000"),
        ("https://x.example:80", "https://x.example:80"),
        ("http://[::1]:9000", "http://[::1]:9000"),
    ],
)
def test_origin_is_in_lower_case_without_a_default_port(url, expected):
    assert origin(url) == expected


@pytest.mark.parametrize(("url", "path"), [("https://x", ""), ("https://x/", ""), ("https://x/wiki/", "/wiki")])
def test_base_path_has_no_trailing_slash(url, path):
    assert path_of(url) == path


@pytest.mark.parametrize("url", ["http://localhost:9000", "http://127.0.0.1/x", "https://[::1]", "http://LOCALHOST"])
def test_loopback_is_this_machine(url):
    assert is_loopback(url)


@pytest.mark.parametrize("url", ["http://localhost.evil.tld", "http://127.0.0.1.nip.io", "http://0.0.0.0", "http://x"])
def test_loopback_excludes_names_that_only_look_like_this_machine(url):
    assert not is_loopback(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x.atlassian.net",
        "//x.atlassian.net",
        "ftp://x.atlassian.net",
        "javascript://x.atlassian.net",
        "https://",
        "https:///path",
        "https://user:pw@x.atlassian.net",
        "https://x.atlassian.net.",
        "https://x..atlassian.net",
        "https://-x.atlassian.net",
        "https://x.atlassian.net:",
        "https://x.atlassian.net:0",
        "https://x.atlassian.net:65536",
        "https://x.atlassian.net:99999999",
        "https://x.atlassian.net\\.evil.tld",
        "https://x.atlassian.net\n.evil.tld",
        "https://x.atlassian.net/a\tb",
        " https://x.atlassian.net",
        "https://x.atlassian.net\n",
        "https://x.atlässian.net",
        "https://x.atlassian.net;script-src *",
        f"https://x.atlassian.net/{'a' * 2048}",
    ],
)
@pytest.mark.parametrize("read", [origin, is_loopback, path_of, canonical_base_url])
def test_url_that_parsers_read_differently_is_refused(read, url):
    with pytest.raises(ValueError, match=r"URL|port"):
        read(url)


@pytest.mark.parametrize(
    ("port", "accepted"),
    [("1", True), ("8080", True), ("65535", True), ("0", False), ("65536", False), ("99999", False), ("00080", True)],
)
def test_port_is_a_number_of_1_to_65535(port, accepted):
    if accepted:
        assert origin(f"http://localhost:{port}") == ("http://localhost" + f":{int(port)}" * (int(port) != 80))
    else:
        with pytest.raises(ValueError, match="outside of 1 to 65535"):
            origin(f"http://localhost:{port}")


@pytest.mark.parametrize("read", [origin, is_loopback, path_of, canonical_base_url])
def test_url_of_2048_characters_is_read_and_one_more_is_refused(read):
    read("https://x.example/".ljust(2048, "a"))
    with pytest.raises(ValueError, match="not a plain http"):
        read("https://x.example/".ljust(2049, "a"))


def test_long_url_is_shown_with_its_first_200_characters():
    url = "https://x.example/" + "".join(f"{number:04}" for number in range(500)) + "?a"
    with pytest.raises(ValueError, match="query") as refusal:
        canonical_base_url(url)
    assert repr(url[:200]) in str(refusal.value)


def test_base_url_has_one_spelling():
    spellings = ["https://Kit.example.com/", "https://kit.example.com:443", "HTTPS://KIT.EXAMPLE.COM"]
    assert {canonical_base_url(url) for url in spellings} == {"https://kit.example.com"}
    assert canonical_base_url("https://kit.example.com/Base/") == "https://kit.example.com/Base"


@pytest.mark.parametrize("rest", ["?", "#", "?a=b", "/x#y", "/a//b", "/../a", "/a/.", "/a%2Fb", "/a;b"])
def test_base_url_with_more_than_a_plain_path_is_refused(rest):
    with pytest.raises(ValueError, match="base URL"):
        canonical_base_url(f"https://x.example{rest}")


def test_password_in_a_url_is_not_repeated():
    with pytest.raises(ValueError, match="'@'") as refusal:
        canonical_base_url("https://user:hunter2@x.example")
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://x.atlassian.net", "https://x.atlassian.net"),
        ("https://X.atlassian.net:443/wiki/", "https://x.atlassian.net/wiki"),
        ("https://a.b.atlassian.net", "https://a.b.atlassian.net"),
        ("https://old.jira.com", "https://old.jira.com"),
    ],
)
def test_site_in_a_domain_of_the_host_is_accepted(url, expected):
    assert check_host_url(url, CLOUD) == expected


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/",
        "http://169.254.169.254",
        "https://169.254.169.254/latest",
        "https://x.atlassian.net.evil.tld",
        "https://xatlassian.net",
        "https://atlassian.net",
        "https://.atlassian.net",
        "https://evil.tld/.atlassian.net",
        "https://evil.tld#.atlassian.net",
        "https://evil.tld?.atlassian.net",
        "https://x.atlassian.net@evil.tld",
        "https://x.atlassian.net:pw@evil.tld",
        "https://evil.tld\\@x.atlassian.net",
        "https://x.atlassian.net:8443",
        "https://x.atlassian.net:80",
        "http://x.atlassian.net",
        "http://x.atlassian.net:443",
        "http://127.0.0.1:9000",
        "http://localhost",
        "https://[::1]",
    ],
)
def test_base_url_that_leads_to_an_attacker_is_refused(url):
    with pytest.raises(ValueError, match="URL"):
        check_host_url(url, CLOUD)


def test_loopback_is_a_site_only_if_listed():
    assert check_host_url("http://127.0.0.1:9000/jira", ["127.0.0.1"]) == "http://127.0.0.1:9000/jira"
    assert check_host_url("http://localhost:9000", [*CLOUD, "localhost"]) == "http://localhost:9000"
    with pytest.raises(ValueError, match="not in a domain of"):
        check_host_url("http://localhost:9000", ["127.0.0.1"])


def test_domain_without_wildcard_names_one_host():
    assert check_host_url("https://jira.example.com", ["Jira.example.com"]) == "https://jira.example.com"
    with pytest.raises(ValueError, match="not in a domain of"):
        check_host_url("https://x.jira.example.com", ["jira.example.com"])


@pytest.mark.parametrize("domains", [[], ["*"], [""], ["*."], [".atlassian.net"]])
def test_domain_that_is_empty_or_a_bare_wildcard_admits_no_site(domains):
    with pytest.raises(ValueError, match="not in a domain of"):
        check_host_url("https://x.atlassian.net", domains)
