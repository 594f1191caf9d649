import gzip

import httpx2
import pytest
from addonkit.http_client import BodyEncodingInvalid, BodyTooLarge, new_client, read_body

from tests.support.faulty_servers import answer, faulty


class Chunks(httpx2.AsyncByteStream):
    """A body that comes in chunks; counts those that were taken."""

    def __init__(self, *chunks: bytes) -> None:
        self._chunks, self.taken = chunks, 0

    async def __aiter__(self):
        for chunk in self._chunks:
            self.taken += 1
            yield chunk


def response_of(*chunks: bytes, encoding: str | None = None) -> tuple[httpx2.Response, Chunks]:
    stream = Chunks(*chunks)
    headers = {} if encoding is None else {"content-encoding": encoding}
    return httpx2.Response(200, headers=headers, stream=stream), stream


async def test_read_body_gives_all_chunks():
    response, _ = response_of(b"ab", b"", b"cd")
    assert await read_body(response, 4) == b"abcd"


async def test_read_body_stops_at_the_chunk_that_exceeds_the_limit():
    response, stream = response_of(b"ab", b"cd", b"ef")
    with pytest.raises(BodyTooLarge, match="larger than 3 bytes"):
        await read_body(response, 3)
    assert stream.taken == 2


async def test_read_body_truncates_where_the_beginning_is_enough():
    response, stream = response_of(b"ab", b"cd", b"ef")
    assert await read_body(response, 3, truncate=True) == b"ab"
    assert stream.taken == 2


async def test_read_body_leaves_gzip_as_it_is_by_default():
    compressed = gzip.compress(b"body")
    response, _ = response_of(compressed, encoding="gzip")
    assert await read_body(response, 100) == compressed


async def test_read_body_decompresses_gzip():
    compressed = gzip.compress(b"body" * 100)
    response, _ = response_of(compressed[:7], compressed[7:], encoding="GZIP")
    assert await read_body(response, 400, decompress=True) == b"body" * 100


async def test_read_body_bounds_the_decompressed_size():
    response, _ = response_of(gzip.compress(b"\0" * 10_000_000), encoding="gzip")
    with pytest.raises(BodyTooLarge):
        await read_body(response, 1000, decompress=True)


async def test_read_body_bounds_the_compressed_size():
    empty_blocks = b"\x00\x00\x00\xff\xff" * 20_000
    response, _ = response_of(gzip.compress(b"")[:10], empty_blocks, encoding="gzip")
    with pytest.raises(BodyTooLarge):
        await read_body(response, 1000, decompress=True)


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip"])
async def test_read_body_refuses_another_encoding(encoding):
    response, _ = response_of(b"body", encoding=encoding)
    with pytest.raises(BodyEncodingInvalid, match="expected 'gzip' or no encoding"):
        await read_body(response, 100, decompress=True)


@pytest.mark.parametrize(
    "body", [b"no gzip at all", gzip.compress(b"a", mtime=0) + b"junk", gzip.compress(b"a", mtime=0) * 2]
)
async def test_read_body_refuses_what_is_not_one_gzip_stream(body):
    response, _ = response_of(body, encoding="gzip")
    with pytest.raises(BodyEncodingInvalid):
        await read_body(response, 100, decompress=True)


async def test_read_body_refuses_an_incomplete_gzip_stream():
    response, _ = response_of(gzip.compress(b"body")[:-9], encoding="gzip")
    with pytest.raises(httpx2.RemoteProtocolError, match="incomplete"):
        await read_body(response, 100, decompress=True)


async def test_client_ignores_the_environment_and_follows_no_redirect(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with new_client(timeout=1.0) as client:
        assert (client.trust_env, client.follow_redirects, client._mounts) == (False, False, {})


@pytest.mark.parametrize(
    "cookie",
    [
        "session=1",
        "session=1; Path=/",
        "session=1; Path=/; Domain=127.0.0.1",
        "session=1; Path=/; Max-Age=3600",
        "session=1; Path=/; HttpOnly; SameSite=Lax",
    ],
)
async def test_client_sends_no_cookie_that_a_server_has_set(cookie):
    heads: list[bytes] = []
    async with faulty(answer("200 OK", set_cookie=cookie), heads=heads) as url, new_client() as client:
        for _ in range(2):
            assert (await client.get(url)).headers["set-cookie"] == cookie
    assert [b"cookie:" in head.lower() for head in heads] == [False, False]
