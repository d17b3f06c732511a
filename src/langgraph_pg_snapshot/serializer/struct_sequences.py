"""Records of the C library, as ``time.struct_time`` and ``os.stat_result``."""

from __future__ import annotations

from types import BuiltinFunctionType, MethodDescriptorType
from typing import Any

from .classes import check_type
from .codec import Codec, Refused, Tree
from .decoder import Decoder
from .encoder import Encoder, encode_dict
from .names import attribute_of, class_dict, derives, tag_of
from .types_containers import encode_items


class _StructSequence:
    """A tuple with names, and with fields beside those of the tuple."""

    def __init__(self, cls: Any) -> None:
        try:
            cls(range(cls.n_sequence_fields))
        except TypeError:
            raise Refused("can only be made by Python itself") from None
        self.cls = cls
        self.tag = tag_of(cls)

    def encode(self, enc: Encoder, value: Any, depth: int) -> Tree:
        _, (items, others) = value.__reduce__()
        tree: Tree = {"$type": self.tag, "items": encode_items(enc, items, depth - 2)}
        if others:
            tree["others"] = encode_dict(enc, others, depth - 1)
        return tree

    def decode(self, dec: Decoder, tree: Tree, depth: int) -> Any:
        items = check_type(dec.node(tree["items"], depth - 1), list)
        others = check_type(dec.node(tree.get("others", {}), depth - 1), dict)
        return self.cls(items, others)


def find_struct_sequence(cls: type) -> Codec | None:
    """Find the codec of a struct sequence, all of whose methods are compiled code."""
    own = class_dict(cls)
    if (
        derives(cls, tuple)
        and type(own.get("n_sequence_fields")) is int
        and type(own.get("__reduce__")) is MethodDescriptorType
        and type(own.get("__new__")) is BuiltinFunctionType
        and attribute_of(cls, "__init__") is vars(object)["__init__"]
    ):
        return _StructSequence(cls)
    return None
