"""Runs plans on async connections, and across the border between sync and async."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from concurrent import futures
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

import psycopg
from psycopg import AsyncPipeline
from psycopg.rows import tuple_row

from langgraph_pg_snapshot._drivers.attempts import Attempts, marked
from langgraph_pg_snapshot._drivers.faults import caused_by, check_idle
from langgraph_pg_snapshot._drivers.parameters import as_text
from langgraph_pg_snapshot._drivers.pooled import (
    WHICH_PROCESS,
    is_pooled,
    note_pooled,
    note_process,
)
from langgraph_pg_snapshot._drivers.sync import Conduct, SyncDriver, has_rows
from langgraph_pg_snapshot._drivers.trace import Trace
from langgraph_pg_snapshot._plans.steps import Atomic, Heavy, Plan, Rows, Step, Stmt
from langgraph_pg_snapshot.errors import WrongColorError

T = TypeVar("T")
AsyncConnection = psycopg.AsyncConnection[Any]

# Decoding this much takes about a millisecond; more than that is done off the event loop's thread.
HEAVY_BYTES = 100_000

# Whoever waits for another event loop looks this often, in seconds, whether it still runs.
LOOK_EVERY = 0.5


class AsyncConnections(Protocol):
    """Where a driver gets connections."""

    def connection(self, attempts: Attempts) -> AbstractAsyncContextManager[AsyncConnection]: ...
    async def recover(self) -> None: ...
    async def close(self) -> None: ...


class GivenAsyncConnections(AsyncConnections, Protocol):
    """Connections of the application's, which work in one event loop."""

    def home(self, here: asyncio.AbstractEventLoop | None) -> asyncio.AbstractEventLoop | None:
        """The loop that they belong to: it may be that of the caller, if he has one."""
        ...


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
            heavy = isinstance(step, Heavy) or (
                isinstance(step, Stmt) and _size(answer) > HEAVY_BYTES
            )

    async def _answer(self, step: Step, trace: Trace) -> Any:
        if isinstance(step, Heavy):
            return None
        seconds = None if step.takes_long else self.conduct.deadline
        if isinstance(step, Stmt):
            return await self._with_connection(
                lambda conn: _on_its_own(conn, step, self.conduct.opening, trace), seconds, trace
            )
        return await self._with_connection(
            lambda conn: _in_transaction(conn, step, self.conduct.opening, trace), seconds, trace
        )

    async def _with_connection(
        self,
        work: Callable[[AsyncConnection], Awaitable[Any]],
        seconds: float | None,
        trace: Trace,
    ) -> Any:
        attempts = Attempts(seconds)
        while True:
            try:
                async with self.connections.connection(attempts) as conn:
                    check_idle(conn.info.transaction_status)
                    if self.conduct.pooler is not None:
                        note_pooled(conn, self.conduct.pooler)
                    return marked(await work(conn), attempts)
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
    async with psycopg.AsyncCursor(conn, row_factory=tuple_row) as cursor:
        # Without parameters it may be a script, which can't be prepared nor have binary results.
        single = stmt.params is not None
        pooled = is_pooled(conn)
        if single and pooled is None:
            await cursor.execute(WHICH_PROCESS, prepare=False)
            pooled = note_process(conn, await cursor.fetchone())
        prepare = None if single and not pooled else False
        params = None if stmt.params is None else as_text(stmt.params)
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


class ThreadedRunner:
    """For async callers of a saver that has sync connections only: runs plans in a thread."""

    def __init__(self, driver: SyncDriver) -> None:
        self.driver = driver

    async def run(self, plan: Callable[[], Plan[T]], trace: Trace) -> T:
        """Run a plan to its end."""
        return await asyncio.to_thread(self.driver.run, plan, trace)


class HomeRunner:
    """For async callers of a saver with given async connections: runs plans on their event loop."""

    def __init__(self, connections: GivenAsyncConnections, conduct: Conduct) -> None:
        self.connections = connections
        self.driver = AsyncDriver(connections, conduct)

    async def run(self, plan: Callable[[], Plan[T]], trace: Trace) -> T:
        """Run a plan to its end.

        Raises:
            WrongColorError: Their loop is not the caller's, and it does not run (any more).
        """
        here = asyncio.get_running_loop()
        home = self.connections.home(here)
        if home is here or home is None:
            return await self.driver.run(plan, trace)
        if not home.is_running():
            raise WrongColorError(
                "the async pool or connection that was passed in belongs to another event loop, "
                "which does not run: pass a conninfo, and each loop gets a pool of its own"
            )
        running = start_on(home, self.driver.run(plan, trace))
        awaited = asyncio.wrap_future(running)
        try:
            while not (await asyncio.wait([awaited], timeout=LOOK_EVERY))[0]:
                check_goes_on(running, home)
            return await awaited
        finally:
            if not home.is_closed():
                awaited.cancel()  # where the caller was cancelled, or gave up


class BridgedRunner:
    """For sync callers of a saver with given async connections only: runs plans on their loop."""

    def __init__(self, connections: GivenAsyncConnections, conduct: Conduct) -> None:
        self.connections = connections
        self.driver = AsyncDriver(connections, conduct)

    def run(self, plan: Callable[[], Plan[T]], trace: Trace) -> T:
        """Run a plan to its end.

        Raises:
            WrongColorError: The loop is not running, or it is this thread's, which would then wait
                for itself.
        """
        home = self.connections.home(None)
        way_out = (
            "the saver has async connections only (async_pool=): pass pool= as well, or a "
            "conninfo, or call the async method"
        )
        if home is None or not home.is_running():
            raise WrongColorError(f"a sync call has no event loop to run on; {way_out}")
        if home is running_loop():
            raise WrongColorError(
                f"a sync call on the event loop's own thread would hang: {way_out}"
            )
        return wait_for(start_on(home, self.driver.run(plan, trace)), home)


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop that runs in this thread."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def start_on(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> futures.Future[T]:
    """Begin work on a loop that runs in another thread.

    Raises:
        WrongColorError: It was closed in the meantime.
    """
    try:
        return asyncio.run_coroutine_threadsafe(work, loop)
    except RuntimeError:
        work.close()
        raise WrongColorError("the event loop was closed before the call began") from None


def wait_for(running: futures.Future[T], loop: asyncio.AbstractEventLoop) -> T:
    """The result of what was begun on a loop that runs in another thread.

    Raises:
        WrongColorError: The loop stopped before it was done.
    """
    try:
        while not futures.wait([running], timeout=LOOK_EVERY).done:
            check_goes_on(running, loop)
        return running.result()
    finally:
        if not loop.is_closed():
            running.cancel()  # where the caller was interrupted, or gave up


def check_goes_on(running: futures.Future[Any], loop: asyncio.AbstractEventLoop) -> None:
    """Refuse to wait for a loop that has stopped.

    Raises:
        WrongColorError: It has, before the work was done.
    """
    if not loop.is_running() and not running.done():
        raise WrongColorError(
            "the event loop that the async connections belong to stopped during the call, which "
            "may or may not have been done; pass a conninfo, and each loop gets a pool of its own"
        )
