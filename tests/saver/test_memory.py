"""What stays in the process takes about as much memory as it counts for."""

from __future__ import annotations

import tracemalloc

import orjson
import pytest
from langchain_core.messages import AIMessage, HumanMessage

from langgraph_pg_snapshot._plans.cache import ItemCache
from langgraph_pg_snapshot._plans.codec import STAMP_BYTES, codec_for
from langgraph_pg_snapshot._plans.layout import layout_of
from langgraph_pg_snapshot.models import NamespaceKey
from langgraph_pg_snapshot.serializer import SnapshotSerializer

MEBIBYTE = 2**20


def taken(make):
    """How many bytes of memory something takes beside what was there."""
    tracemalloc.start()
    try:
        kept = make()
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept
    return size


def tool_call(number):
    call = {"name": "read", "args": {"path": f"src/{number}.py", "lines": [1, number]}, "id": "c"}
    return AIMessage("", id=str(number), tool_calls=[call])


KINDS = {
    "messages": lambda n: HumanMessage(f"{n} " + "Alice " * 60, id=str(n)),
    "short messages": lambda n: HumanMessage(f"{n} hello", id=str(n)),
    "tool calls": tool_call,
    "accents": lambda n: f"{n} " + "ő" * 200,
    "smileys": lambda n: f"{n} " + "\N{GRINNING FACE}" * 50,
    "numbers": lambda n: [n + each / 7 for each in range(100)],
    "large numbers": lambda n: [10**15 + n + each for each in range(100)],
    "nested": lambda n: {f"key {n} {each}": [{"a": [each]}] for each in range(10)},
}


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS.keys())
def test_items_that_were_read(make):
    serializer = SnapshotSerializer()
    keys = [NamespaceKey(f"thread-{n}", "") for n in range(40)]
    texts = [
        orjson.dumps([serializer.encode(make(100 * thread + n)) for n in range(100)])
        for thread in range(40)
    ]
    cache = ItemCache(MEBIBYTE)

    def keep():
        for key, text in zip(keys, texts, strict=True):
            trees = dict(enumerate(orjson.loads(text)))
            cache.keep(key, trees, {number: bytes([number]) * STAMP_BYTES for number in trees})
        return cache

    assert 0.5 * MEBIBYTE < taken(keep) < 1.1 * MEBIBYTE
    assert not cache.items_of(keys[0]).trees  # it is full


VALUES = [f"a value of some length, {number}" for number in range(1_000)]


def test_small_values_of_checkpoints_that_were_read():
    stored = {str(number): value for number, value in enumerate(VALUES)}
    assert taken(lambda: layout_of({}, stored)) < 250 * len(VALUES)


def test_values_that_were_encoded():
    codec = codec_for(SnapshotSerializer())
    assert taken(lambda: [codec.piece(value) for value in VALUES]) < 350 * len(VALUES)
