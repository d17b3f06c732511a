"""Two tenants on one connection, in turn: nothing of one is left when it is the other's turn."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pgbouncer
import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from graphs import human, tool_agent
from helpers import AWKWARD, Chain, Driven, config_of
from langgraph_pg_snapshot import PostgresSnapshotSaver, rights_sql, schema_sql

pytestmark = pytest.mark.timeout(120)
TENANTS = ("a", "b")


def _set_up(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(
            "DO $$ BEGIN CREATE ROLE runs_graphs LOGIN;"
            " EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
        )
        admin.execute(schema_sql(tenants=True) + rights_sql(runtime="runs_graphs", tenants=True))


@pytest.fixture
def database_of_tenants(server):
    """A database with tables for tenants."""
    with server.clone(server.template("faulty tenants", _set_up)) as dsn:
        yield dsn


def converse(saver, tenant: str, number: int) -> None:
    chain = Chain(Driven(saver, None), f"thread-{number % 3}-{number}")
    graph = tool_agent(saver)
    for turn in range(3):
        config = chain.put({"log": [f"{tenant} {n} " * 20 for n in range(turn + 1)]})
        saver.put_writes(config, [("w", tenant)], "task")
        graph.invoke({"messages": [human(f"{tenant} {turn}")]}, config_of(f"graph-{number}"))
        saver.save_state("shared", {"who": tenant})
        assert saver.load_state("shared") == {"who": tenant}
    assert (
        chain.values(config)["log"] == saver.get_tuple(config).checkpoint["channel_values"]["log"]
    )


def check_apart(dsn: str, numbers: int) -> None:
    with psycopg.connect(dsn) as admin:
        for tenant, other in (TENANTS, TENANTS[::-1]):
            threads = admin.execute(
                "SELECT count(DISTINCT thread_id) FROM agent_checkpoints_threads WHERE tenant = %s",
                [tenant],
            ).fetchone()
            assert threads == (numbers + 1,)
            for table in ("items", "writes", "history_by_tenant"):
                mixed = admin.execute(
                    f"SELECT t FROM agent_checkpoints_{table} AS t"  # noqa: S608 -- ours
                    " WHERE tenant = %s AND t::text ~ %s",
                    [tenant, rf'"(\[?\\?"?){other}( \d|\\?"|")'],
                ).fetchall()
                assert mixed == []


@pytest.mark.parametrize(
    "given",
    [None, {}, AWKWARD["no-autocommit"], AWKWARD["prepare-always"]],
    ids=["own", "pool", "no-autocommit", "prepare-always"],
)
def test_many_clients_of_two_tenants_share_one_server_process(server, database_of_tenants, given):
    with (
        pgbouncer.configured(server.dsn, "runs_graphs", default_pool_size=1) as home,
        pgbouncer.running(home),
    ):
        dsn = make_conninfo(database_of_tenants, host=str(home), user="runs_graphs")
        savers, pools = [], []
        for number in range(8):
            tenant = TENANTS[number % 2]
            if given is None:
                saver = PostgresSnapshotSaver(dsn, tenant=tenant, min_size=1, max_size=1)
            else:
                pools.append(ConnectionPool(dsn, min_size=1, max_size=1, kwargs=given, open=True))
                saver = PostgresSnapshotSaver(pool=pools[-1], tenant=tenant)
            savers.append((saver, tenant, number // 2))
        with ThreadPoolExecutor(len(savers)) as threads:
            for work in [threads.submit(converse, *each) for each in savers]:
                work.result()
        for each in (*pools, *(saver for saver, *_ in savers)):
            each.close()
    check_apart(database_of_tenants, 8)


def test_threads_of_two_tenants_share_a_pool_of_one(database_of_tenants):
    dsn = make_conninfo(database_of_tenants, user="runs_graphs")
    with ConnectionPool(dsn, min_size=1, max_size=1) as pool, ThreadPoolExecutor(6) as threads:
        savers = {tenant: PostgresSnapshotSaver(pool=pool, tenant=tenant) for tenant in TENANTS}
        work = [
            threads.submit(converse, savers[tenant], tenant, number)
            for number in range(3)
            for tenant in TENANTS
        ]
        for each in work:
            each.result()
    check_apart(database_of_tenants, 6)


async def test_cancelled_calls_leave_the_connections_fit_and_nobodys(database_of_tenants):
    dsn = make_conninfo(database_of_tenants, user="runs_graphs")
    async with AsyncConnectionPool(
        dsn, min_size=2, max_size=2, kwargs={"autocommit": True}
    ) as pool:
        savers = {t: PostgresSnapshotSaver(async_pool=pool, tenant=t) for t in TENANTS}
        for tenant, saver in savers.items():
            await saver.asave_state("thread", {"who": tenant})
        for number in range(200):
            tenant = TENANTS[number % 2]
            call = partial(savers[tenant].aload_state, "thread")
            if number % 3 == 0:
                call = partial(savers[tenant].asave_state, "other", {"who": [tenant] * 500})
            task = asyncio.create_task(call())
            for _ in range(number % 12):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert await savers[tenant].aload_state("thread") == {"who": tenant}
        async with pool.connection() as conn:
            rows = await (await conn.execute("SELECT * FROM agent_checkpoints")).fetchall()
            assert rows == []


def test_killed_backends_fail_no_call_of_a_tenant(database_of_tenants):
    dsn = make_conninfo(database_of_tenants, user="runs_graphs")
    with (
        psycopg.connect(database_of_tenants, autocommit=True) as admin,
        PostgresSnapshotSaver(dsn, tenant="a", min_size=1, max_size=2) as a,
        PostgresSnapshotSaver(dsn, tenant="b", min_size=1, max_size=2) as b,
    ):
        for number in range(60):
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE usename = 'runs_graphs' AND datname = current_database()"
            )
            for tenant, saver in (("a", a), ("b", b)):
                saver.save_state("thread", {"who": tenant, "n": number})
                assert saver.load_state("thread") == {"who": tenant, "n": number}
