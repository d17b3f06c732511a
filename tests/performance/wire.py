"""What goes over the wire, as libpq itself notes it."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.pq import Trace
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from helpers import SERDES, Driven, event_loop
from langgraph_pg_snapshot import PostgresSnapshotSaver
from langgraph_pg_snapshot._lifecycle import pool_settings

# F(rontend) or B(ackend), the message's length without its first byte, its kind.
MESSAGE = re.compile(rb"^([FB])\t(\d+)\t(\w+)", re.MULTILINE)


@dataclass(frozen=True)
class Traffic:
    """What one piece of work sent and was sent.

    Attributes:
        statements: Statements that the server executed, those of transaction blocks included.
        round_trips: How often the client waited for it.
        sent: Bytes to the server.
        received: Bytes from it.
    """

    statements: int
    round_trips: int
    sent: int
    received: int


@dataclass
class Wire:
    """A saver, and its only connection, which is listened to."""

    driven: Driven
    _open: Callable[[], PostgresSnapshotSaver]
    _conns: list[psycopg.Connection | psycopg.AsyncConnection]

    def stranger(self) -> Driven:
        """A saver as in a process that was just started, on the same connection."""
        return Driven(self._open(), self.driven.loop)

    def traffic(self, work: Callable[[], object]) -> Traffic:
        """Do some work, and say what it took."""
        [conn] = self._conns
        with tempfile.TemporaryFile() as log:
            conn.pgconn.trace(log.fileno())
            conn.pgconn.set_trace_flags(Trace.SUPPRESS_TIMESTAMPS)
            work()
            conn.pgconn.untrace()  # and flush
            log.seek(0)
            noted = MESSAGE.findall(log.read())
        kinds: Counter[str] = Counter()
        size = {b"F": 0, b"B": 0}
        for direction, length, kind in noted:
            kinds[direction.decode() + kind.decode()] += 1
            size[direction] += 1 + int(length)
        return Traffic(
            statements=kinds["FExecute"] + kinds["FQuery"],
            round_trips=kinds["BReadyForQuery"],
            sent=size[b"F"],
            received=size[b"B"],
        )


@contextmanager
def wire(dsn: str, colour: str, serde: str = "snapshot", **options: Any) -> Iterator[Wire]:
    """A saver with a pool as it makes them itself, of one connection that is traced."""
    settings = pool_settings(
        dsn, min_size=1, max_size=1, timeout=30, max_idle=600, max_lifetime=3600, kwargs=None
    ).arguments()
    conns: list[Any] = []

    async def found(conn: psycopg.AsyncConnection) -> None:
        conns.append(conn)

    if colour == "sync":
        with ConnectionPool(**settings | {"configure": conns.append, "open": True}) as pool:
            pool.wait()

            def opened() -> PostgresSnapshotSaver:
                return PostgresSnapshotSaver(pool=pool, serde=SERDES[serde](), **options)

            yield Wire(Driven(opened(), None), opened, conns)
        return
    with event_loop() as loop:
        apool = AsyncConnectionPool(**settings | {"configure": found})
        loop.run_until_complete(apool.open(wait=True))

        async def made() -> PostgresSnapshotSaver:
            return PostgresSnapshotSaver(async_pool=apool, serde=SERDES[serde](), **options)

        def aopened() -> PostgresSnapshotSaver:
            return loop.run_until_complete(made())

        try:
            yield Wire(Driven(aopened(), loop), aopened, conns)
        finally:
            loop.run_until_complete(apool.close())
