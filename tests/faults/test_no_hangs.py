"""What might wait for ever, each with a time limit: calls inside calls, cancelled calls, forks
while locks are held. (Calls across event loops are in test_drivers.py.)"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool, ConnectionPool

import langgraph_pg_snapshot
from graphs import steps_graph
from helpers import Chain, config_of, unreferenced_items
from langgraph_pg_snapshot import ConnectionUnavailableError, PostgresSnapshotSaver
from langgraph_pg_snapshot._forks import _locks as every_lock
from langgraph_pg_snapshot._plans.pause import collector_paused

pytestmark = pytest.mark.timeout(60)


def fill(saver, thread_id, count=3):
    chain = Chain(saver, thread_id)
    for number in range(count):
        chain.put({"log": [{"n": n, "text": "and so on " * 10} for n in range(number + 1)]})
    return chain


@pytest.mark.parametrize("given", ["own-pool", "given-pool", "connection"])
def test_calls_inside_a_listing_on_one_connection(ready_database, given):
    """A connection is given back before anything is yielded."""
    with ExitStack() as stack:
        if given == "own-pool":
            made = PostgresSnapshotSaver(ready_database, min_size=1, max_size=1)
        elif given == "given-pool":
            pool = ConnectionPool(ready_database, min_size=1, max_size=1, open=True)
            made = PostgresSnapshotSaver(stack.enter_context(pool))
        else:
            conn = psycopg.connect(ready_database, autocommit=True)
            made = PostgresSnapshotSaver(stack.enter_context(conn))
        saver = stack.enter_context(made)
        fill(saver, "thread")
        seen = 0
        for each in saver.list(config_of("thread")):
            assert saver.get_tuple(each.config) == each
            saver.put_writes(each.config, [("a", seen)], "task")
            seen += len(list(saver.list(config_of("thread"))))
        assert seen == 9


@pytest.mark.parametrize("given", [False, True], ids=["own-pool", "given-pool"])
async def test_async_calls_inside_a_listing_on_one_connection(ready_database, given):
    async with (
        AsyncConnectionPool(ready_database, min_size=1, max_size=1, open=False) as pool,
        PostgresSnapshotSaver(pool)
        if given
        else PostgresSnapshotSaver(ready_database, min_size=1, max_size=1) as saver,
    ):
        await asyncio.to_thread(fill, saver, "thread")
        seen = 0
        async for each in saver.alist(config_of("thread")):
            assert await saver.aget_tuple(each.config) == each
            await saver.aput_writes(each.config, [("a", seen)], "task")
            seen += len([inner async for inner in saver.alist(config_of("thread"))])
        assert seen == 9


async def test_listing_that_is_left_early_holds_no_connection(ready_database):
    async with PostgresSnapshotSaver(ready_database, min_size=1, max_size=1) as saver:
        await asyncio.to_thread(fill, saver, "thread")
        left = [saver.list(config_of("thread")), saver.list(config_of("thread"))]
        assert [next(each) is not None for each in left] == [True, True]
        other = saver.alist(config_of("thread"))
        assert await anext(other) is not None
        assert await saver.aget_tuple(config_of("thread")) is not None
        await other.aclose()


def test_graph_whose_node_asks_for_its_own_state_on_one_connection(ready_database):
    with PostgresSnapshotSaver(ready_database, min_size=1, max_size=1) as saver:
        seen = []

        def look(name):
            seen.append(graph.get_state(config_of("thread")).values.get("log"))

        graph = steps_graph(saver, fail=look)
        assert len(graph.invoke({"log": ["in"]}, config_of("thread"))["log"]) == 4
        assert len(seen) == 3


@pytest.mark.timeout(170)
@pytest.mark.parametrize("max_size", [1, 4])
async def test_a_thousand_calls_cancelled_in_mid_statement(ready_database, max_size):
    """The pool is as healthy as before, and what was stored is whole."""
    rng = random.Random(6)
    async with PostgresSnapshotSaver(ready_database, min_size=1, max_size=max_size) as saver:
        cancelled = 0

        async def call(number):
            await saver.asave_state(f"t{number % 7}", {"log": ["x" * 100] * 5, "n": number})

        while cancelled < 1000:
            task = asyncio.create_task(call(cancelled))
            for _ in range(rng.randrange(12)):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            cancelled += task.cancelled()
        await asyncio.gather(*(saver.asave_state(f"t{n}", {"n": n}) for n in range(7)))
        for n in range(7):
            assert await saver.aload_state(f"t{n}") == {"n": n}
        stats = saver._backend._own_async._pools[asyncio.get_running_loop()].pool.get_stats()
        assert stats.get("requests_waiting", 0) == 0
        assert stats["pool_size"] <= max_size
        assert stats["pool_available"] == stats["pool_size"]
    assert unreferenced_items(ready_database) == []


async def test_call_that_waits_for_a_lock_is_cancelled(ready_database):
    """The server is told, too: it stops waiting, and the connection goes on being used."""
    async with PostgresSnapshotSaver(ready_database, min_size=1, max_size=1) as saver:
        await saver.asave_state("thread", {"n": 0})
        with psycopg.connect(ready_database) as blocker:
            blocker.execute("SELECT FROM agent_checkpoints_threads FOR UPDATE")
            for number in range(20):
                task = asyncio.create_task(saver.asave_state("thread", {"n": number}))
                while not blocker.execute("SELECT FROM pg_locks WHERE NOT granted").fetchall():  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
                task.cancel()
                await asyncio.wait([task])
                assert task.cancelled()
        assert await saver.aload_state("thread") == {"n": 0}


def test_call_that_waits_for_a_lock_is_interrupted(ready_database):
    """Ctrl-C ends it; the server stops waiting, and the next call finds a connection."""
    with PostgresSnapshotSaver(ready_database, min_size=1, max_size=1) as saver:
        saver.save_state("thread", {"n": 0})
        with psycopg.connect(ready_database) as blocker:
            blocker.execute("SELECT FROM agent_checkpoints_threads FOR UPDATE")

            def interrupt():
                while not blocker.execute("SELECT FROM pg_locks WHERE NOT granted").fetchall():
                    time.sleep(0.01)
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

            thread = threading.Thread(target=interrupt)
            thread.start()
            with pytest.raises(KeyboardInterrupt):
                saver.save_state("thread", {"n": 1})
            thread.join()
            assert saver.load_state("thread") == {"n": 0}
        assert saver.load_state("thread") == {"n": 0}


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_exhausted_pool_is_an_error_of_ours(ready_database, colour):
    with (
        PostgresSnapshotSaver(
            ready_database, min_size=1, max_size=1, timeout=20, deadline=0.5
        ) as s,
        psycopg.connect(ready_database) as blocker,
        ThreadPoolExecutor(1) as threads,
    ):

        async def both():
            calls = [s.aload_state("thread"), s.aload_state("thread")]
            return await asyncio.gather(*calls, return_exceptions=True)

        s.setup()
        blocker.execute("LOCK TABLE agent_checkpoints_history, agent_checkpoints_threads")
        if colour == "sync":
            first = threads.submit(s.load_state, "thread")
            with pytest.raises(ConnectionUnavailableError, match="load_state"):
                s.load_state("thread")
            with pytest.raises(ConnectionUnavailableError, match="load_state"):
                first.result()
        else:
            assert {type(error) for error in asyncio.run(both())} == {ConnectionUnavailableError}
        blocker.rollback()
        assert s.load_state("thread") is None


FORKS = multiprocessing.get_context("fork")


def in_a_fork(work):
    """Do something in a forked child, which has to end by itself."""
    child = FORKS.Process(target=work)
    child.start()
    child.join(30)
    if child.is_alive():
        child.kill()
        child.join()
    assert child.exitcode == 0


def test_fork_while_other_threads_hold_every_lock(ready_database):
    saver = PostgresSnapshotSaver(ready_database, min_size=1)
    saver.save_state("thread", {"n": 0})
    asyncio.run(saver.asave_state("thread", {"n": 1}))
    held, enough = threading.Event(), threading.Event()

    def hold():
        with ExitStack() as stack:
            for lock in list(every_lock):
                stack.enter_context(lock)
            held.set()
            enough.wait(60)

    def work():
        saver.save_state("child", {"n": 1})
        asyncio.run(saver.asave_state("child", {"n": 2}))
        assert saver.load_state("child") == {"n": 2}
        saver.close()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(30)
    try:
        in_a_fork(work)
    finally:
        enough.set()
        holder.join()
    assert saver.load_state("child") == {"n": 2}
    saver.close()


def test_fork_while_another_thread_has_the_collector_paused():
    paused, enough = threading.Event(), threading.Event()

    def pause():
        with collector_paused:
            paused.set()
            enough.wait(60)

    def work():
        assert gc.isenabled()
        with collector_paused:
            assert not gc.isenabled()
        assert gc.isenabled()

    thread = threading.Thread(target=pause)
    thread.start()
    paused.wait(30)
    try:
        in_a_fork(work)
    finally:
        enough.set()
        thread.join()


def test_forks_while_threads_are_at_work(ready_database):
    """As a server that forks its workers does; the parent goes on."""
    with PostgresSnapshotSaver(ready_database, min_size=2, max_size=4) as saver:
        enough = threading.Event()

        def work(number):
            turn = 0
            while not enough.is_set():
                saver.save_state(f"thread-{number}", {"turn": turn})
                assert saver.load_state(f"thread-{number}") == {"turn": turn}
                turn += 1
            return turn

        with ThreadPoolExecutor(4) as threads:
            running = [threads.submit(work, number) for number in range(4)]
            try:
                for _ in range(8):
                    in_a_fork(lambda: saver.save_state(f"child-{os.getpid()}", {"a": 1}))
            finally:
                enough.set()
            assert all(each.result() > 0 for each in running)
        assert len(saver.list_threads()) == 4 + 8


def test_every_lock_of_the_package_is_renewed_in_a_fork():
    """A new one that is not would stop a child some day. (A bare connection is no use to a child,
    embedded servers have a way of their own, and a transfer runs to its end in one process.)"""
    root = Path(langgraph_pg_snapshot.__file__).parent
    found = {
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if "threading.Lock()" in path.read_text(encoding="utf-8")
        and path.relative_to(root).parts[0] not in ("embedded", "transfer")
    }
    assert found == {"_forks.py", "_drivers/given.py"}
