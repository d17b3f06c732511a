"""Parameters as text: one statement is prepared once, whatever its values are.

Psycopg prepares a statement for each combination of its parameters' types, and finds those in the
values: an int is an int2, int4 or int8 by its size, a list has the type of what is in it, and
None or an empty list has none. As text they have none, ever: the casts in the statements give it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def as_text(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters with numbers and arrays as the text that PostgreSQL reads them from."""
    return {
        name: value if value is None or type(value) is str else _as_text(value)
        for name, value in params.items()
    }


def _as_text(value: Any) -> Any:
    kind = type(value)
    if kind is int:
        return str(value)
    if kind is bool:
        return "true" if value else "false"
    if kind is list:
        return _array(value)
    return value


def _array(values: Iterable[str | int | bytes | None]) -> str:
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
