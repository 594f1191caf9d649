"""JSON of other programs: half a surrogate pair becomes U+FFFD, and everything else is read as orjson reads it."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from addonkit import foreign_json
from addonkit.text import well_formed
from hypothesis import given
from hypothesis import strategies as st

HALVES = {
    "escaped first half at the end": (rb'{"a": "x\ud83d"}', {"a": "x\ufffd"}),
    "escaped second half at the begin": (rb'{"a": "\ude00x"}', {"a": "\ufffdx"}),
    "halves in the wrong order": (rb'{"a": "\ude00\ud83d"}', {"a": "\ufffd\ufffd"}),
    "first half before a pair": (rb'{"a": "\ud83d\ud83d\ude00"}', {"a": "\ufffd\U0001f600"}),
    "upper case": (rb'{"a": "\uD83D"}', {"a": "\ufffd"}),
    "name of a field": (rb'{"\ud83d": 1}', {"\ufffd": 1}),
    "deep within": (rb'{"a": [{"b": ["\udfff"]}]}', {"a": [{"b": ["\ufffd"]}]}),
    "text alone": (rb'"\ud800"', "\ufffd"),
    "before an escaped backslash": (rb'{"a": "\ud83d\\ude00"}', {"a": "\ufffd\\ude00"}),
    "after an escaped backslash": (rb'{"a": "\\\ud83d"}', {"a": "\\\ufffd"}),
    "beside a text that only looks like one": (rb'{"a": "\\ud83d", "b": "\ud83d"}', {"a": "\\ud83d", "b": "\ufffd"}),
    "bytes of a half": (b'{"a": "x\xed\xa0\xbd"}', {"a": "x\ufffd"}),
    "bytes of two halves that make a pair": (b'{"a": "\xed\xa0\xbd\xed\xb8\x80"}', {"a": "\U0001f600"}),
}


@pytest.mark.parametrize("name", HALVES)
def test_half_of_a_surrogate_pair_becomes_the_replacement_character(name: str) -> None:
    data, value = HALVES[name]
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(data)
    assert foreign_json.loads(data) == value
    orjson.dumps(foreign_json.loads(data))


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"{", b"{'a': 1}", b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": 01}', b'{"a": "\n"}', b'{"a": "\\x41"}'),
        *(b'{"a": "\xff"}', b'\xef\xbb\xbf{"a": 1}', b'{"a": "\\ud83d"', b'{"a": "\\ud8"}', b"[" * 100_000, b"\x00"),
    ],
    ids=range(14),
)
def test_data_that_is_not_json_is_refused_as_before(data: bytes) -> None:
    with pytest.raises(orjson.JSONDecodeError):
        foreign_json.loads(data)


def test_number_beyond_64_bits_is_read() -> None:
    assert foreign_json.loads(b'{"a": 1e999}') == {"a": float("inf")}
    assert foreign_json.loads(b"1" + b"0" * 400) == 10**400


def test_well_formed_json_is_parsed_by_orjson_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign_json, "json", None)
    assert foreign_json.loads(rb'{"a": "\ud83d\ude00", "b": "\\ud83d"}') == {"a": "\U0001f600", "b": "\\ud83d"}


def nested(depth: int, kind: str) -> Any:
    """A value with arrays and objects in each other, and half of a surrogate pair in the innermost."""
    value: Any = "\ud83d"
    for level in range(depth):
        value = [value] if kind == "arrays" or (kind == "both" and level % 2) else {"a": value}
    return value


DEEP = ["arrays", "objects", "both"]


@pytest.mark.parametrize("kind", DEEP)
def test_nesting_that_every_interpreter_reads_is_accepted(kind: str) -> None:
    value = foreign_json.loads(json.dumps(nested(500, kind)))
    assert json.dumps(value) == json.dumps(nested(500, kind)).replace("\\ud83d", "\\ufffd")


@pytest.mark.parametrize("kind", DEEP)
@pytest.mark.parametrize("depth", [501, 900])
def test_nesting_that_only_some_interpreters_read_is_refused(kind: str, depth: int) -> None:
    with pytest.raises(orjson.JSONDecodeError):
        foreign_json.loads(json.dumps(nested(depth, kind)))


def test_nesting_in_one_of_many_values_is_found() -> None:
    with pytest.raises(orjson.JSONDecodeError):
        foreign_json.loads(json.dumps([[], {}, *([[1]] * 2000), nested(501, "both"), "["]))


@pytest.mark.parametrize("text", ["[" * 5000, "{" * 5000, "[{" * 3000, '\\"[' * 2000, "[]" * 5000], ids=range(5))
def test_brackets_that_are_not_nested_are_read(text: str) -> None:
    assert foreign_json.loads(json.dumps([text, "\ud83d"])) == [text, "\ufffd"]
    many: list[Any] = [[{}]] * 5000
    assert foreign_json.loads(json.dumps([*many, "\ud83d"])) == [*many, "\ufffd"]


TEXTS = st.text(st.characters(categories=["Cs", "L", "P", "N"]), max_size=8)


@given(st.dictionaries(TEXTS, st.lists(TEXTS, max_size=3), max_size=3))
def test_json_of_python_is_read_with_well_formed_texts(value: dict[str, Any]) -> None:
    expected = {well_formed(name): [well_formed(text) for text in texts] for name, texts in value.items()}
    assert foreign_json.loads(json.dumps(value)) == expected


@given(TEXTS)
def test_well_formed_text_can_be_encoded(text: str) -> None:
    found = well_formed(text)
    found.encode()
    assert well_formed(found) == found
