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
from psycopg.waiting import Wait

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
        # Psycopg's compiled loop wakes ten times a second, but not each version tells the exchange.
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
    is_ready_before: Callable[[int, float], bool] = lambda _wanted, _until: True,
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
        if is_ready_before(wanted, until):
            ready = yield wanted
            if ready or time.monotonic() < until:
                continue
        raise NoAnswerError("no answer from the server")


def _ready_before(socket: int) -> Callable[[int, float], bool]:
    """What waits until a socket is ready for what is wanted, and tells whether it was in time."""
    if not hasattr(select, "poll"):
        return lambda _wanted, _until: True
    poll = select.poll()

    def is_ready(wanted: int, until: float) -> bool:
        events = (select.POLLIN if wanted & Wait.R else 0) | (
            select.POLLOUT if wanted & Wait.W else 0
        )
        poll.register(socket, events)
        left = None if until == math.inf else 1000 * max(until - time.monotonic(), 0)
        return bool(poll.poll(left))

    return is_ready
