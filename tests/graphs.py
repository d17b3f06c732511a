"""Graphs for the tests: what people build, without a model behind them."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Annotated, Any

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.channels.delta import DeltaChannel
from langgraph.func import entrypoint, task
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import Command, Send, interrupt
from typing_extensions import TypedDict

LONG = "and so on " * 40  # large values are stored apart from small ones


class Messages(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    notes: dict[str, str]
    count: int


class Log(TypedDict, total=False):
    log: Annotated[list[Any], operator.add]
    note: str
    items: list[int]


def answering(state: MessagesState) -> dict[str, Any]:
    return {"messages": [AIMessage(f"You said: {state['messages'][-1].content}")]}


def answering_builder() -> StateGraph[MessagesState]:
    """The ``builder`` of the pages' examples: a model that repeats what it was told."""
    builder = StateGraph(MessagesState)
    builder.add_node("agent", answering)
    builder.add_edge(START, "agent")
    return builder


@tool
def look_up(order: str) -> str:
    """Look up an order."""
    return f"order {order} is on its way {LONG}"


@tool
def weather(city: str) -> str:
    """Tell the weather."""
    return f"sunny in {city}"


def tool_agent(saver, **options):
    """A scripted model that calls two tools at once, then answers."""

    def model(state):
        messages = state["messages"]
        if messages[-1].type != "human":
            return {"messages": [AIMessage(f"done: {len(messages)} {LONG}")]}
        calls = [
            {"name": "look_up", "args": {"order": str(len(messages))}, "id": f"{len(messages)}a"},
            {"name": "weather", "args": {"city": "Oslo"}, "id": f"{len(messages)}b"},
        ]
        return {
            "messages": [AIMessage("", tool_calls=calls)],
            "count": state.get("count", 0) + 1,
            "notes": {**state.get("notes", {}), f"turn {len(messages)}": LONG},
        }

    builder = StateGraph(Messages)
    builder.add_node("model", model)
    builder.add_node("tools", ToolNode([look_up, weather]))
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", tools_condition)
    builder.add_edge("tools", "model")
    return builder.compile(checkpointer=saver, **options)


def agent_turn_graph(saver):
    """3 supersteps, the middle one of two parallel tools; the last one interrupts."""

    def step(*texts):
        return lambda _state: {"log": list(texts)}

    builder = StateGraph(Log)
    builder.add_node("agent", step("calls two tools"))
    builder.add_node("tool_one", step("one"))
    builder.add_node("tool_two", step("two"))
    builder.add_node("review", lambda _state: {"log": [interrupt("approve?")]})
    builder.add_edge(START, "agent")
    builder.add_edge("agent", "tool_one")
    builder.add_edge("agent", "tool_two")
    builder.add_edge(["tool_one", "tool_two"], "review")
    return builder.compile(checkpointer=saver)


def approve():
    return Command(resume="approved")


def asking_graph(saver):
    """Two questions in one node, two nodes that ask at the same time."""

    def twice(_state):
        first = interrupt({"ask": "first", "details": LONG})
        second = interrupt("second")
        return {"log": [first, second]}

    def once(_state):
        return {"log": [interrupt("aside")]}

    builder = StateGraph(Log)
    builder.add_node("twice", twice)
    builder.add_node("once", once)
    builder.add_node("end", lambda state: {"note": f"{len(state['log'])} answers"})
    builder.add_edge(START, "twice")
    builder.add_edge(START, "once")
    builder.add_edge(["twice", "once"], "end")
    return builder.compile(checkpointer=saver)


def nested_graph(saver, *, stateful=False):
    """A subgraph in a subgraph, with a question in the innermost one."""

    def ask(state):
        return {"log": [f"{interrupt('inside?')} of {len(state.get('log', []))}"]}

    inner = StateGraph(Log)
    inner.add_node("before", lambda _state: {"log": ["inner before " + LONG]})
    inner.add_node("ask", ask)
    inner.add_edge(START, "before")
    inner.add_edge("before", "ask")
    middle = StateGraph(Log)
    middle.add_node("inner", inner.compile())
    middle.add_edge(START, "inner")
    outer = StateGraph(Log)
    outer.add_node("start", lambda _state: {"log": ["start"], "note": "n"})
    outer.add_node("middle", middle.compile(checkpointer=True if stateful else None))
    outer.add_node("end", lambda _state: {"log": ["end"]})
    outer.add_edge(START, "start")
    outer.add_edge("start", "middle")
    outer.add_edge("middle", "end")
    return outer.compile(checkpointer=saver)


def fan_out_graph(saver):
    """A node for each item, whose results come in the order of the sends."""
    builder = StateGraph(Log)
    builder.add_node("plan", lambda state: {"note": f"{len(state['items'])} items"})
    builder.add_node("work", lambda item: {"log": [{"item": item["item"], "text": LONG}]})
    builder.add_node("end", lambda state: {"note": f"{len(state['log'])} results"})
    builder.add_edge(START, "plan")
    builder.add_conditional_edges(
        "plan", lambda state: [Send("work", {"item": item}) for item in state["items"]], ["work"]
    )
    builder.add_edge("work", "end")
    return builder.compile(checkpointer=saver)


def steps_graph(saver, names="abc", *, fail: Callable[[str], None] = lambda _name: None):
    """One node after the other, each adding to the log."""

    def node(name):
        def run(state):
            fail(name)
            return {"log": [f"{name}{len(state.get('log', []))}"], "note": name + LONG}

        return run

    builder = StateGraph(Log)
    for before, name in zip((START, *names), names, strict=False):
        builder.add_node(name, node(name))
        builder.add_edge(before, name)
    return builder.compile(checkpointer=saver)


def workflow(saver):
    """The functional API: tasks, a question, what was saved last time."""

    @task
    def square(number: int) -> int:
        return number * number

    @entrypoint(checkpointer=saver)
    def run(numbers: list[int], *, previous: Any = None) -> Any:
        squares = [future.result() for future in [square(number) for number in numbers]]
        factor = interrupt("factor?")
        return entrypoint.final(
            value=[factor * each for each in squares], save={"squares": squares, "was": previous}
        )

    return run


def async_workflow(saver):
    """The same with coroutines."""

    @task
    async def square(number: int) -> int:
        return number * number

    @entrypoint(checkpointer=saver)
    async def run(numbers: list[int], *, previous: Any = None) -> Any:
        squares = [await future for future in [square(number) for number in numbers]]
        factor = interrupt("factor?")
        return entrypoint.final(
            value=[factor * each for each in squares], save={"squares": squares, "was": previous}
        )

    return run


def add_all(state, writes):
    """A DeltaChannel's reducer."""
    return [*state, *(each for write in writes for each in write)]


def delta_graph(saver, *, every: int):
    """Messages in a DeltaChannel with a snapshot every so many updates; nodes run in parallel."""

    messages = Annotated[list, DeltaChannel(add_all, snapshot_frequency=every)]
    state = TypedDict("State", {"messages": messages, "note": str}, total=False)  # noqa: UP013

    def node(name):
        return lambda state: {"messages": [f"{name}{len(state.get('messages', []))} {LONG}"]}

    builder = StateGraph(state)
    for name in ("left", "right", "end"):
        builder.add_node(name, node(name))
    builder.add_edge(START, "left")
    builder.add_edge(START, "right")
    builder.add_edge(["left", "right"], "end")
    return builder.compile(checkpointer=saver)


def human(text: str) -> HumanMessage:
    return HumanMessage(f"{text} {LONG}")


def plain(value: Any) -> Any:
    """A result without the ids that are made at random."""
    if isinstance(value, BaseMessage):
        return (type(value), value.content, getattr(value, "tool_calls", None))
    if isinstance(value, dict):
        return {
            key: (
                # LangGraph lists them as parallel tasks happened to ask: no order to compare
                sorted((i.value for i in each), key=repr) if key == "__interrupt__" else plain(each)
            )
            for key, each in value.items()
        }
    if isinstance(value, (list, tuple)):  # JsonPlusSerializer makes lists of tuples
        return [plain(each) for each in value]
    return value
