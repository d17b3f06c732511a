"""Runs plans on async connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

import psycopg
from psycopg import AsyncPipeline
from psycopg.rows import tuple_row

from langgraph_pg_snapshot._drivers.attempts import Attempts, marked
from langgraph_pg_snapshot._drivers.faults import caused_by, check_idle
from langgraph_pg_snapshot._drivers.parameters import untyped
from langgraph_pg_snapshot._drivers.pooled import (
    WHICH_PROCESS,
    is_pooled,
    note_pooled,
    note_process,
)
from langgraph_pg_snapshot._drivers.sync import Conduct, has_rows
from langgraph_pg_snapshot._drivers.trace import Trace
from langgraph_pg_snapshot._plans.steps import Atomic, Heavy, Plan, Rows, Step, Stmt

T = TypeVar("T")
AsyncConnection = psycopg.AsyncConnection[Any]

# Decoding this much takes about a millisecond; more than that is done off the event loop's thread.
HEAVY_BYTES = 100_000


class AsyncConnections(Protocol):
    """Where a driver gets connections."""

    def connection(self, attempts: Attempts) -> AbstractAsyncContextManager[AsyncConnection]: ...
    async def recover(self) -> None: ...
    async def close(self) -> None: ...


class AsyncRunner(Protocol):
    """Runs plans for async callers."""

    async def run(self, plan: Callable[[], Plan[T]], trace: Trace) -> T: ...


class AsyncDriver:
    """Each statement or transaction borrows a connection for as long as it takes."""

    def __init__(self, connections: AsyncConnections, conduct: Conduct) -> None:
        self.connections = connections
        self.conduct = conduct

    async def run(self, plan: Callable[[], Plan[T]], trace: Trace) -> T:
        """Run a plan to its end."""
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
            heavy = (isinstance(step, Heavy) and step.takes_long) or (
                isinstance(step, Stmt) and _size(answer) > HEAVY_BYTES
            )

    async def _answer(self, step: Step, trace: Trace) -> Any:
        if isinstance(step, Heavy):
            return None
        opening = None if step.of_schema else self.conduct.opening
        attempts = Attempts(self.conduct.allowed(step))
        while True:
            try:
                async with self.connections.connection(attempts) as conn:
                    check_idle(conn.pgconn.transaction_status)
                    if self.conduct.pooler is not None:
                        note_pooled(conn, self.conduct.pooler)
                    answer = await (
                        _on_its_own(conn, step, opening, trace)
                        if isinstance(step, Stmt)
                        else _in_transaction(conn, step, opening, trace)
                    )
                    return marked(answer, attempts)
            except psycopg.Error as error:  # noqa: PERF203 -- beside a statement it costs nothing
                pause = attempts.pause_after(error)
                trace.retry(error)
                await asyncio.sleep(
                    pause
                )  # first: what is found alive afterwards may be so no more
                with caused_by(error):
                    await self.connections.recover()


def _advance(steps: Plan[Any], answer: Any) -> tuple[Step | None, Any]:
    """The next step, or None and the plan's result: StopIteration can't leave a thread."""
    try:
        return steps.send(answer), None
    except StopIteration as end:
        return None, end.value


def _size(rows: Rows) -> int:
    return sum(len(cell) for row in rows for cell in row if isinstance(cell, (str, bytes)))


async def _on_its_own(
    conn: AsyncConnection, stmt: Stmt, opening: Stmt | None, trace: Trace
) -> Rows:
    if conn.autocommit:
        return await _execute(conn, stmt, trace, opening)
    async with conn.transaction():
        return await _execute(conn, stmt, trace, opening)


async def _in_transaction(
    conn: AsyncConnection, atomic: Atomic, opening: Stmt | None, trace: Trace
) -> Any:
    async with conn.transaction():
        await conn.execute(atomic.isolation, prepare=False)
        if opening is not None:
            await _execute(conn, opening, Trace())
        steps = atomic.plan()
        answer: Any = None
        while True:
            step, result = _advance(steps, answer)
            if step is None:
                return result
            answer = await _execute(conn, step, trace) if isinstance(step, Stmt) else None


async def _execute(
    conn: AsyncConnection, stmt: Stmt, trace: Trace, opening: Stmt | None = None
) -> Rows:
    # Without parameters it may be a script, which can't be prepared nor have binary results.
    single = stmt.params is not None
    pooled = is_pooled(conn)
    if single and pooled is None:
        first = psycopg.AsyncCursor(conn, row_factory=tuple_row)
        await first.execute(WHICH_PROCESS, prepare=False)
        pooled = note_process(conn, await first.fetchone())
    prepare = None if single and not pooled else False
    params = None if stmt.params is None else untyped(stmt.params)
    # (Made now, as in the sync driver.)
    cursor = psycopg.AsyncCursor(conn, row_factory=tuple_row)
    if opening is None:
        await cursor.execute(stmt.query, params, prepare=prepare, binary=single)
    else:
        # One round trip, and one transaction, where none was begun.
        async with conn.pipeline() if AsyncPipeline.is_supported() else conn.transaction():
            first = psycopg.AsyncCursor(conn)
            await first.execute(opening.query, opening.params, prepare=prepare)
            await cursor.execute(stmt.query, params, prepare=prepare, binary=single)
    rows = Rows(await cursor.fetchall() if has_rows(cursor) else ())
    trace.statement(cursor.rowcount)
    return rows
