"""Imports that are done again: after a kill, after the source went on, over what is there."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable

import psycopg
import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.postgres import PostgresSaver
from left_threads import CONFIG, THREAD, THREADS

from graphs import steps_graph
from helpers import Chain, config_of
from langgraph_pg_snapshot import PostgresSnapshotSaver
from langgraph_pg_snapshot.transfer import OfficialTables, import_threads
from langgraph_pg_snapshot.transfer.threads import Found

KILLED = """
import os, signal, sys
from langgraph_pg_snapshot import PostgresSnapshotSaver
from langgraph_pg_snapshot.transfer import OfficialTables, import_threads

def on_progress(progress):
    if (progress.thread_id, progress.checkpoints_done) == ("b", int(sys.argv[2])):
        os.kill(os.getpid(), signal.SIGKILL)

import_threads(PostgresSnapshotSaver(sys.argv[1]), OfficialTables(sys.argv[1]), verify=False,
    on_progress=on_progress)
"""


def fill(saver, thread_id: str, steps: int) -> Chain:
    """A thread with writes at each checkpoint."""
    chain = Chain(saver, thread_id)
    for step in range(steps):
        log = [f"{thread_id} {n} " + "and so on " * 20 for n in range(step + 1)]
        config = chain.put({"log": log, "step": step})
        saver.put_writes(config, [("log", [step]), ("step", step)], f"task {step}", "~path")
    return chain


def state_of(dsn: str) -> list[object]:
    """All that is stored of checkpoints and writes, but for when."""
    with psycopg.connect(dsn) as connection:
        return [
            *connection.execute(
                "SELECT thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, created_at,"
                " header, metadata, channel_values, items FROM agent_checkpoints_history"
                " ORDER BY 1, 2, 3"
            ),
            *connection.execute(
                "SELECT thread_id, checkpoint_ns, checkpoint_id, task_id, idx, task_path, channel,"
                " value FROM agent_checkpoints_writes ORDER BY 1, 2, 3, 4, 5"
            ),
            *connection.execute(
                "SELECT thread_id, checkpoint_ns, item_id, item FROM agent_checkpoints_items"
                " ORDER BY 1, 2, 3"
            ),
        ]


@pytest.mark.parametrize("steps", [0, 1, 3, 6])
def test_import_that_was_killed_goes_on_and_ends_the_same(
    steps: int,
    official: PostgresSaver,
    saver: PostgresSnapshotSaver,
    shared_database: str,
    our_rows: Callable[[], str],
):
    for thread_id in "abc":
        fill(official, thread_id, 6)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, shared_database, str(steps)], check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert len(list(saver.list(config_of("b")))) == steps
    assert not list(saver.list(config_of("c")))
    report = import_threads(saver, OfficialTables(shared_database))
    assert report.problems == []
    partly = 0 < steps < 6
    assert (report.unchanged, report.continued, report.new) == (
        1 + (steps == 6), int(partly), 1 + (steps == 0),
    )  # fmt: skip
    assert report.checkpoints == 6 + 6 - steps
    ended, ended_rows = state_of(shared_database), our_rows()
    report = import_threads(saver, OfficialTables(shared_database))
    assert (report.problems, report.unchanged, report.verified) == ([], 3, 18)
    assert our_rows() == ended_rows
    for thread_id in "abc":
        saver.delete_thread(thread_id)
    assert import_threads(saver, OfficialTables(shared_database)).new == 3
    assert state_of(shared_database) == ended


def test_checkpoint_that_came_without_its_writes_gets_them(
    official: PostgresSaver, saver: PostgresSnapshotSaver, shared_database: str
):
    fill(official, "t", 3)
    source = OfficialTables(shared_database)
    import_threads(saver, source)
    whole = state_of(shared_database)
    with psycopg.connect(shared_database) as connection:
        connection.execute(
            "DELETE FROM agent_checkpoints_writes WHERE task_id = 'task 1' AND idx = 1"
        )
    report = import_threads(saver, source)
    assert (report.problems, report.continued, report.checkpoints) == ([], 1, 0)
    assert state_of(shared_database) == whole


def test_what_the_source_got_since_comes_over(
    official: PostgresSaver, saver: PostgresSnapshotSaver, shared_database: str
):
    source = OfficialTables(shared_database)
    THREADS["interrupt"].leave(official)
    assert import_threads(saver, source).ok
    before = len(list(official.list(CONFIG)))
    THREADS["interrupt"].go_on(official)
    THREADS["interrupt"].leave(official)
    report = import_threads(saver, source)
    assert (report.problems, report.continued) == ([], 1)
    assert report.checkpoints == len(list(official.list(CONFIG))) - before
    assert len(list(saver.list(CONFIG))) == len(list(official.list(CONFIG)))


def test_thread_that_went_on_here_is_left_alone(
    official: PostgresSaver,
    saver: PostgresSnapshotSaver,
    shared_database: str,
    our_rows: Callable[[], str],
):
    source = OfficialTables(shared_database)
    THREADS["interrupt"].leave(official)
    import_threads(saver, source)
    THREADS["interrupt"].go_on(saver)
    before = our_rows()
    report = import_threads(saver, source)
    assert (report.problems, report.unchanged, report.verified) == ([], 1, 0)
    assert our_rows() == before
    # Both went on by now: neither can be had without losing the other.
    THREADS["interrupt"].go_on(official)
    report = import_threads(saver, source)
    assert [(p.thread_id, p.kind) for p in report.problems] == [(THREAD, "conflict")]
    assert our_rows() == before


def test_write_that_was_added_here_makes_it_a_thread_of_its_own(
    official: PostgresSaver, saver: PostgresSnapshotSaver, shared_database: str
):
    chain = fill(official, "t", 2)
    import_threads(saver, OfficialTables(shared_database))
    saver.put_writes(chain.head, [("log", "here")], "a task of here")
    assert import_threads(saver, OfficialTables(shared_database)).unchanged == 1
    chain.put({"step": 3})
    report = import_threads(saver, OfficialTables(shared_database))
    assert [(p.thread_id, p.kind) for p in report.problems] == [("t", "conflict")]
    assert len(list(saver.list(config_of("t")))) == 2


def test_thread_of_the_same_id_is_refused_and_named(
    official: PostgresSaver,
    saver: PostgresSnapshotSaver,
    shared_database: str,
    our_rows: Callable[[], str],
):
    fill(official, "mine", 2)
    fill(official, "other", 2)
    fill(saver, "mine", 1)
    before = list(saver.list(config_of("mine")))
    dry = import_threads(saver, OfficialTables(shared_database), dry_run=True)
    report = import_threads(saver, OfficialTables(shared_database))
    for each in (dry, report):
        assert [(p.thread_id, p.kind) for p in each.problems] == [("mine", "conflict")]
        assert (each.threads, each.new, each.ok) == (2, 1, False)
    assert list(saver.list(config_of("mine"))) == before
    assert "thread 'mine': conflict: " in str(report.problems[0])


def test_dry_run_counts_and_writes_nothing(official: PostgresSaver, shared_database: str):
    for thread_id in ("a", "b"):
        fill(official, thread_id, 3)
    source = OfficialTables(shared_database)
    with PostgresSnapshotSaver(shared_database, table_name="elsewhere") as saver:
        dry = import_threads(saver, source, dry_run=True)
        assert (dry.threads, dry.new, dry.checkpoints, dry.writes) == (2, 2, 6, 12)
        with psycopg.connect(shared_database) as connection:
            [(made,)] = connection.execute("SELECT to_regclass('elsewhere_history')")
        assert made is None
        done = import_threads(saver, source, thread_ids=["a"])
        assert (done.threads, done.new, done.checkpoints, done.writes) == (1, 1, 3, 6)
        fill(official, "a", 1)
        dry = import_threads(saver, source, dry_run=True, verify=True)
        assert (dry.new, dry.continued, dry.unchanged, dry.verified) == (1, 1, 0, 0)
        assert (dry.checkpoints, dry.writes) == (4, 8)
        assert dry.as_dict() | {"problems": 0} == {
            "dry_run": True, "threads": 2, "new": 1, "continued": 1, "unchanged": 0,
            "checkpoints": 4, "writes": 8, "verified": 0, "problems": 0, "ok": True,
        }  # fmt: skip


def test_thread_that_was_deleted_here_comes_again(
    official: PostgresSaver, saver: PostgresSnapshotSaver, shared_database: str
):
    """Late writes of a deleted thread's runs are not stored; an import is not one."""
    THREADS["subgraph-interrupt"].leave(official)
    source = OfficialTables(shared_database)
    for _ in range(2):
        assert import_threads(saver, source).new == 1
        saver.delete_thread(THREAD)
    report = import_threads(saver, source)
    assert (report.problems, report.new) == ([], 1)
    THREADS["subgraph-interrupt"].go_on(saver)
    assert saver.load_state(THREAD)["log"][-1] == "end"


def test_what_was_erased_of_a_thread_is_forgotten_when_it_comes_again(
    official: PostgresSaver, saver: PostgresSnapshotSaver, shared_database: str
):
    fill(official, "t", 2)
    with psycopg.connect(shared_database, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO agent_checkpoints_erased (thread_id, run_id)"
            " VALUES ('t', ''), ('t', 'run'), ('other', '')"
        )
        assert import_threads(saver, OfficialTables(shared_database)).ok
        found = connection.execute("SELECT thread_id FROM agent_checkpoints_erased").fetchall()
    assert found == [("other",)]


def test_one_checkpoint_is_held_at_a_time(
    official: PostgresSaver, saver: PostgresSnapshotSaver, shared_database: str
):
    import gc

    fill(official, "t", 30)
    held: set[int] = set()
    values: set[int] = set()

    def on_progress(_progress) -> None:
        alive = gc.get_objects()
        held.add(sum(isinstance(each, Found) for each in alive))
        lists = [each for each in alive if type(each) is list and len(each) > 0]
        values.add(sum(type(one[0]) is str and one[0].startswith("t 0 and") for one in lists))

    report = import_threads(saver, OfficialTables(shared_database), on_progress=on_progress)
    assert report.verified == 30
    assert max(held) <= 2
    assert max(values) <= 4


def test_a_message_is_stored_once(
    official: PostgresSaver, saver: PostgresSnapshotSaver, shared_database: str
):
    fill(official, "t", 30)
    import_threads(saver, OfficialTables(shared_database))
    with psycopg.connect(shared_database) as connection:
        [(items,)] = connection.execute("SELECT count(*) FROM agent_checkpoints_items")
    assert items == 30


def test_memory_that_went_on_is_taken_up(saver: PostgresSnapshotSaver):
    source = InMemorySaver()
    graph = steps_graph(source)
    graph.invoke({"log": ["start"]}, CONFIG)
    assert import_threads(saver, source).new == 1
    graph.invoke({"log": ["again"]}, CONFIG)
    report = import_threads(saver, source)
    assert (report.problems, report.continued) == ([], 1)
    assert import_threads(saver, source).unchanged == 1
