"""Many at once: processes on an empty database, threads, tasks and loops on one saver, writers on
one thread, backends that die."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from langchain_core.messages import HumanMessage
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from helpers import SERDES, Driven, checkpoint_of, config_of, event_loop, new_id, next_version
from langgraph_pg_snapshot import PostgresSnapshotSaver, WrongColorError


def put_one(saver, thread_id, messages, parent=None):
    version = next_version(None)
    return saver.put(
        config_of(thread_id, parent),
        checkpoint_of({"messages": messages}, {"messages": version}),
        {"step": 0},
        {"messages": version},
    )


def messages_of(name, count=4):
    return [HumanMessage(f"{name} {n} " * 20, id=f"{name}-{n}") for n in range(count)]


def first_use(dsn, number, ready, failures):
    """What one of many processes does; runs in a fork."""
    try:
        ready.wait(60)
        with PostgresSnapshotSaver(dsn, min_size=1, max_size=1, timeout=120) as saver:
            config = put_one(saver, f"process-{number}", messages_of(number))
            saver.put_writes(config, [("a", number)], "task")
            assert saver.get_tuple(config).pending_writes == [("task", "a", number)]
    except BaseException as error:
        failures.put(f"{number}: {error!r}")
        raise


def test_fifty_processes_at_once_on_an_empty_database(database):
    # Forks of this process, which have what they need imported already, so that they meet.
    forks = multiprocessing.get_context("fork")
    ready, failures = forks.Barrier(50), forks.SimpleQueue()
    processes = [
        forks.Process(target=first_use, args=(database, n, ready, failures)) for n in range(50)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(150)
    found = []
    while not failures.empty():
        found.append(failures.get())
    assert found == []
    assert [process.exitcode for process in processes] == [0] * 50
    with PostgresSnapshotSaver(database) as saver:
        assert len(saver.list_threads()) == 50
        assert len(list(saver.list(None))) == 50


@pytest.mark.parametrize("serde", SERDES)
def test_sixteen_threads_on_one_saver(ready_database, serde):
    with PostgresSnapshotSaver(ready_database, max_size=5, serde=SERDES[serde]()) as saver:

        def work(number):
            parent = None
            for length in range(1, 9):
                put = put_one(saver, f"t{number}", messages_of(number, length), parent)
                parent = put["configurable"]["checkpoint_id"]
                saver.put_writes(put, [("a", length)], "task")
                found = saver.get_tuple(config_of(f"t{number}"))
                assert found.checkpoint["channel_values"]["messages"] == messages_of(number, length)
                assert found.pending_writes == [("task", "a", length)]
            return len(list(saver.list(config_of(f"t{number}"))))

        with ThreadPoolExecutor(16) as threads:
            assert list(threads.map(work, range(16))) == [8] * 16


async def test_sixty_four_tasks_on_one_saver(ready_database):
    async with PostgresSnapshotSaver(ready_database, max_size=5) as saver:

        async def work(number):
            parent = None
            for length in range(1, 5):
                version = next_version(None)
                checkpoint = checkpoint_of(
                    {"messages": messages_of(number, length)}, {"messages": version}
                )
                put = await saver.aput(
                    config_of(f"t{number}", parent), checkpoint, {}, {"messages": version}
                )
                parent = checkpoint["id"]
                await saver.aput_writes(put, [("a", length)], "task")
                found = await saver.aget_tuple(config_of(f"t{number}"))
                assert found.checkpoint == checkpoint
            return len([each async for each in saver.alist(config_of(f"t{number}"))])

        assert await asyncio.gather(*(work(number) for number in range(64))) == [4] * 64


@pytest.mark.parametrize("serde", ["snapshot", "encrypted"])
@pytest.mark.parametrize("has_parent", [False, True], ids=["roots", "forks"])
def test_eight_writers_on_one_thread(ready_database, has_parent, serde):
    """Every put lands, and what landed is what was put."""
    with (
        PostgresSnapshotSaver(ready_database, serde=SERDES[serde]()) as one,
        PostgresSnapshotSaver(ready_database, serde=SERDES[serde]()) as two,
    ):
        root = put_one(one, "thread", messages_of("root", 20))
        start = threading.Barrier(8)

        def work(number):
            saver, parent = (one, two)[number % 2], None
            if has_parent:
                parent = root["configurable"]["checkpoint_id"]
            done = {}
            start.wait(30)
            for turn in range(12):
                # Some elements are everyone's, some one's own, some come again.
                value = (
                    messages_of("root", 10) + messages_of(number, turn) + messages_of("all", turn)
                )
                put = put_one(saver, "thread", value, parent)
                done[put["configurable"]["checkpoint_id"]] = value
                if has_parent:
                    parent = put["configurable"]["checkpoint_id"]
            return done

        with ThreadPoolExecutor(8) as threads:
            results = list(threads.map(work, range(8)))
        expected = {id_: value for done in results for id_, value in done.items()}
        assert len(expected) == 96
        for saver in (one, two):
            found = {
                each.config["configurable"]["checkpoint_id"]: each.checkpoint["channel_values"]
                for each in saver.list(config_of("thread"))
            }
            assert {id_: values["messages"] for id_, values in found.items()} == {
                root["configurable"]["checkpoint_id"]: messages_of("root", 20),
                **expected,
            }


def test_several_event_loops_on_one_saver(ready_database):
    saver = PostgresSnapshotSaver(ready_database, min_size=1)

    def in_a_loop_of_its_own(number):
        async def turn():
            version = next_version(None)
            config = await saver.aput(
                config_of(f"loop-{number}"),
                checkpoint_of({"n": number}, {"n": version}),
                {},
                {"n": version},
            )
            return (await saver.aget_tuple(config)).checkpoint["channel_values"]["n"]

        return asyncio.run(turn())

    assert [in_a_loop_of_its_own(n) for n in range(3)] == [0, 1, 2]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(in_a_loop_of_its_own, range(3, 11))) == list(range(3, 11))
    assert len(saver.list_threads()) == 11
    saver.close()


@pytest.mark.timeout(60)
def test_event_loops_end_although_nothing_is_closed(ready_database):
    """asyncio.run cancels what is left; a pool that is still connecting must not outlive that."""
    saver = PostgresSnapshotSaver(ready_database, min_size=3)

    async def turn(number):
        await saver.aput(config_of("thread"), checkpoint_of({}, {}), {"step": number}, {})
        for _ in range(number):  # the pool comes a little further each time
            await asyncio.sleep(0)

    for number in range(60):
        asyncio.run(turn(number % 30))
    assert len(list(saver.list(config_of("thread")))) == 60
    saver.close()


def test_saver_made_at_import_time_serves_sync_and_async(ready_database, tmp_path):
    """Before any event loop; the process ends by itself, although nothing is closed."""
    (tmp_path / "agent.py").write_text(
        "from langgraph_pg_snapshot import PostgresSnapshotSaver\n"
        f"saver = PostgresSnapshotSaver({ready_database!r}, min_size=1)\n"
    )
    (tmp_path / "main.py").write_text(
        "import asyncio\n"
        "from agent import saver\n"
        "saver.save_state('sync', {'a': 1})\n"
        "asyncio.run(saver.asave_state('async', {'a': 2}))\n"
        "print(saver.load_state('async'), asyncio.run(saver.aload_state('sync')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", str(tmp_path / "main.py")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("{'a': 2} {'a': 1}\n", 0), done.stderr


async def test_sync_call_in_a_running_loop(ready_database):
    with PostgresSnapshotSaver(ready_database) as saver:
        config = put_one(saver, "thread", messages_of("m"))
        assert saver.get_tuple(config) == await saver.aget_tuple(config)
        await saver.aclose()


def test_forked_child_gets_connections_of_its_own(ready_database):
    with PostgresSnapshotSaver(ready_database, min_size=1) as saver:
        put_one(saver, "parent", messages_of("m"))
        forks = multiprocessing.get_context("fork")
        child = forks.Process(target=put_one, args=(saver, "child", messages_of("c")))
        child.start()
        child.join(60)
        assert child.exitcode == 0
        put_one(saver, "parent", messages_of("n"))
        assert {thread.thread_id for thread in saver.list_threads()} == {"parent", "child"}


def kill_backends(dsn):
    """End every other connection to the database; returns how many there were."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        return conn.execute(
            """
            SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()
                AND backend_type = 'client backend'
            """
        ).fetchone()[0]


@pytest.mark.parametrize("given", [False, True], ids=["own-pool", "given-pool"])
def test_no_call_fails_when_backends_die_sync(ready_database, given):
    pool = ConnectionPool(ready_database, min_size=10, max_size=10, open=given)
    saver = (
        PostgresSnapshotSaver(pool=pool)
        if given
        else PostgresSnapshotSaver(ready_database, min_size=10, max_size=10)
    )
    with saver, ThreadPoolExecutor(10) as threads:
        everyone = threading.Barrier(10)

        def call(number):
            everyone.wait(30)
            return put_one(saver, f"t{number}", messages_of(number))

        for _ in range(2):
            configs = list(threads.map(call, range(10)))
            assert kill_backends(ready_database) == 10
            found = list(threads.map(saver.get_tuple, configs))
            assert [each.config for each in found] == configs
            kill_backends(ready_database)
            saver.prune([f"t{n}" for n in range(10)])
            kill_backends(ready_database)
            assert len(list(saver.list(None))) == 10
    pool.close()


@pytest.mark.parametrize("given", [False, True], ids=["own-pool", "given-pool"])
async def test_no_call_fails_when_backends_die_async(ready_database, given):
    pool = AsyncConnectionPool(ready_database, min_size=10, max_size=10, open=False)
    if given:
        await pool.open(wait=True)
    saver = (
        PostgresSnapshotSaver(async_pool=pool)
        if given
        else PostgresSnapshotSaver(ready_database, min_size=10, max_size=10)
    )
    async with saver:
        for turn in range(2):
            await asyncio.gather(
                *(
                    saver.aput(config_of(f"t{n}"), checkpoint_of({}, {}), {"step": turn}, {})
                    for n in range(10)
                )
            )
            # As many as the pool has by then: it may still be replacing those that died before.
            assert kill_backends(ready_database) > 0
            found = await asyncio.gather(*(saver.aget_tuple(config_of(f"t{n}")) for n in range(10)))
            assert [each.metadata["step"] for each in found] == [turn] * 10
            kill_backends(ready_database)
            await saver.aprune([f"t{n}" for n in range(10)])
    await pool.close()


def test_retries_are_logged(ready_database, caplog):
    with PostgresSnapshotSaver(ready_database, min_size=1) as saver:
        config = put_one(saver, "thread", messages_of("m"))
        kill_backends(ready_database)
        with caplog.at_level(logging.DEBUG, "langgraph_pg_snapshot"):
            assert saver.get_tuple(config) is not None
    [record] = [r for r in caplog.records if hasattr(r, "retries")]
    assert record.retries >= 1


async def test_with_a_sync_pool_only_async_calls_work(ready_database):
    with ConnectionPool(ready_database, min_size=1, max_size=3) as pool:
        async with PostgresSnapshotSaver(pool=pool) as saver:
            configs = await asyncio.gather(
                *(saver.aput(config_of(f"t{n}"), checkpoint_of({}, {}), {}, {}) for n in range(12))
            )
            assert [(await saver.aget_tuple(config)).config for config in configs] == configs
        assert pool.closed is False


async def test_with_an_async_pool_only_sync_calls_go_over_to_its_loop(ready_database):
    async with AsyncConnectionPool(ready_database, min_size=1, open=False) as pool:
        saver = PostgresSnapshotSaver(async_pool=pool)
        # From another thread it works, by way of the loop ...
        config = await asyncio.to_thread(put_one, saver, "thread", messages_of("m"))
        assert await asyncio.to_thread(saver.get_tuple, config) == await saver.aget_tuple(config)
        # ... on the loop's own thread it would wait for itself.
        with pytest.raises(WrongColorError, match="pool="):
            saver.get_tuple(config)
        with pytest.raises(WrongColorError, match="pool="):
            list(saver.list(config_of("thread")))


def test_with_an_async_pool_and_no_running_loop_a_sync_call_says_what_to_pass(ready_database):
    with event_loop() as loop:
        pool = AsyncConnectionPool(ready_database, min_size=1, open=False)
        loop.run_until_complete(pool.open())
        saver = PostgresSnapshotSaver(async_pool=pool)
        with pytest.raises(WrongColorError, match="pool="):
            saver.get_tuple(config_of("thread"))
        driven = Driven(saver, loop)
        driven.put(config_of("thread"), checkpoint_of({}, {}, new_id()), {}, {})
        with pytest.raises(WrongColorError, match="pool="):
            saver.get_tuple(config_of("thread"))
        loop.run_until_complete(pool.close())


async def test_both_pools_each_serve_their_colour(ready_database):
    async with AsyncConnectionPool(ready_database, min_size=1, open=False) as async_pool:
        with ConnectionPool(ready_database, min_size=1) as pool:
            saver = PostgresSnapshotSaver(pool=pool, async_pool=async_pool)
            config = put_one(saver, "thread", messages_of("m"))
            assert saver.get_tuple(config) == await saver.aget_tuple(config)
            assert pool.get_stats()["requests_num"] > 0
            assert async_pool.get_stats()["requests_num"] > 0


def test_writer_is_not_held_up_by_removals(ready_database):
    """Puts, prunes and deletions of one thread at once: no deadlock, no error, no damage."""
    with PostgresSnapshotSaver(ready_database) as saver:
        start = threading.Barrier(4)

        def write():
            start.wait(30)
            return [put_one(saver, "thread", messages_of(n, 8)) for n in range(30)]

        def remove(how):
            start.wait(30)
            for _ in range(30):
                how()

        with ThreadPoolExecutor(4) as threads:
            jobs = [
                threads.submit(write),
                threads.submit(remove, lambda: saver.prune(["thread"])),
                threads.submit(remove, lambda: saver.delete_thread("thread")),
                threads.submit(remove, lambda: list(saver.list(config_of("thread")))),
            ]
            for job in jobs:
                job.result(60)
        put_one(saver, "thread", messages_of("last", 8))
        for each in saver.list(config_of("thread")):
            assert len(each.checkpoint["channel_values"]["messages"]) == 8
