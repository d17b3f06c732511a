"""Remembering things in a bounded amount of memory: what is not met again goes."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar

# Two generations of so much memory each: what is not met again until the second is full goes.
GENERATION_BYTES = 16 * 2**20


class Sized(Protocol):
    """Something that knows how many bytes it takes, about."""

    @property
    def bytes(self) -> int:
        """So many."""


K = TypeVar("K", bound=Hashable)
S = TypeVar("S", bound=Sized)


class Memory(Generic[K, S]):
    """Things by key. Safe to share between threads: the worst is that something is forgotten."""

    def __init__(self) -> None:
        self._young: dict[K, S] = {}
        self._old: dict[K, S] = {}
        self._size = 0

    def get(self, key: K) -> S | None:
        """What is remembered, and is from now on for another generation."""
        found = self._young.get(key)
        if found is None and (found := self._old.get(key)) is not None:
            self.keep(key, found)
        return found

    def keep(self, key: K, thing: S) -> None:
        """Remember something, in the place of what was there."""
        before = self._young.get(key)
        self._young[key] = thing
        self._size += thing.bytes - (0 if before is None else before.bytes)
        if self._size > GENERATION_BYTES:
            self._old, self._young, self._size = self._young, {}, 0
