"""Trees that are made ready build what they were stored from, each time anew."""

from __future__ import annotations

from itertools import combinations

import orjson
import psycopg
import pytest
from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    ChatMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from serializer_sameness import assert_same

from helpers import Chain, config_of
from langgraph_pg_snapshot import (
    DeserializationError,
    PostgresSnapshotSaver,
    SnapshotError,
    SnapshotSerializer,
)
from langgraph_pg_snapshot._plans.cache import memory_of
from langgraph_pg_snapshot.models import NamespaceKey
from langgraph_pg_snapshot.serializer.ready import PREPARERS, build, made_ready

MESSAGES = [
    HumanMessage("text"),
    HumanMessage("text", id="1"),
    HumanMessage("text", id="1", name="Alice"),
    AIMessage("text", id="1"),
    AIMessage(""),
    SystemMessage("text"),
    ToolMessage("text", tool_call_id="1", status="error"),
    ChatMessage("text", role="someone"),
    RemoveMessage("1"),
    Document("text", id="1"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=repr)
def test_tree_that_was_made_ready_builds_the_same_again_and_again(message):
    tree = orjson.loads(SnapshotSerializer().dumps(message))
    ready = made_ready(tree)
    assert ready is not tree
    first, second = build(ready), build(ready)
    for built in (first, second):
        assert_same(built, message)
        assert_same(built, SnapshotSerializer().decode(tree))
    for name, value in vars(first).items():
        if type(value) in (list, dict):
            assert value is not vars(second)[name]
            (value.append if type(value) is list else value.setdefault)("changed")
    first.__pydantic_fields_set__.add("changed")
    vars(first)["content"] = "changed"
    assert_same(second, message)
    assert_same(build(ready), message)


@pytest.mark.parametrize(
    "tree",
    [
        "text",
        None,
        [],
        [{"$type": "human", "content": "text"}],
        {"content": "text"},
        {"$type": "human"},
        {"$type": "no such thing", "content": "text"},
        {"$type": ["human"], "content": "text"},
        {"$type": None, "content": "text"},
        {"$type": "tuple", "items": []},
        {"$type": "human", "content": "text", "unknown": 1},
        {"$type": "human", "content": ["text"]},
        {"$type": "human", "content": "text", "$fields_set": None},
        {"$type": "human", "content": "text", "additional_kwargs": {}},
        {"$type": "human", "content": {"$type": "str", "escaped": "\\u0000"}},
    ],
    ids=repr,
)
def test_what_is_not_made_ready_stays_a_tree(tree):
    assert made_ready(tree) is tree


def test_functions_that_build_are_as_few_as_those_that_read():
    scalars = dict.fromkeys(AIMessageChunk("text").__dict__.keys() - {"content"}, 1)
    subsets = [names for size in range(8) for names in combinations(scalars, size)]
    trees = [{"$type": "AIMessageChunk", "content": "", **dict.fromkeys(s, 1)} for s in subsets]
    made = [made_ready(tree) for tree in trees]
    builders = PREPARERS["AIMessageChunk"].__self__.builders
    assert len(builders) == 64
    assert sum(type(each) is tuple for each in made) == len(builders.keys() & {*map(tuple, trees)})
    for tree, each in zip(trees, made, strict=True):
        if each is not tree:
            assert_same(build(each), SnapshotSerializer().decode(tree))


ALICE, BOB = "Alice " * 60, "Bob   " * 60
CALL = {"name": "find", "args": {"what": ALICE}, "id": "call", "type": "tool_call"}
MIXED = {
    "messages": [
        HumanMessage(ALICE, id="1"),
        AIMessage(ALICE, id="2", tool_calls=[CALL]),
        ToolMessage(BOB, id="3", tool_call_id="call"),
        HumanMessage([{"type": "text", "text": ALICE}], id="4"),
        AIMessage(BOB, id="5", additional_kwargs={"seen": [1, (2,)]}),
        AIMessage(BOB, id="6"),
    ],
    "ready": [HumanMessage(ALICE), AIMessage(BOB)],
    "all kinds": [ALICE, HumanMessage(BOB), {"a": ALICE}, [HumanMessage(ALICE)], (BOB,)],
    "by name": {"alice": HumanMessage(ALICE), "bob": [ALICE, BOB], ("c",): AIMessage(BOB)},
    "alone": AIMessage(ALICE),
}


@pytest.fixture
def savers(ready_database):
    """One that stores and one that reads."""
    with (
        PostgresSnapshotSaver(ready_database, auto_setup=False) as storing,
        PostgresSnapshotSaver(ready_database, auto_setup=False) as reading,
    ):
        yield storing, reading


def test_list_of_what_is_ready_and_what_is_not(savers):
    """Each read is of its own, though what it is built from is kept."""
    storing, reading = savers
    Chain(storing, "t").put(MIXED)
    for _ in range(3):
        for found in (reading.get_tuple(config_of("t")), *reading.list(config_of("t"))):
            values = found.checkpoint["channel_values"]
            assert values.keys() == MIXED.keys()
            for channel, value in MIXED.items():
                assert_same(values[channel], value)
            values["messages"][0].content = values["alone"].content = "changed in place"
            values["messages"][1].tool_calls[0]["args"].clear()
            values["ready"][1].tool_calls.append("changed in place")
            values["messages"].clear()


class Shouting(SnapshotSerializer):
    """One of the application's."""

    def decode(self, tree):
        value = super().decode(tree)
        for each in value if isinstance(value, list) else ():
            each.content = each.content.upper()
        return value


def test_only_our_own_serializer_has_messages_kept_ready(savers, ready_database):
    storing, reading = savers
    Chain(storing, "t").put({"ready": MIXED["ready"]})
    with PostgresSnapshotSaver(ready_database, serde=Shouting()) as shouting:
        for saver, first in ((reading, ALICE), (shouting, ALICE.upper())):
            for _ in range(3):
                values = saver.get_tuple(config_of("t")).checkpoint["channel_values"]
                assert values["ready"][0].content == first
            kept = saver._cache.items_of(NamespaceKey("t", "")).trees
            assert {*map(type, kept.values())} == {tuple if saver is reading else dict}


def test_what_was_kept_ready_is_not_for_a_serializer_that_is_assigned_later(savers):
    storing, reading = savers
    Chain(storing, "t").put({"ready": MIXED["ready"]})
    before = reading.get_tuple(config_of("t")).checkpoint["channel_values"]
    reading.serde = Shouting()
    values = reading.get_tuple(config_of("t")).checkpoint["channel_values"]
    assert values["ready"][0].content == ALICE.upper()
    reading.serde = SnapshotSerializer()
    for _ in range(2):
        assert reading.get_tuple(config_of("t")).checkpoint["channel_values"] == before
    reading.serde = EncryptedSerializer.from_pycryptodome_aes(key=b"1" * 16)
    for read in (reading.get_tuple, lambda _: reading.get_channel("t", "ready")):
        with pytest.raises(DeserializationError, match="does not encrypt"):
            read(config_of("t"))


def test_memory_of_what_is_ready_is_counted():
    tree = orjson.loads(SnapshotSerializer().dumps(AIMessage("x" * 10_000, id="1")))
    assert memory_of(tree) <= memory_of(made_ready(tree)) <= memory_of(tree) + 1_000


def test_damaged_item_is_named_at_each_read(savers, ready_database):
    storing, reading = savers
    Chain(storing, "t").put(MIXED)
    with psycopg.connect(ready_database) as conn:
        conn.execute(
            "UPDATE agent_checkpoints_items SET item = jsonb_set(item, '{tool_calls,0}',"
            """ '{"$type": "no such type"}') WHERE item ->> 'id' = '2'"""
        )
    said = set()
    for _ in range(3):
        with pytest.raises(SnapshotError, match=r"'messages'.*\[1\].*no such type") as caught:
            reading.get_tuple(config_of("t"))
        said.add(str(caught.value))
    assert len(said) == 1
