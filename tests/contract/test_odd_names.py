"""Names that mean something to the stored format: as metadata, as DeltaChannels."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from langgraph.channels.delta import DeltaChannel
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

from langgraph_pg_snapshot import PostgresSnapshotSaver

ODD = ["$a", "$type", "$list", "$order", "", "a b", "ünï", "'; --", "%s", "{x}"]


@pytest.mark.parametrize("name", ODD)
def test_metadata_is_found_by_any_name(saver, chain, thread_id, name):
    chain.put(metadata={name: {"deep": [1]}, "step": 3})
    chain.put(metadata={name: "other", "step": 4})
    in_thread = {"configurable": {"thread_id": thread_id}}
    [found] = saver.list(in_thread, filter={name: {"deep": [1]}})
    assert found.metadata[name] == {"deep": [1]}
    assert [each.metadata["step"] for each in saver.list(in_thread, filter={"step": 4})] == [4]


@pytest.mark.parametrize("value", [{"a": (1, 2)}, {"$a": (1, 2)}, {}])
def test_counters_come_back(saver, chain, value):
    stored = chain.put(metadata={"counters_since_delta_snapshot": value})
    assert saver.get_tuple(stored).metadata["counters_since_delta_snapshot"] == value


@pytest.mark.parametrize("value", [5, None, "x", {"a": 1}, {"a": ("x", 2)}, [1], {"a": (True, 1)}])
def test_what_is_only_called_counters_is_metadata_like_any(saver, chain, value):
    stored = chain.put(metadata={"counters_since_delta_snapshot": value, "other": value})
    metadata = saver.get_tuple(stored).metadata
    assert metadata["counters_since_delta_snapshot"] == metadata["other"]
    if not saver.saver._store.codec.sealing:  # which goes through the application's serializer
        assert metadata["other"] == value


def extend(state: list[Any], writes: list[Any]) -> list[Any]:
    return [*state, *(each for write in writes for each in write)]


@pytest.mark.parametrize("name", ["$d", "$list", "plain"])
def test_prune_keeps_what_a_delta_channel_of_any_name_needs(ready_database, name):
    state = TypedDict("state", {name: Annotated[list, DeltaChannel(extend, snapshot_frequency=50)]})
    builder = StateGraph(state)
    builder.add_node("work", lambda _: {name: ["worked"]})
    builder.add_edge(START, "work")
    config: Any = {"configurable": {"thread_id": "t"}}
    with PostgresSnapshotSaver(ready_database) as saver:
        graph = builder.compile(checkpointer=saver)
        for turn in range(3):
            graph.invoke({name: [turn]}, config)
        before = graph.get_state(config).values
        assert before == {name: [0, "worked", 1, "worked", 2, "worked"]}
        saver.prune(["t"])
    with PostgresSnapshotSaver(ready_database) as saver:
        graph = builder.compile(checkpointer=saver)
        assert graph.get_state(config).values == before
        assert graph.invoke({name: [3]}, config) == {name: [*before[name], 3, "worked"]}
