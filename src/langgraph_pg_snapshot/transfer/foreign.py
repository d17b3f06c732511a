"""What reading other savers' tables takes: their statements, their serializers, their errors."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import ormsgpack
import psycopg
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from psycopg import sql
from psycopg.rows import tuple_row

from langgraph_pg_snapshot._conninfo import parsed
from langgraph_pg_snapshot.errors import StorageError, without_values
from langgraph_pg_snapshot.sql import definitions
from langgraph_pg_snapshot.transfer.threads import UnreadableError

# What an object is never built as; a serializer that gives up on one returns its parts.
_PLAIN = (dict, list, tuple, str, int, float, bool, bytes, type(None))


def statement(name: str, **names: str) -> str:
    """A statement of the .sql files, its tables' names filled in."""
    return definitions()[name].format_map(names)


def quoted(schema: str | None, name: str) -> str:
    """A table's name as SQL has it."""
    return sql.Identifier(*([schema] if schema is not None else []), name).as_string(None)


def label_of(conninfo: str) -> str:
    """Where a connection string leads, without a password.

    Raises:
        InvalidArgumentError: It can't be parsed. (Its text is not repeated.)
    """
    parts = parsed(conninfo, "conninfo")
    shown = [f"{key}={parts[key]}" for key in ("host", "port", "dbname", "user") if key in parts]
    return f"PostgreSQL ({' '.join(shown) or 'as the environment says'})"


@contextmanager
def reading(label: str, *errors: type[Exception], doing: str = "reading") -> Iterator[None]:
    """Have a database's errors say which source they are about (or which target)."""
    try:
        yield
    except errors as error:
        if isinstance(error, psycopg.Error):
            without_values(error)
        raise StorageError(
            f"{doing} {label}: {type(error).__name__}: {str(error).strip()}"
        ) from error


class ReadOnlyConnection:
    """A connection to a source: every transaction on it is read-only, and sees one moment."""

    def __init__(self, label: str, connection: psycopg.Connection[Any]) -> None:
        self.label = label
        self.connection = connection

    @classmethod
    @contextmanager
    def open(cls, conninfo: str, label: str) -> Iterator[ReadOnlyConnection]:
        """Connect, for as long as the block lasts."""
        with reading(label, psycopg.Error):
            connection = psycopg.connect(conninfo, autocommit=False, prepare_threshold=None)
        try:
            connection.read_only = True
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            with reading(label, psycopg.Error):
                # Columns of time without a zone are taken for UTC.
                connection.execute("SET TIME ZONE 'UTC'")
                connection.commit()
            yield cls(label, connection)
        finally:
            connection.close()

    def rows(self, query: str, params: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """What a statement finds."""
        with (
            reading(self.label, psycopg.Error),
            psycopg.Cursor(self.connection, row_factory=tuple_row) as cursor,
        ):
            # No literal strings: the tables' names are quoted identifiers of the caller's.
            return cursor.execute(query.encode(), params, binary=True).fetchall()

    @contextmanager
    def moment(self) -> Iterator[None]:
        """A block whose statements all see the same moment."""
        try:
            yield
        finally:
            with reading(self.label, psycopg.Error):
                self.connection.rollback()


class Loader:
    """Builds values as a saver's serializer does, but refuses what it would give up on.

    JsonPlusSerializer hands out an object's parts (a dict, a list) where its class is gone or may
    not be built. Stored again, it would be those for good.

    Args:
        serde: The serializer that the values were stored with.
    """

    def __init__(self, serde: SerializerProtocol) -> None:
        self._given_up: list[str] = []
        self._serde = self._watched(serde)

    def load(self, channel: str, type_: str | None, data: bytes | None) -> Any:
        """Build a value.

        Raises:
            UnreadableError: It can't be built.
        """
        self._given_up.clear()
        try:
            value = self._serde.loads_typed((type_ or "null", data or b""))
        except Exception as error:
            raise UnreadableError(
                f"{type(self._serde).__name__} can't read what is stored as {type_!r} "
                f"({type(error).__name__}): is it the serializer that it was stored with? Pass "
                "that one as serde=",
                channel,
            ) from error
        if self._given_up:
            raise UnreadableError(
                f"a {self._given_up[0]} can't be built: its module can't be imported, the class "
                "is not there or does not take what was stored, or the serializer may not build "
                "it (then pass serde=JsonPlusSerializer(allowed_msgpack_modules=[…]))",
                channel,
            )
        return value

    def _watched(self, serde: SerializerProtocol) -> SerializerProtocol:
        """The same serializer; if it is LangGraph's, what it gives up on is noted."""
        if type(serde) is EncryptedSerializer:
            return EncryptedSerializer(serde.cipher, self._watched(serde.serde))
        build = getattr(serde, "_unpack_ext_hook", None)
        if not isinstance(serde, JsonPlusSerializer) or build is None:
            return serde

        def hook(code: int, data: bytes) -> Any:
            value = build(code, data)
            # Not by `build`: it has its own hook for what lies inside, and keeps its errors.
            parts = ormsgpack.unpackb(data, ext_hook=hook, option=ormsgpack.OPT_NON_STR_KEYS)
            if type(value) in _PLAIN and isinstance(parts, list) and len(parts) > 1:
                self._given_up.append(f"{parts[0]}.{parts[1]}")
            return value

        clone = copy.copy(serde)
        # Its constructor takes a hook, too, but then not the types that are allowed.
        clone._unpack_ext_hook = hook  # noqa: SLF001
        return clone
