"""Parameters without types: one statement is prepared once, whatever its values are.

Psycopg prepares a statement for each combination of its parameters' types, and finds those in the
values: an int is an int2, int4 or int8 by its size, a list has the type of what is in it, and
None or an empty list has none. Here they have none, ever: the casts in the statements give it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from struct import Struct
from typing import Any

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

# Of this size on an array is sent in binary. (Below it takes longer: psycopg asks a class for it.)
_LARGE = 2048

_TEXT, _BYTEA = 25, 17  # PostgreSQL's own numbers of types, which never change
_head, _length = Struct("!iiiii").pack, Struct("!i").pack
_NULL = _length(-1)


def untyped(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters as text, but large arrays of text or bytes in PostgreSQL's binary form.

    The connection has to know how to send those: `introduce`.
    """
    return {
        name: value if value is None or type(value) is str else _untyped(value)
        for name, value in params.items()
    }


def introduce(conn: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> None:
    """Have a connection know the arrays of this module, which nobody else makes."""
    conn.adapters.register_dumper(_Array, _ArrayDumper)


def _untyped(value: Any) -> Any:
    kind = type(value)
    if kind is int:
        return str(value)
    if kind is bool:
        return "true" if value else "false"
    if kind is list:
        return _in_text(value) if _size(value) < _LARGE else _Array(value)
    return value


def _size(values: list[Any]) -> int:
    """How many characters or bytes there are in them; numbers are always few."""
    for value in values:
        if value is not None:
            return 0 if isinstance(value, int) else sum(map(len, filter(None, values)))
    return 0


def _in_text(values: Iterable[str | int | bytes | None]) -> str:
    """An array's text: https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO."""
    return "{" + ",".join(map(_element, values)) + "}"


def _element(value: str | int | bytes | None) -> str:
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return '"\\\\x' + value.hex() + '"'
    return str(int(value))


class _Array:
    """A list of text or of bytes, in which there may be None."""

    __slots__ = ("values",)

    def __init__(self, values: list[str | None] | list[bytes | None]) -> None:
        self.values = values


class _ArrayDumper(Dumper):
    """Writes them as PostgreSQL's array_recv reads them: it looks for no quotes and no digits."""

    format = Format.BINARY

    def dump(self, obj: _Array) -> bytes:
        encoding = self.connection.info.encoding if self.connection else "utf-8"
        if encoding == "ascii":  # of SQL_ASCII, which takes any bytes: psycopg sends UTF-8, too
            encoding = "utf-8"
        kind, parts = _TEXT, [b""]
        for value in obj.values:
            if value is None:
                parts.append(_NULL)
            elif isinstance(value, bytes):
                kind = _BYTEA
                parts += _length(len(value)), value
            else:
                text = value.encode(encoding)
                parts += _length(len(text)), text
        # One dimension, counted from one
        parts[0] = _head(1, None in obj.values, kind, len(obj.values), 1)
        return b"".join(parts)
