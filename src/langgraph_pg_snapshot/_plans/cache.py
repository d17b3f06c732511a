"""Items that this process has read, so that the next read of a thread brings only what is new.

Nothing in here is believed: each read brings the stamp of every item of the checkpoint, which is
the digest of its value and the transaction that wrote its row. What has another stamp is read anew:
a thread that was deleted and made again, a restored backup, a row that someone edited by hand.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from langgraph_pg_snapshot._forks import ForkLock
from langgraph_pg_snapshot.models import NamespaceKey

DEFAULT_BYTES = 32 * 2**20
# What an entry takes besides its text, about.
_ENTRY_BYTES = 250


class KeptItem(NamedTuple):
    """An item as it was read."""

    stamp: bytes
    json: bytes


class KeptItems(NamedTuple):
    """Those of one log, by number."""

    stamps: dict[int, bytes]
    json: dict[int, bytes]


@dataclass
class _Log:
    stamps: dict[int, bytes] = field(default_factory=dict)
    json: dict[int, bytes] = field(default_factory=dict)
    size: int = 0


class ItemCache:
    """The items of the threads that were read last. Safe to share between threads.

    Args:
        max_bytes: About how much memory it may take; 0 keeps nothing.
    """

    def __init__(self, max_bytes: int = DEFAULT_BYTES) -> None:
        self.max_bytes = max_bytes
        self._logs: OrderedDict[NamespaceKey, _Log] = OrderedDict()
        self._size = 0
        self._lock = ForkLock()  # held for dict operations only, never over I/O

    def items_of(self, key: NamespaceKey) -> KeptItems:
        """What is kept of a log, as it is now."""
        with self._lock:
            if (log := self._logs.get(key)) is None:
                return KeptItems({}, {})
            self._logs.move_to_end(key)
            return KeptItems(log.stamps.copy(), log.json.copy())

    def forget(self, key: NamespaceKey) -> None:
        """What was kept of a log turned out to be outdated."""
        with self._lock:
            if (log := self._logs.pop(key, None)) is not None:
                self._size -= log.size

    def keep(self, key: NamespaceKey, items: Mapping[int, KeptItem]) -> None:
        """Keep what was read, unless something is kept under its number."""
        with self._lock:
            log = self._logs.setdefault(key, _Log())
            self._logs.move_to_end(key)
            for number, (stamp, json) in items.items():
                if number not in log.json:
                    log.stamps[number], log.json[number] = stamp, json
                    log.size += len(json) + _ENTRY_BYTES
                    self._size += len(json) + _ENTRY_BYTES
            while self._size > self.max_bytes:
                _, oldest = self._logs.popitem(last=False)
                self._size -= oldest.size
