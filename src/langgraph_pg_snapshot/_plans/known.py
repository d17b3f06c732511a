"""What this process knows of the logs of threads: a bounded cache that is never trusted alone.

Every put names the epoch that it believes in, and how many items were ever `appended`; the
statement stores nothing unless both hold. So a stale entry costs another round trip, and a lost one
a read, never data.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import filterfalse

from langgraph_pg_snapshot._forks import ForkLock
from langgraph_pg_snapshot._plans.layout import Layout
from langgraph_pg_snapshot._plans.log import Digests
from langgraph_pg_snapshot.models import NamespaceKey

# A digest costs about 300 bytes here, so this is some 60 MB at the most.
MAX_DIGESTS = 200_000
MAX_NAMESPACES = 4_096
# Checkpoints that a run may still build on: its newest one, and those that a fork goes back to.
MAX_LAYOUTS = 4


@dataclass(frozen=True)
class KnownLog:
    """What is known of one namespace's log at one moment, to build a checkpoint on.

    Attributes:
        epoch: Changes when items are removed; random at first, so that a thread that was deleted
            and made anew is not taken for the old one.
        appended: How many items the log was ever given.
        next_items: The number that the next item gets, by channel (see `log.Log`).
        digests: Which items hold which values; grows in place, which is safe as long as the epoch
            stays.
        parent: How the checkpoint to build on lies, if there is one.
        is_new: The namespace is believed not to exist yet.
    """

    epoch: int
    appended: int = 0
    next_items: Mapping[str, int] = field(default_factory=dict)
    digests: Digests = field(default_factory=Digests)
    parent: Layout | None = None
    is_new: bool = False

    @classmethod
    def new(cls) -> KnownLog:
        """A namespace that does not exist yet."""
        return cls(epoch=new_epoch(), is_new=True)


@dataclass
class _Entry:
    """A namespace in the cache; ``layouts`` are those of its last few checkpoints, oldest first."""

    epoch: int
    appended: int = 0
    next_items: Mapping[str, int] = field(default_factory=dict)
    digests: Digests = field(default_factory=Digests)
    layouts: OrderedDict[str, Layout] = field(default_factory=OrderedDict)


def new_epoch() -> int:
    """An epoch for a new log."""
    return secrets.randbits(62)


class KnownLogs:
    """The cache: by namespace, the least recently used go first. Safe to share between threads."""

    def __init__(self) -> None:
        self._logs: OrderedDict[NamespaceKey, _Entry] = OrderedDict()
        self._digests = 0
        self._lock = ForkLock()  # held for dict operations only, never over I/O

    def get(self, key: NamespaceKey, parent_id: str | None) -> KnownLog | None:
        """What is known of a log and of the checkpoint to build on; None unless it is both."""
        with self._lock:
            if (log := self._logs.get(key)) is None:
                return None
            self._logs.move_to_end(key)
            parent = log.layouts.get(parent_id) if parent_id is not None else None
            if parent_id is not None and parent is None:
                return None
            return KnownLog(log.epoch, log.appended, log.next_items, log.digests, parent)

    def unknown(self, key: NamespaceKey, epoch: int, numbers: Iterable[int]) -> list[int]:
        """Those of some items whose digests are not known."""
        with self._lock:
            log = self._logs.get(key)
            known = log.digests.of if log is not None and log.epoch == epoch else {}
            return [*filterfalse(known.__contains__, numbers)]

    def learn(
        self,
        key: NamespaceKey,
        *,
        epoch: int,
        appended: int,
        next_items: Mapping[str, int],
        digests: Mapping[int, bytes],
        checkpoint_id: str | None = None,
        layout: Layout | None = None,
    ) -> KnownLog:
        """Note what a read or a put has shown; returns just that, with all digests known."""
        with self._lock:
            log = self._logs.get(key)
            if log is None or log.epoch != epoch:
                self._drop(key)
                log = self._logs[key] = _Entry(epoch)
            before = len(log.digests)
            log.digests.update(digests)
            self._digests += len(log.digests) - before
            # Reads and puts overtake each other; within an epoch this number only grows.
            if appended >= log.appended:
                log.appended, log.next_items = appended, next_items
            if checkpoint_id is not None and layout is not None:
                log.layouts.pop(checkpoint_id, None)
                log.layouts[checkpoint_id] = layout
                if len(log.layouts) > MAX_LAYOUTS:
                    log.layouts.popitem(last=False)
            self._logs.move_to_end(key)
            while len(self._logs) > 1 and (
                self._digests > MAX_DIGESTS or len(self._logs) > MAX_NAMESPACES
            ):
                self._drop(next(iter(self._logs)))
            return KnownLog(epoch, appended, next_items, log.digests, layout)

    def forget(self, key: NamespaceKey) -> None:
        """What was known turned out to be wrong."""
        with self._lock:
            self._drop(key)

    def _drop(self, key: NamespaceKey) -> None:
        if (log := self._logs.pop(key, None)) is not None:
            self._digests -= len(log.digests)
