"""Whatever hypothesis nests comes back: in memory, and through a real column."""

from __future__ import annotations

import array
import enum
import functools
import http
import inspect
import os
import signal
import string
import sys
import threading
import time
import types
import urllib.parse
import weakref
from collections import OrderedDict, defaultdict, deque, namedtuple
from dataclasses import dataclass, make_dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage
from langgraph.types import Command, Interrupt, Send
from pydantic import BaseModel
from serializer_catalogue import Address, Aliased, Place, Plain, Slotted, Tags
from serializer_sameness import assert_same
from serializer_strategies import KINDS, leaves, shallow, values

from langgraph_pg_snapshot.errors import SerializationError
from langgraph_pg_snapshot.serializer import SnapshotSerializer

serializer = SnapshotSerializer()


def test_decimals_that_signal_come_back():
    back = serializer.loads(serializer.dumps(Decimal("sNaN123")))
    assert str(back) == "sNaN123"


EACH = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
kinds = pytest.mark.parametrize("kind", ["leaves", *KINDS])


def of_kind(kind):
    return leaves if kind == "leaves" else KINDS[kind](shallow)


@kinds
def test_what_is_saved_comes_back(kind):
    @EACH
    @given(of_kind(kind))
    def comes_back(value):
        data = serializer.dumps(value)
        assert b"\\u0000" not in data.replace(b"\\\\", b"")
        assert_same(serializer.loads(data), value)
        tree = serializer.encode(value)
        assert orjson.dumps(tree) == data
        assert_same(serializer.decode(tree), value)
        assert serializer.dumps(serializer.loads(data)) == data

    comes_back()


@kinds
def test_what_is_saved_comes_back_through_jsonb(kind, jsonb_roundtrip):
    @EACH
    @given(of_kind(kind))
    def comes_back(value):
        assert_same(serializer.loads(jsonb_roundtrip(serializer.dumps(value))), value)

    comes_back()


# --- what can't be stored, somewhere in what can


class Unstorable:
    """Not data."""


@dataclass
class Finalized:
    a: int = 1

    def __del__(self):
        pass


class MyQueue(deque):
    pass


class Zone(tzinfo):
    def utcoffset(self, _when):
        return timedelta(0)


class Failing(dict):
    def __init__(self):
        super().__init__()
        self.me = self


holding = [1]
holding.append(holding)
refused = st.sampled_from(
    [
        lambda: 0,
        print,
        Unstorable(),
        Unstorable,
        object(),
        iter([]),
        (n for n in ()),
        threading.Lock(),
        sys,
        NotImplemented,
        Finalized(),
        MyQueue(),
        datetime(2024, 1, 1, tzinfo=Zone()),
        defaultdict(lambda: 0),
        OrderedDict.fromkeys("a").keys(),
        holding,
        Failing(),
        weakref.ref(Unstorable),
    ]
)
_STEPS = [
    (lambda value: [0, value], "[1]"),
    (lambda value: (value,), "[0]"),
    (lambda value: {"b": 1, "a": value}, "['a']"),
    (lambda value: {(1,): 1, 2: value}, "[2]"),
    (lambda value: OrderedDict(a=value), "['a']"),
    (lambda value: deque([value], 3), "[0]"),
    (Plain, ".a"),
    (lambda value: Slotted(1, value), ".b"),
    (lambda value: Place("x", value), ".at"),
    (lambda value: Address.model_construct(city=value), ".city"),
    (lambda value: Aliased.model_construct(from_=1, other=value), "['other']"),
    (lambda value: SimpleNamespace(a=value), "['a']"),
    (lambda value: Tags([value]), "[0]"),
    (lambda value: HumanMessage("x", additional_kwargs={"a": value}), ".additional_kwargs['a']"),
    (lambda value: Send("node", value), ".arg"),
    (lambda value: Command(update={"a": value}), ".update['a']"),
    (Interrupt, ".value"),
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(_STEPS), max_size=4), refused)
def test_what_is_refused_is_named_with_its_place(steps, value):
    where = ""
    for wrap, step in steps:
        value = wrap(value)
        where = step + where
    for save in (serializer.dumps, serializer.encode):
        with pytest.raises(SerializationError) as caught:
            save(value)
        assert str(caught.value).startswith(where)


# What may be data or not: whether it is taken is not the question here.
anything = refused | st.sampled_from(
    [
        *(cls for cls in (type, object, enum.Enum, Exception, tuple, BaseModel, Decimal, tzinfo)),
        functools.partial(int, "1"),
        string.Template("a"),
        time.gmtime(0),
        sys.version_info,
        os.stat_result(range(10)),
        urllib.parse.urlsplit("http://a.b"),
        http.HTTPStatus.OK,
        signal.SIGINT,
        type("Odd", (int,), {"__slots__": ()})(3),
        type("Nameless", (), {"__module__": None})(),
        type("", (dict,), {})(a=1),
        type("In[Brackets]", (list,), {})([1]),
        type("Hash#Name", (set,), {})([1]),
        make_dataclass("$type", ["a"])(1),
        make_dataclass("Fields", ["value", "items", "type"])(1, 2, 3),
        namedtuple("Renamed", "a class", rename=True)(1, 2),  # noqa: PYI024
        inspect.Parameter.POSITIONAL_ONLY,
        BaseExceptionGroup("g", [KeyboardInterrupt()]) if sys.version_info >= (3, 11) else 1,  # noqa: F821
        types.MappingProxyType({}),
        array.array("i", [1]),
        Path,
        list[int],
        int | None,
        Any,
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-23))),
        slice(None, print),
        range(2**70),
    ]
)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(_STEPS), max_size=2), anything)
def test_whatever_is_taken_can_be_loaded(steps, value):
    for wrap, _ in steps:
        value = wrap(value)
    try:
        data = serializer.dumps(value)
    except SerializationError:
        return
    assert_same(serializer.loads(data), value)


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
    lossy = {"$lost", "$cause", "$context", "$suppress_context"}  # of exceptions
    for keep_order in (True, False):
        names = set(_names(serializer.encode(value, keep_order=keep_order)))
        assert {name for name in names if name.startswith("$")} <= ours | lossy
        assert keep_order or "$order" not in names


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_equal_values_are_written_alike(order):
    elements = {"ab": [1, "a", (2,)], "ba": [(2,), "a", 1]}[order]
    assert serializer.encode(set(elements))["items"] == serializer.encode({1, "a", (2,)})["items"]
