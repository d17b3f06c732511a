"""Counts and sizes of what is stored."""

from __future__ import annotations

import psycopg
import pytest

from helpers import Chain, Variant
from langgraph_pg_snapshot import PostgresSnapshotSaver, StorageStats, TableSize

LONG = [{"text": f"{n} " * 100} for n in range(30)]


def test_counts_are_exact_and_the_largest_come_first(any_saver):
    for n in range(12):
        chain = Chain(any_saver, f"t{n:02}")
        config = chain.put({"m": LONG[: 2 + 2 * n]})
        any_saver.put_writes(config, [("a", 1), ("b", LONG)], "task")
    Chain(any_saver, "t11", "sub").put({"m": LONG[:5]})
    Chain(any_saver, "only a call", "sub").put({"n": 1})
    any_saver.put_writes(
        {"configurable": {"thread_id": "early", "checkpoint_ns": "", "checkpoint_id": "c"}},
        [("a", 1)],
        "task",
    )
    stats = any_saver.stats()
    assert isinstance(stats, StorageStats)
    assert (stats.threads, stats.checkpoints, stats.writes) == (13, 14, 25)
    largest = stats.largest_threads
    assert [each.thread_id for each in largest] == [f"t{n:02}" for n in range(11, 1, -1)]
    assert (largest[0].checkpoints, largest[0].items, largest[0].writes) == (2, 24 + 5, 2)
    assert [each.items for each in largest[1:]] == [2 + 2 * n for n in range(10, 1, -1)]
    sizes = [each.bytes for each in largest]
    assert sizes == sorted(sizes, reverse=True)
    # Whether a small value is an item is the serializer's affair.
    readable = any_saver.saver.serde.__class__.__name__ == "SnapshotSerializer"
    assert stats.items == sum(2 + 2 * n for n in range(12)) + 5 + (not readable)
    any_saver.prune([each.thread_id for each in largest], strategy="delete")
    assert any_saver.stats().threads == 3


def test_nothing_stored(saver):
    stats = saver.stats()
    assert (stats.threads, stats.checkpoints, stats.items, stats.writes) == (0, 0, 0, 0)
    assert stats.largest_threads == []
    assert {type(each) for each in stats.tables} == {TableSize}


@pytest.mark.parametrize(
    "options", [{}, {"schema": "apart"}, {"table_name": 'od"d %s name'}], ids=str
)
def test_sizes_are_those_of_the_tables(database, options):
    with PostgresSnapshotSaver(database, **options) as saver:
        before = {each.name: each for each in saver.stats().tables}
        Chain(saver, "thread").put({"m": [{"n": n, "text": f"{n} " * 300} for n in range(300)]})
        after = {each.name: each for each in saver.stats().tables}
        name = options.get("table_name", "agent_checkpoints")
        with psycopg.connect(database) as conn:
            expected = conn.execute(
                "SELECT relname, pg_total_relation_size(oid), pg_indexes_size(oid) FROM pg_class"
                " WHERE relkind = 'r' AND left(relname, %s) = %s",
                [len(name), name],
            ).fetchall()
        assert sorted(after.values()) == sorted(expected)
        items = f"{name}_items"
        assert after[items].bytes > before[items].bytes + 20_000
        assert 0 < after[items].index_bytes < after[items].bytes


def test_long_values_are_measured_as_they_are_stored(ready_database):
    """Compressed, and out of line: what is measured is what they take."""
    with Variant("sync", "conninfo", "snapshot").open(ready_database) as saver:
        Chain(saver, "thread").put({"text": "the same words " * 100_000})
        [found] = saver.stats().largest_threads
    assert 1_000 < found.bytes < 100_000
