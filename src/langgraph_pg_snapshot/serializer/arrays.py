"""NumPy arrays and scalars, in processes that have imported NumPy."""

from __future__ import annotations

import math
import sys
from typing import Any, Final

from langgraph_pg_snapshot.errors import DeserializationError

from .classes import check_type
from .codec import DECODERS, Codec, Refused, Tree
from .decoder import Decoder
from .encoder import Encoder
from .names import derives, module_of
from .types_bytes import from_base64, to_base64

_PLAIN: Final[dict[str, Any]] = {
    "U": str.__str__,
    "S": lambda value: bytes.__getitem__(value, slice(None)),
}
_NUMBERS: Final = "biuf"
_VALUES: Final[dict[str, tuple[type, ...]]] = {
    "U": (str,),
    "S": (bytes,),
    **dict.fromkeys(_NUMBERS, (bool, int, float)),
}
_MAX_LISTED: Final = 8  # bytes of a number that Python's own int, float or bool holds exactly


def library(name: str) -> Any:
    """Hand out an optional library, if the process has imported it.

    Raises:
        DeserializationError: it has not.
    """
    module = sys.modules.get(name)
    if module is None:
        raise DeserializationError(f"{name} is not in this process: import it before loading")
    return module


class _Array:
    """An array: its bytes; the elements one by one if they are Python objects."""

    has_short_tag = True

    def encode(self, enc: Encoder, value: Any, depth: int) -> Tree:
        dtype = value.dtype
        tree: Tree = {
            "$type": "ndarray",
            "dtype": enc.node(_describe(dtype), depth - 1),
            "shape": list(value.shape),
        }
        order = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
        if order == "F":
            tree["order"] = order
        if dtype.hasobject:
            tree["items"] = enc.node(value.ravel(order=order).tolist(), depth - 1)
        else:
            tree["data"] = to_base64(value.tobytes(order=order))
        return tree

    def decode(self, dec: Decoder, tree: Tree, depth: int) -> Any:
        numpy = library("numpy")
        dtype = _dtype(numpy, dec.node(tree["dtype"], depth - 1))
        shape = tuple(check_type(size, int) for size in check_type(tree["shape"], list))
        order = "F" if tree.get("order") == "F" else "C"
        if dtype.kind in "OT":
            items = check_type(dec.node(tree["items"], depth - 1), list)
            if dtype.kind == "T" and not all(type(item) is str for item in items):
                raise DeserializationError("a stored array of text holds something else")
            flat = numpy.empty(len(items), dtype)
            for index, item in enumerate(items):
                flat[index] = item
        else:
            flat = _from_bytes(numpy, tree, dtype, math.prod(shape))
        return flat.reshape(shape, order=order)


class _Scalar:
    """A number with its dtype; other scalars as an array without dimensions."""

    has_short_tag = True

    def encode(self, enc: Encoder, value: Any, depth: int) -> Tree:
        dtype = value.dtype
        tree: Tree = {"$type": "numpy", "dtype": enc.node(_describe(dtype), depth - 1)}
        if dtype.kind in _NUMBERS and dtype.itemsize <= _MAX_LISTED and _is_its_item(value):
            tree["value"] = enc.node(value.item(), depth - 1)
        elif dtype.kind in "SU":
            # An array would drop the NULs at the end.
            tree["value"] = enc.node(_PLAIN[dtype.kind](value), depth - 1)
        else:
            tree["data"] = to_base64(value.tobytes())
        return tree

    def decode(self, dec: Decoder, tree: Tree, depth: int) -> Any:
        numpy = library("numpy")
        dtype = _dtype(numpy, dec.node(tree["dtype"], depth - 1))
        if "value" in tree:
            value = dec.node(tree["value"], depth - 1)
            # Of a number, bytes and void scalars would be made as long as it says.
            if type(value) not in _VALUES.get(dtype.kind, ()):
                raise DeserializationError("a stored NumPy scalar does not fit its dtype")
            if dtype.kind in _PLAIN:
                return dtype.type(value)
            return dtype.type(value) if dtype.isnative else numpy.array(value, dtype)[()]
        return _from_bytes(numpy, tree, dtype, 1)[0]


def _from_bytes(numpy: Any, tree: Tree, dtype: Any, count: int) -> Any:
    data = bytearray(from_base64(tree["data"]))
    # Elements without bytes, as those of a dtype without fields, can't be counted by them.
    return numpy.frombuffer(data, dtype) if dtype.itemsize else numpy.zeros(count, dtype)


def _is_its_item(value: Any) -> bool:
    """Whether text says all of a number: a NaN can have other bits than Python's."""
    if value == value:  # noqa: PLR0124  # which a NaN is not
        return True
    plain: bytes = library("numpy").array(float("nan"), value.dtype).tobytes()
    return bool(plain == value.tobytes())


def _describe(dtype: Any) -> Any:
    numpy = library("numpy")
    description = dtype.str if dtype.names is None else dtype.descr
    if dtype.kind == "T":  # StringDType, whose str is not one that NumPy reads
        description = "T"
    elif dtype.char in "qQ" and numpy.dtype(description).char != dtype.char:
        description = f"{dtype.str[0]}{dtype.char}"  # of a long long, which is no int64
    made = numpy.dtype(description)
    if (dtype.names and dtype.hasobject) or made != dtype or made.type is not dtype.type:
        raise Refused(f"can't be stored: its dtype, {dtype}, can't be described")
    return description


def _is_description(part: Any) -> bool:
    if type(part) in (list, tuple):
        return all(map(_is_description, part))
    return type(part) in (str, int)


def _dtype(numpy: Any, description: Any) -> Any:
    if type(description) not in (str, list) or not _is_description(description):
        raise DeserializationError("a stored dtype is neither a name nor a list of fields")
    return numpy.dtype(description)


def find_numpy(cls: type) -> Codec | None:
    """Find the codec of a NumPy class."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return None
    if cls is numpy.ndarray:
        return _Array()
    is_its_own = derives(cls, numpy.generic) and module_of(cls).partition(".")[0] == "numpy"
    return _Scalar() if is_its_own else None


DECODERS["ndarray"] = _Array().decode
DECODERS["numpy"] = _Scalar().decode
