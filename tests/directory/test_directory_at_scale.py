"""The directory of 500,000 threads: what a page reads, wherever it is. Rows count, not time."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import psycopg
import pytest

from directory.plans import watched
from langgraph_pg_snapshot import PostgresSnapshotSaver, ThreadInfo

THREADS = 500_000
PAGE = 20
BEGUN = datetime(2026, 1, 1, tzinfo=timezone.utc)

# Threads in the order in which they came, with updates all over: physical order tells nothing.
FILL = (
    """
    INSERT INTO agent_checkpoints_threads
    SELECT 'thread-' || n, '', %(begun)s,
        %(begun)s + (n::bigint * 7919 %% %(threads)s) * interval '1 second', 0, '{}', n
    FROM generate_series(1, %(threads)s) AS n
    """,
    """
    INSERT INTO agent_checkpoints_metadata
    SELECT 'thread-' || n, jsonb_build_object('user_id', 'user-' || n / 20, 'plan', n %% 2)
    FROM generate_series(1, %(threads)s) AS n
    """,
    """
    INSERT INTO agent_checkpoints_history
    SELECT 'thread-' || n, '', '1', NULL, NULL, now(),
        '{"v": 4, "channel_versions": {}}', '{"step": 1}', NULL, NULL, '{}', '{}', 0
    FROM generate_series(1, %(threads)s) AS n
    """,
)


def fill(dsn, threads):
    with psycopg.connect(dsn, autocommit=True) as conn:
        for statement in FILL:
            conn.execute(statement, {"begun": BEGUN, "threads": threads})


@pytest.fixture(scope="module", params=["never analyzed", "analyzed"])
def many(request, server):
    """The database, at first as the planner knows nothing of it."""

    def fill_many(dsn):
        with PostgresSnapshotSaver(dsn) as saver:
            saver.setup()
        fill(dsn, THREADS)

    with server.clone(server.template("many", fill_many)) as dsn:
        if request.param == "analyzed":
            with psycopg.connect(dsn, autocommit=True) as conn:
                conn.execute("ANALYZE")
        yield dsn


MODES = ("force_custom_plan", "force_generic_plan")


def place(order, rank, threads=THREADS):
    """The thread of this rank, as the last one of the page before."""
    seconds = threads - rank if order == "newest" else rank - 1
    [n] = (n for n in range(1, threads + 1) if n * 7919 % threads == seconds)
    return ThreadInfo(f"thread-{n}", BEGUN, BEGUN + timedelta(seconds=seconds))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_page_1000_reads_what_page_1_reads(many, order, mode):
    read = []
    with watched(many, plan_cache_mode=mode) as (saver, explain):
        for before in (None, place(order, 999 * PAGE)):
            for _ in range(7):  # from the fifth time on as a prepared statement
                plan = explain(
                    lambda b=before: saver.list_threads(limit=PAGE, before=b, order=order)
                )
            assert "agent_checkpoints_threads_updated_at_idx" in plan.indexes, plan
            assert plan.scans["threads"] == {"Index Scan"}, plan
            assert all("Seq Scan" not in kinds for kinds in plan.scans.values()), plan
            # Rows of equal time are put in order, so it looks for them a little beyond the page.
            assert PAGE <= plan.scanned["threads"] <= 2 * PAGE, plan
            assert plan.scanned["history"] == 2 * PAGE  # its count, and its head
            assert plan.scanned["metadata"] == PAGE
            read.append((plan.buffers, plan.scanned["threads"]))
        found = saver.list_threads(limit=PAGE, before=place(order, 999 * PAGE), order=order)
    last = THREADS - 999 * PAGE if order == "newest" else 999 * PAGE - 1
    step = -1 if order == "newest" else 1
    assert [(each.updated_at - BEGUN).total_seconds() for each in found] == [
        last + step * n for n in range(1, PAGE + 1)
    ]
    (first, first_rows), (thousandth, thousandth_rows) = read
    assert abs(thousandth - first) <= 8  # another leaf or two of an index
    assert abs(thousandth_rows - first_rows) <= 1
    assert first <= 16 * PAGE


FILTERS = [
    {"user_id": "user-777"},
    {"user_id": "user-777", "plan": 1},
    {"user_id": "user-7", "x": None},
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("wanted", FILTERS, ids=str)
@pytest.mark.parametrize("page", [1, 2])
def test_selective_filter_goes_by_its_index(many, wanted, mode, page):
    with watched(many, plan_cache_mode=mode) as (saver, explain):
        before = None if page == 1 else saver.list_threads(limit=5, filter=wanted)[-1]
        for _ in range(7):
            plan = explain(lambda: saver.list_threads(limit=PAGE, before=before, filter=wanted))
        found = saver.list_threads(limit=PAGE, before=before, filter=wanted)
    assert len(found) == (10 if "plan" in wanted else 20) - 5 * (page - 1)
    assert "agent_checkpoints_metadata_metadata_idx" in plan.indexes, plan
    assert plan.scanned["threads"] <= PAGE, plan
    assert plan.scanned["metadata"] <= 3 * PAGE


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("wanted", [{"plan": 1}, {"nothing": None}], ids=str)
@pytest.mark.parametrize("rank", [1, 20_000])
def test_filter_that_many_match_reads_no_more_than_it_takes(many, wanted, mode, rank):
    before = place("newest", rank)
    with watched(many, plan_cache_mode=mode) as (saver, explain):
        for _ in range(7):
            plan = explain(lambda: saver.list_threads(limit=PAGE, before=before, filter=wanted))
    assert "agent_checkpoints_threads_updated_at_idx" in plan.indexes, plan
    assert plan.scanned["threads"] <= 6 * PAGE


@pytest.mark.parametrize("mode", MODES)
def test_removing_a_thread_looks_at_no_other(many, mode):
    with watched(many, plan_cache_mode=mode) as (saver, explain):
        explain.conn.prepare_threshold = 0
        plans = explain.all(lambda: saver.delete_thread("thread-0"))  # (none, so that all stay)
        assert max(plan.touched for plan in plans) <= 2, plans


def test_plans_on_every_version(any_ready_database):
    threads = 30_000
    fill(any_ready_database, threads)
    with psycopg.connect(any_ready_database, autocommit=True) as conn:
        conn.execute("VACUUM ANALYZE")
    for mode in MODES:
        with watched(any_ready_database, plan_cache_mode=mode) as (saver, explain):
            for order in ("newest", "oldest"):
                before = place(order, 100 * PAGE, threads)
                for _ in range(7):
                    plan = explain(
                        lambda b=before, o=order: saver.list_threads(limit=PAGE, before=b, order=o)
                    )
                assert "agent_checkpoints_threads_updated_at_idx" in plan.indexes, plan
                assert PAGE <= plan.scanned["threads"] <= 2 * PAGE, plan
            for _ in range(7):
                plan = explain(lambda: saver.list_threads(filter={"user_id": "user-7"}))
            assert "agent_checkpoints_metadata_metadata_idx" in plan.indexes, plan
            assert plan.scanned["threads"] == 20, plan
