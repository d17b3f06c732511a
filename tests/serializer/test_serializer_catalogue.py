"""Every kind of value comes back as it was: alone, nested, and through a real column."""

from __future__ import annotations

import gc
from types import FunctionType, ModuleType

import orjson
import pytest
from langgraph.types import Command, Interrupt, Overwrite, Send
from serializer_catalogue import CASES
from serializer_sameness import assert_same

from langgraph_pg_snapshot.serializer import SnapshotSerializer

NESTS = {
    "list": lambda value: [[value], value],
    "tuple": lambda value: (value, (1, value)),
    "dict": lambda value: {"b": value, "a": {"deep": [value]}, 1: value},
    "send": lambda value: Send("node", {"state": value}),
    "interrupt": lambda value: Interrupt(value=value, id="i"),
    "command": lambda value: Command(resume=value, update={"a": value}),
    "overwrite": Overwrite,
}

cases = pytest.mark.parametrize("make", CASES.values(), ids=CASES.keys())


@pytest.fixture
def serializer():
    return SnapshotSerializer()


@cases
def test_comes_back(serializer, make):
    value = make()
    data = serializer.dumps(value)
    assert_same(serializer.loads(data), make())
    assert_same(value, make())  # saving changed nothing


@cases
def test_comes_back_from_a_tree(serializer, make):
    tree = serializer.encode(make())
    before = orjson.dumps(tree)
    first, second = serializer.decode(tree), serializer.decode(tree)
    assert_same(first, make())
    assert_same(second, make())
    assert orjson.dumps(tree) == before
    assert orjson.loads(before) == tree


def _reached(value):
    """Every list and dict that can be reached from a value."""
    found, todo = {}, [value]
    while todo:
        each = todo.pop()
        if id(each) not in found and not isinstance(each, (type, ModuleType, FunctionType)):
            found[id(each)] = each
            todo += gc.get_referents(each)
    return {each for each, it in found.items() if type(it) in (list, dict)}


@cases
@pytest.mark.parametrize("nest", NESTS.values(), ids=NESTS.keys())
def test_what_comes_from_a_tree_shares_no_list_or_dict_with_it(serializer, make, nest):
    """So trees can be kept, and values built of them again and again."""
    tree = serializer.encode(nest(make()))
    loaded = serializer.decode(tree)
    assert not _reached(loaded) & _reached(tree)


@cases
@pytest.mark.parametrize("nest", NESTS.values(), ids=NESTS.keys())
def test_comes_back_nested(serializer, make, nest):
    assert_same(serializer.loads(serializer.dumps(nest(make()))), nest(make()))


@cases
def test_text_and_tree_agree(serializer, make):
    assert orjson.loads(serializer.dumps(make())) == serializer.encode(make())
    assert serializer.dumps(make()) == serializer.dumps(make())


def test_all_come_back_through_jsonb(serializer, jsonb_roundtrip):
    for name, make in CASES.items():
        printed = jsonb_roundtrip(serializer.dumps(make()))
        assert_same(serializer.loads(printed), make(), name)


@cases
def test_order_is_written_only_if_asked_for(serializer, make):
    assert b'"$order":' not in orjson.dumps(serializer.encode([make()], keep_order=False))


def test_typed_protocol(serializer):
    kind, data = serializer.dumps_typed({"b": (1,), "a": None})
    assert kind == "snapshot"
    assert_same(serializer.loads_typed((kind, data)), {"b": (1,), "a": None})
