"""Where connections come from: pools of our own, pools of the application's, bare connections."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import (
    asynccontextmanager,
    contextmanager,
    suppress,
)
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import AsyncConnectionPool, ConnectionPool, PoolTimeout

from langgraph_pg_snapshot._drivers.aio import AsyncConnection, running_loop, start_on, wait_for
from langgraph_pg_snapshot._drivers.attempts import Attempts
from langgraph_pg_snapshot._drivers.bounded import BoundedAsyncConnection, BoundedConnection
from langgraph_pg_snapshot._drivers.faults import given_connection_is_busy, given_connection_is_lost
from langgraph_pg_snapshot._drivers.sync import Connection
from langgraph_pg_snapshot._forks import ForkLock
from langgraph_pg_snapshot.errors import ConnectionUnavailableError, WrongColorError

SyncPool = ConnectionPool[Any]
AsyncPool = AsyncConnectionPool[Any]

TCP_USER_TIMEOUT_SINCE = 120_000  # libpq 12

# A network or host that is gone is noticed in 5 s by what waits to be sent, in about 15 s by an
# answer that does not come. (They do nothing on a unix socket.) Times
# are in seconds, but tcp_user_timeout in milliseconds.
LIVELINESS: Mapping[str, int] = {
    "connect_timeout": 10,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    **({"tcp_user_timeout": 5_000} if psycopg.pq.version() >= TCP_USER_TIMEOUT_SINCE else {}),
}

# How long finding out why a pool has no connection may take, in seconds for each address.
ASK_FOR = 5


@dataclass(frozen=True)
class PoolSettings:
    """What pools of our own are made from: psycopg_pool's own names, units and defaults."""

    conninfo: str
    min_size: int
    max_size: int
    timeout: float
    max_idle: float
    max_lifetime: float
    kwargs: dict[str, Any]

    def arguments(self) -> dict[str, Any]:
        """Arguments of ConnectionPool and AsyncConnectionPool."""
        return {
            "conninfo": self.conninfo,
            "min_size": self.min_size,
            "max_size": self.max_size,
            "timeout": self.timeout,
            "max_idle": self.max_idle,
            "max_lifetime": self.max_lifetime,
            "kwargs": {
                # single statements need no transaction block: one round trip instead of three
                "autocommit": True,
                # every statement comes again and again: planned once, at its first use
                "prepare_threshold": 0,
                "fallback_application_name": "langgraph-pg-snapshot",
                **self._liveliness(),
                **self.kwargs,
            },
            "open": False,
        }

    def _liveliness(self) -> dict[str, int]:
        """What the connection string leaves open, and may not get from elsewhere."""
        given = conninfo_to_dict(self.conninfo)
        if "service" in (given | self.kwargs) or "PGSERVICE" in os.environ:
            return {}  # its file says it, perhaps
        if "PGCONNECT_TIMEOUT" in os.environ:
            given["connect_timeout"] = os.environ["PGCONNECT_TIMEOUT"]
        return {name: value for name, value in LIVELINESS.items() if name not in given}


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
            with pool.connection(attempts.wait(pool.timeout)) as conn, _for_writing(conn):
                conn.answer_by = attempts.until
                try:
                    yield conn
                finally:
                    conn.answer_by = None
        except PoolTimeout as error:
            raise self._inquiry.explained(error) from error

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


class GivenPool:
    """A pool that the application owns, and closes."""

    def __init__(self, pool: SyncPool) -> None:
        self._pool = pool

    @contextmanager
    def connection(self, attempts: Attempts) -> Iterator[Connection]:
        timeout = attempts.wait(self._pool.timeout)
        with self._pool.connection(timeout) as conn, _for_writing(conn):
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
            async with pool.connection(attempts.wait(pool.timeout)) as conn:
                conn.answer_by = attempts.until
                try:
                    async with _for_writing_async(conn):
                        yield conn
                finally:
                    conn.answer_by = None
        except PoolTimeout as error:
            raise await asyncio.to_thread(self._inquiry.explained, error) from error

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
        async with self._pool.connection(timeout) as conn, _for_writing_async(conn):
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


@contextmanager
def _for_writing(conn: Connection) -> Iterator[None]:
    """Have a connection that turns out to lead to a standby replaced: it stays one for long."""
    try:
        yield
    except psycopg.errors.ReadOnlySqlTransaction:
        conn.close()
        raise


@asynccontextmanager
async def _for_writing_async(conn: AsyncConnection) -> AsyncIterator[None]:
    """The same for an async connection."""
    try:
        yield
    except psycopg.errors.ReadOnlySqlTransaction:
        await conn.close()
        raise


async def _close_when_cancelled(pool: AsyncPool) -> None:
    """Close a pool when its event loop is wound up.

    `asyncio.run` cancels every task at its end and waits for all of them. A worker of the pool that
    is making a connection may miss that, and would then wait for work for ever: tell it to stop.
    """
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        with suppress(asyncio.CancelledError):
            await pool.close()
