"""A thread is erased while a run is at work on it: when the run ends, nothing of it is there."""

from __future__ import annotations

import operator
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Annotated, Any

import pytest
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt
from typing_extensions import TypedDict

from graphs import LONG
from helpers import config_of

THREAD = "thread"
DURABILITIES = ("sync", "async", "exit")


class Log(TypedDict, total=False):
    log: Annotated[list[Any], operator.add]


class Gate:
    """Holds a node up, from when it says so until the test lets it go on."""

    def __init__(self) -> None:
        self.is_closed = False
        self.reached = threading.Event()
        self.opened = threading.Event()

    def pass_through(self) -> None:
        if self.is_closed:
            self.reached.set()
            assert self.opened.wait(30)


def step(name):
    return lambda _state: {"log": [f"{name} {LONG}"]}


def calling_graph(saver, gate):
    """Waits in a node; then calls a subgraph, and one that has a memory of its own."""

    def wait(_state):
        gate.pass_through()
        return {"log": ["waited"]}

    def inner(name):
        builder = StateGraph(Log)
        builder.add_node("one", step(f"{name} one"))
        builder.add_node("two", step(f"{name} two"))
        builder.add_edge(START, "one")
        builder.add_edge("one", "two")
        return builder

    builder = StateGraph(Log)
    builder.add_node("first", step("first"))
    builder.add_node("wait", wait)
    builder.add_node("beside", step("beside"))
    builder.add_node("call", inner("call").compile())
    builder.add_node("memory", inner("memory").compile(checkpointer=True))
    builder.add_node("last", step("last"))
    for before, after in (
        (START, "first"),
        ("first", "wait"),
        ("first", "beside"),
        ("wait", "call"),
        ("call", "memory"),
        ("memory", "last"),
    ):
        builder.add_edge(before, after)
    return builder.compile(checkpointer=saver)


def waiting_subgraph(saver, gate):
    """Waits inside a subgraph that has a memory, in one of its calls."""

    def wait(_state):
        gate.pass_through()
        return {"log": ["waited"]}

    inner = StateGraph(Log)
    inner.add_node("before", step("before"))
    inner.add_node("wait", wait)
    inner.add_node("after", step("after"))
    inner.add_edge(START, "before")
    inner.add_edge("before", "wait")
    inner.add_edge("wait", "after")
    middle = StateGraph(Log)
    middle.add_node("inner", inner.compile())
    middle.add_edge(START, "inner")
    builder = StateGraph(Log)
    builder.add_node("memory", middle.compile(checkpointer=True))
    builder.add_node("last", step("last"))
    builder.add_edge(START, "memory")
    builder.add_edge("memory", "last")
    return builder.compile(checkpointer=saver)


ERASURES = {
    "delete_thread": lambda saver: saver.delete_thread(THREAD),
    "prune": lambda saver: saver.prune([THREAD], strategy="delete"),
    "delete_for_runs": lambda saver: saver.delete_for_runs(["run-0", "run-1"]),
    "erase": lambda saver: saver.erase(filter={"user_id": "ada"}),
}


CASES = list(product([calling_graph, waiting_subgraph], ERASURES, DURABILITIES))


def name_of(case):
    return "-".join(getattr(part, "__name__", part) for part in case)


def config(run):
    return {**config_of(THREAD), "metadata": {"user_id": "ada", "run_id": f"run-{run}"}}


def logged(driven, graph, thread_id=THREAD):
    """How long a thread's log is; subgraphs hand back their parent's, so it grows fast."""
    return len(driven.call(graph, "get_state", config_of(thread_id)).values["log"])


@pytest.mark.parametrize("given", CASES, ids=name_of)
def test_a_run_under_way_does_not_bring_back_what_was_erased(saver, other, rows, given):
    make, how, durability = given
    gate = Gate()
    graph, others_graph = make(saver.saver, gate), make(other.saver, gate)
    lengths = []  # of a thread that is left alone
    for turn in range(2):
        other.call(others_graph, "invoke", {"log": [f"turn {turn}"]}, config_of("reference"))
        lengths.append(logged(other, others_graph, "reference"))
    saver.call(graph, "invoke", {"log": ["turn 0"]}, config(0))
    gate.is_closed = True
    with ThreadPoolExecutor(1) as threads:
        run = threads.submit(
            saver.call,
            *(graph, "invoke", {"log": ["turn 1"]}, config(1)),
            durability=durability,
        )
        assert gate.reached.wait(30)
        ERASURES[how](other.saver)
        gate.opened.set()
        run.result(60)  # ends as if nothing had happened
    assert rows(THREAD) == {}
    gate.is_closed = False
    # Started anew, with the same id.
    saver.call(graph, "invoke", {"log": ["anew"]}, config(2), durability=durability)
    assert logged(saver, graph) == logged(other, others_graph) == lengths[0]
    saver.call(graph, "invoke", {"log": ["again"]}, config(3), durability=durability)
    assert logged(saver, graph) == logged(other, others_graph) == lengths[1]


def asking_at_once(saver):
    """The first superstep asks, in a subgraph too."""

    def ask(_state):
        return {"log": [interrupt("now?")]}

    inner = StateGraph(Log)
    inner.add_node("inside", ask)
    inner.add_edge(START, "inside")
    builder = StateGraph(Log)
    builder.add_node("ask", ask)
    builder.add_node("call", inner.compile())
    builder.add_node("memory", inner.compile(checkpointer=True))
    for name in ("ask", "call", "memory"):
        builder.add_edge(START, name)
    builder.add_node("end", step("end"))
    builder.add_edge(["ask", "call", "memory"], "end")
    return builder.compile(checkpointer=saver)


@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("how", ERASURES)
def test_an_erased_thread_can_be_interrupted_at_once(saver, other, rows, how, durability):
    """Its writes and its subgraphs' checkpoints may come before the first root checkpoint."""
    graph = asking_at_once(saver.saver)
    for turn in range(3):
        run = config(turn)
        asked = saver.call(graph, "invoke", {"log": []}, run, durability=durability)
        assert len(asked["__interrupt__"]) == 3
        seen = other.call(asking_at_once(other.saver), "get_state", config_of(THREAD))
        assert len(seen.interrupts) == 3
        answers = {each.id: f"yes {turn}" for each in seen.interrupts}
        done = saver.call(graph, "invoke", Command(resume=answers), run, durability=durability)
        assert done["log"].count(f"yes {turn}") == 3
        if how == "delete_for_runs":
            other.delete_for_runs([f"run-{turn}"])
        else:
            ERASURES[how](other.saver)
        assert rows(THREAD) == {}
