"""Text of others made fit for one line of a log: tokens masked, control characters escaped."""

import orjson
import pytest
from addonkit.text import masked, one_line, with_json_escapes, without_tokens

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJzb21lYm9keSJ9.c2lnbmF0dXJlLW9mLXNvbWVib2R5"


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (f"/a/{JWT}", "/a/<token>"),
        (f"/a/x{JWT}x/b", "/a/<token>/b"),
        (f"/a/{JWT.replace('.', '%2E')}", "/a/<token>"),
        (f"/a/%65{JWT[1:]}", "/a/<token>"),
        (f"/{JWT};v=1/{JWT}", "/<token>/<token>"),
        ("/addonkit/static/jquery-3.7.1.min.js", "/addonkit/static/jquery-3.7.1.min.js"),
        ("/under_test/a.b.c", "/under_test/a.b.c"),
        ("/%zz%", "/%zz%"),
    ],
)
async def test_masked_replaces_path_segments_that_look_like_tokens(path, shown):
    assert masked(path) == shown


async def test_without_tokens_replaces_tokens_in_a_sentence():
    masked = without_tokens(f"GET https://kit/page?jwt={JWT}&a=b failed; module a_long_name.another_name.a_third_name")
    assert masked == "GET https://kit/page?jwt=<token>&a=b failed; module a_long_name.another_name.a_third_name"


async def test_one_line_escapes_control_characters():
    assert one_line("a\r\nb\x1b[2J\x9b\u2028é\x7f") == "a\\r\\nb\\x1b[2J\\x9b\\u2028é\\x7f"


@pytest.mark.parametrize("text", ["a\n\x1bb", "\x9b2J", "\u202e", "\U000e0041", "\xad\u200b", "é\U0001f600", '\\"'])
async def test_json_escapes_keep_the_value(text: str):
    document = with_json_escapes(orjson.dumps([text], option=orjson.OPT_INDENT_2).decode())
    assert document.replace("\n", "").isprintable()
    assert orjson.loads(document) == [text]
