"""Pools and bare connections of the application's, which it closes itself."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from langgraph_pg_snapshot._drivers.aio import AsyncConnection
from langgraph_pg_snapshot._drivers.attempts import Attempts
from langgraph_pg_snapshot._drivers.borders import running_loop
from langgraph_pg_snapshot._drivers.faults import given_connection_is_busy, given_connection_is_lost
from langgraph_pg_snapshot._drivers.sync import Connection
from langgraph_pg_snapshot._drivers.writable import for_writing, for_writing_async
from langgraph_pg_snapshot._forks import ForkLock
from langgraph_pg_snapshot.errors import ConnectionUnavailableError

SyncPool = ConnectionPool[Any]
AsyncPool = AsyncConnectionPool[Any]


class GivenPool:
    """A pool that the application owns, and closes."""

    def __init__(self, pool: SyncPool) -> None:
        self._pool = pool

    @contextmanager
    def connection(self, attempts: Attempts) -> Iterator[Connection]:
        timeout = attempts.wait(self._pool.timeout)
        with self._pool.connection(timeout) as conn, for_writing(conn):
            yield conn

    def recover(self) -> None:
        self._pool.check()

    def close(self) -> None:
        pass


class GivenConnection:
    """A bare connection, which one thread at a time may use."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._in_use = threading.Lock()

    @contextmanager
    def connection(self, attempts: Attempts) -> Iterator[Connection]:
        if not self._in_use.acquire(timeout=attempts.wait(threading.TIMEOUT_MAX)):
            raise given_connection_is_busy()
        try:
            if self._conn.closed:
                raise given_connection_is_lost()
            yield self._conn
        finally:
            self._in_use.release()

    def recover(self) -> None:
        if self._conn.closed:
            raise given_connection_is_lost()

    def close(self) -> None:
        pass


class _OfOneLoop:
    """What works in one event loop: the one that runs when it is given, or the first to call.

    Another takes its place when that one is closed.
    """

    def __init__(self) -> None:
        self._home = running_loop()
        self._choosing = ForkLock()  # loops may run in several threads

    def home(self, here: asyncio.AbstractEventLoop | None) -> asyncio.AbstractEventLoop | None:
        with self._choosing:
            if here is not None and (self._home is None or self._home.is_closed()):
                self._move()
                self._home = here
            return self._home

    def _move(self) -> None:
        pass


class GivenAsyncPool(_OfOneLoop):
    """A pool that the application owns, and closes."""

    def __init__(self, pool: AsyncPool) -> None:
        super().__init__()
        self._pool = pool

    def home(self, here: asyncio.AbstractEventLoop | None) -> asyncio.AbstractEventLoop | None:
        # An open pool belongs to the loop that it was opened in, wherever the saver was made.
        # Nothing public tells which that is, but its workers are tasks of that loop.
        for worker in getattr(self._pool, "_workers", ()):
            if isinstance(worker, asyncio.Task):
                return worker.get_loop()
        return super().home(here)

    @asynccontextmanager
    async def connection(self, attempts: Attempts) -> AsyncIterator[AsyncConnection]:
        timeout = attempts.wait(self._pool.timeout)
        async with self._pool.connection(timeout) as conn, for_writing_async(conn):
            yield conn

    async def recover(self) -> None:
        await self._pool.check()

    async def close(self) -> None:
        pass


class GivenAsyncConnection(_OfOneLoop):
    """A bare connection, which one task at a time may use."""

    def __init__(self, conn: psycopg.AsyncConnection[Any]) -> None:
        super().__init__()
        self._conn = conn
        self._in_use = asyncio.Lock()

    @asynccontextmanager
    async def connection(self, attempts: Attempts) -> AsyncIterator[AsyncConnection]:
        in_use = self._in_use
        if in_use.locked():
            try:
                await asyncio.wait_for(in_use.acquire(), attempts.wait(threading.TIMEOUT_MAX))
            except asyncio.TimeoutError:
                raise given_connection_is_busy() from None
        else:
            await in_use.acquire()
        try:
            if self._conn.closed:
                raise given_connection_is_lost()
            yield self._conn
        finally:
            in_use.release()

    async def recover(self) -> None:
        if self._conn.closed:
            raise given_connection_is_lost()

    async def close(self) -> None:
        pass

    def _move(self) -> None:
        if self._in_use.locked():
            raise ConnectionUnavailableError(
                "the connection that was passed in was left in use by an event loop that was "
                "closed; pass a conninfo, and each loop gets a pool of its own"
            )
        self._in_use = asyncio.Lock()  # the old one may be bound to the loop that is gone
