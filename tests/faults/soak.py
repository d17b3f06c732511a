"""Many conversations for minutes, while backends are killed, threads swept and tables vacuumed:
no call fails, every turn ends as it should, memory and connections stay flat. Run by ``make soak``.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import statistics
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

import psycopg
from conversations import KINDS, MODES, Conversation, aturn, expected_states, turn

from helpers import Driven
from invariants import TABLES, violations
from langgraph_pg_snapshot import PostgresSnapshotSaver, RetentionPolicy
from langgraph_pg_snapshot.embedded import EmbeddedServer
from langgraph_pg_snapshot.serializer import memory

CONVERSATIONS = 200
TURNS = 12  # then a conversation is deleted, and begins anew
SYNC_WORKERS, ASYNC_WORKERS = 8, 16
POOL = 8
# The last third of the time may have this much more than the second.
MARGIN, RSS_MARGIN = 1.05, 8.0
KEEP = RetentionPolicy(keep_last=3)
TERMINATE = """
    SELECT count(pg_terminate_backend(pid)) FROM (
        SELECT pid FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'langgraph-pg-snapshot'
        ORDER BY random() LIMIT 1) AS one"""
CONNECTIONS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'langgraph-pg-snapshot'"""
SIZES = """
    SELECT relname, pg_total_relation_size(relid), n_live_tup, n_dead_tup
    FROM pg_stat_user_tables WHERE relname LIKE 'agent_checkpoints%' ORDER BY 1"""


@dataclass
class Sample:
    """What is measured each second."""

    rss: float  # MiB of this process
    connections: int
    bytes: int  # of all tables and indexes


@dataclass
class Soak:
    """A run of it, and what came of it."""

    dsn: str
    saver: PostgresSnapshotSaver
    over: threading.Event = field(default_factory=threading.Event)
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    figures: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    expected: dict[str, list[Any]] = field(default_factory=lambda: expected_states(TURNS))

    def run(self, seconds: float, conversations: int) -> None:
        """Have everybody work, and then stop."""
        names = [f"thread-{n}" for n in range(conversations)]
        kinds = [*KINDS]
        all_ = [Conversation(name, kinds[n % len(kinds)]) for n, name in enumerate(names)]
        workers = SYNC_WORKERS + ASYNC_WORKERS
        shares = [all_[n::workers] for n in range(workers)]
        others = [
            (self.kill, 0.2, 1.0),
            (self.sweep, 2.0, 4.0),
            (self.vacuum, 5.0, 10.0),
            (self.sample, 1.0, 1.0),
        ]
        with ThreadPoolExecutor(SYNC_WORKERS + 1 + len(others)) as threads:
            jobs = [threads.submit(self.converse, share) for share in shares[:SYNC_WORKERS]]
            jobs.append(threads.submit(asyncio.run, self.converse_async(shares[SYNC_WORKERS:])))
            jobs += [threads.submit(self.again, *other) for other in others]
            self.over.wait(seconds)
            self.over.set()
            for job in jobs:
                job.result()

    @contextmanager
    def watched(self, what: str, conversation: Conversation | None = None) -> Iterator[None]:
        """Note what fails, and go on."""
        try:
            yield
        except Exception:  # noqa: BLE001 -- whatever it is, it must not be
            self.failures.append(f"{what}: {traceback.format_exc()}")
            if conversation is not None:
                conversation.turns = TURNS  # nobody knows how far it is

    def again(
        self, what: Callable[[psycopg.Connection[Any]], None], least: float, most: float
    ) -> None:
        """Do something all the time, after uneven pauses, on a connection that nobody kills."""
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            while not self.over.wait(random.uniform(least, most)):
                with self.watched(what.__name__):
                    what(conn)

    # -- conversations -----------------------------------------------------------------------------

    def converse(self, share: list[Conversation]) -> None:
        graphs = {kind: KINDS[kind].build(self.saver) for kind in KINDS}
        while not self.over.is_set():
            conversation, durability = random.choice(share), random.choice(MODES)
            with self.watched("turns", conversation):
                if conversation.turns == TURNS:
                    self.saver.delete_thread(conversation.thread_id)
                    conversation.turns = 0
                state = turn(graphs[conversation.kind], conversation, durability)
                self.compare(conversation, state)

    async def converse_async(self, shares: list[list[Conversation]]) -> None:
        await asyncio.gather(*map(self.converse_async_with, shares))
        await self.saver.aclose()

    async def converse_async_with(self, share: list[Conversation]) -> None:
        graphs = {kind: KINDS[kind].build(self.saver) for kind in KINDS}
        while not self.over.is_set():
            conversation, durability = random.choice(share), random.choice(MODES)
            with self.watched("turns", conversation):
                if conversation.turns == TURNS:
                    await self.saver.adelete_thread(conversation.thread_id)
                    conversation.turns = 0
                state = await aturn(graphs[conversation.kind], conversation, durability)
                self.compare(conversation, state)

    def compare(self, conversation: Conversation, state: Any) -> None:
        expected = self.expected[conversation.kind][conversation.turns]
        assert state == expected, f"{conversation}: {state}"
        conversation.turns += 1
        self.counts["turns"] += 1

    # -- what goes on beside them ------------------------------------------------------------------

    def kill(self, conn: psycopg.Connection[Any]) -> None:
        """End a backend of the saver's."""
        [(number,)] = conn.execute(TERMINATE).fetchall()
        self.counts["backends killed"] += number

    def sweep(self, _conn: psycopg.Connection[Any]) -> None:
        self.counts["checkpoints swept"] += self.saver.sweep(KEEP).checkpoints

    def vacuum(self, conn: psycopg.Connection[Any]) -> None:
        for table in TABLES:
            conn.execute(f"VACUUM (ANALYZE) agent_checkpoints_{table}")
        self.counts["vacuums"] += 1

    def sample(self, conn: psycopg.Connection[Any]) -> None:
        [(connections,)] = conn.execute(CONNECTIONS).fetchall()
        size = sum(row[1] for row in conn.execute(SIZES))
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        rss = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
        self.samples.append(Sample(rss, connections, size))

    # -- what came of it ---------------------------------------------------------------------------

    def third(self, number: int, what: str) -> float:
        """The median of a figure in a third of the time: 0, 1 or 2."""
        size = len(self.samples) // 3
        part = self.samples[number * size : (number + 1) * size]
        return statistics.median(getattr(each, what) for each in part)

    def close(self) -> None:
        """Tell what happened, and what is not as it should be, while the server runs."""
        self.figures = [*self.all_figures()]
        self.faults = [*self.failures, *self.all_faults()]

    def all_faults(self) -> Iterator[str]:
        for what, more, unit in (("rss", RSS_MARGIN, "MiB"), ("connections", 1.0, "")):
            middle, last = self.third(1, what), self.third(2, what)
            if last > middle * MARGIN + more:
                yield f"{what} grew from {middle:.1f} to {last:.1f} {unit}"
        if max(each.connections for each in self.samples) > 2 * POOL:
            yield "more connections than the pools may have"
        for name, rows in violations(self.dsn, Driven(self.saver, None)).items():
            yield f"{name}: {rows}"

    def all_figures(self) -> Iterator[str]:
        yield from (f"{name}: {number}" for name, number in sorted(self.counts.items()))
        yield f"failures: {len(self.failures)}"
        for what, scale, unit in (
            ("rss", 1, "MiB"),
            ("connections", 1, ""),
            ("bytes", 2**20, "MiB"),
        ):
            ends = (getattr(self.samples[n], what) for n in (0, -1))
            places = [next(ends), *(self.third(n, what) for n in range(3)), next(ends)]
            said = ", ".join(f"{each / scale:.1f}" for each in places)
            yield f"{what} at first, median of each third, at last: {said} {unit}".rstrip()
        with psycopg.connect(self.dsn) as conn:
            for name, size, live, dead in conn.execute(SIZES):
                yield f"{name}: {size / 2**20:.1f} MiB, {live} rows, {dead} dead"


class Retries(logging.Handler):
    """Counts what was tried again."""

    def __init__(self, counts: Counter[str]) -> None:
        super().__init__()
        self.counts = counts

    def emit(self, record: logging.LogRecord) -> None:
        self.counts["retries"] += record.getMessage().startswith("retrying")


@contextmanager
def logs_into(counts: Counter[str]) -> Iterator[None]:
    """Count retries by the records of each operation, which go nowhere else."""
    ours, pools = map(logging.getLogger, ("langgraph_pg_snapshot", "psycopg.pool"))
    before = ours.level, ours.propagate, pools.level
    handler = Retries(counts)
    ours.addHandler(handler)
    ours.setLevel(logging.DEBUG)
    ours.propagate = False
    pools.setLevel(logging.ERROR)  # it warns of each connection that was killed
    try:
        yield
    finally:
        ours.removeHandler(handler)
        ours.setLevel(before[0])
        ours.propagate = before[1]
        pools.setLevel(before[2])


def soak(seconds: float, conversations: int) -> Soak:
    """Run it on a server of its own, with caches so small that they are full soon."""
    with (
        patch.object(memory, "GENERATION_BYTES", 2**20),
        EmbeddedServer.start(settings={"max_connections": "60"}) as server,
        PostgresSnapshotSaver(server.dsn, max_size=POOL, cache_bytes=2**20) as saver,
    ):
        saver.setup()
        made = Soak(server.dsn, saver)
        with logs_into(made.counts):
            made.run(seconds, conversations)
        made.close()
        return made


if __name__ == "__main__":
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    run = soak(minutes * 60, CONVERSATIONS)
    sys.stdout.write("\n".join([*run.figures, ""]))
    sys.exit("\n".join(["NOT AS IT SHOULD BE:", *run.faults]) if run.faults else None)
