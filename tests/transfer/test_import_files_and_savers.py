"""Threads of SqliteSaver's file, and of any saver through its methods."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.postgres import PostgresSaver, ShallowPostgresSaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite import SqliteSaver
from left_threads import CONFIG, THREAD, THREADS, outcome

from graphs import agent_turn_graph, approve
from helpers import SERDES, Chain
from langgraph_pg_snapshot import PostgresSnapshotSaver
from langgraph_pg_snapshot.transfer import (
    AnySaver,
    SqliteFile,
    aimport_threads,
    import_threads,
)
from langgraph_pg_snapshot.transfer.savers import numbered


def all_of(saver) -> list[tuple]:
    """Every checkpoint of the thread, without what only names the config."""
    found = saver.list({"configurable": {"thread_id": THREAD}})
    return sorted(
        (
            (
                each.config["configurable"]["checkpoint_ns"],
                each.checkpoint["id"],
                (each.parent_config or {"configurable": {}})["configurable"].get("checkpoint_id"),
                each.checkpoint,
                each.pending_writes,
                {key: value for key, value in each.metadata.items() if "counters" not in key},
            )
            for each in found
        ),
        key=lambda row: row[:2],
    )


@pytest.mark.parametrize("name", THREADS)
def test_sqlite_file_comes_over_as_it_is(name: str, saver: PostgresSnapshotSaver, tmp_path: Path):
    path = tmp_path / "a thread?#.sqlite"
    with SqliteSaver.from_conn_string(str(path)) as source:
        THREADS[name].leave(source)
        # Part of it lies in the file's log as long as the file is open
        report = import_threads(saver, SqliteFile(path))
        assert report.problems == []
        assert all_of(saver) == all_of(source)
        assert outcome(THREADS[name], saver) == outcome(THREADS[name], source)


def test_sqlite_file_stays_as_it_is(saver: PostgresSnapshotSaver, tmp_path: Path):
    path = tmp_path / "threads.sqlite"
    with SqliteSaver.from_conn_string(str(path)) as source:
        THREADS["two-interrupts"].leave(source)
    before = path.read_bytes()
    assert import_threads(saver, SqliteFile(path)).ok
    assert path.read_bytes() == before
    with pytest.raises(sqlite3.OperationalError, match="readonly"), SqliteFile(path).open() as read:
        read._connection.execute("DELETE FROM writes")


@pytest.mark.parametrize("name", THREADS)
@pytest.mark.parametrize("wrap", [AnySaver, lambda saver: saver], ids=["wrapped", "as-it-is"])
def test_memory_comes_over_as_it_is(name: str, wrap: Callable, saver: PostgresSnapshotSaver):
    source = InMemorySaver()
    THREADS[name].leave(source)
    report = import_threads(saver, wrap(source))
    assert report.problems == []
    assert all_of(saver) == all_of(source)
    assert outcome(THREADS[name], saver) == outcome(THREADS[name], source)


@pytest.mark.parametrize("name", THREADS)
def test_official_saver_comes_over_by_its_methods(
    name: str, official: PostgresSaver, saver: PostgresSnapshotSaver
):
    THREADS[name].leave(official)
    report = import_threads(saver, AnySaver(official))
    assert report.problems == []
    assert all_of(saver) == all_of(official)
    assert outcome(THREADS[name], saver) == outcome(THREADS[name], official)


@pytest.mark.filterwarnings("ignore:.*ShallowPostgresSaver:DeprecationWarning")
def test_shallow_saver_comes_over_by_its_methods(database: str):
    with ShallowPostgresSaver.from_conn_string(database) as source:
        source.setup()
        THREADS["interrupt"].leave(source)
        with PostgresSnapshotSaver(database) as saver:
            report = import_threads(saver, source, thread_ids=[THREAD])
            assert (report.problems, report.new, report.checkpoints) == ([], 1, 1)
            assert outcome(THREADS["interrupt"], saver) == outcome(THREADS["interrupt"], source)


def test_paths_and_numbers_of_writes_in_memory_stay(
    saver: PostgresSnapshotSaver, shared_database: str
):
    source = InMemorySaver()
    config = Chain(source, "t").put({"log": ["value"]})
    source.put_writes(config, [("__interrupt__", 0), ("log", 1)], "a", "~path 2")
    source.put_writes(config, [("log", 2)], "b", "~path 1")
    assert import_threads(saver, source).ok
    with psycopg.connect(shared_database) as connection:
        query = "SELECT task_id, idx, task_path FROM agent_checkpoints_writes ORDER BY 1, 2"
        assert connection.execute(query).fetchall() == [
            ("a", -3, "~path 2"),
            ("a", 1, "~path 2"),
            ("b", 0, "~path 1"),
        ]


async def test_async_saver_of_the_running_loop_comes_over(
    shared_database: str, saver: PostgresSnapshotSaver
):
    async with AsyncPostgresSaver.from_conn_string(shared_database) as source:
        await agent_turn_graph(source).ainvoke({"log": ["start"]}, CONFIG)
        report = await aimport_threads(saver, source, thread_ids=[THREAD])
    assert (report.problems, report.new) == ([], 1)
    result = await agent_turn_graph(saver).ainvoke(approve(), CONFIG)
    assert result["log"][-1] == "approved"
    await saver.aclose()


def test_another_snapshot_saver_comes_over_into_another_serializer(
    saver: PostgresSnapshotSaver, shared_database: str
):
    THREADS["two-interrupts"].leave(saver)
    jsonplus = JsonPlusSerializer()
    as_lists = lambda rows: jsonplus.loads_typed(jsonplus.dumps_typed(rows))
    for serde in ("jsonplus", "encrypted"):
        with PostgresSnapshotSaver(
            shared_database, table_name=serde, serde=SERDES[serde]()
        ) as target:
            report = import_threads(target, saver)
            assert (report.problems, report.new) == ([], 1)
            # JsonPlusSerializer makes lists of tuples
            assert all_of(target) != all_of(saver)
            assert as_lists(all_of(target)) == as_lists(all_of(saver))


def test_writes_of_a_saver_that_does_not_tell_paths_stay_in_order():
    pending = [("b", "log", 1), ("b", "__error__", 2), ("b", "log", 3), ("a", "log", 4)]
    writes = numbered(pending)
    assert [(w.task_id, w.idx) for w in writes] == [("b", 0), ("b", -1), ("b", 2), ("a", 0)]
    assert [w.task_path for w in writes] == sorted(w.task_path for w in writes)
    in_order = [("a", "log", 1), ("a", "log", 2), ("b", "log", 3)]
    assert {w.task_path for w in numbered(in_order)} == {""}
