"""One channel without the others, and the end of a list without the rest."""

from __future__ import annotations

import psycopg
import pytest
from langgraph.checkpoint.serde.types import _DeltaSnapshot

from directory.plans import watched
from graphs import delta_graph, human
from helpers import Chain, Variant, checkpoint_of, config_of, id_of, next_version
from langgraph_pg_snapshot import (
    ChannelNotStoredError,
    DeserializationError,
    InvalidArgumentError,
)

MESSAGES = [human(f"{n} " * 60) for n in range(100)]
VALUES = {
    "messages": MESSAGES,
    "short": ["a", "b", "c"],
    "numbers": list(range(500)),
    "tuple": tuple(range(300)),
    "dict": {f"key {n}": "x" * 60 for n in range(20)},
    "text": "long " * 200,
    "none": None,
    "zero": 0,
    "$list": [1, 2],
    "": {"$item": 7},
}


def as_stored(saver, value):
    """The value as its serializer gives it back: of JsonPlusSerializer's, a tuple as a list."""
    serde = saver.saver.serde
    return serde.loads_typed(serde.dumps_typed(value))


@pytest.mark.parametrize("channel", VALUES)
def test_each_kind_of_value(any_saver, channel):
    Chain(any_saver, "thread").put(VALUES)
    expected = as_stored(any_saver, VALUES[channel])
    found = any_saver.get_channel("thread", channel)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("channel", ["messages", "short", "numbers", "tuple", "$list"])
@pytest.mark.parametrize("last", [0, 1, 2, 20, 10_000])
def test_last_elements(any_saver, channel, last):
    Chain(any_saver, "thread").put(VALUES)
    value = as_stored(any_saver, VALUES[channel])
    expected = value[max(len(value) - last, 0) :]
    assert any_saver.get_channel("thread", channel, last=last) == expected


@pytest.mark.parametrize("last", [1, 3, 10, 55, 120])
def test_last_elements_of_a_list_in_several_runs(any_saver, last):
    """Edited in the middle, its end moved to the front, with elements that are there twice."""
    chain = Chain(any_saver, "thread")
    chain.put({"m": MESSAGES[:60]})
    chain.put({"m": [*MESSAGES[:50], MESSAGES[70], *MESSAGES[51:60]]})
    edited = [*MESSAGES[55:60], *MESSAGES[:50], MESSAGES[70], *MESSAGES[50:55], *MESSAGES[56:58]]
    chain.put({"m": edited})
    assert any_saver.get_channel("thread", "m", last=last) == edited[-last:]


@pytest.mark.parametrize("channel", ["dict", "text", "none", "zero", ""])
def test_last_of_what_is_no_list(any_saver, channel):
    Chain(any_saver, "thread").put(VALUES)
    with pytest.raises(InvalidArgumentError, match=rf"last=3 .*'{channel}' holds a"):
        any_saver.get_channel("thread", channel, last=3)


def test_what_is_not_there(any_saver):
    head = Chain(any_saver, "thread").put({"none": None})
    missing = object()
    for arguments in (
        {"thread_id": "nobody", "channel": "none"},
        {"thread_id": "thread", "channel": "other"},
        {"thread_id": "thread", "channel": "none", "checkpoint_ns": "sub"},
        {"thread_id": "thread", "channel": "none", "checkpoint_id": f"{id_of(head)}0"},
    ):
        assert any_saver.get_channel(**arguments) is None
        assert any_saver.get_channel(**arguments, default=missing) is missing
        assert any_saver.get_channel(**arguments, last=3, default=[]) == []
    assert any_saver.get_channel("thread", "none", default=missing) is None


def test_checkpoint_and_namespace(any_saver):
    chain, sub = Chain(any_saver, "thread"), Chain(any_saver, "thread", "sub")
    first = chain.put({"m": MESSAGES[:30]})
    chain.put({"m": MESSAGES[:40]})
    sub.put({"m": MESSAGES[50:60]})
    assert any_saver.get_channel("thread", "m", last=5) == MESSAGES[35:40]
    found = any_saver.get_channel("thread", "m", last=5, checkpoint_id=id_of(first))
    assert found == MESSAGES[25:30]
    assert any_saver.get_channel("thread", "m", checkpoint_ns="sub") == MESSAGES[50:60]


def test_only_the_wanted_items_are_read(ready_database):
    many = [human(f"{n} " * 60) for n in range(2000)]
    with watched(ready_database) as (saver, explain):
        chain = Chain(saver, "thread")
        chain.put({"messages": many, "other": [{"x": "y" * 90, "n": n} for n in range(50)]})
        chain.put({"messages": [*many, human("new " * 50)]})
        with psycopg.connect(ready_database, autocommit=True) as conn:
            conn.execute("ANALYZE")  # of a table of a page or two, it would read all
        plan = explain(lambda: saver.get_channel("thread", "messages", last=20))
        assert plan.scanned == {"items": 20, "threads": 1}, plan
        plan = explain(lambda: saver.get_channel("thread", "other"))
        assert plan.scanned == {"items": 50, "threads": 1}, plan
        # What is in the checkpoint's row needs no item.
        plan = explain(lambda: saver.get_channel("thread", "nothing"))
        assert plan.scanned.keys() == {"history", "threads"}, plan


@pytest.mark.parametrize("values", [["few"], MESSAGES], ids=["inline", "item"])
def test_snapshot_of_a_delta_channel_is_its_value(any_saver, values):
    version = next_version(None)
    checkpoint = checkpoint_of({"m": _DeltaSnapshot(values)}, {"m": version})
    any_saver.put(config_of("thread"), checkpoint, {}, {"m": version})
    assert any_saver.get_channel("thread", "m") == values
    assert any_saver.get_channel("thread", "m", last=3) == values[-3:]


def test_delta_channel_that_only_the_graph_can_rebuild_is_no_missing_one(any_saver):
    graph, config = delta_graph(any_saver.saver, every=100), config_of("thread")
    any_saver.call(graph, "invoke", {"messages": ["turn"]}, config)
    with pytest.raises(ChannelNotStoredError, match=r"'messages' is a DeltaChannel.*get_state"):
        any_saver.get_channel("thread", "messages")
    assert any_saver.get_channel("thread", "other", default=1) == 1
    any_saver.save_state("thread", {"note": "x"})
    assert any_saver.get_channel("thread", "messages") is None


def test_value_that_can_not_be_loaded_is_in_the_way_of_its_own_channel_only(ready_database):
    with Variant("sync", "conninfo", "snapshot").open(ready_database) as saver:
        Chain(saver, "thread").put({"fine": 1, "broken": 2})
        with psycopg.connect(ready_database) as conn:
            conn.execute(
                "UPDATE agent_checkpoints_history SET channel_values = jsonb_set(channel_values,"
                """ '{broken}', '{"$type": "gone.module:Gone"}')"""
            )
        assert saver.get_channel("thread", "fine") == 1
        with pytest.raises(DeserializationError, match=r"thread 'thread'.*channel 'broken'.*Gone"):
            saver.get_channel("thread", "broken")
