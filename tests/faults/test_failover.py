"""The primary is killed and its synchronous standby promoted: nothing that was acknowledged is
lost, and graphs go on through a connection string that names both."""

from __future__ import annotations

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest
from clusters import Cluster, cluster, primary
from psycopg.conninfo import make_conninfo

from graphs import steps_graph
from helpers import Driven, config_of, event_loop, unreferenced_items
from langgraph_pg_snapshot import PostgresSnapshotSaver

RESUMES_WITHIN = 5.0  # seconds, of which the promotion takes some


@contextmanager
def pair():
    """A primary, a standby that has what is acknowledged, and the conninfo of both."""
    with (
        primary(synchronous_commit="on", wal_level="replica") as first,
        cluster(wal_retrieve_retry_interval="100ms") as second,
    ):
        second.run("pg_basebackup", "-d", first.dsn, "-D", str(second.data), "-R", "--no-sync")
        with psycopg.connect(first.dsn, autocommit=True) as conn:
            conn.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            conn.execute("SELECT pg_reload_conf()")
        second.start()
        first.wait_until("SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'")
        yield (
            first,
            second,
            make_conninfo(
                first.dsn,
                host=f"{first.home},{second.home}",
                port="5432,5432",
                target_session_attrs="read-write",
            ),
        )


def promote(second: Cluster) -> None:
    with psycopg.connect(second.dsn, autocommit=True) as conn:
        # There is no other standby that could acknowledge what it writes from now on.
        conn.execute("ALTER SYSTEM SET synchronous_standby_names = ''")
        conn.execute("SELECT pg_reload_conf()")
        conn.execute("SELECT pg_promote(wait => true)")


@pytest.mark.timeout(170)
@pytest.mark.parametrize("colour", ["sync", "async"])
def test_failover_under_load(colour):
    workers = 4
    killed = threading.Event()
    acknowledged: dict[str, int] = {}
    times: list[float] = []

    def converse(name, saver):
        """Invoke until two turns that began after the kill were acknowledged."""
        with event_loop() as loop:
            calls = Driven(saver, loop if colour == "async" else None)
            graph, turns_after = steps_graph(saver), 0
            while turns_after < 2:
                began_after = killed.is_set()
                state = calls.call(graph, "invoke", {"log": ["in"]}, config_of(name))
                acknowledged[name] = len(state["log"])
                if began_after:
                    turns_after += 1
                elif killed.is_set():
                    times.append(time.monotonic())  # the call that was under way

    with pair() as (first, second, dsn), ThreadPoolExecutor(workers) as threads:
        with PostgresSnapshotSaver(dsn, max_size=4) as saver:
            saver.setup()
            names = [f"thread-{n}" for n in range(workers)]
            running = [threads.submit(converse, name, saver) for name in names]
            while len(acknowledged) < workers or min(acknowledged.values()) < 8:
                assert not any(each.done() for each in running)
                time.sleep(0.01)
            first.stop(signal.SIGKILL)
            killed.set()
            promote(second)
            promoted = time.monotonic()
            for each in running:
                each.result(60)
            # Each turn adds the input and three nodes' words: none is missing, none there twice.
            for name in names:
                log = saver.load_state(name)["log"]
                turns, rest = divmod(len(log), 4)
                assert rest == 0
                assert len(log) == acknowledged[name]
                expected = [
                    said
                    for turn in range(turns)
                    for said in ("in", f"a{turn * 4 + 1}", f"b{turn * 4 + 2}", f"c{turn * 4 + 3}")
                ]
                assert log == expected
        assert unreferenced_items(second.dsn) == []
        assert times
        assert max(times) - promoted < RESUMES_WITHIN
