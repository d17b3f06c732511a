"""How often, how long and at what pace one statement or transaction is tried."""

from __future__ import annotations

import math
import random
import time
from typing import Any

import psycopg

from langgraph_pg_snapshot._drivers.faults import NoAnswerError, is_conflict, is_transient
from langgraph_pg_snapshot._plans.steps import Rows
from langgraph_pg_snapshot.errors import ConnectionUnavailableError

# The pause before the third try is about this long, in seconds; it doubles from then on.
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0
# A statement whose connection breaks off each time, without a word, may be what crashes the server.
MAX_BREAKS = 12


class Attempts:
    """The tries of one statement or transaction.

    The second one follows at once: after an hour of quiet every connection of a pool may be dead,
    and the server as well as ever. Then the pauses grow, and are uneven, so that those who
    failed together don't come back together.

    Args:
        seconds: How long they may take together; None is without end.

    Attributes:
        until: When that is over, on `time.monotonic`'s clock; infinity is never.
        failed: How many have failed.
        last: What the last one of those ended with.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self.until = math.inf if seconds is None else time.monotonic() + seconds
        self.failed = 0
        self.last: psycopg.Error | None = None
        self._broke_off = 0

    def wait(self, longest: float) -> float:
        """How long to wait for one thing: so long at most, and not beyond the end."""
        return max(min(longest, self.until - time.monotonic()), 0.0)

    def pause_after(self, error: psycopg.Error) -> float:
        """How long to wait before the next try, in seconds.

        Raises:
            psycopg.Error: That error, which another try would not help.
            ConnectionUnavailableError: The time is up.
        """
        if isinstance(error, NoAnswerError):
            raise ConnectionUnavailableError(
                f"the server did not answer within {self._seconds:g} s (deadline=), so it is not "
                "known whether this was done"
            ) from error
        if not is_transient(error):
            raise error
        self.failed += 1
        self.last = error
        self._broke_off += error.sqlstate is None
        pause = 0.0
        if self.failed > 1:
            longest = min(FIRST_PAUSE * 2 ** (self.failed - 2), LONGEST_PAUSE)
            pause = random.uniform(longest / 2, longest)  # noqa: S311 -- not a secret
        if time.monotonic() + pause < self.until and self._broke_off < MAX_BREAKS:
            return pause
        if is_conflict(error):
            raise error
        raise self._given_up() from error

    def check_time(self) -> None:
        """Say what went wrong, where there is no time left to wait for a connection once more.

        Raises:
            ConnectionUnavailableError: The time is up, and tries have failed.
        """
        if self.last is not None and time.monotonic() >= self.until:
            raise self._given_up() from self.last

    def _given_up(self) -> ConnectionUnavailableError:
        return ConnectionUnavailableError(
            f"given up after {self.failed} tries on one connection after another; the last one "
            f"ended with: {self.last}"
        )


def marked(result: Any, attempts: Attempts) -> Any:
    """A step's result, which says so if an earlier try may have been done."""
    if isinstance(result, Rows):
        result.again = attempts.failed > 0
    return result
