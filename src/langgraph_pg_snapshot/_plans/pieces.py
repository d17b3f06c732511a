"""Encoding a channel's value: small enough for the checkpoint's row, or in pieces for the log."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from langgraph_pg_snapshot._plans.codec import Codec, Piece
from langgraph_pg_snapshot._plans.layout import Kind
from langgraph_pg_snapshot.errors import SerializationError, about
from langgraph_pg_snapshot.models import NamespaceKey

# Up to this many bytes of JSON a value stands in the checkpoint's row, where every later checkpoint
# repeats it; an item costs about 100 bytes of row and index once.
INLINE_BYTES = 256
# Lists of smaller elements are stored whole: a row each would cost more than it saves.
MIN_MEAN_ELEMENT_BYTES = 48

_size = attrgetter("size")


@dataclass(frozen=True)
class Pieces:
    """A value too large for the row: the parts that are to be items, and each one encoded."""

    kind: Kind
    values: Sequence[Any]
    pieces: Sequence[Piece]


def describe(codec: Codec, key: NamespaceKey, channel: str, value: Any) -> bytes | Pieces:
    """Encode a channel's value: small JSON, or the pieces it is to be stored in.

    Parts that are the same as when the namespace's channel was described last are not encoded.

    Raises:
        SerializationError: The value can't be stored; the message names the channel.
    """
    with about(f"channel {channel!r}"):
        if type(value) is list and len(value) > 1:
            return _describe_parts(codec, (key, channel), "$list", value, value)
        if type(value) is dict and len(value) > 1 and all(map(_is_name, value)):
            # An entry is an item [key, value], which SQL puts together again.
            entries = [*map(list, value.items())]
            return _describe_parts(codec, (key, channel), "$dict", value, entries)
        return _describe_whole(codec, value)


def _is_name(key: Any) -> bool:
    return type(key) is str and key.isprintable() and not key.startswith("$")


def describe_for_later(codec: Codec, key: NamespaceKey, channel: str, value: Any) -> bytes | Pieces:
    """The same with all payloads: what is stored later is the value as it is now."""
    described = describe(codec, key, channel, value)
    if isinstance(described, bytes):
        return described
    pieces = [
        codec.piece(part) if piece.payload is None else piece
        for part, piece in zip(described.values, described.pieces, strict=True)
    ]
    return Pieces(described.kind, described.values, pieces)


def _describe_parts(
    codec: Codec, place: Hashable, kind: Kind, value: Any, parts: list[Any]
) -> bytes | Pieces:
    try:
        pieces = codec.pieces(parts, place)
    except SerializationError:
        codec.piece(value)  # raises as well, and says where in the whole value
        raise
    size = sum(map(_size, pieces))
    if size <= INLINE_BYTES or size < MIN_MEAN_ELEMENT_BYTES * len(pieces):
        return _describe_whole(codec, value)
    return Pieces(kind, parts, pieces)


def _describe_whole(codec: Codec, value: Any) -> bytes | Pieces:
    piece = codec.piece(value)
    if codec.readable and piece.size <= INLINE_BYTES:
        text: bytes = piece.payload
        return text
    return Pieces("$item", (value,), (piece,))
