"""The drivers on connections of every make: settings that an application may have chosen, event
loops other than the connections' own, and connections that can't be had."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from langgraph.checkpoint.base import empty_checkpoint
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, ConnectionPool, PoolTimeout

from helpers import wind_up
from langgraph_pg_snapshot import (
    ConnectionUnavailableError,
    PostgresSnapshotSaver,
    SnapshotSerializer,
    WrongColorError,
)
from langgraph_pg_snapshot._plans.layout import Items
from langgraph_pg_snapshot.embedded import EmbeddedServer

SETTINGS: dict[str, dict[str, Any]] = {
    "no-autocommit": {"autocommit": False},
    "prepared-at-once": {"autocommit": True, "prepare_threshold": 0},
    "never-prepared": {"autocommit": True, "prepare_threshold": None},
    "dict-rows": {"autocommit": False, "row_factory": dict_row},
    "client-cursors": {"autocommit": True, "cursor_factory": psycopg.ClientCursor},
}
ASYNC_SETTINGS = SETTINGS | {
    "client-cursors": {"autocommit": True, "cursor_factory": psycopg.AsyncClientCursor}
}


def stored(database: str) -> list[tuple[Any, ...]]:
    """What someone else sees: only what was committed."""
    with psycopg.connect(database) as conn:
        return conn.execute("SELECT thread_id, state FROM agent_checkpoints").fetchall()


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_sync_pool_of_any_settings_is_set_up_and_used(database, settings):
    with ConnectionPool(database, min_size=1, kwargs=settings) as pool:
        saver = PostgresSnapshotSaver(pool=pool)
        saver.save_state("t", {"a": 1})
        saver.save_state("t", {"a": 2})
        assert saver.load_state("t") == {"a": 2}
        assert stored(database) == [("t", {"a": 2})]
        saver.delete_thread("t")
        assert stored(database) == []


@pytest.mark.parametrize("settings", ASYNC_SETTINGS.values(), ids=ASYNC_SETTINGS)
async def test_async_pool_of_any_settings_is_set_up_and_used(database, settings):
    async with AsyncConnectionPool(database, min_size=1, kwargs=settings) as pool:
        saver = PostgresSnapshotSaver(async_pool=pool)
        await saver.asave_state("t", {"a": 1})
        await saver.asave_state("t", {"a": 2})
        assert await saver.aload_state("t") == {"a": 2}
        assert stored(database) == [("t", {"a": 2})]
        await saver.adelete_thread("t")
        assert stored(database) == []


@pytest.mark.parametrize(
    ("value", "is_heavy"),
    [
        (["x"] * 8_000, True),
        ({"a": {"b": ["x"] * 8_000}}, True),
        ("x" * 1_000_000, True),
        (["x"] * 20, False),
        ({"a": {"b": ["x"] * 20}}, False),
        ("x" * 1_000, False),
    ],
)
async def test_large_values_are_not_encoded_on_the_event_loops_thread(
    ready_database, monkeypatch, value, is_heavy
):
    dumps, threads = SnapshotSerializer.dumps, set[int]()

    def noted(self, value):
        threads.add(threading.get_ident())
        return dumps(self, value)

    monkeypatch.setattr(SnapshotSerializer, "dumps", noted)
    async with PostgresSnapshotSaver(ready_database, auto_setup=False) as saver:
        version = saver.get_next_version(None, None)
        config: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
        checkpoint: Any = {**empty_checkpoint(), "channel_values": {"v": value}}
        checkpoint["channel_versions"] = {"v": version}
        stored = await saver.aput(config, checkpoint, {}, {"v": version})
        on_put, threads = threads, set[int]()
        await saver.aput_writes(stored, [("v", value)], "task")
        for used in (on_put, threads):
            assert (threading.get_ident() not in used) is is_heavy


@pytest.mark.parametrize(("length", "is_heavy"), [(3_000, True), (20, False)])
async def test_long_lists_are_not_built_on_the_event_loops_thread(
    ready_database, monkeypatch, length, is_heavy
):
    decode, threads = Items.value, set[int]()

    def noted(self, stored):
        threads.add(threading.get_ident())
        return decode(self, stored)

    async with PostgresSnapshotSaver(ready_database, auto_setup=False) as saver:
        state = {"v": [f"{n} {'-' * 60}" for n in range(length)]}
        await saver.asave_state("t", state)
        for _ in range(2):  # at the second time nothing of it is sent, but it is built all the same
            monkeypatch.setattr(Items, "value", noted)
            threads.clear()
            assert await saver.aload_state("t") == state
            assert (threading.get_ident() not in threads) is is_heavy


@contextmanager
def loop_in_a_thread() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop that runs in another thread until someone stops it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        if loop.is_running():
            loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(wind_up())
        loop.close()


def on(loop: asyncio.AbstractEventLoop, work: Any) -> Any:
    return asyncio.run_coroutine_threadsafe(work, loop).result(60)


async def opened(database: str) -> AsyncConnectionPool:
    pool = AsyncConnectionPool(database, open=False, min_size=1, max_size=1, timeout=20)
    await pool.open(wait=True)
    return pool


async def connected(database: str) -> psycopg.AsyncConnection:
    return await psycopg.AsyncConnection.connect(database, autocommit=True)


@pytest.mark.parametrize("given", [opened, connected], ids=["pool", "connection"])
@pytest.mark.parametrize("made", ["at-import", "in-the-loop"])
def test_given_async_connections_serve_every_loop(ready_database, given, made):
    async def use(name):
        for number in range(60):
            await saver.asave_state(name, {"n": number})
            assert await saver.aload_state(name) == {"n": number}
        return name

    async def make():
        return PostgresSnapshotSaver(connections)

    with loop_in_a_thread() as home, ThreadPoolExecutor() as threads:
        connections = on(home, given(ready_database))
        if made == "in-the-loop":
            saver = on(home, make())
        else:
            saver = PostgresSnapshotSaver(connections)
            on(home, saver.aload_state("thread"))
        at_home = asyncio.run_coroutine_threadsafe(use("home"), home)
        elsewhere = [threads.submit(asyncio.run, use(name)) for name in "abc"]
        assert [each.result(60) for each in elsewhere] == ["a", "b", "c"]
        assert at_home.result(60) == "home"
        # Those loops have ended; threads are served by the connections' own as before.
        assert threads.submit(saver.load_state, "a").result(60) == {"n": 59}
        on(home, connections.close())


def test_pool_may_be_used_first_by_another_loop_than_its_own(ready_database):
    with loop_in_a_thread() as home:
        pool = on(home, opened(ready_database))
        saver = PostgresSnapshotSaver(async_pool=pool)
        asyncio.run(saver.asave_state("thread", {"a": 1}))
        assert on(home, saver.aload_state("thread")) == {"a": 1}
        assert saver.load_state("thread") == {"a": 1}
        on(home, pool.close())


@pytest.mark.parametrize("ended", [False, True], ids=["stopped", "closed"])
def test_pool_whose_loop_does_not_run_says_what_to_pass(ready_database, ended):
    home = asyncio.new_event_loop()
    pool = home.run_until_complete(opened(ready_database))
    saver = PostgresSnapshotSaver(async_pool=pool)
    home.run_until_complete(saver.asave_state("thread", {"a": 1}))
    if ended:
        home.run_until_complete(wind_up())
        home.close()
    began = time.monotonic()
    with pytest.raises(WrongColorError, match=r"load_state.*pass a conninfo"):
        asyncio.run(saver.aload_state("thread"))
    with pytest.raises(WrongColorError, match="conninfo"):
        saver.load_state("thread")
    assert time.monotonic() - began < 5
    if not ended:
        home.run_until_complete(pool.close())
        home.run_until_complete(wind_up())
        home.close()


def test_pool_opened_in_a_later_loop_than_the_savers(ready_database):
    pool = AsyncConnectionPool(ready_database, min_size=1, open=False)

    async def make():
        return PostgresSnapshotSaver(async_pool=pool)

    async def use():
        async with pool:
            await saver.asave_state("thread", {"a": 1})
            return await asyncio.to_thread(saver.load_state, "thread")

    saver = asyncio.run(make())
    with pytest.raises(ConnectionUnavailableError, match="opened by the application"):
        asyncio.run(saver.aload_state("thread"))
    assert asyncio.run(use()) == {"a": 1}
    with pytest.raises(ConnectionUnavailableError, match="closed"):
        asyncio.run(saver.aload_state("thread"))


def test_bare_connection_goes_from_loop_to_loop(ready_database):
    async def use(value):
        await asyncio.gather(*(saver.asave_state("thread", {"a": value}) for _ in range(5)))
        return await saver.aload_state("thread")

    conn = asyncio.run(connected(ready_database))
    saver = PostgresSnapshotSaver(conn)
    assert [asyncio.run(use(value)) for value in range(3)] == [{"a": n} for n in range(3)]
    asyncio.run(conn.close())


def test_bare_connection_left_in_use_by_a_closed_loop(ready_database):
    loop = asyncio.new_event_loop()
    conn = loop.run_until_complete(connected(ready_database))
    saver = PostgresSnapshotSaver(conn)
    with psycopg.connect(ready_database) as blocker:
        blocker.execute("LOCK TABLE agent_checkpoints_history, agent_checkpoints_threads")
        left = loop.create_task(saver.asave_state("thread", {"a": 1}))
        while not blocker.execute("SELECT FROM pg_locks WHERE NOT granted").fetchall():
            loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()
        with pytest.raises(ConnectionUnavailableError, match="left in use"):
            asyncio.run(saver.aload_state("thread"))
    left._log_destroy_pending = False
    conn.pgconn.finish()


def test_call_that_crosses_loops_can_be_cancelled(ready_database):
    async def give_up():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(saver.asave_state("thread", {"a": 1}), 0.3)

    with loop_in_a_thread() as home:
        pool = on(home, opened(ready_database))
        saver = PostgresSnapshotSaver(async_pool=pool)
        with psycopg.connect(ready_database) as blocker:
            blocker.execute("LOCK TABLE agent_checkpoints_history, agent_checkpoints_threads")
            asyncio.run(give_up())
        # The pool's only connection is back, and nothing was stored.
        assert on(home, saver.aload_state("thread")) is None
        on(home, pool.close())


@pytest.mark.timeout(60)
@pytest.mark.parametrize("caller", ["thread", "loop"])
def test_loop_that_stops_in_mid_call(ready_database, caller):
    with loop_in_a_thread() as home, ThreadPoolExecutor() as threads:
        pool = on(home, opened(ready_database))
        saver = PostgresSnapshotSaver(async_pool=pool)
        conn = on(home, pool.getconn())  # the only one: the call waits
        waiting = (
            threads.submit(saver.load_state, "thread")
            if caller == "thread"
            else threads.submit(lambda: asyncio.run(saver.aload_state("thread")))
        )
        while not pool.get_stats().get("requests_waiting"):
            time.sleep(0.01)
        home.call_soon_threadsafe(home.stop)
        with pytest.raises(WrongColorError, match="stopped during the call"):
            waiting.result(5)
        conn.pgconn.finish()


@pytest.mark.timeout(60)
def test_close_gives_up_on_a_loop_that_stops(ready_database, monkeypatch):
    async def close(pool):
        home.stop()
        await asyncio.sleep(60)

    with loop_in_a_thread() as home:
        saver = PostgresSnapshotSaver(ready_database, min_size=1)
        on(home, saver.asave_state("thread", {"a": 1}))
        with monkeypatch.context() as patched, ThreadPoolExecutor() as threads:
            patched.setattr(AsyncConnectionPool, "close", close)
            threads.submit(saver.close).result(5)
        with psycopg.connect(ready_database, autocommit=True) as conn:
            others = """
                SELECT FROM pg_stat_activity WHERE datname = current_database()
                    AND backend_type = 'client backend' AND pid <> pg_backend_pid()
            """
            deadline = time.monotonic() + 10
            while conn.execute(others).fetchall():
                assert time.monotonic() < deadline
                time.sleep(0.05)


def kill(database: str, conn: Any) -> None:
    with psycopg.connect(database, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 10000)", [conn.info.backend_pid])


def test_bare_connection_that_dies_is_told_with_its_cause(ready_database):
    with psycopg.connect(ready_database) as conn:
        saver = PostgresSnapshotSaver(conn)
        kill(ready_database, conn)
        with pytest.raises(ConnectionUnavailableError, match="only its owner") as caught:
            saver.load_state("thread")
    assert isinstance(caught.value.__cause__, psycopg.OperationalError)


async def test_bare_async_connection_that_dies_is_told_with_its_cause(ready_database):
    conn = await connected(ready_database)
    saver = PostgresSnapshotSaver(conn)
    kill(ready_database, conn)
    with pytest.raises(ConnectionUnavailableError, match="only its owner") as caught:
        await saver.aload_state("thread")
    assert isinstance(caught.value.__cause__, psycopg.OperationalError)


SECRET = "s3cret-Passw0rd"


@pytest.fixture(scope="module")
def with_password() -> Iterator[str]:
    """The conninfo of a server that asks for a password."""
    with free_port() as port:
        pass
    with EmbeddedServer.start(port=port, settings={"fsync": "off"}) as server:
        yield server.dsn


@contextmanager
def free_port() -> Iterator[int]:
    """A port of ours where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


CALLS: dict[str, Callable[[PostgresSnapshotSaver], object]] = {
    "sync": lambda saver: saver.load_state("thread"),
    "async": lambda saver: asyncio.run(saver.aload_state("thread")),
}


def said_of(saver: PostgresSnapshotSaver, colour: str) -> str:
    """What a call says that gets no connection, by itself and with its causes."""
    with pytest.raises(ConnectionUnavailableError, match="load_state") as caught:
        CALLS[colour](saver)
    assert isinstance(caught.value.__cause__, PoolTimeout)
    error: BaseException | None = caught.value
    while error is not None:
        assert SECRET not in f"{error!r} {error}"
        error = error.__cause__ or error.__context__
    return str(caught.value)


@pytest.mark.parametrize("colour", ["sync", "async"])
@pytest.mark.parametrize("passed", ["conninfo", "kwargs"])
def test_wrong_password_is_said(with_password, colour, passed):
    kwargs = {"password": SECRET}
    dsn = with_password
    if passed == "conninfo":
        dsn, kwargs = make_conninfo(with_password, password=SECRET), {}
    with PostgresSnapshotSaver(dsn, timeout=0.5, min_size=0, kwargs=kwargs) as saver:
        assert "password authentication failed" in said_of(saver, colour)


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_server_that_is_not_there_is_said(colour):
    with free_port() as port:
        dsn = f"postgresql://user:{SECRET}@127.0.0.1:{port}/db"
        with PostgresSnapshotSaver(dsn, timeout=0.3, min_size=0) as saver:
            said = said_of(saver, colour)
    assert "after 0.30 sec" in said
    assert "onnection refused" in said
    assert str(port) in said


def test_pool_that_is_too_small_is_said(ready_database, monkeypatch):
    """Those who time out together are told by one attempt: the server has enough to do."""
    attempts, connect = [], psycopg.connect

    def slow(*args, **kwargs):
        attempts.append(kwargs)
        time.sleep(0.3)
        return connect(*args, **kwargs)

    with (
        PostgresSnapshotSaver(ready_database, timeout=0.5, min_size=1, max_size=1) as saver,
        ThreadPoolExecutor(20) as threads,
        psycopg.connect(ready_database) as blocker,
    ):
        blocker.execute("LOCK TABLE agent_checkpoints_history, agent_checkpoints_threads")
        first = threads.submit(saver.save_state, "thread", {"a": 1})
        while not blocker.execute("SELECT FROM pg_locks WHERE NOT granted").fetchall():
            time.sleep(0.01)
        monkeypatch.setattr(psycopg, "connect", slow)
        said = list(threads.map(lambda _: said_of(saver, "sync"), range(10)))
        blocker.rollback()
        first.result(30)
    assert all("after 0.50 sec" in each and "max_size=1" in each for each in said)
    assert len(attempts) <= 2
