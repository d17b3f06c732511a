"""A connection that breaks off before the server sees a request, or after it has done it and before
anybody is told: the operation succeeds, and the tables hold what one clean run leaves.

Each operation is broken off at each of its round trips in turn, COMMIT among them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
import pytest
from proxy import Cut, proxy_to, rows_of

from helpers import Driven, checkpoint_of, config_of, event_loop
from langgraph_pg_snapshot import PostgresSnapshotSaver, RetentionPolicy

TABLES = ("threads", "history", "items", "writes", "metadata", "erased", "leases")
IDS = [f"1f1e0000-0000-6000-8000-{n:012x}" for n in range(10)]
LONG = [{"n": n, "text": "and so on " * 10} for n in range(6)]


def version(number):
    return f"{number:032}.0"


def put(saver, thread_id, number=0, *, length=6, parent=None, run_id="run"):
    config = config_of(thread_id, None if parent is None else IDS[parent])
    values = {"long": [*LONG[:length], {"last": number, "text": "x" * 100}], "short": number}
    versions = {channel: version(number + 1) for channel in values}
    metadata = {"source": "loop", "step": number, "run_id": run_id, "user_id": f"u{number}"}
    return saver.put(config, checkpoint_of(values, versions, IDS[number]), metadata, versions)


def write(saver, thread_id, *writes, number=0):
    saver.put_writes(config_of(thread_id, IDS[number]), writes, "task", "path")


def nothing(saver, other, thread_id):
    pass


def one(saver, other, thread_id):
    put(saver, thread_id)


def one_by_another(saver, other, thread_id):
    put(saver, thread_id)
    put(other, thread_id, 1, parent=0)


def two_with_writes(saver, other, thread_id):
    put(saver, thread_id)
    write(saver, thread_id, ("a", 1), ("__resume__", ["r"]))
    put(saver, thread_id, 1, parent=0, run_id="second")
    write(saver, thread_id, ("b", LONG), number=1)


def copied_once(saver, other, thread_id):
    two_with_writes(saver, other, thread_id)
    saver.copy_thread(thread_id, f"{thread_id}-copy")
    put(saver, thread_id, 2, parent=1)


def erased(saver, other, thread_id):
    put(saver, thread_id)
    saver.delete_thread(thread_id)


def take_turn(saver, thread_id):
    """Has the thread for itself; it may not exist."""
    driven = saver.saver

    async def turn():
        async with driven.saver.exclusive(thread_id, ttl=1000):
            pass

    if driven.loop is not None:
        driven.loop.run_until_complete(turn())
    else:
        with driven.saver.exclusive(thread_id, ttl=1000):
            pass


# What there is before, and what is broken off.
def sweep_all(saver):
    """A backend whose client is gone holds its locks until it finds out; sweeps pass those over."""
    while saver.sweep(RetentionPolicy(keep_last=1)).skipped:
        pass


OPERATIONS: dict[str, tuple[Callable, Callable]] = {
    "put-new-thread": (nothing, put),
    "put-next": (one, lambda s, t: put(s, t, 1, parent=0)),
    "put-after-others": (one_by_another, lambda s, t: put(s, t, 2, parent=0)),
    "put-again-with-less": (one, lambda s, t: put(s, t, 0, length=2)),
    "put_writes": (one, lambda s, t: write(s, t, ("a", 1), ("b", LONG))),
    "put_writes-replaced": (
        two_with_writes,
        lambda s, t: write(s, t, ("a", 2), ("__resume__", ["again"])),
    ),
    "delete_thread": (two_with_writes, lambda s, t: s.delete_thread(t)),
    "delete_for_runs": (two_with_writes, lambda s, t: s.delete_for_runs([f"run-{t}"])),
    "prune": (two_with_writes, lambda s, t: s.prune([t])),
    "copy_thread": (two_with_writes, lambda s, t: s.copy_thread(t, f"{t}-copy")),
    "copy_thread-again": (copied_once, lambda s, t: s.copy_thread(t, f"{t}-copy")),
    "put-after-delete": (erased, lambda s, t: put(s, t, run_id="later")),
    "sweep": (two_with_writes, lambda s, _: sweep_all(s)),
    "erase": (two_with_writes, lambda s, t: s.erase(filter={"user_id": "u1"})),
    "exclusive": (one, take_turn),
    "exclusive-new": (nothing, take_turn),
    "save_state-new": (nothing, lambda s, t: s.save_state(t, {"a": LONG, "b": 1})),
    "save_state-next": (one, lambda s, t: s.save_state(t, {"long": LONG[:2], "b": 1})),
}
# Made up at each call: checkpoint ids, versions, times.
MADE_UP = re.compile(
    r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b\d{32}(?:\.[0-9a-f]+)+|\d{4}-\d\d-\d\dT[\d:.+]+"
)


@dataclass
class OfThread:
    """A saver for which run ids are a thread's own: they are not looked up by thread."""

    saver: object
    thread_id: str

    def __getattr__(self, name):
        return getattr(self.saver, name)

    def put(self, config, checkpoint, metadata, versions):
        own = {**metadata, "run_id": f"{metadata['run_id']}-{self.thread_id}"}
        return self.saver.put(config, checkpoint, own, versions)


@contextmanager
def through(dsn, loop, **options):
    """A saver of one connection, closed in its loop."""
    saver = PostgresSnapshotSaver(dsn, min_size=1, max_size=1, auto_setup=False, **options)
    try:
        yield saver
    finally:
        loop.run_until_complete(saver.aclose())


def held(dsn, thread_id):
    """What all tables hold of a thread and of its copy, with made up values by their order."""
    rows = [
        f"{table}: {row}"
        for each in (thread_id, f"{thread_id}-copy")
        for table in TABLES
        for row in rows_of(dsn, table, each)
    ]
    text = "\n".join(rows).replace(thread_id, "T")
    order = sorted(set(MADE_UP.findall(text)))
    return MADE_UP.sub(lambda found: f"<{order.index(found[0])}>", text)


# The plans are the same for both colours, and what the server never saw is simply sent again: a few
# operations show that, the others among the slow tests.
BRIEFLY = ("put-next", "put_writes", "delete_thread", "copy_thread")


def cases():
    for colour in ("sync", "async"):
        for operation in OPERATIONS:
            for lost in ("request", "answer"):
                is_quick = operation in BRIEFLY or (colour, lost) == ("sync", "answer")
                marks = [] if is_quick else [pytest.mark.slow]
                yield pytest.param(colour, operation, lost, "fork", marks=marks)
        for operation in ("put-new-thread", "put-next", "put-again-with-less"):
            # A put that is sent again is not overtaken by itself.
            yield colour, operation, "answer", "raise"


@pytest.mark.parametrize(("colour", "operation", "lost", "on_conflict"), list(cases()))
def test_operation_is_done_once_whatever_gets_lost(
    ready_database, colour, operation, lost, on_conflict
):
    before, work = OPERATIONS[operation]
    with (
        event_loop() as loop,
        PostgresSnapshotSaver(ready_database, min_size=1) as other,
        proxy_to(ready_database) as proxy,
        through(proxy.dsn, loop, on_conflict=on_conflict) as saver,
    ):
        driven = Driven(saver, loop if colour == "async" else None)

        def run(thread_id, cut):
            mine = OfThread(driven, thread_id)
            before(mine, OfThread(other, thread_id), thread_id)
            driven.get_tuple(config_of("warm up the connection"))
            proxy.cut = cut
            work(mine, thread_id)
            proxy.cut = None
            return held(ready_database, thread_id)

        clean = run("thread-clean", None)
        cuts = 0
        while True:
            cut = Cut(cuts + 1, lost)
            assert run(f"thread-{cuts}", cut) == clean
            if not cut.done:
                break
            cuts += 1
        assert cuts >= 1


@pytest.mark.parametrize("lost", ["request", "answer"])
def test_setup_is_done_once_whatever_gets_lost(database, lost):
    def made(name):
        with psycopg.connect(database) as conn:
            relations = conn.execute(
                "SELECT relname, relkind FROM pg_class WHERE relname LIKE %s", [f"{name}\\_%"]
            ).fetchall()
            steps = conn.execute(f"SELECT version, name FROM {name}_migrations").fetchall()  # noqa: S608
        return sorted((rel.replace(name, "T"), kind) for rel, kind in relations), steps

    with proxy_to(database) as proxy:

        def run(name, cut):
            with PostgresSnapshotSaver(proxy.dsn, table_name=name, min_size=1, max_size=1) as saver:
                proxy.cut = cut
                saver.setup()
                proxy.cut = None
            return made(name)

        clean = run("clean", None)
        cuts = 0
        while True:
            cut = Cut(cuts + 1, lost)
            assert run(f"cut{cuts}", cut) == clean
            if not cut.done:
                break
            cuts += 1
        assert cuts > 5
