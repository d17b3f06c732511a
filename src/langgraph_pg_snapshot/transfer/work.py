"""What is to be done to have in a target what a source has."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from langgraph.checkpoint.base import WRITES_IDX_MAP
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.types import RESUME

from langgraph_pg_snapshot.transfer.compare import unlike
from langgraph_pg_snapshot.transfer.threads import (
    Contents,
    Place,
    ThreadReader,
    ThreadToFill,
    Write,
)

_Replaced: TypeAlias = Mapping[tuple[str, int], Any]


@dataclass(frozen=True)
class Work:
    """What of a thread is to be copied.

    Attributes:
        places: The checkpoints to copy, oldest first, with what tasks wrote at them.
        touched: Checkpoints that are there, at which tasks wrote since.
        removed: Checkpoints that one side had, and has no more.
        is_new: The thread is not in the target.
        went_on: The target has what the source has not: the thread was continued there.
        unclear: A checkpoint whose writes are others there, and nothing tells which are newer.
    """

    places: Sequence[Place]
    touched: Sequence[Place]
    removed: frozenset[Place]
    is_new: bool
    went_on: bool
    unclear: Place | None

    @property
    def is_nothing(self) -> bool:
        """Whether there is nothing to copy."""
        return not self.places and not self.touched

    @property
    def is_conflict(self) -> bool:
        """Whether copying would lose what the target has, or may."""
        return self.unclear is not None or (self.went_on and not self.is_nothing)


def compare(
    want: Contents,
    have: Contents,
    source: ThreadReader,
    target: ThreadToFill,
    serde: SerializerProtocol | None,
) -> Work:
    """What is to be done to have in the target what the source has.

    The contents of writes are read only at checkpoints that both have, and where some are replaced
    in place: of all others the numbers tell.
    """
    order = want.oldest_first()
    gone_there, gone_here = removed(want, have), removed(have, want)
    places = [place for place in order if place not in have.parents and place not in gone_there]
    in_both = [place for place in order if place in have.parents]
    missing = {
        place
        for (place, task), count in want.tasks.items()
        if have.tasks.get((place, task), 0) < count
    }
    more = any(
        place in want.parents and want.tasks.get((place, task), 0) < count
        for (place, task), count in have.tasks.items()
    )
    extra = any(
        place not in want.parents and place not in gone_here and not source.made(place)
        for place in have.parents
    )
    seen = {
        place: _Difference.of(
            _replaced(source.writes(place)), _replaced(target.writes(place)), serde
        )
        for place in in_both
        if place in want.replacing and place in have.replacing
    }
    other = [place for place, difference in seen.items() if difference.is_one]
    source_moved = bool(places) or any(
        place in missing or (place in seen and seen[place].source_moved) for place in in_both
    )
    went_on = extra or more or any(difference.target_moved for difference in seen.values())
    replace = other if source_moved else []
    return Work(
        places,
        [place for place in in_both if place in missing or place in replace],
        gone_there | gone_here,
        is_new=not have.parents,
        went_on=went_on,
        unclear=next(iter(other), None) if not source_moved and not went_on else None,
    )


def removed(there: Contents, here: Contents) -> frozenset[Place]:
    """The checkpoints of one side that were on the other one too, and are there no more.

    Threads grow, and are copied, at their end: what is older than a checkpoint that both have was
    there. So was what is older than all that is left of a namespace whose beginning was removed. A
    subgraph's call goes with the root checkpoint that it started from.
    """
    gone: set[Place] = set()
    passed: set[str] = set()
    oldest: dict[str, Place] = {}
    for place in sorted(here.parents, reverse=True):
        oldest[place.checkpoint_ns] = place
    for place in reversed(there.oldest_first()):
        namespace = place.checkpoint_ns
        if place in here.parents:
            passed.add(namespace)
        elif namespace in passed or (namespace in here.shortened and place < oldest[namespace]):
            gone.add(place)
    roots = sorted(place for place in there.parents if place.checkpoint_ns == "")
    for place in there.parents:
        behind = bisect(roots, Place("", place.checkpoint_id))
        if place not in here.parents and behind and roots[behind - 1] in gone:
            gone.add(place)
    return frozenset(gone)


def _replaced(writes: Sequence[Write]) -> _Replaced:
    """Of a checkpoint's writes those that are replaced in place: interrupts, answers, errors."""
    return {(write.task_id, write.idx): write.value for write in writes if write.idx < 0}


@dataclass(frozen=True)
class _Difference:
    """How a checkpoint's writes that are replaced in place differ, and which side moved."""

    is_one: bool
    source_moved: bool
    target_moved: bool

    @classmethod
    def of(cls, want: _Replaced, have: _Replaced, serde: SerializerProtocol | None) -> _Difference:
        other = [
            key
            for key in want.keys() & have.keys()
            if unlike(serde, have[key], want[key], was_there=True) is not None
        ]
        answers = [key for key in other if key[1] == WRITES_IDX_MAP[RESUME]]
        return cls(
            is_one=bool(other),
            source_moved=any(_goes_on(want[key], have[key], serde) for key in answers),
            target_moved=any(_goes_on(have[key], want[key], serde) for key in answers),
        )


def _goes_on(longer: Any, shorter: Any, serde: SerializerProtocol | None) -> bool:
    """Whether a task was given the answers of another list, and more."""
    return (
        isinstance(longer, list)
        and isinstance(shorter, list)
        and len(longer) > len(shorter)
        and unlike(serde, longer[: len(shorter)], shorter, was_there=True) is None
    )
