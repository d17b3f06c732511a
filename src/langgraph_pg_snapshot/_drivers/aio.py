"""Runs plans on async connections, and across the border between sync and async."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

import psycopg
from psycopg.rows import tuple_row

from langgraph_pg_snapshot._drivers.faults import ATTEMPTS, check_idle, is_transient
from langgraph_pg_snapshot._drivers.sync import SyncDriver
from langgraph_pg_snapshot._drivers.trace import Trace
from langgraph_pg_snapshot._plans.steps import Atomic, Heavy, Plan, Row, Step, Stmt
from langgraph_pg_snapshot.errors import WrongColorError

T = TypeVar("T")
AsyncConnection = psycopg.AsyncConnection[Any]

# Decoding this much takes about a millisecond; more than that is done off the event loop's thread.
HEAVY_BYTES = 100_000


class AsyncConnections(Protocol):
    """Where a driver gets connections."""

    def connection(self) -> AbstractAsyncContextManager[AsyncConnection]: ...
    async def recover(self) -> None: ...
    async def close(self) -> None: ...


class AsyncRunner(Protocol):
    """Runs plans for async callers."""

    async def run(self, plan: Callable[[], Plan[T]], trace: Trace) -> T: ...


class AsyncDriver:
    """Each statement or transaction borrows a connection for as long as it takes."""

    def __init__(self, connections: AsyncConnections) -> None:
        self.connections = connections
        self.loop: asyncio.AbstractEventLoop | None = None

    async def run(self, plan: Callable[[], Plan[T]], trace: Trace) -> T:
        """Run a plan to its end."""
        self.loop = asyncio.get_running_loop()
        steps = plan()
        answer: Any = None
        heavy = False
        while True:
            if heavy:
                step, result = await asyncio.to_thread(_advance, steps, answer)
            else:
                step, result = _advance(steps, answer)
            if step is None:
                final: T = result
                return final
            answer = await self._answer(step, trace)
            heavy = isinstance(step, Heavy) or (
                isinstance(step, Stmt) and _size(answer) > HEAVY_BYTES
            )

    async def _answer(self, step: Step, trace: Trace) -> Any:
        if isinstance(step, Stmt):
            return await self._with_connection(lambda conn: _on_its_own(conn, step, trace), trace)
        if isinstance(step, Atomic):
            return await self._with_connection(
                lambda conn: _in_transaction(conn, step, trace), trace
            )
        return None

    async def _with_connection(
        self, work: Callable[[AsyncConnection], Awaitable[Any]], trace: Trace
    ) -> Any:
        for attempts_left in reversed(range(ATTEMPTS)):
            try:
                async with self.connections.connection() as conn:
                    check_idle(conn.info.transaction_status)
                    return await work(conn)
            except psycopg.Error as error:
                if not attempts_left or not is_transient(error):
                    raise
                trace.retry(error)
            await self.connections.recover()
        raise AssertionError("unreachable")


def _advance(steps: Plan[Any], answer: Any) -> tuple[Step | None, Any]:
    """The next step, or None and the plan's result: StopIteration can't leave a thread."""
    try:
        return steps.send(answer), None
    except StopIteration as end:
        return None, end.value


def _size(rows: list[Row]) -> int:
    return sum(len(cell) for row in rows for cell in row if isinstance(cell, (str, bytes)))


async def _on_its_own(conn: AsyncConnection, stmt: Stmt, trace: Trace) -> list[Row]:
    if conn.autocommit:
        return await _execute(conn, stmt, trace)
    async with conn.transaction():
        return await _execute(conn, stmt, trace)


async def _in_transaction(conn: AsyncConnection, atomic: Atomic, trace: Trace) -> Any:
    async with conn.transaction():
        # As in the sync driver: plans lock first and look then.
        await conn.execute(b"SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        steps = atomic.plan()
        answer: Any = None
        while True:
            step, result = _advance(steps, answer)
            if step is None:
                return result
            answer = await _execute(conn, step, trace) if isinstance(step, Stmt) else None


async def _execute(conn: AsyncConnection, stmt: Stmt, trace: Trace) -> list[Row]:
    async with psycopg.AsyncCursor(conn, row_factory=tuple_row) as cursor:
        # Without parameters it may be a script, which can't be prepared nor have binary results.
        single = stmt.params is not None
        await cursor.execute(
            stmt.query, stmt.params, prepare=None if single else False, binary=single
        )
        rows = await cursor.fetchall() if cursor.description else []
        trace.statement(cursor.rowcount)
        return rows


class ThreadedRunner:
    """For async callers of a saver that has sync connections only: runs plans in a thread."""

    def __init__(self, driver: SyncDriver) -> None:
        self.driver = driver

    async def run(self, plan: Callable[[], Plan[T]], trace: Trace) -> T:
        """Run a plan to its end."""
        return await asyncio.to_thread(self.driver.run, plan, trace)


class BridgedRunner:
    """For sync callers of a saver with async connections only: runs plans on their event loop."""

    def __init__(self, driver: AsyncDriver) -> None:
        self.driver = driver

    def run(self, plan: Callable[[], Plan[T]], trace: Trace) -> T:
        """Run a plan to its end.

        Raises:
            WrongColorError: The loop is not running, or it is this thread's, which would then wait
                for itself.
        """
        loop = self.driver.loop
        way_out = (
            "the saver has async connections only (async_pool=): pass pool= as well, or a "
            "conninfo, or call the async method"
        )
        if loop is None or not loop.is_running():
            raise WrongColorError(f"a sync call has no event loop to run on; {way_out}")
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is loop:
            raise WrongColorError(
                f"a sync call on the event loop's own thread would hang: {way_out}"
            )
        return asyncio.run_coroutine_threadsafe(self.driver.run(plan, trace), loop).result()
