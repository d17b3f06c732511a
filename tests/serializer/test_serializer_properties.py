"""Whatever hypothesis nests comes back: in memory, and through a real column."""

from __future__ import annotations

import string
from collections import Counter, OrderedDict, defaultdict, deque
from datetime import timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core import messages as lc
from langgraph.types import Command, Interrupt, Send
from serializer_catalogue import (
    Address,
    Child,
    Color,
    Config,
    Frozen,
    Level,
    Name,
    Person,
    Place,
    Plain,
    Tags,
    TextEnum,
)
from serializer_sameness import assert_same

from langgraph_pg_snapshot.serializer import SnapshotSerializer

serializer = SnapshotSerializer()

# Any code point, the surrogates too; and texts that look like what the format uses.
texts = st.text(st.characters(exclude_categories=())) | st.sampled_from(
    ["$type", "$order", "$list", "$", "\\u0000", "\\", "\x00", "1", "human", "\ud83d\ude00"]
)
floats = st.floats() | st.sampled_from([-0.0, 1e16, 5e-324, 1e-12, 9.999999999999998e15])
zones = st.none() | st.sampled_from(
    [timezone.utc, timezone(timedelta(hours=-3), "x"), ZoneInfo("Europe/Paris")]
)
hashables = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | floats
    | texts
    | st.binary(max_size=5)
    | st.complex_numbers()
    | st.decimals().filter(lambda number: not number.is_snan())  # those have no hash
    | st.fractions()
    | st.uuids()
    | st.dates()
    | st.times(timezones=zones)
    | st.datetimes(timezones=zones)
    | st.timedeltas()
    | st.ip_addresses()
    | st.sampled_from([*Color, *Level, *TextEnum])
    | st.builds(Name, texts),
    lambda inner: (
        st.lists(inner, max_size=3).map(tuple)
        | st.frozensets(inner, max_size=3)
        | st.builds(Frozen, inner)
        | st.builds(Place, inner, inner)
    ),
    max_leaves=4,
)
dicts = lambda inner: (
    st.dictionaries(texts, inner, max_size=4)
    | st.dictionaries(hashables, inner, max_size=3)
    | st.dictionaries(st.text(string.ascii_letters, max_size=3), inner, max_size=6)
)
messages = lambda inner: (
    st.builds(lc.HumanMessage, texts, id=st.none() | texts, name=st.none() | texts)
    | st.builds(
        lc.AIMessage,
        content=texts,
        additional_kwargs=st.dictionaries(texts, inner, max_size=2),
        tool_calls=st.lists(
            st.fixed_dictionaries(
                {"name": texts, "args": st.dictionaries(texts, inner, max_size=3), "id": texts}
            ),
            max_size=2,
        ),
    )
    | st.builds(lc.ToolMessage, content=texts, tool_call_id=texts, artifact=inner)
    | st.builds(lc.AIMessageChunk, content=texts, response_metadata=dicts(inner))
    | st.builds(lambda text, extra: lc.HumanMessage(text, odd=extra), texts, inner)
)
values: st.SearchStrategy[Any] = st.recursive(
    hashables | st.binary(max_size=5).map(bytearray),
    lambda inner: (
        st.lists(inner, max_size=4)
        | dicts(inner)
        | dicts(inner).map(OrderedDict)
        | dicts(inner).map(lambda items: defaultdict(list, items))
        | st.lists(hashables, max_size=3).map(Counter)
        | st.sets(hashables, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.builds(deque, st.lists(inner, max_size=3), st.none() | st.integers(3, 5))
        | st.lists(inner, max_size=3).map(Tags)
        | dicts(inner).map(Config)
        | st.builds(Plain, inner, st.lists(inner, max_size=2))
        | st.builds(Child, inner, d=floats)
        | st.builds(Address.model_construct, city=inner, street=inner)
        | st.builds(Person.model_construct, name=texts, home=inner)
        | messages(inner)
        | st.builds(Send, texts, inner)
        | st.builds(Command, update=inner, resume=inner, goto=texts)
        | st.builds(Interrupt, inner, texts)
        | st.lists(texts | floats | st.integers(), max_size=2).map(lambda args: ValueError(*args))
    ),
    max_leaves=15,
)


def test_decimals_that_signal_come_back():
    back = serializer.loads(serializer.dumps(Decimal("sNaN123")))
    assert str(back) == "sNaN123"


@settings(max_examples=300, deadline=None)
@given(values)
def test_what_is_saved_comes_back(value):
    data = serializer.dumps(value)
    assert b"\\u0000" not in data.replace(b"\\\\", b"")
    assert_same(serializer.loads(data), value)
    tree = serializer.encode(value)
    assert orjson.dumps(tree) == data
    assert_same(serializer.decode(tree), value)
    assert serializer.dumps(serializer.loads(data)) == data


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(value=values)
def test_what_is_saved_comes_back_through_jsonb(value, jsonb_roundtrip):
    assert_same(serializer.loads(jsonb_roundtrip(serializer.dumps(value))), value)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(numbers=st.lists(st.floats() | st.integers(), min_size=20, max_size=50))
def test_numbers_come_back_through_jsonb(numbers, jsonb_roundtrip):
    assert_same(serializer.loads(jsonb_roundtrip(serializer.dumps(numbers))), numbers)


def _names(tree):
    if isinstance(tree, dict):
        yield from tree
        tree = list(tree.values())
    if isinstance(tree, list):
        for item in tree:
            yield from _names(item)


@settings(max_examples=200, deadline=None)
@given(values)
def test_names_that_storage_keeps_for_itself_are_never_written(value):
    ours = {"$type", "$order", "$fields_set", "$extra", "$private", "$attributes", "$absent"}
    for keep_order in (True, False):
        names = set(_names(serializer.encode(value, keep_order=keep_order)))
        assert {name for name in names if name.startswith("$")} <= ours | {"$lost"}
        assert keep_order or "$order" not in names


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_equal_values_are_written_alike(order):
    elements = {"ab": [1, "a", (2,)], "ba": [(2,), "a", 1]}[order]
    assert serializer.encode(set(elements))["items"] == serializer.encode({1, "a", (2,)})["items"]
