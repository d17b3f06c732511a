"""Connections of our own pools, which do not wait for a silent server for ever.

TCP notices a network that is gone (``tcp_user_timeout``), but not a server that is stopped, or
hangs on its disk: its kernel acknowledges all the same.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg

from langgraph_pg_snapshot._drivers.faults import NoAnswerError

T = TypeVar("T")

# What a pool asks of an idle connection is answered at once or never; in seconds.
CHECK_FOR = 2.0


class BoundedConnection(psycopg.Connection[Any]):
    """A sync connection that is closed if the server has not answered by a certain time.

    Attributes:
        answer_by: Until when to wait, on `time.monotonic`'s clock; None is for a moment.
    """

    answer_by: float | None = None

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> T:
        """Wait as psycopg does, but not for ever."""
        try:
            return super().wait(_bounded(gen, self.answer_by), *args, **kwargs)
        except NoAnswerError:
            self.pgconn.finish()
            raise


class BoundedAsyncConnection(psycopg.AsyncConnection[Any]):
    """The same for async callers."""

    answer_by: float | None = None

    async def wait(self, gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> T:
        """Wait as psycopg does, but not for ever."""
        try:
            return await super().wait(_bounded(gen, self.answer_by), *args, **kwargs)
        except NoAnswerError:
            self.pgconn.finish()
            raise


def _bounded(steps: Generator[Any, Any, T], answer_by: float | None) -> Generator[Any, Any, T]:
    """Psycopg's steps of an exchange, which it is waking ten times a second; ended in time."""
    if answer_by is None:
        answer_by = time.monotonic() + CHECK_FOR
    ready: Any = None
    while True:
        try:
            wanted = steps.send(ready)
        except StopIteration as end:
            result: T = end.value
            return result
        ready = yield wanted
        if not ready and time.monotonic() > answer_by:
            raise NoAnswerError("no answer from the server")
