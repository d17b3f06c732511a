"""Sorts of conversation for tests that disturb them: each ends in one way, whatever happens."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt
from typing_extensions import TypedDict

from graphs import LONG, Log, agent_turn_graph, delta_graph, plain, steps_graph, tool_agent
from helpers import config_of

MODES = ("sync", "async", "exit")  # of durability


class Inner(TypedDict, total=False):
    inner: Annotated[list[str], operator.add]
    note: str


def nested(saver):
    """A subgraph that asks, and that has a memory.

    (It may do a thing twice: its end is stored before the outer graph knows of it.)
    """
    inner = StateGraph(Inner)
    inner.add_node("before", lambda _state: {"inner": ["before " + LONG]})
    inner.add_node("ask", lambda _state: {"note": interrupt("inside?")})
    inner.add_edge(START, "before")
    inner.add_edge("before", "ask")
    outer = StateGraph(Log)
    outer.add_node("start", lambda _state: {"log": ["start " + LONG]})
    outer.add_node("inner", inner.compile(checkpointer=True))
    outer.add_node("end", lambda state: {"log": [f"end {state['note']}"]})
    outer.add_edge(START, "start")
    outer.add_edge("start", "inner")
    outer.add_edge("inner", "end")
    return outer.compile(checkpointer=saver)


@dataclass(frozen=True)
class Kind:
    """A sort of application: what makes its graph, a turn's input, and how inputs are counted."""

    build: Callable[[Any], Any]
    said: dict[str, Any]
    turns: Callable[[dict[str, Any]], int]


LOG = ({"log": ["in"]}, lambda values: values.get("log", []).count("in"))
KINDS = {
    "steps": Kind(steps_graph, *LOG),
    "asking": Kind(agent_turn_graph, *LOG),
    "nested": Kind(nested, *LOG),
    "delta": Kind(
        lambda saver: delta_graph(saver, every=3),
        {"messages": ["in"]},
        lambda values: values.get("messages", []).count("in"),
    ),
    "tools": Kind(
        tool_agent,
        {"messages": [("human", "Where is my order?")]},
        lambda values: sum(each.type == "human" for each in values.get("messages", [])),
    ),
}


@dataclass
class Conversation:
    """A thread, and how far it is.

    Attributes:
        thread_id: The thread.
        kind: A key of KINDS.
        turns: Its turns since it began (anew).
    """

    thread_id: str
    kind: str
    turns: int = 0


def after(result: dict[str, Any], conversation: Conversation) -> Any:
    """What to invoke the graph with next in this turn: nothing if it is at its end."""
    if not result:
        return KINDS[conversation.kind].said
    return Command(resume="yes") if "__interrupt__" in result else None


def turn(graph: Any, conversation: Conversation, durability: str) -> Any:
    """One turn, with what it is asked; returns the state."""
    result: dict[str, Any] = {}
    while given := after(result, conversation):
        result = graph.invoke(given, config_of(conversation.thread_id), durability=durability)
    return plain(result)


async def aturn(graph: Any, conversation: Conversation, durability: str) -> Any:
    """Like `turn`."""
    result: dict[str, Any] = {}
    while given := after(result, conversation):
        config = config_of(conversation.thread_id)
        result = await graph.ainvoke(given, config, durability=durability)
    return plain(result)


def expected_states(turns: int) -> dict[str, list[Any]]:
    """The state after each turn, by kind, as LangGraph's own saver in memory has it."""
    found = {}
    for name, kind in KINDS.items():
        graph = kind.build(InMemorySaver())
        found[name] = [turn(graph, Conversation(name, name), "sync") for _ in range(turns)]
    return found
