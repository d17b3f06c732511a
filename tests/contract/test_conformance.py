"""LangGraph's own conformance suite, with every capability detected and nothing skipped."""

from __future__ import annotations

import pytest
from langgraph.checkpoint.conformance import checkpointer_test, validate
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from helpers import AWKWARD, SERDES
from langgraph_pg_snapshot import PostgresSnapshotSaver

# How many tests each capability has in langgraph-checkpoint-conformance 0.0.2.
COUNTS = {
    "put": 17,
    "put_writes": 10,
    "get_tuple": 10,
    "list": 16,
    "delete_thread": 5,
    "delete_for_runs": 7,
    "copy_thread": 8,
    "prune": 8,
}


@pytest.mark.parametrize(
    ("through", "serde"),
    [
        ("conninfo", "snapshot"),
        ("conninfo", "jsonplus"),
        ("conninfo", "encrypted"),
        ("no-autocommit", "snapshot"),
        ("prepare-never", "encrypted"),
        ("sync-pool", "snapshot"),
    ],
)
async def test_conformance(server, through, serde):
    @checkpointer_test(name=f"{through} {serde}")
    async def factory():
        # list(None) of one suite must not see what another one left.
        with server.clone(server.template("empty")) as dsn:
            if through == "conninfo":
                async with PostgresSnapshotSaver(dsn, serde=SERDES[serde]()) as saver:
                    yield saver
            elif through == "sync-pool":
                with ConnectionPool(dsn, min_size=1) as pool:
                    yield PostgresSnapshotSaver(pool=pool, serde=SERDES[serde]())
            else:
                async with AsyncConnectionPool(dsn, min_size=1, kwargs=AWKWARD[through]) as pool:
                    yield PostgresSnapshotSaver(async_pool=pool, serde=SERDES[serde]())

    report = await validate(factory)
    failures = [failure for result in report.results.values() for failure in result.failures or []]
    assert failures == []
    assert {name: result.tests_passed for name, result in report.results.items()} == COUNTS
    assert all(
        result.detected and not result.tests_skipped and not result.tests_failed
        for result in report.results.values()
    )
