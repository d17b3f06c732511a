"""Items that this process has read, so that the next read of a thread brings only what is new.

Nothing in here is believed: each read brings the stamp of every item of the checkpoint, which is
the digest of its value and the transaction that wrote its row. What has another stamp is read anew:
a thread that was deleted and made again, a restored backup, a row that someone edited by hand.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from sys import getsizeof
from typing import Any, NamedTuple

from langgraph_pg_snapshot._forks import ForkLock
from langgraph_pg_snapshot._plans.runs import Run, runs_of, union
from langgraph_pg_snapshot.models import NamespaceKey

DEFAULT_BYTES = 32 * 2**20
# What an entry takes besides its tree, about: number, stamp, a place in two dicts.
_ENTRY_BYTES = 250


class KeptItems(NamedTuple):
    """What is kept of one log, by number; never changed, but replaced.

    Attributes:
        trees: Items as JSON trees (or made ready), of which values are built anew at each read.
        stamps: Their stamps.
        runs: Their numbers.
        size: About how much memory it takes.
    """

    trees: Mapping[int, Any]
    stamps: Mapping[int, bytes]
    runs: Sequence[Run]
    size: int


NOTHING = KeptItems({}, {}, (), 0)


class ItemCache:
    """The items of the threads that were read last. Safe to share between threads.

    Args:
        max_bytes: About how much memory it may take; 0 keeps nothing.
    """

    def __init__(self, max_bytes: int = DEFAULT_BYTES) -> None:
        self.max_bytes = max_bytes
        self._logs: OrderedDict[NamespaceKey, KeptItems] = OrderedDict()
        self._size = 0
        self._lock = ForkLock()  # held for dict operations only, never over I/O

    def items_of(self, key: NamespaceKey) -> KeptItems:
        """What is kept of a log."""
        with self._lock:
            if (log := self._logs.get(key)) is None:
                return NOTHING
            self._logs.move_to_end(key)
            return log

    def forget(self, key: NamespaceKey) -> None:
        """What was kept of a log turned out to be outdated."""
        with self._lock:
            self._size -= self._logs.pop(key, NOTHING).size

    def keep(
        self, key: NamespaceKey, trees: Mapping[int, Any], stamps: Mapping[int, bytes]
    ) -> None:
        """Keep what was read, unless it is too large, or another read was quicker."""
        if not self.max_bytes or not trees:
            return
        size = _ENTRY_BYTES * len(trees) + sum(map(memory_of, trees.values()))
        with self._lock:
            log = self._logs.get(key, NOTHING)
            if size > self.max_bytes or not log.trees.keys().isdisjoint(trees):
                return
            if log.size + size > self.max_bytes:
                # Of a list that is cut at its front most may be what nobody reads any more.
                self._size -= log.size
                log = NOTHING
            self._logs[key] = KeptItems(
                {**log.trees, **trees},
                {**log.stamps, **{number: stamps[number] for number in trees}},
                union([*log.runs, *runs_of(trees)]),
                log.size + size,
            )
            self._logs.move_to_end(key)
            self._size += size
            while self._size > self.max_bytes:
                self._size -= self._logs.popitem(last=False)[1].size


def memory_of(tree: Any) -> int:
    """How many bytes of memory a tree takes, or less: texts may be shared."""
    if type(tree) is tuple:  # made ready: a state of scalars
        return sum(map(getsizeof, (tree[1], *tree[1].values())))
    size = 0
    todo = [tree]
    while todo:
        node = todo.pop()
        size += getsizeof(node)
        if type(node) is dict:
            todo += node
            todo += node.values()
        elif type(node) is list:
            todo += node
    return size
