"""Every kind of value through a graph and PostgreSQL, wherever LangGraph puts values.

As a channel's value, a pending write, a Send's argument, an interrupt's value and a resume value;
read by another saver than the one that stored it.
"""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Interrupt, Send, interrupt
from serializer_catalogue import CASES
from serializer_sameness import assert_same
from typing_extensions import TypedDict

from langgraph_pg_snapshot import PostgresSnapshotSaver


class State(TypedDict, total=False):
    value: Any
    answer: Any
    argument: Any


def graph_for(make, saver, asks=True):
    """A graph that has the value in every place.

    An async graph doesn't ask: before Python 3.11, LangGraph has no interrupt() in async runs.
    """

    def ask(state):
        answer = interrupt(make()) if asks else {"answer": make()}
        return {"answer": answer, "value": {"in a dict": make()}}

    def send(state):
        return [Send("work", {"argument": make()})]

    builder = StateGraph(State)
    builder.add_node("ask", ask)
    builder.add_node("work", lambda state: {"argument": state["argument"]})
    builder.add_edge(START, "ask")
    builder.add_conditional_edges("ask", send, ["work"])
    builder.add_edge("work", END)
    return builder.compile(checkpointer=saver, interrupt_before=["work"])


@pytest.fixture(scope="module")
def savers(server):
    """One that stores and one that reads, on one database."""
    template = server.template("ready", lambda dsn: PostgresSnapshotSaver(dsn).setup())
    with (
        server.clone(template) as dsn,
        PostgresSnapshotSaver(dsn) as storing,
        PostgresSnapshotSaver(dsn) as reading,
    ):
        yield storing, reading


def places(state):
    """Where the value is, before the Send's task has run."""
    return {
        "value": state.values["value"]["in a dict"],
        "resume value": state.values["answer"]["answer"],
    }


@pytest.mark.parametrize("make", CASES.values(), ids=CASES.keys())
def test_through_a_graph_and_postgresql(savers, make):
    storing, reading = savers
    config: Any = {"configurable": {"thread_id": secrets.token_hex(8)}}
    graph, elsewhere = graph_for(make, storing), graph_for(make, reading)
    graph.invoke({}, config)
    assert_same(elsewhere.get_state(config).interrupts[0].value, make())
    graph.invoke(Command(resume={"answer": make()}), config)
    waiting = elsewhere.get_state(config)
    for found in places(waiting).values():
        assert_same(found, make())
    [*tuples] = reading.list(config)
    sends = tuples[0].checkpoint["channel_values"]["__pregel_tasks"]
    assert_same(sends[0].arg["argument"], make())
    pending = {channel: value for one in tuples for _, channel, value in one.pending_writes}
    assert_same(pending["value"]["in a dict"], make())
    graph.invoke(None, config)
    assert_same(elsewhere.get_state(config).values["argument"], make())


@pytest.mark.parametrize("make", CASES.values(), ids=CASES.keys())
async def test_through_a_graph_and_postgresql_async(savers, make):
    storing, reading = savers
    config: Any = {"configurable": {"thread_id": secrets.token_hex(8)}}
    graph, elsewhere = graph_for(make, storing, False), graph_for(make, reading, False)
    await graph.ainvoke({}, config)
    for found in places(await elsewhere.aget_state(config)).values():
        assert_same(found, make())
    head = await reading.aget_tuple(config)
    writes = [("__resume__", [make()]), ("__interrupt__", [Interrupt(value=make(), id="i")])]
    await storing.aput_writes(head.config, writes, "task")
    pending = {c: v for t, c, v in (await reading.aget_tuple(config)).pending_writes if t == "task"}
    assert_same(pending, dict(writes))
    await graph.ainvoke(None, config)
    assert_same((await elsewhere.aget_state(config)).values["argument"], make())
    await storing.aclose()
    await reading.aclose()


@pytest.mark.parametrize("unstorable", [lambda: 0, object()], ids=["lambda", "object"])
def test_what_cannot_be_stored_is_refused_before_anything_is_written(savers, unstorable):
    storing, reading = savers
    config: Any = {"configurable": {"thread_id": secrets.token_hex(8)}}
    builder = StateGraph(State)
    builder.add_node("bad", lambda _: {"value": {"deep": [1, unstorable]}, "answer": "fine"})
    builder.add_edge(START, "bad")
    graph = builder.compile(checkpointer=storing)
    with pytest.raises(TypeError, match=r"channel 'value'.*\['deep'\]\[1\]"):
        graph.invoke({"argument": 1}, config, durability="sync")
    found = [*reading.list(config)]
    assert found
    for one in found:
        assert "answer" not in one.checkpoint["channel_values"]
        assert "answer" not in {channel for _, channel, _ in one.pending_writes}
