"""The two readers of JSON objects, orjson for its own spelling and Python's parser for the rest, never disagree."""

import json

import orjson
import pytest
from addonkit.protocol.json_object import _read_canonical, _read_strictly, read_object
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

quick = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])

DIFFERENT = {
    "a key twice": b'{"a":1,"a":1}',
    "a key twice, once escaped": b'{"a":1,"\\u0061":1}',
    "a key twice in an inner object": b'{"a":{"b":1,"b":2}}',
    "a key twice in an array": b'{"a":[{"b":1,"b":1}]}',
    "an empty key twice": b'{"":1,"":2}',
    "a number that is too large for a float": b'{"a":1e400}',
    "a negative number that is too large for a float": b'{"a":-1e400}',
    "a number of 65 bits": b'{"a":18446744073709551616}',
    "a number of 64 bits": b'{"a":18446744073709551615}',
    "the smallest number of 64 bits": b'{"a":-9223372036854775808}',
    "a number below the smallest of 64 bits": b'{"a":-9223372036854775809}',
    "a number with 400 digits": b'{"a":' + b"1" * 400 + b"}",
    "half of a surrogate pair, escaped": b'{"a":"\\ud800"}',
    "half of a surrogate pair, as a key": b'{"\\udfff":1}',
    "half of a surrogate pair, as bytes": b'{"a":"\xed\xa0\x80"}',
    "a whole surrogate pair, escaped": b'{"a":"\\ud83d\\ude00"}',
    "a byte order mark": b'\xef\xbb\xbf{"a":1}',
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "a byte that is not UTF-8": b'{"a":"\xff"}',
    "an overlong encoding": b'{"a":"\xc0\xaf"}',
    "a negative zero": b'{"a":-0}',
    "a negative zero with a fraction": b'{"a":-0.0}',
    "a fraction of zero": b'{"a":1.0}',
    "an exponent": b'{"a":1E2}',
    "an exponent as orjson writes it": b'{"a":1e16}',
    "a fraction with more digits than a float has": b'{"a":0.1000000000000000055511151231257827}',
    "NaN": b'{"a":NaN}',
    "an infinity": b'{"a":-Infinity}',
    "an escaped slash": b'{"a":"\\/"}',
    "an escaped letter": b'{"a":"\\u0041"}',
    "NUL, escaped": b'{"a":"\\u0000"}',
    "NUL, as a byte": b'{"a":"\x00"}',
    "DEL and line separators": '{"a":"\x7f\u2028\u2029"}'.encode(),
    "spaces": b' {"a" : 1 } ',
    "a line feed at the end": b'{"a":1}\n',
    "a form feed": b'\x0c{"a":1}',
    "text after the object": b'{"a":1}x',
    "two objects": b"{}{}",
    "a comma too many": b'{"a":1,}',
    "single quotes": b"{'a':1}",
    "a comment": b'{"a":1}//',
    "an array": b"[1]",
    "an array with an object": b'[{"a":1}]',
    "text": b'"a"',
    "null": b"null",
    "nothing": b"",
    "an empty object": b"{}",
}
NESTED = [1, 200, 253, 254, 255, 256, 499, 500, 501, 1000, 1024, 2000, 100_000]


def result(read, *arguments):
    """Return what a reader returns, with types and signs, or why it refuses."""
    try:
        return repr(read(*arguments))
    except ValueError as problem:
        return problem.args


def compare(data):
    assert result(read_object, data) == result(_read_strictly, data, "strict")
    assert result(read_object, data, "surrogatepass") == result(_read_strictly, data, "surrogatepass")


@pytest.mark.parametrize("data", DIFFERENT.values(), ids=DIFFERENT)
def test_readers_agree_on_json_that_parsers_read_differently(data):
    compare(data)


@pytest.mark.parametrize(
    "data",
    [b"", b"secret", b'{"a":"secret\xff"}', b"secret\xed\xa0\x80", b'{"secret":}', '{"a":"secret"}'.encode("utf-16")],
    ids=["nothing", "text", "no UTF-8", "half of a pair", "no value", "UTF-16"],
)
def test_refusal_says_what_was_expected_and_not_what_was_sent(data):
    with pytest.raises(ValueError, match=r"^the data is not JSON in UTF-8$"):
        read_object(data)


@pytest.mark.parametrize("depth", NESTED)
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")], ids=["arrays", "objects"])
def test_readers_agree_on_nested_json(opening, closing, depth):
    compare(b'{"a":' + opening * depth + b"1" + closing * depth + b"}")
    compare(b'{"a":' + opening * depth)


@pytest.mark.parametrize("name", ["a key twice", "NaN", "a number that is too large for a float", "an array", "spaces"])
def test_fast_reader_leaves_other_spellings_to_the_strict_one(name):
    assert _read_canonical(DIFFERENT[name]) is None


def test_fast_reader_reads_what_hosts_write():
    assert _read_canonical(b'{"iss":"client-1","iat":1,"context":{"jira":{}}}') == {
        "iss": "client-1",
        "iat": 1,
        "context": {"jira": {}},
    }


texts = st.text(st.characters(), max_size=6)
numbers = st.integers() | st.floats() | st.sampled_from([2**63, 2**64, -(2**63), -0.0, 1e16, 1e-7, 1e22, 5e-324])
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=12,
)
objects = st.dictionaries(texts, values, max_size=4)
SPELLINGS = [
    {"separators": (",", ":")},
    {},
    {"separators": (",", ":"), "ensure_ascii": False},
    {"indent": 1},
]


@quick
@given(objects, st.sampled_from(SPELLINGS))
def test_readers_agree_on_every_object_in_every_spelling(value, spelling):
    compare(json.dumps(value, **spelling).encode("utf-8", "surrogatepass"))


@quick
@given(objects)
def test_readers_agree_on_what_orjson_writes(value):
    try:
        data = orjson.dumps(value)
    except TypeError:
        return
    compare(data)


PIECES = [b"", b'"', b"{", b"}", b"[", b",", b":", b"0", b"-", b"e", b"\\", b"\xed"]


@quick
@given(objects, st.data())
@example({"a": "b"}, None)
def test_readers_agree_on_json_with_changed_bytes(value, data):
    written = bytearray(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass"))
    if data is not None:
        for _ in range(data.draw(st.integers(1, 3))):
            place = data.draw(st.integers(0, len(written) - 1)) if written else 0
            piece = data.draw(
                st.sampled_from([b"", b'"', b"{", b"}", b"[", b",", b":", b"0", b"-", b"e", b"\\", b"\xed"])
            )
            written[place : place + 1] = piece
    compare(bytes(written))


@quick
@given(
    st.binary(max_size=30)
    | st.text('{}[]":,0123456789-.eE\\u\ud800aNIft \t\n', max_size=30).map(
        lambda text: text.encode("utf-8", "surrogatepass")
    )
)
def test_readers_agree_on_any_bytes(data):
    compare(data)
