"""Which values take so long to encode that an event loop's thread is not to do it."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import Any

# Encoding this many elements takes about a millisecond; more are not for an event loop's thread.
HEAVY = 1_000
CHARACTERS_AN_ELEMENT = 500
SIZED: tuple[Any, ...] = (list, tuple, set, frozenset, deque)


def weight(value: Any, depth: int = 2) -> int:
    """About how many elements a value has, without looking at more than a few of them."""
    if isinstance(value, (str, bytes)):
        return len(value) // CHARACTERS_AN_ELEMENT
    if isinstance(value, dict):
        value = list(dict.values(value))
    if not isinstance(value, SIZED):
        return 1
    # (A class of the application's may have its own idea of what it holds.)
    kind = next(each for each in SIZED if isinstance(value, each))
    sample = list(islice(kind.__iter__(value), 20)) if depth else []
    inside = sum(weight(element, depth - 1) for element in sample) / max(len(sample), 1)
    return int(kind.__len__(value) * max(inside, 1))
