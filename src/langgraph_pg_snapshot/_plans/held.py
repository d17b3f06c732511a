"""What came before the checkpoint that it belongs to, and can't be stored yet.

Runs save in the background, so writes may be here before their checkpoint, and a subgraph's
checkpoint before the root's. Where a thread, or a run of it, was erased, they may as well be late
ones of a run whose checkpoints are gone. So they wait in this process: whoever stores the
checkpoint stores them with it, and if nobody does, nothing of them was ever visible.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from langgraph_pg_snapshot._forks import ForkLock
from langgraph_pg_snapshot._plans.steps import Plan
from langgraph_pg_snapshot.models import NamespaceKey

logger = logging.getLogger("langgraph_pg_snapshot")

# Things wait for a moment only, on threads that were erased lately: until their checkpoint comes.
MAX_HELD_BYTES = 64 * 2**20
# What waits takes so much besides its values, about.
_ENTRY_BYTES = 1_000
MAX_REFUSED = 20_000

Attempt: TypeAlias = Callable[[], Plan[bool]]
"""Stores something if its time has come, and tells whether it had."""


@dataclass(frozen=True)
class Awaited:
    """A checkpoint that something waits for.

    Attributes:
        key: Its namespace.
        checkpoint_id: Its id.
        or_later: Whether any later one of the namespace will do. With durability="exit" a
            subgraph with a memory of its own names a root checkpoint that is never stored.
    """

    key: NamespaceKey
    checkpoint_id: str
    or_later: bool = False


@dataclass(frozen=True, eq=False)
class Held:
    """What waits.

    Attributes:
        awaited: The checkpoint that it waits for.
        attempt: Stores it.
        size: The bytes of its values, about.
        checkpoint: What it will be, if it is a checkpoint itself.
    """

    awaited: Awaited
    attempt: Attempt
    size: int
    checkpoint: Awaited | None


class HeldBack:
    """What waits, and which checkpoints were refused; if it is too much, the oldest goes.

    Safe to share between threads.
    """

    def __init__(self) -> None:
        self._held: OrderedDict[int, Held] = OrderedDict()
        self._by_key: dict[NamespaceKey, dict[int, Held]] = {}
        self._checkpoints: Counter[Awaited] = Counter()
        self._size = 0
        self._refused: OrderedDict[tuple[NamespaceKey, str], None] = OrderedDict()
        self._lock = ForkLock()  # held for dict operations only, never over I/O

    def has(self, checkpoint: Awaited) -> bool:
        """Whether this checkpoint is among what waits."""
        return checkpoint in self._checkpoints

    def add(self, held: Held) -> None:
        """Have it wait."""
        with self._lock:
            self._held[id(held)] = held
            self._by_key.setdefault(held.awaited.key, {})[id(held)] = held
            if held.checkpoint is not None:
                self._checkpoints[held.checkpoint] += 1
            self._size += held.size + _ENTRY_BYTES
            while self._size > MAX_HELD_BYTES:
                oldest = next(iter(self._held.values()))
                self._remove(oldest)
                logger.warning(
                    "something of thread %r (namespace %r) has waited for checkpoint %r, and is "
                    "dropped: too much waits",
                    *(*oldest.awaited.key, oldest.awaited.checkpoint_id),
                )

    def discard(self, held: Held) -> None:
        """It needs to wait no longer."""
        with self._lock:
            self._remove(held)

    def _remove(self, held: Held) -> None:
        if self._held.pop(id(held), None) is None:
            return
        self._size -= held.size + _ENTRY_BYTES
        siblings = self._by_key[held.awaited.key]
        del siblings[id(held)]
        if not siblings:
            del self._by_key[held.awaited.key]
        if held.checkpoint is not None:
            self._checkpoints[held.checkpoint] -= 1
            if not self._checkpoints[held.checkpoint]:
                del self._checkpoints[held.checkpoint]

    def waiting_for(self, key: NamespaceKey, checkpoint_id: str) -> list[Held]:
        """What waits for this checkpoint, in the order in which it came."""
        if not self._held:  # as a rule: nothing waits
            return []
        with self._lock:
            return [
                held
                for held in self._by_key.get(key, {}).values()
                if held.awaited.checkpoint_id == checkpoint_id
                or (held.awaited.or_later and held.awaited.checkpoint_id < checkpoint_id)
            ]

    def refuse(self, key: NamespaceKey, checkpoint_id: str) -> None:
        """Note that a checkpoint came too late: so does what builds on it."""
        with self._lock:
            self._refused[key, checkpoint_id] = None
            if len(self._refused) > MAX_REFUSED:
                self._refused.popitem(last=False)

    def is_refused(self, key: NamespaceKey, checkpoint_id: str) -> bool:
        """Whether a checkpoint came too late, of a run in this process."""
        return (key, checkpoint_id) in self._refused


def hold(
    held_back: HeldBack,
    attempt: Attempt,
    awaited: Awaited,
    size: int,
    checkpoint: Awaited | None = None,
) -> Plan[None]:
    """Have something of so many bytes wait for a checkpoint."""
    held = Held(awaited, attempt, size, checkpoint)
    held_back.add(held)
    # The checkpoint may have been stored, or refused, meanwhile: then nobody else would come.
    if (yield from attempt()):
        held_back.discard(held)
    elif held_back.is_refused(awaited.key, awaited.checkpoint_id):
        _lose(held_back, held)


def release(held_back: HeldBack, key: NamespaceKey, checkpoint_id: str) -> Plan[None]:
    """Store what waited for this checkpoint, which was just stored.

    Raises:
        Exception: What the first one that failed has raised; the others were stored.
    """
    failure: Exception | None = None
    for held in held_back.waiting_for(key, checkpoint_id):
        try:
            if not (yield from held.attempt()):  # erased again just now
                _lose(held_back, held)
        except Exception as error:  # noqa: BLE001 -- raised below
            failure = failure or error
        held_back.discard(held)  # not before: others may be waiting for it
    if failure is not None:
        raise failure


def give_up(held_back: HeldBack, key: NamespaceKey, checkpoint_id: str) -> None:
    """What waits for this checkpoint need not wait: it won't be stored."""
    held_back.refuse(key, checkpoint_id)
    for held in held_back.waiting_for(key, checkpoint_id):
        _lose(held_back, held)


def _lose(held_back: HeldBack, held: Held) -> None:
    """It won't be stored; nor will what waits for it, or comes later."""
    checkpoint = held.checkpoint
    # (One that is put over itself waits for itself.)
    if checkpoint is not None and not held_back.is_refused(
        checkpoint.key, checkpoint.checkpoint_id
    ):
        give_up(held_back, checkpoint.key, checkpoint.checkpoint_id)
    held_back.discard(held)
