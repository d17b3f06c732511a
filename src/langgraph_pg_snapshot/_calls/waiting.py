"""Waiting for a thread that another block has, and for the time to renew one's own lease."""

from __future__ import annotations

import random
import time

from langgraph_pg_snapshot._plans.lease import Taken
from langgraph_pg_snapshot.errors import ThreadBusyError

# Who waits looks again after so many seconds, more each time, and unevenly: many may be waiting.
FIRST_PAUSE, LONGEST_PAUSE, GROWTH = 0.02, 0.5, 1.5


class Waiting:
    """How long to wait between two looks at a thread that somebody has."""

    def __init__(self, thread_id: str, timeout: float | None) -> None:
        self._thread_id = thread_id
        self._timeout = timeout
        self._began = time.monotonic()
        self._pause = FIRST_PAUSE

    def pause_after(self, taken: Taken) -> float:
        """Seconds until the next look.

        Raises:
            ThreadBusyError: The time is over.
        """
        pause = self._pause * random.uniform(0.5, 1.5)  # noqa: S311 -- nothing secret
        self._pause = min(self._pause * GROWTH, LONGEST_PAUSE)
        if self._timeout is None:
            return pause
        left = self._began + self._timeout - time.monotonic()
        if left <= 0:
            raise self._busy(taken)
        return min(pause, left)

    def _busy(self, taken: Taken) -> ThreadBusyError:
        holder, held_for = taken.holder or "another block", taken.held_for or 0.0
        error = ThreadBusyError(
            f"thread {self._thread_id!r} has been held by {holder} for {held_for:.1f} s, and did "
            f"not come free within {self._timeout:g} s: wait longer (timeout=), or let the user "
            "know that a turn is under way. If the holder is dead, its lease expires by itself "
            "(ttl=)"
        )
        error.thread_id, error.holder, error.held_for = self._thread_id, holder, held_for
        return error


class Pace:
    """When what is done again and again is due; how long it takes itself does not delay the next.

    Args:
        interval: Seconds from one to the next, beginning now.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._due = time.monotonic()

    def pause(self) -> float:
        """Seconds until the next one; 0 if it is overdue, and then they go on from there."""
        now = time.monotonic()
        self._due = max(self._due + self._interval, now)
        return self._due - now
