"""Taking runs out of threads that others go on with: what they wrote, and what they are storing."""

from __future__ import annotations

import operator
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

import psycopg
import pytest
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt
from typing_extensions import TypedDict

from helpers import Chain, config_of, id_of, new_id
from langgraph_pg_snapshot import ConcurrentWriteError
from langgraph_pg_snapshot._plans import remove

T = "thread"
SECRET = "SECRET"


class Log(TypedDict, total=False):
    log: Annotated[list[Any], operator.add]


def of(run_id: str, config: dict[str, Any]) -> dict[str, Any]:
    """A config that says whose it is, as LangGraph hands it on."""
    return {**config, "metadata": {"run_id": run_id}}


def written(dsn: str) -> list[tuple[Any, ...]]:
    """Whose each stored pending write is, and what it says."""
    with psycopg.connect(dsn) as conn:
        return conn.execute(
            "SELECT run_id, value #>> '{}' FROM agent_checkpoints_writes ORDER BY 1, 2"
        ).fetchall()


def test_an_answer_goes_with_the_run_that_gave_it(saver, other, ready_database):
    """It lies at a checkpoint of the run before, which stays: so does that run's question."""
    reached, opened = threading.Event(), threading.Event()

    def ask(_state):
        answer = interrupt("which?")
        reached.set()
        assert opened.wait(30)
        return {"log": [answer]}

    def graph_of(driven):
        builder = StateGraph(Log)
        builder.add_node("ask", ask)
        builder.add_node("end", lambda _state: {"log": ["end"]})
        builder.add_edge(START, "ask")
        builder.add_edge("ask", "end")
        return builder.compile(checkpointer=driven.saver)

    graph, others_graph = graph_of(saver), graph_of(other)
    saver.call(graph, "invoke", {"log": ["in"]}, of("one", config_of(T)))
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(
            saver.call, graph, "invoke", Command(resume=SECRET), of("two", config_of(T))
        )
        assert reached.wait(30)
        other.delete_for_runs(["two"])  # and its node writes on
        opened.set()
        run.result(30)
    assert SECRET not in repr(written(ready_database))
    state = other.call(others_graph, "get_state", config_of(T))
    assert (state.next, [each.value for each in state.interrupts]) == (("ask",), ["which?"])
    result = other.call(others_graph, "invoke", None, of("three", config_of(T)))
    assert [each.value for each in result["__interrupt__"]] == ["which?"]


@pytest.mark.parametrize("knows", [True, False], ids=["put_writes", "put_early_writes"])
def test_writes_go_with_their_run_and_come_no_more(saver, other, ready_database, knows):
    head = Chain(saver, T).put({"a": 1}, metadata={"run_id": "one"})
    writer = saver if knows else other
    for run_id in ("one", "two"):
        writer.put_writes(of(run_id, head), [("a", run_id)], f"task of {run_id}")
    writer.put_writes(of("two", config_of(T, new_id())), [("a", "early")], "task")
    writer.put_writes(head, [("a", "of nobody")], "another")
    assert len(written(ready_database)) == 4
    (other if knows else saver).delete_for_runs(["two"])
    writer.put_writes(of("two", head), [("a", "late")], "late task")
    assert written(ready_database) == [("one", "one"), (None, "of nobody")]


def test_a_copys_writes_are_of_the_same_run(saver, ready_database):
    head = Chain(saver, T).put({"a": 1}, metadata={"run_id": "one"})
    saver.put_writes(of("two", head), [("a", 2)], "task")
    saver.copy_thread(T, "copy")
    assert written(ready_database) == [("two", "2")] * 2
    saver.delete_for_runs(["two"])
    assert written(ready_database) == []


def wait_until_locked_out(dsn: str, future: Any) -> None:
    """Return when another connection waits for a lock."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        while not future.done():
            query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            if conn.execute(query).fetchone()[0]:
                return
    raise AssertionError(f"nobody waits: {future}")


@pytest.mark.parametrize("what", ["put", "put_writes", "a subgraph's first"])
def test_what_a_run_is_storing_at_that_moment_goes_too(saver, other, ready_database, what):
    """It waits for a row, and looked for the note too early; the removal waits for it."""
    chain = Chain(saver, T)
    kept = chain.put({"a": 1}, metadata={"run_id": "one"})
    works = {
        "put": lambda: chain.put({"a": 2}, metadata={"run_id": "two"}),
        "put_writes": lambda: saver.put_writes(of("two", kept), [("a", 2)], "task"),
        "a subgraph's first": lambda: Chain(saver, T, "sub").put(
            {"a": 2}, metadata={"run_id": "two", "parents": {"": id_of(kept)}}
        ),
    }
    with ThreadPoolExecutor(2) as pool, psycopg.connect(ready_database) as conn:
        conn.execute("SELECT FROM agent_checkpoints_threads FOR UPDATE")
        late = pool.submit(works[what])
        wait_until_locked_out(ready_database, late)
        removal = pool.submit(other.delete_for_runs, ["two"])
        with psycopg.connect(ready_database, autocommit=True) as watching:
            noted = "SELECT count(*) FROM agent_checkpoints_erased"
            while not watching.execute(noted).fetchone()[0]:
                assert not removal.done()
        conn.rollback()
        late.result(30)
        removal.result(30)
    assert [id_of(each.config) for each in other.list(config_of(T))] == [id_of(kept)]
    assert written(ready_database) == []


def test_who_does_not_end_is_an_error(saver, ready_database, monkeypatch, rows):
    """What was there is removed all the same, and doing it again is enough."""
    Chain(saver, T).put({"a": 1}, metadata={"run_id": "one"})
    monkeypatch.setattr(remove, "WRITER_PAUSES", (0.0, 0.0))
    with psycopg.connect(ready_database) as conn:
        conn.execute("UPDATE agent_checkpoints_threads SET thread_id = '' WHERE false")
        with pytest.raises(ConcurrentWriteError, match=r"has not ended.* call it again"):
            saver.delete_for_runs(["one"])
        assert rows(T) == {}
    saver.delete_for_runs(["one"])


def test_what_is_copied_again_and_again_is_an_error(saver, monkeypatch):
    Chain(saver, T).put({"a": 1}, metadata={"run_id": "one"})
    monkeypatch.setattr(remove, "MAX_ROUNDS", 1)
    with pytest.raises(ConcurrentWriteError, match="call it again"):
        saver.delete_for_runs(["one"])
    saver.delete_for_runs(["one"])
