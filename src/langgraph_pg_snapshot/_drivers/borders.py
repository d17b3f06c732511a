"""Runs plans across the border between sync and async, and between event loops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent import futures
from typing import Any, Protocol, TypeVar

from langgraph_pg_snapshot._drivers.aio import AsyncConnections, AsyncDriver
from langgraph_pg_snapshot._drivers.sync import Conduct, SyncDriver
from langgraph_pg_snapshot._drivers.trace import Trace
from langgraph_pg_snapshot._plans.steps import Plan
from langgraph_pg_snapshot.errors import WrongColorError

T = TypeVar("T")

# Whoever waits for another event loop looks this often, in seconds, whether it still runs.
LOOK_EVERY = 0.5


class GivenAsyncConnections(AsyncConnections, Protocol):
    """Connections of the application's, which work in one event loop."""

    def home(self, here: asyncio.AbstractEventLoop | None) -> asyncio.AbstractEventLoop | None:
        """The loop that they belong to: it may be that of the caller, if he has one."""
        ...


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
