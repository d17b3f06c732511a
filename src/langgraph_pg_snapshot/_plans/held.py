"""What came before the checkpoint that it belongs to, and can't be stored yet.

Runs save in the background, so writes may be here before their checkpoint, and a subgraph's
checkpoint before the root's. Where a thread, or a run of it, was erased, they may as well be late
ones of a run whose checkpoints are gone. So they wait in this process: whoever stores the
checkpoint stores them with it, and if nobody does, nothing of them was ever visible.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from langgraph_pg_snapshot._forks import ForkLock
from langgraph_pg_snapshot._plans.steps import Plan
from langgraph_pg_snapshot.models import NamespaceKey

# Most wait for a moment; those of erased threads wait for ever, until newer ones push them out.
MAX_HELD = 1_000

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
        checkpoint: What it will be, if it is a checkpoint itself.
    """

    awaited: Awaited
    attempt: Attempt
    checkpoint: Awaited | None


class HeldBack:
    """What waits; if it is too much, the oldest goes. Safe to share between threads."""

    def __init__(self) -> None:
        self._held: OrderedDict[int, Held] = OrderedDict()
        self._lock = ForkLock()  # held for dict operations only, never over I/O

    def has(self, checkpoint: Awaited) -> bool:
        """Whether this checkpoint is among what waits."""
        if not self._held:
            return False
        with self._lock:
            return any(held.checkpoint == checkpoint for held in self._held.values())

    def add(self, held: Held) -> None:
        """Have it wait."""
        with self._lock:
            self._held[id(held)] = held
            if len(self._held) > MAX_HELD:
                self._held.popitem(last=False)

    def discard(self, held: Held) -> None:
        """It needs to wait no longer."""
        with self._lock:
            self._held.pop(id(held), None)

    def waiting_for(self, key: NamespaceKey, checkpoint_id: str) -> list[Held]:
        """What waits for this checkpoint, in the order in which it came."""
        if not self._held:  # as a rule: nothing waits
            return []
        with self._lock:
            return [
                held
                for held in self._held.values()
                if held.awaited.key == key
                and (
                    held.awaited.checkpoint_id == checkpoint_id
                    or (held.awaited.or_later and held.awaited.checkpoint_id < checkpoint_id)
                )
            ]


def hold(
    held_back: HeldBack, attempt: Attempt, awaited: Awaited, checkpoint: Awaited | None = None
) -> Plan[None]:
    """Have something wait for a checkpoint."""
    held = Held(awaited, attempt, checkpoint)
    held_back.add(held)
    # The checkpoint may have been stored meanwhile: then nobody else would come for it.
    if (yield from attempt()):
        held_back.discard(held)


def release(held_back: HeldBack, key: NamespaceKey, checkpoint_id: str) -> Plan[None]:
    """Store what waited for this checkpoint, which was just stored."""
    for held in held_back.waiting_for(key, checkpoint_id):
        yield from held.attempt()
        held_back.discard(held)  # not before: others may be waiting for it


def give_up(held_back: HeldBack, key: NamespaceKey, checkpoint_id: str) -> None:
    """What waits for this checkpoint need not wait: it won't be stored."""
    for held in held_back.waiting_for(key, checkpoint_id):
        held_back.discard(held)
