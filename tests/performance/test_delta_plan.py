"""The walk back along a DeltaChannel's checkpoints reads each of them by its key."""

from __future__ import annotations

import psycopg

from helpers import Chain, Driven, config_of
from langgraph_pg_snapshot import PostgresSnapshotSaver

ANCESTORS = 80


def touched(node) -> int:
    """The most rows that one node of a plan was asked for, those it threw away among them."""
    thrown = sum(count for key, count in node.items() if key.startswith("Rows Removed"))
    here = node["Actual Loops"] * (node["Actual Rows"] + thrown)
    return max([here, *map(touched, node.get("Plans", ()))])


def test_each_ancestor_is_looked_up_once(any_ready_database):
    """No statistics: autovacuum is off, and a thread that grows is ahead of it anyway."""
    with PostgresSnapshotSaver(any_ready_database, auto_setup=False) as saver:
        chain = Chain(Driven(saver, None), "thread")
        for n in range(ANCESTORS + 1):
            chain.put({"other": n})
            saver.put_writes(chain.head, [("log", [n])], "task")
        found = saver.get_delta_channel_history(config=config_of("thread"), channels=["log"])
        assert len(found["log"]["writes"]) == ANCESTORS
        query = saver._store.queries("get_delta_history", "which_any")
    params = {"thread_id": "thread", "checkpoint_ns": "", "channels": ["log"]}
    with psycopg.connect(any_ready_database) as conn:
        explain = b"EXPLAIN (ANALYZE, FORMAT JSON) " + query
        [(plans,)] = conn.execute(explain, params).fetchall()
    assert touched(plans[0]["Plan"]) <= 3 * ANCESTORS
