"""One turn at a time: a block that has a thread for itself, across threads, tasks and processes."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import threading
import time
from contextlib import suppress
from types import TracebackType

from langgraph_pg_snapshot._base import SaverBase
from langgraph_pg_snapshot._calls import leases as calls
from langgraph_pg_snapshot._calls.waiting import Pace, Waiting
from langgraph_pg_snapshot._lifecycle import Backend, Call
from langgraph_pg_snapshot._plans.lease import Taken, lost_lease
from langgraph_pg_snapshot._plans.store import Store
from langgraph_pg_snapshot.errors import SnapshotError, ThreadBusyError
from langgraph_pg_snapshot.models import ThreadLease

logger = logging.getLogger("langgraph_pg_snapshot")

# A lease is renewed so many times before it would expire. A renewal that takes as long as that is
# given up, and another connection has time for the next one.
BEATS = 3


class Exclusive(SaverBase):
    """Having a thread for oneself, part of `PostgresSnapshotSaver`."""

    def exclusive(
        self, thread_id: str, *, ttl: float = 30.0, timeout: float | None = 60.0
    ) -> ThreadBlock:
        """A block that has a thread for itself, for ``with`` and ``async with``.

        One block at a time has it, in whichever thread, task, process or machine; the others wait.
        So turns follow one another, and each begins where the one before has ended. Whoever
        does not ask is not held up.

        While the block runs, the lease is renewed in the background. If its process dies or is
        stopped for longer than ``ttl``, another block may take the thread, and from then on
        whatever the earlier one stores (by `put`, `put_writes` or `save_state`, and so by a graph)
        is refused with `LeaseLostError`. That goes by the context (`contextvars`), which LangGraph
        hands on to nodes, tasks and savers.

        A block inside the block for the same thread, also one in a node, enters at once: both are
        one, and it ends with the outer one.

        Args:
            thread_id: The thread; it need not exist.
            ttl: Seconds, from 0.1 up to a day, after which a lease that is not renewed may be
                taken; default 30. The clock is the server's.
            timeout: Seconds to wait for the thread; default 60. 0 is to try once, None for ever.

        Returns:
            What to enter; it gives a `ThreadLease`. It is good for one time.

        Raises:
            InvalidArgumentError: An argument is not usable.
            ThreadBusyError: (On entering.) Another block had the thread for all that time.
            LeaseLostError: (At the end, unless the block raises something itself.) Another block
                took the thread before this one ended.
            StorageError: (On entering.) The database refused or failed.
        """
        return ThreadBlock(self._backend, self._store, thread_id, ttl, timeout)


class ThreadBlock:
    """What `PostgresSnapshotSaver.exclusive` returns."""

    def __init__(
        self, backend: Backend, store: Store, thread_id: str, ttl: float, timeout: float | None
    ) -> None:
        self._backend = backend
        self._store = store
        self._thread_id = calls.checked_thread(thread_id)
        self._ttl = calls.check_ttl(ttl)
        self._timeout = calls.check_timeout(timeout)
        # (With a number of its own: by it a try whose answer got lost is known for this block's.)
        self._process = os.getpid()
        self._holder = f"{socket.gethostname()}:{self._process}:{secrets.token_hex(4)}"
        self._holding: calls.Holding | None = None
        self._is_outer = False
        self._beating: _Heartbeat | asyncio.Task[None] | None = None
        self._stop = asyncio.Event()

    # -- with ---------------------------------------------------------------------------------

    def __enter__(self) -> ThreadLease:
        if (outer := self._outer()) is not None:
            return outer
        waiting = Waiting(self._thread_id, self._timeout)
        try:
            while True:
                taken = self._backend.run(self._take())
                if taken.token is not None:
                    break
                time.sleep(waiting.pause_after(taken))
        except BaseException as error:
            # (Where somebody else has it, there is nothing to give back.)
            if not isinstance(error, ThreadBusyError):
                self._give_back()
            raise
        lease = self._begin(taken.token)  # first: it is what a beat renews
        self._beating = _Heartbeat(self, self._interval)
        return lease

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._end():
            assert isinstance(self._beating, _Heartbeat)  # noqa: S101 -- as it was entered
            self._beating.stop()
            self._judge(error, was_held=self._give_back())

    def _give_back(self) -> bool:
        try:
            return self._backend.run(self._giving_back())
        except SnapshotError as failure:
            return self._left(failure)

    def beat(self) -> bool:
        """Renew the lease; returns whether to go on with that."""
        try:
            return self._renewed(is_held=self._backend.run(self._renewal()))
        except SnapshotError as failure:
            return self._not_renewed(failure)

    # -- async with ---------------------------------------------------------------------------

    async def __aenter__(self) -> ThreadLease:
        if (outer := self._outer()) is not None:
            return outer
        waiting = Waiting(self._thread_id, self._timeout)
        try:
            while True:
                taken = await self._backend.arun(self._take())
                if taken.token is not None:
                    break
                await asyncio.sleep(waiting.pause_after(taken))
        except BaseException as error:
            if not isinstance(error, ThreadBusyError):
                await self._agive_back()
            raise
        lease = self._begin(taken.token)
        self._beating = asyncio.create_task(self._abeat())
        return lease

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._end():
            assert isinstance(self._beating, asyncio.Task)  # noqa: S101 -- as it was entered
            self._stop.set()
            try:
                await self._beating
            finally:
                was_held = await self._agive_back()
            self._judge(error, was_held=was_held)

    async def _agive_back(self) -> bool:
        try:
            return await self._backend.arun(self._giving_back())
        except SnapshotError as failure:
            return self._left(failure)

    async def _abeat(self) -> None:
        pace = Pace(self._interval)
        while not await self._is_stopped_within(pace.pause()) and await self._arenew():
            pass

    async def _is_stopped_within(self, seconds: float) -> bool:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)
        return self._stop.is_set()

    async def _arenew(self) -> bool:
        try:
            return self._renewed(is_held=await self._backend.arun(self._renewal()))
        except SnapshotError as failure:
            return self._not_renewed(failure)

    # -- what both have in common -------------------------------------------------------------

    @property
    def _interval(self) -> float:
        return self._ttl.total_seconds() / BEATS

    def _outer(self) -> ThreadLease | None:
        """The lease of a block around this one.

        Raises:
            SnapshotError: This one was entered before.
            LeaseLostError: The one around it has lost it.
        """
        if self._holding is not None:
            raise SnapshotError("a block of exclusive() is good for one time: ask for another one")
        outer = calls.holding_of(self._store, self._thread_id)
        if outer is None or outer.is_over:
            return None
        if outer.is_lost:
            raise lost_lease(*outer.lease)
        self._holding = outer
        return outer.lease

    def _begin(self, token: int) -> ThreadLease:
        self._is_outer = True
        self._holding = calls.Holding(ThreadLease(self._thread_id, token))
        calls.note_holding(self._store, self._holding)
        return self._holding.lease

    def _end(self) -> bool:
        """Returns whether there is something to give back."""
        if not self._is_outer or self._process != os.getpid():  # (a fork has its parent's block)
            return False
        assert self._holding is not None  # noqa: S101 -- as it was entered
        if not calls.forget_holding(self._store, self._holding):
            logger.warning(
                "the block that has thread %r for itself ends in another context than it began in: "
                "what was stored in it may not have been refused if the thread was lost meanwhile",
                self._thread_id,
            )
        return True

    def _take(self) -> Call[Taken]:
        return calls.take(self._store, self._thread_id, self._holder, self._ttl)

    def _renewal(self) -> Call[bool]:
        assert self._holding is not None  # noqa: S101 -- it is taken
        return calls.renew(self._store, self._holding.lease, self._ttl, within=self._interval)

    def _giving_back(self) -> Call[bool]:
        return calls.give_back(self._store, self._thread_id, self._holder)

    def _renewed(self, *, is_held: bool) -> bool:
        if not is_held and self._holding is not None:
            self._holding.is_lost = True
            logger.warning("thread %r is not held any more", self._thread_id)
        return is_held

    def _not_renewed(self, failure: SnapshotError) -> bool:
        logger.warning("the lease of thread %r could not be renewed: %s", self._thread_id, failure)
        return True  # the next time may do

    def _left(self, failure: SnapshotError) -> bool:
        logger.warning(
            "the lease of thread %r could not be given back, and expires by itself: %s",
            self._thread_id,
            failure,
        )
        return self._holding is None or not self._holding.is_lost

    def _judge(self, error: BaseException | None, *, was_held: bool) -> None:
        if not was_held and error is None and self._holding is not None:
            raise lost_lease(*self._holding.lease)


class _Heartbeat:
    """A thread that renews a lease until it is stopped."""

    def __init__(self, block: ThreadBlock, interval: float) -> None:
        self._stopped = threading.Event()
        self._thread = threading.Thread(
            target=self._run,
            args=(block, interval),
            name="langgraph-pg-snapshot lease",
            daemon=True,
        )
        self._thread.start()

    def _run(self, block: ThreadBlock, interval: float) -> None:
        pace = Pace(interval)
        while not self._stopped.wait(pace.pause()) and block.beat():
            pass

    def stop(self) -> None:
        """End it, and wait for that."""
        self._stopped.set()
        self._thread.join()
