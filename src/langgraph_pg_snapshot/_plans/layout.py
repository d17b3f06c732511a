"""How a checkpoint's values lie in its row and in the thread's log of items.

A small value stands in the row. A large one is a reference to items: ``{"$list":
[[1000000001, 1000000801]]}`` to the elements of a list, ``{"$dict": …}`` to the entries of a dict,
``{"$item": 7}`` to a whole value.
(The serializer never produces objects with these members, so neither can be taken for the other.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import orjson

from langgraph_pg_snapshot._plans.codec import (
    Blob,
    Codec,
    Columns,
    Piece,
    load_versions,
    parse_json,
)
from langgraph_pg_snapshot._plans.runs import Run, numbers_of, runs_of, union
from langgraph_pg_snapshot.errors import (
    DamagedThreadError,
    SerializationError,
    SnapshotError,
    about,
)
from langgraph_pg_snapshot.serializer.stored import Opaque

# Up to this many bytes of JSON a value stands in the checkpoint's row, where every later checkpoint
# repeats it; an item costs about 100 bytes of row and index once.
INLINE_BYTES = 256
# Lists of smaller elements are stored whole: a row each would cost more than it saves.
MIN_MEAN_ELEMENT_BYTES = 48

# How many numbers a list has for itself; in decimal, so that a person sees which list it is.
SPACE = 1_000_000_000
# Whose numbers whole values take (no matter if a channel should have this name).
WHOLE_VALUES = "$item"

Kind: TypeAlias = Literal["$list", "$dict", "$item"]


@dataclass(frozen=True)
class Reference:
    """A stored value that lies in items."""

    kind: Kind
    runs: tuple[Run, ...]

    def dumps(self) -> bytes:
        """The JSON that stands for it in the row."""
        return orjson.dumps({self.kind: self.runs[0][0] if self.kind == "$item" else self.runs})


Stored: TypeAlias = bytes | Reference
"""A channel's stored value: JSON text, or where its items are."""


@dataclass(frozen=True)
class Pieces:
    """A value too large for the row: the parts that are to be items, and each one encoded."""

    kind: Kind
    values: Sequence[Any]
    pieces: Sequence[Piece]


@dataclass(frozen=True)
class Layout:
    """How a stored checkpoint lies: what a child takes over for channels that did not change."""

    versions: Mapping[str, Any]
    stored: Mapping[str, Stored]

    def carries(self, channel: str, version: Any) -> bool:
        """Whether it holds the value that the channel has at this version."""
        return channel in self.stored and self.versions.get(channel) == version


class Digests:
    """Which items hold which values, as far as known. Grows in place."""

    def __init__(self) -> None:
        self.of: dict[int, bytes] = {}
        self._numbers: dict[tuple[int, bytes], int] = {}

    def __len__(self) -> int:
        return len(self.of)

    def update(self, digests: Mapping[int, bytes]) -> None:
        """Note the digests of items."""
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
        known = list(numbers_of(before.runs)) if isinstance(before, Reference) else []
        numbers: list[int] = []
        for number, piece in zip(known, value.pieces, strict=False):
            if self.digests.of.get(number) != piece.digest:
                break
            numbers.append(number)
        # A value that grew at its end gets new items there even for values that it holds already:
        # pointing back at those would break the run. (Items from `newest` on may be this very
        # checkpoint's, if an earlier try was stored after all.)
        newest = max(known, default=0) if len(numbers) == len(known) else 0
        numbers += [
            self._number(codec, owner, value.values[place], value.pieces[place], newest)
            for place in range(len(numbers), len(value.pieces))
        ]
        return Reference(value.kind, tuple(runs_of(numbers)))

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


def describe(codec: Codec, channel: str, value: Any) -> bytes | Pieces:
    """Encode a channel's value: small JSON, or the pieces it is to be stored in.

    Raises:
        SerializationError: The value can't be stored; the message names the channel.
    """
    with about(f"channel {channel!r}"):
        if type(value) is list and len(value) > 1:
            return _describe_parts(codec, "$list", value, value)
        if type(value) is dict and len(value) > 1 and all(map(_is_name, value)):
            # An entry is an item [key, value], which SQL puts together again.
            return _describe_parts(codec, "$dict", value, [list(e) for e in value.items()])
        return _describe_whole(codec, value)


def _is_name(key: Any) -> bool:
    return type(key) is str and key.isprintable() and not key.startswith("$")


def describe_for_later(codec: Codec, channel: str, value: Any) -> bytes | Pieces:
    """The same with all payloads: what is stored later is the value as it is now."""
    described = describe(codec, channel, value)
    if isinstance(described, bytes):
        return described
    pieces = [
        codec.piece(part) if piece.payload is None else piece
        for part, piece in zip(described.values, described.pieces, strict=True)
    ]
    return Pieces(described.kind, described.values, pieces)


def _describe_parts(codec: Codec, kind: Kind, value: Any, parts: list[Any]) -> bytes | Pieces:
    try:
        pieces = [codec.recognise(part) for part in parts]
    except SerializationError:
        codec.piece(value)  # raises as well, and says where in the whole value
        raise
    size = sum(piece.size for piece in pieces)
    if size <= INLINE_BYTES or size < MIN_MEAN_ELEMENT_BYTES * len(pieces):
        return _describe_whole(codec, value)
    return Pieces(kind, parts, pieces)


def _describe_whole(codec: Codec, value: Any) -> bytes | Pieces:
    piece = codec.piece(value)
    if codec.readable and piece.size <= INLINE_BYTES:
        text: bytes = piece.payload
        return text
    return Pieces("$item", (value,), (piece,))


def dump_stored(stored: Mapping[str, Stored]) -> str:
    """The channel_values column."""
    members = (
        orjson.dumps(channel) + b":" + (value.dumps() if isinstance(value, Reference) else value)
        for channel, value in stored.items()
    )
    return (b"{" + b",".join(members) + b"}").decode()


def load_stored(text: str) -> dict[str, Any]:
    """The channel_values column: references as such, the rest as the JSON it is.

    Raises:
        DamagedThreadError: A value is neither.
    """
    return {channel: load_reference(channel, tree) for channel, tree in parse_stored(text).items()}


def parse_stored(text: str) -> dict[str, Any]:
    """The channel_values column as JSON by channel.

    Raises:
        DamagedThreadError: It is something else.
    """
    parsed = parse_json(text)
    if type(parsed) is not dict:
        raise DamagedThreadError("the values of a checkpoint are not stored by channel")
    return parsed


def load_reference(channel: str, tree: Any) -> Any:
    """A channel's stored value: a reference as such, else the JSON it is.

    Raises:
        DamagedThreadError: It is like a reference, and names no items.
    """
    if not isinstance(tree, dict) or len(tree) != 1:
        return tree
    [(kind, place)] = tree.items()
    if kind == "$item" and type(place) is int:
        return Reference(kind, ((place, place + 1),))
    if kind in ("$list", "$dict") and isinstance(place, list) and all(map(_is_run, place)):
        return Reference(kind, tuple((first, beyond) for first, beyond in place))
    if kind in ("$item", "$list", "$dict"):
        raise DamagedThreadError(f"channel {channel!r}: its {kind} does not name items")
    return tree


def _is_run(run: Any) -> bool:
    return (
        isinstance(run, list) and [*map(type, run)] == [int, int] and 0 <= run[1] - run[0] <= SPACE
    )


def layout_of(versions: Mapping[str, Any], stored: Mapping[str, Any]) -> Layout:
    """The layout of a checkpoint that was read; its versions as the header has them."""
    return Layout(
        load_versions(versions),
        {
            channel: value if isinstance(value, Reference) else orjson.dumps(value)
            for channel, value in stored.items()
        },
    )


def runs_in(stored: Iterable[Any]) -> list[Run]:
    """Every item that stored values reference, as disjoint runs."""
    return union(run for value in stored if isinstance(value, Reference) for run in value.runs)


def _entries(values: list[Any]) -> list[Any]:
    for entry in values:
        if type(entry) is not list or len(entry) != 2:  # noqa: PLR2004 -- key and value
            raise DamagedThreadError("an item of its log should be an entry of a dict, and is not")
    return values


class Items:
    """Items that were read, by number: JSON trees, or blobs."""

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        self.trees: dict[int, Any] = {}
        self.digests: dict[int, bytes] = {}

    def missing(self, wanted: Iterable[Run]) -> list[Run]:
        """The part of these disjoint runs that was not read yet."""
        return runs_of(n for n in numbers_of(wanted) if n not in self.trees)

    def value(self, stored: Any) -> Any:
        """Build a channel's value anew; two calls never share a mutable object.

        Raises:
            DamagedThreadError: An item that it is made of was not read.
        """
        if not isinstance(stored, Reference):
            return self.codec.load_json(stored)
        try:
            if stored.kind == "$item":
                return self._build(stored.runs[0][0])
            trees = [self.trees[number] for number in numbers_of(stored.runs)]
            if Blob in map(type, trees):
                values = self._elements(stored)
            elif stored.kind == "$dict":
                return self.codec.load_json({"$type": "dict", "items": _entries(trees)})
            else:
                return self.codec.load_json(trees)
        except KeyError as error:
            raise DamagedThreadError(f"item {error} of its log is missing") from None
        if stored.kind == "$dict" and isinstance(values[0], Opaque):
            return values[0]
        return values if stored.kind == "$list" else dict(_entries(values))

    def _elements(self, stored: Reference) -> list[Any]:
        values: list[Any] = []
        try:
            for number in numbers_of(stored.runs):
                values.append(self._build(number))  # noqa: PERF401 -- len(values) tells where it stopped
        except SnapshotError:
            # Which key an entry of a dict has, only it can tell.
            with about(f"[{len(values)}]" if stored.kind == "$list" else ""):
                raise
        return values

    def _build(self, number: int) -> Any:
        tree = self.trees[number]
        if not isinstance(tree, Blob):
            return self.codec.load_json(tree)
        value, digest = self.codec.load_blob(tree)
        if digest is not None:
            self.digests[number] = digest
        return value
