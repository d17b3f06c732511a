"""Putting the garbage collector off while thousands of objects are built, none of them garbage."""

from __future__ import annotations

import gc
import os
from types import TracebackType

from langgraph_pg_snapshot._forks import ForkLock


class CollectorPause:
    """A context manager in which Python's cyclic garbage collector does not start by itself.

    The collector starts when many objects were made and few went away, which is what building a
    long list of messages looks like; each time it walks over what was built so far, and now and
    then over every object of the process. It was two thirds of the time of listing a long thread.

    The switch is the process's, so pauses of several threads are counted, and a collector that the
    application has turned off stays off.
    """

    def __init__(self) -> None:
        self._lock = ForkLock()  # held for the counting only
        self._pauses = 0
        self._was_on = False

    def __enter__(self) -> None:
        with self._lock:
            if self._pauses == 0:
                self._was_on = gc.isenabled()
                gc.disable()
            self._pauses += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._lock:
            self._pauses -= 1
            if self._pauses == 0 and self._was_on:
                gc.enable()

    def end(self) -> None:
        """End the pauses of threads that are gone: those of the parent, in a forked child."""
        with self._lock:
            if self._pauses and self._was_on:
                gc.enable()
            self._pauses = 0


collector_paused = CollectorPause()
os.register_at_fork(after_in_child=collector_paused.end)
