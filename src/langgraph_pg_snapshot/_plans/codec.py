"""How values become columns: JSON under the snapshot serializer, bytes under any other one."""

from __future__ import annotations

import secrets
from collections.abc import Hashable, Sequence
from hashlib import blake2b
from marshal import dumps, loads
from typing import Any, NamedTuple, Protocol

import orjson
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_pg_snapshot.errors import (
    DeserializationError,
    SerializationError,
    SnapshotError,
)
from langgraph_pg_snapshot.serializer import SnapshotSerializer
from langgraph_pg_snapshot.serializer.ready import made_ready
from langgraph_pg_snapshot.serializer.sight import Sight
from langgraph_pg_snapshot.serializer.stored import StoredForm

DIGEST_BYTES = 16
NO_DIGEST = bytes(DIGEST_BYTES)
# A digest, and the transaction that wrote the row.
STAMP_BYTES = DIGEST_BYTES + 4

NOT_ENCRYPTED = (
    "it was stored by a serializer that does not encrypt, and one that may refuses that: "
    "copy such state over with a saver that has the serializer it was saved with"
)

# Digests of values that are stored encrypted stay in this process, and mean nothing outside it.
_PROCESS_KEY = secrets.token_bytes(32)


class Columns(NamedTuple):
    """A value as the items and writes tables hold it."""

    digest: bytes | None = None
    json: str | None = None
    blob_type: str | None = None
    blob: bytes | None = None


class Blob(NamedTuple):
    """A value read from the BYTEA columns, still serialized."""

    type: str
    data: bytes


class Piece(NamedTuple):
    """A value encoded far enough to recognise it (by digest) and to store it (``columns``).

    One that was recognised at sight has no payload: ``piece`` makes it, if it has to be stored.
    """

    digest: bytes
    payload: Any
    size: int


class Codec(Protocol):
    """What the plans need to know of a serializer."""

    snapshot: SnapshotSerializer
    readable: bool  # values may stand as JSON inside a checkpoint's row
    sealing: bool  # metadata is hidden, too
    makes_ready: bool  # trees that are kept may be ones that were made ready

    def piece(self, value: Any) -> Piece: ...
    def pieces(self, values: Sequence[Any], place: Hashable) -> list[Piece]: ...
    def columns(self, piece: Piece) -> Columns: ...
    def columns_of(self, value: Any) -> Columns: ...  # which need not be recognised: no digest
    def made_ready(self, tree: Any) -> Any: ...  # the tree, or a tuple that `build` takes
    def load_json(self, tree: Any) -> Any: ...
    def load_blob(self, blob: Blob) -> tuple[Any, bytes | None]: ...


_sights: dict[int, Sight[Piece]] = {}


class SnapshotCodec:
    """Readable JSON."""

    readable = True
    sealing = False

    def __init__(self, snapshot: SnapshotSerializer) -> None:
        self.snapshot = snapshot
        # Serializers of ours write a value in the same way; what they differ in is the depth that
        # they refuse. (A class derived from ours may do anything.)
        depth = snapshot.max_depth
        self.makes_ready = is_ours = type(snapshot) is SnapshotSerializer
        self.sight = _sights.setdefault(depth, self._sight()) if is_ours else self._sight()
        self.pieces = self.sight.all

    def piece(self, value: Any) -> Piece:
        text = compact(self.snapshot.dumps(value))
        return Piece(blake2b(text, digest_size=DIGEST_BYTES).digest(), text, len(text))

    def _sight(self) -> Sight[Piece]:
        return Sight(self._look, lambda piece: piece._replace(payload=None))

    def _look(self, value: Any) -> tuple[Piece, bool]:
        piece = self.piece(value)
        tags = piece.payload.count(b'"$type":')
        return piece, tags == (0 if type(value) in (list, dict) else 1)

    def columns(self, piece: Piece) -> Columns:
        return Columns(piece.digest, piece.payload.decode())

    def columns_of(self, value: Any) -> Columns:
        return Columns(json=self.snapshot.dumps(value).decode())

    def made_ready(self, tree: Any) -> Any:
        return made_ready(tree) if self.makes_ready else tree

    def load_json(self, tree: Any) -> Any:
        if not self.makes_ready:
            # The tree is read again: one of its own for who may hand it out, or change it.
            tree = loads(dumps(tree))  # noqa: S302 -- dumps() wrote it a moment ago
        return self.snapshot.decode(tree)

    def load_blob(self, blob: Blob) -> tuple[Any, bytes | None]:
        if isinstance(self.snapshot, StoredForm):
            return self.snapshot.loads_typed(blob), None
        raise DeserializationError(
            f"stored as {blob.type!r} by another serializer: pass the one it was saved with as "
            "serde="
        )


class BytesCodec:
    """Any SerializerProtocol: JsonPlusSerializer, or one of the application's."""

    readable = False
    makes_ready = False

    def __init__(self, serde: SerializerProtocol) -> None:
        self.serde = serde
        # This package's own; it reads what was stored as JSON, and writes headers.
        self.snapshot = SnapshotSerializer()
        # Whether a foreign serializer encrypts can't be seen, so only JsonPlus is taken for open.
        self.sealing = not (
            isinstance(serde, JsonPlusSerializer) and _is_unchanged(serde, JsonPlusSerializer)
        )

    def piece(self, value: Any) -> Piece:
        payload = self._dump(self.serde, value)
        return Piece(self._digest(payload), payload, len(payload.data))

    def pieces(self, values: Sequence[Any], place: Hashable) -> list[Piece]:  # noqa: ARG002
        return [self.piece(value) for value in values]

    def columns(self, piece: Piece) -> Columns:
        return Columns(None if self.sealing else piece.digest, None, *piece.payload)

    def columns_of(self, value: Any) -> Columns:
        return Columns(None, None, *self._dump(self.serde, value))

    def made_ready(self, tree: Any) -> Any:
        return tree

    def load_json(self, tree: Any) -> Any:
        if self.sealing:
            raise DeserializationError(NOT_ENCRYPTED)
        return self.snapshot.decode(tree)

    def load_blob(self, blob: Blob) -> tuple[Any, bytes | None]:
        return self._load(self.serde, blob), self._digest(blob) if self.sealing else None

    @staticmethod
    def _dump(serde: SerializerProtocol, value: Any) -> Blob:
        try:
            kind, data = serde.dumps_typed(value)
            return Blob(kind, bytes(data))  # JsonPlusSerializer hands a bytearray on as it is
        except SnapshotError:
            raise
        except Exception as error:
            raise SerializationError(
                f"{type(serde).__name__} can't store a {type(value).__name__}: "
                f"{type(error).__name__}"
            ) from error

    @staticmethod
    def _load(serde: SerializerProtocol, blob: Blob) -> Any:
        try:
            return serde.loads_typed(blob)
        except SnapshotError:
            raise
        except Exception as error:
            raise DeserializationError(
                f"{type(serde).__name__} can't read a value stored as {blob.type!r}: "
                f"{type(error).__name__}"
            ) from error

    def _digest(self, payload: Blob) -> bytes:
        return blake2b(
            payload.data,
            digest_size=DIGEST_BYTES,
            key=_PROCESS_KEY if self.sealing else b"",
            person=payload.type.encode()[:16],
        ).digest()


class EncryptedCodec(BytesCodec):
    """LangGraph's EncryptedSerializer.

    Equal values give different bytes, so they are recognised by a keyed digest of the plaintext,
    which is never stored.
    """

    def __init__(self, serde: EncryptedSerializer) -> None:
        super().__init__(serde)
        self.encrypting = serde

    def piece(self, value: Any) -> Piece:
        plain = self._dump(self.encrypting.serde, value)
        return Piece(self._digest(plain), plain, len(plain.data))

    def columns(self, piece: Piece) -> Columns:
        return self._sealed(piece.payload)

    def columns_of(self, value: Any) -> Columns:
        return self._sealed(self._dump(self.encrypting.serde, value))

    def _sealed(self, plain: Blob) -> Columns:
        cipher, data = self.encrypting.cipher.encrypt(plain.data)
        return Columns(None, None, f"{plain.type}+{cipher}", data)

    def load_json(self, tree: Any) -> Any:  # noqa: ARG002 -- refused, whatever it is
        raise DeserializationError(NOT_ENCRYPTED)

    def load_blob(self, blob: Blob) -> tuple[Any, bytes | None]:
        plain_type, _, cipher = blob.type.partition("+")
        if not cipher:
            raise DeserializationError(NOT_ENCRYPTED)
        try:
            plain = Blob(plain_type, self.encrypting.cipher.decrypt(cipher, blob.data))
        except Exception as error:
            raise DeserializationError(
                f"a value stored as {blob.type!r} can't be decrypted: is the key the one it was "
                "saved with?"
            ) from error
        return self._load(self.encrypting.serde, plain), self._digest(plain)


def codec_for(serde: SerializerProtocol) -> Codec:
    """The codec that goes with a serializer."""
    if isinstance(serde, SnapshotSerializer) and _is_unchanged(serde, SnapshotSerializer):
        return SnapshotCodec(serde)
    if type(serde) is EncryptedSerializer:
        return EncryptedCodec(serde)
    return BytesCodec(serde)


def _is_unchanged(serde: SerializerProtocol, known: type[SerializerProtocol]) -> bool:
    """Whether a subclass writes what its base writes: one that overrides that may encrypt."""
    return type(serde).dumps_typed is known.dumps_typed


def parse_json(text: str) -> Any:
    """JSON as PostgreSQL prints it.

    Raises:
        DeserializationError: It is nested deeper than what this package writes.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise DeserializationError(f"the stored JSON can't be read: {error}") from error


def compact(text: bytes) -> bytes:
    """The same text in no more memory than it needs: orjson's has a buffer of some kB to itself."""
    return b"%b" % text  # (the quickest of what copies)
