"""Servers that are restarted, frozen, full or read-only, and backends that are killed all the time:
calls succeed, or end in time with an error of ours, and pools recover."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress

import psycopg
import pytest
from clusters import free_port, primary, stopped
from proxy import Cut, proxy_to
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from graphs import steps_graph
from helpers import Driven, config_of, event_loop, unreferenced_items
from langgraph_pg_snapshot import (
    ConnectionUnavailableError,
    InvalidArgumentError,
    PostgresSnapshotSaver,
    RetentionPolicy,
)
from langgraph_pg_snapshot._drivers.attempts import Attempts
from langgraph_pg_snapshot._drivers.settings import LIVELINESS
from langgraph_pg_snapshot._lifecycle import pool_settings
from langgraph_pg_snapshot.embedded import EmbeddedServer

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def own_server():
    """A server that only this module's tests use, one after the other."""
    with primary(max_connections="12", superuser_reserved_connections="1") as server:
        with PostgresSnapshotSaver(server.dsn) as saver:
            saver.setup()
        yield server


@contextmanager
def driven(colour, dsn, **options):
    """A saver called by sync or async methods, closed in its loop."""
    with event_loop() as loop:
        saver = PostgresSnapshotSaver(dsn, **options)
        try:
            yield Driven(saver, loop if colour == "async" else None)
        finally:
            loop.run_until_complete(saver.aclose())


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "immediate"])
@pytest.mark.parametrize("colour", ["sync", "async"])
def test_restart_passes_without_a_failed_call(own_server, colour, how):
    with driven(colour, own_server.dsn, min_size=3, max_size=3) as saver:
        name = f"restart-{colour}-{how}"
        saver.gather(*(lambda s, n=n: s.save_state(f"{name}-{n}", {"n": 0}) for n in range(3)))
        own_server.stop(how)
        back = threading.Timer(2, own_server.start)
        back.start()
        for n in range(3):
            saver.save_state(f"{name}-{n}", {"n": 1})  # begun while there is no server
        back.join()
        assert [saver.load_state(f"{name}-{n}") for n in range(3)] == [{"n": 1}] * 3


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_frozen_server_is_told_in_time_and_the_pool_recovers(own_server, colour):
    with driven(colour, own_server.dsn, min_size=3, max_size=3, deadline=1.5) as saver:
        saver.save_state("frozen", {"a": 1})
        with own_server.frozen():
            with pytest.raises(
                ConnectionUnavailableError, match=r"save_state.*did not answer.*1.5 s"
            ):
                saver.save_state("frozen", {"a": 2})
            with pytest.raises(ConnectionUnavailableError, match=r"load_state \(thread 'frozen'"):
                saver.load_state("frozen")
        # What it was asked before may be done by now, or not.
        assert saver.load_state("frozen") in ({"a": 1}, {"a": 2})
        saver.save_state("frozen", {"a": 3})
        assert saver.load_state("frozen") == {"a": 3}


LONG_ONES = {
    "setup": lambda saver: saver.setup(),
    "stats": lambda saver: saver.stats(),
    "sweep": lambda saver: saver.sweep(RetentionPolicy(keep_last=1)),
    "erase": lambda saver: saver.erase(filter={"user_id": "u"}),
}


@pytest.mark.parametrize("name", LONG_ONES)
def test_what_works_through_whole_tables_may_take_longer(database, ready_database, name):
    dsn = database if name == "setup" else ready_database
    with (
        PostgresSnapshotSaver(dsn, min_size=1, deadline=0.3) as saver,
        psycopg.connect(dsn) as blocker,
        ThreadPoolExecutor(1) as threads,
    ):
        if name == "setup":
            blocker.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended('langgraph-pg-snapshot', 0))"
            )
        else:
            saver.load_state("thread")
            blocker.execute("LOCK TABLE agent_checkpoints_threads, agent_checkpoints_history")
        running = threads.submit(LONG_ONES[name], saver)
        while not blocker.execute("SELECT FROM pg_locks WHERE NOT granted").fetchall():
            time.sleep(0.01)
        time.sleep(0.6)  # is what is tested: twice the deadline
        assert not running.done()
        blocker.rollback()
        running.result(30)


@pytest.mark.slow
async def test_call_to_a_frozen_server_can_be_cancelled(own_server):
    async with PostgresSnapshotSaver(own_server.dsn, min_size=1, deadline=8) as saver:
        await saver.asave_state("frozen", {"a": 1})
        with own_server.frozen():
            task = asyncio.create_task(saver.asave_state("frozen", {"a": 2}))
            await asyncio.wait([task], timeout=0.5)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled() or isinstance(task.exception(), ConnectionUnavailableError)
        assert await saver.aload_state("frozen") in ({"a": 1}, {"a": 2})


def test_connection_that_hangs_is_found_beside_one_that_died(own_server):
    """A connection that died has the others looked at; one that hangs does not hold that up."""
    with PostgresSnapshotSaver(own_server.dsn, min_size=2, max_size=2) as saver:
        saver.save_state("hung", {"a": 1})
        pool = opened_pool(saver)
        pool.wait()
        dies, hangs = (conn.info.backend_pid for conn in pool._pool)
        with psycopg.connect(own_server.dsn, autocommit=True) as conn, stopped(hangs):
            conn.execute("SELECT pg_terminate_backend(%s, 10000)", [dies])
            assert saver.load_state("hung") == {"a": 1}
            with ThreadPoolExecutor(2) as threads:  # there are two again
                assert list(threads.map(saver.load_state, ["hung"] * 2)) == [{"a": 1}] * 2


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_lease_is_renewed_beside_a_connection_that_hangs(own_server, colour):
    """It is given up long before its deadline, a minute, and another one has time to do it."""

    def watch():
        with psycopg.connect(own_server.dsn, autocommit=True) as conn:
            which = "SELECT pid FROM pg_stat_activity WHERE application_name = 'hangs'"
            [[pid]] = conn.execute(which).fetchall()
            when = (
                "SELECT expires_at, expires_at > now() FROM agent_checkpoints_leases"
                " WHERE thread_id = 'hangs'"
            )
            with stopped(pid):
                [[before, _]] = conn.execute(when).fetchall()
                after = before
                while after == before:
                    [[after, is_held]] = conn.execute(when).fetchall()
                    assert is_held

    async def turn(saver):
        async with saver.exclusive("hangs", ttl=4.5):
            await asyncio.to_thread(watch)

    kwargs = {"application_name": "hangs"}
    with driven(colour, own_server.dsn, min_size=1, max_size=1, kwargs=kwargs) as calls:
        if calls.loop is not None:
            calls.loop.run_until_complete(turn(calls.saver))
        else:
            with calls.saver.exclusive("hangs", ttl=4.5):
                watch()


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_server_without_a_free_connection_is_waited_for(own_server, caplog, colour):
    with (
        ThreadPoolExecutor(1) as threads,
        driven(colour, own_server.dsn, min_size=1, max_size=1) as saver,
        ExitStack() as taken,
    ):
        with suppress(psycopg.OperationalError):
            while True:
                taken.enter_context(psycopg.connect(own_server.dsn))
        call = threads.submit(saver.save_state, "full", {"a": 1})
        while not any("too many clients" in each.getMessage() for each in list(caplog.records)):
            time.sleep(0.01)
        taken.close()
        call.result(60)
        assert saver.load_state("full") == {"a": 1}


def opened_pool(saver):
    """The pool that a saver made itself for sync calls."""
    return saver._backend.runner().connections._opened()


def set_read_only(dsn, value):
    """Whether connections that are made from now on write nothing."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("SET default_transaction_read_only = off")
        conn.execute(
            f"ALTER DATABASE {conn.info.dbname} SET default_transaction_read_only = {value}"
        )


@pytest.mark.parametrize("given", [False, True], ids=["own-pool", "given-pool"])
@pytest.mark.parametrize("colour", ["sync", "async"])
def test_connections_to_what_became_a_standby_are_replaced(ready_database, colour, given):
    set_read_only(ready_database, "on")
    with event_loop() as loop:
        if given:
            make = {"sync": ConnectionPool, "async": AsyncConnectionPool}[colour]
            pool = make(ready_database, min_size=3, max_size=3, open=False)
            open_ = {"sync": pool.open, "async": lambda: loop.run_until_complete(pool.open(True))}
            open_[colour]()
            saver = PostgresSnapshotSaver(pool)
        else:
            saver = PostgresSnapshotSaver(ready_database, min_size=3, max_size=3)
        calls = Driven(saver, loop if colour == "async" else None)
        assert calls.gather(*[lambda s: s.load_state("thread")] * 3) == [None] * 3
        set_read_only(ready_database, "off")
        calls.save_state("thread", {"a": 1})
        assert calls.load_state("thread") == {"a": 1}
        loop.run_until_complete(saver.aclose())
        if given:
            closing = pool.close()
            if colour == "async":
                loop.run_until_complete(closing)


def test_server_that_stays_read_only_is_told_in_time(ready_database):
    set_read_only(ready_database, "on")
    with (
        PostgresSnapshotSaver(ready_database, deadline=0.5) as saver,
        pytest.raises(ConnectionUnavailableError, match=r"save_state.*tries.*read-only") as caught,
    ):
        saver.save_state("thread", {"a": 1})
    assert isinstance(caught.value.__cause__, psycopg.errors.ReadOnlySqlTransaction)


def out_of_time():
    """The tries of a statement that met a server that only reads, until there was no time left."""
    attempts = Attempts(60)
    attempts.pause_after(psycopg.errors.ReadOnlySqlTransaction("it only reads"))
    attempts.until = time.monotonic()
    return attempts


def test_what_went_wrong_is_told_where_the_time_is_up_before_there_is_a_connection(ready_database):
    with PostgresSnapshotSaver(ready_database, min_size=1, max_size=1) as saver:
        pool = saver._backend._driver.connections
        with (
            pool.connection(Attempts(None)),
            pytest.raises(ConnectionUnavailableError, match=r"1 tries.*it only reads") as caught,
            pool.connection(out_of_time()),
        ):
            pass
    assert isinstance(caught.value.__cause__, psycopg.errors.ReadOnlySqlTransaction)


async def test_so_it_is_in_async_calls(ready_database):
    async with PostgresSnapshotSaver(ready_database, min_size=1, max_size=1) as saver:
        await saver.aget_tuple(config_of("thread"))
        pools = saver._backend._own_async
        async with pools.connection(Attempts(None)):
            with pytest.raises(ConnectionUnavailableError, match=r"1 tries.*it only reads"):
                async with pools.connection(out_of_time()):
                    pass


@contextmanager
def killer(dsn):
    """Someone who ends the saver's backends several times a second; yields how often."""
    enough, kills = threading.Event(), []

    def kill():
        with psycopg.connect(dsn, autocommit=True) as conn:
            while not enough.wait(random.uniform(0.1, 0.4)):
                [row] = conn.execute(
                    """
                    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                    WHERE datname = current_database()
                        AND application_name = 'langgraph-pg-snapshot'
                    """
                ).fetchall()
                kills.append(row[0])

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield kills
    finally:
        enough.set()
        thread.join()


@pytest.mark.parametrize(
    "turns", [60, pytest.param(1000, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
@pytest.mark.parametrize("colour", ["sync", "async"])
def test_turns_with_a_killer_running(ready_database, colour, turns):
    """No call fails, no write is missing, none is there twice."""
    workers = 4

    def converse(calls, graph, thread_id):
        config = {"configurable": {"thread_id": thread_id}}
        for _ in range(turns // workers):
            state = calls.call(graph, "invoke", {"log": ["in"]}, config)
        return state["log"]

    def work(thread_id, saver):
        with event_loop() as loop:
            calls = Driven(saver, loop if colour == "async" else None)
            return converse(calls, steps_graph(saver), thread_id)

    with PostgresSnapshotSaver(ready_database) as saver:
        expected = work("quiet", saver)
    assert len(expected) == 4 * (turns // workers)
    names = [f"thread-{n}" for n in range(workers)]
    with PostgresSnapshotSaver(ready_database) as saver, ThreadPoolExecutor(workers) as threads:
        with killer(ready_database) as kills:
            results = list(threads.map(lambda name: work(name, saver), names))
        assert sum(kills) > turns // 20
    assert results == [expected] * workers
    with psycopg.connect(ready_database) as conn:
        for table in ("history", "items", "writes"):
            counts = dict(
                conn.execute(
                    f"SELECT thread_id, count(*) FROM agent_checkpoints_{table} GROUP BY 1"  # noqa: S608
                ).fetchall()
            )
            assert counts == dict.fromkeys(["quiet", *names], counts["quiet"])
    assert unreferenced_items(ready_database) == []


def liveliness(without=(), **changed):
    return {name: value for name, value in LIVELINESS.items() if name not in without} | changed


GIVEN = [
    ({}, {}, liveliness()),
    (
        {"kwargs": {"tcp_user_timeout": 7, "connect_timeout": 3}},
        {},
        liveliness(tcp_user_timeout=7, connect_timeout=3),
    ),
    (
        {"conninfo": "host=h keepalives=0 connect_timeout=4"},
        {},
        liveliness(without=("keepalives", "connect_timeout")),
    ),
    ({}, {"PGCONNECT_TIMEOUT": "9"}, liveliness(without=("connect_timeout",))),
    ({"conninfo": "service=mine"}, {}, {}),
    ({}, {"PGSERVICE": "mine"}, {}),
]


@pytest.mark.parametrize(("options", "environment", "expected"), GIVEN)
def test_what_the_application_says_of_its_connections_holds(
    monkeypatch, options, environment, expected
):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = pool_settings(
        **{"conninfo": "host=h", "kwargs": None, "min_size": 1, "max_size": 1, "timeout": 1}
        | {"max_idle": 1, "max_lifetime": 1}
        | options
    )
    kwargs = settings.arguments()["kwargs"]
    assert {name: kwargs[name] for name in kwargs if name in LIVELINESS} == expected


def test_sockets_of_our_own_connections_notice_a_network_that_is_gone():
    with (
        EmbeddedServer.start(port=free_port(), settings={"fsync": "off"}) as server,
        PostgresSnapshotSaver(server.dsn, min_size=1) as saver,
        opened_pool(saver).connection() as conn,
        socket.socket(fileno=os.dup(conn.fileno())) as sock,
    ):
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 5000
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 10


@pytest.mark.parametrize("deadline", [0, -1, "10", True, float("nan")])
def test_deadline_is_a_number_of_seconds(deadline):
    with pytest.raises(InvalidArgumentError, match="deadline"):
        PostgresSnapshotSaver("host=h", deadline=deadline)


@pytest.mark.parametrize("pooler", ["yes", 1])
def test_pooler_is_a_bool_or_none(pooler):
    with pytest.raises(InvalidArgumentError, match="pooler"):
        PostgresSnapshotSaver("host=h", pooler=pooler)


def test_bare_connection_in_use_is_waited_for_no_longer_than_that(ready_database):
    with psycopg.connect(ready_database, autocommit=True) as conn:
        saver = PostgresSnapshotSaver(conn, deadline=0.5)
        saver.load_state("thread")
        with psycopg.connect(ready_database) as blocker, ThreadPoolExecutor(1) as threads:
            blocker.execute("LOCK TABLE agent_checkpoints_history, agent_checkpoints_threads")
            first = threads.submit(saver.save_state, "thread", {"a": 1})
            while not blocker.execute("SELECT FROM pg_locks WHERE NOT granted").fetchall():
                time.sleep(0.01)
            with pytest.raises(ConnectionUnavailableError, match="in use"):
                saver.load_state("thread")
            blocker.rollback()
            first.result(30)
        assert saver.load_state("thread") == {"a": 1}


class EveryTime(Cut):
    """Breaks off whatever is sent."""

    def is_due(self, lost):
        return lost == self.lost


@pytest.mark.slow
def test_a_statement_that_breaks_each_connection_is_given_up(ready_database):
    """It may be what crashes the server: that is not to be done for a minute."""
    with (
        proxy_to(ready_database) as proxy,
        PostgresSnapshotSaver(proxy.dsn, min_size=1, max_size=1) as saver,
    ):
        saver.save_state("thread", {"a": 1})
        proxy.cut = EveryTime(at=1, lost="request")
        with pytest.raises(ConnectionUnavailableError, match="given up after 12 tries"):
            saver.load_state("thread")
        proxy.cut = None
        assert saver.load_state("thread") == {"a": 1}
