"""Connections of our own pools, which do not wait for a silent server for ever.

TCP notices a network that is gone (``tcp_user_timeout``), but not a server that is stopped, or
hangs on its disk: its kernel acknowledges all the same.
"""

from __future__ import annotations

import math
import select
import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import psycopg
from psycopg.waiting import Ready, Wait

from langgraph_pg_snapshot._drivers.faults import NoAnswerError

T = TypeVar("T")
# Psycopg's steps of an exchange: they yield what they want to do with the socket, and are sent what
# it is ready for.
Exchange = Generator[Any, Any, T]

# What a pool asks of an idle connection is answered at once or never; in seconds.
CHECK_FOR = 2.0


class BoundedConnection(psycopg.Connection[Any]):
    """A sync connection that is closed if the server has not answered by a certain time.

    Attributes:
        answer_by: Until when to wait, on `time.monotonic`'s clock; None is for a moment.
    """

    answer_by: float | None = None

    def wait(self, gen: Exchange[T], *args: Any, **kwargs: Any) -> T:
        """Wait as psycopg does, but not for ever."""
        # Here rather than in psycopg's loop, which wakes ten times a second, but does not tell the
        # exchange in each of its versions. It still sees to what interrupts the wait.
        bounded = _bounded(gen, self.answer_by, _ready_before(self.pgconn.socket))
        try:
            return super().wait(bounded, *args, **kwargs)
        except NoAnswerError:
            self.pgconn.finish()
            raise


class BoundedAsyncConnection(psycopg.AsyncConnection[Any]):
    """The same for async callers."""

    answer_by: float | None = None

    async def wait(self, gen: Exchange[T], *args: Any, **kwargs: Any) -> T:
        """Wait as psycopg does, but not for ever."""
        try:
            return await super().wait(_bounded(gen, self.answer_by), *args, **kwargs)
        except NoAnswerError:
            self.pgconn.finish()
            raise


def _bounded(
    steps: Exchange[T],
    answer_by: float | None,
    ready_before: Callable[[int, float], int] | None = None,
) -> Exchange[T]:
    """An exchange that ends in time: it waits by itself, or is woken now and then to look."""
    until = time.monotonic() + CHECK_FOR if answer_by is None else answer_by
    ready: Any = None
    while True:
        try:
            wanted = steps.send(ready)
        except StopIteration as end:
            result: T = end.value
            return result
        ready = (yield wanted) if ready_before is None else ready_before(wanted, until)
        if not ready and time.monotonic() >= until:
            raise NoAnswerError("no answer from the server")


def _ready_before(socket: int) -> Callable[[int, float], int] | None:
    """What waits for a socket, and tells what it is ready for (nothing, if the time is up)."""
    if not hasattr(select, "poll"):
        return None
    poll = select.poll()

    def ready_before(wanted: int, until: float) -> int:
        events = (select.POLLIN if wanted & Wait.R else 0) | (
            select.POLLOUT if wanted & Wait.W else 0
        )
        poll.register(socket, events)
        left = None if until == math.inf else 1000 * max(until - time.monotonic(), 0)
        ready = 0
        for _, event in poll.poll(left):
            # An error, or the other side's hanging up, is to be found out by reading.
            ready |= (Ready.R if event & ~select.POLLOUT else 0) | (
                Ready.W if event & select.POLLOUT else 0
            )
        return ready

    return ready_before
