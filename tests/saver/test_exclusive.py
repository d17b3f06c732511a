"""One turn at a time: blocks that have a thread for themselves, and those that lost it."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import multiprocessing
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import psycopg
import pytest

from graphs import nested_graph, steps_graph
from helpers import Chain, Variant, config_of
from langgraph_pg_snapshot import (
    ConnectionUnavailableError,
    InvalidArgumentError,
    LeaseLostError,
    PostgresSnapshotSaver,
    RetentionPolicy,
    SnapshotError,
    ThreadBusyError,
)
from langgraph_pg_snapshot._exclusive import ThreadBlock

pytestmark = pytest.mark.timeout(120)
DURABILITIES = ("sync", "async", "exit")
HEARTBEAT = "langgraph-pg-snapshot lease"


@pytest.fixture
def saver(ready_database):
    with PostgresSnapshotSaver(ready_database) as saver:
        yield saver


@pytest.fixture
def other(ready_database):
    """Another process, as far as the database can tell."""
    with PostgresSnapshotSaver(ready_database) as other:
        yield other


@pytest.fixture
def conn(ready_database):
    with psycopg.connect(ready_database, autocommit=True) as conn:
        yield conn


def expire(conn):
    """Every lease is as if its holder had not been heard of for long."""
    conn.execute("UPDATE agent_checkpoints_leases SET expires_at = now() - interval '1 second'")


def leases(conn):
    return conn.execute(
        "SELECT thread_id, expires_at > now() FROM agent_checkpoints_leases ORDER BY thread_id"
    ).fetchall()


def inputs_of(saver, thread_id="thread"):
    """The inputs in a thread's newest state: nodes of `steps_graph` name themselves."""
    state = saver.load_state(thread_id)
    return sorted(each for each in state["log"] if each.startswith("input"))


def take_turn(saver, number):
    with saver.exclusive("thread"):
        steps_graph(saver).invoke({"log": [f"input {number}"]}, config_of("thread"))


ALL_INPUTS = [f"input {number}" for number in range(8)]


def test_eight_threads_take_turns(saver, other):
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(take_turn, [saver, other] * 4, range(8)))
    assert inputs_of(saver) == ALL_INPUTS
    assert [t for t in threading.enumerate() if t.name == HEARTBEAT] == []


async def test_eight_tasks_take_turns(ready_database):
    async with PostgresSnapshotSaver(ready_database) as saver:

        async def turn(number):
            async with saver.exclusive("thread"):
                graph = steps_graph(saver)
                await graph.ainvoke({"log": [f"input {number}"]}, config_of("thread"))

        await asyncio.gather(*map(turn, range(8)))
        state = await saver.aload_state("thread")
        assert sorted(each for each in state["log"] if "input" in each) == ALL_INPUTS
        beating = [t for t in asyncio.all_tasks() if "ThreadBlock" in repr(t.get_coro())]
        assert beating == []


def take_turn_in_a_process(dsn, number, ready):
    with PostgresSnapshotSaver(dsn, min_size=1) as saver:
        ready.wait(60)
        take_turn(saver, number)


FORKS = multiprocessing.get_context("fork")


def test_eight_processes_take_turns(ready_database):
    ready = FORKS.Barrier(8)
    processes = [
        FORKS.Process(target=take_turn_in_a_process, args=(ready_database, number, ready))
        for number in range(8)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(100)
    assert [process.exitcode for process in processes] == [0] * 8
    with PostgresSnapshotSaver(ready_database) as saver:
        assert inputs_of(saver) == ALL_INPUTS
        # One line: each checkpoint but the first follows another, and none has two followers.
        parents = [each.parent_checkpoint_id for each in saver.history("thread")]
        assert len(set(parents)) == len(parents)


def test_sync_and_async_blocks_exclude_each_other(saver, ready_database):
    async def turn():
        async with PostgresSnapshotSaver(ready_database) as other:
            async with other.exclusive("other thread"):
                pass
            async with other.exclusive("thread", timeout=0):
                pass

    with (
        saver.exclusive("thread") as lease,
        ThreadPoolExecutor(1) as threads,
        pytest.raises(ThreadBusyError) as raised,
    ):
        threads.submit(asyncio.run, turn()).result()
    assert raised.value.thread_id == lease.thread_id == "thread"
    assert f":{os.getpid()}:" in raised.value.holder
    assert raised.value.held_for >= 0
    assert "'thread' has been held by" in str(raised.value)
    asyncio.run(turn())


def test_tokens_grow(saver, other, conn):
    tokens = []

    def take(who):
        with who.exclusive("thread") as lease:
            tokens.append(lease.token)

    take(saver)
    saver.save_state("thread", {"a": 1})
    take(other)
    # A clock that goes back does not matter as long as the row is there.
    ahead = "UPDATE agent_checkpoints_leases SET token = token + 1000000000000"
    conn.execute(ahead)
    take(saver)
    conn.execute("UPDATE agent_checkpoints_leases SET token = token - 1000000000000")
    conn.execute("DELETE FROM agent_checkpoints_leases")
    before, tokens[2] = tokens[2], tokens[2] - 10**12
    assert before > tokens[1] + 10**12
    take(other)
    assert tokens == sorted(set(tokens))


# -- holders that are gone ---------------------------------------------------------------------


def hold(dsn, pipe, ttl):
    """A process that has a thread, and a graph at work in it until it is told to go on."""

    def tell(name):
        if name == "b":
            pipe.send("at work")
            pipe.recv()

    with PostgresSnapshotSaver(dsn, min_size=1) as saver:
        try:
            with saver.exclusive("thread", ttl=ttl):
                graph = steps_graph(saver, fail=tell)
                graph.invoke({"log": ["input late"]}, config_of("thread"), durability="sync")
        except LeaseLostError as error:
            pipe.send((error.thread_id, error.token, str(error)))
        else:
            pipe.send("done")


@contextlib.contextmanager
def holder(dsn, ttl):
    ours, theirs = FORKS.Pipe()
    process = FORKS.Process(target=hold, args=(dsn, theirs, ttl))
    process.start()
    try:
        assert ours.recv() == "at work"
        yield process.pid, ours
    finally:
        process.kill()
        process.join()


def test_lease_of_a_killed_process_expires(ready_database, conn):
    with holder(ready_database, ttl=1) as (pid, _):
        os.kill(pid, signal.SIGKILL)
        with PostgresSnapshotSaver(ready_database) as saver:
            take_turn(saver, 1)
            assert inputs_of(saver) == ["input 1", "input late"]
    assert leases(conn) == [("thread", None)]


def test_process_that_was_stopped_for_too_long_is_refused(ready_database):
    with holder(ready_database, ttl=1) as (pid, pipe):
        os.kill(pid, signal.SIGSTOP)
        with PostgresSnapshotSaver(ready_database) as saver:
            take_turn(saver, 1)
            after = saver.history("thread")
            os.kill(pid, signal.SIGCONT)
            pipe.send("go on")
            thread_id, token, said = pipe.recv()
            assert (thread_id, token > 0) == ("thread", True)
            assert "put" in said
            assert "not held" not in said
            assert saver.history("thread") == after
            assert inputs_of(saver) == ["input 1", "input late"]


def test_process_that_was_stopped_goes_on_if_nobody_took_the_thread(ready_database, conn):
    with holder(ready_database, ttl=30) as (_, pipe):
        expire(conn)
        pipe.send("go on")
        assert pipe.recv() == "done"


# -- what is refused ---------------------------------------------------------------------------


@contextlib.contextmanager
def lost_block(saver, conn):
    """A block whose thread was taken by another in the meantime, and given back."""
    with saver.exclusive("thread", ttl=1000):
        conn.execute(
            "UPDATE agent_checkpoints_leases"
            " SET token = token + 1, holder = 'another', expires_at = now()"
        )
        yield


STORING = {
    "put": lambda chain: chain.put({"a": 2}),
    "put_writes": lambda chain: chain.saver.put_writes(chain.head, [("a", 1)], "task"),
    "put_writes early": lambda chain: chain.saver.put_writes(
        config_of("thread", "1fffffff-ffff-6fff-bfff-ffffffffffff"), [("a", 1)], "task"
    ),
    "first of a namespace": lambda chain: Chain(chain.saver, "thread", "sub:1").put({"a": 1}),
    "save_state": lambda chain: chain.saver.save_state("thread", {"a": 1}),
}
VARIANTS = [
    Variant("sync", "conninfo", "snapshot"),
    Variant("async", "conninfo", "encrypted"),
    Variant("threaded", "plain", "snapshot"),
    Variant("sync", "connection-tx", "jsonplus"),
]


@pytest.mark.parametrize("is_cold", [False, True], ids=["warm", "cold"])
@pytest.mark.parametrize("what", STORING)
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_what_a_lost_block_stores_is_refused(ready_database, conn, variant, what, is_cold):
    def everything():
        tables = ("threads", "history", "items", "writes")
        return [conn.execute(f"SELECT * FROM agent_checkpoints_{t}").fetchall() for t in tables]  # noqa: S608

    with variant.open(ready_database) as driven, variant.open(ready_database) as cold:
        chain = Chain(driven, "thread")
        chain.put({"a": 1})
        if is_cold:
            chain.saver = cold
        before = everything()
        with (
            pytest.raises(LeaseLostError, match="'thread'") as raised,
            lost_block(driven.saver if not is_cold else cold.saver, conn),
        ):
            STORING[what](chain)
        assert raised.value.located
        assert everything() == before
        STORING[what](chain)  # after the block it is anybody's
        assert everything() != before


@pytest.mark.parametrize("durability", DURABILITIES)
def test_graph_in_a_lost_block_is_refused(saver, conn, durability):
    graph = nested_graph(saver)
    with pytest.raises(LeaseLostError), lost_block(saver, conn):
        graph.invoke({"log": ["in"]}, config_of("thread"), durability=durability)
    assert saver.history("thread") == []


@pytest.mark.parametrize("durability", DURABILITIES)
async def test_async_graph_in_a_lost_block_is_refused(ready_database, conn, durability):
    async with PostgresSnapshotSaver(ready_database) as saver:
        graph = nested_graph(saver)

        async def turn():
            async with saver.exclusive("thread"):
                conn.execute("UPDATE agent_checkpoints_leases SET token = token + 1")
                await graph.ainvoke({"log": ["in"]}, config_of("thread"), durability=durability)

        with pytest.raises(LeaseLostError):
            await turn()
        assert await saver.ahistory("thread") == []


def test_other_threads_are_not_held_up(saver, other, conn):
    def work():
        with lost_block(saver, conn):
            saver.save_state("another thread", {"a": 1})
            other.save_state("thread", {"a": 1})
            seen.append(saver.load_state("thread"))  # it may still read

    seen = []
    with pytest.raises(LeaseLostError, match="'thread'"):
        work()
    assert seen == [{"a": 1}]
    assert saver.load_state("another thread") == {"a": 1}


def test_lost_block_raises_at_its_end(saver, conn):
    with pytest.raises(LeaseLostError), lost_block(saver, conn):
        pass
    with pytest.raises(ZeroDivisionError), lost_block(saver, conn):
        raise ZeroDivisionError


def test_what_outlives_its_block_is_refused(saver):
    with saver.exclusive("thread"):
        context = contextvars.copy_context()
        saver.save_state("thread", {"a": 1})
    with pytest.raises(LeaseLostError):
        context.run(saver.save_state, "thread", {"a": 2})
    with saver.exclusive("thread"), pytest.raises(LeaseLostError):
        context.run(saver.save_state, "thread", {"a": 2})
    saver.save_state("thread", {"a": 3})


def in_a_thread(work):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def in_a_pool(work):
    with ThreadPoolExecutor(1) as threads:
        threads.submit(work).result()


def in_a_pool_with_the_context(work):
    in_a_pool(partial(contextvars.copy_context().run, work))


def in_a_loops_executor(work):
    async def run():
        await asyncio.get_running_loop().run_in_executor(None, work)

    asyncio.run(run())


def by_to_thread(work):
    asyncio.run(asyncio.to_thread(work))


@pytest.mark.parametrize(
    ("way", "is_refused"),
    [
        *((way, False) for way in (in_a_thread, in_a_pool, in_a_loops_executor)),
        *((way, True) for way in (in_a_pool_with_the_context, by_to_thread)),
    ],
)
def test_what_a_lost_block_hands_to_a_thread_goes_by_the_context(saver, conn, way, is_refused):
    with pytest.raises(LeaseLostError), lost_block(saver, conn):
        way(partial(saver.save_state, "thread", {"a": 1}))
    assert saver.load_state("thread") == (None if is_refused else {"a": 1})


def waiting_for(conn, pid):
    """Wait until a server process waits for this one; returns which."""
    while True:
        rows = conn.execute(
            "SELECT pid FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))", [pid]
        ).fetchall()
        if rows:
            return rows[0][0]


def test_nobody_takes_a_thread_while_its_holder_is_storing(saver, other, conn, ready_database):
    """A put that found its lease held ends before another block begins: that one sees it."""

    def take():
        with other.exclusive("thread"):
            return len(other.history("thread"))

    chain = Chain(saver, "thread")
    chain.put({"a": 1})
    with ThreadPoolExecutor(2) as threads, psycopg.connect(ready_database) as blocker:
        blocker.execute("SELECT 1 FROM agent_checkpoints_threads FOR UPDATE")
        with pytest.raises(LeaseLostError), saver.exclusive("thread", ttl=1000):  # noqa: PT012 -- at its end
            expire(conn)
            storing = threads.submit(contextvars.copy_context().run, chain.put, {"a": 2})
            put = waiting_for(conn, blocker.info.backend_pid)
            taking = threads.submit(take)
            waiting_for(conn, put)
            blocker.rollback()
            storing.result(60)
            assert taking.result(60) == 2


# -- while it lasts ----------------------------------------------------------------------------


def test_lease_is_renewed(saver, conn):
    when = "SELECT expires_at FROM agent_checkpoints_leases"
    with saver.exclusive("thread", ttl=0.3):
        seen = {conn.execute(when).fetchone()}
        while len(seen) < 4:
            seen.add(conn.execute(when).fetchone())
    assert [t for t in threading.enumerate() if t.name == HEARTBEAT] == []


def test_heartbeat_does_not_begin_before_its_block(saver, conn, monkeypatch):
    """A process that is busy stalls between the two until the first renewal is due."""

    def begin(block, token):
        while any(each.name == HEARTBEAT for each in threading.enumerate()):
            conn.execute("SELECT pg_sleep(0.01)")
        return begin_at_once(block, token)

    failed = []
    begin_at_once = ThreadBlock._begin
    monkeypatch.setattr(ThreadBlock, "_begin", begin)
    monkeypatch.setattr(threading, "excepthook", failed.append)
    when = "SELECT expires_at FROM agent_checkpoints_leases"
    with saver.exclusive("thread", ttl=0.3):
        seen = {conn.execute(when).fetchone()}
        while len(seen) < 3 and not failed:
            seen.add(conn.execute(when).fetchone())
    assert failed == []


async def test_lease_is_renewed_by_a_task(ready_database):
    when = "SELECT expires_at FROM agent_checkpoints_leases"
    async with (
        PostgresSnapshotSaver(ready_database) as saver,
        await psycopg.AsyncConnection.connect(ready_database, autocommit=True) as conn,
        saver.exclusive("thread", ttl=0.3),
    ):
        seen = set()
        while len(seen) < 4:
            seen.add(await (await conn.execute(when)).fetchone())


def test_heartbeat_that_fails_tries_again(saver, conn, caplog):
    """Connections that die are the saver's business; a table that is not there is told."""
    with caplog.at_level(logging.WARNING), saver.exclusive("thread", ttl=0.3):
        conn.execute("ALTER TABLE agent_checkpoints_leases RENAME TO elsewhere")
        while "could not be renewed" not in caplog.text:
            conn.execute("SELECT pg_sleep(0.01)")
        conn.execute("ALTER TABLE elsewhere RENAME TO agent_checkpoints_leases")
        expire(conn)
        while leases(conn) != [("thread", True)]:
            pass


def test_lost_lease_is_noticed_by_the_heartbeat(saver, conn, caplog):
    def work():
        with saver.exclusive("thread", ttl=0.3):
            conn.execute("DELETE FROM agent_checkpoints_leases")
            while "not held any more" not in caplog.text:
                conn.execute("SELECT pg_sleep(0.01)")
            with saver.exclusive("thread"):
                pytest.fail("a block inside a block that lost its thread")

    with caplog.at_level(logging.WARNING), pytest.raises(LeaseLostError):
        work()


def test_lost_lease_that_can_not_be_given_back_is_lost(saver, conn, caplog):
    def work():
        with saver.exclusive("thread", ttl=0.3):
            conn.execute("DELETE FROM agent_checkpoints_leases")
            while "not held any more" not in caplog.text:
                conn.execute("SELECT pg_sleep(0.01)")
            conn.execute("ALTER TABLE agent_checkpoints_leases RENAME TO elsewhere")

    with caplog.at_level(logging.WARNING), pytest.raises(LeaseLostError):
        work()
    assert "could not be given back" in caplog.text


def test_lease_that_can_not_be_given_back_expires(saver, conn, caplog):
    with caplog.at_level(logging.WARNING), saver.exclusive("thread"):
        saver.save_state("thread", {"a": 1})
        conn.execute("ALTER TABLE agent_checkpoints_leases RENAME TO elsewhere")
    assert "could not be given back" in caplog.text
    conn.execute("ALTER TABLE elsewhere RENAME TO agent_checkpoints_leases")
    assert leases(conn) == [("thread", True)]


def test_block_in_a_block_is_one_with_it(saver, other, conn):
    def node(name):
        with saver.exclusive("thread", timeout=0) as inner:
            seen.append(inner)

    seen = []
    with saver.exclusive("thread") as outer:
        with saver.exclusive("thread", timeout=0) as inner:
            seen.append(inner)
        assert leases(conn) == [("thread", True)]
        clone = saver.with_allowlist([])
        with clone.exclusive("thread", timeout=0) as inner:
            seen.append(inner)
        steps_graph(saver, fail=node).invoke({"log": ["in"]}, config_of("thread"))
        with ThreadPoolExecutor(1) as threads, pytest.raises(ThreadBusyError):
            threads.submit(saver.exclusive("thread", timeout=0).__enter__).result()
    assert seen == [outer] * 5
    with other.exclusive("thread", timeout=0):
        pass


def test_block_that_ends_elsewhere_is_told(saver, conn, caplog):
    block = saver.exclusive("thread")
    contextvars.copy_context().run(block.__enter__)
    block.__exit__(None, None, None)
    assert "another context" in caplog.text
    assert leases(conn) == []


def test_block_is_good_for_one_time(saver):
    block = saver.exclusive("thread")
    with block:
        pass
    with pytest.raises(SnapshotError, match="one time"), block:
        pass


async def test_cancelled_wait_leaves_nothing(ready_database, conn):
    async with PostgresSnapshotSaver(ready_database) as saver:
        async with saver.exclusive("thread"):
            waiting = contextvars.Context().run(asyncio.create_task, enter(saver))
            while not waiting.done():
                await asyncio.sleep(0)
                if saver._backend._own_async is not None and leases(conn):
                    waiting.cancel()
                    break
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert leases(conn) == [("thread", True)]
        assert leases(conn) == []
        async with saver.exclusive("thread", timeout=0):
            pass


async def enter(saver):
    async with saver.exclusive("thread"):
        pass


def test_child_of_a_fork_leaves_the_block_to_its_parent(saver, conn):
    with saver.exclusive("thread", ttl=1000) as lease:
        pid = os.fork()
        if pid == 0:
            os._exit(leave(lease))
        assert os.waitpid(pid, 0)[1] == 0
        assert leases(conn) == [("thread", True)]


def leave(_lease):
    """What a child does that unwinds its stack: its parent's blocks end in it, too."""
    import gc

    blocks = [o for o in gc.get_objects() if type(o).__name__ == "ThreadBlock"]
    for block in blocks:
        block.__exit__(None, None, None)
    return 0 if blocks else 1


def test_database_that_can_not_be_reached():
    with (
        PostgresSnapshotSaver("host=/nowhere", deadline=0.2, timeout=0.2) as saver,
        pytest.raises(ConnectionUnavailableError, match="exclusive"),
        saver.exclusive("thread"),
    ):
        pytest.fail("entered")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"thread_id": 1.5}, "thread_id must be a str"),
        ({"thread_id": "a\x00"}, "NUL"),
        *(
            ({"ttl": ttl}, r"ttl must be .*; any from 0\.1 to 86,400 \(a day\) will do$")
            for ttl in (0, -1, 1e-9, 0.09, 86_401, float("inf"), float("nan"), "30", None, True)
        ),
        *(({"timeout": t}, "timeout must be") for t in (-1, float("nan"), "30", False)),
    ],
)
def test_bad_arguments(saver, arguments, said):
    with pytest.raises(InvalidArgumentError, match=said):
        saver.exclusive(**{"thread_id": "thread", **arguments})


# -- what stays --------------------------------------------------------------------------------


def test_nothing_stays_of_a_thread_that_is_removed(saver, other, conn):
    for thread_id in ("erased", "deleted", "held", "kept"):
        with saver.exclusive(thread_id):
            saver.save_state(thread_id, {"a": 1})
    assert leases(conn) == [(name, None) for name in ("deleted", "erased", "held", "kept")]
    saver.delete_thread("deleted")
    saver.prune(["erased"], strategy="delete")
    with saver.exclusive("held"):
        other.delete_thread("held")
        assert leases(conn) == [("held", True), ("kept", None)]
        saver.save_state("held", {"a": 1})
        other.delete_thread("held")
    assert leases(conn) == [("kept", None)]
    with saver.exclusive("never there"):
        pass
    assert leases(conn) == [("kept", None)]


def test_sweep_forgets_who_had_threads_long_ago(saver, conn):
    for thread_id in ("old", "new"):
        with saver.exclusive(thread_id):
            saver.save_state(thread_id, {"a": 1})
    old = "UPDATE agent_checkpoints_leases SET acquired_at = acquired_at - interval '25 hours'"
    with saver.exclusive("long"):
        conn.execute(old + " WHERE thread_id IN ('old', 'long')")
        saver.sweep(RetentionPolicy(keep_last=1), dry_run=True)
        assert [thread_id for thread_id, _ in leases(conn)] == ["long", "new", "old"]
        saver.sweep(RetentionPolicy(keep_last=1))
        assert [thread_id for thread_id, _ in leases(conn)] == ["long", "new"]


def test_what_a_block_stores_is_one_statement_each(saver, caplog):
    chain = Chain(saver, "thread")
    with saver.exclusive("thread"):
        chain.put({"a": 1})
        with caplog.at_level(logging.DEBUG, "langgraph_pg_snapshot"):
            chain.put({"a": 2})
            saver.put_writes(chain.head, [("a", 1)], "task")
    counted = [r.statements for r in caplog.records if getattr(r, "operation", "") != "exclusive"]
    assert counted == [1, 1]
