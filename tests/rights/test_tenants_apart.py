"""What one tenant does, no other sees: every method, with the same names and numbers in each."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from methods import IDS, METHODS, RUN, THREAD, fill, rows_of
from psycopg import sql
from psycopg_pool import ConnectionPool

from helpers import Chain, Driven, Variant, config_of
from langgraph_pg_snapshot import (
    ConcurrentUpdateError,
    PostgresSnapshotSaver,
    SnapshotSerializer,
)

COLOURS = [Variant("sync", "conninfo", "snapshot"), Variant("async", "plain", "snapshot")]


@pytest.mark.parametrize("variant", COLOURS, ids=str)
@pytest.mark.parametrize("name", METHODS)
def test_a_method_neither_shows_nor_touches_what_is_another_tenants(place, variant, name):
    with (
        variant.open(place.runtime, tenant="a") as a,
        variant.open(place.runtime, tenant="b") as b,
    ):
        fill(a, "mark of a")
        before = rows_of(place.admin, "a")
        fill(b, "mark of b")
        assert rows_of(place.admin, "a") == before
        assert "mark of a" not in repr(METHODS[name](b))
        assert rows_of(place.admin, "a") == before
        # And a finds all of it, in a process that knows nothing.
        with variant.open(place.runtime, tenant="a") as fresh:
            found = fresh.load_state(THREAD)
            assert found["who"] == "mark of a"
            assert [row["text"].split(" " + str(n))[0] for n, row in enumerate(found["rows"])] == [
                "mark of a"
            ] * len(IDS)
            assert len(fresh.list(None)) == 2 * (len(IDS) + 1)


WRITE = {"put", "put_writes", "save_state", "exclusive"}


@pytest.mark.parametrize("variant", COLOURS, ids=str)
@pytest.mark.parametrize("name", sorted(METHODS.keys() - WRITE))
def test_to_a_new_tenant_the_database_is_empty(place, make_place, variant, name):
    with variant.open(place.runtime, tenant="a") as a:
        fill(a, "mark of a")
    before = rows_of(place.admin, "a")
    with variant.open(place.runtime, tenant="new") as new:
        shown = repr(METHODS[name](new))
    with make_place(tenants=False) as empty, variant.open(empty.runtime) as alone:
        assert shown == repr(METHODS[name](alone))
    assert rows_of(place.admin, "a") == before


def test_savers_of_two_tenants_may_share_a_pool_and_a_serializer(place):
    serde = SnapshotSerializer()
    with ConnectionPool(place.runtime, min_size=1, max_size=1) as pool:
        savers = {
            tenant: Driven(PostgresSnapshotSaver(pool=pool, tenant=tenant, serde=serde), None)
            for tenant in "ab"
        }
        for _ in range(3):
            for tenant, saver in savers.items():
                fill(saver, f"mark of {tenant}")
        for tenant, saver in savers.items():
            assert saver.load_state(THREAD)["who"] == f"mark of {tenant}"
            assert saver.get_tuple(config_of(THREAD)).metadata["user_id"] == f"mark of {tenant}"
            assert len(saver.list(None)) == 2 * (len(IDS) + 1)
        # What is left on the connection is nobody's.
        with pool.connection() as conn:
            left = conn.execute("SELECT current_setting('langgraph_pg_snapshot.tenant')")
            assert left.fetchone() == ("",)
            assert conn.execute("SELECT * FROM agent_checkpoints").fetchall() == []


def test_two_tenants_have_a_thread_for_themselves_at_once(place):
    with (
        PostgresSnapshotSaver(place.runtime, tenant="a") as a,
        PostgresSnapshotSaver(place.runtime, tenant="b") as b,
        a.exclusive(THREAD) as of_a,
        b.exclusive(THREAD, timeout=0) as of_b,
    ):
        assert of_a.token != of_b.token
        a.save_state(THREAD, {"who": "a"})
        b.save_state(THREAD, {"who": "b"})
        assert (a.load_state(THREAD), b.load_state(THREAD)) == ({"who": "a"}, {"who": "b"})


def test_what_another_tenant_stores_is_no_conflict(place):
    def saver(tenant):
        return PostgresSnapshotSaver(place.runtime, tenant=tenant, on_conflict="raise")

    with saver("a") as a, saver("a") as same, saver("b") as b:
        chains = []
        for each in (a, same, b):
            # As a run goes on from its newest: by an id that nobody asked for.
            chain = Chain(Driven(each, None), THREAD)
            chain.put({"who": "first"}, checkpoint_id=IDS[0])
            chain.head = config_of(THREAD, IDS[0])
            chains.append(chain)
        late, overtaking, of_b = chains
        of_b.put({"who": "b"}, checkpoint_id=IDS[3])
        overtaking.put({"who": "a"}, checkpoint_id=IDS[1])
        with pytest.raises(ConcurrentUpdateError):
            late.put({"who": "late"}, checkpoint_id=IDS[2])
        # And without one of the same tenant's, b's newer one is none.
        overtaking.put({"who": "a again"}, checkpoint_id=IDS[2])
        assert a.load_state(THREAD) == {"who": "a again"}
        assert b.load_state(THREAD) == {"who": "b"}


def test_a_removal_waits_for_writes_under_way_of_any_tenant(place):
    with (
        PostgresSnapshotSaver(place.runtime, tenant="a") as a,
        PostgresSnapshotSaver(place.runtime, tenant="b") as b,
        psycopg.connect(place.runtime) as of_a,
        psycopg.connect(place.admin, autocommit=True) as watching,
        ThreadPoolExecutor(1) as pool,
    ):
        fill(Driven(a, None), "mark of a")
        fill(Driven(b, None), "mark of b")
        of_a.execute("SELECT set_config('langgraph_pg_snapshot.tenant', 'a', true)")
        of_a.execute("UPDATE agent_checkpoints_threads SET epoch = epoch")
        removal = pool.submit(b.delete_for_runs, [RUN])
        pausing = (
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event = 'PgSleep'"
        )
        while watching.execute(pausing).fetchone() == (0,):
            assert not removal.done()
        of_a.rollback()
        removal.result(30)
        assert b.load_state(THREAD) is None
        assert a.load_state(THREAD)["who"] == "mark of a"


def test_erasures_are_a_tenants_own(place):
    """What was erased for one tenant may come late in another's name."""
    with (
        PostgresSnapshotSaver(place.runtime, tenant="a") as first,
        PostgresSnapshotSaver(place.runtime, tenant="b") as second,
    ):
        a, b = Driven(first, None), Driven(second, None)
        for each, mark in ((a, "mark of a"), (b, "mark of b")):
            fill(each, mark)
        a.delete_for_runs([RUN])
        a.erase(thread_ids=["other"])
        a.delete_thread(THREAD)
        for each, is_kept in ((a, False), (b, True)):
            for thread_id in (THREAD, "other"):
                late = Chain(each, thread_id)
                late.put(
                    {"who": "late"},
                    parent=config_of(thread_id, IDS[-1]),
                    metadata={"run_id": RUN},
                )
                each.put_writes(late.head, [("w", 1)], "task")
                found = each.get_tuple(config_of(thread_id))
                assert (found is not None) is is_kept
                if found is not None:
                    assert found.config == late.head
                    assert len(found.pending_writes) == 1


def test_writes_that_came_early_wait_for_their_own_tenants_checkpoint(place):
    early = config_of(THREAD, IDS[1])
    with (
        PostgresSnapshotSaver(place.runtime, tenant="a") as first,
        PostgresSnapshotSaver(place.runtime, tenant="b") as second,
    ):
        a, b = Driven(first, None), Driven(second, None)
        for each in (a, b):
            each.delete_thread(THREAD)  # from now on, what is early waits in the process
        a.put_writes(early, [("w", "of a")], "task")
        Chain(b, THREAD).put({"who": "b"}, checkpoint_id=IDS[1])
        assert b.get_tuple(early).pending_writes == []
        Chain(a, THREAD).put({"who": "a"}, checkpoint_id=IDS[1])
        assert a.get_tuple(early).pending_writes == [("task", "w", "of a")]
        assert b.get_tuple(early).pending_writes == []


@pytest.mark.parametrize(
    "view", ["agent_checkpoints", *(f"agent_checkpoints_{v}" for v in ("messages", "steps"))]
)
def test_views_show_one_tenant_at_a_time_whoever_asks(place, view):
    for tenant in "ab":
        with PostgresSnapshotSaver(place.runtime, tenant=tenant) as saver:
            saver.save_state(THREAD, {"messages": [("user", f"mark of {tenant}")] * 2})
            saver.save_state(
                THREAD, {"messages": [{"role": "user", "content": f"mark of {tenant}"}]}
            )
    query = sql.SQL("SELECT v::text FROM {} AS v").format(sql.Identifier(view))
    for dsn in (place.admin, place.owner, place.runtime, place.reader):
        with psycopg.connect(dsn) as conn:
            assert conn.execute(query).fetchall() == []
            counts = set()
            for tenant in "ab":
                conn.execute(
                    "SELECT set_config('langgraph_pg_snapshot.tenant', %s, true)", [tenant]
                )
                shown = conn.execute(query).fetchall()
                counts.add(len(shown))
                other = "b" if tenant == "a" else "a"
                assert f"mark of {other}" not in repr(shown)
            assert len(counts) == 1
            assert counts != {0}
