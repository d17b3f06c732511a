"""A checkpoint's header and metadata as columns: readable as far as the serializer allows."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, cast

import orjson

from langgraph_pg_snapshot._arguments import LARGEST_COUNT, shown
from langgraph_pg_snapshot._plans.codec import DIGEST_BYTES, NOT_ENCRYPTED, Blob, Codec, parse_json
from langgraph_pg_snapshot.errors import (
    DeserializationError,
    SerializationError,
    SnapshotError,
    about,
)
from langgraph_pg_snapshot.serializer import SnapshotSerializer
from langgraph_pg_snapshot.serializer.decoder import SCALARS
from langgraph_pg_snapshot.serializer.stored import Opaque

# What a serializer that may encrypt leaves readable: the saver itself goes by these, and none of
# them is a value of the application's.
COUNTERS = "counters_since_delta_snapshot"  # DeltaChannels: {channel: (updates, supersteps)}
STRUCTURAL_METADATA = frozenset({"source", "step", "parents", COUNTERS})
STRUCTURAL_HEADER = frozenset({"v", "ts", "channel_versions", "versions_seen", "updated_channels"})

# Of what stands in metadata and is no data, so many characters are kept.
LONGEST_REPR = 10_000
# Of a run's id indexes take so many bytes (beside tenant and thread); of a longer one a digest.
LONGEST_RUN_ID = 1_500

# What reads and writes channel versions: they are text or numbers, whatever the codec.
_VERSIONS = SnapshotSerializer()


def dump_header(codec: Codec, checkpoint: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """A checkpoint without its id and values, and what of it has to be sealed."""
    header = {k: v for k, v in checkpoint.items() if k not in ("id", "channel_values")}
    versions = header.pop("channel_versions")
    sealed = {}
    if codec.sealing:
        hidden = [k for k in header if k not in STRUCTURAL_HEADER and not _is_nothing(header[k])]
        sealed = {k: header.pop(k) for k in hidden}
    with about("checkpoint"):
        tree = codec.snapshot.encode(header, keep_order=False)
    # By channel whatever their names: SQL looks for them, and encode() would wrap "$name".
    with about("checkpoint['channel_versions']"):
        tree["channel_versions"] = {
            str.__str__(channel): _VERSIONS.encode(version) for channel, version in versions.items()
        }
    return orjson.dumps(tree).decode(), sealed


def load_header(codec: Codec, text: str) -> dict[str, Any]:
    """What `dump_header` wrote, without what is sealed.

    Raises:
        DeserializationError: It is something else.
    """
    with about("header"):
        tree = parse_json(text)
        if type(tree) is not dict or type(tree.get("channel_versions")) is not dict:
            raise DeserializationError("it has no channel_versions")
        if codec.sealing and any(tree[k] for k in tree.keys() - STRUCTURAL_HEADER):
            raise DeserializationError(NOT_ENCRYPTED)
        versions = load_versions(tree.pop("channel_versions"))
        return {**_members(codec.snapshot.decode(tree)), "channel_versions": versions}


def load_versions(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The channel_versions of a stored header."""
    return {
        channel: version if type(version) in SCALARS else _VERSIONS.decode(version)
        for channel, version in tree.items()
    }


def dump_metadata(codec: Codec, metadata: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Metadata as JSON that SQL can filter by, and what of it has to be sealed."""
    metadata = {storable_text(name): value for name, value in metadata.items()}
    sealed = {}
    if codec.sealing:
        sealed = {k: metadata.pop(k) for k in [*metadata] if not _stays_open(codec, k, metadata[k])}
    try:
        return dump_members(codec, metadata), sealed
    except SerializationError:
        return dump_members(codec, {k: _storable(codec, v) for k, v in metadata.items()}), sealed


def load_metadata(codec: Codec, text: str) -> dict[str, Any]:
    """What `dump_metadata` wrote, without what is sealed.

    Raises:
        DeserializationError: Something in it can't be read; the message names the key.
    """
    return {
        key: tree
        if type(tree) in SCALARS and not codec.sealing
        else load_metadata_value(codec, key, tree)
        for key, tree in parse_metadata(text).items()
    }


def parse_metadata(text: str) -> dict[str, Any]:
    """The metadata column as JSON by key.

    Raises:
        DeserializationError: It is something else.
    """
    with about("metadata"):
        return _members(parse_json(text))


def load_metadata_value(codec: Codec, key: str, tree: Any) -> Any:
    """The value of one key of `load_metadata`."""
    try:
        if codec.sealing and not _is_open(key, tree):
            raise DeserializationError(NOT_ENCRYPTED)
        if key == COUNTERS and _are_counters(tree):
            return {channel: tuple(pair) for channel, pair in tree.items()}
        return codec.snapshot.decode(tree)
    except SnapshotError:
        with about(f"metadata {key!r}"):
            raise


def load_sealed(codec: Codec, blob: Blob) -> tuple[dict[str, Any], dict[str, Any]]:
    """The metadata and the header that `seal` hid.

    Raises:
        DeserializationError: It can't be read, or is something else.
    """
    with about("sealed metadata"):
        sealed, _ = codec.load_blob(blob)
        if isinstance(sealed, Opaque):
            return {}, {}
        parts = _members(sealed)
        return _members(parts.get("metadata")), _members(parts.get("header"))


def _members(value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise DeserializationError(f"it is not a dict, but {type(value).__name__}")
    return value


def dump_members(codec: Codec, members: Mapping[str, Any]) -> str:
    """An object whose members SQL finds by their names; what is in them is encoded.

    (`encode` would wrap an object that has a member called "$name".)
    """
    tree = {
        name: {channel: list(pair) for channel, pair in value.items()}
        if name == COUNTERS and _are_counters(value)
        else codec.snapshot.encode(value, keep_order=False)
        for name, value in members.items()
    }
    return orjson.dumps(tree).decode()


def _is_nothing(value: Any) -> bool:
    return value is None or (type(value) in (dict, list, str, bool, int) and not value)


def _are_counters(value: Any) -> bool:
    return type(value) is dict and all(
        type(channel) is str
        and channel == storable_text(channel)
        and type(pair) in (tuple, list)
        and all(type(count) is int and 0 <= count <= LARGEST_COUNT for count in pair)
        for channel, pair in value.items()
    )


def _stays_open(codec: Codec, key: str, value: Any) -> bool:
    """Whether a key of metadata is open now, and will be when it is read: text with NUL is not."""
    if not _is_open(key, value):
        return False
    return key != "parents" or codec.snapshot.encode(value, keep_order=False) == value


def _is_open(key: str, value: Any) -> bool:
    """Whether a serializer that may encrypt leaves a key of metadata readable.

    The application can use the host's names, too: what has them must look as the host's does.
    """
    if key == COUNTERS:
        return _are_counters(value)
    if key == "parents":  # {checkpoint_ns: checkpoint_id}
        return type(value) is dict and all(type(each) is str for each in value.values())
    return key in STRUCTURAL_METADATA


def storable_text(text: str) -> str:
    """Text as PostgreSQL can hold it: NULs go, and lone surrogates become escapes."""
    return text.encode(errors="backslashreplace").decode().replace("\x00", "")


def storable_run(run_id: str) -> str:
    """A run's id as the index by runs can hold it; metadata has it whole."""
    text = storable_text(run_id)
    if len(text.encode()) <= LONGEST_RUN_ID:
        return text
    return f"blake2b:{blake2b(text.encode(), digest_size=DIGEST_BYTES).hexdigest()}"


def _storable(codec: Codec, value: Any) -> Any:
    """Metadata never fails a run: what can't be stored as itself is stored as its repr."""
    try:
        codec.snapshot.encode(value, keep_order=False)
    except SerializationError:
        return _repr(value)
    return value


def _sealable(codec: Codec, key: str, value: Any) -> Any:
    try:
        codec.piece({"metadata": {key: value}})  # as deep as it will be
    except SerializationError:
        return _repr(value)
    return value


def _repr(value: Any) -> str:
    """What a value says of itself; it may be nested too deep for that, or not know."""
    try:
        return repr(value)[:LONGEST_REPR]
    except Exception:  # noqa: BLE001 -- it is the application's code
        return shown(value)


def seal(codec: Codec, metadata: dict[str, Any], header: dict[str, Any]) -> Blob | None:
    """What may not stand readable in a checkpoint's row, serialized; None if there is nothing.

    Raises:
        SerializationError: Something in the header can't be stored.
    """
    if not metadata and not header:
        return None
    try:
        columns = codec.columns_of({"metadata": metadata, "header": header})
    except SerializationError:
        metadata = {k: _sealable(codec, k, v) for k, v in metadata.items()}
        for name, value in header.items():
            with about(f"checkpoint[{name!r}]"):
                codec.piece(value)
                codec.piece({"header": {name: value}})  # which is two levels deeper
        with about("checkpoint"):
            columns = codec.columns_of({"metadata": metadata, "header": header})
    return Blob(cast("str", columns.blob_type), cast("bytes", columns.blob))
