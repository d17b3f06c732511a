"""Runs of item numbers: a long list is stored as ``[[1, 801]]``, not as 800 numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import TypeAlias

Run: TypeAlias = tuple[int, int]
"""Numbers from the first, up to but not including the second."""


def runs_of(numbers: Iterable[int]) -> list[Run]:
    """Write a sequence of numbers as runs, in its order; repeats and jumps start a new one."""
    runs: list[Run] = []
    first = beyond = None
    for number in numbers:
        if number == beyond:
            beyond += 1
            continue
        if first is not None and beyond is not None:
            runs.append((first, beyond))
        first, beyond = number, number + 1
    if first is not None and beyond is not None:
        runs.append((first, beyond))
    return runs


def continued(runs: Sequence[Run], numbers: Iterable[int]) -> tuple[Run, ...]:
    """Runs with more numbers behind them."""
    added = runs_of(numbers)
    if runs and added and runs[-1][1] == added[0][0]:
        return (*runs[:-1], (runs[-1][0], added[0][1]), *added[1:])
    return (*runs, *added)


def first_of(runs: Sequence[Run], length: int) -> tuple[Run, ...]:
    """The first so many numbers of runs."""
    return tuple(runs_of(islice(numbers_of(runs), length)))


def numbers_of(runs: Iterable[Sequence[int]]) -> Iterator[int]:
    """The numbers of runs, in their order."""
    return chain.from_iterable(range(first, beyond) for first, beyond in runs)


def union(runs: Iterable[Sequence[int]]) -> list[Run]:
    """The same numbers as disjoint runs in ascending order, each number once."""
    merged: list[Run] = []
    for first, beyond in sorted((first, beyond) for first, beyond in runs):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(beyond, merged[-1][1]))
        else:
            merged.append((first, beyond))
    return merged


def count(disjoint: Iterable[Run]) -> int:
    """How many numbers disjoint runs hold."""
    return sum(beyond - first for first, beyond in disjoint)


def multirange(disjoint: Iterable[Run]) -> str:
    """Disjoint runs as the text of an int8multirange."""
    return "{" + ",".join(f"[{first},{beyond})" for first, beyond in disjoint) + "}"
