"""Bytes of every kind, as base64."""

from __future__ import annotations

import base64
import binascii
from functools import lru_cache
from typing import Any

from langgraph_pg_snapshot.errors import DeserializationError

from .classes import check_type
from .codec import Refused, add_record


def to_base64(data: bytes | bytearray | memoryview) -> str:
    """Write bytes as text."""
    return base64.b64encode(data).decode()


def from_base64(value: object) -> bytes:
    """Read bytes back.

    Raises:
        DeserializationError: the text is not base64.
    """
    try:
        return base64.b64decode(check_type(value, str), validate=True)
    except binascii.Error as error:
        raise DeserializationError("bytes are not base64") from error


@lru_cache(maxsize=256)
def _can_be_made(format: str, size: int) -> bool:  # noqa: A002  # the name of the member
    try:
        view = memoryview(bytes(size)).cast(format)  # type: ignore[call-overload]  # cast() checks it
    except ValueError:
        return False
    return bool(view.itemsize == size)


def _memoryview_parts(value: memoryview) -> dict[str, Any]:
    if not value.nbytes and value.ndim != 1:
        raise Refused("is an empty view of several dimensions, which Python can't make")
    if not _can_be_made(value.format, value.itemsize):
        raise Refused(f"is a view of the format {value.format!r}, which Python can't make")
    return {
        "value": to_base64(value.tobytes()),
        "format": value.format,
        "shape": list(value.shape or ()),
        "readonly": value.readonly,
    }


def _memoryview(value: str, format: str, shape: list[int], readonly: bool) -> memoryview:  # noqa: A002, FBT001  # the names of the members
    data = from_base64(value)
    check_type(format, str)
    for size in check_type(shape, list):
        check_type(size, int)
    view = memoryview(data if readonly is True else bytearray(data))
    if not data and shape == [0]:
        view = view.cast(format)  # type: ignore[call-overload]  # cast() checks it
    elif format != "B" or shape != [len(data)]:
        view = view.cast(format, shape)  # type: ignore[call-overload]  # as above
    return view


def _bytes_parts(value: bytes) -> dict[str, Any]:
    return {"value": to_base64(value)}


add_record(bytes, "bytes", _bytes_parts, from_base64)
add_record(bytearray, "bytearray", _bytes_parts, lambda value: bytearray(from_base64(value)))
add_record(memoryview, "memoryview", _memoryview_parts, _memoryview)
