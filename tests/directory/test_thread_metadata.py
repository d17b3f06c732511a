"""The table of what runs say of a thread: written when there is news, gone with the thread."""

from __future__ import annotations

import psycopg
import pytest
from langgraph.checkpoint.base import EXCLUDED_METADATA_KEYS, CheckpointMetadata

from graphs import steps_graph
from helpers import Chain, Variant, config_of
from langgraph_pg_snapshot.sql import STEP_METADATA

STEP = {key: f"of {key}" for key in STEP_METADATA}


def said(dsn):
    """What the table holds, by thread."""
    with psycopg.connect(dsn) as conn:
        return dict(conn.execute("SELECT * FROM agent_checkpoints_metadata").fetchall())


def versions_of_rows(dsn):
    """Which transaction wrote each thread's row."""
    with psycopg.connect(dsn) as conn:
        return dict(
            conn.execute("SELECT thread_id, xmin::text FROM agent_checkpoints_metadata").fetchall()
        )


def test_each_key_has_its_newest_value(saver, ready_database):
    chain = Chain(saver, "thread")
    chain.put({"n": 0}, metadata={"user_id": "ada", "tags": ["a", "b"], **STEP})
    chain.put({"n": 1}, metadata={"tags": ["a"], "plan": {"name": "free", "seats": 1}})
    chain.put({"n": 2}, metadata={"plan": {"name": "paid"}, "score": 1.5})
    # A containment of the old value in the new one, or the other way round, is a change, too.
    assert said(ready_database) == {
        "thread": {"user_id": "ada", "tags": ["a"], "plan": {"name": "paid"}, "score": 1.5}
    }


def test_what_langgraph_says_of_a_step_or_task_is_left_out(saver, ready_database):
    known = {*EXCLUDED_METADATA_KEYS, *CheckpointMetadata.__annotations__, "writes"}
    assert known <= set(STEP_METADATA)
    Chain(saver, "thread").put({"n": 0}, metadata=STEP)
    saver.save_state("saved", {"n": 0})
    assert said(ready_database) == {}


def test_subgraphs_say_nothing_of_the_thread(saver, ready_database):
    Chain(saver, "thread").put({"n": 0}, metadata={"user_id": "ada"})
    Chain(saver, "thread", "sub").put({"n": 0}, metadata={"user_id": "of the call", "x": 1})
    Chain(saver, "no-root", "sub").put({"n": 0}, metadata={"user_id": "of the call"})
    assert said(ready_database) == {"thread": {"user_id": "ada"}}


def test_graph_run_writes_the_row_once(saver, ready_database):
    graph = steps_graph(saver.saver)
    config = {**config_of("thread"), "metadata": {"user_id": "ada"}}
    for turn in range(3):
        saver.call(graph, "invoke", {"log": [f"turn {turn}"]}, config)
        if turn == 0:
            written = versions_of_rows(ready_database)
    assert said(ready_database) == {"thread": {"user_id": "ada"}}
    assert versions_of_rows(ready_database) == written
    config["metadata"]["user_id"] = "bob"
    saver.call(graph, "invoke", {"log": ["another"]}, config)
    assert said(ready_database) == {"thread": {"user_id": "bob"}}
    assert versions_of_rows(ready_database) != written


def test_nothing_is_said_where_metadata_is_sealed(ready_database):
    with Variant("sync", "conninfo", "encrypted").open(ready_database) as saver:
        Chain(saver, "thread").put({"n": 0}, metadata={"user_id": "ada", **STEP})
    assert said(ready_database) == {}


@pytest.mark.parametrize("remove", ["delete_thread", "prune", "delete_for_runs"])
def test_it_goes_with_the_thread(saver, ready_database, remove):
    arguments = {
        "delete_thread": ("thread",),
        "prune": (["thread"],),
        "delete_for_runs": (["run"],),
    }[remove]
    for thread in ("thread", "other"):
        run_id = "run" if thread == "thread" else "another"
        Chain(saver, thread).put({"n": 0}, metadata={"user_id": thread, "run_id": run_id})
        # What is left of the thread then is no thread of the directory.
        Chain(saver, thread, "sub").put({"n": 0})
    saver.call(
        saver.saver, remove, *arguments, **({"strategy": "delete"} if remove == "prune" else {})
    )
    assert said(ready_database) == {"other": {"user_id": "other"}}


def test_pruning_keeps_what_was_said(saver, ready_database):
    chain = Chain(saver, "thread")
    chain.put({"n": 0}, metadata={"user_id": "ada"})
    chain.put({"n": 1})
    saver.prune(["thread"])
    assert len(saver.list(config_of("thread"))) == 1
    assert said(ready_database) == {"thread": {"user_id": "ada"}}


def test_removing_a_run_takes_back_what_it_said(saver, ready_database):
    chain = Chain(saver, "thread")
    chain.put({}, metadata={"run_id": "1", "user_id": "ada", "plan": "free", "kept": 1})
    chain.put({}, metadata={"run_id": "2", "plan": "paid", "secret": "x"})
    chain.put({}, metadata={"run_id": "2", "plan": "gold", "secret": "y", "kept": 2})
    chain.put({}, metadata={"run_id": "3", "kept": 3})
    Chain(saver, "other").put({}, metadata={"run_id": "9", "plan": "gold", "secret": "y"})
    # (Of the same checkpoint id in another namespace nothing is meant.)
    sub = Chain(saver, "thread", "sub")
    sub.put({}, metadata={"run_id": "2", "user_id": "ada"})
    saver.delete_for_runs(["2"])
    assert said(ready_database) == {
        "thread": {"user_id": "ada", "plan": "free", "kept": 3},
        "other": {"plan": "gold", "secret": "y"},
    }


def test_copy_takes_it_along(saver, ready_database):
    chain = Chain(saver, "thread")
    chain.put({"n": 0}, metadata={"user_id": "ada"})
    saver.copy_thread("thread", "copy")
    assert said(ready_database)["copy"] == {"user_id": "ada"}
    chain.put({"n": 1}, metadata={"user_id": "bob"})
    saver.copy_thread("thread", "copy")
    assert said(ready_database) == {"thread": {"user_id": "bob"}, "copy": {"user_id": "bob"}}


def test_writer_that_is_behind_says_it_all_the_same(ready_database):
    """The first try stores nothing, nor does it say anything."""
    variant = Variant("sync", "conninfo", "snapshot")
    with variant.open(ready_database) as one, variant.open(ready_database) as two:
        chain = Chain(one, "thread")
        head = chain.put({"m": ["long " * 100]}, metadata={"user_id": "ada"})
        two.get_tuple(head)
        chain.put({"m": ["other " * 100]})
        chain.saver = two
        chain.put({"m": ["third " * 100]}, parent=head, metadata={"user_id": "bob", "seen": 1})
    assert said(ready_database) == {"thread": {"user_id": "bob", "seen": 1}}
