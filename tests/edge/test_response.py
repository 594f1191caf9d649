"""The merging of headers of the application and the runtime."""

from addonkit.edge.response import merged


def test_merged_headers_prefer_the_runtime_and_drop_forbidden_ones():
    application = [(b"x-a", b"1"), (b"set-cookie", b"a=b"), (b"cache-control", b"public"), (b"x-own", b"theirs")]
    headers, dropped = merged(application, [(b"x-own", b"ours")])
    assert headers == [(b"x-a", b"1"), (b"cache-control", b"no-store"), (b"x-own", b"ours")]
    assert dropped == [b"set-cookie"]
