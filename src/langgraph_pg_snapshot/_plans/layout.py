"""How a checkpoint's values lie in its row and in the thread's log of items.

A small value stands in the row. A large one is a reference to items: ``{"$list":
[[1000000001, 1000000801]]}`` to the elements of a list, ``{"$dict": …}`` to the entries of a dict,
``{"$item": 7}`` to a whole value.
(The serializer never produces objects with these members, so neither can be taken for the other.)
Which values are large is decided in `pieces`, which numbers items get in `log`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import orjson

from langgraph_pg_snapshot._plans.codec import (
    DIGEST_BYTES,
    NO_DIGEST,
    Blob,
    Codec,
    compact,
    parse_json,
)
from langgraph_pg_snapshot._plans.runs import Run, numbers_of, runs_of, union
from langgraph_pg_snapshot.errors import DamagedThreadError, SnapshotError, about
from langgraph_pg_snapshot.serializer.ready import build
from langgraph_pg_snapshot.serializer.stored import Opaque

# How many numbers a list has for itself; in decimal, so that a person sees which list it is.
SPACE = 1_000_000_000
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
class Layout:
    """How a stored checkpoint lies: what a child takes over for channels that did not change."""

    versions: Mapping[str, Any]
    stored: Mapping[str, Stored]

    def carries(self, channel: str, version: Any) -> bool:
        """Whether it holds the value that the channel has at this version."""
        return channel in self.stored and self.versions.get(channel) == version


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
    """The layout of a checkpoint that was read; its versions, and the values as they are stored."""
    return Layout(
        versions,
        {
            channel: value if isinstance(value, Reference) else compact(orjson.dumps(value))
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
    """Items that were read, by number: JSON trees, some of them made ready, or blobs.

    Attributes:
        codec: How values are built of them.
        trees: The items.
        stamps: Their stamps, and perhaps those of others.
    """

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        self.trees: dict[int, Any] = {}
        self.stamps: dict[int, bytes] = {}
        self._digests: dict[int, bytes] = {}

    def missing(self, wanted: Iterable[Run]) -> list[Run]:
        """The part of these disjoint runs that was not read yet."""
        return runs_of(n for n in numbers_of(wanted) if n not in self.trees)

    def digests(self, numbers: Iterable[int]) -> dict[int, bytes]:
        """Digests of items, as far as they have one: of sealed ones only once they were built."""
        found = {
            number: self._digests.get(number) or self.stamps[number][:DIGEST_BYTES]
            for number in numbers
        }
        return {number: digest for number, digest in found.items() if digest != NO_DIGEST}

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
            trees = [*map(self.trees.__getitem__, numbers_of(stored.runs))]
            kinds = {*map(type, trees)}
            if Blob in kinds:
                values = self._elements(stored)
            elif stored.kind == "$dict":
                return self.codec.load_json({"$type": "dict", "items": _entries(trees)})
            else:
                return self._built(stored, trees) if tuple in kinds else self.codec.load_json(trees)
        except KeyError as error:
            raise DamagedThreadError(f"item {error} of its log is missing") from None
        if stored.kind == "$dict" and isinstance(values[0], Opaque):
            return values[0]
        return values if stored.kind == "$list" else dict(_entries(values))

    def _built(self, stored: Reference, trees: list[Any]) -> list[Any]:
        """A list of which some elements, or all, were made ready."""
        others = [tree for tree in trees if type(tree) is not tuple]
        if not others:
            return [builder(state) for builder, state in trees]
        try:
            rest = iter(self.codec.load_json(others))
        except SnapshotError:
            return self._elements(stored)  # it says which one
        return [build(tree) if type(tree) is tuple else next(rest) for tree in trees]

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
        if type(tree) is tuple:
            return build(tree)
        if not isinstance(tree, Blob):
            return self.codec.load_json(tree)
        value, digest = self.codec.load_blob(tree)
        if digest is not None:
            self._digests[number] = digest
        return value
