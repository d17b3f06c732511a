"""Threads as applications leave them, on any saver: each can be gone on with on another one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from langgraph.types import Command

from graphs import (
    agent_turn_graph,
    approve,
    asking_graph,
    delta_graph,
    fan_out_graph,
    human,
    nested_graph,
    plain,
    steps_graph,
    tool_agent,
    workflow,
)

THREAD = "thread one"
CONFIG = {"configurable": {"thread_id": THREAD}, "metadata": {"user": "liam", "turn": 1}}


class CrashError(Exception):
    """What a node raises."""


@dataclass(frozen=True)
class Thread:
    """A thread: what leaves it on a saver, and what goes on with it."""

    leave: Callable[[Any], object]
    go_on: Callable[[Any], object]


def _answers(graph: Any) -> Command:
    return Command(
        resume={i.id: f"answer to {i.value}" for i in graph.get_state(CONFIG).interrupts}
    )


def _fail_at(name: str) -> Callable[[str], None]:
    def fail(each: str) -> None:
        if each == name:
            raise CrashError(name)

    return fail


def _turns(saver: Any) -> None:
    for text in ("one", "two", "three"):
        tool_agent(saver).invoke({"messages": [human(text)]}, CONFIG)


def _crash(saver: Any) -> None:
    with suppress(CrashError):
        steps_graph(saver, fail=_fail_at("b")).invoke({"log": ["start"]}, CONFIG)


def _crash_beside(saver: Any) -> None:
    """One of two parallel nodes fails: what the other wrote is pending."""
    with suppress(CrashError):
        beside(saver, fail=_fail_at("tool_two")).invoke({"log": []}, CONFIG)


def beside(saver: Any, fail: Callable[[str], None] = lambda _name: None) -> Any:
    import operator
    from typing import Annotated

    from langgraph.graph import START, StateGraph
    from typing_extensions import TypedDict

    state = TypedDict("State", {"log": Annotated[list, operator.add]})  # noqa: UP013

    def node(name: str) -> Callable[[Any], Any]:
        def run(_state: Any) -> Any:
            fail(name)
            return {"log": [name]}

        return run

    builder = StateGraph(state)
    for name in ("tool_one", "tool_two"):
        builder.add_node(name, node(name))
        builder.add_edge(START, name)
    builder.add_node("end", node("end"))
    builder.add_edge(["tool_one", "tool_two"], "end")
    return builder.compile(checkpointer=saver)


def _forks(saver: Any) -> None:
    """Time travel: a run goes on from the middle, and a person changes the state there."""
    graph = steps_graph(saver)
    graph.invoke({"log": ["start"]}, CONFIG)
    history = list(graph.get_state_history(CONFIG))
    graph.invoke(None, history[2].config)
    graph.update_state(history[1].config, {"note": "changed by hand"})
    graph.update_state(CONFIG, {"log": ["by hand"]}, as_node="a")


def _exit(saver: Any) -> None:
    graph = agent_turn_graph(saver)
    graph.invoke({"log": ["start"]}, CONFIG, durability="exit")
    graph.invoke(approve(), CONFIG, durability="exit")
    graph.invoke({"log": ["again"]}, CONFIG, durability="exit")


def _delta_turns(every: int) -> Callable[[Any], None]:
    def leave(saver: Any) -> None:
        for turn in range(4):
            delta_graph(saver, every=every).invoke({"messages": [f"turn {turn}"]}, CONFIG)

    return leave


def _delta_exit(saver: Any) -> None:
    for turn in range(3):
        delta_graph(saver, every=5).invoke(
            {"messages": [f"turn {turn}"]}, CONFIG, durability="exit"
        )


THREADS = {
    "turns": Thread(
        _turns, lambda saver: tool_agent(saver).invoke({"messages": [human("four")]}, CONFIG)
    ),
    "interrupt": Thread(
        lambda saver: agent_turn_graph(saver).invoke({"log": ["start"]}, CONFIG),
        lambda saver: agent_turn_graph(saver).invoke(approve(), CONFIG),
    ),
    "two-interrupts": Thread(
        lambda saver: asking_graph(saver).invoke({"log": []}, CONFIG),
        lambda saver: [
            asking_graph(saver).invoke(_answers(asking_graph(saver)), CONFIG) for _ in range(2)
        ],
    ),
    "answered-in-part": Thread(
        lambda saver: [
            asking_graph(saver).invoke({"log": []}, CONFIG),
            asking_graph(saver).invoke(_answers(asking_graph(saver)), CONFIG),
        ],
        lambda saver: asking_graph(saver).invoke(_answers(asking_graph(saver)), CONFIG),
    ),
    "subgraph-interrupt": Thread(
        lambda saver: nested_graph(saver).invoke({"log": []}, CONFIG),
        lambda saver: nested_graph(saver).invoke(Command(resume="yes"), CONFIG),
    ),
    "stateful-subgraph": Thread(
        lambda saver: nested_graph(saver, stateful=True).invoke({"log": []}, CONFIG),
        lambda saver: nested_graph(saver, stateful=True).invoke(Command(resume="yes"), CONFIG),
    ),
    "sends": Thread(
        lambda saver: fan_out_graph(saver).invoke({"items": [3, 1, 2]}, CONFIG),
        lambda saver: fan_out_graph(saver).invoke({"items": [5, 4]}, CONFIG),
    ),
    "failed-task": Thread(_crash, lambda saver: steps_graph(saver).invoke(None, CONFIG)),
    "failed-beside": Thread(_crash_beside, lambda saver: beside(saver).invoke(None, CONFIG)),
    "forks": Thread(_forks, lambda saver: steps_graph(saver).invoke(None, CONFIG)),
    "exit": Thread(_exit, lambda saver: agent_turn_graph(saver).invoke(approve(), CONFIG)),
    "workflow": Thread(
        lambda saver: workflow(saver).invoke([1, 2, 3], CONFIG),
        lambda saver: workflow(saver).invoke(Command(resume=10), CONFIG),
    ),
    "delta": Thread(
        _delta_turns(1_000),
        lambda saver: delta_graph(saver, every=1_000).invoke({"messages": ["more"]}, CONFIG),
    ),
    "delta-snapshots": Thread(
        _delta_turns(3),
        lambda saver: delta_graph(saver, every=3).invoke({"messages": ["more"]}, CONFIG),
    ),
    "delta-exit": Thread(
        _delta_exit,
        lambda saver: delta_graph(saver, every=5).invoke({"messages": ["more"]}, CONFIG),
    ),
}


def outcome(thread: Thread, saver: Any) -> Any:
    """What going on with a thread gives, and the state it ends in."""
    result = plain(thread.go_on(saver))
    newest = saver.get_tuple({"configurable": {"thread_id": THREAD}})
    return result, sorted(newest.checkpoint["channel_versions"])
