"""The query hash where no vector speaks: base paths, other spellings, bounds."""

import hmac

import pytest
from addonkit.errors import TokenInvalid
from addonkit.protocol import CONTEXT_QSH, canonical_request, query_hash, query_matches
from addonkit.protocol.canonical import _cached_part


def test_base_path_goes_at_a_segments_end_only():
    assert canonical_request("GET", "/app/x", base_path="/app") == "GET&/x&"
    assert canonical_request("GET", "/apple", base_path="/app") == "GET&/apple&"


def test_path_loses_one_trailing_slash_only():
    assert canonical_request("GET", "/a/") == "GET&/a&"
    assert canonical_request("GET", "//a//") == "GET&//a/&"
    assert canonical_request("GET", "//") == canonical_request("GET", "/") == "GET&/&"


def test_root_below_a_base_path_is_a_slash():
    assert canonical_request("GET", "/wiki/", base_path="/wiki") == canonical_request("GET", "/") == "GET&/&"


def test_hash_of_raw_bytes_equals_that_of_their_escapes():
    raw = "q=é".encode().decode("latin-1")
    assert query_hash("GET", "/", raw) == query_hash("GET", "/", "q=%C3%A9")


def test_raw_path_is_hashed_as_utf8():
    assert canonical_request("GET", "/é".encode().decode("latin-1")) == "GET&/é&"


@pytest.mark.parametrize("query", ["q=%ff", "q=\xff", "q=宮", "%ff=1"])
def test_query_that_is_not_utf8_is_refused(query):
    with pytest.raises(TokenInvalid, match="not UTF-8"):
        query_hash("GET", "/", query)


def test_path_that_is_not_utf8_is_refused():
    with pytest.raises(TokenInvalid, match="not UTF-8"):
        query_hash("GET", "/\xff")


@pytest.mark.parametrize("name", ["jwt", "%6Awt", "j%77t"])
def test_hash_ignores_the_jwt_parameter_in_any_spelling(name):
    assert canonical_request("GET", "/", f"a=1&{name}=x.y.z") == "GET&/&a=1"


def test_hash_of_long_values_follows_the_same_rule():
    assert canonical_request("GET", "/", f"q={'%41' * 500}") == f"GET&/&q={'A' * 500}"


def test_encoded_path_matches_what_was_signed_decoded():
    signed = query_hash("GET", "/actions/ari:cloud:x")
    assert query_matches(signed, "GET", "/actions/ari%3Acloud%3Ax")


def test_encoded_path_below_a_base_path_matches_what_was_signed_decoded():
    signed = query_hash("GET", "/ari:x")
    assert query_matches(signed, "GET", "/base/ari%3Ax", "", "/base")


@pytest.mark.parametrize(
    ("sent", "signed"),
    [
        ("/a%2Fb", "/a/b"),
        ("/a%2fb", "/a/b"),
        ("/a%5Cb", "/a\\b"),
        ("/a%3Fb", "/a?b"),
        ("/a%23b", "/a#b"),
        ("/a%00b", "/a\0b"),
        ("/a%0Ab", "/a\nb"),
        ("/a%252Fb", "/a%2Fb"),
        ("/a/%2E%2E/b", "/a/../b"),
        ("/a/.%2E/b", "/a/../b"),
        ("/a/%2E/b", "/a/./b"),
        ("/%2E%2E", "/.."),
    ],
)
def test_path_whose_meaning_changes_is_not_decoded(sent, signed):
    assert not query_matches(query_hash("GET", signed), "GET", sent)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/a/b"),
        ("HEAD", "/a/b"),
        ("GET", "/a%2Fb"),
        ("GET", "//a/b"),
        ("GET", "/a//b"),
        ("GET", "/a/b//"),
        ("GET", "/a/./b"),
        ("GET", "/a/b;x"),
        ("GET", "/a/b%3Bx"),
        ("GET", "/A/b"),
        ("GET", "/a/b%00"),
        ("GET", "/x/a/b"),
    ],
)
def test_signed_url_reused_with_another_method_or_path_is_refused(method, path):
    signed = query_hash("GET", "/a/b", "x=y")
    assert query_matches(signed, "GET", "/a/b", "x=y")
    assert not query_matches(signed, method, path, "x=y")


@pytest.mark.parametrize(
    ("sent", "signed"),
    [
        ("/peer/p/A'", "/peer/p/A%27"),
        ("/it's/it's", "/it%27s/it%27s"),
        ("/A'%20b", "/A%27%20b"),
        ("/a{b}", "/a%7Bb%7D"),
        ("/a|b^c`d", "/a%7Cb%5Ec%60d"),
        ('/a<b>"c"', "/a%3Cb%3E%22c%22"),
        ("/ü'", "/ü%27"),
    ],
)
def test_path_that_node_has_escaped_matches(sent, signed):
    sent = sent.encode().decode("latin-1")
    assert query_matches(query_hash("GET", signed.encode().decode("latin-1"), "lic=active"), "GET", sent, "lic=active")
    assert query_matches(query_hash("GET", sent, "lic=active"), "GET", sent, "lic=active")


@pytest.mark.parametrize(
    ("sent", "signed"),
    [("/A'", "/A%2527"), ("/A'", "/A"), ("/A%27", "/A%2527"), ("/A'", "/A%60"), ("/A'B", "/A%27%42"), ("/A'", "/a%27")],
)
def test_path_that_node_has_not_signed_does_not_match(sent, signed):
    assert not query_matches(query_hash("GET", signed), "GET", sent)


def test_path_that_decodes_to_no_utf8_matches_as_it_is():
    assert query_matches(query_hash("GET", "/%FF"), "GET", "/%FF")
    assert not query_matches(query_hash("GET", "/x"), "GET", "/%FF")


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_forms_fields_stand_in_for_an_empty_query(method):
    signed = query_hash(method, "/x", "a=1&b=2")
    assert query_matches(signed, method, "/x", form="b=2&a=1&jwt=x")
    assert query_matches(signed, method, "/x", "jwt=x.y.z", form="b=2&a=1")


def test_form_does_not_stand_in_for_a_query():
    signed = query_hash("POST", "/x", "a=1")
    assert not query_matches(signed, "POST", "/x", "a=2", form="a=1")
    assert not query_matches(query_hash("DELETE", "/x", "a=1"), "DELETE", "/x", form="a=1")


def test_signed_empty_query_matches_whatever_the_form_holds():
    assert query_matches(query_hash("POST", "/x"), "POST", "/x", form="a=1")


def test_context_token_matches_no_request():
    assert not query_matches(CONTEXT_QSH, "GET", "/panel", "issue_key=AB-2")


@pytest.mark.parametrize("claimed", ["", "é", "\ud800", "0" * 64, "0" * 10_000])
def test_claimed_hash_of_any_text_is_compared_and_refused(claimed):
    assert not query_matches(claimed, "GET", "/")


def test_upper_case_hash_is_refused():
    assert not query_matches(query_hash("GET", "/").upper(), "GET", "/")


def test_hashes_are_compared_in_constant_time(monkeypatch):
    compared = []

    def compare(claimed, computed):
        compared.append((claimed, computed))
        return False

    monkeypatch.setattr(hmac, "compare_digest", compare)
    claimed = query_hash("GET", "/x")
    assert not query_matches(claimed, "GET", "/x")
    assert (claimed.encode(), claimed.encode()) in compared


def test_path_with_an_ampersand_is_not_a_query():
    assert not query_matches(query_hash("GET", "/a", "b=c"), "GET", "/a&b=c")
    assert not query_matches(query_hash("GET", "/a", "b=c"), "GET", "/a%26b=c")


@pytest.mark.parametrize("query", ["lic=none&lic=active", "lic=active&lic=active", "lic=active&issue_key=AB-2"])
def test_parameter_that_was_added_to_a_signed_query_is_refused(query):
    assert not query_matches(query_hash("GET", "/", "lic=active"), "GET", "/", query)


def test_thousand_parameters_are_hashed_and_one_more_is_refused():
    thousand = "&".join(f"n{number}=1" for number in range(1000))
    assert len(query_hash("GET", "/", thousand)) == 64
    with pytest.raises(TokenInvalid, match="1000 parameters"):
        query_hash("GET", "/", f"{thousand}&more=1")


def test_query_of_64_kilobytes_is_hashed_and_one_byte_more_is_refused():
    assert len(query_hash("GET", "/", "q=" + "a" * 65_534)) == 64
    with pytest.raises(TokenInvalid, match="65536 characters"):
        query_hash("GET", "/", "q=" + "a" * 65_535)


@pytest.mark.parametrize(("length", "kept"), [(1, 1), (128, 1), (129, 0), (60_000, 0)])
def test_cache_of_parts_keeps_short_ones_only(length, kept):
    _cached_part.cache_clear()
    canonical_request("GET", "/", "a" * length)
    assert _cached_part.cache_info().currsize == kept + 1  # the empty value is kept, too


@pytest.mark.parametrize("form", ["&" * 1000, "a" * 70_000])
def test_form_beyond_bounds_is_refused(form):
    with pytest.raises(TokenInvalid, match="send fewer"):
        query_matches("0" * 64, "POST", "/", form=form)
