"""Pools of our own, which open at their first use."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import psycopg
from psycopg_pool import AsyncConnectionPool, ConnectionPool, PoolTimeout

from langgraph_pg_snapshot._drivers.aio import AsyncConnection
from langgraph_pg_snapshot._drivers.attempts import Attempts
from langgraph_pg_snapshot._drivers.borders import running_loop, start_on, wait_for
from langgraph_pg_snapshot._drivers.bounded import BoundedAsyncConnection, BoundedConnection
from langgraph_pg_snapshot._drivers.settings import PoolSettings
from langgraph_pg_snapshot._drivers.sync import Connection
from langgraph_pg_snapshot._drivers.writable import for_writing, for_writing_async
from langgraph_pg_snapshot._forks import ForkLock
from langgraph_pg_snapshot.errors import ConnectionUnavailableError, WrongColorError

# How long finding out why a pool has no connection may take, in seconds for each address.
ASK_FOR = 5


class Inquiry:
    """Finds out why a pool of our own has no connection: it tells its log only.

    A direct connection says. Callers that time out together share one, lest they storm the server.
    """

    def __init__(self, settings: PoolSettings) -> None:
        self._settings = settings
        self._asking = ForkLock()
        self._answered = 0.0
        self._answer = ""

    def explained(self, error: PoolTimeout) -> ConnectionUnavailableError:
        """The error for a caller that waited in vain."""
        came = time.monotonic()
        with self._asking:
            if self._answered <= came:
                self._answer = self._ask()
                self._answered = time.monotonic()
            return ConnectionUnavailableError(f"no connection could be had: {error}{self._answer}")

    def _ask(self) -> str:
        arguments = self._settings.arguments()["kwargs"] | {"connect_timeout": ASK_FOR}
        try:
            psycopg.connect(self._settings.conninfo, **arguments).close()
        except psycopg.Error as reason:
            return f": {reason}"
        return (
            f"; the server takes connections, so all of the pool's were in use "
            f"(max_size={self._settings.max_size}), or timeout is too short"
        )


class OwnPool:
    """A pool of our own, opened at first use; a forked child gets another one."""

    def __init__(self, settings: PoolSettings) -> None:
        self._settings = settings
        self._inquiry = Inquiry(settings)
        self._pool: ConnectionPool[BoundedConnection] | None = None
        self._pid = 0
        self._opening = ForkLock()  # held while the pool is made, never while it is used

    @contextmanager
    def connection(self, attempts: Attempts) -> Iterator[Connection]:
        pool = self._opened()
        try:
            conn = pool.getconn(attempts.wait(pool.timeout))
        except PoolTimeout as error:
            attempts.check_time()
            raise self._inquiry.explained(error) from error
        # (The pool's own context manager would end a transaction; the driver has ended each.)
        try:
            conn.answer_by = attempts.until
            with for_writing(conn):
                yield conn
        finally:
            conn.answer_by = None
            pool.putconn(conn)

    def recover(self) -> None:
        self._opened().check()

    def close(self) -> None:
        with self._opening:
            pool, self._pool = self._pool, None
        if pool is not None and self._pid == os.getpid():
            pool.close()

    def _opened(self) -> ConnectionPool[BoundedConnection]:
        pool = self._pool
        if pool is None or self._pid != os.getpid():
            with self._opening:
                if self._pool is None or self._pid != os.getpid():
                    self._pool = ConnectionPool(
                        connection_class=BoundedConnection, **self._settings.arguments()
                    )
                    self._pool.open()
                    self._pid = os.getpid()
                pool = self._pool
        return pool


@dataclass
class _LoopPool:
    """The pool of one event loop."""

    opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    pool: AsyncConnectionPool[BoundedAsyncConnection] | None = None
    closer: asyncio.Task[None] | None = None
    connections: WeakSet[AsyncConnection] = field(default_factory=WeakSet)

    def finish(self) -> None:
        """Close the sockets of a loop that can't do it itself any more."""
        for conn in list(self.connections):
            conn.pgconn.finish()


class OwnAsyncPools:
    """A pool of our own for each event loop that asks.

    Connections belong to the loop that they were made in. Pools of loops that have ended are let go
    when another loop comes, or at close.
    """

    def __init__(self, settings: PoolSettings) -> None:
        self._settings = settings
        self._pools: WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopPool] = WeakKeyDictionary()
        self._guard = ForkLock()  # loops may run in several threads
        self._inquiry = Inquiry(settings)

    @asynccontextmanager
    async def connection(self, attempts: Attempts) -> AsyncIterator[AsyncConnection]:
        pool = await self._opened()
        try:
            conn = await pool.getconn(attempts.wait(pool.timeout))
        except PoolTimeout as error:
            attempts.check_time()
            raise await asyncio.to_thread(self._inquiry.explained, error) from error
        try:
            conn.answer_by = attempts.until
            async with for_writing_async(conn):
                yield conn
        finally:
            conn.answer_by = None
            await pool.putconn(conn)

    async def recover(self) -> None:
        await (await self._opened()).check()

    async def close(self) -> None:
        with self._guard:
            mine = self._pools.pop(asyncio.get_running_loop(), None)
        self.drop_ended()
        if mine is not None and mine.pool is not None:
            await mine.pool.close()
            if mine.closer is not None:
                mine.closer.cancel()

    def close_from_sync(self) -> None:
        """Close what can be closed without awaiting.

        A loop that runs is asked to; one that does not, or stops, has its sockets closed.
        """
        with self._guard:
            left = list(self._pools.items())
            self._pools.clear()
        for loop, mine in left:
            if mine.pool is None or not loop.is_running():
                mine.finish()
                continue
            try:
                closing = start_on(loop, mine.pool.close())
                if loop is not running_loop():
                    wait_for(closing, loop)
            except WrongColorError:
                mine.finish()

    def drop_ended(self) -> None:
        """Close the sockets that ended event loops left open."""
        with self._guard:
            ended = [loop for loop in self._pools if loop.is_closed()]
            left = [self._pools.pop(loop) for loop in ended]
        for mine in left:
            mine.finish()

    async def _opened(self) -> AsyncConnectionPool[BoundedAsyncConnection]:
        loop = asyncio.get_running_loop()
        mine = self._pools.get(loop)
        if mine is None:
            self.drop_ended()
            with self._guard:
                mine = self._pools.setdefault(loop, _LoopPool())
        if mine.pool is None or mine.pool.closed:
            async with mine.opening:
                if mine.pool is None or mine.pool.closed:
                    pool = self._make(mine.connections)
                    await pool.open()
                    mine.closer = loop.create_task(_close_when_cancelled(pool))
                    mine.pool = pool
        return mine.pool

    def _make(
        self, connections: WeakSet[AsyncConnection]
    ) -> AsyncConnectionPool[BoundedAsyncConnection]:
        async def remember(conn: BoundedAsyncConnection) -> None:
            connections.add(conn)

        return AsyncConnectionPool(
            connection_class=BoundedAsyncConnection,
            configure=remember,
            **self._settings.arguments(),
        )


async def _close_when_cancelled(pool: AsyncConnectionPool[Any]) -> None:
    """Close a pool when its event loop is wound up.

    `asyncio.run` cancels every task at its end and waits for all of them. A worker of the pool that
    is making a connection may miss that, and would then wait for work for ever: tell it to stop.
    """
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        with suppress(asyncio.CancelledError):
            await pool.close()
