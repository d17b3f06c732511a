"""Pandas frames, series and indexes, in processes that have imported pandas."""

from __future__ import annotations

import enum
import re
import sys
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from langgraph_pg_snapshot.errors import DeserializationError

from .arrays import library
from .classes import check_type
from .codec import DECODERS, Codec, Refused, Tree
from .decoder import SCALARS, Decoder
from .encoder import Encoder
from .names import derives
from .types_std import zone_info

# Dtypes of pandas' own whose elements are plain Python values.
_LISTED: Final = frozenset(
    {"str", "string", "boolean", "Float32", "Float64"}
    | {f"{kind}{bits}" for kind in ("Int", "UInt") for bits in (8, 16, 32, 64)}
)
_ZONED: Final = re.compile(
    r"datetime64\[(?:s|ms|us|ns), (?:(?P<offset>UTC(?:[+-][0-9:.]+)?)|(?P<zone>.+))\]"
)
_NAMES: Final = SCALARS | {bytes, date, datetime, time, timedelta}


def _values_parts(values: Any) -> dict[str, Any]:
    """Take apart the values of a column or an index."""
    pandas = sys.modules["pandas"]
    dtype = values.dtype
    name = str(dtype)
    if not isinstance(dtype, pandas.api.extensions.ExtensionDtype):
        return {"array": values.to_numpy()}
    if name in _LISTED:
        missing = values.isna()
        items = values.to_numpy(dtype=object).tolist()
        return {
            "dtype": name,
            "items": [None if gone else item for item, gone in zip(items, missing, strict=True)],
        }
    if isinstance(dtype, pandas.CategoricalDtype):
        return {
            "codes": pandas.Categorical(values).codes,
            "categories": dtype.categories,
            "ordered": dtype.ordered,
        }
    if isinstance(dtype, pandas.DatetimeTZDtype):
        return {"dtype": name, "array": pandas.DatetimeIndex(values).tz_convert(None).to_numpy()}
    raise Refused(f"can't be stored: the dtype {name}")


def _values(parts: Any) -> Any:
    pandas = library("pandas")
    array = library("numpy").ndarray
    name = check_type(parts, dict).get("dtype")
    if "codes" in parts:
        return pandas.Categorical.from_codes(
            check_type(parts["codes"], array),
            check_index(parts["categories"]),
            ordered=check_type(parts["ordered"], bool),
        )
    if name is None:
        return check_type(parts["array"], array)
    if check_type(name, str) in _LISTED:
        items = check_type(parts["items"], list)
        if not all(type(item) in SCALARS for item in items):
            raise DeserializationError(f"a stored column of {name} holds something else")
        return pandas.array(items, dtype=name)
    if _is_zoned(name):
        zoned = pandas.DatetimeIndex(check_type(parts["array"], array)).tz_localize("UTC")
        return zoned.tz_convert(pandas.DatetimeTZDtype.construct_from_string(name).tz).array
    raise DeserializationError(f"{name!r} is not a dtype that a column may have")


def _is_zoned(name: str) -> bool:
    """Whether it is a dtype of times in a zone that is found without a search for modules."""
    found = _ZONED.fullmatch(name)
    if found is None:
        return False
    if not found["offset"]:
        zone_info(found["zone"])
    return True


def _object_dtype(values: Any) -> Any:
    """Say that objects stay objects, as pandas would look into each of them to find out."""
    return values.dtype if values.dtype.kind == "O" else None


def _name(value: Any) -> Any:
    """Hand back the name of a series or an index.

    Raises:
        DeserializationError: it is an object that pandas would ask something.
    """
    parts = value if type(value) is tuple else (value,)
    if not all(type(part) in _NAMES or derives(type(part), enum.Enum) for part in parts):
        raise DeserializationError("the stored name of a series or an index is not plain")
    return value


class _PandasCodec:
    """A codec that tags the parts of a pandas object."""

    has_short_tag = True
    tag: str

    def parts(self, value: Any) -> dict[str, Any]:
        raise NotImplementedError

    def build(self, parts: dict[str, Any]) -> Any:
        raise NotImplementedError

    def encode(self, enc: Encoder, value: Any, depth: int) -> Tree:
        if getattr(value, "attrs", None):
            raise Refused("can't be stored: it has attrs")
        tree: Tree = {"$type": self.tag}
        for name, part in self.parts(value).items():
            tree[name] = enc.node(part, depth - 1)
        return tree

    def decode(self, dec: Decoder, tree: Tree, depth: int) -> Any:
        library("pandas")
        return self.build(
            {name: dec.node(part, depth - 1) for name, part in tree.items() if name != "$type"}
        )


class _Frame(_PandasCodec):
    tag = "DataFrame"

    def parts(self, value: Any) -> dict[str, Any]:
        columns = [_values_parts(value.iloc[:, place]) for place in range(value.shape[1])]
        return {"columns": value.columns, "index": value.index, "data": columns}

    def build(self, parts: dict[str, Any]) -> Any:
        pandas = library("pandas")
        columns = check_index(parts["columns"])
        index = check_index(parts["index"])
        data = {}
        for place, column in enumerate(check_type(parts["data"], list)):
            values = _values(column)
            data[place] = pandas.Series(values, index=index, dtype=_object_dtype(values))
        made = pandas.DataFrame(data, index=index)
        made.columns = columns
        return made


class _Series(_PandasCodec):
    tag = "Series"

    def parts(self, value: Any) -> dict[str, Any]:
        return {"name": value.name, "index": value.index, "data": _values_parts(value)}

    def build(self, parts: dict[str, Any]) -> Any:
        values = _values(parts["data"])
        index = check_index(parts["index"])
        made = library("pandas").Series(values, index=index, dtype=_object_dtype(values))
        made.name = _name(parts["name"])
        return made


class _Index(_PandasCodec):
    tag = "Index"

    def parts(self, value: Any) -> dict[str, Any]:
        parts = {"name": value.name, "data": _values_parts(value)}
        if getattr(value, "freq", None) is not None:
            parts["freq"] = value.freqstr
        return parts

    def build(self, parts: dict[str, Any]) -> Any:
        values = _values(parts["data"])
        made = library("pandas").Index(values, dtype=_object_dtype(values))
        made.name = _name(parts["name"])
        if "freq" in parts:
            made.freq = check_type(parts["freq"], str)
        return made


class _RangeIndex(_PandasCodec):
    tag = "RangeIndex"

    def parts(self, value: Any) -> dict[str, Any]:
        return {
            "name": value.name,
            "start": value.start,
            "stop": value.stop,
            "step": value.step,
        }

    def build(self, parts: dict[str, Any]) -> Any:
        bounds = [check_type(parts[name], int) for name in ("start", "stop", "step")]
        return library("pandas").RangeIndex(*bounds, name=_name(parts["name"]))


def check_index(value: Any) -> Any:
    """Hand back a pandas index.

    Raises:
        DeserializationError: the value is something else.
    """
    pandas = library("pandas")
    if type(value) not in (pandas.Index, pandas.RangeIndex, *_special(pandas)):
        raise DeserializationError("the stored index of a frame is not an index")
    return value


def _special(pandas: Any) -> tuple[type, ...]:
    return (pandas.DatetimeIndex, pandas.TimedeltaIndex, pandas.CategoricalIndex)


_CODECS: Final[tuple[_PandasCodec, ...]] = (_Frame(), _Series(), _Index(), _RangeIndex())


def find_pandas(cls: type) -> Codec | None:
    """Find the codec of a pandas class."""
    pandas = sys.modules.get("pandas")
    if pandas is None or not cls.__module__.startswith("pandas"):
        return None
    for codec in _CODECS:
        if cls is getattr(pandas, codec.tag, None):
            return codec
    if cls in _special(pandas):
        return _CODECS[2]
    return None


for _codec in _CODECS:
    DECODERS[_codec.tag] = _codec.decode
