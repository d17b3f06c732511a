"""Pandas frames, series and indexes, in processes that have imported pandas."""

from __future__ import annotations

import sys
from typing import Any, Final

from .arrays import library
from .classes import check_type
from .codec import DECODERS, Codec, Refused, Tree
from .decoder import Decoder
from .encoder import Encoder
from .frames_columns import (
    check_index,
    check_name,
    indexes,
    name_of_axis,
    object_dtype,
    values_of,
    values_parts,
)
from .names import module_of


class _PandasCodec:
    """A codec that tags the parts of a pandas object."""

    has_short_tag = True
    tag: str

    def parts(self, value: Any) -> dict[str, Any]:
        """What it consists of; each kind of object says it for itself."""
        raise NotImplementedError

    def build(self, parts: dict[str, Any]) -> Any:
        """The object again; as above."""
        raise NotImplementedError

    def encode(self, enc: Encoder, value: Any, depth: int) -> Tree:
        if getattr(value, "attrs", None):
            raise Refused("can't be stored: it has attrs")
        if hasattr(value, "flags") and not value.flags.allows_duplicate_labels:
            raise Refused("can't be stored: it forbids duplicate labels (set_flags)")
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
        columns = [values_parts(value.iloc[:, place]) for place in range(value.shape[1])]
        return {"columns": value.columns, "index": value.index, "data": columns}

    def build(self, parts: dict[str, Any]) -> Any:
        pandas = library("pandas")
        columns = check_index(parts["columns"])
        index = check_index(parts["index"])
        data = {}
        for place, column in enumerate(check_type(parts["data"], list)):
            values = values_of(column)
            data[place] = pandas.Series(values, index=index, dtype=object_dtype(values))
        made = pandas.DataFrame(data, index=index)
        made.columns = columns
        return made


class _Series(_PandasCodec):
    tag = "Series"

    def parts(self, value: Any) -> dict[str, Any]:
        return {"name": name_of_axis(value), "index": value.index, "data": values_parts(value)}

    def build(self, parts: dict[str, Any]) -> Any:
        values = values_of(parts["data"])
        index = check_index(parts["index"])
        made = library("pandas").Series(values, index=index, dtype=object_dtype(values))
        made.name = check_name(parts["name"])
        return made


class _Index(_PandasCodec):
    tag = "Index"

    def parts(self, value: Any) -> dict[str, Any]:
        parts = {"name": name_of_axis(value), "data": values_parts(value)}
        freq = getattr(value, "freq", None)
        if freq is not None:
            if sys.modules["pandas"].tseries.frequencies.to_offset(value.freqstr) != freq:
                raise Refused(f"can't be stored: it has a frequency of its own kind, {freq!r}")
            parts["freq"] = value.freqstr
        return parts

    def build(self, parts: dict[str, Any]) -> Any:
        values = values_of(parts["data"])
        made = library("pandas").Index(values, dtype=object_dtype(values))
        made.name = check_name(parts["name"])
        if "freq" in parts:
            made.freq = check_type(parts["freq"], str)
        return made


class _RangeIndex(_PandasCodec):
    tag = "RangeIndex"

    def parts(self, value: Any) -> dict[str, Any]:
        return {
            "name": name_of_axis(value),
            "start": value.start,
            "stop": value.stop,
            "step": value.step,
        }

    def build(self, parts: dict[str, Any]) -> Any:
        bounds = [check_type(parts[name], int) for name in ("start", "stop", "step")]
        return library("pandas").RangeIndex(*bounds, name=check_name(parts["name"]))


_CODECS: Final[tuple[_PandasCodec, ...]] = (_Frame(), _Series(), _Index(), _RangeIndex())


def find_pandas(cls: type) -> Codec | None:
    """Find the codec of a pandas class."""
    pandas = sys.modules.get("pandas")
    if pandas is None or not module_of(cls).startswith("pandas"):
        return None
    for codec in _CODECS:
        if cls is getattr(pandas, codec.tag, None):
            return codec
    if cls in indexes(pandas):
        return _CODECS[2]
    return None


for _codec in _CODECS:
    DECODERS[_codec.tag] = _codec.decode
