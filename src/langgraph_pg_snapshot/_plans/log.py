"""Adding a checkpoint to a thread's log: which values are there as items, which get new ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from langgraph_pg_snapshot._plans.codec import Codec, Columns, Piece
from langgraph_pg_snapshot._plans.layout import SPACE, Reference, Stored
from langgraph_pg_snapshot._plans.pieces import Pieces
from langgraph_pg_snapshot._plans.runs import continued, first_of, numbers_of

_digest = attrgetter("digest")

# Whose numbers whole values take (no matter if a channel should have this name).
WHOLE_VALUES = "$item"


class Digests:
    """Which items hold which values, as far as known. Grows in place."""

    def __init__(self) -> None:
        self.of: dict[int, bytes] = {}
        self._numbers: dict[tuple[int, bytes], int] = {}

    def __len__(self) -> int:
        return len(self.of)

    def update(self, digests: Mapping[int, bytes]) -> None:
        """Note the digests of items, which never change as long as the epoch stays."""
        if self.of.keys() >= digests.keys():
            return
        for number, digest in digests.items():
            self.of[number] = digest
            self._numbers[number // SPACE, digest] = number

    def find(self, space: int, digest: bytes) -> int | None:
        """An item with this digest among the numbers of one space."""
        return self._numbers.get((space, digest))


@dataclass
class Log:
    """The end of a thread's log: finds the numbers of values that are there, numbers the new ones.

    Each list or dict channel has a space of a billion numbers for itself, so that a list that only
    grows stays one run, however much other channels change in between. Whole values share space 0.
    """

    next_items: dict[str, int]
    digests: Digests
    added: dict[int, bytes] = field(default_factory=dict)
    new_items: list[Columns] = field(default_factory=list)

    def store(
        self, codec: Codec, channel: str, value: bytes | Pieces, before: Stored | None
    ) -> Stored:
        """Put a described value into the log; ``before`` is what the parent has for the channel."""
        if isinstance(value, bytes):
            return value
        owner = WHOLE_VALUES if value.kind == "$item" else channel
        if owner not in self.next_items:
            spaces = [number // SPACE for number in self.next_items.values()]
            space = 0 if owner == WHOLE_VALUES else max(spaces, default=0) + 1
            self.next_items[owner] = space * SPACE + 1
        runs = before.runs if isinstance(before, Reference) else ()
        known = [*map(self.digests.of.get, numbers_of(runs))]
        same = _common(known, [*map(_digest, value.pieces)])
        if same < len(known):
            runs = first_of(runs, same)
            newest = 0
        else:
            # A value that grew at its end gets new items there even for values that it holds
            # already: pointing back at those would break the run. (Items from `newest` on may be
            # this very checkpoint's, if an earlier try was stored after all.)
            newest = max((beyond - 1 for _, beyond in runs), default=0)
        numbers = [
            self._number(codec, owner, value.values[place], value.pieces[place], newest)
            for place in range(same, len(value.pieces))
        ]
        return Reference(value.kind, continued(runs, numbers))

    def _number(self, codec: Codec, owner: str, value: Any, piece: Piece, newest: int) -> int:
        space = self.next_items[owner] // SPACE
        number = self.digests.find(space, piece.digest)
        if number is None or number <= newest:
            if piece.payload is None:
                piece = codec.piece(value)  # digest and all: it may have changed since
            number = self.next_items[owner]
            self.next_items[owner] += 1
            self.added[number] = piece.digest
            self.new_items.append(codec.columns(piece))
        return number


def _common(one: Sequence[Any], other: Sequence[Any]) -> int:
    """How many elements at the beginning of both are the same."""
    shorter = min(len(one), len(other))
    if one[:shorter] == other[:shorter]:  # as a rule
        return shorter
    return next(n for n in range(shorter) if one[n] != other[n])
