"""``python -m benchmarks.shares``: where the time of one call goes, layer by layer.

The wall time of a call is that of this package's Python, of psycopg's Python, and of waiting for
the server; of the latter the server says (pg_stat_statements) how long it executed, and the rest is
the commit's flush, planning, the socket and the scheduler. In a turn LangGraph calls from several
threads, whose times add up. With ``--functions`` the most expensive functions of each follow.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import pstats
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import psycopg

from benchmarks.data import conversation
from benchmarks.workloads.hooks import CONFIG, WRITES, Talk
from benchmarks.workloads.turns import ask, chat_graph
from langgraph_pg_snapshot import PostgresSnapshotSaver
from langgraph_pg_snapshot._drivers import sync
from langgraph_pg_snapshot.embedded import EmbeddedServer

SETTINGS = {"shared_preload_libraries": "pg_stat_statements", "max_wal_size": "4GB"}
TURNS = 8


@dataclass
class Clock:
    """How long two places of the driver took in all."""

    executing: float = 0.0
    waiting: float = 0.0
    calls: int = 0


@contextmanager
def clocked() -> Iterator[Clock]:
    """Time statements, and what psycopg waits in them."""
    clock = Clock()
    execute, wait = sync._execute, psycopg.Connection.wait  # noqa: SLF001 -- measured from within

    def timed_execute(*args: Any) -> Any:
        begun = time.perf_counter()
        try:
            return execute(*args)
        finally:
            clock.executing += time.perf_counter() - begun

    def timed_wait(self: Any, *args: Any, **kwargs: Any) -> Any:
        begun = time.perf_counter()
        try:
            return wait(self, *args, **kwargs)
        finally:
            clock.waiting += time.perf_counter() - begun

    with (
        mock.patch.object(sync, "_execute", timed_execute),
        mock.patch.object(psycopg.Connection, "wait", timed_wait),
    ):
        yield clock


@dataclass
class Shares:
    """Milliseconds of each call, by layer."""

    total: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)
    psycopg: list[float] = field(default_factory=list)
    waiting: list[float] = field(default_factory=list)


def shares(work: Callable[[int], object], rounds: int) -> Shares:
    """Call it so many times."""
    found = Shares()
    for turn in range(rounds):
        gc.collect()
        with clocked() as clock:
            begun = time.perf_counter()
            work(turn)
            total = time.perf_counter() - begun
        found.total.append(1e3 * total)
        found.ours.append(1e3 * (total - clock.executing))
        found.psycopg.append(1e3 * (clock.executing - clock.waiting))
        found.waiting.append(1e3 * clock.waiting)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--length", type=int, default=800)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--functions", type=int, default=0, help="how many to show of each call")
    options = parser.parse_args()
    with (
        EmbeddedServer.start(settings=SETTINGS) as server,
        PostgresSnapshotSaver(server.dsn) as saver,
        psycopg.connect(server.dsn, autocommit=True) as watch,
    ):
        watch.execute("CREATE EXTENSION pg_stat_statements")
        graph = chat_graph().compile(checkpointer=saver)
        graph.update_state(CONFIG, {"messages": conversation(options.length)})
        for turn in range(TURNS):
            graph.invoke(ask(turn), CONFIG)
        head = saver.get_tuple(CONFIG).config
        talk = Talk(saver)
        works: dict[str, Callable[[int], object]] = {
            "get_tuple": lambda _turn: saver.get_tuple(CONFIG),
            "list, 20": lambda _turn: list(saver.list(CONFIG, limit=20)),
            "put_writes": lambda turn: saver.put_writes(
                head, WRITES["a message and a branch"], f"task {turn}"
            ),
            "put": lambda turn: talk.put(lambda: saver, turn),
            "a turn": lambda turn: graph.invoke(ask(turn), CONFIG, durability="sync"),
        }
        print(f"PostgreSQL {server.version}, {options.length} messages, ms: medians (fastest)\n")
        print(f"{'':<12}{'total':>16}{'ours':>16}{'psycopg':>16}{'waiting':>16}{'server':>10}")
        for name, work in works.items():
            shares(work, 3)
            watch.execute("SELECT pg_stat_statements_reset()")
            found = shares(work, options.rounds)
            row = watch.execute(
                "SELECT sum(total_exec_time) FROM pg_stat_statements WHERE query LIKE '%agent_%'"
            ).fetchone()
            server_ms = float(row[0] or 0) / options.rounds if row else 0.0
            cells = "".join(
                f"{f'{statistics.median(each):.2f} ({min(each):.2f})':>16}"
                for each in (found.total, found.ours, found.psycopg, found.waiting)
            )
            print(f"{name:<12}{cells}{server_ms:>10.2f}")
            if options.functions:
                with cProfile.Profile() as profile:
                    for turn in range(20):
                        work(options.rounds + turn)
                pstats.Stats(profile).sort_stats("tottime").print_stats(options.functions)


if __name__ == "__main__":
    main()
