"""on_conflict="raise": who loses a race is told, and who means to leave the line is let."""

from __future__ import annotations

import copy
import json
import multiprocessing
import operator
import pickle
import re
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import psycopg
import pytest
import yaml
from langgraph.graph import START, StateGraph
from langgraph.types import Command, Send, StateUpdate, interrupt
from typing_extensions import TypedDict

from graphs import (
    Log,
    agent_turn_graph,
    approve,
    async_workflow,
    delta_graph,
    fan_out_graph,
    nested_graph,
    steps_graph,
    workflow,
)
from helpers import SERDES, Chain, Driven, Variant, config_of, id_of
from langgraph_pg_snapshot import (
    ConcurrentUpdateError,
    InvalidArgumentError,
    PostgresSnapshotSaver,
    RetentionPolicy,
)
from langgraph_pg_snapshot._addressed import AddressedId

pytestmark = pytest.mark.timeout(120)
T = config_of("thread")
DURABILITIES = ("sync", "async", "exit")


@dataclass
class Bench:
    """What a case works with.

    Attributes:
        driven: The saver, in one of the colours.
        other: Another process's saver, as far as the database can tell.
        durability: How runs save.
    """

    driven: Driven
    other: PostgresSnapshotSaver
    durability: str

    def invoke(self, graph, given, config=T):
        return self.driven.call(graph, "invoke", given, config, durability=self.durability)

    def steps(self, meanwhile: Callable[[], object] | None = None, at: str = "b"):
        """Three nodes; something happens while one of them is at work, the first time."""
        todo = [] if meanwhile is None else [meanwhile]

        def happen(name):
            if name == at and todo:
                self.await_saved(steps_graph(self.other), name)
                todo.pop()()

        return steps_graph(self.driven.saver, fail=happen)

    def await_saved(self, graph, name):
        """Wait until what a node starts from is stored; runs save in the background."""
        if self.durability == "exit":
            return
        for _ in range(1000):
            if name in graph.get_state(T).next:
                return
        pytest.fail(f"{name} never came to be next")

    def turn_of_other(self, given="other", config=T):
        """A whole turn of another process."""
        steps_graph(self.other).invoke({"log": [given]}, config)

    def history(self, graph):
        return self.driven.collect(graph, "get_state_history", T)


def older(bench, graph, given="one"):
    """A checkpoint in the midst of a turn, as the history lists it."""
    bench.invoke(graph, {"log": [given]})
    history = bench.history(graph)
    # With "exit" there is one a turn.
    bench.invoke(graph, {"log": ["two"]})
    return next((each for each in history if each.next == ("b",)), history[0]).config


# -- what passes -------------------------------------------------------------------------------


def turns(bench):
    graph = bench.steps()
    for number in range(3):
        bench.invoke(graph, {"log": [f"{number}"]})


def turns_by_turns(bench):
    for number in range(2):
        bench.invoke(bench.steps(), {"log": [f"{number}"]})
        bench.turn_of_other()


def other_threads(bench):
    graph = bench.steps(lambda: bench.turn_of_other(config=config_of("another thread")))
    bench.invoke(graph, {"log": ["in"]})


def replay(bench):
    graph = bench.steps()
    bench.invoke(graph, None, older(bench, graph))


def fork_by_input(bench):
    graph = bench.steps()
    bench.invoke(graph, {"log": ["fork"]}, older(bench, graph))
    bench.invoke(graph, {"log": ["on"]})


def fork_by_a_config_made_by_hand(bench):
    graph = bench.steps()
    checkpoint_id = str(id_of(older(bench, graph)))
    bench.invoke(graph, {"log": ["fork"]}, config_of("thread", checkpoint_id))


def update_newest(bench):
    graph = bench.steps()
    bench.invoke(graph, {"log": ["in"]})
    bench.driven.call(graph, "update_state", T, {"log": ["edit"]})
    bench.invoke(graph, {"log": ["on"]})


def update_what_get_state_gave(bench):
    """It names its checkpoint: so it is a fork that is meant."""
    graph = bench.steps()
    bench.invoke(graph, {"log": ["in"]})
    seen = bench.driven.call(graph, "get_state", T)
    bench.turn_of_other()
    bench.driven.call(graph, "update_state", seen.config, {"log": ["edit"]})


def update_older_and_go_on(bench):
    graph = bench.steps()
    config = older(bench, graph)
    forked = bench.driven.call(graph, "update_state", config, {"log": ["edit"]})
    bench.invoke(graph, None, forked)
    bench.invoke(graph, {"log": ["on"]})


def update_in_bulk(bench):
    graph = bench.steps()
    bench.invoke(graph, {"log": ["in"]})
    updates = [[StateUpdate({"log": [str(number)]}, "c")] for number in range(3)]
    bench.driven.call(graph, "bulk_update_state", T, updates)


def copy_every_checkpoint(bench):
    graph = bench.steps()
    bench.invoke(graph, {"log": ["in"]})
    for each in bench.history(graph):
        forked = bench.driven.call(graph, "update_state", each.config, None, "__copy__")
        bench.driven.call(graph, "get_state", forked)


def resume(bench):
    graph = agent_turn_graph(bench.driven.saver)
    for _ in range(2):
        bench.invoke(graph, {"log": ["in"]})
        bench.invoke(graph, approve())


def resume_after_update(bench):
    graph = agent_turn_graph(bench.driven.saver)
    bench.invoke(graph, {"log": ["in"]})
    bench.driven.call(graph, "update_state", T, {"note": "edit"}, "tool_one")
    bench.invoke(graph, approve())


def resume_at_a_checkpoint(bench):
    graph = agent_turn_graph(bench.driven.saver)
    bench.invoke(graph, {"log": ["in"]})
    waiting = bench.driven.call(graph, "get_state", T).config
    bench.invoke(graph, approve())
    bench.invoke(graph, {"log": ["in"]})
    bench.invoke(graph, approve(), waiting)


def try_again_after_an_error(bench):
    graph = bench.steps(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        bench.invoke(graph, {"log": ["in"]})
    bench.invoke(graph, None)


def nothing_to_do(bench):
    graph = bench.steps()
    bench.invoke(graph, {"log": ["in"]})
    bench.invoke(graph, None)


def subgraphs(bench):
    for stateful in (False, True):
        graph = nested_graph(bench.driven.saver, stateful=stateful)
        for _ in range(2):
            bench.invoke(graph, {"log": ["in"]})
            bench.invoke(graph, Command(resume="answer"))


def replay_with_subgraphs(bench):
    for stateful in (False, True):
        graph = nested_graph(bench.driven.saver, stateful=stateful)
        bench.invoke(graph, {"log": ["in"]})
        bench.invoke(graph, Command(resume="answer"))
        for each in bench.history(graph):
            if each.next:
                bench.invoke(graph, None, each.config)
                if bench.driven.call(graph, "get_state", T).next:
                    bench.invoke(graph, Command(resume="again"))


def either(one, _other):
    return one


class Work(TypedDict, total=False):
    log: Annotated[list[Any], operator.add]
    item: Annotated[int, either]


def subgraphs_side_by_side(bench):
    """A subgraph a Send, all at the same time, which ask something, too."""
    inner = StateGraph(Work)
    inner.add_node("one", lambda state: {"log": [f"one {state['item']}"]})
    inner.add_node("two", lambda state: {"log": [interrupt(state["item"])]})
    inner.add_edge(START, "one")
    inner.add_edge("one", "two")
    outer = StateGraph(Work)
    outer.add_node("inner", inner.compile())
    outer.add_conditional_edges(
        START, lambda _: [Send("inner", {"item": n, "log": []}) for n in range(5)], ["inner"]
    )
    graph = outer.compile(checkpointer=bench.driven.saver)
    for _ in range(2):
        asked = bench.invoke(graph, {"log": ["in"]})["__interrupt__"]
        answers = {each.id: f"answer {each.value}" for each in asked}
        assert len(answers) == 5
        bench.invoke(graph, Command(resume=answers))
    bench.invoke(fan_out_graph(bench.driven.saver), {"items": list(range(5))}, config_of("fan"))


def functional(bench):
    graph = (async_workflow if bench.driven.loop else workflow)(bench.driven.saver)
    for _ in range(2):
        bench.invoke(graph, [1, 2])
        bench.invoke(graph, Command(resume=3))


def delta_channels(bench):
    graph = delta_graph(bench.driven.saver, every=3)
    for _ in range(3):
        bench.invoke(graph, {"messages": ["in"]})


def roll_back(bench):
    graph = bench.steps()
    bench.invoke(graph, {"log": ["in"]})
    with_run = {**T, "metadata": {"run_id": "doomed"}}
    bench.invoke(graph, {"log": ["doomed"]}, with_run)
    for _ in range(2):
        bench.driven.delete_for_runs(["doomed"])
    bench.invoke(graph, {"log": ["on"]})


def roll_back_while_it_runs(bench):
    graph = bench.steps()
    bench.invoke(graph, {"log": ["in"]})
    doomed = bench.steps(lambda: bench.other.delete_for_runs(["doomed"]))
    bench.invoke(doomed, {"log": ["doomed"]}, {**T, "metadata": {"run_id": "doomed"}})
    bench.invoke(graph, {"log": ["on"]})


def delete_while_it_runs(bench):
    graph = bench.steps(lambda: bench.other.delete_thread("thread"))
    bench.invoke(graph, {"log": ["in"]})
    bench.invoke(graph, {"log": ["anew"]})


def start_anew_while_it_runs(bench):
    """What is late is told from what is slow: it is dropped without a word, as ever."""

    def start_anew():
        bench.other.delete_thread("thread")
        bench.turn_of_other()

    bench.invoke(bench.steps(), {"log": ["in"]})
    bench.invoke(bench.steps(start_anew), {"log": ["late"]})
    assert bench.other.load_state("thread")["log"][0] == "other"


def sweep_while_it_runs(bench):
    bench.invoke(bench.steps(), {"log": ["in"]})
    graph = bench.steps(lambda: bench.other.sweep(RetentionPolicy(keep_last=1)))
    bench.invoke(graph, {"log": ["on"]})


def save_state_and_go_on(bench):
    bench.invoke(bench.steps(), {"log": ["in"]})
    bench.driven.save_state("thread", {"log": ["all new"]})
    bench.invoke(bench.steps(), {"log": ["on"]})


def copy_and_go_on_in_both(bench):
    bench.invoke(bench.steps(), {"log": ["in"]})
    bench.driven.copy_thread("thread", "copy")
    for config in (T, config_of("copy")):
        bench.invoke(bench.steps(), {"log": ["on"]}, config)


PASSES = [
    *(turns, turns_by_turns, other_threads, replay, fork_by_input, fork_by_a_config_made_by_hand),
    *(update_newest, update_what_get_state_gave),
    *(update_older_and_go_on, update_in_bulk, copy_every_checkpoint, resume, resume_after_update),
    *(resume_at_a_checkpoint, try_again_after_an_error, nothing_to_do, subgraphs),
    *(replay_with_subgraphs, subgraphs_side_by_side, functional, delta_channels, roll_back),
    *(
        roll_back_while_it_runs,
        delete_while_it_runs,
        start_anew_while_it_runs,
        sweep_while_it_runs,
        save_state_and_go_on,
    ),
    copy_and_go_on_in_both,
]


# -- what is refused: each returns a run that is to be, and what it takes -----------------------


def another_turn(bench):
    bench.turn_of_other("before")
    return bench.steps(bench.turn_of_other), {"log": ["lost"]}


def another_first_turn(bench):
    return bench.steps(bench.turn_of_other), {"log": ["lost"]}


def another_turn_at_the_end(bench):
    bench.turn_of_other("before")
    return bench.steps(bench.turn_of_other, at="c"), {"log": ["lost"]}


def another_resume(bench):
    """One goes on with its answer while another gives one, too, to the same question."""

    def asking(saver, todo):
        def ask(_state):
            answer = interrupt("?")
            while todo:
                todo.pop()()
            return {"log": [answer]}

        builder = StateGraph(Log)
        builder.add_node("ask", ask)
        builder.add_edge(START, "ask")
        return builder.compile(checkpointer=saver)

    other = asking(bench.other, [])
    other.invoke({"log": ["in"]}, T)
    todo = [lambda: other.invoke(Command(resume="other"), T)]
    return asking(bench.driven.saver, todo), Command(resume="lost")


def an_update(bench):
    other = steps_graph(bench.other)
    other.invoke({"log": ["before"]}, T)
    edit = lambda: other.update_state(T, {"log": ["other"]})
    return bench.steps(edit), {"log": ["lost"]}


def a_state_saved_whole(bench):
    save = lambda: bench.other.save_state("thread", {"log": ["other"]})
    return bench.steps(save), {"log": ["lost"]}


def a_fork(bench):
    bench.turn_of_other("before")
    first = bench.other.history("thread")[-1].checkpoint_id
    fork = lambda: bench.turn_of_other(config=config_of("thread", first))
    return bench.steps(fork), {"log": ["lost"]}


RAISES = [
    *(another_turn, another_first_turn, another_turn_at_the_end, another_resume, an_update),
    *(a_state_saved_whole, a_fork),
]


LEAVES_THE_LINE = (a_state_saved_whole, a_fork)


def assert_all_in_line(saver):
    """Nothing that was stored is on a dead branch."""
    history = {each.checkpoint_id: each for each in saver.history("thread")}
    each, line = max(history), []
    while each is not None:
        line.append(each)
        each = history[each].parent_checkpoint_id
    assert sorted(line) == sorted(history)


@pytest.fixture(params=["sync", "async"])
def colour(request):
    return request.param


@pytest.fixture
def bench(request, ready_database, colour):
    with (
        Variant(colour, "conninfo", "snapshot").open(ready_database, on_conflict="raise") as driven,
        PostgresSnapshotSaver(ready_database, on_conflict="raise") as other,
    ):
        yield Bench(driven, other, getattr(request, "param", "sync"))


named = {"ids": lambda case: getattr(case, "__name__", str(case))}
in_each_durability = pytest.mark.parametrize("bench", DURABILITIES, indirect=True)


@in_each_durability
@pytest.mark.parametrize("case", PASSES, **named)
def test_passes(bench, case):
    case(bench)


@in_each_durability
@pytest.mark.parametrize("case", RAISES, **named)
def test_raises(bench, case, ready_database):
    graph, given = case(bench)
    with pytest.raises(ConcurrentUpdateError, match="another run was faster") as raised:
        bench.invoke(graph, given)
    error = raised.value
    assert (error.thread_id, error.checkpoint_ns) == ("thread", "")
    stored = {each.checkpoint_id: each for each in bench.other.history("thread")}
    assert error.checkpoint_id not in stored
    assert error.head_checkpoint_id in stored
    assert error.parent_checkpoint_id is None or error.parent_checkpoint_id in stored
    # What the thread goes on from is what the other one left, and it does go on.
    state = bench.other.load_state("thread")["log"]
    assert "other" in state
    if case not in LEAVES_THE_LINE:
        assert_all_in_line(bench.other)
    bench.invoke(bench.steps(), {"log": ["next"]})
    assert bench.other.load_state("thread")["log"][: len(state) + 1] == [*state, "next"]
    with psycopg.connect(ready_database) as conn:
        orphaned = conn.execute(
            "SELECT w.* FROM agent_checkpoints_writes AS w WHERE w.checkpoint_id = %s",
            [error.checkpoint_id],
        ).fetchall()
    assert orphaned == []


@pytest.mark.parametrize("case", RAISES, **named)
def test_without_it_nobody_is_told(ready_database, case):
    with (
        PostgresSnapshotSaver(ready_database) as saver,
        PostgresSnapshotSaver(ready_database) as other,
    ):
        bench = Bench(Driven(saver, None), other, "sync")
        bench.invoke(*case(bench))


def test_update_that_was_overtaken_is_refused(bench):
    """Another turn comes between what update_state reads and what it stores."""
    todo = [lambda: None, bench.turn_of_other]

    def add(old, new):
        if new == ["edit"] and todo:
            todo.pop()()
        return old + new

    state = TypedDict("State", {"log": Annotated[list[Any], add]})  # noqa: UP013
    builder = StateGraph(state)
    builder.add_node("node", lambda _: {"log": ["node"]})
    builder.add_edge(START, "node")
    graph = builder.compile(checkpointer=bench.driven.saver)
    bench.invoke(graph, {"log": ["in"]})
    with pytest.raises(ConcurrentUpdateError):
        bench.driven.call(graph, "update_state", T, {"log": ["edit"]}, "node")
    bench.driven.call(graph, "update_state", T, {"log": ["edit"]}, "node")


# -- eight at once -----------------------------------------------------------------------------


def try_turn(saver, number, durability):
    """Whether it landed."""
    try:
        steps_graph(saver).invoke({"log": [f"input {number}"]}, T, durability=durability)
    except ConcurrentUpdateError:
        return False
    return True


@pytest.mark.parametrize("durability", DURABILITIES)
def test_of_eight_threads_those_that_did_not_land_are_told(ready_database, durability):
    with (
        PostgresSnapshotSaver(ready_database, on_conflict="raise") as one,
        PostgresSnapshotSaver(ready_database, on_conflict="raise") as two,
        ThreadPoolExecutor(8) as threads,
    ):
        start = threading.Barrier(8)

        def turn(number):
            start.wait(30)
            return try_turn((one, two)[number % 2], number, durability)

        landed = list(threads.map(turn, range(8)))
        check_line(one, landed)


@pytest.mark.parametrize("durability", DURABILITIES)
def test_of_eight_threads_that_take_turns_all_land(ready_database, durability):
    with (
        PostgresSnapshotSaver(ready_database, on_conflict="raise") as one,
        PostgresSnapshotSaver(ready_database, on_conflict="raise") as two,
        ThreadPoolExecutor(8) as threads,
    ):

        def turn(number):
            saver = (one, two)[number % 2]
            with saver.exclusive("thread"):
                return try_turn(saver, number, durability)

        landed = list(threads.map(turn, range(8)))
        assert landed == [True] * 8
        check_line(one, landed)


def turn_in_a_process(dsn, number, ready, landed):
    with PostgresSnapshotSaver(dsn, min_size=1, on_conflict="raise") as saver:
        ready.wait(60)
        landed.put((number, try_turn(saver, number, "sync")))


def test_of_eight_processes_those_that_did_not_land_are_told(ready_database):
    forks = multiprocessing.get_context("fork")
    ready, landed = forks.Barrier(8), forks.SimpleQueue()
    processes = [
        forks.Process(target=turn_in_a_process, args=(ready_database, number, ready, landed))
        for number in range(8)
    ]
    for process in processes:
        process.start()
    told = dict(landed.get() for _ in processes)
    for process in processes:
        process.join(100)
    with PostgresSnapshotSaver(ready_database) as saver:
        check_line(saver, [told[number] for number in range(8)])


def check_line(saver, landed):
    """Who was not told is in the newest state, and in the line that leads to it."""
    inputs = {each for each in saver.load_state("thread")["log"] if each.startswith("input")}
    assert {f"input {number}" for number, did in enumerate(landed) if did} <= inputs
    assert inputs
    assert_all_in_line(saver)


@pytest.mark.parametrize("has_parent", [False, True], ids=["roots", "children"])
def test_of_two_puts_at_the_same_moment_one_lands(ready_database, has_parent):
    """Both see the same newest one, wait for the thread's row, and add no item to the log."""
    with (
        PostgresSnapshotSaver(ready_database, on_conflict="raise") as one,
        PostgresSnapshotSaver(ready_database, on_conflict="raise") as two,
        psycopg.connect(ready_database) as blocker,
        psycopg.connect(ready_database, autocommit=True) as conn,
        ThreadPoolExecutor(2) as threads,
    ):
        chain = Chain(one, "thread")
        if has_parent:
            chain.put({"a": 1})
            blocker.execute("SELECT FROM agent_checkpoints_threads FOR UPDATE")
        else:
            blocker.execute("LOCK agent_checkpoints_threads")
        two.get_tuple(chain.head) if has_parent else None
        chains = [
            Chain(saver, "thread", "", chain.head, dict(chain.states)) for saver in (one, two)
        ]
        for each in chains:
            each.head = each.head and config_of("thread", str(id_of(each.head)))
        putting = [threads.submit(each.put, {"a": 2}) for each in chains]
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        while conn.execute(waiting).fetchone() != (2,):
            pass
        blocker.rollback()
        errors = [type(each.exception(60)) for each in putting]
        assert Counter(errors) == {ConcurrentUpdateError: 1, type(None): 1}
        assert len(one.history("thread")) == 1 + has_parent


# -- how it is known ---------------------------------------------------------------------------


def test_ids_that_were_asked_for_are_known_as_such(bench):
    graph = bench.steps()
    bench.invoke(graph, {"log": ["in"]})
    bench.invoke(graph, {"log": ["in"]})
    newest = bench.driven.get_tuple(T)
    assert type(id_of(newest.config)) is str
    assert type(id_of(newest.parent_config)) is AddressedId
    assert type(id_of(bench.driven.get_tuple(newest.config).config)) is AddressedId
    assert {type(id_of(each.config)) for each in bench.driven.list(T)} == {AddressedId}


def test_addressed_id_is_plain_text_elsewhere():
    checkpoint_id = AddressedId("1f1e")
    assert checkpoint_id == "1f1e"
    assert hash(checkpoint_id) == hash("1f1e")
    assert json.loads(json.dumps({"id": checkpoint_id})) == {"id": "1f1e"}
    assert type(pickle.loads(pickle.dumps(checkpoint_id))) is str  # noqa: S301 -- our own
    assert yaml.safe_load(yaml.safe_dump(str(checkpoint_id))) == "1f1e"
    with pytest.raises(yaml.representer.RepresenterError):  # the one that wants str itself
        yaml.safe_dump(checkpoint_id)
    assert copy.copy(checkpoint_id) is copy.deepcopy([checkpoint_id])[0] is checkpoint_id


@pytest.mark.parametrize("serde", SERDES)
def test_addressed_id_in_the_state_comes_back_as_text(ready_database, serde):
    """An application keeps a bookmark of where to go back to."""
    with PostgresSnapshotSaver(ready_database, serde=SERDES[serde](), on_conflict="raise") as saver:
        chain = Chain(saver, "thread")
        bookmark = id_of(saver.get_tuple(chain.put({"a": 1})).config)
        assert type(bookmark) is AddressedId
        state = {"one": bookmark, "many": [bookmark] * 9, "by": {bookmark: {"k": bookmark}}}
        saver.save_state("thread", state)
        [(key, inner)] = (loaded := saver.load_state("thread"))["by"].items()
        assert loaded == state
        found = [loaded["one"], *loaded["many"], key, inner["k"]]
        assert {type(each) for each in found} == {str}


@pytest.mark.parametrize("serde", SERDES)
def test_parents_of_a_replayed_subgraph_stay_readable(ready_database, serde):
    with (
        PostgresSnapshotSaver(ready_database, serde=SERDES[serde](), on_conflict="raise") as saver,
        psycopg.connect(ready_database) as conn,
    ):
        replay_with_subgraphs(Bench(Driven(saver, None), saver, "sync"))
        parents = conn.execute(
            "SELECT DISTINCT jsonb_typeof(p.value) FROM agent_checkpoints_history,"
            " jsonb_each(metadata -> 'parents') AS p WHERE checkpoint_ns <> ''"
        ).fetchall()
    assert parents == [("string",)]


@pytest.mark.parametrize("given", ["error", None, True, ""])
def test_bad_argument(given):
    with pytest.raises(InvalidArgumentError, match="on_conflict must be 'fork' or 'raise'"):
        PostgresSnapshotSaver("host=/nowhere", on_conflict=given)


def test_clones_have_it_too(bench):
    clone = bench.driven.saver.with_allowlist([])
    assert clone._store.refuses_races


def test_page_has_every_case():
    page = (Path(__file__).parents[2] / "docs" / "concurrency.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| .* \| (passes|raises) \| `(\w+)` \|$", page, re.MULTILINE)
    assert rows == [
        *(("passes", case.__name__) for case in PASSES),
        *(("raises", case.__name__) for case in RAISES),
    ]


def test_writes_that_come_after_their_checkpoint_was_refused_do_not_stay(bench, ready_database):
    chain = Chain(bench.driven, "thread")
    first = chain.put({"a": 1})
    Chain(bench.other, "thread", "", first, dict(chain.states)).put({"a": 2})
    with pytest.raises(ConcurrentUpdateError) as raised:
        chain.put({"a": 3})
    refused = config_of("thread", raised.value.checkpoint_id)
    bench.driven.put_writes(refused, [("a", 4)], "task")
    with psycopg.connect(ready_database) as conn:
        assert conn.execute("SELECT * FROM agent_checkpoints_writes").fetchall() == []


def test_what_follows_a_refused_checkpoint_is_refused(bench):
    """A run that saves in the background may be a step further when it is told."""
    chain = Chain(bench.driven, "thread")
    first = chain.put({"a": 1})
    Chain(bench.other, "thread", "", first, dict(chain.states)).put({"a": 2})
    parent = first
    for n in range(3):
        with pytest.raises(ConcurrentUpdateError) as raised:
            chain.put({"a": 3 + n}, parent=parent)
        parent = config_of("thread", raised.value.checkpoint_id)
    assert bench.other.load_state("thread") == {"a": 2}
