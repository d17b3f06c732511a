"""Erasures, sweeps and writers that meet, each time at the same statement."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import psycopg
import pytest

from helpers import Chain, checkpoint_of, config_of, id_of, new_id, next_version, unreferenced_items
from langgraph_pg_snapshot import PostgresSnapshotSaver, RetentionPolicy
from langgraph_pg_snapshot._drivers import sync

T = "thread"
LONG = [{"n": n, "text": "and so on " * 10} for n in range(6)]
ERASURES = {
    "delete_thread": lambda saver: saver.delete_thread(T),
    "erase": lambda saver: saver.erase(filter={"user_id": "ada"}),
    "sweep": lambda saver: saver.sweep(RetentionPolicy(max_idle=timedelta(0), allow_all=True)),
}


@pytest.fixture
def ready_database(any_ready_database):
    """What a statement sees that waited for a lock is a matter of the server."""
    return any_ready_database


@pytest.fixture
def saver(ready_database):
    """These are about what two connections do: one colour will do."""
    with PostgresSnapshotSaver(ready_database) as saver:
        yield saver


@pytest.fixture
def eraser(ready_database):
    with PostgresSnapshotSaver(ready_database) as saver:
        yield saver


@pytest.fixture
def threads():
    with ThreadPoolExecutor(4) as threads:
        yield threads


@contextmanager
def stopped_before(saver, monkeypatch, statement, work):
    """Have a saver do work in between, before it first sends a statement."""
    execute, query, done = sync._execute, saver._store.queries(*statement), []

    def hooked(conn, stmt, *rest):
        if stmt.query == query and not done:
            done.append(True)
            work()
        return execute(conn, stmt, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(sync, "_execute", hooked)
        yield
    assert done, "the statement was not sent"


def wait_until_blocked(dsn: str, future: Future[object], *, may_end: bool = False) -> None:
    """Return when another connection waits for a lock, or when it is done, if that will do, too."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        while not future.done():
            [(waiting,)] = conn.execute(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE datname = current_database() AND wait_event_type = 'Lock'"
            ).fetchall()
            if waiting:
                return
    assert may_end, f"nobody waits: {future}"


def fill(saver, ns="", count=2, parents=None):
    chain = Chain(saver, T, ns)
    for n in range(count):
        metadata = {"user_id": "ada", "run_id": "run", "parents": parents or {}}
        chain.put({"long": LONG[: n + 3]}, metadata=metadata)
    return chain


@pytest.mark.parametrize("how", [*ERASURES, "delete_for_runs"])
@pytest.mark.parametrize("late", ["put", "put_writes", "early writes", "first of a subgraph"])
def test_who_comes_while_an_erasure_is_under_way_waits_and_stores_nothing(
    saver, eraser, *, threads, ready_database, monkeypatch, rows, how, late
):
    chain = fill(saver)
    parents = {"parents": {"": id_of(chain.head)}}
    works = {
        "put": lambda: chain.put({"long": LONG}, metadata={"run_id": "run"}),
        "put_writes": lambda: saver.put_writes(chain.head, [("a", 1)], "task"),
        "early writes": lambda: saver.put_writes(config_of(T, new_id()), [("a", 1)], "task"),
        "first of a subgraph": lambda: Chain(saver, T, "sub:1").put(
            {"long": LONG}, metadata={"run_id": "run", **parents}
        ),
    }
    futures = []

    def come():
        futures.append(threads.submit(works[late]))
        if how == "delete_for_runs" and late == "put":
            futures[0].result(30)  # it says whose it is, and that is known before all else
        else:
            # (PostgreSQL 15 looks at the root's row before it looks whose it is.)
            may_end = how == "delete_for_runs" and late == "first of a subgraph"
            wait_until_blocked(ready_database, futures[0], may_end=may_end)

    statement = "unsay" if how == "delete_for_runs" else "delete_threads"
    with stopped_before(eraser, monkeypatch, [statement], come):
        if how == "delete_for_runs":
            eraser.delete_for_runs(["run"])
        else:
            ERASURES[how](eraser)
    futures[0].result(30)
    assert rows(T) == {}


@contextmanager
def open_transaction(dsn, statement, params):
    """A statement of a writer's that is not committed yet."""
    with psycopg.connect(dsn) as conn:
        assert psycopg.Cursor(conn).execute(statement, params, binary=True).fetchall()
        yield conn


@pytest.mark.parametrize("how", ["delete_thread", "erase"])
@pytest.mark.parametrize(
    "first", ["put_checkpoint", "put_first_checkpoint", "put_writes", "put_early_writes"]
)
def test_an_erasure_waits_for_who_came_first_and_takes_it_along(
    saver, eraser, *, threads, ready_database, monkeypatch, rows, how, first
):
    chain = fill(saver)
    sent = []
    execute = sync._execute
    query = saver._store.queries(first)

    def noted(conn, stmt, *rest):
        if stmt.query == query:
            sent.append(stmt)
        return execute(conn, stmt, *rest)

    # What the saver would send next, taken from a thread that is removed again.
    with monkeypatch.context() as patch:
        patch.setattr(sync, "_execute", noted)
        if first == "put_checkpoint":
            with psycopg.connect(ready_database) as conn:
                before = conn.execute(
                    "SELECT epoch, appended FROM agent_checkpoints_threads"
                ).fetchone()
            chain.put({"long": LONG})
        elif first == "put_first_checkpoint":
            fill(saver, "sub:1", 1, {"": id_of(chain.head)})
        else:
            id_ = id_of(chain.head) if first == "put_writes" else new_id()
            saver.put_writes(config_of(T, id_), [("a", 1)], "task")
    params = dict(sent[0].params)
    if first == "put_checkpoint":
        params |= {"checkpoint_id": new_id(), "epoch": before[0], "appended": before[1]}
        with psycopg.connect(ready_database, autocommit=True) as conn:
            conn.execute("UPDATE agent_checkpoints_threads SET appended = %s", [before[1]])
        params |= {"item_ids": [], "digests": [], "items": [], "blob_types": [], "blobs": []}
    elif first == "put_first_checkpoint":
        params |= {"checkpoint_ns": "sub:2"}
    else:
        params |= {"task_id": "another"}
    with open_transaction(ready_database, query, params) as conn:
        future = threads.submit(ERASURES[how], eraser)
        wait_until_blocked(ready_database, future)
        conn.commit()
    future.result(30)
    assert rows(T) == {}


def test_a_sweep_passes_over_who_is_busy_and_counts_them(saver, ready_database, rows):
    policies = (
        RetentionPolicy(keep_last=1),
        RetentionPolicy(max_idle=timedelta(0), allow_all=True),
    )
    for policy in policies:
        fill(saver)
        fill(saver, "sub")
        for ns in ("", "sub"):
            with psycopg.connect(ready_database) as conn:
                conn.execute(
                    "SELECT FROM agent_checkpoints_threads WHERE checkpoint_ns = %s FOR KEY SHARE",
                    [ns],
                )
                before = rows(T)
                report = saver.sweep(policy)
                assert (report.skipped, report.checkpoints) == (1, 0)
                assert rows(T) == before
        report = saver.sweep(policy)
        assert (report.skipped, report.threads + report.shortened) == (0, 1)


def test_a_thread_that_is_used_after_the_look_is_not_idle(saver, eraser, monkeypatch):
    chain = fill(saver)
    policy = RetentionPolicy(max_idle=timedelta(0), allow_all=True)
    with stopped_before(
        eraser, monkeypatch, ["try_lock_threads"], lambda: chain.put({"long": LONG})
    ):
        report = eraser.sweep(policy)
    assert (report.threads, report.skipped) == (0, 0)
    assert len(list(saver.list(config_of(T)))) == 3


def test_a_sweep_between_a_runs_puts(saver, eraser, ready_database, monkeypatch):
    """Just before a put is sent: it finds the log changed, and goes on on its parent."""
    chain = fill(saver, count=5)
    with stopped_before(
        saver,
        monkeypatch,
        ["put_checkpoint"],
        lambda: eraser.sweep(RetentionPolicy(keep_last=1)),
    ):
        head = chain.put({"long": [*LONG, *LONG]})
    found = eraser.get_tuple(head)
    assert found.checkpoint["channel_values"] == {"long": [*LONG, *LONG]}
    assert id_of(found.parent_config) in {id_of(each.config) for each in saver.list(config_of(T))}
    assert unreferenced_items(ready_database) == []


def test_two_sweeps_of_the_same_threads(saver, eraser, monkeypatch, threads):
    fill(saver, count=5)
    reports = []
    with stopped_before(
        eraser,
        monkeypatch,
        ["drop_expendable"],
        lambda: reports.append(saver.sweep(RetentionPolicy(keep_last=1))),
    ):
        reports.append(eraser.sweep(RetentionPolicy(keep_last=2)))
    assert [(each.skipped, each.checkpoints) for each in reports] == [(1, 0), (0, 3)]


def test_sweeps_removals_copies_and_runs_at_once(saver, ready_database):
    """Nobody sees an error, and what is left is whole."""
    others = [PostgresSnapshotSaver(ready_database) for _ in range(2)]
    start = threading.Barrier(6)
    policies = (
        RetentionPolicy(keep_last=1),
        RetentionPolicy(keep_last=2, max_age=timedelta(0)),
        RetentionPolicy(max_idle=timedelta(0), allow_all=True),
    )

    def again(work):
        start.wait(30)
        for n in range(15):
            work(n)

    def write(n):
        chain = Chain(saver, f"t{n % 3}")
        for length in range(1, 5):
            chain.put({"long": LONG[:length]}, metadata={"user_id": f"u{n % 3}"})
            saver.put_writes(chain.head, [("long", LONG)], "task")
            saver.put_writes(config_of(chain.thread_id, new_id()), [("a", 1)], "early")
        version = next_version(None)
        saver.put(
            config_of(chain.thread_id, None, f"sub:{n}"),
            checkpoint_of({"long": LONG}, {"long": version}),
            {"parents": {"": id_of(chain.head)}},
            {"long": version},
        )

    works = [
        write,
        lambda n: others[0].sweep(policies[n % 3], batch=2),
        lambda n: others[1].sweep(policies[(n + 1) % 3]),
        lambda n: others[0].delete_thread(f"t{n % 3}"),
        lambda n: others[1].copy_thread(f"t{n % 3}", f"copy-{n}"),
        lambda n: others[0].erase(filter={"user_id": f"u{n % 3}"}),
    ]
    with ThreadPoolExecutor(len(works)) as pool:
        for job in [pool.submit(again, work) for work in works]:
            job.result(120)
    for each in saver.list(None):
        assert saver.get_tuple(each.config) == each
    assert unreferenced_items(ready_database) == []
    assert all(saver.check(thread.thread_id) == [] for thread in saver.list_threads())
    for other in others:
        other.close()
