"""After a sweep, whatever stays of a thread's history shows and does what it did before."""

from __future__ import annotations

from typing import Annotated

import pytest
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

from graphs import Log, add_all
from helpers import config_of, id_of
from langgraph_pg_snapshot import RetentionPolicy

TURNS = 5


def remembering_graph(saver):
    """A node that calls a graph with a memory, and says how long that is."""
    inner = StateGraph(Log)
    for name in "abc":
        inner.add_node(name, lambda _state, name=name: {"log": [name]})
    inner.add_edge(START, "a")
    inner.add_edge("a", "b")
    inner.add_edge("b", "c")
    memory = inner.compile(checkpointer=True)
    outer = StateGraph(Log)
    outer.add_node("first", lambda _state: {"log": ["first"]})
    outer.add_node("memory", lambda _: {"log": [len(memory.invoke({"log": ["in"]})["log"])]})
    outer.add_edge(START, "first")
    outer.add_edge("first", "memory")
    return outer.compile(checkpointer=saver)


def filled(saver, durability="sync", *, edited=False):
    graph = remembering_graph(saver)
    for turn in range(TURNS):
        graph.invoke({"log": [f"turn {turn}"]}, config_of("t"), durability=durability)
        if edited:
            before_memory = next(
                each for each in graph.get_state_history(config_of("t")) if each.next == ("memory",)
            )
            graph.update_state(before_memory.config, {"log": ["edited"]}, as_node="first")
    return graph


@pytest.mark.parametrize(
    ("durability", "edited"), [("sync", False), ("sync", True), ("exit", False)]
)
@pytest.mark.parametrize("keep", [1, 2, 4, 6, 9])
def test_time_travel_finds_memories_as_they_were(other, durability, keep, edited):
    """From every checkpoint that stays, as with a saver that never removes anything."""
    graph = filled(other.saver, durability, edited=edited)
    ids = [id_of(each.config) for each in graph.get_state_history(config_of("t"))]
    other.sweep(RetentionPolicy(keep_last=keep))
    kept = list(graph.get_state_history(config_of("t")))
    assert len(kept) >= min(keep, TURNS)
    graph.invoke({"log": ["on"]}, config_of("t"), durability=durability)  # no one is the newest
    numbered = [(ids.index(id_of(each.config)), each) for each in kept]
    for number, _ in numbered:
        other.copy_thread("t", f"copy {number}")
    for number, each in numbered:
        untouched = filled(InMemorySaver(), durability, edited=edited)
        same = list(untouched.get_state_history(config_of("t")))[number]
        assert (each.values, each.next) == (same.values, same.next)
        untouched.invoke({"log": ["on"]}, config_of("t"), durability=durability)
        at = config_of(f"copy {number}")
        at["configurable"]["checkpoint_id"] = id_of(each.config)
        assert graph.invoke(None, at) == untouched.invoke(None, same.config)
        assert graph.invoke({"log": ["again"]}, config_of(f"copy {number}")) == untouched.invoke(
            {"log": ["again"]}, config_of("t")
        )


class TwoDeltas(TypedDict, total=False):
    often: Annotated[list, DeltaChannel(add_all, snapshot_frequency=4)]
    seldom: Annotated[list, DeltaChannel(add_all, snapshot_frequency=7)]


@pytest.mark.parametrize("durability", ["sync", "exit"])
@pytest.mark.parametrize("shorten", ["sweep", "prune", "copy"])
def test_all_that_stays_of_two_delta_channels_is_as_it_was(other, shorten, durability):
    """An ancestor that stays for one of them has the value of the other, too."""
    builder = StateGraph(TwoDeltas)
    builder.add_node(
        "node",
        lambda state: {"often": [len(state.get("often", []))], "seldom": [len(state["seldom"])]},
    )
    builder.add_edge(START, "node")
    graph = builder.compile(checkpointer=other.saver)
    for turn in range(20):
        graph.invoke({"often": ["i"], "seldom": ["i"]}, config_of("t"), durability=durability)
        thread_id = "t" if shorten == "sweep" else f"shortened {turn}"
        before = {id_of(e.config): e.values for e in graph.get_state_history(config_of("t"))}
        if shorten == "sweep":
            other.sweep(RetentionPolicy(keep_last=1))
        elif shorten == "prune":
            other.copy_thread("t", thread_id)
            other.prune([thread_id])
        else:
            other.copy_thread("t", thread_id, head_only=True)
        left = {id_of(e.config): e.values for e in graph.get_state_history(config_of(thread_id))}
        assert max(before) in left
        assert left == {each: before[each] for each in left}
