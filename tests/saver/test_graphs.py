"""Real graphs do with this saver what they do with LangGraph's InMemorySaver."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, StateSnapshot

from graphs import (
    LONG,
    asking_graph,
    async_workflow,
    delta_graph,
    fan_out_graph,
    human,
    nested_graph,
    plain,
    steps_graph,
    tool_agent,
    workflow,
)
from helpers import Driven, Variant, config_of

VARIANTS = (
    Variant("sync", "conninfo", "snapshot"),
    Variant("async", "conninfo", "snapshot"),
    Variant("sync", "no-autocommit", "jsonplus"),
    Variant("async", "plain", "encrypted"),
)
THREAD = "thread"
CONFIG = config_of(THREAD)


@pytest.fixture(params=VARIANTS, ids=str)
def saver(request, ready_database: str) -> Iterator[Driven]:
    with request.param.open(ready_database) as driven:
        yield driven


class Scene:
    """Runs a graph and notes all that a person could see of it."""

    def __init__(self, driven: Driven, graph: Any, config: Any = CONFIG) -> None:
        self.driven, self.graph, self.config = driven, graph, config
        self.seen: list[Any] = []

    def invoke(self, given: Any, config: Any = None, **options: Any) -> Any:
        try:
            result = self.driven.call(self.graph, "invoke", given, config or self.config, **options)
        except Exception as error:  # noqa: BLE001 -- whatever it is, both savers have to give it
            result = repr(error)
        self.seen.append(plain(result))
        return result

    def update(self, config: Any, values: Any, **options: Any) -> Any:
        return self.driven.call(self.graph, "update_state", config, values, **options)

    def history(self, config: Any = None) -> list[Any]:
        return self.driven.collect(self.graph, "get_state_history", config or self.config)

    def state(self, config: Any = None, **options: Any) -> Any:
        return self.driven.call(self.graph, "get_state", config or self.config, **options)

    def look(self, **options: Any) -> None:
        """Note the whole history, the newest state, with subgraphs."""
        history = self.history()
        ids = [each.config["configurable"]["checkpoint_id"] for each in history]
        self.seen.append([snapshot(each, ids) for each in history])
        self.seen.append(snapshot(self.state(subgraphs=True), ids))
        # Each of them can be had by its id, too.
        for each in history:
            assert snapshot(self.state(each.config), ids) == snapshot(each, ids)


def snapshot(state: Any, ids: list[str]) -> Any:
    """A state without what differs from run to run."""
    parent = state.parent_config and state.parent_config["configurable"]["checkpoint_id"]
    metadata = {
        key: plain(value)
        for key, value in (state.metadata or {}).items()
        if key not in ("run_id", "parents", "thread_id")
    }
    return {
        "values": plain(state.values),
        "next": sorted(state.next),
        "metadata": metadata,
        "parent": ids.index(parent) if parent in ids else parent is None,
        "tasks": sorted(
            (
                {
                    "name": task.name,
                    # JsonPlusSerializer makes text of exceptions
                    "error": task.error if isinstance(task.error, str) else repr(task.error),
                    "interrupts": [i.value for i in task.interrupts],
                    "result": plain(task.result),
                    "state": (
                        snapshot(task.state, []) if isinstance(task.state, StateSnapshot) else None
                    ),
                }
                for task in state.tasks
            ),
            key=repr,
        ),
    }


def as_in_memory(saver: Driven, make: Callable, play: Callable[[Scene], None]) -> list[Any]:
    """Play a scene with both savers; what is seen has to be the same."""
    scenes = []
    for driven in (Driven(InMemorySaver(), saver.loop), saver):
        scene = Scene(driven, make(driven.saver))
        play(scene)
        scene.look()
        scenes.append(scene.seen)
    assert scenes[1] == scenes[0]
    return scenes[1]


DURABILITIES = pytest.mark.parametrize(
    ("saver", "durability"),
    [
        *((variant, mode) for variant in VARIANTS[:2] for mode in ("sync", "async", "exit")),
        (VARIANTS[2], "async"),
        (VARIANTS[3], "exit"),
    ],
    indirect=["saver"],
    ids=str,
)


@DURABILITIES
def test_agent_with_parallel_tools(saver, durability):
    def play(scene):
        for text in ("hello", "again", "and again"):
            scene.invoke({"messages": [human(text)]}, durability=durability)

    seen = as_in_memory(saver, tool_agent, play)
    assert len(seen[2]["messages"]) == 15


@DURABILITIES
def test_interrupts_and_resume(saver, durability):
    def play(scene):
        scene.invoke({"log": ["start"]}, durability=durability)
        scene.look()
        asked = {i.value: i.id for i in scene.state().interrupts if i.value == "aside"}
        scene.invoke(Command(resume={asked["aside"]: "by the way"}), durability=durability)
        scene.look()
        for answer in ("one", {"two": LONG}):
            [open_question] = scene.state().interrupts
            scene.invoke(Command(resume={open_question.id: answer}), durability=durability)
            scene.look()

    seen = as_in_memory(saver, asking_graph, play)
    assert seen[-2][0]["values"]["note"] == "4 answers"


@DURABILITIES
def test_subgraphs(saver, durability):
    def play(scene):
        for answer in ("yes", "no"):
            scene.invoke({"log": [answer]}, durability=durability)
            scene.look()
            scene.invoke(Command(resume=answer), durability=durability)
            scene.look()

    as_in_memory(saver, nested_graph, play)


def test_subgraph_with_its_own_memory(saver):
    def play(scene):
        for answer in ("yes", "no"):
            scene.invoke({"log": [answer]})
            scene.look()
            scene.invoke(Command(resume=answer))
        sub = scene.history(config_of(THREAD, ns="middle"))
        scene.seen.append([plain(each.values) for each in sub])

    seen = as_in_memory(saver, lambda s: nested_graph(s, stateful=True), play)
    assert len(seen[-3]) > 2


@DURABILITIES
def test_fan_out(saver, durability):
    def play(scene):
        for count in (7, 3):
            scene.invoke({"items": list(range(count))}, durability=durability)

    seen = as_in_memory(saver, fan_out_graph, play)
    assert [each["item"] for each in seen[0]["log"]] == list(range(7))


def test_time_travel(saver):
    def play(scene):
        scene.invoke({"log": ["first"]})
        scene.invoke({"log": ["second"]})
        # Runs on from each old checkpoint: the rest again, or with another input.
        for state in scene.history():
            scene.invoke(None, state.config)
        for state in scene.history()[:4]:
            scene.invoke({"log": ["forked " + LONG]}, state.config)

    as_in_memory(saver, steps_graph, play)


def test_update_state_and_forks(saver):
    def play(scene):
        scene.invoke({"log": ["first"]})
        scene.update(CONFIG, {"log": ["by hand"], "note": "edited"})
        scene.look()
        old = scene.history()[3]
        forked = scene.update(old.config, {"log": ["fork " + LONG]}, as_node="a")
        scene.look()
        scene.invoke(None, forked)
        scene.invoke({"log": ["on the newest"]})
        scene.update(CONFIG, None, as_node="__end__")

    as_in_memory(saver, steps_graph, play)


def test_copying_a_checkpoint(saver):
    def play(scene):
        scene.invoke({"log": ["first"]})
        for state in scene.history()[1:3]:
            copied = scene.update(state.config, None, as_node="__copy__")
            scene.look()
            scene.invoke(None, copied)

    as_in_memory(saver, steps_graph, play)


@DURABILITIES
def test_failed_step_is_taken_up_again(saver, durability):
    def play(scene):
        for given in ({"log": ["x"]}, None, None):
            scene.invoke(given, durability=durability)
            scene.look()

    def make(checkpointer):
        failures = iter([True, True])

        def fail(name):
            if name == "b" and next(failures, False):
                raise ValueError("b failed")

        return steps_graph(checkpointer, fail=fail)

    seen = as_in_memory(saver, make, play)
    assert seen[0] == "ValueError('b failed')"
    assert len(seen[6]["log"]) == 4


@DURABILITIES
def test_functional_api(saver, durability):
    def play(scene):
        for factor in (2, 3):
            scene.invoke([1, 2, 3], durability=durability)
            scene.look()
            scene.invoke(Command(resume=factor), durability=durability)

    make = workflow if saver.loop is None else async_workflow
    seen = as_in_memory(saver, make, play)
    assert seen[0]["__interrupt__"] == ["factor?"]
    assert seen[3] == [2, 8, 18]


@DURABILITIES
@pytest.mark.parametrize("every", [1, 3, 100])
def test_delta_channels(saver, durability, every):
    def play(scene):
        for turn in range(4):
            scene.invoke({"messages": [f"turn {turn}"]}, durability=durability)
        if durability != "exit":  # which stores no step in between
            scene.invoke({"messages": ["forked"]}, scene.history()[5].config)
            scene.update(CONFIG, {"messages": ["by hand"]}, as_node="end")

    seen = as_in_memory(saver, lambda s: delta_graph(s, every=every), play)
    assert len(seen[3]["messages"]) == 16


@pytest.mark.parametrize("every", [1, 4, 100])
def test_delta_channels_go_on_after_pruning(saver, every):
    results = []
    for driven in (Driven(InMemorySaver(), saver.loop), saver):
        scene = Scene(driven, delta_graph(driven.saver, every=every))
        for turn in range(6):
            scene.invoke({"messages": [f"turn {turn}"]})
            if driven is saver:
                before = saver.get_tuple(CONFIG)
                saver.prune([THREAD])
                after = saver.get_tuple(CONFIG)
                assert after.checkpoint == before.checkpoint
                assert after.pending_writes == before.pending_writes
        results.append((scene.seen, plain(scene.state().values)))
        kept = len(scene.history())
    assert results[0] == results[1]
    assert len(results[1][1]["messages"]) == 24
    # Only what rebuilding takes is left: with a snapshot at every update, one checkpoint.
    assert kept in {1: {1}, 4: {2, 3, 4}, 100: {24}}[every]


def test_history_of_one_thread_is_not_anothers(saver):
    for thread in ("one", "two"):
        scene = Scene(saver, steps_graph(saver.saver), config_of(thread))
        scene.invoke({"log": [thread]})
        assert scene.history()[0].values["log"] == [thread, "a1", "b2", "c3"]


def test_run_goes_on_in_another_process(saver, ready_database):
    """A fresh saver on the same database resumes what the first one began."""
    scene = Scene(saver, asking_graph(saver.saver))
    scene.invoke({"log": ["start"]})
    with Variant("sync", "conninfo", "snapshot").open(
        ready_database, serde=saver.saver.serde
    ) as second:
        later = Scene(second, asking_graph(second.saver))
        for answer in ("one", "two", "three"):
            question = later.state().interrupts[0]
            later.invoke(Command(resume={question.id: answer}))
        assert sorted(map(str, later.state().values["log"])) == ["one", "start", "three", "two"]
        assert later.state().next == ()
